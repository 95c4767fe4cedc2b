"""Clients that handle the bundled scenarios of Norce."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from urllib.parse import urlencode

import httpx2
import pytest

from tests.patience import LONG, TICK
from tests.scenarios.staging import RetryingClient, for_scenario, impatient, statuses, wait_for_calls
from tests.serving import Json, OrgClient

SPRING = "/commerce/management/1.0/api/promotion/100"
CODES = f"{SPRING}/unique-codes"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def named(slug: OrgClient, bearer: str = "any") -> dict[str, str]:
    return {"Sandbox-Org": slug.org, "Authorization": f"Bearer {bearer}"}


def ask(slug: OrgClient, method: str, path: str, body: Json = None, bearer: str = "any") -> httpx2.Response:
    return slug.request(method, path, body, headers=named(slug, bearer))


def claim(slug: OrgClient, order: int | None) -> httpx2.Response:
    """Claims a code for an order; without an order, returns it."""
    code = {"DiscountCode": "SPRING-7QX4", "IsClaimed": order is not None, "QuotationId": order}
    return ask(slug, "PUT", CODES, [code])


def read_code(slug: OrgClient) -> Json:
    (code,) = ask(slug, "GET", CODES).json()
    return code


def fetch_token(slug: OrgClient) -> httpx2.Response:
    form = {"grant_type": "client_credentials", "client_id": "shop", "client_secret": "geheim", "scope": "playground"}
    path = f"{slug.url}/identity/1.0/connect/token"
    return slug.http.post(path, content=urlencode(form), headers={**FORM, "Sandbox-Org": slug.org})


@for_scenario("norce/outage")
def test_codes_are_inserted_after_an_outage(org_client: OrgClient) -> None:
    client = RetryingClient(org_client)
    ask(org_client, "GET", SPRING)

    inserted = client.request("POST", CODES, [{"DiscountCode": "SPRING-9KL2"}], headers=named(org_client))

    assert client.results == [*["no reply"] * 4, "200"]
    assert inserted.json() == 1
    assert statuses(org_client, "PromotionApi_InsertUniqueCodes") == [0, 0, 0, 0, 200]


@for_scenario("norce/outage")
def test_the_outage_ends_after_a_minute_by_the_orgs_clock(org_client: OrgClient) -> None:
    ask(org_client, "GET", SPRING)
    with pytest.raises(httpx2.RemoteProtocolError, match="disconnected without sending a response"):
        ask(org_client, "GET", SPRING)

    org_client.advance("PT1M")

    assert ask(org_client, "POST", CODES, [{"DiscountCode": "SPRING-9KL2"}]).json() == 1


@for_scenario("norce/slow")
def test_codes_that_are_sent_twice_are_inserted_once(org_client: OrgClient) -> None:
    codes = [{"DiscountCode": "SPRING-7QX4"}, {"DiscountCode": "SPRING-9KL2"}]

    with impatient(org_client) as client, pytest.raises(httpx2.ReadTimeout):
        ask(client, "POST", CODES, codes)
    wait_for_calls(org_client, "PromotionApi_InsertUniqueCodes")
    again = ask(org_client, "POST", CODES, codes)

    assert again.json() == 0  # new ones, though both are there
    assert [code["DiscountCode"] for code in ask(org_client, "GET", CODES).json()] == ["SPRING-7QX4", "SPRING-9KL2"]


@for_scenario("norce/token-rate-limit")
def test_a_client_that_requests_too_many_tokens_continues_with_its_last_one(org_client: OrgClient) -> None:
    first, second = fetch_token(org_client), fetch_token(org_client)
    promotions = [ask(org_client, "GET", SPRING, bearer=first.json()["access_token"]).json() for _ in range(3)]
    org_client.advance("PT20S")
    third = fetch_token(org_client)

    assert [first.status_code, second.status_code, third.status_code] == [200, 429, 200]
    assert second.json() == {"error": "too_many_requests"}
    assert [promotion["Status"] for promotion in promotions] == ["Active"] * 3


@for_scenario("norce/code-claimed-twice")
def test_only_one_of_two_tills_that_claim_a_code_gets_it(org_client: OrgClient) -> None:
    have_looked, have_claimed = Barrier(2), Barrier(2)

    def till(order: int) -> tuple[bool, httpx2.Response, int]:
        """Whether the code was free, the status of the claim, and the order that has the code then."""
        with httpx2.Client(timeout=LONG) as http:
            own = OrgClient(org_client.url, org_client.org, http)
            free = not read_code(own)["IsClaimed"]
            have_looked.wait(LONG)
            answer = claim(own, order)
            have_claimed.wait(LONG)
            return free, answer, read_code(own)["QuotationId"]

    with ThreadPoolExecutor(2) as both:
        (free, answer, seen), (other_free, other_answer, other_seen) = both.map(till, [7, 8])

    assert free
    assert other_free
    assert (answer.status_code, other_answer.status_code) == (200, 200)
    assert min(answer.elapsed, other_answer.elapsed).total_seconds() >= 0.2 - TICK  # both were under way at once
    assert seen == other_seen
    assert seen in (7, 8)


@for_scenario("norce/promotion-stopped", until="2030-01-01T09:01:00.000")
def test_a_client_notices_a_stopped_promotion_and_returns_the_code(org_client: OrgClient) -> None:
    in_the_cart = ask(org_client, "GET", SPRING).json()
    claimed = claim(org_client, 7)
    with_the_order = ask(org_client, "GET", SPRING).json()
    given_back = claim(org_client, None)

    assert in_the_cart["Status"] == "Active"
    assert (claimed.status_code, given_back.status_code) == (200, 200)
    assert (with_the_order["Status"], with_the_order["StoppedDate"]) == ("Inactive", "2030-01-01T09:00:30.000Z")
    assert in_the_cart.keys() == with_the_order.keys()
    assert not read_code(org_client)["IsClaimed"]
