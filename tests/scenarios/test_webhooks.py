"""What a subscriber hears in the bundled scenarios of webhooks, at a real receiver, and how it comes through."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.receiving import Received, Receiver
from tests.scenarios.staging import cards, shows, spend
from tests.serving import Json, World

SHOP = "https://shop.example/"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def lead_to(world: World, receiver: Receiver) -> None:
    """Have what goes to the shop go to the receiver."""
    body = {"rewrites": [{"from": SHOP, "to": receiver.url}]}
    assert world.admin("PUT", "/webhooks/rewrites", body).status_code == 200


def redeem(world: World, *values: float) -> None:
    """A redemption each second."""
    for value in values:
        world.advance("PT1S")
        assert spend(world, value, f"order {value}").status_code == 201


class Shop:
    """A subscriber that keeps of each card what is newest, and refuses what it cannot read."""

    def __init__(self) -> None:
        self.cards: dict[str, Json] = {}
        self.refused = 0
        self.seen: list[float] = []

    def hears(self, received: Received) -> None:
        try:
            (card,) = received.json["items"]
            value, used = card["current_balance"]["value"], card["last_used_date_and_time"]
        except (ValueError, KeyError, TypeError):
            self.refused += 1
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


@shows("enfore/webhook-twice-and-out-of-order")
def test_a_subscriber_who_keeps_the_newest_survives_a_duplicate_and_a_late_event(
    world: World, receiver: Receiver
) -> None:
    lead_to(world, receiver)

    redeem(world, 20, 5)

    shop = heard(receiver, 3)
    assert shop.seen == [25, 30, 25]
    assert shop.cards["gc-1"] == world.request("GET", cards(world, "gc-1")).json()


@shows("enfore/webhook-late-and-lost")
def test_what_is_late_replaces_nothing_and_what_is_lost_is_asked_for(world: World, receiver: Receiver) -> None:
    lead_to(world, receiver)

    redeem(world, 20, 5)
    assert receiver.received == []
    redeem(world, 1)
    receiver.wait(1)
    world.advance("PT30S")

    shop = heard(receiver, 2)
    assert shop.seen == [24, 30]
    assert shop.cards["gc-1"]["current_balance"]["value"] == 24


@shows("enfore/webhook-broken")
def test_a_subscriber_refuses_what_it_cannot_read_and_goes_on(world: World, receiver: Receiver) -> None:
    lead_to(world, receiver)

    redeem(world, 20, 5, 1)

    shop = heard(receiver, 3)
    assert (shop.refused, shop.seen) == (2, [24])


@shows("enfore/webhook-retried")
def test_the_same_event_comes_again_until_its_answer_arrives(world: World, receiver: Receiver) -> None:
    lead_to(world, receiver)
    redeem(world, 20)
    receiver.wait(1)
    redeem(world, 5)

    world.advance("PT10S")

    shop = heard(receiver, 5)
    assert shop.seen == [30, 30, 30, 30, 25]
    assert shop.cards["gc-1"]["current_balance"]["value"] == 25
