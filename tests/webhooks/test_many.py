"""Many subscribers, deliveries and waiting clients: the work is done in slices, and nothing is lost."""

from __future__ import annotations

import asyncio
import gc
import json
from collections import Counter

import aiohttp
import httpx2
import pytest

from promo_sandbox.admin import webhooks as admin
from promo_sandbox.base.callback_policy import Policy
from promo_sandbox.base.config import CallbackConfig, Config
from promo_sandbox.base.messages import Reply, Request
from promo_sandbox.base.slices import run_to_end
from promo_sandbox.server.app import App, paced
from promo_sandbox.webhooks import dispatch as module
from promo_sandbox.webhooks.outbox import Outbox
from promo_sandbox.webhooks.queues import SLICE
from tests.patience import LONG
from tests.serving import Json, OrgClient, running
from tests.vendors.enfore_support import new_card
from tests.webhooks.support import EVENT, frozen, sell, subscribe, webhooks

MANY = 2 * SLICE + 50
ORG = "/__admin/orgs/many"
CARDS = "/promotions/org/many/sales-vouchers/gift-cards"
WAITING = "/__admin/orgs/waiting/webhooks"
NOBODY = "https://127.0.0.1:9/hook"
LOCAL = CallbackConfig(policy=Policy(allow_http=True), timeout=LONG)


@pytest.fixture
def app() -> App:
    """An app without a server: the test runs the deliveries."""
    return App(Config(journal_limit=10_000, callbacks=LOCAL))


def ask(app: App, method: str, target: str, body: Json = None) -> Json:
    headers = [(b"authorization", b"Bearer any"), (b"content-type", b"application/json"), (b"host", b"localhost")]
    reply = app.handle(Request(method, target, headers, b"" if body is None else json.dumps(body).encode()))
    if reply.work is not None:
        reply = run_to_end(reply.work)
    assert reply.status < 400, reply.body
    return json.loads(whole(reply) or b"null")


def whole(reply: Reply) -> bytes:
    stream = reply.stream
    if stream is None:
        return reply.body

    async def read() -> bytes:
        return b"".join([piece async for piece in paced(stream)])

    return asyncio.run(read())


def subscribed(app: App, count: int = MANY, url: str = "https://sink.sandbox/hook") -> None:
    entries = [{"id": f"s{at}", "event": EVENT, "callback_url": f"{url}?{at}"} for at in range(count)]
    ask(app, "POST", f"{ORG}/seed", {"enfore": {"subscriptions": entries}})


def sold(app: App, number: str) -> None:
    ask(app, "POST", CARDS, new_card(external_number=number))


def outbox(app: App) -> Outbox:
    org = app.orgs.find("many")
    assert org is not None
    assert org.outbox is not None
    return org.outbox


def finish(app: App) -> int:
    """Run all deferred work. Return the number of turns."""
    turns = 1
    while app.orgs.webhooks.run_tasks():
        turns += 1
    return turns


# Many subscribers


def test_an_event_with_many_subscribers_is_spread_after_the_request(app: App) -> None:
    subscribed(app)

    sold(app, "X-1")
    at_once = len(list(outbox(app)))
    finish(app)

    assert at_once <= SLICE
    assert Counter(it.status for it in outbox(app)) == {"delivered": MANY}
    assert outbox(app).idle


def test_each_of_many_subscribers_gets_all_events_in_their_order(app: App) -> None:
    subscribed(app)

    for number in ("X-1", "X-2", "X-3"):
        sold(app, number)
    finish(app)

    per_subscriber: dict[str, list[str]] = {}
    for it in outbox(app):
        number = json.loads(it.event.payload)["items"][0]["external_number"]
        per_subscriber.setdefault(it.subscription, []).append(number)
    assert len(per_subscriber) == MANY
    assert set(map(tuple, per_subscriber.values())) == {("X-1", "X-2", "X-3")}


def test_a_subscription_during_the_distribution_of_an_event_gets_the_next_one(app: App) -> None:
    subscribed(app)
    sold(app, "X-1")

    new = {"id": "new", "event": EVENT, "callback_url": "https://sink.sandbox/new"}
    ask(app, "POST", f"{ORG}/seed", {"enfore": {"subscriptions": [new]}})
    sold(app, "X-2")
    finish(app)

    to_new = [json.loads(it.event.payload)["items"][0] for it in outbox(app) if it.subscription == "new"]
    assert [it["external_number"] for it in to_new] == ["X-2"]


def test_a_subscription_deleted_during_the_distribution_of_an_event_does_not_get_it(app: App) -> None:
    subscribed(app)
    sold(app, "X-1")

    ask(app, "DELETE", f"/promotions/org/many/sales-vouchers/gift-card-subscriptions/s{MANY - 1}")
    finish(app)

    subscribers = {it.subscription for it in outbox(app)}
    assert len(subscribers) == MANY - 1
    assert f"s{MANY - 1}" not in subscribers


def test_an_org_that_is_reset_while_an_event_is_spread_delivers_nothing_more(app: App) -> None:
    subscribed(app)
    sold(app, "X-1")

    ask(app, "POST", f"{ORG}/reset")
    finish(app)

    org = app.orgs.find("many")
    assert org is not None
    assert org.outbox is None


def test_events_that_come_faster_than_they_are_spread_are_bounded(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_UNDISTRIBUTED", 2)
    subscribed(app)

    for at in range(4):
        sold(app, f"X-{at}")
    finish(app)

    notified = Counter(json.loads(it.event.payload)["items"][0]["external_number"] for it in outbox(app))
    assert notified == {"X-0": MANY, "X-3": MANY}
    assert ask(app, "GET", f"{ORG}/webhooks?limit=1")["dropped"] == 2 * MANY


def test_many_events_of_one_seed_are_spread_after_the_request(app: App) -> None:
    subscribed(app, 1)
    cards = [{"name": f"c{at}", "current_balance": {"unit": "EUR", "value": 1}} for at in range(MANY)]

    ask(app, "POST", f"{ORG}/seed", {"enfore": {"gift_cards": cards}})
    at_once = len(list(outbox(app)))
    finish(app)

    assert at_once <= SLICE
    assert [json.loads(it.event.payload)["items"][0]["name"] for it in outbox(app)] == [it["name"] for it in cards]


# Many deliveries


def test_deleting_a_subscription_ends_many_deliveries_in_slices(app: App) -> None:
    ask(app, "PUT", f"{ORG}/clock", {"now": "2030-01-01T00:00:00Z", "frozen": True})
    subscribed(app, 1, NOBODY)
    cards = [{"name": f"c{at}", "current_balance": {"unit": "EUR", "value": 1}} for at in range(MANY)]
    ask(app, "POST", f"{ORG}/seed", {"enfore": {"gift_cards": cards}})
    finish(app)
    waited = outbox(app).waiting

    ask(app, "DELETE", "/promotions/org/many/sales-vouchers/gift-card-subscriptions/s0")
    at_once = waited - outbox(app).waiting
    finish(app)

    assert waited == MANY
    assert at_once <= SLICE
    assert Counter(it.status for it in outbox(app)) == {"canceled": MANY}


def test_a_clock_that_is_set_back_moves_all_of_many_deliveries(app: App) -> None:
    ask(app, "PUT", f"{ORG}/clock", {"now": "2030-01-02T00:00:00Z", "frozen": True})
    subscribed(app, url=NOBODY)
    sold(app, "X-1")
    finish(app)

    ask(app, "PUT", f"{ORG}/clock", {"now": "2030-01-01T00:00:00Z", "frozen": True})
    finish(app)

    due = {it["next_attempt"] for it in ask(app, "GET", f"{ORG}/webhooks?limit=10000")["webhooks"]}
    assert due == {"2030-01-01T00:00:00.000Z"}


def test_a_long_list_is_the_same_in_pieces(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    subscribed(app)
    sold(app, "X-1")
    finish(app)
    query = f"{ORG}/webhooks?limit=300&status=delivered&since=7"

    small = ask(app, "GET", query)
    monkeypatch.setattr(admin, "_SMALL", 0)
    monkeypatch.setattr(admin, "_PIECE", 1000)
    large = ask(app, "GET", query)

    assert len(small["webhooks"]) == 300
    assert large == small


def test_failed_attempts_leave_no_reference_cycles(http: httpx2.Client) -> None:
    with running(Config(callbacks=LOCAL)) as (_, base):
        org_client = OrgClient(base, "failing", http)
        subscribe(org_client, "http://127.0.0.1:9/none")
        gc.disable()
        try:
            sell(org_client)
            attempted = webhooks(org_client, "?wait=60s")
            kept = [it for it in gc.get_objects() if isinstance(it, aiohttp.ClientConnectorError)]
        finally:
            gc.enable()

    assert attempted[0]["attempts"][0]["error"].startswith("Cannot connect")
    assert kept == []


# Many clients that wait


def test_all_waits_end_with_the_same_delivery(http: httpx2.Client) -> None:
    with running(Config(callbacks=LOCAL)) as (_, base):
        org_client = frozen(OrgClient(base, "waiting", http))
        subscribe(org_client)

        async def played() -> list[Json]:
            limits = httpx2.Limits(max_connections=50)
            async with httpx2.AsyncClient(base_url=base, limits=limits, timeout=LONG) as client:
                waits = [asyncio.create_task(client.get(f"{WAITING}?wait=60s")) for _ in range(50)]
                assert (await client.get("/__admin/health")).status_code == 200
                await asyncio.to_thread(sell, org_client)
                return [(await it).json() for it in waits]

        replies = asyncio.run(played())

    assert [reply["total"] for reply in replies] == [1] * 50


def test_only_so_many_may_wait_at_once(org_client: OrgClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin, "MAX_WAITS", 0)
    frozen(org_client)

    response = org_client.admin("GET", "/webhooks?wait=1s")

    assert response.status_code == 503
    assert response.json()["title"] == "Too many waits"
