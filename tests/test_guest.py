"""A server in the tests' own process answers other threads without a connection, as it answers over one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from sandbox import app as application
from sandbox.client import Org, Refused, Sandbox, TooFew
from sandbox.guest import _Loop
from sandbox.testing import running

CARDS = "/promotions/org/acme/sales-vouchers/gift-cards"
BEARER = {"Authorization": "Bearer any"}
EUR = {"unit": "EUR", "value": 50}


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
        with httpx2.Client(base_url=org.url("enfore"), headers=BEARER) as client:
            for _ in range(10):
                assert client.get(f"{CARDS}/none-{number}").status_code == 404

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda number: (asked if number % 2 else seeded)(number), range(60)))

    cards = [it["document"] for it in org.state()["documents"]["enfore"]["gift_cards"]]
    assert sorted(card["name"] for card in cards) == sorted(f"seeded {number}" for number in range(0, 60, 2))
    assert len({card["id"] for card in cards}) == 30
    assert org.count(status=404) == 300


def test_what_another_thread_sets_off_in_its_turn_wakes_the_loop() -> None:
    turn, up, done, loops = threading.Lock(), threading.Event(), threading.Event(), list[_Loop]()

    def run() -> None:
        with turn:
            loops.append(_Loop(turn))
            loops[0].call_soon(up.set)
            loops[0].run_forever()
            loops[0].close()

    thread = threading.Thread(target=run)
    thread.start()
    assert up.wait(10)
    with turn:
        loops[0].call_soon(done.set)

    assert done.wait(10)
    with turn:
        loops[0].call_soon(loops[0].stop)
    thread.join(10)
    assert not thread.is_alive()


def test_what_only_time_can_answer_is_waited_for(org: Org) -> None:
    with pytest.raises(TooFew):
        org.webhooks.wait(timeout=0.01)


def test_what_is_sent_in_pieces_is_whole(org: Org, server: Sandbox) -> None:
    org.clock.freeze("2030-01-01T00:00:00Z")
    org.seed(enfore={"gift_cards": [{"name": "Xmas", "current_balance": EUR}]})

    by_connection = httpx2.get(f"{server.url}/__admin/orgs/t1/export")

    assert {**by_connection.json(), "exported": "now"} == {**org.export(), "exported": "now"}


def test_a_refusal_says_the_same(org: Org, server: Sandbox) -> None:
    with pytest.raises(Refused) as refused:
        org.scenario("none")

    by_connection = httpx2.put(f"{server.url}/__admin/orgs/t1/scenario", json={"name": "none"})
    assert (refused.value.status, refused.value.detail) == (by_connection.status_code, by_connection.json()["detail"])


def test_a_body_may_not_be_longer_than_over_a_connection(org: Org, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(application, "MAX_ADMIN_BODY", 10)

    with pytest.raises(Refused) as refused:
        org.put_state({"documents": {}})

    assert refused.value.status == 413
