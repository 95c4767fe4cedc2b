"""Helpers of the tests of the bundled scenarios, and a client that retries as a real integration does."""

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
from tests.serving import Json, OrgClient

BUNDLED: Path = config.data_folder("scenarios")
PATIENCE = 0.3  # seconds; every `delay` that is to be noticed is several times as long
_BUSY = (429, 503)

Test = Callable[..., None]


def for_scenario(name: str, until: str | None = None) -> Callable[[Test], Test]:
    """Decorator: run the test in an org with this scenario, and check that all its steps are done and nothing else.

    until: the start of the org's time at the end, if the scenario advances the clock.
    """

    def decorate(test: Test) -> Test:
        @functools.wraps(test)
        def played(*, org_client: OrgClient, **fixtures: Any) -> None:
            begin(org_client, name)
            test(org_client=org_client, **fixtures)
            assert_complete(org_client)
            if until is not None:
                assert org_client.admin("GET", "/clock").json()["now"].startswith(until)

        played.scenario = name  # type: ignore[attr-defined] # for the test that each scenario has one
        return played

    return decorate


def begin(org_client: OrgClient, name: str) -> None:
    org_client.org = org_client.org.replace("-", "")  # a name that a tenant of every vendor may have
    response = org_client.admin("PUT", "/scenario", {"name": name})
    assert response.status_code == 200, response.text


def assert_complete(org_client: OrgClient) -> None:
    report = org_client.admin("GET", "/scenario").json()
    current = report["current"] and report["steps"][report["current"] - 1]
    assert (report["unmet"], report["unexpected"]) == ([], [])
    assert current is None or current["times"] == "any"
    assert [it["internal_error"] for it in journal(org_client) if it["internal_error"]] == []


def journal(org_client: OrgClient) -> list[Json]:
    """The exchanges, the oldest first."""
    requests: list[Json] = org_client.admin("GET", "/requests?limit=100").json()["requests"]
    return requests[::-1]


def statuses(org_client: OrgClient, operation: str) -> list[int]:
    """The statuses of an operation's replies, also of lost ones; 0 if its rule did not run."""
    return [it["reply"]["status"] for it in journal(org_client) if it["operation"] == operation]


def wait_for_calls(org_client: OrgClient, operation: str, calls: int = 1) -> None:
    """Wait until the operation was called so often; a client may time out before a busy server reads its call."""
    deadline = time.monotonic() + LONG
    while len(statuses(org_client, operation)) < calls:
        assert time.monotonic() < deadline, f"{operation} was not called {calls} times in {LONG} s"


@contextmanager
def impatient(org_client: OrgClient) -> Iterator[OrgClient]:
    """The same org, through a client with the timeout `PATIENCE`."""
    with httpx2.Client(timeout=httpx2.Timeout(LONG, read=PATIENCE)) as http:
        yield OrgClient(org_client.url, org_client.org, http)


class RetryingClient:
    """Retries lost replies and those with `Retry-After`. It does not wait, but records the times in `waited`."""

    def __init__(self, org_client: OrgClient, tries: int = 8) -> None:
        self._org_client = org_client
        self._tries = tries
        self.results: list[str] = []
        self.waited: list[int] = []

    def request(self, method: str, path: str, body: Json = None, **more: Any) -> httpx2.Response:
        for _ in range(self._tries):
            try:
                response = self._org_client.request(method, path, body, **more)
            except httpx2.TransportError as error:
                self.results.append(_failure(error))
                continue
            self.results.append(str(response.status_code))
            if response.status_code not in _BUSY:
                return response
            self.waited.append(int(response.headers["retry-after"]))
        raise AssertionError(f"gave up after {self.results}")


def _failure(error: httpx2.TransportError) -> str:
    message = str(error)
    if message.startswith("peer closed connection without sending complete message body"):
        return "half a reply"
    return "no reply" if message.startswith("Server disconnected without") else type(error).__name__


# enfore


def cards(org_client: OrgClient, *segments: str) -> str:
    return "/".join([f"/promotions/org/{org_client.org}/sales-vouchers/gift-cards", *segments])


def amount(value: float, reference: str) -> Json:
    """A redemption. The client finds it again by its reference."""
    return {"redeemed_amount": {"unit": "EUR", "value": value}, "external_reference": reference}


def spend(org_client: OrgClient, value: float, reference: str) -> httpx2.Response:
    return org_client.request("POST", cards(org_client, "gc-1", "redemptions"), amount(value, reference))


def booked(org_client: OrgClient) -> list[str]:
    """The references of the card's redemptions, as a client lists them."""
    response = org_client.request("GET", cards(org_client, "gc-1", "redemptions"))
    assert response.status_code == 200, response.text
    return [item["external_reference"] for item in response.json()["items"]]


def stored_balance(org_client: OrgClient) -> Json:
    """The balance in the state; takes no step."""
    (card,) = org_client.state()["enfore"]["gift_cards"]
    return card["document"]["current_balance"]["value"]
