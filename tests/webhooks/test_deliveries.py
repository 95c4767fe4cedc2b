"""Deliveries to the sink, which needs no receiver: subscribers, order, retries and the end of deliveries."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.serving import World
from tests.vendors.enfore_support import NOW, SOON, cards, category_voucher, internal_card, path, product_voucher
from tests.webhooks.support import (
    EVENT,
    SINK,
    arm,
    card_of,
    frozen,
    redeem,
    sell,
    statuses,
    subscribe,
    unsubscribe,
    webhooks,
)

VOUCHERS = {
    "gift_cards": internal_card,
    "product_vouchers": product_voucher,
    "category_vouchers": category_voucher,
}


def test_a_new_card_is_delivered_to_each_subscriber(world: World) -> None:
    subscription = subscribe(frozen(world))
    card = sell(world)

    (delivery,) = webhooks(world)

    assert delivery["status"] == "delivered"
    assert delivery["subscription"] == subscription
    assert (delivery["event"], delivery["url"], delivery["at"]) == (EVENT, SINK, NOW)
    assert card_of(delivery)["id"] == card
    assert delivery["attempts"] == [{"at": NOW, "status": 202, "milliseconds": 0, "body": None, "error": None}]
    assert delivery["cause"] == str(world.last()["id"])


def test_without_a_subscriber_nothing_is_delivered(world: World) -> None:
    sell(world)

    assert webhooks(world) == []


@pytest.mark.parametrize("kind", ["gift-card-subscriptions", "gift-cards/subscriptions"])
def test_the_present_and_the_deprecated_path_subscribe_alike(world: World, kind: str) -> None:
    subscribe(world, kind=kind)

    sell(world)

    assert statuses(world) == ["delivered"]


@pytest.mark.parametrize(
    ("kind", "collection", "event"),
    [
        ("gift-card-subscriptions", "gift_cards", "gift-card-changed"),
        ("product-voucher-subscriptions", "product_vouchers", "product-voucher-changed"),
        ("category-voucher-subscriptions", "category_vouchers", "category-voucher-changed"),
    ],
)
def test_each_kind_of_voucher_has_its_subscribers(world: World, kind: str, collection: str, event: str) -> None:
    for each in ("gift-card", "product-voucher", "category-voucher"):
        subscribe(world, f"https://sink.sandbox/{each}", f"{each}-subscriptions")

    world.seed("enfore", **{collection: [VOUCHERS[collection]()]})

    (delivery,) = webhooks(world)
    assert delivery["event"] == event
    assert delivery["url"] == f"https://sink.sandbox/{kind.removesuffix('-subscriptions')}"


def test_a_redemption_a_deactivation_and_an_expiry_are_delivered_in_order(world: World) -> None:
    subscribe(frozen(world))
    card = sell(world, expiration_date_and_time=SOON)
    redeem(world, card)
    world.request("PUT", cards(world, card, "activation-status"), raw=b'"DEACTIVATED"')
    world.request("PUT", cards(world, card, "activation-status"), raw=b'"ACTIVE"')

    world.advance("P60D")

    found = webhooks(world)
    assert [card_of(it)["status"] for it in found] == [
        "ISSUED", "PARTIALLY_REDEEMED", "DEACTIVATED", "PARTIALLY_REDEEMED", "EXPIRED",
    ]  # fmt: skip
    assert found[-1]["at"] == found[-1]["attempts"][0]["at"] == SOON


def test_two_subscribers_each_get_it(world: World) -> None:
    ids = {subscribe(world, f"{SINK}/{number}") for number in range(2)}

    sell(world)

    assert {delivery["subscription"] for delivery in webhooks(world)} == ids


def test_subscribers_get_only_events_of_their_org(world: World) -> None:
    subscribe(world)
    other = World(world.url, f"{world.org}-other", world.http)

    sell(other)

    assert webhooks(world) == []


def test_a_failed_delivery_is_retried_after_one_second_then_two_then_four(world: World) -> None:
    subscribe(frozen(world))
    arm(world, {"status": 500, "times": 3})
    sell(world)
    assert webhooks(world)[0]["next_attempt"] == "2030-01-01T12:00:01.000Z"

    world.advance("PT10S")

    (delivery,) = webhooks(world)
    assert delivery["status"] == "delivered"
    assert [(it["at"][17:19], it["status"]) for it in delivery["attempts"]] == [
        ("00", 500), ("01", 500), ("03", 500), ("07", 202),
    ]  # fmt: skip


def test_a_frozen_clock_holds_retries(world: World) -> None:
    subscribe(frozen(world))
    arm(world, {"status": 500})
    sell(world)

    found = webhooks(world, "?wait=150ms&status=delivered")

    assert [it["status"] for it in found] == []
    assert statuses(world) == ["waiting"]


def test_retries_grow_no_further_apart_than_an_hour(world: World) -> None:
    subscribe(frozen(world))
    arm(world, {"status": 503, "times": 20})
    sell(world)

    world.advance("P1D")

    attempts = webhooks(world)[0]["attempts"]
    assert [it["at"][11:19] for it in attempts[-2:]] == ["20:08:15", "21:08:15"]


def test_a_retry_and_an_expiry_in_between_happen_in_their_order(world: World) -> None:
    subscribe(frozen(world))
    arm(world, {"status": 500, "times": 3})
    sell(world, "X-1", expiration_date_and_time="2030-01-01T12:00:02.000Z")

    world.advance("PT1M")

    first, second = webhooks(world)
    assert [it["at"][17:19] for it in first["attempts"]] == ["00", "01", "03", "07"]
    assert card_of(second)["status"] == "EXPIRED"
    assert second["at"][17:19] == "02"
    assert second["attempts"][0]["at"][17:19] == "07", "it waits for the one before it"


def test_the_next_event_waits_for_the_one_before_it(world: World) -> None:
    subscribe(frozen(world))
    arm(world, {"status": 500})
    sell(world, "X-1")
    sell(world, "X-2")
    assert statuses(world) == ["waiting", "waiting"]

    world.advance("PT1S")

    assert [it["attempted"] for it in webhooks(world)] == [2, 1]
    assert statuses(world) == ["delivered", "delivered"]


def test_a_subscription_that_waits_keeps_no_other_waiting(world: World) -> None:
    subscribe(frozen(world))
    arm(world, {"status": 500})
    sell(world, "X-1")
    subscribe(world, f"{SINK}/second")

    sell(world, "X-2")

    assert statuses(world) == ["waiting", "waiting", "delivered"]


def test_deleting_the_subscription_ends_its_attempts(world: World) -> None:
    subscription = subscribe(frozen(world))
    arm(world, {"status": 500})
    sell(world, "X-1")
    sell(world, "X-2")

    unsubscribe(world, subscription)
    world.advance("P1D")

    assert statuses(world) == ["canceled", "canceled"]
    assert [it["attempted"] for it in webhooks(world)] == [1, 0]


def test_a_flush_attempts_deliveries_that_a_frozen_clock_holds(world: World) -> None:
    subscribe(frozen(world))
    arm(world, {"status": 500})
    sell(world, "X-1")
    sell(world, "X-2")

    flushed = world.admin("POST", "/webhooks/flush").json()

    assert flushed == {"attempted": 2, "delivered": 2, "waiting": 0}
    assert statuses(world) == ["delivered", "delivered"]


def test_a_flush_of_an_org_without_deliveries_does_nothing(world: World) -> None:
    sell(world)

    assert world.admin("POST", "/webhooks/flush").json() == {"attempted": 0, "delivered": 0, "waiting": 0}


def test_a_delivery_can_be_repeated(world: World) -> None:
    subscribe(world)
    sell(world)

    response = world.admin("POST", "/webhooks/1/redeliver")

    assert response.status_code == 201
    assert (response.json()["id"], response.json()["redelivery_of"]) == (2, 1)
    first, second = webhooks(world)
    assert first["payload"] == second["payload"]
    assert second["status"] == "delivered"


def test_a_delivery_of_a_deleted_subscription_is_not_repeated(world: World) -> None:
    subscription = subscribe(world)
    sell(world)
    unsubscribe(world, subscription)

    response = world.admin("POST", "/webhooks/1/redeliver")

    assert response.status_code == 409
    assert response.json()["title"] == "Subscription gone"


@pytest.mark.parametrize("id", ["7", "x", "9" * 30, "1.0"])
def test_an_unknown_delivery_is_rejected(world: World, id: str) -> None:
    subscribe(world)

    for response in (world.admin("GET", f"/webhooks/{id}"), world.admin("POST", f"/webhooks/{id}/redeliver")):
        assert response.status_code == 404
        assert response.json()["title"] == "Unknown delivery"


def test_deliveries_can_be_waited_for(world: World) -> None:
    subscribe(world)
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(webhooks, world, "?wait=60s&count=2")
        sell(world, "X-1")
        sell(world, "X-2")

        assert len(waiting.result()) == 2


def test_waiting_ends_when_the_time_is_over(world: World) -> None:
    subscribe(world)
    sell(world)
    began = time.monotonic()

    found = webhooks(world, "?wait=100ms&count=2")

    assert len(found) == 1
    assert time.monotonic() - began >= 0.09


@pytest.mark.parametrize("query", ["wait=61", "wait=soon", "wait=-1", "count=0", "status=lost", "limit=0", "since=x"])
def test_an_invalid_query_is_rejected(world: World, query: str) -> None:
    subscribe(world)

    response = world.admin("GET", f"/webhooks?{query}")

    assert response.status_code == 400
    assert query.partition("=")[0] in response.json()["detail"]


def test_deliveries_are_found_by_their_fields(world: World) -> None:
    first = subscribe(frozen(world))
    subscribe(world, "https://elsewhere.example/")
    sell(world, "X-1")
    sell(world, "X-2")

    assert [it["id"] for it in webhooks(world, f"?subscription={first}")] == [1, 3]
    assert [it["id"] for it in webhooks(world, "?status=not_allowed&wait=60s&count=2")] == [2, 4]
    assert [it["id"] for it in webhooks(world, "?since=2&limit=1")] == [3]
    assert webhooks(world, "?event=product-voucher-changed") == []


def test_a_reset_removes_all_deliveries(world: World) -> None:
    subscribe(frozen(world))
    arm(world, {"status": 500})
    sell(world)

    world.admin("POST", "/reset")

    assert webhooks(world) == []


def test_a_restore_cancels_the_deliveries_of_later_events(world: World) -> None:
    subscribe(frozen(world))
    world.admin("PUT", "/snapshots/before")
    arm(world, {"status": 500})
    sell(world)

    world.admin("POST", "/snapshots/before/restore")
    world.advance("P1D")

    assert statuses(world) == ["canceled"]


def test_a_restored_state_keeps_deliveries_of_its_subscriptions(world: World) -> None:
    subscribe(frozen(world))
    gone = subscribe(world, f"{SINK}/gone")
    arm(world, {"status": 500}, times=1)
    sell(world)
    state = world.admin("GET", "/state").json()
    subscriptions = state["documents"]["enfore"]["subscriptions"]
    state["documents"]["enfore"]["subscriptions"] = [it for it in subscriptions if it["document"]["id"] != gone]

    world.admin("PUT", "/state", state)

    assert statuses(world) == ["waiting", "canceled"]
    world.advance("PT1S")
    assert statuses(world) == ["delivered", "canceled"]


def test_a_long_outage_is_caught_up_with_in_few_attempts(world: World) -> None:
    subscribe(frozen(world))
    arm(world, {"status": 503, "times": 1000})
    sell(world)

    world.advance("P1Y")

    (delivery,) = webhooks(world)
    assert delivery["status"] == "waiting"
    assert 100 <= delivery["attempted"] < 120
    assert len(delivery["attempts"]) == 20


def test_events_before_a_subscription_are_not_delivered(world: World) -> None:
    sell(world, "X-1")
    subscribe(world)
    sell(world, "X-2")

    assert [card_of(it)["external_number"] for it in webhooks(world)] == ["X-2"]


def test_an_unknown_org_has_no_deliveries(world: World) -> None:
    for method, what in (("GET", ""), ("POST", "/flush"), ("GET", "/rewrites"), ("GET", "/1")):
        assert world.admin(method, f"/webhooks{what}").status_code == 404


def test_objects_in_given_send_no_webhooks(world: World) -> None:
    seed = {"gift_cards": [internal_card()], "subscriptions": [{"event": EVENT, "callback_url": SINK}]}
    world.admin("PUT", "/scenario", {"given": {"seed": {"enfore": seed}}, "steps": []})

    assert webhooks(world) == []
    assert len(world.events()) == 1
    sell(world)
    assert statuses(world) == ["delivered"]


def test_programmes_send_no_webhooks(world: World) -> None:
    subscribe(world)

    response = world.request("POST", path(world, "loyalty-program-drafts"), {"name": "P", "configuration": {}})

    assert response.status_code < 500
    assert webhooks(world) == []
