"""Shared by the tests of webhooks: an org with a subscriber, cards that change, and the deliveries."""

from __future__ import annotations

from tests.serving import Json, World
from tests.vendors.enfore_support import NOW, cards, eur, new_card, path

SINK = "https://sink.sandbox/anything"
EVENT = "gift-card-changed"


def subscribe(world: World, url: str = SINK, kind: str = "gift-card-subscriptions") -> str:
    """Subscribe and return the subscription's id."""
    response = world.request("POST", path(world, "sales-vouchers", kind), {"callback_url": url})
    assert response.status_code == 201, response.text
    return str(response.json()["id"])


def unsubscribe(world: World, id: str) -> None:
    path_ = path(world, "sales-vouchers/gift-card-subscriptions", id)
    assert world.request("DELETE", path_).status_code == 204


def sell(world: World, number: str = "X-1", **members: Json) -> str:
    """Create a card, which sends an event. Return its id."""
    response = world.request("POST", cards(world), new_card(external_number=number, **members))
    assert response.status_code == 201, response.text
    return str(response.json()["id"])


def redeem(world: World, card: str, value: float = 10) -> None:
    body = {"redeemed_amount": eur(value), "external_reference": "till-1"}
    assert world.request("POST", cards(world, card, "redemptions"), body).status_code == 201


def frozen(world: World) -> World:
    world.freeze(NOW)
    return world


def arm(world: World, webhook: Json, times: int = 1, **target: Json) -> None:
    body = {**(target or {"callback": EVENT}), "then": {"webhook": webhook}, "times": times}
    response = world.admin("POST", "/next", body)
    assert response.status_code == 200, response.text


def webhooks(world: World, query: str = "") -> list[Json]:
    response = world.admin("GET", f"/webhooks{query}")
    assert response.status_code == 200, response.text
    found: list[Json] = response.json()["webhooks"]
    return found


def statuses(world: World) -> list[str]:
    return [webhook["status"] for webhook in webhooks(world)]


def card_of(webhook: Json) -> Json:
    """The card in an event's payload."""
    return webhook["payload"]["items"][0]


def numbers(world: World, query: str = "") -> list[str]:
    """The external numbers of the delivered cards, in the order of the first attempts."""
    found = [webhook for webhook in webhooks(world, query) if webhook["attempts"]]
    return [card_of(webhook)["external_number"] for webhook in sorted(found, key=lambda it: it["attempts"][0]["at"])]
