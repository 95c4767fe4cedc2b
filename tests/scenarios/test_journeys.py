"""A client that handles the scenarios with several vendors."""

from __future__ import annotations

import httpx2
import pytest

from tests.scenarios.staging import RetryingClient, amount, booked, cards, for_scenario, spend, statuses
from tests.serving import Json, OrgClient

ORDER = "O-4711"
NO_REPLY = "Server disconnected without sending a response."
FIVE_OFF = {
    "orderCode": ORDER,
    "orderTotal": {"amount": 25, "currency": "EUR"},
    "discount": {"amount": 5, "currency": "EUR"},
}


def checked_out(org_client: OrgClient, client: RetryingClient) -> Json:
    """A checkout that makes each of its three bookings once, although replies are lost or late."""
    customer = {"Authorization": f"Bearer sandbox;tenant={org_client.org};customer=C1;scope=coupon.coupon_redeem"}
    coupon = f"/coupon/{org_client.org}/coupons/WELCOME"
    balance = org_client.request("GET", cards(org_client, "gc-1")).json()["current_balance"]["value"]
    client.request("POST", f"{coupon}/validation", FIVE_OFF, headers=customer)
    lost = ""
    try:
        spend(org_client, 20, ORDER)
    except httpx2.RemoteProtocolError as error:
        lost = str(error)
        if ORDER not in booked(org_client):
            client.request("POST", cards(org_client, "gc-1", "redemptions"), amount(20, ORDER))
    redemption = client.request("POST", f"{coupon}/redemptions", FIVE_OFF, headers=customer)
    points = {"points": 20, "description": ORDER}
    tenant = {"Emporix-Tenant": org_client.org}
    booking = client.request("POST", "/reward-points/customer/C1/addPoints", points, headers=tenant)
    return {"balance": balance, "lost": lost, "redemption": redemption.status_code, "points": booking.status_code}


@for_scenario("journeys/checkout", until="2030-01-01T12:00:01.000")
def test_a_checkout_does_each_of_its_three_things_once(org_client: OrgClient) -> None:
    client = RetryingClient(org_client)

    done = checked_out(org_client, client)

    card = org_client.request("GET", cards(org_client, "gc-1")).json()
    redemptions = org_client.request("GET", f"/coupon/{org_client.org}/coupons/WELCOME/redemptions").json()
    points = org_client.request("GET", "/reward-points/customer/C1", headers={"Emporix-Tenant": org_client.org}).json()
    assert done == {"balance": 50, "lost": NO_REPLY, "redemption": 201, "points": 201}
    assert client.results == ["200", "201", "429", "201"]
    assert client.waited == [1]
    assert card["current_balance"]["value"] == 30
    assert [redemption["orderCode"] for redemption in redemptions] == [ORDER]
    assert points == 20
    assert statuses(org_client, "recordGiftCardRedemption") == [201]


@for_scenario("journeys/loyalty-year", until="2031-01-01T09:00:00.000")
def test_a_loyalty_programme_runs_for_a_year(org_client: OrgClient) -> None:
    programmes = f"/promotions/org/{org_client.org}/loyalty-programs/external-loyalty-program"
    tenant = {"Emporix-Tenant": org_client.org}
    year = {"start_date_and_time": "2030-02-01T00:00:00Z", "end_date_and_time": "2030-12-31T23:59:59Z"}
    content = {"name": "Points", "configuration": {"base_url": "https://partner.example"}}

    draft = org_client.request("POST", f"{programmes}-drafts", content).json()
    org_client.request("PUT", f"{programmes}-drafts/{draft['id']}", {**content, **year})
    programme = org_client.request("POST", programmes, {"draft_id": draft["id"], "operation": "SCHEDULE"}).json()
    own = f"{programmes}/{programme['id']}"
    in_february = org_client.request("GET", own).json()
    org_client.request("POST", "/reward-points/customer/C1/addPoints", {"points": 100}, headers=tenant)
    update = {"updates": [{"name": "More points"}]}
    with pytest.raises(httpx2.RemoteProtocolError, match=NO_REPLY):
        org_client.request("PATCH", own, update)
    renamed = org_client.request("GET", own).json()
    next_year = org_client.request("GET", own).json()
    too_late = org_client.request("PATCH", own, update)
    points = org_client.request("GET", "/reward-points/customer/C1", headers=tenant)

    assert [it["status"] for it in (programme, in_february, next_year)] == ["SCHEDULED", "ACTIVE", "ARCHIVED"]
    assert (in_february["name"], renamed["name"]) == ("Points", "More points")
    assert too_late.status_code == 422
    assert too_late.json()["type"].endswith("/loyalty-program-archived")
    assert points.json() == 0
