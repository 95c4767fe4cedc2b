"""A client that handles the scenarios with several vendors."""

from __future__ import annotations

import httpx2
import pytest

from tests.scenarios.staging import RetryingClient, amount, booked, cards, for_scenario, spend, statuses
from tests.serving import Json, World

ORDER = "O-4711"
NO_REPLY = "Server disconnected without sending a response."
FIVE_OFF = {
    "orderCode": ORDER,
    "orderTotal": {"amount": 25, "currency": "EUR"},
    "discount": {"amount": 5, "currency": "EUR"},
}


def checked_out(world: World, client: RetryingClient) -> Json:
    """A checkout that makes each of its three bookings once, although replies are lost or late."""
    customer = {"Authorization": f"Bearer sandbox;tenant={world.org};customer=C1;scope=coupon.coupon_redeem"}
    coupon = f"/coupon/{world.org}/coupons/WELCOME"
    balance = world.request("GET", cards(world, "gc-1")).json()["current_balance"]["value"]
    client.request("POST", f"{coupon}/validation", FIVE_OFF, headers=customer)
    lost = ""
    try:
        spend(world, 20, ORDER)
    except httpx2.RemoteProtocolError as error:
        lost = str(error)
        if ORDER not in booked(world):
            client.request("POST", cards(world, "gc-1", "redemptions"), amount(20, ORDER))
    redemption = client.request("POST", f"{coupon}/redemptions", FIVE_OFF, headers=customer)
    points = {"points": 20, "description": ORDER}
    tenant = {"Emporix-Tenant": world.org}
    booking = client.request("POST", "/reward-points/customer/C1/addPoints", points, headers=tenant)
    return {"balance": balance, "lost": lost, "redemption": redemption.status_code, "points": booking.status_code}


@for_scenario("journeys/checkout", until="2030-01-01T12:00:01.000")
def test_a_checkout_does_each_of_its_three_things_once(world: World) -> None:
    client = RetryingClient(world)

    done = checked_out(world, client)

    card = world.request("GET", cards(world, "gc-1")).json()
    redemptions = world.request("GET", f"/coupon/{world.org}/coupons/WELCOME/redemptions").json()
    points = world.request("GET", "/reward-points/customer/C1", headers={"Emporix-Tenant": world.org}).json()
    assert done == {"balance": 50, "lost": NO_REPLY, "redemption": 201, "points": 201}
    assert client.results == ["200", "201", "429", "201"]
    assert client.waited == [1]
    assert card["current_balance"]["value"] == 30
    assert [redemption["orderCode"] for redemption in redemptions] == [ORDER]
    assert points == 20
    assert statuses(world, "recordGiftCardRedemption") == [201]


@for_scenario("journeys/loyalty-year", until="2031-01-01T09:00:00.000")
def test_a_loyalty_programme_runs_for_a_year(world: World) -> None:
    programmes = f"/promotions/org/{world.org}/loyalty-programs/external-loyalty-program"
    tenant = {"Emporix-Tenant": world.org}
    year = {"start_date_and_time": "2030-02-01T00:00:00Z", "end_date_and_time": "2030-12-31T23:59:59Z"}
    content = {"name": "Points", "configuration": {"base_url": "https://partner.example"}}

    draft = world.request("POST", f"{programmes}-drafts", content).json()
    world.request("PUT", f"{programmes}-drafts/{draft['id']}", {**content, **year})
    programme = world.request("POST", programmes, {"draft_id": draft["id"], "operation": "SCHEDULE"}).json()
    own = f"{programmes}/{programme['id']}"
    in_february = world.request("GET", own).json()
    world.request("POST", "/reward-points/customer/C1/addPoints", {"points": 100}, headers=tenant)
    update = {"updates": [{"name": "More points"}]}
    with pytest.raises(httpx2.RemoteProtocolError, match=NO_REPLY):
        world.request("PATCH", own, update)
    renamed = world.request("GET", own).json()
    next_year = world.request("GET", own).json()
    too_late = world.request("PATCH", own, update)
    points = world.request("GET", "/reward-points/customer/C1", headers=tenant)

    assert [it["status"] for it in (programme, in_february, next_year)] == ["SCHEDULED", "ACTIVE", "ARCHIVED"]
    assert (in_february["name"], renamed["name"]) == ("Points", "More points")
    assert too_late.status_code == 422
    assert too_late.json()["type"].endswith("/loyalty-program-archived")
    assert points.json() == 0
