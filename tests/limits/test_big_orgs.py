"""An org of many cards delays no other client, whatever is done with all of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.limits.watched import Client, Watched, watched

CARDS = 20_000
BATCH = 500
LONGEST = 60  # ms that anybody may wait for others; each attack takes ten times as long
START, EXPIRY = "2026-01-01T00:00:00.000Z", "2031-01-01T00:00:00.000Z"
ORG = "/__admin/orgs/big"


def card(number: int) -> dict[str, Any]:
    return {
        "id": f"00000000-0000-4000-8000-{number:012}",
        "@type": "InternalGiftCard",
        "name": f"Geschenk {number}",
        "external_number": f"N-{number}",
        "current_balance": {"unit": "EUR", "value": 50.25},
        "expiration_date_and_time": EXPIRY,
    }


@pytest.fixture(scope="module")
def server() -> Iterator[Watched]:
    with watched() as server:
        yield server


@pytest.fixture
def big(server: Watched) -> Iterator[Watched]:
    """An org whose clock stands still, and its cards."""
    server.client.done("PUT", f"{ORG}/clock", {"now": START, "frozen": True})
    for first in range(0, CARDS, BATCH):
        cards = [card(number) for number in range(first, first + BATCH)]
        server.client.done("POST", f"{ORG}/seed", {"enfore": {"gift_cards": cards}})
    yield server
    server.client.done("DELETE", ORG)


def status_of(client: Client, number: int) -> Any:
    return client.done("GET", f"/promotions/org/big/sales-vouchers/gift-cards/{card(number)['id']}").json["status"]


@pytest.mark.parametrize("what", ["state", "export"])
def test_all_that_is_stored_is_sent_between_other_requests(big: Watched, what: str) -> None:
    bodies = []

    longest = big.longest_wait(lambda: bodies.append(big.client.done("GET", f"{ORG}/{what}").json))

    state = bodies[0]["org"] if what == "export" else bodies[0]
    entries = state["documents"]["enfore"]["gift_cards"]
    assert [entry["document"]["external_number"] for entry in entries] == [f"N-{number}" for number in range(CARDS)]
    assert {(entry["created"], len(entry)) for entry in entries} == {(START, 3)}
    assert [entry["place"] for entry in entries] == sorted(entry["place"] for entry in entries)
    assert longest < LONGEST


def test_a_state_that_is_sent_is_that_of_one_moment(big: Watched) -> None:
    with Client(big.url) as slow:
        slow.begin("GET", f"{ORG}/state")
        slow.read_head()
        big.client.done("POST", f"{ORG}/reset")
        big.client.done("POST", f"{ORG}/seed", {"enfore": {"gift_cards": [card(0)]}})
        state = slow.end().json

    assert len(state["documents"]["enfore"]["gift_cards"]) == CARDS


def test_what_falls_due_happens_between_other_requests(big: Watched) -> None:
    replies = []

    longest = big.longest_wait(
        lambda: replies.append(big.client.done("POST", f"{ORG}/clock/advance", {"by": "P10Y"}).json)
    )

    assert replies[0]["now"] == "2036-01-01T00:00:00.000Z"
    assert [entry["id"] for entry in replies[0]["happened"]] == [card(number)["id"] for number in range(CARDS)]
    assert replies[0]["happened"][-1] == {
        "at": EXPIRY,
        "event": "expire-gift-card",
        "id": card(CARDS - 1)["id"],
        "notified": ["gift-card-changed"],
        "internal_error": None,
    }
    assert longest < LONGEST


def test_setting_a_clock_delays_no_other_client(big: Watched) -> None:
    longest = big.longest_wait(lambda: big.client.done("PUT", f"{ORG}/clock", {"now": "2040-01-01T00:00:00Z"}))

    assert status_of(big.client, CARDS - 1) == "EXPIRED"
    assert longest < LONGEST


def test_a_request_waits_until_its_own_org_has_caught_up(big: Watched) -> None:
    """All fall due at the same moment, which the clock shows while they happen one by one."""
    with Client(big.url) as advancing:
        advancing.begin("POST", f"{ORG}/clock/advance", {"by": "P10Y"})
        while (now := big.client.done("GET", f"{ORG}/clock").json["now"]) == START:
            pass
        status = status_of(big.client, CARDS - 1)
        happened = advancing.end().json["happened"]

    assert now >= EXPIRY
    assert status == "EXPIRED"
    assert len(happened) == CARDS


def test_a_snapshot_and_its_restoration_delay_no_other_client(big: Watched) -> None:
    def there_and_back() -> None:
        big.client.done("PUT", f"{ORG}/snapshots/one")
        big.client.done("POST", f"{ORG}/reset")
        big.client.done("PUT", f"{ORG}/snapshots/two")
        big.client.done("POST", f"{ORG}/snapshots/two/restore")
        big.client.done("DELETE", f"{ORG}/snapshots/two")

    assert big.longest_wait(there_and_back) < LONGEST
