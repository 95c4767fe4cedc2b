"""In each bundled scenario, the better client succeeds and a worse one is detected.

The worse one leaves a step unmet, makes an unexpected call, or leaves the wrong objects in the state.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

import httpx2
import pytest

from tests.scenarios import test_emporix as emporix
from tests.scenarios import test_norce as norce
from tests.scenarios.staging import (
    RetryingClient,
    amount,
    begin,
    booked,
    cards,
    impatient,
    journal,
    spend,
    stored_balance,
)
from tests.serving import Json, OrgClient

Client = Callable[[OrgClient], object]


class Case(NamedTuple):
    """Two clients, and the correct result."""

    better: Client
    worse: Client
    right: Callable[[OrgClient], bool]


def _redeems(org_client: OrgClient) -> bool:
    """Whether there was a reply, and it was a success."""
    with suppress(httpx2.TransportError):
        return spend(org_client, 20, "order 1").status_code == 201
    return False


def _looks_first(org_client: OrgClient) -> None:
    if not _redeems(org_client) and "order 1" not in booked(org_client):
        _redeems(org_client)


def _repeats(org_client: OrgClient) -> None:
    """Believes the last reply."""
    if not _redeems(org_client):
        _redeems(org_client)


def _looks_first_and_reads_the_card(org_client: OrgClient) -> None:
    _looks_first(org_client)
    org_client.request("GET", cards(org_client, "gc-1"))


def _repeats_and_reads_the_card(org_client: OrgClient) -> None:
    _repeats(org_client)
    org_client.request("GET", cards(org_client, "gc-1"))


def _reads_twice_then(redeem: Client) -> Client:
    """Reads a card again if it was incomplete."""

    def act(org_client: OrgClient) -> None:
        for _ in range(2):
            with suppress(httpx2.TransportError):
                org_client.request("GET", cards(org_client, "gc-1"))
        redeem(org_client)

    return act


def _hurried(redeem: Client) -> Client:
    """Uses a client with a short timeout."""

    def act(org_client: OrgClient) -> None:
        with impatient(org_client) as client:
            with suppress(httpx2.TransportError):
                client.request("GET", cards(client, "gc-1"))
            with suppress(httpx2.TransportError):
                redeem(client)

    return act


def _patient(org_client: OrgClient) -> None:
    org_client.request("GET", cards(org_client, "gc-1"))
    spend(org_client, 20, "order 1")


def _one_after_the_other(*clients: Client) -> Client:
    def act(org_client: OrgClient) -> None:
        for client in clients:
            client(org_client)

    return act


def _spent(value: int) -> Callable[[OrgClient], bool]:
    return lambda org_client: bool(stored_balance(org_client) == 50 - value)


def _three_orders(org_client: OrgClient, ask: Callable[[RetryingClient, int], object]) -> None:
    client = RetryingClient(org_client)
    for number in (1, 2, 3):
        ask(client, number)


def _all_again(org_client: OrgClient) -> None:
    """Sends all three again, although only one was rejected."""
    for _ in range(2):
        for number in (1, 2, 3):
            spend(org_client, 10, f"order {number}")


def _in_the_cart(org_client: OrgClient) -> None:
    org_client.request("GET", cards(org_client, "gc-1"))


def _rereads_before_redeeming(org_client: OrgClient) -> None:
    """Does not try an expired card."""
    _in_the_cart(org_client)
    if org_client.request("GET", cards(org_client, "gc-1")).json()["status"] == "ISSUED":
        spend(org_client, 20, "order 1")


def _outage(org_client: OrgClient) -> None:
    client = RetryingClient(org_client)
    client.request("GET", cards(org_client, "gc-1"))
    client.request("POST", cards(org_client, "gc-1", "redemptions"), amount(20, "order 1"))


def _gives_up(org_client: OrgClient) -> None:
    org_client.request("GET", cards(org_client, "gc-1"))
    spend(org_client, 20, "order 1")


# Emporix


def _coupon(org_client: OrgClient, what: str = "redemptions", code: str = "WELCOME") -> int:
    """The status; 0 if there was no reply."""
    with suppress(httpx2.TransportError):
        path = emporix.coupon(org_client, code, what)
        return org_client.request("POST", path, emporix.order("O-1"), headers=emporix.customer(org_client)).status_code
    return 0


def _looks_for_its_redemption(org_client: OrgClient) -> None:
    if _coupon(org_client) != 201:
        org_client.request("GET", emporix.coupon(org_client, "WELCOME", "redemptions"))


def _redeems_again(org_client: OrgClient) -> None:
    if _coupon(org_client) != 201:
        _coupon(org_client)


def _exchange(org_client: OrgClient, option: str) -> int:
    path = "/reward-points/public/customer/redeem"
    return org_client.request("POST", path, {"id": option}, headers=emporix.customer(org_client)).status_code


def _leaves_it_to_emporix(org_client: OrgClient) -> None:
    _exchange(org_client, "broken")
    _exchange(org_client, "five-off")


def _gives_points_back_itself(org_client: OrgClient) -> None:
    _exchange(org_client, "broken")
    path, tenant = "/reward-points/customer/C1/addPoints", {"Emporix-Tenant": org_client.org}
    org_client.request("POST", path, {"points": 200}, headers=tenant)
    _exchange(org_client, "five-off")


def _points(org_client: OrgClient) -> Json:
    (account,) = org_client.state()["emporix"]["reward_points"]
    return account["document"]["activePoints"]


def _keeps_its_token(org_client: OrgClient) -> None:
    backoffice = emporix.Backoffice(org_client)
    backoffice.add(100)
    backoffice.add(50)


def _takes_401_for_a_no(org_client: OrgClient) -> None:
    backoffice = emporix.Backoffice(org_client)
    backoffice.add(100)
    points = {"points": 50}
    org_client.request("POST", "/reward-points/customer/C1/addPoints", points, headers=emporix.bearer("expired.by.now"))


def _tries_codes(org_client: OrgClient, *, persistent: bool) -> None:
    client = RetryingClient(org_client)
    for code in ("WELCOMME", "WELLCOME", "WELKOME", "WELCOME"):
        path = emporix.coupon(org_client, code, "validation")
        if persistent:
            client.request("POST", path, emporix.FIVE_OFF, headers=emporix.customer(org_client))
        else:  # 429 is taken for one code more that is wrong
            org_client.request("POST", path, emporix.FIVE_OFF, headers=emporix.customer(org_client))


# Norce

NEW_CODES = [{"DiscountCode": "SPRING-7QX4"}, {"DiscountCode": "SPRING-9KL2"}]


def _reads_again_before_it_claims(org_client: OrgClient) -> None:
    norce.ask(org_client, "GET", norce.SPRING)
    if norce.ask(org_client, "GET", norce.SPRING).json()["Status"] == "Active":
        norce.claim(org_client, 7)


def _claims_and_gives_back(org_client: OrgClient) -> None:
    norce.ask(org_client, "GET", norce.SPRING)
    norce.claim(org_client, 7)
    if norce.ask(org_client, "GET", norce.SPRING).json()["Status"] != "Active":
        norce.claim(org_client, None)


def _claims_what_it_saw(org_client: OrgClient) -> None:
    norce.ask(org_client, "GET", norce.SPRING)
    norce.claim(org_client, 7)


def _keeps_the_token(org_client: OrgClient) -> None:
    token = norce.fetch_token(org_client).json()["access_token"]
    for _ in range(3):
        norce.ask(org_client, "GET", norce.SPRING, bearer=token)


def _fetches_one_each_time(org_client: OrgClient) -> None:
    for _ in range(3):
        fetched = norce.fetch_token(org_client)
        if fetched.status_code == 200:
            norce.ask(org_client, "GET", norce.SPRING, bearer=fetched.json()["access_token"])


def _inserts(org_client: OrgClient) -> None:
    client = RetryingClient(org_client)
    norce.ask(org_client, "GET", norce.SPRING)
    client.request("POST", norce.CODES, NEW_CODES, headers=norce.named(org_client))


def _inserts_once(org_client: OrgClient) -> None:
    norce.ask(org_client, "GET", norce.SPRING)
    with suppress(httpx2.TransportError):
        norce.ask(org_client, "POST", norce.CODES, NEW_CODES)


def _both_read(claims: bool) -> Client:
    def act(org_client: OrgClient) -> None:
        for _ in range(2):
            norce.read_code(org_client)
        for order in (7, 8):
            norce.claim(org_client, order)
        for _ in range(2 if claims else 0):
            norce.read_code(org_client)

    return act


def _unclaimed(org_client: OrgClient) -> bool:
    (code,) = org_client.state()["norce"]["unique_codes"]
    return not code["document"]["IsClaimed"]


def _any(_: OrgClient) -> bool:
    return True


CASES = {
    "enfore/lost-reply": Case(_looks_first_and_reads_the_card, _repeats_and_reads_the_card, _spent(20)),
    "enfore/lost-then-expired": Case(_looks_first, _repeats, _spent(20)),
    "enfore/half-written-reply": Case(_reads_twice_then(_looks_first), _reads_twice_then(_repeats), _spent(20)),
    "enfore/corrupt-reply": Case(
        _reads_twice_then(lambda org_client: (spend(org_client, 20, "order 1"), booked(org_client))),
        _reads_twice_then(lambda org_client: [spend(org_client, 20, "order 1") for _ in range(2)]),
        _spent(20),
    ),
    "enfore/slow": Case(_patient, _hurried(_repeats), _spent(20)),
    "enfore/outage": Case(_outage, _gives_up, _spent(20)),
    "enfore/expiry-in-checkout": Case(
        _rereads_before_redeeming, lambda org_client: spend(org_client, 20, "order 1"), _spent(0)
    ),
    "enfore/contract-drift": Case(_in_the_cart, _gives_up, _spent(0)),
    "enfore/rate-limit": Case(
        lambda org_client: _three_orders(
            org_client,
            lambda client, number: client.request(
                "POST", cards(org_client, "gc-1", "redemptions"), amount(10, f"order {number}")
            ),
        ),
        _all_again,
        _spent(30),
    ),
    "emporix/lost-redemption": Case(_looks_for_its_redemption, _redeems_again, _any),
    "emporix/points-chargeback": Case(
        _leaves_it_to_emporix, _gives_points_back_itself, lambda org_client: bool(_points(org_client) == 50)
    ),
    "emporix/token-expires-mid-flow": Case(
        _keeps_its_token, _takes_401_for_a_no, lambda org_client: bool(_points(org_client) == 150)
    ),
    "emporix/rate-limit": Case(
        lambda org_client: _tries_codes(org_client, persistent=True),
        lambda org_client: _tries_codes(org_client, persistent=False),
        _any,
    ),
    "norce/promotion-stopped": Case(_reads_again_before_it_claims, _claims_what_it_saw, _unclaimed),
    "norce/token-rate-limit": Case(_keeps_the_token, _fetches_one_each_time, _any),
    "norce/outage": Case(
        _inserts, _inserts_once, lambda org_client: len(org_client.state()["norce"]["unique_codes"]) == 2
    ),
    "norce/code-claimed-twice": Case(_both_read(claims=True), _both_read(claims=False), _any),
}
each_scenario = pytest.mark.parametrize(("name", "case"), CASES.items(), ids=CASES.keys())


def _came_through(org_client: OrgClient, case: Case) -> bool:
    report = org_client.admin("GET", "/scenario").json()
    assert [it["internal_error"] for it in journal(org_client) if it["internal_error"]] == []
    return not report["unmet"] and not report["unexpected"] and case.right(org_client)


@each_scenario
def test_the_better_client_succeeds(org_client: OrgClient, name: str, case: Case) -> None:
    begin(org_client, name)

    case.better(org_client)

    assert _came_through(org_client, case)


@each_scenario
def test_a_worse_client_fails(org_client: OrgClient, name: str, case: Case) -> None:
    begin(org_client, name)

    case.worse(org_client)

    assert not _came_through(org_client, case)


@pytest.mark.parametrize(
    ("name", "client"),
    [
        ("enfore/lost-then-expired", _one_after_the_other(_repeats, booked)),
        ("enfore/slow", _hurried(_looks_first)),
        (
            "enfore/expiry-in-checkout",
            _one_after_the_other(_in_the_cart, lambda org_client: spend(org_client, 20, "order 1")),
        ),
        ("norce/promotion-stopped", _claims_and_gives_back),
        ("emporix/lost-redemption", _one_after_the_other(_redeems_again, _looks_for_its_redemption)),
    ],
)
def test_another_correct_client_succeeds_too(org_client: OrgClient, name: str, client: Client) -> None:
    begin(org_client, name)

    client(org_client)

    assert _came_through(org_client, CASES[name])


def test_repeating_a_lost_redemption_charges_the_card_twice(org_client: OrgClient) -> None:
    begin(org_client, "enfore/lost-reply")

    _repeats_and_reads_the_card(org_client)

    assert stored_balance(org_client) == 10
    assert org_client.admin("GET", "/scenario").json()["unmet"] != []


def test_a_coupon_without_redemptions_left_is_rejected_by_the_rules(org_client: OrgClient) -> None:
    begin(org_client, "emporix/coupon-used-up")

    answers = [_coupon(org_client, what, "LAST-ONE") for what in ("validation", "validation", "redemptions")]

    assert answers == [200, 400, 400]
    assert len(org_client.state()["emporix"]["coupon_redemptions"]) == 1
