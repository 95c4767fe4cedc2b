"""A server in the tests' process gives other threads the same replies without a connection as over one."""

from __future__ import annotations

import copy
import decimal
import multiprocessing
import pickle
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from promo_sandbox.client import Org, Rejected, Sandbox, TooFewWebhooks, Unreachable
from promo_sandbox.server import app as application
from promo_sandbox.testing import running
from tests.patience import LONG

CARDS = "/promotions/org/acme/sales-vouchers/gift-cards"
BEARER = {"Authorization": "Bearer any"}
EUR = {"unit": "EUR", "value": 50}
RICH = {"unit": "EUR", "value": decimal.Decimal("12345.67")}


@pytest.fixture(scope="module")
def server() -> Iterator[Sandbox]:
    with running() as server:
        yield server


@pytest.fixture
def org(server: Sandbox) -> Org:
    org = server.org("t1")
    org.reset()
    return org


def test_both_ways_at_once_lose_nothing(org: Org) -> None:
    def seeded(number: int) -> None:
        org.seed(enfore={"gift_cards": [{"name": f"seeded {number}", "current_balance": EUR}]})

    def asked(number: int) -> None:
        with httpx2.Client(base_url=org.url("enfore"), headers=BEARER, timeout=LONG) as client:
            for _ in range(10):
                assert client.get(f"{CARDS}/none-{number}").status_code == 404

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda number: (asked if number % 2 else seeded)(number), range(60)))

    cards = [it["document"] for it in org.state()["documents"]["enfore"]["gift_cards"]]
    assert sorted(card["name"] for card in cards) == sorted(f"seeded {number}" for number in range(0, 60, 2))
    assert len({card["id"] for card in cards}) == 30
    assert org.count(status=404) == 300


def test_a_late_reply_is_awaited(org: Org) -> None:
    with pytest.raises(TooFewWebhooks):
        org.webhooks.wait(timeout=0.01)


def test_a_waiting_request_ends_with_the_server() -> None:
    with ThreadPoolExecutor(4) as threads:
        with running() as server:
            org = server.org("t1")
            org.reset()
            waiting = [threads.submit(org.webhooks.wait, timeout=60) for _ in range(4)]
            org.reset()
        failures = [it.exception(timeout=LONG) for it in waiting]

    assert {type(failure) for failure in failures} == {Unreachable}


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")  # as in a user's tests
def test_a_forked_process_asks_the_server_of_the_one_it_was_forked_from(org: Org) -> None:
    def ask() -> None:
        org.seed(enfore={"gift_cards": [{"id": "forked", "name": "Xmas", "current_balance": EUR}]})

    child = multiprocessing.get_context("fork").Process(target=ask)
    child.start()
    child.join(LONG)

    assert child.exitcode == 0
    assert [it["document"]["id"] for it in org.state()["documents"]["enfore"]["gift_cards"]] == ["forked"]


@pytest.mark.fuzz  # not traced: a signal may interrupt coverage while it holds a lock
def test_a_time_limit_ends_a_wait_and_breaks_nothing(org: Org) -> None:
    def over(*_: object) -> None:
        raise TimeoutError("the test has taken too long")

    def wait() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        org.webhooks.wait(timeout=60)

    before = signal.signal(signal.SIGALRM, over)
    try:
        with pytest.raises(TimeoutError, match="the test has taken too long"):
            wait()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

    assert org.about()["documents"] == 0


@pytest.mark.fuzz  # as above
def test_a_signal_handler_may_send_a_request(org: Org) -> None:
    asked: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda *_: asked.append(org.about()["documents"]))
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    try:
        while len(asked) < 200:
            org.about()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

    assert org.about()["documents"] == 0


def test_a_copy_of_a_handle_asks_the_same_server(org: Org) -> None:
    assert pickle.loads(pickle.dumps(org)).about()["name"] == org.org  # noqa: S301 - our own
    assert copy.deepcopy(org).about()["name"] == org.org


def test_an_export_is_the_same_over_a_connection(org: Org, server: Sandbox) -> None:
    org.clock.freeze("2030-01-01T00:00:00Z")
    org.seed(enfore={"gift_cards": [{"name": "Xmas", "current_balance": EUR}]})

    by_connection = httpx2.get(f"{server.url}/__admin/orgs/t1/export", timeout=LONG)

    assert {**by_connection.json(), "exported": "now"} == {**org.export(), "exported": "now"}


def test_the_decimal_context_of_the_calling_thread_has_no_effect(org: Org) -> None:
    with decimal.localcontext(
        decimal.Context(prec=2, Emax=2, Emin=-2, traps=[decimal.Inexact, decimal.FloatOperation])
    ):
        seeded = org.seed(enfore={"gift_cards": [{"id": "a", "name": "Xmas", "current_balance": RICH}]})
        org.count(body={"a": 1})

    [card] = seeded["enfore"]["gift_cards"]
    assert card["current_balance"] == RICH


def test_a_rejection_is_the_same(org: Org, server: Sandbox) -> None:
    with pytest.raises(Rejected) as rejected:
        org.scenario("none")

    by_connection = httpx2.put(f"{server.url}/__admin/orgs/t1/scenario", json={"name": "none"}, timeout=LONG)
    assert (rejected.value.status, rejected.value.detail) == (by_connection.status_code, by_connection.json()["detail"])


def test_a_body_may_not_be_longer_than_over_a_connection(org: Org, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(application, "MAX_ADMIN_BODY", 10)

    with pytest.raises(Rejected) as rejected:
        org.put_state({"documents": {}})

    assert rejected.value.status == 413
