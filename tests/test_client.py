"""The Python client of the admin API: every verb, now and later, and what it says when something is wrong."""

from __future__ import annotations

import asyncio
import inspect
import json
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest

from promo_sandbox import __version__
from promo_sandbox.base.config import Config
from promo_sandbox.client import (
    AsyncOrg,
    AsyncSandbox,
    Org,
    Rejected,
    Sandbox,
    SandboxError,
    TooFewWebhooks,
    Unreachable,
    VersionMismatch,
)
from promo_sandbox.client.client import AsyncClock, Clock
from tests.patience import LONG
from tests.serving import OrgClient, in_a_thread, running

CARD = {"id": "gc-1", "name": "Xmas", "current_balance": {"unit": "EUR", "value": 50}}
BEARER = {"Authorization": "Bearer any"}


@pytest.fixture
def org(org_client: OrgClient) -> Org:
    return Sandbox(org_client.url).org(org_client.org)


def card(org: Org, id: str = "gc-1", **sent: Any) -> httpx2.Response:
    """A gift card as the vendor shows it."""
    url = f"{org.url('enfore', 'promotions')}/org/any/sales-vouchers/gift-cards/{id}"
    return httpx2.get(url, **{"headers": BEARER, **sent}, timeout=LONG)


def test_a_url_stands_in_for_the_vendors_host_whatever_tenant_the_client_names(org: Org, url: str) -> None:
    assert org.url("enfore") == f"{url}/~{org.org}"
    assert org.url("enfore", "promotions") == f"{url}/~{org.org}/promotions"
    assert org.url("emporix", "identity") == f"{url}/~{org.org}"
    assert org.url("norce", "promotions") == f"{url}/~{org.org}/commerce/management/1.0"


@pytest.mark.parametrize(
    ("named", "said"),
    [
        (("enfor",), "there is no vendor 'enfor'; use one of emporix, enfore, norce"),
        (("enfore", "coupon"), "enfore has no API 'coupon'; use one of auth, promotions"),
    ],
)
def test_a_url_of_what_there_is_not_says_what_there_is(org: Org, named: tuple[str, ...], said: str) -> None:
    with pytest.raises(SandboxError) as rejected:
        org.url(*named)

    assert str(rejected.value) == said


def test_a_name_with_anything_in_it_names_one_org(url: str) -> None:
    org = Sandbox(url).org("a/b ü~?")

    org.seed(enfore={"gift_cards": [CARD]})

    assert card(org).status_code == 200
    assert org.count(status=200) == 1
    org.forget()


def test_money_is_exact_both_ways(org: Org) -> None:
    stored = org.seed(enfore={"gift_cards": [{**CARD, "current_balance": {"unit": "EUR", "value": Decimal("10.10")}}]})

    [kept] = org.state()["documents"]["enfore"]["gift_cards"]
    assert stored["enfore"]["gift_cards"][0]["current_balance"]["value"] == Decimal("10.10")
    assert str(kept["document"]["current_balance"]["value"]) == "10.10"


def test_time_is_set_frozen_advanced_and_released(org: Org) -> None:
    org.clock.freeze(datetime(2030, 1, 1, tzinfo=UTC))
    org.seed(enfore={"gift_cards": [{**CARD, "expiration_date_and_time": "2030-01-02T00:00:00Z"}]})

    [happened] = org.clock.advance(timedelta(days=1, microseconds=500_000))
    later = org.clock.advance(to="2030-02-01T00:00:00Z")
    there = org.clock.now()
    released = org.clock.run()

    assert (happened["event"], happened["id"]) == ("expire-gift-card", "gc-1")
    assert later == []
    assert there == "2030-02-01T00:00:00.000Z"
    assert released["frozen"] is False
    assert org.clock.set("2030-03-01T00:00:00Z")["now"].startswith("2030-03-01")


@pytest.mark.parametrize(
    ("by", "there"),
    [
        (90, "00:01:30.000"),
        (0.5, "00:00:00.500"),
        (Decimal("86399.25"), "23:59:59.250"),
        (timedelta(hours=1), "01:00:00.000"),
        ("PT1M", "00:01:00.000"),
        (0, "00:00:00.000"),
    ],
)
def test_time_passes_by_seconds_a_timedelta_or_iso_8601(org: Org, by: Any, there: str) -> None:
    org.clock.freeze("2030-01-01T00:00:00Z")

    org.clock.advance(by)

    assert org.clock.now() == f"2030-01-01T{there}Z"


@pytest.mark.parametrize(
    ("by", "said"),
    [
        ([90], "[90] is not a duration; give seconds, a timedelta, or ISO 8601 such as 'P30D'"),
        (float("inf"), "inf is not a duration; give seconds, a timedelta, or ISO 8601 such as 'P30D'"),
        (-1, "a clock cannot advance by a negative duration; use clock.set"),
        (timedelta(days=-1), "a clock cannot advance by a negative duration; use clock.set"),
    ],
)
def test_what_is_no_time_to_come_is_said_at_once(org: Org, by: Any, said: str) -> None:
    with pytest.raises(SandboxError) as rejected:
        org.clock.advance(by)

    assert str(rejected.value) == said


def test_a_moment_without_a_zone_is_rejected_by_the_client(org: Org) -> None:
    with pytest.raises(SandboxError, match="has no time zone; give it tzinfo=UTC"):
        org.clock.freeze(datetime(2030, 1, 1))  # noqa: DTZ001 - that is the mistake


def test_a_token_is_held_to_what_it_says(org: Org) -> None:
    org.clock.freeze("2030-01-01T00:00:00Z")
    org.seed(enfore={"gift_cards": [CARD]})
    token = org.token("enfore", expires_in=60)

    now = card(org, headers={"Authorization": f"Bearer {token}"}).status_code
    org.clock.advance("PT61S")

    assert (now, card(org, headers={"Authorization": f"Bearer {token}"}).status_code) == (200, 403)


def test_the_next_call_meets_what_is_armed(org: Org) -> None:
    org.next("getGiftCard", {"reject": "unknown-gift-card"})
    [armed] = org.next("getGiftCard", {"reply": {"status": 503, "off_contract": True}}, times=1)[1:]

    first, second = card(org).status_code, card(org).status_code
    org.next("getGiftCard", {"cut": "before"})
    org.disarm()

    assert armed["times"] == 1
    assert (first, second) == (404, 503)
    assert org.armed() == []


def test_a_scenario_comes_by_name_as_a_document_and_from_a_file(org: Org, tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text("summary: From a file.\nsteps: [{operation: getGiftCard}]\n", encoding="utf-8")

    by_name = org.scenario("enfore/lost-reply")
    by_document = org.scenario({"steps": [{"operation": "getGiftCard"}]})
    from_file = org.scenario(file)
    card(org)

    assert by_name["name"] == "enfore/lost-reply"
    assert by_document["unmet"] == [1]
    assert from_file["summary"] == "From a file."
    assert org.scenario_progress()["unmet"] == []
    org.end_scenario()
    with pytest.raises(Rejected, match="has no scenario"):
        org.scenario_progress()


def test_a_scenario_that_is_wrong_is_rejected_with_its_flaws(org: Org, tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="did you mean enfore/lost-reply") as unknown:
        org.scenario("enfore/lost-replay")
    with pytest.raises(Rejected) as flawed:
        org.scenario({"steps": [{"operation": "getGiftcard"}]})
    with pytest.raises(SandboxError, match=r"cannot read .*none\.yaml: No such file"):
        org.scenario(tmp_path / "none.yaml")

    assert unknown.value.status == 400
    assert flawed.value.errors[0]["pointer"] == "/steps/0/operation"


def test_a_failure_shows_the_callers_line_and_none_of_ours(org: Org) -> None:
    with pytest.raises(Rejected) as rejected:
        org.scenario("none")

    shown = rejected.traceback.filter(rejected)
    assert {Path(str(entry.path)).name for entry in shown} == {Path(__file__).name}
    assert rejected.value.__cause__ is rejected.value.__context__ is None


def test_the_journal_is_read_counted_and_cleared(org: Org) -> None:
    org.seed(enfore={"gift_cards": [CARD]})
    number = card(org).headers["sandbox-exchange"]
    card(org, "gc-2")
    httpx2.get(f"{org.url('enfore')}/nothing", timeout=LONG)

    newest, *_ = org.requests(limit=2)
    about = org.about()
    counted = [org.count(unmatched=True), org.count(operation="getGiftCard"), org.count(rejection="unknown-gift-card")]
    one = org.request(number)
    org.clear_requests()

    assert newest["operation"] is None
    assert counted == [1, 2, 1]
    assert (about["requests"], about["unmatched"], about["internal_errors"]) == (3, 1, 0)
    assert one["operation"] == "getGiftCard"
    assert org.requests() == []


def test_a_request_is_counted_by_a_part_of_its_body(org_client: OrgClient, org: Org) -> None:
    for name in ("One", "Two"):
        org_client.request("POST", f"/promotions/org/{org_client.org}/sales-vouchers/gift-cards", {"name": name})

    assert org.count(body={"name": "Two"}) == 1


def test_events_are_what_subscribers_were_to_be_sent(org: Org) -> None:
    org.seed(enfore={"gift_cards": [CARD]})

    [event] = org.events("gift-card-changed")

    assert event["payload"]["items"][0]["id"] == "gc-1"
    assert org.events("product-voucher-changed") == []


@pytest.mark.parametrize(
    ("verb", "criteria", "said"),
    [
        ("requests", {"operaton": "getGiftCard"}, "requests has no 'operaton'; did you mean 'operation'?"),
        ("count", {"unmached": True}, "count has no 'unmached'; did you mean 'unmatched'?"),
        ("list", {"stauts": "dead"}, "webhooks.list has no 'stauts'; did you mean 'status'?"),
        ("wait", {"timeot": 1}, "webhooks.wait has no 'timeot'; did you mean 'timeout'?"),
        (
            "wait",
            {"seconds": 1},
            "webhooks.wait has no 'seconds'; use one of count, timeout, subscription, event, status, since",
        ),
    ],
)
def test_a_criterion_that_there_is_not_is_rejected_before_anything_is_asked(
    verb: str, criteria: dict[str, Any], said: str
) -> None:
    nowhere = Sandbox("http://127.0.0.1:1").org("t1")
    owner: Any = nowhere.webhooks if verb in ("list", "wait") else nowhere

    with pytest.raises(SandboxError) as rejected:
        getattr(owner, verb)(**criteria)

    assert str(rejected.value) == said
    assert not isinstance(rejected.value, Unreachable)


def test_an_org_goes_back_to_a_snapshot(org: Org) -> None:
    org.seed(enfore={"gift_cards": [CARD]})
    org.snapshots.take("one card")
    org.reset()
    org.seed(enfore={"gift_cards": [CARD]})
    org.snapshots.take("again/..")
    org.put_state({"documents": {}})

    restored = org.snapshots.restore("again/..")

    assert restored["documents"] == 1
    assert [it["name"] for it in org.snapshots.list()] == ["again/.."]
    org.snapshots.drop("again/..")
    assert org.snapshots.list() == []


def test_an_org_goes_to_another_one_whole(org: Org, url: str) -> None:
    org.clock.freeze("2030-01-01T00:00:00Z")
    org.seed(enfore={"gift_cards": [{**CARD, "current_balance": {"unit": "EUR", "value": Decimal("1.20")}}]})
    other = Sandbox(url).org(f"{org.org}-copy")

    copied = other.import_(org.export())

    assert copied["documents"] == 1
    assert other.state() == org.state()
    other.forget()


def test_coverage_is_of_an_org_or_of_all(org: Org, url: str) -> None:
    card(org)

    [vendor] = org.coverage("enfore")["vendors"]
    everything = Sandbox(url).coverage()

    assert vendor["totals"]["operations"]["covered"] == 1
    assert everything["totals"]["operations"]["covered"] >= 1


def test_a_server_says_what_it_is_and_has(url: str, org: Org) -> None:
    sandbox = Sandbox(f"{url}/__admin/")
    org.reset()

    assert sandbox.url == url
    assert sandbox.version()["version"] == __version__
    assert org.org in {it["name"] for it in sandbox.orgs()}
    assert "enfore/lost-reply" in {it["name"] for it in sandbox.scenarios()}


def test_clearing_coverage_begins_anew() -> None:
    with running() as (_, url):
        sandbox = Sandbox(url)
        card(sandbox.org("one"))
        sandbox.clear_coverage()

        assert sandbox.coverage()["totals"]["operations"]["covered"] == 0


def test_a_closed_admin_api_opens_to_its_token() -> None:
    with running(Config(admin_token="geheim")) as (_, url):
        sandbox = Sandbox(url, "geheim")
        assert sandbox.orgs() == []
        with pytest.raises(Rejected) as rejected:
            Sandbox(url).orgs()

    assert str(rejected.value) == f"{url} answered 401: Send SANDBOX_ADMIN_TOKEN as a bearer token. (token=)"
    assert (rejected.value.status, rejected.value.errors) == (401, [])


def test_a_server_that_is_not_there_is_named() -> None:
    with pytest.raises(Unreachable, match=r"^http://127\.0\.0\.1:1 does not answer: Connection refused$"):
        Sandbox("http://127.0.0.1:1").version()


@pytest.mark.parametrize("url", ["localhost:8080", "http://", "ftp://host", "http://host:0", "http://host:port"])
def test_what_is_no_url_is_said_so_at_once(url: str) -> None:
    with pytest.raises(SandboxError, match=r"^the URL '"):
        Sandbox(url)


def test_now_and_later_have_the_same_verbs() -> None:
    for now, later in ((Org, AsyncOrg), (Sandbox, AsyncSandbox), (Clock, AsyncClock)):
        verbs = [name for name in dir(now) if not name.startswith("_")]
        assert verbs == [name for name in dir(later) if not name.startswith("_")]
        assert all(inspect.getdoc(getattr(now, name)) for name in verbs)


def test_verbs_are_awaited_several_at_once(url: str, org_client: OrgClient) -> None:
    async def scene() -> tuple[str, int, list[dict[str, Any]]]:
        sandbox = AsyncSandbox(url)
        org = sandbox.org(org_client.org)
        await asyncio.gather(org.clock.freeze("2030-01-01T00:00:00Z"), org.seed(enfore={"gift_cards": [CARD]}))
        base = await org.url("enfore", "promotions")
        async with httpx2.AsyncClient(timeout=LONG) as http:
            await http.get(f"{base}/org/any/sales-vouchers/gift-cards/gc-1", headers=BEARER)
        with pytest.raises(Rejected):
            await org.scenario("none")
        return await org.clock.now(), await org.count(status=200), await org.snapshots.list()

    now, count, snapshots = asyncio.run(scene())

    assert now.startswith("2030-01-01T00:00:00")
    assert (count, snapshots) == (1, [])


class Canned(ThreadingHTTPServer):
    """A server that gives the answers it was given, and keeps what it was asked."""

    def __init__(self, answers: dict[str, Any]) -> None:
        super().__init__(("127.0.0.1", 0), _Answering)
        self.answers = {"GET /__admin/version": {"version": __version__, "specs": []}, **answers}
        self.asked: list[tuple[str, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Answering(BaseHTTPRequestHandler):
    def answer(self) -> None:
        assert isinstance(self.server, Canned)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        said = f"{self.command} {self.path}"
        self.server.asked.append((said, json.loads(body) if body else None))
        content = self.server.answers[said.partition("?")[0]]
        self.send_response(200)
        self.end_headers()
        self.wfile.write(content if isinstance(content, bytes) else json.dumps(content).encode())

    do_GET = do_POST = do_PUT = answer  # noqa: N815 - as the standard library calls them

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def canned(answers: dict[str, Any]) -> AbstractContextManager[Canned]:
    return in_a_thread(Canned(answers))


def test_a_server_of_another_version_is_reported_with_the_remedy() -> None:
    with canned({"GET /__admin/version": {"version": "9.9.9", "specs": []}}) as server:
        org = Sandbox(server.url).org("t1")
        said = []
        for _ in range(2):
            with pytest.raises(VersionMismatch) as rejected:
                org.reset()
            said.append(str(rejected.value))

    sentence = f"install promo-sandbox==9.9.9, or start a server of version {__version__}"
    assert said == 2 * [f"{server.url} has version 9.9.9 and this client {__version__}: {sentence}"]


@pytest.mark.parametrize("answer", [b"<html>", b"[]", b'"1"', b"{}"])
def test_what_is_no_sandbox_is_reported_as_such(answer: bytes) -> None:
    with canned({"GET /__admin/version": answer}) as server, pytest.raises(SandboxError) as rejected:
        Sandbox(server.url).version()

    assert str(rejected.value) == f"{server.url} is not a Promo Sandbox: it answered 200 to /__admin/version"


HOOK = {"id": 7, "event": "gift-card-changed", "url": "https://shop.example/", "status": "delivered", "attempted": 1}
WAITING = {**HOOK, "id": 8, "status": "waiting", "attempted": 0}
HOOKS = "/__admin/orgs/t1/webhooks"


def test_webhooks_are_listed_awaited_flushed_redelivered_and_rewritten() -> None:
    rewrites = {"rewrites": [{"from": "https://shop.example/", "to": "http://127.0.0.1:9000/"}]}
    answers = {
        f"GET {HOOKS}": {"total": 1, "dropped": 0, "waiting": 0, "webhooks": [HOOK]},
        f"POST {HOOKS}/flush": {"attempted": 1, "delivered": 1, "waiting": 0},
        f"POST {HOOKS}/7/redeliver": {**HOOK, "id": 8, "redelivery_of": 7},
        f"GET {HOOKS}/rewrites": rewrites,
        f"PUT {HOOKS}/rewrites": rewrites,
    }
    with canned(answers) as server:
        webhooks = Sandbox(server.url).org("t1").webhooks
        listed = webhooks.list(event="gift-card-changed", limit=5)
        awaited = webhooks.wait(timeout=0.5, status="delivered")
        flushed, again = webhooks.flush(), webhooks.redeliver(7)
        there, put = webhooks.rewrites(), webhooks.rewrite({"https://shop.example/": "http://127.0.0.1:9000/"})

    assert listed == awaited == [HOOK]
    assert (flushed["delivered"], again["redelivery_of"]) == (1, 7)
    assert there == put == {"https://shop.example/": "http://127.0.0.1:9000/"}
    assert [asked for asked, _ in server.asked[1:3]] == [
        f"GET {HOOKS}?event=gift-card-changed&limit=5",
        f"GET {HOOKS}?status=delivered&limit=100&wait=0.5s&count=1",
    ]
    assert server.asked[-1][1] == rewrites


DELIVERED = "gift-card-changed to https://shop.example/ (delivered)"
UNTRIED = "gift-card-changed to https://shop.example/ (waiting)"


@pytest.mark.parametrize(("came", "said"), [([], "found none"), ([HOOK, WAITING], f"found 2: {DELIVERED}, {UNTRIED}")])
def test_waiting_for_more_webhooks_than_come_tells_what_there_is(came: list[dict[str, Any]], said: str) -> None:
    with canned({f"GET {HOOKS}": {"webhooks": came}}) as server, pytest.raises(TooFewWebhooks) as few:
        Sandbox(server.url).org("t1").webhooks.wait(count=2, timeout=0.1)

    assert str(few.value) == f"expected 2 webhooks within 0.1 s; {said}"
    assert few.value.webhooks == came


def test_one_webhook_that_does_not_come_is_one() -> None:
    with (
        canned({f"GET {HOOKS}": {"webhooks": []}}) as server,
        pytest.raises(TooFewWebhooks, match=r"^expected 1 webhook within"),
    ):
        Sandbox(server.url).org("t1").webhooks.wait(timeout=0.1)
