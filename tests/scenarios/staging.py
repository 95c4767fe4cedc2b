"""What the tests of the bundled scenarios share: the stage, and a client that comes back as a real integration does."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from promo_sandbox.base import config
from tests.patience import LONG
from tests.serving import Json, World

BUNDLED: Path = config.data_folder("scenarios")
PATIENCE = 0.3  # seconds; every `delay` that is to be noticed is several times as long
_BUSY = (429, 503)

Test = Callable[..., None]


def shows(name: str, until: str | None = None) -> Callable[[Test], Test]:
    """A test that is played on this scenario's stage, and in the end has met all of it and nothing else.

    until: what the org's clock then begins with, where the scenario moves it.
    """

    def decorate(test: Test) -> Test:
        @functools.wraps(test)
        def played(*, world: World, **fixtures: Any) -> None:
            begin(world, name)
            test(world=world, **fixtures)
            assert_played_out(world)
            if until is not None:
                assert world.admin("GET", "/clock").json()["now"].startswith(until)

        played.scenario = name  # type: ignore[attr-defined] # for the test that none was forgotten
        return played

    return decorate


def begin(world: World, name: str) -> None:
    world.org = world.org.replace("-", "")  # a name that a tenant of every vendor may have
    response = world.admin("PUT", "/scenario", {"name": name})
    assert response.status_code == 200, response.text


def assert_played_out(world: World) -> None:
    report = world.admin("GET", "/scenario").json()
    current = report["current"] and report["steps"][report["current"] - 1]
    assert (report["unmet"], report["unexpected"]) == ([], [])
    assert current is None or current["times"] == "any"
    assert [it["internal_error"] for it in journal(world) if it["internal_error"]] == []


def journal(world: World) -> list[Json]:
    """What was asked, oldest first."""
    requests: list[Json] = world.admin("GET", "/requests?limit=100").json()["requests"]
    return requests[::-1]


def statuses(world: World, operation: str) -> list[int]:
    """What an operation answered, whether it arrived or not; 0 where its rule never ran."""
    return [it["reply"]["status"] for it in journal(world) if it["operation"] == operation]


def arrived(world: World, operation: str, calls: int = 1) -> None:
    """Return once the operation was called so often: a client may give up before a busy server has read its call."""
    deadline = time.monotonic() + LONG
    while len(statuses(world, operation)) < calls:
        assert time.monotonic() < deadline, f"{operation} was not called {calls} times in {LONG} s"


@contextmanager
def hasty(world: World) -> Iterator[World]:
    """The same org by a client that waits for no reply longer than `PATIENCE`."""
    with httpx2.Client(timeout=httpx2.Timeout(LONG, read=PATIENCE)) as http:
        yield World(world.url, world.org, http)


class Persistent:
    """Asks again where nothing arrived, or what arrived says to come later; it has no clock, so it notes its waits."""

    def __init__(self, world: World, tries: int = 8) -> None:
        self._world = world
        self._tries = tries
        self.met: list[str] = []
        self.waited: list[int] = []

    def ask(self, method: str, path: str, body: Json = None, **more: Any) -> httpx2.Response:
        for _ in range(self._tries):
            try:
                response = self._world.request(method, path, body, **more)
            except httpx2.TransportError as error:
                self.met.append(_how_lost(error))
                continue
            self.met.append(str(response.status_code))
            if response.status_code not in _BUSY:
                return response
            self.waited.append(int(response.headers["retry-after"]))
        raise AssertionError(f"gave up after {self.met}")


def _how_lost(error: httpx2.TransportError) -> str:
    said = str(error)
    if said.startswith("peer closed connection without sending complete message body"):
        return "half a reply"
    return "no reply" if said.startswith("Server disconnected without") else type(error).__name__


# enfore


def cards(world: World, *segments: str) -> str:
    return "/".join([f"/promotions/org/{world.org}/sales-vouchers/gift-cards", *segments])


def amount(value: float, reference: str) -> Json:
    """A redemption; its reference is the client's own, and is how it finds again what it asked for."""
    return {"redeemed_amount": {"unit": "EUR", "value": value}, "external_reference": reference}


def spend(world: World, value: float, reference: str) -> httpx2.Response:
    return world.request("POST", cards(world, "gc-1", "redemptions"), amount(value, reference))


def booked(world: World) -> list[str]:
    """The references of the card's redemptions, as a client lists them."""
    response = world.request("GET", cards(world, "gc-1", "redemptions"))
    assert response.status_code == 200, response.text
    return [item["external_reference"] for item in response.json()["items"]]


def stored_balance(world: World) -> Json:
    """As it is, whatever the client was told; takes no step."""
    (card,) = world.state()["enfore"]["gift_cards"]
    return card["document"]["current_balance"]["value"]
