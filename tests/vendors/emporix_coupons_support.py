"""What the tests of Emporix's coupons share: a tenant, tokens, and short ways to make, read and redeem coupons."""

from __future__ import annotations

from functools import cache
from urllib.parse import quote

import httpx2

from promo_sandbox.base import config
from promo_sandbox.model.contract import Contract
from promo_sandbox.openapi.document import Document
from promo_sandbox.server.app import load_contracts
from tests.serving import Json, OrgClient

NOW = "2030-01-01T12:00:00.000Z"
PAST = "2029-12-01T00:00:00.000Z"
SOON = "2030-02-01T00:00:00.000Z"
LATER = "2030-03-01T00:00:00.000Z"

MANAGE = "coupon.coupon_manage"
READ = "coupon.coupon_read"
REDEEM = "coupon.coupon_redeem"
ON_BEHALF = "coupon.coupon_redeem_on_behalf"


@cache
def contract() -> Contract:
    """The specs and rules as the server loads them."""
    return next(contract for contract in load_contracts(config.data_folder("specs")) if contract.vendor == "emporix")


def document() -> Document:
    return next(document for document in contract().documents if document.name == "emporix/coupon.yaml")


def tenant(org_client: OrgClient) -> OrgClient:
    """The org under a name that a tenant may have, its clock at `NOW`."""
    org_client.org = org_client.org.replace("-", "")
    org_client.freeze(NOW)
    return org_client


def neighbour(shop: OrgClient) -> OrgClient:
    return tenant(OrgClient(shop.url, f"{shop.org}x", shop.http))


def configure(shop: OrgClient, **settings: Json) -> None:
    shop.seed("emporix", settings=[{"id": "settings", **settings}])


# Who asks


def token(shop: OrgClient, *scopes: str, **claims: str) -> str:
    """A bearer with these scopes only; `customer` and `legal_entity` may be among the claims."""
    said = {"tenant": shop.org, "scope": " ".join(scopes), **claims}
    return ";".join(["sandbox", *(f"{name}={value}" for name, value in said.items())])


def customer(shop: OrgClient, number: str = "C1", **claims: str) -> str:
    """As a login gives it."""
    return token(shop, REDEEM, customer=number, **claims)


# Objects as they are sent or seeded


def money(amount: float, currency: str = "EUR") -> Json:
    return {"amount": amount, "currency": currency}


def new_coupon(**members: Json) -> Json:
    """Five euros off for any customer; a member given as None is left out."""
    least = {"code": "FIVE", "name": "Five", "discountType": "ABSOLUTE", "discountAbsolute": money(5)}
    return {name: value for name, value in {**least, **members}.items() if value is not None}


def percent(percentage: float = 10, **members: Json) -> Json:
    return new_coupon(
        **{"discountType": "PERCENT", "discountAbsolute": None, "discountPercentage": percentage, **members}
    )


def order(total: float = 100, discount: float = 5, currency: str = "EUR", **members: Json) -> Json:
    return {"orderTotal": money(total, currency), "discount": money(discount, currency), **members}


# Steps


def ask(
    shop: OrgClient, method: str, path: str, body: Json = None, bearer: str = "any", **headers: str
) -> httpx2.Response:
    """A request to `/coupon/{tenant}` and what follows it; the bearer `any` may do everything and is no customer."""
    sent = {"Authorization": f"Bearer {bearer}", **headers}
    return shop.request(method, f"/coupon/{shop.org}{path}", body, headers=sent)


def coupons(code: str, *segments: str) -> str:
    return "/".join(["/coupons", *(quote(segment, safe="") for segment in (code, *segments))])


def create(shop: OrgClient, **members: Json) -> str:
    """The code of a new coupon."""
    response = ask(shop, "POST", "/coupons", new_coupon(**members))
    assert response.status_code == 201, response.text
    assert response.json().keys() == {"id"}
    code: str = response.json()["id"]
    return code


def create_percent(shop: OrgClient, percentage: float = 10, **members: Json) -> str:
    return create(shop, **{"discountAbsolute": None, **percent(percentage, **members)})


def read(shop: OrgClient, code: str = "FIVE") -> Json:
    response = ask(shop, "GET", coupons(code))
    assert response.status_code == 200, response.text
    return response.json()


def redeem(shop: OrgClient, body: Json = None, code: str = "FIVE", bearer: str | None = None) -> httpx2.Response:
    """As a customer, unless another bearer is given."""
    return ask(shop, "POST", coupons(code, "redemptions"), body or order(), bearer or customer(shop))


def validate(shop: OrgClient, body: Json = None, code: str = "FIVE", bearer: str | None = None) -> httpx2.Response:
    return ask(shop, "POST", coupons(code, "validation"), body or order(), bearer or customer(shop))


def redeemed(shop: OrgClient, body: Json = None, code: str = "FIVE", bearer: str | None = None) -> str:
    """The id of a new redemption."""
    response = redeem(shop, body, code, bearer)
    assert response.status_code == 201, response.text
    assert response.json().keys() == {"id"}
    id: str = response.json()["id"]
    return id


def listed(shop: OrgClient, path: str = "/coupons", **query: str) -> list[Json]:
    response = found(shop, path, **query)
    assert response.status_code == 200, response.text
    items: list[Json] = response.json()
    return items


def found(shop: OrgClient, path: str = "/coupons", **query: str) -> httpx2.Response:
    return shop.http.get(f"{shop.url}/coupon/{shop.org}{path}", params=query, headers={"Authorization": "Bearer any"})


def assert_rejected(shop: OrgClient, response: httpx2.Response, status: int, name: str) -> Json:
    """The newest answer is this rejection, and nothing was booked; its body is answered."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    exchange = shop.last()
    assert exchange["rejection"] == name
    assert (exchange["internal_error"], exchange["changes"]) == (None, [])
    return response.json()


def assert_not_redeemed(shop: OrgClient, response: httpx2.Response, status: int, *names: str) -> None:
    """Rejected for these reasons together, in the form of the vendor."""
    body = assert_rejected(shop, response, status, names[0])
    assert (body["status"], body["type"]) == (status, "business_error")
    assert body["message"] == "Coupon cannot be redeemed"
    assert [detail["type"] for detail in body["details"]] == [name.replace("-", "_") for name in names]
    assert all(detail["message"] for detail in body["details"])
