"""Clients that handle the bundled scenarios of enfore."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import httpx2
import pytest

from tests.patience import LONG, TICK
from tests.scenarios.staging import (
    RetryingClient,
    amount,
    booked,
    cards,
    for_scenario,
    impatient,
    spend,
    statuses,
    stored_balance,
    wait_for_calls,
)
from tests.serving import OrgClient


@for_scenario("enfore/lost-reply", until="2030-01-31T00:00:00.000")
def test_looking_up_a_lost_redemption_charges_the_card_once(org_client: OrgClient) -> None:
    with pytest.raises(httpx2.RemoteProtocolError, match="without sending a response"):
        spend(org_client, 20, "order 1")
    found = booked(org_client)
    card = org_client.request("GET", cards(org_client, "gc-1"))

    assert found == ["order 1"]
    assert card.elapsed.total_seconds() >= 2 - TICK
    assert card.json()["current_balance"] == {"unit": "EUR", "value": 30}


@for_scenario("enfore/lost-then-expired", until="2030-01-01T12:00:10.000")
def test_a_redemption_before_the_card_expired_is_found_by_its_reference(org_client: OrgClient) -> None:
    client = RetryingClient(org_client)

    rejected = client.request("POST", cards(org_client, "gc-1", "redemptions"), amount(20, "order 1"))

    assert client.results == ["no reply", "422"]
    assert rejected.json()["type"].endswith("/gift-card-expired")
    assert booked(org_client) == ["order 1"]
    assert stored_balance(org_client) == 30


@for_scenario("enfore/rate-limit", until="2030-01-01T12:00:01.000")
def test_the_third_redemption_in_a_second_succeeds_after_retry_after(org_client: OrgClient) -> None:
    client = RetryingClient(org_client)

    for number in (1, 2, 3):
        answer = client.request("POST", cards(org_client, "gc-1", "redemptions"), amount(10, f"order {number}"))
        assert answer.status_code == 201

    assert client.results == ["201", "201", "429", "201"]
    assert client.waited == [1]
    assert stored_balance(org_client) == 20


@for_scenario("enfore/outage")
def test_an_outage_of_five_calls_returns_the_page_of_a_gateway(org_client: OrgClient) -> None:
    client = RetryingClient(org_client)

    assert client.request("GET", cards(org_client, "gc-1")).status_code == 200
    first = spend(org_client, 20, "order 1")
    after = client.request("POST", cards(org_client, "gc-1", "redemptions"), amount(20, "order 1"))

    assert (first.status_code, first.headers["content-type"]) == (503, "text/html")
    with pytest.raises(json.JSONDecodeError):
        first.json()
    assert after.status_code == 201
    assert client.results == ["200", "503", "503", "503", "503", "201"]
    assert client.waited == [20, 20, 20, 20]
    assert stored_balance(org_client) == 30


@for_scenario("enfore/outage")
def test_an_outage_ends_after_a_minute_by_the_orgs_clock(org_client: OrgClient) -> None:
    org_client.request("GET", cards(org_client, "gc-1"))

    during = [spend(org_client, 20, "order 1").status_code]
    org_client.advance("PT59S")
    during.append(spend(org_client, 20, "order 1").status_code)
    org_client.advance("PT1S")
    after = spend(org_client, 20, "order 1").status_code

    assert (during, after) == ([503, 503], 201)


@for_scenario("enfore/slow")
def test_a_client_that_timed_out_finds_its_redemption(org_client: OrgClient) -> None:
    with impatient(org_client) as client:
        with pytest.raises(httpx2.ReadTimeout):
            client.request("GET", cards(org_client, "gc-1"))
        wait_for_calls(org_client, "getGiftCard")
        with pytest.raises(httpx2.ReadTimeout):
            spend(client, 20, "order 1")
        wait_for_calls(org_client, "recordGiftCardRedemption")

    assert booked(org_client) == ["order 1"]
    assert statuses(org_client, "recordGiftCardRedemption") == [201]
    assert stored_balance(org_client) == 30


@for_scenario("enfore/double-spend")
def test_only_one_of_two_tills_gets_the_last_euro(org_client: OrgClient) -> None:
    have_looked = Barrier(2)

    def till(name: str) -> tuple[int, int, float]:
        """The balance that the till saw, the status of its redemption, and the seconds that it took."""
        with httpx2.Client(timeout=LONG) as http:
            own = OrgClient(org_client.url, org_client.org, http)
            balance = own.request("GET", cards(own, "gc-1")).json()["current_balance"]["value"]
            have_looked.wait(LONG)
            answer = spend(own, 1, name)
            return balance, answer.status_code, answer.elapsed.total_seconds()

    with ThreadPoolExecutor(2) as both:
        answers = sorted(both.map(till, ["till 1", "till 2"]))

    assert [(balance, status) for balance, status, _ in answers] == [(1, 201), (1, 422)]
    assert min(seconds for _, _, seconds in answers) >= 0.2 - TICK  # both were under way at once
    assert org_client.last()["rejection"] == "gift-card-redeemed"
    assert stored_balance(org_client) == 0


@for_scenario("enfore/expiry-in-checkout", until="2030-01-01T12:10:00.000")
def test_a_card_that_has_just_expired_is_rejected(org_client: OrgClient) -> None:
    shown = org_client.request("GET", cards(org_client, "gc-1")).json()
    rejected = spend(org_client, 20, "order 1")

    assert shown["status"] == "ISSUED"
    assert rejected.status_code == 422
    assert rejected.json()["type"].endswith("/gift-card-expired")
    assert stored_balance(org_client) == 50


@for_scenario("enfore/contract-drift")
def test_a_client_that_checks_notices_a_card_without_balance(org_client: OrgClient) -> None:
    for _ in range(2):
        drifted = org_client.request("GET", cards(org_client, "gc-1"))
        assert drifted.status_code == 200
        assert "current_balance" not in drifted.json()

    assert stored_balance(org_client) == 50


@for_scenario("enfore/half-written-reply")
def test_an_incomplete_reply_is_read_again_and_an_unclear_redemption_is_looked_up(org_client: OrgClient) -> None:
    client = RetryingClient(org_client)

    card = client.request("GET", cards(org_client, "gc-1"))
    with pytest.raises(httpx2.RemoteProtocolError, match="without sending complete message body"):
        spend(org_client, 20, "order 1")

    assert client.results == ["half a reply", "200"]
    assert card.json()["current_balance"]["value"] == 50
    assert booked(org_client) == ["order 1"]
    assert stored_balance(org_client) == 30


@for_scenario("enfore/corrupt-reply")
def test_a_call_with_an_invalid_json_reply_was_executed(org_client: OrgClient) -> None:
    corrupt = org_client.request("GET", cards(org_client, "gc-1"))
    card = org_client.request("GET", cards(org_client, "gc-1"))
    answer = spend(org_client, 20, "order 1")

    for unreadable in (corrupt, answer):
        assert len(unreadable.content) == int(unreadable.headers["content-length"]) > 0
        with pytest.raises(json.JSONDecodeError):
            unreadable.json()
    assert (corrupt.status_code, answer.status_code) == (200, 201)
    assert card.json()["current_balance"]["value"] == 50
    assert booked(org_client) == ["order 1"]
