"""Shared by the tests of webhooks: an org with a subscriber, cards that change, and the deliveries."""

from __future__ import annotations

from tests.serving import Json, OrgClient
from tests.vendors.enfore_support import NOW, cards, eur, new_card, path

SINK = "https://sink.sandbox/anything"
EVENT = "gift-card-changed"


def subscribe(org_client: OrgClient, url: str = SINK, kind: str = "gift-card-subscriptions") -> str:
    """Subscribe and return the subscription's id."""
    response = org_client.request("POST", path(org_client, "sales-vouchers", kind), {"callback_url": url})
    assert response.status_code == 201, response.text
    return str(response.json()["id"])


def unsubscribe(org_client: OrgClient, id: str) -> None:
    path_ = path(org_client, "sales-vouchers/gift-card-subscriptions", id)
    assert org_client.request("DELETE", path_).status_code == 204


def sell(org_client: OrgClient, number: str = "X-1", **members: Json) -> str:
    """Create a card, which sends an event. Return its id."""
    response = org_client.request("POST", cards(org_client), new_card(external_number=number, **members))
    assert response.status_code == 201, response.text
    return str(response.json()["id"])


def redeem(org_client: OrgClient, card: str, value: float = 10) -> None:
    body = {"redeemed_amount": eur(value), "external_reference": "till-1"}
    assert org_client.request("POST", cards(org_client, card, "redemptions"), body).status_code == 201


def frozen(org_client: OrgClient) -> OrgClient:
    org_client.freeze(NOW)
    return org_client


def arm(org_client: OrgClient, webhook: Json, times: int = 1, **target: Json) -> None:
    body = {**(target or {"callback": EVENT}), "then": {"webhook": webhook}, "times": times}
    response = org_client.admin("POST", "/next", body)
    assert response.status_code == 200, response.text


def webhooks(org_client: OrgClient, query: str = "") -> list[Json]:
    response = org_client.admin("GET", f"/webhooks{query}")
    assert response.status_code == 200, response.text
    found: list[Json] = response.json()["webhooks"]
    return found


def statuses(org_client: OrgClient) -> list[str]:
    return [webhook["status"] for webhook in webhooks(org_client)]


def card_of(webhook: Json) -> Json:
    """The card in an event's payload."""
    return webhook["payload"]["items"][0]


def numbers(org_client: OrgClient, query: str = "") -> list[str]:
    """The external numbers of the delivered cards, in the order of the first attempts."""
    found = [webhook for webhook in webhooks(org_client, query) if webhook["attempts"]]
    return [card_of(webhook)["external_number"] for webhook in sorted(found, key=lambda it: it["attempts"][0]["at"])]
