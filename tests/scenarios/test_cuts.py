"""What clients report for a dropped connection, invalid JSON or a late reply, and which of them repeat the call."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from tests.patience import LONG, PROGRAM, patiently
from tests.scenarios.staging import PATIENCE, amount, booked, cards, statuses, stored_balance
from tests.scenarios.test_bundled import PAGE
from tests.serving import Json, OrgClient

ASK = Path(__file__).parent.parent / "clients" / "ask.mjs"
NODE, CURL = shutil.which("node"), shutil.which("curl")
HEADERS = {"Authorization": "Bearer any", "Content-Type": "application/json"}

# As the page says it.
REPORTS: dict[str, tuple[str, str, str, str]] = {
    "cut: before": ("RemoteProtocolError", "ConnectionError", "TypeError: fetch failed", "52"),
    "cut: after": ("RemoteProtocolError", "ConnectionError", "TypeError: fetch failed", "52"),
    "cut: midway": ("RemoteProtocolError", "ChunkedEncodingError", "TypeError: terminated", "18"),
    "corrupt: true": ("JSONDecodeError", "JSONDecodeError", "SyntaxError", "0"),
    "delay: 2s": ("ReadTimeout", "ReadTimeout", "TimeoutError", "28"),
}
THENS: dict[str, Json] = {
    "cut: before": {"cut": "before"},
    "cut: after": {"cut": "after"},
    "cut: midway": {"cut": "midway"},
    "corrupt: true": {"corrupt": True},
    "delay: 2s": {"delay": "120s"},  # longer than a client on a busy machine is patient
}

# Method, URL, body, how many seconds the client waits; maybe a URL to ask first on the same connection.
Ask = Callable[..., str]


def with_httpx2(method: str, url: str, body: Json, patience: float, first: str | None = None) -> str:
    with httpx2.Client(headers=HEADERS, timeout=httpx2.Timeout(LONG, read=patience)) as client:
        if first is not None:
            client.get(first)
        try:
            return str(client.request(method, url, content=json.dumps(body) if body else None).json())
        except (httpx2.TransportError, json.JSONDecodeError) as error:
            return type(error).__name__


def with_requests(method: str, url: str, body: Json, patience: float, first: str | None = None) -> str:
    requests = pytest.importorskip("requests", reason="it comes with Schemathesis")
    with requests.Session() as session:
        session.headers.update(HEADERS)
        if first is not None:
            session.get(first, timeout=LONG)
        try:
            return str(session.request(method, url, json=body, timeout=(LONG, patience)).json())
        except requests.RequestException as error:  # its JSONDecodeError too
            return type(error).__name__


def with_node(method: str, url: str, body: Json, patience: float, first: str | None = None) -> str:
    if NODE is None:
        pytest.skip("there is no node on this machine")
    sent = json.dumps(body) if body else ""
    command = [NODE, str(ASK), method, url, str(int(1000 * patience)), sent, *([first] if first else [])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PROGRAM, check=True)  # noqa: S603 - our own
    return done.stdout.strip()


def with_curl(method: str, url: str, body: Json, patience: float, first: str | None = None) -> str:
    """The exit code. The timeout is that of one request."""
    if CURL is None:
        pytest.skip("there is no curl on this machine")
    headers = [part for name, value in HEADERS.items() for part in ("-H", f"{name}: {value}")]
    asked = ["-X", method, *(["-d", json.dumps(body)] if body else []), url]
    before = [*headers, "-s", "-o", "/dev/null", first, "--next"] if first else []
    command = [CURL, *before, *headers, "-sS", "-m", str(patience), *asked]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PROGRAM, check=False)  # noqa: S603 - our own
    return str(done.returncode)


CLIENTS: list[Ask] = [with_httpx2, with_requests, with_node, with_curl]

each_fault = pytest.mark.parametrize("fault", REPORTS)
each_client = pytest.mark.parametrize("at", range(len(CLIENTS)), ids=["httpx2", "requests", "node", "curl"])


@pytest.fixture
def shop(org_client: OrgClient) -> OrgClient:
    """A shop with one card and no fault."""
    return opened(org_client)


def opened(org_client: OrgClient) -> OrgClient:
    card = {"id": "gc-1", "name": "Xmas", "current_balance": {"unit": "EUR", "value": 50}}
    org_client.seed("enfore", gift_cards=[card])
    return org_client


def with_patience(org_client: OrgClient, fault: str, test: Callable[[OrgClient, float], None]) -> None:
    """Run a test in a new shop with a client's timeout: a short one if the test is about the timeout.

    On a busy machine the client may time out before its call is sent; then the test runs again with a longer timeout.
    """
    orgs = itertools.count()

    def turn(patience: float) -> None:
        test(opened(OrgClient(org_client.url, f"{org_client.org}-{next(orgs)}", org_client.http)), patience)

    if fault == "delay: 2s":
        patiently(PATIENCE, turn)
    else:
        turn(LONG)


def arm_fault(shop: OrgClient, operation: str, fault: str) -> None:
    response = shop.admin("POST", "/next", {"operation": operation, "then": THENS[fault]})
    assert response.status_code == 200, response.text


def is_failure(reported: str) -> bool:
    """Whether the name of an exception, or an exit code, is that of a failure."""
    return "Error" in reported or "Timeout" in reported or reported in {row[3] for row in REPORTS.values()} - {"0"}


@each_client
@each_fault
def test_a_client_reports_the_fault_of_a_reply(org_client: OrgClient, at: int, fault: str) -> None:
    def read(shop: OrgClient, patience: float) -> None:
        arm_fault(shop, "getGiftCard", fault)

        reported = CLIENTS[at]("GET", shop.url + cards(shop, "gc-1"), None, patience)

        assert reported.startswith(REPORTS[fault][at])
        assert len(statuses(shop, "getGiftCard")) == 1

    with_patience(org_client, fault, read)


@each_client
@each_fault
def test_a_redemption_is_sent_once(org_client: OrgClient, at: int, fault: str) -> None:
    def redeem(shop: OrgClient, patience: float) -> None:
        arm_fault(shop, "recordGiftCardRedemption", fault)
        url = shop.url + cards(shop, "gc-1", "redemptions")

        reported = CLIENTS[at]("POST", url, amount(20, "order 1"), patience)

        was_done = fault != "cut: before"
        assert reported.startswith(REPORTS[fault][at])
        assert statuses(shop, "recordGiftCardRedemption") == [201 if was_done else 0]
        assert booked(shop) == (["order 1"] if was_done else [])
        assert stored_balance(shop) == (30 if was_done else 50)

    with_patience(org_client, fault, redeem)


@pytest.mark.parametrize("at", range(3), ids=["httpx2", "requests", "node"])
@each_fault
def test_most_clients_do_not_repeat_a_redemption_on_a_reused_connection(
    org_client: OrgClient, at: int, fault: str
) -> None:
    def redeem(shop: OrgClient, patience: float) -> None:
        arm_fault(shop, "recordGiftCardRedemption", fault)
        url = shop.url + cards(shop, "gc-1")

        reported = CLIENTS[at]("POST", f"{url}/redemptions", amount(20, "order 1"), patience, url)

        assert reported.startswith(REPORTS[fault][at])
        assert len(statuses(shop, "recordGiftCardRedemption")) == 1

    with_patience(org_client, fault, redeem)


@pytest.mark.parametrize(("cut", "answers", "left"), [("before", [0, 201], 30), ("after", [201, 201], 10)])
def test_curl_repeats_a_redemption_if_a_reused_connection_is_closed(
    shop: OrgClient, cut: str, answers: list[int], left: int
) -> None:
    """Without any message, so the card is charged twice."""
    arm_fault(shop, "recordGiftCardRedemption", f"cut: {cut}")
    url = shop.url + cards(shop, "gc-1")

    reported = with_curl("POST", f"{url}/redemptions", amount(20, "order 1"), LONG, url)

    assert reported == "0"
    assert statuses(shop, "recordGiftCardRedemption") == answers
    assert stored_balance(shop) == left


@each_client
def test_a_client_reports_no_fault_without_one(shop: OrgClient, at: int) -> None:
    """Otherwise the reports above might not come from the faults."""
    url = shop.url + cards(shop, "gc-1")

    reported = CLIENTS[at]("GET", url, None, LONG, url)

    assert not is_failure(reported)
    assert statuses(shop, "getGiftCard") == [200, 200]


@each_client
def test_a_delay_below_a_clients_timeout_is_not_an_error(shop: OrgClient, at: int) -> None:
    shop.admin("POST", "/next", {"operation": "getGiftCard", "then": {"delay": "20ms"}})

    reported = CLIENTS[at]("GET", shop.url + cards(shop, "gc-1"), None, LONG)

    assert not is_failure(reported)
    assert shop.last()["fault"]["delay"] == 0.02


def test_the_page_says_what_clients_report() -> None:
    text = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| `((?:cut|corrupt|delay): \w+)`[^|]*\| (.+) \|$", text, re.MULTILINE)

    said = {fault: tuple(re.findall(r"`([^`]+)`", rest)) for fault, rest in rows if rest.count("|") == 3}
    assert said == REPORTS
