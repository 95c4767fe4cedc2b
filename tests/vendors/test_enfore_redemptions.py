"""Redeeming gift cards of enfore: what a redemption does, when it is rejected, how redemptions are listed and read."""

from __future__ import annotations

import asyncio

import httpx2
import pytest

from tests.patience import LONG
from tests.serving import Json, OrgClient
from tests.vendors.enfore_support import (
    NOW,
    PAST,
    SOON,
    activate,
    assert_rejected,
    cards,
    eur,
    get_card,
    ids,
    internal_card,
    notified,
    problem,
    redeem,
    seed_card,
    unchanged,
)


@pytest.fixture(autouse=True)
def _frozen(org_client: OrgClient) -> None:
    org_client.freeze(NOW)


def internal_redemption(**members: Json) -> Json:
    return {"redeemed_amount": eur(1), "invoices": ["inv-1", "inv-2"], **members}


# What a redemption does


def test_a_redemption_is_answered_without_a_type(org_client: OrgClient) -> None:
    card = seed_card(org_client)

    response = redeem(org_client, card, 19.5)

    assert response.status_code == 201
    assert response.json() == {
        "id": response.json()["id"],
        "transaction_date_and_time": NOW,
        "redeemed_amount": eur(19.5),
        "external_reference": "order 1",
    }


def test_a_redemption_is_read_with_its_type(org_client: OrgClient) -> None:
    card = seed_card(org_client)
    redemption = redeem(org_client, card, 19.5).json()

    response = org_client.request("GET", cards(org_client, card, "redemptions", redemption["id"]))

    assert (response.status_code, response.json()) == (200, {**redemption, "@type": "ExternalGiftCardRedemption"})


def test_a_redemption_leaves_the_card_partially_redeemed(org_client: OrgClient) -> None:
    card = seed_card(org_client)

    redeem(org_client, card, 20)

    found = get_card(org_client, card)
    assert (found["status"], found["current_balance"]) == ("PARTIALLY_REDEEMED", eur(30))


def test_a_redemption_of_all_that_is_left_leaves_the_card_redeemed(org_client: OrgClient) -> None:
    card = seed_card(org_client)
    redeem(org_client, card, 20)

    redeem(org_client, card, 30)

    found = get_card(org_client, card)
    assert (found["status"], found["current_balance"]) == ("REDEEMED", eur(0))


def test_a_card_was_last_used_when_its_last_redemption_was_made(org_client: OrgClient) -> None:
    card = seed_card(org_client)
    redeem(org_client, card, 1)
    org_client.advance("PT1H")

    redemption = redeem(org_client, card, 1).json()

    last_used = get_card(org_client, card)["last_used_date_and_time"]
    assert last_used == redemption["transaction_date_and_time"] == "2030-01-01T13:00:00.000Z"


def test_the_initial_balance_is_not_touched_by_a_redemption(org_client: OrgClient) -> None:
    card = seed_card(org_client, initial_balance=eur(80))

    redeem(org_client, card, 50)

    assert get_card(org_client, card)["initial_balance"] == eur(80)


def test_subscribers_are_notified_of_the_redeemed_card_as_it_is_now(org_client: OrgClient) -> None:
    card = seed_card(org_client)

    redeem(org_client, card, 20)

    assert notified(org_client, "gift-card-changed")[-1] == get_card(org_client, card)
    assert len(notified(org_client, "gift-card-changed")) == 2  # the seed and the redemption


@pytest.mark.parametrize("status", ["ISSUED", "PARTIALLY_REDEEMED"])
@pytest.mark.parametrize("kind", ["InternalGiftCard", "ExternalGiftCard"])
def test_cards_of_both_types_can_pay(org_client: OrgClient, kind: str, status: str) -> None:
    if kind == "InternalGiftCard":
        org_client.seed("enfore", gift_cards=[internal_card(id="gc-1", status=status)])
    else:
        seed_card(org_client, id="gc-1", status=status)

    assert redeem(org_client, "gc-1", 1).status_code == 201
    found = get_card(org_client, "gc-1")
    assert (found["@type"], found["current_balance"]) == (kind, eur(49))


def test_the_same_external_reference_spends_twice(org_client: OrgClient) -> None:
    card = seed_card(org_client)

    first, second = redeem(org_client, card, 10), redeem(org_client, card, 10)

    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json()["id"] != second.json()["id"]
    assert get_card(org_client, card)["current_balance"] == eur(30)


def test_members_of_a_redemption_that_the_vendor_assigns_are_ignored(org_client: OrgClient) -> None:
    card = seed_card(org_client)
    sent = {"id": "mine", "transaction_date_and_time": PAST, "@type": "InternalGiftCardRedemption", "gift_card_id": "x"}

    response = org_client.request(
        "POST",
        cards(org_client, card, "redemptions"),
        {"redeemed_amount": eur(1), "external_reference": "r", "invoices": ["i"], **sent},
    )

    found = response.json()
    assert (response.status_code, found["transaction_date_and_time"]) == (201, NOW)
    assert found["id"] != "mine"
    assert found.keys() == {"id", "transaction_date_and_time", "redeemed_amount", "external_reference"}
    assert get_card(org_client, card)["current_balance"] == eur(49)


@pytest.mark.parametrize("length", [1, 256])
def test_an_external_reference_has_one_to_256_characters(org_client: OrgClient, length: int) -> None:
    card = seed_card(org_client)

    assert redeem(org_client, card, 1, reference="ü" * length).status_code == 201


# When it is rejected


@pytest.mark.parametrize(
    ("value", "unit", "name"),
    [
        (1, "CHF", "currency-mismatch"),
        (0, "EUR", "amount-not-positive"),
        (-1, "EUR", "amount-not-positive"),
        (-0.000001, "EUR", "amount-not-positive"),
        (50.000001, "EUR", "amount-exceeds-balance"),
        (9_000_000_000_000, "EUR", "amount-exceeds-balance"),
    ],
)
def test_a_card_cannot_pay_this_amount(org_client: OrgClient, value: float, unit: str, name: str) -> None:
    card = seed_card(org_client)

    with unchanged(org_client):
        response = redeem(org_client, card, value, unit)

    body = assert_rejected(org_client, response, 422, name)
    assert body["on_resource"] == org_client.url + cards(org_client, card)


@pytest.mark.parametrize(
    ("status", "name"),
    [
        ("REDEEMED", "gift-card-redeemed"),
        ("EXPIRED", "gift-card-expired"),
        ("CANCELED", "gift-card-canceled"),
        ("DEACTIVATED", "gift-card-deactivated"),
    ],
)
def test_a_card_of_this_status_cannot_pay(org_client: OrgClient, status: str, name: str) -> None:
    card = seed_card(org_client, status=status)

    with unchanged(org_client):
        response = redeem(org_client, card, 1)

    assert_rejected(org_client, response, 422, name)


def test_a_card_cannot_pay_from_the_moment_it_expires(org_client: OrgClient) -> None:
    card = seed_card(org_client, expiration_date_and_time="2030-01-01T12:00:01Z")
    assert redeem(org_client, card, 1).status_code == 201
    org_client.advance("PT1S")

    with unchanged(org_client):
        response = redeem(org_client, card, 1)

    assert_rejected(org_client, response, 422, "gift-card-expired")


def test_a_card_cannot_pay_while_it_is_deactivated_and_can_again_after(org_client: OrgClient) -> None:
    card = seed_card(org_client)
    activate(org_client, card, "DEACTIVATED")
    assert_rejected(org_client, redeem(org_client, card, 1), 422, "gift-card-deactivated")

    activate(org_client, card)

    assert redeem(org_client, card, 1).status_code == 201


def test_redeeming_an_unknown_card_is_422_for_lack_of_a_404(org_client: OrgClient) -> None:
    seed_card(org_client)

    with unchanged(org_client):
        response = redeem(org_client, "nowhere", 1)

    assert_rejected(org_client, response, 422, "unknown-gift-card")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"external_reference": "r"},
        {"redeemed_amount": eur(1)},
        {"redeemed_amount": 1, "external_reference": "r"},
        {"redeemed_amount": {"value": 1}, "external_reference": "r"},
        {"redeemed_amount": {"unit": "EUR", "value": "1"}, "external_reference": "r"},
        {"redeemed_amount": {"unit": "XXX", "value": 1}, "external_reference": "r"},
        {"redeemed_amount": eur(0.0000001), "external_reference": "r"},
        {"redeemed_amount": eur(1), "external_reference": ""},
        {"redeemed_amount": eur(1), "external_reference": "r" * 257},
        {"redeemed_amount": eur(1), "external_reference": None},
        [],
    ],
)
@pytest.mark.parametrize("card", ["gc-1", "nowhere"])
def test_a_redemption_of_the_wrong_form_is_invalid_before_the_card_is_looked_for(
    org_client: OrgClient, card: str, body: Json
) -> None:
    seed_card(org_client, id="gc-1")

    with unchanged(org_client):
        response = org_client.request("POST", cards(org_client, card, "redemptions"), body)

    assert_rejected(org_client, response, 400, "invalid-request")


# Reading and listing


def test_an_internal_redemption_is_seeded_and_read_with_its_invoices(org_client: OrgClient) -> None:
    card = seed_card(org_client)
    given = internal_redemption(id="r-1", gift_card_id=card, transaction_date_and_time=PAST)
    org_client.seed("enfore", gift_card_redemptions=[given])

    response = org_client.request("GET", cards(org_client, card, "redemptions/r-1"))

    assert response.json() == {
        "id": "r-1",
        "transaction_date_and_time": PAST,
        "redeemed_amount": eur(1),
        "invoices": ["inv-1", "inv-2"],
        "@type": "InternalGiftCardRedemption",
    }


def test_a_redemption_is_not_found_under_another_card(org_client: OrgClient) -> None:
    card, other = seed_card(org_client), seed_card(org_client, external_number="X-2")
    redemption = redeem(org_client, card, 1).json()["id"]

    response = org_client.request("GET", cards(org_client, other, "redemptions", redemption))

    body = assert_rejected(org_client, response, 404, "unknown-redemption")
    assert body["on_resource"] == org_client.url + cards(org_client, other)


def test_a_redemption_under_an_unknown_card_is_not_found(org_client: OrgClient) -> None:
    redemption = redeem(org_client, seed_card(org_client), 1).json()["id"]

    response = org_client.request("GET", cards(org_client, "nowhere/redemptions", redemption))

    assert_rejected(org_client, response, 404, "unknown-gift-card")


def test_the_redemptions_of_an_unknown_card_are_400_for_lack_of_a_404(org_client: OrgClient) -> None:
    response = org_client.request("GET", cards(org_client, "nowhere/redemptions"))

    assert_rejected(org_client, response, 400, "unknown-gift-card")


def test_redemptions_of_both_types_are_listed_oldest_first(org_client: OrgClient) -> None:
    card = seed_card(org_client)
    now = redeem(org_client, card, 1).json()["id"]
    org_client.seed(
        "enfore",
        gift_card_redemptions=[
            internal_redemption(id="future", gift_card_id=card, transaction_date_and_time=SOON),
            internal_redemption(id="past", gift_card_id=card, transaction_date_and_time=PAST),
        ],
    )

    response = org_client.request("GET", cards(org_client, card, "redemptions"))

    assert ids(response) == ["past", now, "future"]
    types = [item["@type"] for item in response.json()["items"]]
    assert types == ["InternalGiftCardRedemption", "ExternalGiftCardRedemption", "InternalGiftCardRedemption"]
    assert response.json()["problems"] == []


def test_redemptions_of_one_moment_are_listed_as_they_were_made(org_client: OrgClient) -> None:
    card = seed_card(org_client)
    made = [redeem(org_client, card, 1).json()["id"] for _ in range(5)]

    assert ids(org_client.request("GET", cards(org_client, card, "redemptions"))) == made


def test_a_list_has_the_redemptions_of_its_card_only(org_client: OrgClient) -> None:
    card, other = seed_card(org_client), seed_card(org_client, external_number="X-2")
    redeem(org_client, card, 1)

    assert ids(org_client.request("GET", cards(org_client, other, "redemptions"))) == []


def test_the_list_of_redemptions_knows_no_interval(org_client: OrgClient) -> None:
    card = seed_card(org_client)
    made = redeem(org_client, card, 1).json()["id"]

    assert ids(org_client.request("GET", f"{cards(org_client, card, 'redemptions')}?from=tomorrow&to=never")) == [made]


def test_a_page_of_redemptions_counts_problems_too(org_client: OrgClient) -> None:
    card = seed_card(org_client)
    for at, id in ((PAST, "r-1"), (SOON, "r-2")):
        redemption = internal_redemption(id=id, gift_card_id=card, transaction_date_and_time=at)
        org_client.seed("enfore", gift_card_redemptions=[redemption])
    org_client.seed("enfore", problems=[problem("gift_card_redemptions", NOW, gift_card_id=card)])
    path = cards(org_client, card, "redemptions")

    pages = [org_client.request("GET", f"{path}?limit=1&offset={offset}").json() for offset in range(4)]

    assert [[item["id"] for item in page["items"]] for page in pages] == [["r-1"], [], ["r-2"], []]
    assert [[found["detail"] for found in page["problems"]] for page in pages] == [[], [NOW], [], []]


# Many at once


def test_of_64_clients_that_redeem_the_last_euro_at_once_exactly_one_succeeds(org_client: OrgClient) -> None:
    card = seed_card(org_client, current_balance=eur(1))
    target = org_client.url + cards(org_client, card, "redemptions")

    async def redeem_at_once() -> list[int]:
        limits = httpx2.Limits(max_connections=64)
        async with httpx2.AsyncClient(limits=limits, timeout=LONG, headers={"Authorization": "Bearer any"}) as client:
            body = {"redeemed_amount": eur(1), "external_reference": "last"}
            responses = await asyncio.gather(*(client.post(target, json=body) for _ in range(64)))
        return [response.status_code for response in responses]

    statuses = asyncio.run(redeem_at_once())

    assert sorted(statuses) == [201] + [422] * 63
    found = get_card(org_client, card)
    assert (found["status"], found["current_balance"]) == ("REDEEMED", eur(0))
    assert len(ids(org_client.request("GET", cards(org_client, card, "redemptions")))) == 1
    assert len(notified(org_client, "gift-card-changed")) == 2  # the seed and the one redemption
