"""The requests to the floor and to our server: gift cards, reward points, coupons and promotions."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.processes import Client, Server
from bench.traffic import Request

if TYPE_CHECKING:
    from collections.abc import Callable

CARD = (
    '{"name":"Anniversary gift card","external_number":"GC-2026-{n}","status":"ISSUED",'
    '"current_balance":{"unit":"EUR","value":50.25},"initial_balance":{"unit":"EUR","value":50.25},'
    '"issued_date_and_time":"2026-01-15T10:30:00Z","expiration_date_and_time":"2028-01-15T10:30:00Z",'
    '"tax":"DE_STANDARD_VAT_2007","source_product":"SKU-GIFT-EUR-50-ANNIVERSARY-2026-SPRING-CAMPAIGN-EMEA"}'
)
WRONG_CARD = CARD.replace('"ISSUED"', '"NOT-A-STATUS"').replace('"value":50.25', '"value":"50.25"', 1)
RICH_CARD = CARD.replace("50.25", "9000000000.00")
REDEMPTION = '{"redeemed_amount":{"unit":"EUR","value":0.01},"external_reference":"R-{n}"}'


POINTS = '{"points":10,"reference-id":"O-{n}","description":"Order completed"}'
COUPON = (
    '{"code":"BENCH","name":"Five off","discountType":"ABSOLUTE","discountAbsolute":{"amount":5,"currency":"EUR"},'
    '"allowAnonymous":false}'
)
COUPON_REDEMPTION = (
    '{"customerNumber":"C-{n}","orderTotal":{"amount":1090,"currency":"EUR"},"discount":{"amount":5,"currency":"EUR"}}'
)
PROMOTION = json.dumps(
    {
        "Name": "Spring",
        "Status": "Active",
        "Code": "SPRING",
        "AllowedUsageCount": 500,
        "CurrencyCode": "SEK",
        "StartDate": "2030-03-01T00:00:00Z",
        "EndDate": "2030-06-01T00:00:00Z",
        "Requirements": [{"RequirementType": "BasketTotal", "OrderSum": 100 * number} for number in range(1, 6)],
        "Effects": [{"EffectType": "DiscountBasket", "IsDiscount": True, "Value": number} for number in range(1, 6)],
        "Cultures": [
            {"CultureCode": culture, "Name": f"Spring in {culture}", "Description": "Everything that is green."}
            for culture in ("sv-SE", "nb-NO", "da-DK", "fi-FI", "de-DE", "nl-NL", "fr-FR", "en-GB", "pl-PL", "it-IT")
        ],
    }
)
PROMOTIONS = "/commerce/management/1.0/api/promotion"


def gift_cards(org: str) -> str:
    return f"/promotions/org/{org}/sales-vouchers/gift-cards"


def new_card(server: Server, org: str, card: str = CARD) -> str:
    """Create a gift card. Returns its path."""
    with Client(server.port) as client:
        created = client.expect("POST", gift_cards(org), card.replace("{n}", f"first-{time.time_ns()}"))
    return f"{gift_cards(org)}/{json.loads(created)['id']}"


def forget(server: Server, org: str) -> None:
    """Delete the org, so that the documents of one run do not slow the next."""
    with Client(server.port) as client:
        client.expect("DELETE", f"/__admin/orgs/{org}")


def get(server: Server, org: str) -> Request:
    return Request("GET", new_card(server, org))


def post(_server: Server, org: str) -> Request:
    return Request("POST", gift_cards(org), CARD, 201)


def rejected(_server: Server, org: str) -> Request:
    return Request("POST", gift_cards(org), WRONG_CARD, 400)


def redeem(server: Server, org: str) -> Request:
    return Request("POST", new_card(server, org, RICH_CARD) + "/redemptions", REDEMPTION, 201)


def points(_server: Server, org: str) -> Request:
    return Request("POST", f"/~{org}/reward-points/customer/C1/addPoints", POINTS, 201)


def coupon(server: Server, org: str) -> Request:
    coupons = f"/~{org}/coupon/acme/coupons"
    with Client(server.port) as client:
        client.expect("POST", coupons, COUPON)
    return Request("POST", f"{coupons}/BENCH/redemptions", COUPON_REDEMPTION, 201)


def promotion(server: Server, org: str) -> Request:
    with Client(server.port) as client:
        inserted = client.expect("POST", f"/~{org}{PROMOTIONS}", PROMOTION)
    return Request("GET", f"/~{org}{PROMOTIONS}/{json.loads(inserted)['Id']}")


@dataclass(frozen=True)
class Scenario:
    """Our request, the floor's request, and the target for the ratio of their rates (None: there is no target)."""

    name: str
    ours: Callable[[Server, str], Request]
    floor: Request
    target: float | None


FLOOR_GET = Request("GET", gift_cards("floor") + "/7f1c2a9e-5b7d-4c1e-9a53-0d9a4c1b2e3f")
FLOOR_POST = Request("POST", gift_cards("floor"), CARD, 201)
SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("get", get, FLOOR_GET, 1.1),
        Scenario("post", post, FLOOR_POST, 0.9),
        Scenario("rejected", rejected, Request("POST", gift_cards("floor"), WRONG_CARD, 201), 0.8),
        Scenario("redeem", redeem, Request("POST", gift_cards("floor"), REDEMPTION, 201), None),
        Scenario("points", points, Request("POST", gift_cards("floor"), POINTS, 201), 0.7),
        Scenario("coupon", coupon, Request("POST", gift_cards("floor"), COUPON_REDEMPTION, 201), 0.7),
        Scenario("promotion", promotion, FLOOR_GET, 0.7),
    )
}
