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
from tests.serving import Json, World

Client = Callable[[World], object]


class Case(NamedTuple):
    """Two clients, and the correct result."""

    better: Client
    worse: Client
    right: Callable[[World], bool]


def _redeems(world: World) -> bool:
    """Whether there was a reply, and it was a success."""
    with suppress(httpx2.TransportError):
        return spend(world, 20, "order 1").status_code == 201
    return False


def _looks_first(world: World) -> None:
    if not _redeems(world) and "order 1" not in booked(world):
        _redeems(world)


def _repeats(world: World) -> None:
    """Believes the last reply."""
    if not _redeems(world):
        _redeems(world)


def _looks_first_and_reads_the_card(world: World) -> None:
    _looks_first(world)
    world.request("GET", cards(world, "gc-1"))


def _repeats_and_reads_the_card(world: World) -> None:
    _repeats(world)
    world.request("GET", cards(world, "gc-1"))


def _reads_twice_then(redeem: Client) -> Client:
    """Reads a card again if it was incomplete."""

    def act(world: World) -> None:
        for _ in range(2):
            with suppress(httpx2.TransportError):
                world.request("GET", cards(world, "gc-1"))
        redeem(world)

    return act


def _hurried(redeem: Client) -> Client:
    """Uses a client with a short timeout."""

    def act(world: World) -> None:
        with impatient(world) as client:
            with suppress(httpx2.TransportError):
                client.request("GET", cards(client, "gc-1"))
            with suppress(httpx2.TransportError):
                redeem(client)

    return act


def _patient(world: World) -> None:
    world.request("GET", cards(world, "gc-1"))
    spend(world, 20, "order 1")


def _one_after_the_other(*clients: Client) -> Client:
    def act(world: World) -> None:
        for client in clients:
            client(world)

    return act


def _spent(value: int) -> Callable[[World], bool]:
    return lambda world: bool(stored_balance(world) == 50 - value)


def _three_orders(world: World, ask: Callable[[RetryingClient, int], object]) -> None:
    client = RetryingClient(world)
    for number in (1, 2, 3):
        ask(client, number)


def _all_again(world: World) -> None:
    """Sends all three again, although only one was rejected."""
    for _ in range(2):
        for number in (1, 2, 3):
            spend(world, 10, f"order {number}")


def _in_the_cart(world: World) -> None:
    world.request("GET", cards(world, "gc-1"))


def _rereads_before_redeeming(world: World) -> None:
    """Does not try an expired card."""
    _in_the_cart(world)
    if world.request("GET", cards(world, "gc-1")).json()["status"] == "ISSUED":
        spend(world, 20, "order 1")


def _outage(world: World) -> None:
    client = RetryingClient(world)
    client.request("GET", cards(world, "gc-1"))
    client.request("POST", cards(world, "gc-1", "redemptions"), amount(20, "order 1"))


def _gives_up(world: World) -> None:
    world.request("GET", cards(world, "gc-1"))
    spend(world, 20, "order 1")


# Emporix


def _coupon(world: World, what: str = "redemptions", code: str = "WELCOME") -> int:
    """The status; 0 if there was no reply."""
    with suppress(httpx2.TransportError):
        path = emporix.coupon(world, code, what)
        return world.request("POST", path, emporix.order("O-1"), headers=emporix.customer(world)).status_code
    return 0


def _looks_for_its_redemption(world: World) -> None:
    if _coupon(world) != 201:
        world.request("GET", emporix.coupon(world, "WELCOME", "redemptions"))


def _redeems_again(world: World) -> None:
    if _coupon(world) != 201:
        _coupon(world)


def _exchange(world: World, option: str) -> int:
    path = "/reward-points/public/customer/redeem"
    return world.request("POST", path, {"id": option}, headers=emporix.customer(world)).status_code


def _leaves_it_to_emporix(world: World) -> None:
    _exchange(world, "broken")
    _exchange(world, "five-off")


def _gives_points_back_itself(world: World) -> None:
    _exchange(world, "broken")
    path, tenant = "/reward-points/customer/C1/addPoints", {"Emporix-Tenant": world.org}
    world.request("POST", path, {"points": 200}, headers=tenant)
    _exchange(world, "five-off")


def _points(world: World) -> Json:
    (account,) = world.state()["emporix"]["reward_points"]
    return account["document"]["activePoints"]


def _keeps_its_token(world: World) -> None:
    backoffice = emporix.Backoffice(world)
    backoffice.add(100)
    backoffice.add(50)


def _takes_401_for_a_no(world: World) -> None:
    backoffice = emporix.Backoffice(world)
    backoffice.add(100)
    points = {"points": 50}
    world.request("POST", "/reward-points/customer/C1/addPoints", points, headers=emporix.bearer("expired.by.now"))


def _tries_codes(world: World, *, persistent: bool) -> None:
    client = RetryingClient(world)
    for code in ("WELCOMME", "WELLCOME", "WELKOME", "WELCOME"):
        path = emporix.coupon(world, code, "validation")
        if persistent:
            client.request("POST", path, emporix.FIVE_OFF, headers=emporix.customer(world))
        else:  # 429 is taken for one code more that is wrong
            world.request("POST", path, emporix.FIVE_OFF, headers=emporix.customer(world))


# Norce

NEW_CODES = [{"DiscountCode": "SPRING-7QX4"}, {"DiscountCode": "SPRING-9KL2"}]


def _reads_again_before_it_claims(world: World) -> None:
    norce.ask(world, "GET", norce.SPRING)
    if norce.ask(world, "GET", norce.SPRING).json()["Status"] == "Active":
        norce.claim(world, 7)


def _claims_and_gives_back(world: World) -> None:
    norce.ask(world, "GET", norce.SPRING)
    norce.claim(world, 7)
    if norce.ask(world, "GET", norce.SPRING).json()["Status"] != "Active":
        norce.claim(world, None)


def _claims_what_it_saw(world: World) -> None:
    norce.ask(world, "GET", norce.SPRING)
    norce.claim(world, 7)


def _keeps_the_token(world: World) -> None:
    token = norce.fetch_token(world).json()["access_token"]
    for _ in range(3):
        norce.ask(world, "GET", norce.SPRING, bearer=token)


def _fetches_one_each_time(world: World) -> None:
    for _ in range(3):
        fetched = norce.fetch_token(world)
        if fetched.status_code == 200:
            norce.ask(world, "GET", norce.SPRING, bearer=fetched.json()["access_token"])


def _inserts(world: World) -> None:
    client = RetryingClient(world)
    norce.ask(world, "GET", norce.SPRING)
    client.request("POST", norce.CODES, NEW_CODES, headers=norce.named(world))


def _inserts_once(world: World) -> None:
    norce.ask(world, "GET", norce.SPRING)
    with suppress(httpx2.TransportError):
        norce.ask(world, "POST", norce.CODES, NEW_CODES)


def _both_read(claims: bool) -> Client:
    def act(world: World) -> None:
        for _ in range(2):
            norce.read_code(world)
        for order in (7, 8):
            norce.claim(world, order)
        for _ in range(2 if claims else 0):
            norce.read_code(world)

    return act


def _unclaimed(world: World) -> bool:
    (code,) = world.state()["norce"]["unique_codes"]
    return not code["document"]["IsClaimed"]


def _any(_: World) -> bool:
    return True


CASES = {
    "enfore/lost-reply": Case(_looks_first_and_reads_the_card, _repeats_and_reads_the_card, _spent(20)),
    "enfore/lost-then-expired": Case(_looks_first, _repeats, _spent(20)),
    "enfore/half-written-reply": Case(_reads_twice_then(_looks_first), _reads_twice_then(_repeats), _spent(20)),
    "enfore/corrupt-reply": Case(
        _reads_twice_then(lambda world: (spend(world, 20, "order 1"), booked(world))),
        _reads_twice_then(lambda world: [spend(world, 20, "order 1") for _ in range(2)]),
        _spent(20),
    ),
    "enfore/slow": Case(_patient, _hurried(_repeats), _spent(20)),
    "enfore/outage": Case(_outage, _gives_up, _spent(20)),
    "enfore/expiry-in-checkout": Case(_rereads_before_redeeming, lambda world: spend(world, 20, "order 1"), _spent(0)),
    "enfore/contract-drift": Case(_in_the_cart, _gives_up, _spent(0)),
    "enfore/rate-limit": Case(
        lambda world: _three_orders(
            world,
            lambda client, number: client.request(
                "POST", cards(world, "gc-1", "redemptions"), amount(10, f"order {number}")
            ),
        ),
        _all_again,
        _spent(30),
    ),
    "emporix/lost-redemption": Case(_looks_for_its_redemption, _redeems_again, _any),
    "emporix/points-chargeback": Case(
        _leaves_it_to_emporix, _gives_points_back_itself, lambda world: bool(_points(world) == 50)
    ),
    "emporix/token-expires-mid-flow": Case(
        _keeps_its_token, _takes_401_for_a_no, lambda world: bool(_points(world) == 150)
    ),
    "emporix/rate-limit": Case(
        lambda world: _tries_codes(world, persistent=True), lambda world: _tries_codes(world, persistent=False), _any
    ),
    "norce/promotion-stopped": Case(_reads_again_before_it_claims, _claims_what_it_saw, _unclaimed),
    "norce/token-rate-limit": Case(_keeps_the_token, _fetches_one_each_time, _any),
    "norce/outage": Case(_inserts, _inserts_once, lambda world: len(world.state()["norce"]["unique_codes"]) == 2),
    "norce/code-claimed-twice": Case(_both_read(claims=True), _both_read(claims=False), _any),
}
each_scenario = pytest.mark.parametrize(("name", "case"), CASES.items(), ids=CASES.keys())


def _came_through(world: World, case: Case) -> bool:
    report = world.admin("GET", "/scenario").json()
    assert [it["internal_error"] for it in journal(world) if it["internal_error"]] == []
    return not report["unmet"] and not report["unexpected"] and case.right(world)


@each_scenario
def test_the_better_client_succeeds(world: World, name: str, case: Case) -> None:
    begin(world, name)

    case.better(world)

    assert _came_through(world, case)


@each_scenario
def test_a_worse_client_fails(world: World, name: str, case: Case) -> None:
    begin(world, name)

    case.worse(world)

    assert not _came_through(world, case)


@pytest.mark.parametrize(
    ("name", "client"),
    [
        ("enfore/lost-then-expired", _one_after_the_other(_repeats, booked)),
        ("enfore/slow", _hurried(_looks_first)),
        ("enfore/expiry-in-checkout", _one_after_the_other(_in_the_cart, lambda world: spend(world, 20, "order 1"))),
        ("norce/promotion-stopped", _claims_and_gives_back),
        ("emporix/lost-redemption", _one_after_the_other(_redeems_again, _looks_for_its_redemption)),
    ],
)
def test_another_correct_client_succeeds_too(world: World, name: str, client: Client) -> None:
    begin(world, name)

    client(world)

    assert _came_through(world, CASES[name])


def test_repeating_a_lost_redemption_charges_the_card_twice(world: World) -> None:
    begin(world, "enfore/lost-reply")

    _repeats_and_reads_the_card(world)

    assert stored_balance(world) == 10
    assert world.admin("GET", "/scenario").json()["unmet"] != []


def test_a_coupon_without_redemptions_left_is_rejected_by_the_rules(world: World) -> None:
    begin(world, "emporix/coupon-used-up")

    answers = [_coupon(world, what, "LAST-ONE") for what in ("validation", "validation", "redemptions")]

    assert answers == [200, 400, 400]
    assert len(world.state()["emporix"]["coupon_redemptions"]) == 1
