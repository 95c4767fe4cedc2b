"""Delivery faults: for the events of a call, for the next events of a callback, and in scenarios."""

from __future__ import annotations

import json

import pytest

from tests.serving import Json, OrgClient
from tests.vendors.enfore_support import NOW, SOON
from tests.webhooks.support import (
    EVENT,
    SINK,
    arm,
    card_of,
    frozen,
    numbers,
    redeem,
    sell,
    statuses,
    subscribe,
    webhooks,
)

SEED = {
    "enfore": {
        "gift_cards": [
            {
                "id": "gc-1",
                "number": "1",
                "name": "Xmas",
                "external_number": "X-1",
                "status": "ISSUED",
                "current_balance": {"unit": "EUR", "value": 50},
            }
        ],
        "subscriptions": [{"event": EVENT, "callback_url": SINK}],
    }
}


def begin(org_client: OrgClient, *steps: Json) -> None:
    """A scenario with one card and one subscriber, and without deliveries so far."""
    response = org_client.admin("PUT", "/scenario", {"given": {"clock": NOW, "seed": SEED}, "steps": list(steps)})
    assert response.status_code == 200, response.text


def test_an_event_arrives_twice(org_client: OrgClient) -> None:
    subscribe(org_client)
    arm(org_client, "twice")

    sell(org_client)

    first, second = webhooks(org_client)
    assert first["payload"] == second["payload"]
    assert [it["status"] for it in (first, second)] == ["delivered", "delivered"]
    assert {it["delivery_fault"] for it in (first, second)} == {"twice"}


def test_an_event_arrives_after_the_next_one(org_client: OrgClient) -> None:
    subscribe(frozen(org_client))
    arm(org_client, "out_of_order")
    sell(org_client, "X-1")
    assert statuses(org_client) == ["waiting"]
    assert webhooks(org_client)[0]["next_attempt"] is None

    org_client.advance("PT1S")
    sell(org_client, "X-2")

    first, second = webhooks(org_client)
    assert [it["status"] for it in (first, second)] == ["delivered", "delivered"]
    assert first["at"] < second["at"]
    assert first["attempts"][0]["at"] >= second["attempts"][0]["at"]


def test_two_events_out_of_order_change_places(org_client: OrgClient) -> None:
    subscribe(frozen(org_client))
    arm(org_client, "out_of_order", times=2)

    sell(org_client, "X-1")
    sell(org_client, "X-2")

    assert statuses(org_client) == ["delivered", "delivered"]


def test_a_flush_sends_a_delivery_that_waits_for_the_next_event(org_client: OrgClient) -> None:
    subscribe(frozen(org_client))
    arm(org_client, "out_of_order")
    sell(org_client)

    org_client.admin("POST", "/webhooks/flush")

    assert statuses(org_client) == ["delivered"]


def test_a_late_event_is_overtaken(org_client: OrgClient) -> None:
    subscribe(frozen(org_client))
    arm(org_client, {"late": "30s"})
    sell(org_client, "X-1")
    sell(org_client, "X-2")
    assert statuses(org_client) == ["waiting", "delivered"]

    org_client.advance("PT1M")

    assert statuses(org_client) == ["delivered", "delivered"]
    assert numbers(org_client) == ["X-2", "X-1"]
    assert webhooks(org_client)[0]["attempts"][0]["at"] == "2030-01-01T12:00:30.000Z"


def test_an_event_is_lost(org_client: OrgClient) -> None:
    subscribe(frozen(org_client))
    arm(org_client, "drop")

    sell(org_client, "X-1")
    sell(org_client, "X-2")

    assert statuses(org_client) == ["dropped", "delivered"]
    assert webhooks(org_client)[0]["attempts"] == []


def test_half_an_event_arrives(org_client: OrgClient) -> None:
    subscribe(org_client)
    arm(org_client, "truncated")

    sell(org_client)

    (delivery,) = webhooks(org_client)
    whole = json.dumps(delivery["payload"], separators=(",", ":"))
    assert delivery["sent"] == whole[: len(whole) // 2]
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        json.loads(delivery["sent"])


def test_an_event_arrives_that_is_json_and_breaks_the_contract(org_client: OrgClient) -> None:
    subscribe(org_client)
    arm(org_client, "invalid")

    sell(org_client)

    (delivery,) = webhooks(org_client)
    sent = json.loads(delivery["sent"])
    assert sent.keys() == delivery["payload"].keys()
    assert sent != delivery["payload"]
    assert delivery["status"] == "delivered"


def test_a_receiver_seems_to_fail_three_times(org_client: OrgClient) -> None:
    subscribe(frozen(org_client))
    arm(org_client, {"status": 500, "times": 3})
    sell(org_client)

    org_client.advance("PT7S")

    (delivery,) = webhooks(org_client)
    assert [it["status"] for it in delivery["attempts"]] == [500, 500, 500, 202]
    assert "A delivery fault replaced the receiver" in delivery["attempts"][0]["error"]


def test_a_fault_for_a_callback_applies_to_its_next_event_from_any_cause(org_client: OrgClient) -> None:
    subscribe(frozen(org_client))
    sell(org_client, expiration_date_and_time=SOON)
    arm(org_client, "drop")

    org_client.advance("P60D")

    assert statuses(org_client) == ["delivered", "dropped"]
    assert org_client.admin("GET", "/next").json() == {"armed": []}


def test_a_delivery_fault_for_an_operation_applies_to_its_call(org_client: OrgClient) -> None:
    subscribe(frozen(org_client))
    arm(org_client, "twice", operation="recordGiftCardRedemption")
    card = sell(org_client)
    assert statuses(org_client) == ["delivered"]

    redeem(org_client, card)

    assert statuses(org_client) == ["delivered", "delivered", "delivered"]


def test_faults_that_are_armed_for_a_callback_are_listed(org_client: OrgClient) -> None:
    arm(org_client, "twice", times=2)
    arm(org_client, "drop", operation="createExternalGiftCard")

    armed = org_client.admin("GET", "/next").json()["armed"]

    assert armed == [
        {"callback": EVENT, "then": {"webhook": "twice"}, "times": 2},
        {"operation": "createExternalGiftCard", "then": {"webhook": "drop"}, "times": 1},
    ]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"callback": "gift-card-change", "then": {"webhook": "twice"}}, "did you mean gift-card-changed?"),
        ({"callback": EVENT, "then": {"webhook": "thrice"}}, "webhook"),
        (
            {"callback": EVENT, "then": {"reject": "unknown-gift-card"}},
            "is only allowed for calls",
        ),
        ({"callback": EVENT, "then": {"webhook": {"late": "soon"}}}, "is not a duration"),
        ({"callback": EVENT, "then": {"webhook": {"late": 0}}}, "must be more than 0"),
        ({"callback": EVENT, "then": {"webhook": {"status": 202}}}, "webhook"),
        ({"callback": EVENT, "operation": "getGiftCard", "then": {"webhook": "drop"}}, "body"),
        (
            {"operation": "getGiftCard", "then": {"webhook": "drop", "cut": "before"}},
            "because only the rule sends events",
        ),
        ({"then": {"webhook": "drop"}}, "body"),
    ],
)
def test_an_invalid_delivery_fault_is_rejected(org_client: OrgClient, body: Json, why: str) -> None:
    response = org_client.admin("POST", "/next", body)

    assert response.status_code == 400
    assert why in response.json()["detail"]


def test_a_scenario_applies_delivery_faults_to_the_events_of_its_calls(org_client: OrgClient) -> None:
    begin(
        org_client,
        {"operation": "recordGiftCardRedemption", "then": {"webhook": "twice"}},
        {"operation": "recordGiftCardRedemption", "then": {"cut": "after", "webhook": {"late": "PT30S"}}},
    )

    redeem(org_client, "gc-1")

    assert [card_of(it)["current_balance"]["value"] for it in webhooks(org_client)] == [40, 40]


def test_a_scenario_applies_a_delivery_fault_to_an_emitted_event(org_client: OrgClient) -> None:
    payload = {"org_id": "t", "items": [], "problems": []}
    begin(org_client, {"then": {"emit": {"callback": EVENT, "payload": payload}, "webhook": "twice"}})

    assert [it["payload"] for it in webhooks(org_client)] == [payload, payload]
    assert {it["cause"] for it in webhooks(org_client)} == {"scenario step 1"}


@pytest.mark.parametrize(
    ("step", "why"),
    [
        ({"then": {"webhook": "twice"}}, "needs an operation or `emit`"),
        ({"then": {"advance": "P1D", "webhook": "twice"}}, "needs an operation or `emit`"),
        (
            {"operation": "createExternalGiftCard", "then": {"reject": "invalid-request", "webhook": "drop"}},
            "because only the rule sends events",
        ),
        ({"operation": "createExternalGiftCard", "then": {"webhook": {"late": "Psoon"}}}, "is not a duration"),
    ],
)
def test_a_scenario_with_an_invalid_delivery_fault_is_rejected(org_client: OrgClient, step: Json, why: str) -> None:
    response = org_client.admin("PUT", "/scenario", {"steps": [step]})

    assert response.status_code == 400
    assert why in response.json()["detail"]


def test_a_rejected_scenario_sends_no_webhooks(org_client: OrgClient) -> None:
    bad = {"enfore": {**SEED["enfore"], "product_vouchers": [{"name": "no voucher"}]}}

    response = org_client.admin("PUT", "/scenario", {"given": {"seed": bad}, "steps": []})

    assert response.status_code == 400
    assert org_client.admin("GET", "/webhooks").status_code == 404
