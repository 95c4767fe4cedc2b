"""Delivery faults: for the events of a call, for the next events of a callback, and in scenarios."""

from __future__ import annotations

import json

import pytest

from tests.serving import Json, World
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


def begin(world: World, *steps: Json) -> None:
    """A scenario with one card and one subscriber, and without deliveries so far."""
    response = world.admin("PUT", "/scenario", {"given": {"clock": NOW, "seed": SEED}, "steps": list(steps)})
    assert response.status_code == 200, response.text


def test_an_event_arrives_twice(world: World) -> None:
    subscribe(world)
    arm(world, "twice")

    sell(world)

    first, second = webhooks(world)
    assert first["payload"] == second["payload"]
    assert [it["status"] for it in (first, second)] == ["delivered", "delivered"]
    assert {it["delivery_fault"] for it in (first, second)} == {"twice"}


def test_an_event_arrives_after_the_next_one(world: World) -> None:
    subscribe(frozen(world))
    arm(world, "out_of_order")
    sell(world, "X-1")
    assert statuses(world) == ["waiting"]
    assert webhooks(world)[0]["next_attempt"] is None

    world.advance("PT1S")
    sell(world, "X-2")

    first, second = webhooks(world)
    assert [it["status"] for it in (first, second)] == ["delivered", "delivered"]
    assert first["at"] < second["at"]
    assert first["attempts"][0]["at"] >= second["attempts"][0]["at"]


def test_two_events_out_of_order_change_places(world: World) -> None:
    subscribe(frozen(world))
    arm(world, "out_of_order", times=2)

    sell(world, "X-1")
    sell(world, "X-2")

    assert statuses(world) == ["delivered", "delivered"]


def test_a_flush_sends_a_delivery_that_waits_for_the_next_event(world: World) -> None:
    subscribe(frozen(world))
    arm(world, "out_of_order")
    sell(world)

    world.admin("POST", "/webhooks/flush")

    assert statuses(world) == ["delivered"]


def test_a_late_event_is_overtaken(world: World) -> None:
    subscribe(frozen(world))
    arm(world, {"late": "30s"})
    sell(world, "X-1")
    sell(world, "X-2")
    assert statuses(world) == ["waiting", "delivered"]

    world.advance("PT1M")

    assert statuses(world) == ["delivered", "delivered"]
    assert numbers(world) == ["X-2", "X-1"]
    assert webhooks(world)[0]["attempts"][0]["at"] == "2030-01-01T12:00:30.000Z"


def test_an_event_is_lost(world: World) -> None:
    subscribe(frozen(world))
    arm(world, "drop")

    sell(world, "X-1")
    sell(world, "X-2")

    assert statuses(world) == ["dropped", "delivered"]
    assert webhooks(world)[0]["attempts"] == []


def test_half_an_event_arrives(world: World) -> None:
    subscribe(world)
    arm(world, "truncated")

    sell(world)

    (delivery,) = webhooks(world)
    whole = json.dumps(delivery["payload"], separators=(",", ":"))
    assert delivery["sent"] == whole[: len(whole) // 2]
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        json.loads(delivery["sent"])


def test_an_event_arrives_that_is_json_and_breaks_the_contract(world: World) -> None:
    subscribe(world)
    arm(world, "invalid")

    sell(world)

    (delivery,) = webhooks(world)
    sent = json.loads(delivery["sent"])
    assert sent.keys() == delivery["payload"].keys()
    assert sent != delivery["payload"]
    assert delivery["status"] == "delivered"


def test_a_receiver_seems_to_fail_three_times(world: World) -> None:
    subscribe(frozen(world))
    arm(world, {"status": 500, "times": 3})
    sell(world)

    world.advance("PT7S")

    (delivery,) = webhooks(world)
    assert [it["status"] for it in delivery["attempts"]] == [500, 500, 500, 202]
    assert "A delivery fault replaced the receiver" in delivery["attempts"][0]["error"]


def test_a_fault_for_a_callback_applies_to_its_next_event_from_any_cause(world: World) -> None:
    subscribe(frozen(world))
    sell(world, expiration_date_and_time=SOON)
    arm(world, "drop")

    world.advance("P60D")

    assert statuses(world) == ["delivered", "dropped"]
    assert world.admin("GET", "/next").json() == {"armed": []}


def test_a_delivery_fault_for_an_operation_applies_to_its_call(world: World) -> None:
    subscribe(frozen(world))
    arm(world, "twice", operation="recordGiftCardRedemption")
    card = sell(world)
    assert statuses(world) == ["delivered"]

    redeem(world, card)

    assert statuses(world) == ["delivered", "delivered", "delivered"]


def test_faults_that_are_armed_for_a_callback_are_listed(world: World) -> None:
    arm(world, "twice", times=2)
    arm(world, "drop", operation="createExternalGiftCard")

    armed = world.admin("GET", "/next").json()["armed"]

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
def test_an_invalid_delivery_fault_is_rejected(world: World, body: Json, why: str) -> None:
    response = world.admin("POST", "/next", body)

    assert response.status_code == 400
    assert why in response.json()["detail"]


def test_a_scenario_applies_delivery_faults_to_the_events_of_its_calls(world: World) -> None:
    begin(
        world,
        {"operation": "recordGiftCardRedemption", "then": {"webhook": "twice"}},
        {"operation": "recordGiftCardRedemption", "then": {"cut": "after", "webhook": {"late": "PT30S"}}},
    )

    redeem(world, "gc-1")

    assert [card_of(it)["current_balance"]["value"] for it in webhooks(world)] == [40, 40]


def test_a_scenario_applies_a_delivery_fault_to_an_emitted_event(world: World) -> None:
    payload = {"org_id": "t", "items": [], "problems": []}
    begin(world, {"then": {"emit": {"callback": EVENT, "payload": payload}, "webhook": "twice"}})

    assert [it["payload"] for it in webhooks(world)] == [payload, payload]
    assert {it["cause"] for it in webhooks(world)} == {"scenario step 1"}


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
def test_a_scenario_with_an_invalid_delivery_fault_is_rejected(world: World, step: Json, why: str) -> None:
    response = world.admin("PUT", "/scenario", {"steps": [step]})

    assert response.status_code == 400
    assert why in response.json()["detail"]


def test_a_rejected_scenario_sends_no_webhooks(world: World) -> None:
    bad = {"enfore": {**SEED["enfore"], "product_vouchers": [{"name": "no voucher"}]}}

    response = world.admin("PUT", "/scenario", {"given": {"seed": bad}, "steps": []})

    assert response.status_code == 400
    assert world.admin("GET", "/webhooks").status_code == 404
