"""What takes long is done in slices, and replied to when it is done, through whichever door it was asked for."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from starlette.testclient import TestClient

from promo_sandbox import testing
from promo_sandbox.base.messages import Reply, Request
from promo_sandbox.client import calls
from promo_sandbox.server.app import App
from tests.serving import running

Ask = Callable[..., Any]
ORG = "/__admin/orgs/acme"
CARDS = "/promotions/org/acme/sales-vouchers/gift-cards"
MANY = 20
START, EXPIRY, END = "2030-01-01T00:00:00.000Z", "2030-02-01T00:00:00.000Z", "2031-01-01T00:00:00.000Z"


def card(number: int) -> dict[str, Any]:
    return {
        "id": f"00000000-0000-4000-8000-{number:012}",
        "@type": "InternalGiftCard",
        "name": f"Geschenk {number}",
        "current_balance": {"unit": "EUR", "value": 50},
        "expiration_date_and_time": EXPIRY,
    }


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("promo_sandbox.engine.timers.MAX_BYTES_PER_RUN", 1)
    monkeypatch.setattr("promo_sandbox.admin.documents._FEW", 2)
    monkeypatch.setattr("promo_sandbox.admin.documents._PIECE", 1000)
    monkeypatch.setattr("promo_sandbox.model.sorted_index._SORTED_AT_ONCE", 3)


@pytest.fixture(params=["socket", "asgi", "embedded"])
def ask(request: pytest.FixtureRequest) -> Iterator[Ask]:
    """Ask for JSON by one of the three doors."""
    headers = {"Authorization": "Bearer any"}
    with ExitStack() as stack:
        if request.param == "embedded":
            server = stack.enter_context(testing.running())
            own = httpx2.Client(base_url=server.url, headers=headers)
            vendor = stack.enter_context(own)

            def asked(method: str, path: str, json: Any = None) -> Any:
                if path.startswith("/__admin"):
                    wanted = calls.ApiCall(method, path.removeprefix("/__admin"), lambda said: said, json)
                    return server._session.send(wanted)  # noqa: SLF001 - with whatever a test asks
                return vendor.request(method, path, json=json).raise_for_status().json()

        else:
            if request.param == "socket":
                _, url = stack.enter_context(running())
                client: Any = stack.enter_context(httpx2.Client(base_url=url, headers=headers))
            else:
                client = TestClient(App(), headers=headers)

            def asked(method: str, path: str, json: Any = None) -> Any:
                reply = client.request(method, path, json=json)
                assert reply.status_code < 300, reply.text
                return reply.json() if reply.content else None

        asked("PUT", f"{ORG}/clock", {"now": START, "frozen": True})
        asked("POST", f"{ORG}/seed", {"enfore": {"gift_cards": [card(number) for number in range(MANY)]}})
        yield asked


def test_an_advance_reports_all_occurrences(ask: Ask) -> None:
    advanced = ask("POST", f"{ORG}/clock/advance", {"to": END})

    assert (advanced["now"], advanced["frozen"]) == (END, True)
    assert [it["id"] for it in advanced["happened"]] == [card(number)["id"] for number in range(MANY)]
    assert {(it["at"], it["event"], *it["notified"], it["internal_error"]) for it in advanced["happened"]} == {
        (EXPIRY, "expire-gift-card", "gift-card-changed", None)
    }


def test_a_clock_that_is_set_is_answered_when_all_has_happened(ask: Ask) -> None:
    assert ask("PUT", f"{ORG}/clock", {"now": END}) == {"now": END, "frozen": True}
    assert ask("GET", f"{CARDS}/{card(MANY - 1)['id']}")["status"] == "EXPIRED"


def test_a_request_sees_all_that_has_fallen_due(ask: Ask) -> None:
    """What a scenario's step makes fall due is too much to happen at once."""
    cards = [card(number) for number in range(MANY)]
    given = {"clock": START, "seed": {"enfore": {"gift_cards": cards}}}
    steps = [{"operation": "getGiftCard"}, {"then": {"advance": "P1Y"}}]
    ask("PUT", f"{ORG}/scenario", {"summary": "Late.", "given": given, "steps": steps})

    before = ask("GET", f"{CARDS}/{card(0)['id']}")["status"]
    after = ask("GET", f"{CARDS}/{card(MANY - 1)['id']}")["status"]

    assert (before, after) == ("ISSUED", "EXPIRED")


def test_a_request_that_waited_is_for_the_path_that_its_escapes_mean(ask: Ask) -> None:
    steps = [{"operation": "getGiftCard"}, {"then": {"advance": "P1Y"}}]
    given = {"clock": START, "seed": {"enfore": {"gift_cards": [card(number) for number in range(MANY)]}}}
    ask("PUT", f"{ORG}/scenario", {"summary": "Late.", "given": given, "steps": steps})
    ask("GET", f"{CARDS}/{card(0)['id']}")

    path = f"/%7Eacme{CARDS}/{card(MANY - 1)['id']}".replace("gift-cards", "gift%2Dcards")

    assert ask("GET", path)["status"] == "EXPIRED"


def test_state_and_export_say_the_same_in_pieces(ask: Ask) -> None:
    state, exported = ask("GET", f"{ORG}/state"), ask("GET", f"{ORG}/export")

    entries = state["documents"]["enfore"]["gift_cards"]
    assert [entry["document"]["name"] for entry in entries] == [f"Geschenk {number}" for number in range(MANY)]
    assert list(state) == ["now", "frozen", "sequence", "documents"]
    assert exported["org"] == {
        "name": "acme",
        "clock": {"now": START, "frozen": True, "real": False},
        "sequence": state["sequence"],
        "documents": state["documents"],
    }
    assert ask("PUT", f"{ORG}/state", {"documents": state["documents"]})["documents"] == state["documents"]
    ask("POST", "/__admin/orgs/other/import", exported)
    assert ask("GET", "/__admin/orgs/other/state")["documents"] == state["documents"]


def test_an_http_1_0_client_gets_it_too() -> None:
    with running() as (_, url), httpx2.Client(base_url=url) as client:
        client.put(f"{ORG}/clock", json={"now": START, "frozen": True})
        client.post(f"{ORG}/seed", json={"enfore": {"gift_cards": [card(number) for number in range(MANY)]}})
        with socket.create_connection((urlsplit(url).hostname, urlsplit(url).port)) as raw:
            raw.sendall(f"GET {ORG}/state HTTP/1.0\r\n\r\n".encode())
            whole = b"".join(iter(lambda: raw.recv(65536), b""))

    head, _, body = whole.partition(b"\r\n\r\n")
    assert b"chunked" not in head
    assert body.count(b'"place"') == MANY


def test_an_error_in_late_work_is_an_internal_error_too(monkeypatch: pytest.MonkeyPatch) -> None:
    app = App()

    def work() -> Any:
        yield
        raise RuntimeError("broken")

    def handle(_: Request) -> Reply:
        reply = Reply(0)
        reply.work = work()
        return reply

    monkeypatch.setattr(app, "handle", handle)

    reply = TestClient(app).get("/anything")

    assert (reply.status_code, reply.json()["detail"]) == (500, "RuntimeError: broken")
