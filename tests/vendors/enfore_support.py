"""What the tests of enfore share: one of everything to seed, and short ways to bring in, redeem and be rejected."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import NamedTuple

import httpx2

from promo_sandbox.base import config
from promo_sandbox.model.contract import Contract
from promo_sandbox.server.app import load_contracts
from tests.serving import Json, OrgClient
from tests.vendors import rejections

NOW = "2030-01-01T12:00:00.000Z"
PAST = "2029-12-01T00:00:00.000Z"
SOON = "2030-02-01T00:00:00.000Z"
LATER = "2030-03-01T00:00:00.000Z"
PROBLEMS = "https://docs.apis.enfore.com/problems/"
EVER = "?from=1970-01-01T00:00:00Z&to=9999-01-01T00:00:00Z"
RECEIVER = "https://hooks.example/enfore"


@cache
def contract() -> Contract:
    """The specs and rules as the server loads them."""
    return next(contract for contract in load_contracts(config.data_folder("specs")) if contract.vendor == "enfore")


def eur(value: float) -> Json:
    return {"unit": "EUR", "value": value}


def pieces(value: float) -> Json:
    return {"unit": "QUANTITY_PIECES", "value": value}


def path(org_client: OrgClient, *segments: str) -> str:
    return "/".join([f"/promotions/org/{org_client.org}", *segments])


def cards(org_client: OrgClient, *segments: str) -> str:
    return path(org_client, "sales-vouchers/gift-cards", *segments)


# Objects as they are sent or seeded


def new_card(**members: Json) -> Json:
    """What a client posts to bring in a card; a member given as None is left out."""
    least = {"name": "Xmas", "external_number": "X-1", "status": "ISSUED", "current_balance": eur(50)}
    return {name: value for name, value in {**least, **members}.items() if value is not None}


def internal_card(**members: Json) -> Json:
    return {"name": "Geschenk", "@type": "InternalGiftCard", "current_balance": eur(50), **members}


def product_voucher(**members: Json) -> Json:
    price = {"price": eur(2.8), "price_is_gross": True, "quantity": pieces(1)}
    return {
        "name": "10 coffees",
        "product": "coffee",
        "product_sales_price_and_quantity": price,
        "current_balance": pieces(10),
        "tax": "DE_STANDARD_VAT_2007",
        **members,
    }


def category_voucher(**members: Json) -> Json:
    return {"name": "Books", "sales_categories": ["books", "maps"], "current_balance": eur(20), **members}


def draft(**members: Json) -> Json:
    return {"name": "Points", "configuration": {"base_url": "https://partner.example"}, **members}


def problem(list_name: str, date: str, **members: Json) -> Json:
    return {"list": list_name, "date_and_time": date, "type": f"{PROBLEMS}x", "title": "X", "detail": date, **members}


# Credentials


def basic(name: str, secret: str) -> str:
    return f"Basic {base64.b64encode(f'{name}:{secret}'.encode()).decode()}"


def issue_token(org_client: OrgClient, **terms: Json) -> str:
    """A token of enfore for this org, as the admin API issues it."""
    response = org_client.admin("POST", "/tokens", {"vendor": "enfore", "tenant": org_client.org, **terms})
    assert response.status_code == 201, response.text
    token: str = response.json()["access_token"]
    return token


def neighbour(org_client: OrgClient) -> OrgClient:
    """Another org, whose clock stands at `NOW` too."""
    other = OrgClient(org_client.url, f"{org_client.org}-neighbour", org_client.http)
    other.freeze(NOW)
    return other


# Steps


def import_card(org_client: OrgClient, **members: Json) -> Json:
    """The card as the API answers it."""
    response = org_client.request("POST", cards(org_client), new_card(**members))
    assert response.status_code == 201, response.text
    return response.json()


def seed_card(org_client: OrgClient, **members: Json) -> str:
    """The id of an external card that is simply there."""
    card: str = org_client.seed("enfore", gift_cards=[new_card(**members)])["gift_cards"][0]["id"]
    return card


def get_card(org_client: OrgClient, card: str) -> Json:
    response = org_client.request("GET", cards(org_client, card))
    assert response.status_code == 200, response.text
    return response.json()


def redeem(
    org_client: OrgClient, card: str, value: float, unit: str = "EUR", reference: str = "order 1"
) -> httpx2.Response:
    body = {"redeemed_amount": {"unit": unit, "value": value}, "external_reference": reference}
    return org_client.request("POST", cards(org_client, card, "redemptions"), body)


def activate(org_client: OrgClient, card: str, status: str = "ACTIVE") -> httpx2.Response:
    return org_client.request("PUT", cards(org_client, card, "activation-status"), status)


def ids(response: httpx2.Response) -> list[str]:
    """The ids of a list's items."""
    assert response.status_code == 200, response.text
    return [item["id"] for item in response.json()["items"]]


def notified(org_client: OrgClient, event: str) -> list[Json]:
    """The objects that the subscribers of an event were sent, one after the other."""
    return [item for found in org_client.events() if found["event"] == event for item in found["payload"]["items"]]


def assert_rejected(org_client: OrgClient, response: httpx2.Response, status: int, name: str) -> Json:
    """The newest answer is this rejection, in the vendor's form, and nothing came of it; the problem is answered."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["type"] == PROBLEMS + name
    assert body.keys() - {"on_resource"} == {"type", "title", "detail"}
    exchange = org_client.last()
    assert exchange["rejection"] == name
    assert (exchange["internal_error"], exchange["changes"], exchange["events"]) == (None, [], [])
    return body


@contextmanager
def unchanged(org_client: OrgClient) -> Iterator[None]:
    """What happens inside leaves everything stored as it was, and sends no webhook."""
    sent_before = org_client.events()
    with rejections.unchanged(org_client):
        yield
    assert org_client.events() == sent_before


# The two kinds of promotion, which differ in names only


class PromotionKind(NamedTuple):
    """Where a kind of promotion lives, and what its collections and rejections are called."""

    family: str
    name: str
    drafts: str
    promotions: str
    unknown: str
    archived: str
    events: tuple[str, str]

    def path(self, org_client: OrgClient, *segments: str) -> str:
        return path(org_client, self.family, self.name, *segments)

    def draft_path(self, org_client: OrgClient, *segments: str) -> str:
        return path(org_client, self.family, f"{self.name}-drafts", *segments)


PROMOTION_KINDS = (
    PromotionKind(
        "loyalty-programs",
        "external-loyalty-program",
        "loyalty_program_drafts",
        "loyalty_programs",
        "unknown-loyalty-program",
        "loyalty-program-archived",
        ("start-loyalty-program", "end-loyalty-program"),
    ),
    PromotionKind(
        "promotions",
        "external-coupon-promotion",
        "coupon_promotion_drafts",
        "coupon_promotions",
        "unknown-coupon-promotion",
        "coupon-promotion-archived",
        ("start-coupon-promotion", "end-coupon-promotion"),
    ),
)


# The three kinds of sales voucher, whose lists and subscriptions are alike


class VoucherKind(NamedTuple):
    """A kind of sales voucher."""

    collection: str
    singular: str
    event: str
    expiry: str

    def seeded(self, **members: Json) -> Json:
        """An object of this kind for a seed."""
        if self.singular == "gift-card":
            return new_card(**members) if "external_number" in members else internal_card(**members)
        return (product_voucher if self.singular == "product-voucher" else category_voucher)(**members)

    def path(self, org_client: OrgClient, *segments: str) -> str:
        return path(org_client, "sales-vouchers", f"{self.singular}s", *segments)


VOUCHER_KINDS = tuple(
    VoucherKind(f"{singular.replace('-', '_')}s", singular, f"{singular}-changed", f"expire-{singular}")
    for singular in ("gift-card", "product-voucher", "category-voucher")
)


def furnish(org_client: OrgClient) -> None:
    """One of everything, under ids that say what it is; the clock stands at `NOW`."""
    org_client.freeze(NOW)
    drafts = [
        draft(id="draft", start_date_and_time=SOON, end_date_and_time=LATER),
        draft(id="without-start"),
        draft(id="started", start_date_and_time=PAST),
        draft(id="ended", end_date_and_time=PAST),
        draft(id="reversed", start_date_and_time=LATER, end_date_and_time=SOON),
    ]
    promotions = [
        draft(id="promotion", status="SCHEDULED", start_date_and_time=SOON, end_date_and_time=LATER),
        draft(id="active", status="ACTIVE", start_date_and_time=PAST),
        draft(id="archived", status="ARCHIVED", start_date_and_time=PAST, end_date_and_time=NOW),
    ]
    org_client.seed(
        "enfore",
        gift_cards=[
            new_card(id="card", external_number="X-card"),
            internal_card(id="internal"),
            *(
                new_card(id=status.lower(), external_number=f"X-{status}", status=status)
                for status in ("REDEEMED", "EXPIRED", "CANCELED", "DEACTIVATED")
            ),
        ],
        gift_card_redemptions=[
            {"id": "redemption", "gift_card_id": "card", "redeemed_amount": eur(1), "external_reference": "order 0"}
        ],
        product_vouchers=[product_voucher(id="voucher")],
        category_vouchers=[category_voucher(id="voucher")],
        subscriptions=[
            {"id": kind.singular, "event": kind.event, "callback_url": f"{RECEIVER}/old"} for kind in VOUCHER_KINDS
        ],
        **{kind.drafts: drafts for kind in PROMOTION_KINDS},
        **{kind.promotions: promotions for kind in PROMOTION_KINDS},
    )
