"""A subscriber with a real receiver that handles the bundled scenarios of webhooks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.receiving import Received, Receiver
from tests.scenarios.staging import cards, for_scenario, spend
from tests.serving import Json, OrgClient

SHOP = "https://shop.example/"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def lead_to(org_client: OrgClient, receiver: Receiver) -> None:
    """Send the shop's callbacks to the receiver."""
    body = {"rewrites": [{"from": SHOP, "to": receiver.url}]}
    assert org_client.admin("PUT", "/webhooks/rewrites", body).status_code == 200


def redeem(org_client: OrgClient, *values: float) -> None:
    """One redemption for each second."""
    for value in values:
        org_client.advance("PT1S")
        assert spend(org_client, value, f"order {value}").status_code == 201


class Shop:
    """A subscriber that keeps the newest version of each card, and rejects unreadable events."""

    def __init__(self) -> None:
        self.cards: dict[str, Json] = {}
        self.rejected = 0
        self.seen: list[float] = []

    def hears(self, received: Received) -> None:
        try:
            (card,) = received.json["items"]
            value, used = card["current_balance"]["value"], card["last_used_date_and_time"]
        except (ValueError, KeyError, TypeError):
            self.rejected += 1
            return
        self.seen.append(value)
        known = self.cards.get(card["id"])
        if known is None or known["last_used_date_and_time"] < used:
            self.cards[card["id"]] = card


def heard(receiver: Receiver, count: int) -> Shop:
    shop = Shop()
    for received in receiver.wait(count):
        shop.hears(received)
    return shop


@for_scenario("enfore/webhook-twice-and-out-of-order")
def test_a_subscriber_that_keeps_the_newest_version_handles_duplicate_and_late_events(
    org_client: OrgClient, receiver: Receiver
) -> None:
    lead_to(org_client, receiver)

    redeem(org_client, 20, 5)

    shop = heard(receiver, 3)
    assert shop.seen == [25, 30, 25]
    assert shop.cards["gc-1"] == org_client.request("GET", cards(org_client, "gc-1")).json()


@for_scenario("enfore/webhook-late-and-lost")
def test_a_late_event_replaces_nothing_and_a_lost_one_is_fetched(org_client: OrgClient, receiver: Receiver) -> None:
    lead_to(org_client, receiver)

    redeem(org_client, 20, 5)
    assert receiver.received == []
    redeem(org_client, 1)
    receiver.wait(1)
    org_client.advance("PT30S")

    shop = heard(receiver, 2)
    assert shop.seen == [24, 30]
    assert shop.cards["gc-1"]["current_balance"]["value"] == 24


@for_scenario("enfore/webhook-broken")
def test_a_subscriber_rejects_an_unreadable_event_and_continues(org_client: OrgClient, receiver: Receiver) -> None:
    lead_to(org_client, receiver)

    redeem(org_client, 20, 5, 1)

    shop = heard(receiver, 3)
    assert (shop.rejected, shop.seen) == (2, [24])


@for_scenario("enfore/webhook-retried")
def test_an_event_is_sent_again_until_its_answer_arrives(org_client: OrgClient, receiver: Receiver) -> None:
    lead_to(org_client, receiver)
    redeem(org_client, 20)
    receiver.wait(1)
    redeem(org_client, 5)

    org_client.advance("PT10S")

    shop = heard(receiver, 5)
    assert shop.seen == [30, 30, 30, 30, 25]
    assert shop.cards["gc-1"]["current_balance"]["value"] == 25
