"""Reward points of Emporix: accounts, entries that add and redeem points, expiry, summaries."""

from __future__ import annotations

import asyncio
import json
import re
import time
from contextlib import suppress
from typing import Any

import httpx2
import pytest

from promo_sandbox.base.messages import Reply, Request
from promo_sandbox.base.slices import run_to_end
from promo_sandbox.server.app import App
from promo_sandbox.vendors.emporix.points import ACCOUNTS
from tests.patience import LONG
from tests.serving import Json, OrgClient
from tests.vendors.emporix_coupons_support import assert_rejected
from tests.vendors.emporix_points_support import (
    BASE,
    DELETED,
    IN_THREE_YEARS,
    NOW,
    NOW_TEXT,
    OPENED,
    added,
    balance,
    choose,
    customer_token,
    earn,
    in_both_versions,
    redeemed,
    restrict,
    spend,
    staff,
    summary,
    tenant,
    visitor,
)
from tests.vendors.rejections import unchanged

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@pytest.fixture
def shop(org_client: OrgClient) -> OrgClient:
    return tenant(org_client)


# The balance


@in_both_versions
def test_a_balance_is_a_bare_integer(shop: OrgClient, version: str) -> None:
    choose(shop, version)
    earn(shop, 2000)

    for response in (staff(shop, "GET", "/customer/C1"), visitor(shop, "GET", "/public/customer")):
        assert (response.status_code, response.content) == (200, b"2000")
        assert response.headers["content-type"] == "application/json"


def test_a_balance_is_what_is_left_of_all_entries(shop: OrgClient) -> None:
    for points in (100, 20, 3):
        earn(shop, points)
    spend(shop, 105)

    assert balance(shop) == 18


def test_customers_see_their_own_points_only(shop: OrgClient) -> None:
    earn(shop, 10, "C1")
    earn(shop, 20, "C2")

    assert visitor(shop, "GET", "/public/customer", customer="C2").json() == 20
    found = visitor(shop, "GET", "/public/customer/summary", customer="C2").json()
    assert (found["customerId"], found["activePoints"]) == ("C2", 20)


@in_both_versions
@pytest.mark.parametrize("path", ["/customer/C9", "/customer/C9/summary"])
def test_a_customer_without_an_account_has_no_balance_and_no_summary(shop: OrgClient, version: str, path: str) -> None:
    choose(shop, version)

    body = assert_rejected(shop, staff(shop, "GET", path), 404, "unknown-customer")

    assert body == {
        "type": "resource_not_found",
        "status": 404,
        "message": "No reward points found for customer C9",
    }


@in_both_versions
@pytest.mark.parametrize("path", ["/public/customer", "/public/customer/summary"])
def test_a_customer_without_an_account_gets_an_error_that_says_so(shop: OrgClient, version: str, path: str) -> None:
    choose(shop, version)

    body = assert_rejected(shop, visitor(shop, "GET", path, customer="C9"), 404, "unknown-customer")

    assert body["message"] == "No reward points found for customer C9"


# Accounts


@in_both_versions
def test_an_account_is_opened_with_points_to_start_with(shop: OrgClient, version: str) -> None:
    choose(shop, version)

    response = staff(shop, "POST", "/customer/C1", {"startPoints": {"points": 20, "description": "Welcome"}})

    assert (response.status_code, response.content) == (OPENED[version], b"")
    (entry,) = added(shop)
    assert (entry["points"], entry["description"], entry["allPointsAfterCreation"]) == (20, "Welcome", 20)
    assert balance(shop) == 20


def test_an_account_is_opened_without_points(shop: OrgClient) -> None:
    assert staff(shop, "POST", "/customer/C1", {}).status_code == 201

    assert summary(shop) == {
        "customerId": "C1",
        "activePoints": 0,
        "summary": {"addedPointsList": [], "redeemedPointsList": []},
    }


def test_the_path_names_the_customer_whatever_the_body_says(shop: OrgClient) -> None:
    staff(shop, "POST", "/customer/C1", {"customerId": "C2", "startPoints": {"points": 5}})

    assert balance(shop, "C1") == 5
    assert staff(shop, "GET", "/customer/C2").status_code == 404


def test_a_second_account_is_400_in_2021(shop: OrgClient) -> None:
    earn(shop)

    with unchanged(shop):
        response = staff(shop, "POST", "/customer/C1", {"startPoints": {"points": 5}})

    body = assert_rejected(shop, response, 400, "entry-exists")
    assert (body["status"], body["message"]) == (400, "New Reward Point Entry not Created")
    assert body["details"][0]["message"] == "Couldn't create a new reward point entry for the customer 'C1'"


def test_a_second_account_is_409_in_the_present_version(shop: OrgClient) -> None:
    choose(shop, "current")
    earn(shop)

    with unchanged(shop):
        response = staff(shop, "POST", "/customer/C1", {})

    message = "Couldn't create a new reward point entry for the customer 'C1'"
    assert assert_rejected(shop, response, 409, "entry-exists") == {
        "status": 409,
        "type": "application/json",
        "message": "New Reward Point Entry not Created",
        "moreInfo": "",
        "details": [{"field": None, "type": None, "message": message, "moreInfo": ""}],
    }


@in_both_versions
def test_deleting_an_account_deletes_its_points(shop: OrgClient, version: str) -> None:
    choose(shop, version)
    earn(shop)
    spend(shop, 10)
    earn(shop, 7, "C2")

    response = staff(shop, "DELETE", "/customer/C1")

    assert (response.status_code, response.content) == (DELETED[version], b"")
    assert staff(shop, "GET", "/customer/C1").status_code == 404
    stored = shop.state()["emporix"]
    assert {entry["document"]["customerId"] for entry in stored["added_points"]} == {"C2"}
    assert "redeemed_points" not in stored


def test_deleting_an_account_that_is_not_there_is_no_mistake(shop: OrgClient) -> None:
    assert staff(shop, "DELETE", "/customer/C9").status_code == 204


def test_a_deleted_account_can_be_opened_again_and_is_empty(shop: OrgClient) -> None:
    earn(shop)
    staff(shop, "DELETE", "/customer/C1")

    earn(shop, 5)

    assert balance(shop) == 5
    assert [entry["points"] for entry in added(shop)] == [5]


def test_points_of_a_deleted_account_do_not_expire_from_the_next_one(shop: OrgClient) -> None:
    earn(shop, 50, validUntil="2030-01-02T12:00:00Z")
    staff(shop, "DELETE", "/customer/C1")
    earn(shop, 5)

    assert shop.advance("P2D") == []
    assert balance(shop) == 5


# Adding


@in_both_versions
def test_points_are_added_to_an_account_that_is_not_there_yet(shop: OrgClient, version: str) -> None:
    choose(shop, version)

    earn(shop, 123)

    assert balance(shop) == 123


def test_an_added_entry_is_kept_as_it_was_sent(shop: OrgClient) -> None:
    sent = {
        "id": "zzpscd12uimlmybtthb",
        "reference-id": "B7011746",
        "description": "For the order B7011746",
        "createdAt": "2029-12-24T14:15:22Z",
        "validUntil": "2031-08-24T16:15:22.5+02:00",
    }
    earn(shop, 123, **sent)

    assert added(shop) == [
        {
            **sent,
            "points": 123,
            "createdAt": "2029-12-24T14:15:22.000+00:00",
            "allPointsAfterCreation": 123,
            "usedPoints": 0,
            "validUntil": "2031-08-24T14:15:22.500+00:00",
            "usedWith": [],
        }
    ]


def test_what_follows_from_the_account_is_not_taken_from_the_body(shop: OrgClient) -> None:
    earn(shop, 10)
    earn(shop, 123, allPointsAfterCreation=56778, usedPoints=5, usedWith=["5237bcac-c548-4e49-8626-03dab65376d6"])

    entry = added(shop)[1]
    assert (entry["allPointsAfterCreation"], entry["usedPoints"], entry["usedWith"]) == (133, 0, [])


def test_what_an_added_entry_leaves_out_is_made_up(shop: OrgClient) -> None:
    earn(shop, 5)

    (entry,) = added(shop)
    assert UUID.fullmatch(entry.pop("id"))
    assert entry == {
        "reference-id": None,
        "points": 5,
        "createdAt": NOW_TEXT,
        "allPointsAfterCreation": 5,
        "usedPoints": 0,
        "validUntil": IN_THREE_YEARS,
        "usedWith": [],
    }


def test_the_same_id_twice_is_two_entries(shop: OrgClient) -> None:
    earn(shop, 5, id="same")
    earn(shop, 6, id="same")
    spend(shop, 7)

    assert [(entry["id"], entry["usedPoints"]) for entry in added(shop)] == [("same", 5), ("same", 2)]


@pytest.mark.parametrize(
    ("created", "months", "end"),
    [
        ("2030-01-31T10:00:00Z", 1, "2030-02-28T10:00:00.000+00:00"),
        ("2031-12-31T23:30:00Z", 2, "2032-02-29T23:30:00.000+00:00"),
        ("2030-01-01T01:00:00+02:00", 12, "2030-12-31T23:00:00.000+00:00"),
        ("9998-01-01T10:00:00Z", 1200, "9999-12-31T10:00:00.000+00:00"),
    ],
)
def test_points_live_as_many_calendar_months_as_the_settings_say(
    shop: OrgClient, created: str, months: int, end: str
) -> None:
    restrict(shop, validityInMonths=months)

    earn(shop, 5, createdAt=created)

    assert added(shop)[0]["validUntil"] == end


def test_a_reference_may_be_null(shop: OrgClient) -> None:
    response = staff(shop, "POST", "/customer/C1/addPoints", {"points": 5, "reference-id": None})

    assert response.status_code == 201
    assert added(shop)[0]["reference-id"] is None


def test_a_whole_number_may_be_written_with_a_fraction(shop: OrgClient) -> None:
    response = shop.request(
        "POST", f"{BASE}/customer/C1/addPoints", raw=b'{"points": 5.0}', headers={"Emporix-Tenant": shop.org}
    )

    assert response.status_code == 201
    assert staff(shop, "GET", "/customer/C1").content == b"5"
    assert b'"points":5,' in staff(shop, "GET", "/customer/C1/summary").content


@in_both_versions
@pytest.mark.parametrize("points", [0, -1, -2147483648])
@pytest.mark.parametrize("path", ["/customer/C1/addPoints", "/customer/C1/redeemPoints"])
def test_points_must_be_above_zero(shop: OrgClient, version: str, path: str, points: int) -> None:
    choose(shop, version)
    earn(shop)

    with unchanged(shop):
        response = staff(shop, "POST", path, {"points": points})

    assert_rejected(shop, response, 400, "points-not-positive")


@in_both_versions
def test_points_to_start_with_must_be_above_zero(shop: OrgClient, version: str) -> None:
    choose(shop, version)

    with unchanged(shop):
        response = staff(shop, "POST", "/customer/C1", {"startPoints": {"points": 0}})

    assert_rejected(shop, response, 400, "points-not-positive")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"points": None},
        {"points": "5"},
        {"points": 1.5},
        {"points": True},
        {"points": 10**30},
        {"points": -(10**30)},
        {"points": 2**31},
        {"points": 5, "createdAt": "yesterday"},
        {"points": 5, "createdAt": 5},
        {"points": 5, "id": 5},
        {"points": 5, "description": None},
        [],
        "points",
        7,
    ],
)
@pytest.mark.parametrize("path", ["/customer/C1/addPoints", "/customer/C1/redeemPoints"])
@in_both_versions
def test_a_body_of_the_wrong_form_is_invalid(shop: OrgClient, version: str, path: str, body: Json) -> None:
    choose(shop, version)
    earn(shop)

    with unchanged(shop):
        response = staff(shop, "POST", path, body)

    assert_rejected(shop, response, 400, "invalid-request")


def test_all_mistakes_are_named_in_2021_by_their_place(shop: OrgClient) -> None:
    response = staff(shop, "POST", "/customer/C1", {"startPoints": {"createdAt": "yesterday"}})

    body = assert_rejected(shop, response, 400, "invalid-request")
    assert (body["status"], body["type"]) == (400, "validation_violation")
    assert {detail["field"] for detail in body["details"]} == {"startPoints.points", "startPoints.createdAt"}


def test_a_mistake_is_a_problem_with_the_path_in_the_present_version(shop: OrgClient) -> None:
    choose(shop, "current")

    response = staff(shop, "POST", "/customer/C1/addPoints", {})

    body = assert_rejected(shop, response, 400, "invalid-request")
    assert (body["type"], body["title"], body["status"]) == ("about:blank", "Bad Request", 400)
    assert body["instance"] == "/customer/C1/addPoints"
    assert "detail" in body


# Redeeming


@in_both_versions
def test_redeeming_is_booked_with_the_balance_after_it(shop: OrgClient, version: str) -> None:
    choose(shop, version)
    earn(shop, 100)

    response = spend(shop, 30, description="Workshop")

    assert (response.status_code, response.content) == (201, b"")
    (entry,) = redeemed(shop)
    assert UUID.fullmatch(entry["id"])
    assert entry == {
        "id": entry["id"],
        "description": "Workshop",
        "points": 30,
        "createdAt": NOW_TEXT,
        "allPointsAfterCreation": 70,
    }
    (source,) = added(shop)
    assert (source["usedPoints"], source["usedWith"]) == (30, [entry["id"]])
    assert balance(shop) == 70


def test_id_and_date_of_a_redemption_are_kept_as_sent_and_the_balance_is_not(shop: OrgClient) -> None:
    earn(shop, 100)

    spend(shop, 30, id="mine", createdAt="2029-12-31T00:00:00Z", allPointsAfterCreation=5)

    (entry,) = redeemed(shop)
    assert (entry["id"], entry["createdAt"]) == ("mine", "2029-12-31T00:00:00.000+00:00")
    assert entry["allPointsAfterCreation"] == 70
    assert added(shop)[0]["usedWith"] == ["mine"]


def test_one_redemption_uses_several_entries(shop: OrgClient) -> None:
    for _ in range(3):
        earn(shop, 209)

    spend(shop, 600, id="r")

    assert [(entry["usedPoints"], entry["usedWith"]) for entry in added(shop)] == [
        (209, ["r"]),
        (209, ["r"]),
        (182, ["r"]),
    ]
    assert balance(shop) == 27


def test_several_redemptions_use_one_entry(shop: OrgClient) -> None:
    earn(shop, 100)

    for number in range(5):
        spend(shop, 10, id=f"r{number}")

    (entry,) = added(shop)
    assert (entry["usedPoints"], entry["usedWith"]) == (50, ["r0", "r1", "r2", "r3", "r4"])


def test_a_redemption_uses_more_entries_than_are_read_at_once(shop: OrgClient) -> None:
    shop.seed("emporix", reward_points=[summarised("C1", [{"points": 1}] * 250)])

    spend(shop, 180)

    assert [entry["usedPoints"] for entry in added(shop)] == [1] * 180 + [0] * 70
    assert balance(shop) == 70


def test_entries_are_used_in_the_order_in_which_they_were_booked(shop: OrgClient) -> None:
    earn(shop, 10, id="first", validUntil="2035-01-01T00:00:00Z", createdAt="2029-12-01T00:00:00Z")
    earn(shop, 10, id="second", validUntil="2031-01-01T00:00:00Z", createdAt="2029-01-01T00:00:00Z")

    spend(shop, 10)

    assert [(entry["id"], entry["usedPoints"]) for entry in added(shop)] == [("first", 10), ("second", 0)]


def test_expired_and_used_up_entries_are_passed_over(shop: OrgClient) -> None:
    earn(shop, 10, id="used up")
    earn(shop, 10, id="expired", validUntil="2030-01-02T00:00:00Z")
    earn(shop, 10, id="good")
    spend(shop, 10)
    shop.advance("P1D")

    spend(shop, 10, id="r")

    assert [(entry["id"], entry["usedPoints"]) for entry in added(shop)] == [
        ("used up", 10),
        ("expired", 0),
        ("good", 10),
    ]
    assert added(shop)[2]["usedWith"] == ["r"]


@in_both_versions
def test_no_customer_redeems_more_than_there_is(shop: OrgClient, version: str) -> None:
    choose(shop, version)
    earn(shop, 40)

    with unchanged(shop):
        response = spend(shop, 41)

    assert_rejected(shop, response, 400, "not-enough-points")
    assert spend(shop, 40).status_code == 201
    assert balance(shop) == 0


def test_what_is_missing_is_said(shop: OrgClient) -> None:
    earn(shop, 40)

    body = assert_rejected(shop, spend(shop, 50), 400, "not-enough-points")

    assert body["message"] == "Customer C1 has 40 active points, which are less than 50"


def test_what_is_missing_is_said_in_the_present_version_too(shop: OrgClient) -> None:
    choose(shop, "current")
    earn(shop, 40)

    body = assert_rejected(shop, spend(shop, 50), 400, "not-enough-points")

    assert (body["title"], body["status"]) == ("Bad Request", 400)
    assert "active points" in body["detail"]
    assert body["instance"] == "/customer/C1/redeemPoints"


@in_both_versions
def test_redeeming_for_a_customer_without_an_account_is_404(shop: OrgClient, version: str) -> None:
    choose(shop, version)

    assert_rejected(shop, spend(shop, 1, "C9"), 404, "unknown-customer")


def test_redeeming_makes_no_coupon(shop: OrgClient) -> None:
    earn(shop)
    spend(shop, 50)

    assert "coupons" not in shop.state()["emporix"]


# Expiry


def test_points_expire_at_the_end_of_their_time(shop: OrgClient) -> None:
    earn(shop, 50, id="short", validUntil="2030-01-02T12:00:00Z")
    earn(shop, 7)
    spend(shop, 20)
    shop.advance("PT23H59M59S")
    assert balance(shop) == 37

    happened = shop.advance("PT1S")

    assert [(item["at"], item["event"]) for item in happened] == [("2030-01-02T12:00:00.000Z", "expire-points")]
    assert balance(shop) == 7
    short, _ = added(shop)
    assert (short["points"], short["usedPoints"]) == (50, 20)


def test_points_that_are_used_up_expire_without_a_trace(shop: OrgClient) -> None:
    earn(shop, 50, validUntil="2030-01-02T12:00:00Z")
    spend(shop, 50)

    assert shop.advance("P2D") == []
    assert balance(shop) == 0


def test_points_without_an_end_expire_after_three_years(shop: OrgClient) -> None:
    earn(shop, 50)

    shop.advance("P3Y")

    assert balance(shop) == 0


@pytest.mark.parametrize("end", ["2029-12-31T00:00:00Z", NOW])
def test_points_that_have_expired_already_are_booked_and_not_counted(shop: OrgClient, end: str) -> None:
    earn(shop, 7)
    earn(shop, 50, validUntil=end)

    assert balance(shop) == 7
    assert added(shop)[1]["allPointsAfterCreation"] == 7
    assert_rejected(shop, spend(shop, 8), 400, "not-enough-points")


def test_the_balance_after_an_entry_is_that_of_the_moment(shop: OrgClient) -> None:
    earn(shop, 50, validUntil="2030-01-02T12:00:00Z")
    shop.advance("P2D")

    earn(shop, 7)

    assert [entry["allPointsAfterCreation"] for entry in added(shop)] == [50, 7]


@pytest.mark.parametrize("date", ["0000-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "1969-12-31T23:59:59.999Z"])
def test_dates_before_1970_are_dates(shop: OrgClient, date: str) -> None:
    earn(shop, 5, createdAt=date)

    entry = added(shop)[0]
    assert entry["createdAt"][:4] in ("0000", "1969")
    assert balance(shop) == 0  # three years later they expire


@pytest.mark.parametrize("date", ["9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.9999-23:59"])
def test_dates_at_the_end_of_time_are_dates(shop: OrgClient, date: str) -> None:
    earn(shop, 5, createdAt=date, validUntil=date)

    entry = added(shop)[0]
    assert entry["validUntil"] == entry["createdAt"] == "9999-12-31T23:59:59.999+00:00"
    assert balance(shop) == 5


# Summaries


@in_both_versions
def test_employees_and_customers_see_the_same_summary(shop: OrgClient, version: str) -> None:
    choose(shop, version)
    earn(shop, 10)
    spend(shop, 3)

    assert visitor(shop, "GET", "/public/customer/summary").json() == summary(shop)


@in_both_versions
def test_the_summaries_of_all_customers_are_listed_as_their_accounts_were_opened(shop: OrgClient, version: str) -> None:
    choose(shop, version)
    assert staff(shop, "GET", "/summaryBatch").json() == []
    for customer in ("C2", "C1", "C3"):
        earn(shop, 10, customer)
    spend(shop, 3, "C1")

    response = staff(shop, "GET", "/summaryBatch")

    assert response.status_code == 200
    assert response.json() == [summary(shop, customer) for customer in ("C2", "C1", "C3")]


# Ids


@pytest.mark.parametrize("customer", ["a%2Fb", "%C3%BC", "%20", "%00", "a%3Fb", "summary", "..%2F", "%F0%9F%8E%81"])
def test_any_text_can_name_a_customer(shop: OrgClient, customer: str) -> None:
    earn(shop, 5, customer)

    assert balance(shop, customer) == 5
    assert httpx2.URL(f"http://x/{customer}").path == f"/{summary(shop, customer)['customerId']}"


def test_a_customer_may_be_called_like_the_path_of_another_operation(shop: OrgClient) -> None:
    earn(shop, 5, "redeemOptions")

    assert balance(shop, "redeemOptions") == 5


# Seeds


def summarised(customer: str, entries: list[Json], redemptions: list[Json] | None = None) -> Json:
    lists = {"addedPointsList": entries, "redeemedPointsList": redemptions or []}
    return {"customerId": customer, "summary": lists}


def test_an_account_is_seeded_as_the_summary_that_it_then_has(shop: OrgClient) -> None:
    entries = [
        {
            "id": "a1",
            "reference-id": "B1",
            "description": "Order",
            "points": 209,
            "createdAt": "2029-09-03T09:45:02.248+00:00",
            "allPointsAfterCreation": 209,
            "usedPoints": 200,
            "validUntil": "2032-09-02T22:00:00.000+00:00",
            "usedWith": ["r1"],
        },
        {
            "id": "a2",
            "reference-id": None,
            "points": 50,
            "createdAt": "2029-09-04T09:45:02.248+00:00",
            "allPointsAfterCreation": 59,
            "usedPoints": 0,
            "validUntil": "2029-12-02T22:00:00.000+00:00",
            "usedWith": [],
        },
    ]
    redemptions = [
        {
            "id": "r1",
            "description": "5 euros",
            "points": 200,
            "createdAt": "2029-09-03T12:44:22.747+00:00",
            "allPointsAfterCreation": 9,
        }
    ]

    shop.seed("emporix", reward_points=[summarised("C1", entries, redemptions)])

    assert summary(shop) == {
        "customerId": "C1",
        "activePoints": 9,  # the second entry has expired
        "summary": {"addedPointsList": entries, "redeemedPointsList": redemptions},
    }


def test_a_seeded_entry_is_used_and_expires_like_any_other(shop: OrgClient) -> None:
    entries = [
        {"points": 30, "usedPoints": 10, "usedWith": ["r0"]},
        {"points": 50, "validUntil": "2030-01-02T00:00:00Z"},
    ]
    shop.seed("emporix", reward_points=[summarised("C1", entries)])
    assert balance(shop) == 70

    spend(shop, 25, id="r1")
    shop.advance("P1D")

    assert balance(shop) == 0
    assert [(entry["usedPoints"], entry["usedWith"]) for entry in added(shop)] == [(30, ["r0", "r1"]), (5, ["r1"])]


def test_an_account_is_seeded_with_nothing_but_its_points(shop: OrgClient) -> None:
    stored = shop.seed("emporix", reward_points=[{"customerId": "C1", "activePoints": 500}, {"customerId": "C2"}])

    assert stored["reward_points"][0] == {"id": "C1", "customerId": "C1", "activePoints": 500}
    assert (balance(shop, "C1"), balance(shop, "C2")) == (500, 0)
    assert spend(shop, 500).status_code == 201


def test_an_account_that_is_seeded_again_starts_anew(shop: OrgClient) -> None:
    earn(shop, 5)
    spend(shop, 2)

    shop.seed("emporix", reward_points=[summarised("C1", [{"points": 8}])])

    assert balance(shop) == 8
    assert (len(added(shop)), redeemed(shop)) == (1, [])


def test_an_entry_seeded_by_itself_counts(shop: OrgClient) -> None:
    earn(shop, 5)
    entry = added(shop)[0] | {"id": "another", "points": 3}

    shop.seed("emporix", added_points=[{"customerId": customer, "entry": entry} for customer in ("C1", "C2")])

    assert (balance(shop, "C1"), balance(shop, "C2")) == (8, 3)


@pytest.mark.parametrize(
    "account",
    [
        {},
        {"customerId": 5},
        {"customerId": "C1", "activePoints": -1},
        {"customerId": "C1", "activePoints": 10**30},
        {"customerId": "C1", "summary": []},
        {"customerId": "C1", "summary": {"addedPointsList": [{}]}},
        {"customerId": "C1", "summary": {"addedPointsList": [{"points": 0}]}},
        {"customerId": "C1", "summary": {"addedPointsList": [{"points": 1, "createdAt": "x"}]}},
        {"customerId": "C1", "summary": {"redeemedPointsList": [{"points": 10**30}]}},
    ],
)
def test_an_account_of_the_wrong_form_is_not_seeded(shop: OrgClient, account: Json) -> None:
    with unchanged(shop):
        response = shop.admin("POST", "/seed", {"emporix": {"reward_points": [account]}})

    assert response.status_code == 400, response.text


def test_the_state_can_be_taken_and_put_back(shop: OrgClient) -> None:
    earn(shop, 50, validUntil="2030-01-03T00:00:00Z")
    spend(shop, 20)
    before, state = summary(shop), shop.admin("GET", "/state").json()
    staff(shop, "DELETE", "/customer/C1")

    assert shop.admin("PUT", "/state", state).status_code == 200

    assert summary(shop) == before
    shop.advance("P2D")
    assert balance(shop) == 0


def test_a_state_that_promises_more_than_its_entries_hold_does_not_hang_the_server(shop: OrgClient) -> None:
    earn(shop, 5)
    state = shop.admin("GET", "/state").json()
    state["documents"]["emporix"]["reward_points"][0]["document"]["activePoints"] = 100
    assert shop.admin("PUT", "/state", state).status_code == 200

    assert spend(shop, 60).status_code == 201
    assert balance(shop) == 40


# Who may


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/customer/C1"),
        ("GET", "/customer/C1/summary"),
        ("GET", "/summaryBatch"),
        ("POST", "/customer/C1/addPoints"),
        ("POST", "/customer/C1/redeemPoints"),
        ("DELETE", "/customer/C1"),
    ],
)
@pytest.mark.parametrize("family", ["rewardspoints", "saasag"])
def test_employees_need_the_scope_by_either_name(shop: OrgClient, method: str, path: str, family: str) -> None:
    earn(shop)
    right, wrong = ("view", "manage") if method == "GET" else ("manage", "view")
    body = {"points": 1} if method == "POST" else None

    def ask(scope: str) -> httpx2.Response:
        token = f"sandbox;tenant={shop.org};scope={family}.rewardpoints_{scope}"
        return shop.request(method, BASE + path, body, headers={"Authorization": f"Bearer {token}"})

    assert_rejected(shop, ask(wrong), 403, "insufficient-scope")
    assert ask(right).is_success


def test_a_customer_does_not_manage_points(shop: OrgClient) -> None:
    for method, path, body in (
        ("GET", "/customer/C1", None),
        ("POST", "/customer/C1/addPoints", {"points": 1}),
        ("POST", f"/{shop.org}/redeemOptions", {"type": "coupon", "name": "x", "points": 1}),
        ("POST", "/public/customer/redeemOptions", {"type": "coupon", "name": "x", "points": 1}),
    ):
        assert_rejected(shop, visitor(shop, method, path, body), 403, "insufficient-scope")


def test_a_missing_scope_is_named_in_the_present_version(shop: OrgClient) -> None:
    choose(shop, "current")

    def details(method: str, path: str) -> Json:
        body = assert_rejected(shop, visitor(shop, method, path, None), 403, "insufficient-scope")
        assert (body["code"], body["status"], body["message"]) == (403, "Forbidden", "Scope validation failed")
        return body["details"]

    assert details("GET", "/customer/C1") == [
        "Missing required scopes '[rewardspoints.rewardpoints_view, saasag.rewardpoints_view]'"
    ]
    assert details("DELETE", "/customer/C1") == [
        "Missing required scopes '[rewardspoints.rewardpoints_manage, saasag.rewardpoints_manage]'"
    ]


def test_a_missing_scope_is_insufficient_permissions_in_2021(shop: OrgClient) -> None:
    assert assert_rejected(shop, visitor(shop, "GET", "/customer/C1"), 403, "insufficient-scope") == {
        "status": 403,
        "message": "Given request does not have required scopes. It is not authorized to perform this operation.",
        "type": "insufficient_permissions",
    }


@in_both_versions
@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/public/customer"), ("GET", "/public/customer/summary"), ("POST", "/public/customer/redeem")],
)
def test_a_service_is_no_customer(shop: OrgClient, version: str, method: str, path: str) -> None:
    choose(shop, version)

    response = staff(shop, method, path, {"id": "x"} if method == "POST" else None)

    assert_rejected(shop, response, 403, "not-a-customer")


def test_a_customer_without_a_name_is_none(shop: OrgClient) -> None:
    assert_rejected(shop, visitor(shop, "GET", "/public/customer", customer=""), 403, "not-a-customer")


@in_both_versions
def test_the_gateway_rejects_tokens_in_its_own_words(shop: OrgClient, version: str) -> None:
    choose(shop, version)

    def fault(**headers: str) -> tuple[str, str]:
        response = shop.http.get(f"{shop.url}{BASE}/summaryBatch", headers={"Emporix-Tenant": shop.org, **headers})
        assert response.status_code == 401
        found = response.json()["fault"]
        return found["faultstring"], found["detail"]["errorcode"]

    invalid = ("Invalid access token", "oauth.v2.InvalidAccessToken")
    assert fault() == fault(Authorization="Bearer invalid") == fault(Authorization="Basic YTpi") == invalid
    expired = ("Access Token expired", "keymanagement.service.access_token_expired")
    assert fault(Authorization="Bearer expired") == expired


@pytest.mark.parametrize("name", ["ab", "a" * 17, "Acme", "1acme", "a-cme"])
@pytest.mark.parametrize("path", ["/public/customer", "/customer/C1", "/summaryBatch"])
def test_a_tenant_in_the_header_must_be_one(shop: OrgClient, name: str, path: str) -> None:
    token = customer_token(shop, scope="rewardspoints.rewardpoints_view")
    headers = {"Authorization": f"Bearer {token}", "Emporix-Tenant": name}

    response = shop.request("GET", BASE + path, headers=headers)

    body = assert_rejected(shop, response, 400, "invalid-request")
    assert body["type"] == "validation_violation"


def test_what_clients_send_along_is_tolerated(shop: OrgClient) -> None:
    earn(shop, 5)
    headers = {"Accept-Language": "de", "X-Version": "v2", "Emporix-Tenant": shop.org}

    response = staff(shop, "GET", "/customer/C1?siteCode=main&whatever=1", **headers)

    assert (response.status_code, response.json()) == (200, 5)
    assert staff(shop, "POST", "/customer/C1/addPoints?siteCode=munich", {"points": 1, "unknown": {}}).is_success


def test_what_clients_of_the_tutorial_send_is_understood(shop: OrgClient) -> None:
    """The bodies of the tutorial's steps: an entry, points, a redemption; all with members that are read-only."""
    start = {
        "id": "12345fee-0b83-48aa-95dc-11e3dcf84aaa",
        "reference-id": "123456",
        "description": "points added",
        "points": 20,
        "createdAt": "2019-08-24T14:15:22Z",
        "allPointsAfterCreation": 20,
        "usedPoints": 5,
        "validUntil": "2019-08-24T14:15:22Z",
        "usedWith": ["5237bcac-c548-4e49-8626-03dab65376d6"],
    }
    opened = staff(shop, "POST", "/customer/C4289081720", {"customerId": "C4289081720", "startPoints": start})
    more = {**start, "points": 123, "createdAt": "2023-10-24T14:15:22Z", "allPointsAfterCreation": 56778}
    earned = staff(shop, "POST", "/customer/C4289081720/addPoints", {**more, "validUntil": "2039-08-24T14:15:22Z"})
    spent = spend(shop, 50, "C4289081720", description="points redeemed")

    assert [response.status_code for response in (opened, earned, spent)] == [201, 201, 201]
    assert balance(shop, "C4289081720") == 73


# Many


def test_of_64_clients_that_redeem_the_last_points_at_once_exactly_one_succeeds(shop: OrgClient) -> None:
    earn(shop, 90)
    target = f"{shop.url}{BASE}/customer/C1/redeemPoints"
    headers = {"Authorization": "Bearer any", "Emporix-Tenant": shop.org}

    async def redeem_at_once() -> list[int]:
        limits = httpx2.Limits(max_connections=64)
        async with httpx2.AsyncClient(limits=limits, timeout=LONG, headers=headers) as client:
            responses = await asyncio.gather(*(client.post(target, json={"points": 90}) for _ in range(64)))
        return [response.status_code for response in responses]

    assert sorted(asyncio.run(redeem_at_once())) == [201] + [400] * 63
    assert balance(shop) == 0
    assert len(redeemed(shop)) == 1


def test_a_customer_with_10_000_entries_is_answered_like_one_with_10(shop: OrgClient) -> None:
    for customer, entries in (("few", 10), ("many", 10_000)):
        shop.seed("emporix", reward_points=[summarised(customer, [{"points": 100}] * entries)])
    spend(shop, 100 * 9_000, "many")  # what is used up is not looked at again

    def seconds(customer: str) -> float:
        best = []
        for _ in range(30):
            begin = time.process_time()  # of the server too, which is a thread of this process
            balance(shop, customer)
            spend(shop, 1, customer)
            best.append(time.process_time() - begin)
        return min(best)

    few, many = seconds("few"), seconds("many")
    assert many < 3 * few
    assert len(added(shop, "many")) == 10_000


def test_coverage_takes_the_versions_together(shop: OrgClient) -> None:
    for version, customer in (("2021", "C1"), ("2021", "C1"), ("current", "C2"), ("current", "C2")):
        choose(shop, version)
        staff(shop, "POST", f"/customer/{customer}", {})

    asked = {"org": shop.org, "vendor": "emporix"}
    report = shop.http.get(f"{shop.url}/__admin/coverage", params=asked).raise_for_status().json()

    operations = [it for it in report["vendors"][0]["operations"] if it["operation"] == "createCustomerPoints"]
    [operation] = operations
    met = {it["status"]: it["count"] for it in operation["statuses"] if it["count"]}
    twice = [it for it in operation["rejections"] if it["rejection"] == "entry-exists"]
    assert met == {200: 1, 201: 1, 400: 1, 409: 1}  # each version has its own status for either
    assert [it["count"] for it in twice] == [2]


def test_an_account_is_seeded_with_at_most_10_000_entries_with_points_left_and_clients_add_more(
    shop: OrgClient,
) -> None:
    shop.seed("emporix", reward_points=[{"customerId": "C1", "summary": {"addedPointsList": [{"points": 1}] * 10_000}}])

    one_more = staff(shop, "POST", "/customer/C1/addPoints", {"points": 1})
    seeded = shop.admin("POST", "/seed", {"emporix": {"added_points": [{"customerId": "C1", "entry": {"points": 1}}]}})

    assert one_more.status_code == 201
    assert seeded.status_code == 400
    assert "has 10000 entries with points left" in seeded.text


def test_a_redemption_of_thousands_of_entries_is_booked_with_its_reply(shop: OrgClient) -> None:
    shop.seed("emporix", reward_points=[{"customerId": "C1", "summary": {"addedPointsList": [{"points": 1}] * 9000}}])

    response = spend(shop, 8000)

    assert response.status_code == 201
    assert balance(shop) == 1000
    assert sum(entry["usedPoints"] for entry in added(shop)) == 8000
    (booked,) = redeemed(shop)
    assert (booked["points"], booked["allPointsAfterCreation"]) == (8000, 1000)


# Many entries


def test_points_that_expire_while_a_long_redemption_is_written_are_taken_off_once() -> None:
    app = App()
    entries = [{"id": f"e{at}", "points": 1, "validUntil": "2030-02-01T00:00:00Z"} for at in range(5000)]

    def send(method: str, target: str, body: Any) -> Reply:
        headers = [(b"authorization", b"Bearer sandbox;tenant=acme"), (b"content-type", b"application/json")]
        return app.handle(Request(method, target, headers, json.dumps(body).encode()))

    def done(reply: Reply) -> Reply:
        finished = reply if reply.work is None else run_to_end(reply.work)
        assert finished.status < 300, finished.body
        return finished

    done(send("PUT", "/__admin/orgs/acme/clock", {"now": "2030-01-01T00:00:00Z", "frozen": True}))
    account = {"customerId": "C1", "summary": {"addedPointsList": entries}}
    done(send("POST", "/__admin/orgs/acme/seed", {"emporix": {"reward_points": [account]}}))
    redeeming = send("POST", "/~acme/reward-points/customer/C1/redeemPoints", {"points": 4000})
    assert redeeming.work is not None
    advancing = send("POST", "/__admin/orgs/acme/clock/advance", {"to": "2030-03-01T00:00:00Z"})
    assert advancing.work is not None
    while redeeming.work is not None:
        with suppress(StopIteration):
            next(advancing.work)
        try:
            next(redeeming.work)
        except StopIteration:
            break
    done(advancing)

    org = app.orgs.get("acme")
    kept = org.state.get(ACCOUNTS, "C1")
    assert kept is not None
    assert kept["activePoints"] == 0
