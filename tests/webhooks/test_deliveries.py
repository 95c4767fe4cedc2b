"""Deliveries to the sink, which needs no receiver: subscribers, order, retries and the end of deliveries."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.serving import OrgClient
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


def test_a_new_card_is_delivered_to_each_subscriber(org_client: OrgClient) -> None:
    subscription = subscribe(frozen(org_client))
    card = sell(org_client)

    (delivery,) = webhooks(org_client)

    assert delivery["status"] == "delivered"
    assert delivery["subscription"] == subscription
    assert (delivery["event"], delivery["url"], delivery["at"]) == (EVENT, SINK, NOW)
    assert card_of(delivery)["id"] == card
    assert delivery["attempts"] == [{"at": NOW, "status": 202, "milliseconds": 0, "body": None, "error": None}]
    assert delivery["cause"] == str(org_client.last()["id"])


def test_without_a_subscriber_nothing_is_delivered(org_client: OrgClient) -> None:
    sell(org_client)

    assert webhooks(org_client) == []


@pytest.mark.parametrize("kind", ["gift-card-subscriptions", "gift-cards/subscriptions"])
def test_the_present_and_the_deprecated_path_subscribe_alike(org_client: OrgClient, kind: str) -> None:
    subscribe(org_client, kind=kind)

    sell(org_client)

    assert statuses(org_client) == ["delivered"]


@pytest.mark.parametrize(
    ("kind", "collection", "event"),
    [
        ("gift-card-subscriptions", "gift_cards", "gift-card-changed"),
        ("product-voucher-subscriptions", "product_vouchers", "product-voucher-changed"),
        ("category-voucher-subscriptions", "category_vouchers", "category-voucher-changed"),
    ],
)
def test_each_kind_of_voucher_has_its_subscribers(
    org_client: OrgClient, kind: str, collection: str, event: str
) -> None:
    for each in ("gift-card", "product-voucher", "category-voucher"):
        subscribe(org_client, f"https://sink.sandbox/{each}", f"{each}-subscriptions")

    org_client.seed("enfore", **{collection: [VOUCHERS[collection]()]})

    (delivery,) = webhooks(org_client)
    assert delivery["event"] == event
    assert delivery["url"] == f"https://sink.sandbox/{kind.removesuffix('-subscriptions')}"


def test_a_redemption_a_deactivation_and_an_expiry_are_delivered_in_order(org_client: OrgClient) -> None:
    subscribe(frozen(org_client))
    card = sell(org_client, expiration_date_and_time=SOON)
    redeem(org_client, card)
    org_client.request("PUT", cards(org_client, card, "activation-status"), raw=b'"DEACTIVATED"')
    org_client.request("PUT", cards(org_client, card, "activation-status"), raw=b'"ACTIVE"')

    org_client.advance("P60D")

    found = webhooks(org_client)
    assert [card_of(it)["status"] for it in found] == [
        "ISSUED", "PARTIALLY_REDEEMED", "DEACTIVATED", "PARTIALLY_REDEEMED", "EXPIRED",
    ]  # fmt: skip
    assert found[-1]["at"] == found[-1]["attempts"][0]["at"] == SOON


def test_two_subscribers_each_get_it(org_client: OrgClient) -> None:
    ids = {subscribe(org_client, f"{SINK}/{number}") for number in range(2)}

    sell(org_client)

    assert {delivery["subscription"] for delivery in webhooks(org_client)} == ids


def test_subscribers_get_only_events_of_their_org(org_client: OrgClient) -> None:
    subscribe(org_client)
    other = OrgClient(org_client.url, f"{org_client.org}-other", org_client.http)

    sell(other)

    assert webhooks(org_client) == []


def test_a_failed_delivery_is_retried_after_one_second_then_two_then_four(org_client: OrgClient) -> None:
    subscribe(frozen(org_client))
    arm(org_client, {"status": 500, "times": 3})
    sell(org_client)
    assert webhooks(org_client)[0]["next_attempt"] == "2030-01-01T12:00:01.000Z"

    org_client.advance("PT10S")

    (delivery,) = webhooks(org_client)
    assert delivery["status"] == "delivered"
    assert [(it["at"][17:19], it["status"]) for it in delivery["attempts"]] == [
        ("00", 500), ("01", 500), ("03", 500), ("07", 202),
    ]  # fmt: skip


def test_a_frozen_clock_holds_retries(org_client: OrgClient) -> None:
    subscribe(frozen(org_client))
    arm(org_client, {"status": 500})
    sell(org_client)

    found = webhooks(org_client, "?wait=150ms&status=delivered")

    assert [it["status"] for it in found] == []
    assert statuses(org_client) == ["waiting"]


def test_retries_grow_no_further_apart_than_an_hour(org_client: OrgClient) -> None:
    subscribe(frozen(org_client))
    arm(org_client, {"status": 503, "times": 20})
    sell(org_client)

    org_client.advance("P1D")

    attempts = webhooks(org_client)[0]["attempts"]
    assert [it["at"][11:19] for it in attempts[-2:]] == ["20:08:15", "21:08:15"]


def test_a_retry_and_an_expiry_in_between_happen_in_their_order(org_client: OrgClient) -> None:
    subscribe(frozen(org_client))
    arm(org_client, {"status": 500, "times": 3})
    sell(org_client, "X-1", expiration_date_and_time="2030-01-01T12:00:02.000Z")

    org_client.advance("PT1M")

    first, second = webhooks(org_client)
    assert [it["at"][17:19] for it in first["attempts"]] == ["00", "01", "03", "07"]
    assert card_of(second)["status"] == "EXPIRED"
    assert second["at"][17:19] == "02"
    assert second["attempts"][0]["at"][17:19] == "07", "it waits for the one before it"


def test_the_next_event_waits_for_the_one_before_it(org_client: OrgClient) -> None:
    subscribe(frozen(org_client))
    arm(org_client, {"status": 500})
    sell(org_client, "X-1")
    sell(org_client, "X-2")
    assert statuses(org_client) == ["waiting", "waiting"]

    org_client.advance("PT1S")

    assert [it["attempted"] for it in webhooks(org_client)] == [2, 1]
    assert statuses(org_client) == ["delivered", "delivered"]


def test_a_subscription_that_waits_keeps_no_other_waiting(org_client: OrgClient) -> None:
    subscribe(frozen(org_client))
    arm(org_client, {"status": 500})
    sell(org_client, "X-1")
    subscribe(org_client, f"{SINK}/second")

    sell(org_client, "X-2")

    assert statuses(org_client) == ["waiting", "waiting", "delivered"]


def test_deleting_the_subscription_ends_its_attempts(org_client: OrgClient) -> None:
    subscription = subscribe(frozen(org_client))
    arm(org_client, {"status": 500})
    sell(org_client, "X-1")
    sell(org_client, "X-2")

    unsubscribe(org_client, subscription)
    org_client.advance("P1D")

    assert statuses(org_client) == ["canceled", "canceled"]
    assert [it["attempted"] for it in webhooks(org_client)] == [1, 0]


def test_a_flush_attempts_deliveries_that_a_frozen_clock_holds(org_client: OrgClient) -> None:
    subscribe(frozen(org_client))
    arm(org_client, {"status": 500})
    sell(org_client, "X-1")
    sell(org_client, "X-2")

    flushed = org_client.admin("POST", "/webhooks/flush").json()

    assert flushed == {"attempted": 2, "delivered": 2, "waiting": 0}
    assert statuses(org_client) == ["delivered", "delivered"]


def test_a_flush_of_an_org_without_deliveries_does_nothing(org_client: OrgClient) -> None:
    sell(org_client)

    assert org_client.admin("POST", "/webhooks/flush").json() == {"attempted": 0, "delivered": 0, "waiting": 0}


def test_a_delivery_can_be_repeated(org_client: OrgClient) -> None:
    subscribe(org_client)
    sell(org_client)

    response = org_client.admin("POST", "/webhooks/1/redeliver")

    assert response.status_code == 201
    assert (response.json()["id"], response.json()["redelivery_of"]) == (2, 1)
    first, second = webhooks(org_client)
    assert first["payload"] == second["payload"]
    assert second["status"] == "delivered"


def test_a_delivery_of_a_deleted_subscription_is_not_repeated(org_client: OrgClient) -> None:
    subscription = subscribe(org_client)
    sell(org_client)
    unsubscribe(org_client, subscription)

    response = org_client.admin("POST", "/webhooks/1/redeliver")

    assert response.status_code == 409
    assert response.json()["title"] == "Subscription gone"


@pytest.mark.parametrize("id", ["7", "x", "9" * 30, "1.0"])
def test_an_unknown_delivery_is_rejected(org_client: OrgClient, id: str) -> None:
    subscribe(org_client)

    for response in (org_client.admin("GET", f"/webhooks/{id}"), org_client.admin("POST", f"/webhooks/{id}/redeliver")):
        assert response.status_code == 404
        assert response.json()["title"] == "Unknown delivery"


def test_deliveries_can_be_waited_for(org_client: OrgClient) -> None:
    subscribe(org_client)
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(webhooks, org_client, "?wait=60s&count=2")
        sell(org_client, "X-1")
        sell(org_client, "X-2")

        assert len(waiting.result()) == 2


def test_waiting_ends_when_the_time_is_over(org_client: OrgClient) -> None:
    subscribe(org_client)
    sell(org_client)
    began = time.monotonic()

    found = webhooks(org_client, "?wait=100ms&count=2")

    assert len(found) == 1
    assert time.monotonic() - began >= 0.09


@pytest.mark.parametrize("query", ["wait=61", "wait=soon", "wait=-1", "count=0", "status=lost", "limit=0", "since=x"])
def test_an_invalid_query_is_rejected(org_client: OrgClient, query: str) -> None:
    subscribe(org_client)

    response = org_client.admin("GET", f"/webhooks?{query}")

    assert response.status_code == 400
    assert query.partition("=")[0] in response.json()["detail"]


def test_deliveries_are_found_by_their_fields(org_client: OrgClient) -> None:
    first = subscribe(frozen(org_client))
    subscribe(org_client, "https://elsewhere.example/")
    sell(org_client, "X-1")
    sell(org_client, "X-2")

    assert [it["id"] for it in webhooks(org_client, f"?subscription={first}")] == [1, 3]
    assert [it["id"] for it in webhooks(org_client, "?status=not_allowed&wait=60s&count=2")] == [2, 4]
    assert [it["id"] for it in webhooks(org_client, "?since=2&limit=1")] == [3]
    assert webhooks(org_client, "?event=product-voucher-changed") == []


def test_a_reset_removes_all_deliveries(org_client: OrgClient) -> None:
    subscribe(frozen(org_client))
    arm(org_client, {"status": 500})
    sell(org_client)

    org_client.admin("POST", "/reset")

    assert webhooks(org_client) == []


def test_a_restore_cancels_the_deliveries_of_later_events(org_client: OrgClient) -> None:
    subscribe(frozen(org_client))
    org_client.admin("PUT", "/snapshots/before")
    arm(org_client, {"status": 500})
    sell(org_client)

    org_client.admin("POST", "/snapshots/before/restore")
    org_client.advance("P1D")

    assert statuses(org_client) == ["canceled"]


def test_a_restored_state_keeps_deliveries_of_its_subscriptions(org_client: OrgClient) -> None:
    subscribe(frozen(org_client))
    gone = subscribe(org_client, f"{SINK}/gone")
    arm(org_client, {"status": 500}, times=1)
    sell(org_client)
    state = org_client.admin("GET", "/state").json()
    subscriptions = state["documents"]["enfore"]["subscriptions"]
    state["documents"]["enfore"]["subscriptions"] = [it for it in subscriptions if it["document"]["id"] != gone]

    org_client.admin("PUT", "/state", state)

    assert statuses(org_client) == ["waiting", "canceled"]
    org_client.advance("PT1S")
    assert statuses(org_client) == ["delivered", "canceled"]


def test_a_long_outage_is_caught_up_with_in_few_attempts(org_client: OrgClient) -> None:
    subscribe(frozen(org_client))
    arm(org_client, {"status": 503, "times": 1000})
    sell(org_client)

    org_client.advance("P1Y")

    (delivery,) = webhooks(org_client)
    assert delivery["status"] == "waiting"
    assert 100 <= delivery["attempted"] < 120
    assert len(delivery["attempts"]) == 20


def test_events_before_a_subscription_are_not_delivered(org_client: OrgClient) -> None:
    sell(org_client, "X-1")
    subscribe(org_client)
    sell(org_client, "X-2")

    assert [card_of(it)["external_number"] for it in webhooks(org_client)] == ["X-2"]


def test_an_unknown_org_has_no_deliveries(org_client: OrgClient) -> None:
    for method, what in (("GET", ""), ("POST", "/flush"), ("GET", "/rewrites"), ("GET", "/1")):
        assert org_client.admin(method, f"/webhooks{what}").status_code == 404


def test_objects_in_given_send_no_webhooks(org_client: OrgClient) -> None:
    seed = {"gift_cards": [internal_card()], "subscriptions": [{"event": EVENT, "callback_url": SINK}]}
    org_client.admin("PUT", "/scenario", {"given": {"seed": {"enfore": seed}}, "steps": []})

    assert webhooks(org_client) == []
    assert len(org_client.events()) == 1
    sell(org_client)
    assert statuses(org_client) == ["delivered"]


def test_programmes_send_no_webhooks(org_client: OrgClient) -> None:
    subscribe(org_client)

    response = org_client.request(
        "POST", path(org_client, "loyalty-program-drafts"), {"name": "P", "configuration": {}}
    )

    assert response.status_code < 500
    assert webhooks(org_client) == []
