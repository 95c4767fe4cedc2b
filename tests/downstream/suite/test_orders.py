"""Orders with all three vendors, on good days and on bad ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from promo_sandbox.client import Org

CARD = {"id": "gc-1", "name": "Xmas", "external_number": "X-1", "current_balance": {"unit": "EUR", "value": 50}}
COUPON = {
    "code": "WELCOME",
    "name": "Welcome",
    "discountType": "ABSOLUTE",
    "discountAbsolute": {"amount": 5, "currency": "EUR"},
    "maxRedemptions": 1,
}
PROMOTION = {"Id": 100, "Name": "Spring", "Status": "Active"}
CODES = [{"promotion": 100, "DiscountCode": "SPRING-1"}, {"promotion": 100, "DiscountCode": "SPRING-2"}]
ORDER = {"number": "O-1", "total": 20, "card": "gc-1", "customer": "C1"}
CLAIM = {"promotion": 100, "code": "SPRING-1", "code_worth": 3}
WITH_ALL = {**ORDER, **CLAIM, "coupon": "WELCOME", "coupon_worth": 5}

pytestmark = pytest.mark.sandbox(
    clock="2030-01-01T12:00:00Z",
    seed={
        "enfore": {"gift_cards": [CARD]},
        "emporix": {"coupons": [COUPON]},
        "norce": {"promotions": [PROMOTION], "unique_codes": CODES},
    },
)


def balance(sandbox: Org) -> object:
    [card] = sandbox.state()["documents"]["enfore"]["gift_cards"]
    return card["document"]["current_balance"]["value"]


def test_an_order_is_paid_with_everything(shop: TestClient, sandbox: Org) -> None:
    reply = shop.post("/orders", json=WITH_ALL)

    assert reply.json() == {"number": "O-1", "paid": 12, "points": "booked"}
    assert balance(sandbox) == 38
    assert sandbox.count(operation="addPoints", body={"points": 12}) == 1
    assert sandbox.coverage()["totals"]["operations"]["covered"] >= 6


def test_a_coupon_is_taken_once(shop: TestClient) -> None:
    first = shop.post("/orders", json=WITH_ALL).status_code
    second = shop.post("/orders", json={**WITH_ALL, "number": "O-2", "code": "SPRING-2"})

    assert (first, second.status_code, second.json()) == (201, 409, {"sorry": "This coupon cannot be used."})


def test_a_code_is_claimed_once(shop: TestClient) -> None:
    replies = [shop.post("/orders", json={**ORDER, "number": number, **CLAIM}) for number in ("O-1", "O-2")]

    assert [reply.status_code for reply in replies] == [201, 409]


@pytest.mark.parametrize("total", [51, 50.01])
def test_a_card_pays_no_more_than_it_holds(shop: TestClient, sandbox: Org, total: float) -> None:
    reply = shop.post("/orders", json={**ORDER, "total": total})

    assert reply.json() == {"sorry": "There is too little on this gift card."}
    assert sandbox.count(operation="recordGiftCardRedemption") == 0


def test_a_promotion_that_was_stopped_has_ended(shop: TestClient, sandbox: Org) -> None:
    sandbox.seed(norce={"promotions": [{**PROMOTION, "Status": "Inactive"}]})

    assert shop.post("/orders", json=WITH_ALL).json() == {"sorry": "This promotion has ended."}


def test_an_expired_card_is_not_valid(shop: TestClient, sandbox: Org) -> None:
    sandbox.seed(enfore={"gift_cards": [{**CARD, "expiration_date_and_time": "2030-01-02T00:00:00Z"}]})
    sandbox.clock.advance("P1D")

    assert shop.post("/orders", json=ORDER).json() == {"sorry": "This gift card is not valid."}
    assert [event["payload"]["items"][0]["status"] for event in sandbox.events("gift-card-changed")][-1] == "EXPIRED"


@pytest.mark.parametrize("cut", ["before", "after", "midway"])
def test_a_lost_reply_costs_the_customer_nothing(shop: TestClient, sandbox: Org, cut: str) -> None:
    sandbox.next("recordGiftCardRedemption", {"cut": cut})

    reply = shop.post("/orders", json=ORDER)

    assert reply.status_code == 201
    assert balance(sandbox) == 30


def test_an_order_does_not_fail_for_its_points(shop: TestClient, sandbox: Org) -> None:
    sandbox.next("addPoints", {"reply": {"status": 503, "off_contract": True}})

    assert shop.post("/orders", json=ORDER).json()["points"] == "later"


@pytest.mark.parametrize("patience", [1.0])
def test_a_vendor_that_is_too_slow_is_lost(shop: TestClient, sandbox: Org) -> None:
    sandbox.next("getGiftCard", {"delay": "30s"})

    assert shop.post("/orders", json=ORDER).status_code == 503


@pytest.mark.sandbox(scenario="enfore/lost-reply", clock=None, seed=None, allow="unmet")
def test_the_bundled_lost_reply_is_survived(shop: TestClient, sandbox: Org) -> None:
    reply = shop.post("/orders", json=ORDER)

    assert reply.status_code == 201
    assert sandbox.scenario_progress()["steps"][0]["taken"] == 1
    assert balance(sandbox) == 30


STAGED = {
    "summary": "The card is asked for, and its redemption rejected at the last moment.",
    "steps": [
        {"operation": "getGiftCard"},
        {"operation": "recordGiftCardRedemption", "then": {"reject": "amount-exceeds-balance"}},
    ],
    "otherwise": "fail",
}


@pytest.mark.sandbox(scenario=STAGED)
def test_a_rejection_at_the_last_moment_is_shown_to_the_customer(shop: TestClient) -> None:
    assert shop.post("/orders", json=ORDER).json() == {"sorry": "The amount exceeds the balance"}


def test_a_token_of_the_sandbox_is_held_to_its_time(sandbox: Org, shop: TestClient) -> None:
    token = sandbox.token("enfore", expires_in=60)
    card = f"{sandbox.url('enfore', 'promotions')}/org/shop/sales-vouchers/gift-cards/gc-1"
    sandbox.clock.advance("PT61S")

    reply = shop.app.state.checkout._http.get(card, headers={"Authorization": f"Bearer {token}"})  # noqa: SLF001 - its connection

    assert reply.status_code == 403
    assert sandbox.requests(limit=1)[0]["rejection"] == "expired-credentials"


def test_what_runs_is_what_was_installed(sandbox: Org) -> None:
    import promo_sandbox as package  # noqa: PLC0415 - the fixture has its name

    assert "site-packages" in Path(package.__file__).parts
    assert sandbox.requests() == []
