"""What the tests of Emporix's reward points share: a tenant, its employees and customers, and short ways to ask."""

from __future__ import annotations

import httpx2
import pytest

from tests.serving import Json, OrgClient

NOW = "2030-01-01T12:00:00.000Z"
NOW_TEXT = "2030-01-01T12:00:00.000+00:00"
IN_THREE_YEARS = "2033-01-01T12:00:00.000+00:00"
CHARGEBACK = "Chargeback - redeemed voucher could not be created."
VERSIONS = ("2021", "current")
BASE = "/reward-points"

# The success that the two versions answer differently.
OPENED = {"2021": 201, "current": 200}
DELETED = {"2021": 204, "current": 200}
EXCHANGED = {"2021": 201, "current": 200}

in_both_versions = pytest.mark.parametrize("version", VERSIONS)


def tenant(org_client: OrgClient, version: str = "2021") -> OrgClient:
    """The org under a name that a tenant may have, its clock at `NOW`, in this version of the API."""
    org_client.org = org_client.org.replace("-", "")
    org_client.freeze(NOW)
    choose(org_client, version)
    return org_client


def choose(shop: OrgClient, version: str) -> None:
    configure(shop, reward_points_version=version)


def configure(shop: OrgClient, **settings: Json) -> None:
    """Settings replace those of before whole, as every seeded object does."""
    shop.seed("emporix", settings=[{"id": "settings", **settings}])


def restrict(shop: OrgClient, version: str = "2021", **settings: Json) -> None:
    configure(shop, reward_points_version=version, couponSettings={"rewardpoints": settings})


# Who asks


def customer_token(shop: OrgClient, customer: str = "C1", **claims: str) -> str:
    """As a login gives it: a customer, and none of the scopes for points."""
    said = {"tenant": shop.org, "customer": customer, "scope": "coupon.coupon_redeem", **claims}
    return ";".join(["sandbox", *(f"{name}={value}" for name, value in said.items())])


def staff(shop: OrgClient, method: str, path: str, body: Json = None, **headers: str) -> httpx2.Response:
    """As a service that may do everything."""
    return shop.request(method, BASE + path, body, headers={"Emporix-Tenant": shop.org, **headers})


def visitor(shop: OrgClient, method: str, path: str, body: Json = None, customer: str = "C1") -> httpx2.Response:
    """As a customer who has logged in."""
    token = customer_token(shop, customer)
    return shop.request(method, BASE + path, body, headers={"Authorization": f"Bearer {token}"})


# Steps


def earn(shop: OrgClient, points: int = 100, customer: str = "C1", **members: Json) -> None:
    response = staff(shop, "POST", f"/customer/{customer}/addPoints", {"points": points, **members})
    assert (response.status_code, response.content) == (201, b""), response.text


def spend(shop: OrgClient, points: int, customer: str = "C1", **members: Json) -> httpx2.Response:
    return staff(shop, "POST", f"/customer/{customer}/redeemPoints", {"points": points, **members})


def balance(shop: OrgClient, customer: str = "C1") -> int:
    response = staff(shop, "GET", f"/customer/{customer}")
    assert response.status_code == 200, response.text
    points: int = response.json()
    return points


def summary(shop: OrgClient, customer: str = "C1") -> Json:
    response = staff(shop, "GET", f"/customer/{customer}/summary")
    assert response.status_code == 200, response.text
    return response.json()


def added(shop: OrgClient, customer: str = "C1") -> list[Json]:
    entries: list[Json] = summary(shop, customer)["summary"]["addedPointsList"]
    return entries


def redeemed(shop: OrgClient, customer: str = "C1") -> list[Json]:
    entries: list[Json] = summary(shop, customer)["summary"]["redeemedPointsList"]
    return entries


def template(**members: Json) -> Json:
    """What a coupon is made of; a member given as None is left out."""
    ten_euros = {"name": "10 euros", "discountType": "ABSOLUTE", "discountAbsolute": {"amount": 10, "currency": "EUR"}}
    return {name: value for name, value in {**ten_euros, **members}.items() if value is not None}


def option(points: int = 90, coupon: Json = None, **members: Json) -> Json:
    return {"type": "coupon", "name": "10 euros off", "points": points, "coupon": coupon or template(), **members}


IMPOSSIBLE = template(discountType="PERCENT", discountAbsolute=None)  # the coupon service wants a percentage


def offer(shop: OrgClient, points: int = 90, coupon: Json = None, **members: Json) -> str:
    """The id of a new redeem option."""
    response = staff(shop, "POST", f"/{shop.org}/redeemOptions", option(points, coupon, **members))
    assert response.status_code == 200, response.text
    id: str = response.json()[-1]["id"]
    return id


def exchange(shop: OrgClient, id: str, customer: str = "C1") -> httpx2.Response:
    return visitor(shop, "POST", "/public/customer/redeem", {"id": id}, customer)


def coupon(shop: OrgClient, code: str) -> Json:
    response = shop.request("GET", f"/coupon/{shop.org}/coupons/{code}")
    assert response.status_code == 200, response.text
    return response.json()
