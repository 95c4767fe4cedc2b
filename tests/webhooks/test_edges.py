"""Deliveries during other events: resets, changes of the clock, a stop of the server."""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from promo_sandbox.base.callback_policy import Policy
from promo_sandbox.base.config import CallbackConfig, Config
from promo_sandbox.model.journal import Event
from promo_sandbox.server.app import App
from promo_sandbox.webhooks.delivery import WAITING, Attempt, Delivery, Limits
from promo_sandbox.webhooks.outbox import Outbox
from promo_sandbox.webhooks.queues import Usage
from promo_sandbox.webhooks.resolver import tls_context
from tests.patience import LONG, patiently
from tests.receiving import Receiver, answers, hangs, is_slow
from tests.serving import OrgClient, running
from tests.vendors.enfore_support import NOW, new_card
from tests.webhooks.support import SINK, arm, card_of, frozen, redeem, sell, statuses, subscribe, unsubscribe, webhooks

LOCAL = CallbackConfig(policy=Policy(allow_http=True), timeout=LONG)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running(Config(callbacks=LOCAL)) as (_, base):
        yield base


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


# At the same time


@pytest.mark.parametrize("how", ["reset", "unsubscribe"])
def test_a_delivery_that_ends_before_the_first_attempt_is_never_sent(
    how: str, http: httpx2.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = threading.Event()

    def once_it_was_ended(ca: Path | None) -> ssl.SSLContext:
        assert ended.wait(LONG)
        return tls_context(ca)

    monkeypatch.setattr(
        "promo_sandbox.webhooks.sender.tls_context", once_it_was_ended
    )  # the first delivery of a server waits for it
    with running(Config(callbacks=LOCAL)) as (_, base), Receiver() as receiver:
        org_client = OrgClient(base, "ending", http)
        id = subscribe(org_client, receiver.url)
        sell(org_client)

        if how == "reset":
            org_client.admin("POST", "/reset")
        else:
            unsubscribe(org_client, id)
        ended.set()
        subscribe(org_client, receiver.url + "after")
        sell(org_client, "X-2")

        assert [it.path for it in receiver.wait(1)] == ["/after"]


def test_a_wait_before_the_first_delivery_of_an_org_gets_it(org_client: OrgClient) -> None:
    subscribe(org_client)
    began = time.perf_counter()
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(webhooks, org_client, "?wait=60s")
        sell(org_client)

        assert len(waiting.result()) == 1
    assert time.perf_counter() - began < 60


def test_a_wait_during_a_reset_gets_the_deliveries_after_it(org_client: OrgClient) -> None:
    subscribe(frozen(org_client))
    arm(org_client, {"status": 500})
    sell(org_client)
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(webhooks, org_client, "?wait=60s&count=2&status=delivered")
        org_client.admin("POST", "/reset")
        subscribe(org_client)
        sell(org_client, "X-1")
        sell(org_client, "X-2")

        assert len(waiting.result()) == 2


def test_a_dropped_delivery_ends_a_wait_for_it(org_client: OrgClient) -> None:
    subscribe(org_client)
    arm(org_client, "drop")
    began = time.perf_counter()
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(webhooks, org_client, "?wait=60s&status=dropped")
        sell(org_client)

        assert len(waiting.result()) == 1
    assert time.perf_counter() - began < 60


def test_a_flush_ends_when_the_org_is_reset(org_client: OrgClient) -> None:
    with Receiver(hangs()) as receiver:
        subscribe(org_client, receiver.url)
        sell(org_client)
        receiver.wait(1)
        began = time.perf_counter()
        with ThreadPoolExecutor() as pool:
            flush = pool.submit(org_client.admin, "POST", "/webhooks/flush")
            org_client.admin("POST", "/reset")

            assert flush.result().status_code == 200
        assert time.perf_counter() - began < LONG  # otherwise it ends with the timeout


def test_a_flush_sends_a_delivery_out_of_order_behind_one_in_flight(org_client: OrgClient) -> None:
    with Receiver(is_slow(0.3)) as receiver:
        subscribe(org_client, receiver.url)
        card = sell(org_client)
        receiver.wait(1)
        arm(org_client, "out_of_order")
        redeem(org_client, card)

        org_client.admin("POST", "/webhooks/flush")

        assert statuses(org_client) == ["delivered", "delivered"]


def test_an_answer_whose_body_never_ends_is_an_answer(http: httpx2.Client) -> None:
    def deliver(timeout: float) -> None:
        callbacks = CallbackConfig(policy=Policy(allow_http=True), timeout=timeout)
        with running(Config(callbacks=callbacks)) as (_, base), Receiver() as receiver:
            receiver.mode = answers(202)._replace(
                answer=lambda connection: connection.transport.write(b"HTTP/1.1 202 X\r\ncontent-length: 9\r\n\r\n")
            )
            org_client = OrgClient(base, "endless", http)
            subscribe(org_client, receiver.url)

            sell(org_client)

            (delivery,) = webhooks(org_client, "?wait=60s")
            assert (delivery["status"], delivery["attempted"]) == ("delivered", 1)

    patiently(0.8, deliver)


# Clocks


def test_setting_a_clock_forward_is_like_an_advance(org_client: OrgClient) -> None:
    subscribe(frozen(org_client))
    arm(org_client, {"status": 500, "times": 3})
    sell(org_client, expiration_date_and_time="2030-01-01T12:00:05.000Z")

    org_client.admin("PUT", "/clock", {"now": "2030-01-01T12:00:10Z"})

    first, second = webhooks(org_client)
    assert [it["at"][17:19] for it in first["attempts"]] == ["00", "01", "03", "07"]
    assert card_of(second)["status"] == "EXPIRED"


def test_a_clock_that_is_set_back_leaves_a_retry_its_second(org_client: OrgClient) -> None:
    subscribe(frozen(org_client))
    arm(org_client, {"status": 500})
    sell(org_client)

    org_client.admin("PUT", "/clock", {"now": "2029-06-01T00:00:00Z"})
    assert webhooks(org_client)[0]["next_attempt"] == "2029-06-01T00:00:01.000Z"
    org_client.advance("PT1S")

    assert statuses(org_client) == ["delivered"]


def test_an_event_out_of_order_arrives_although_the_clock_was_set_back(org_client: OrgClient) -> None:
    subscribe(frozen(org_client))
    arm(org_client, "out_of_order")
    sell(org_client, "X-1")

    org_client.admin("PUT", "/clock", {"now": "2029-06-01T00:00:00Z"})
    sell(org_client, "X-2")

    assert statuses(org_client) == ["delivered", "delivered"]


def test_a_clock_that_is_frozen_and_set_shows_just_that(org_client: OrgClient) -> None:
    assert org_client.admin("PUT", "/clock", {"now": NOW, "frozen": True}).json()["now"] == NOW


# Limits


def outbox(tally: Usage | None = None) -> Outbox:
    return Outbox(Limits(), 10, tally or Usage())


def delivery(at: int = 0) -> Delivery:
    return Delivery(0, Event(at, "e", b"{}"), "1", "s", "https://shop.example/", at)


def test_an_agenda_does_not_grow_with_deliveries_behind_a_retry() -> None:
    box = outbox()
    box.add(delivery())
    box.run(0)
    taken = box.take(0)
    assert taken is not None
    box.finish_attempt(*taken[:2], Attempt(0, 500, 0, b"", None), 0)

    for _ in range(1000):
        box.add(delivery())

    assert box.waiting == 1001
    assert len(box._agenda) < 100  # noqa: SLF001 - what must not grow


def test_the_size_of_a_delivery_includes_its_answers() -> None:
    tally = Usage()
    box = outbox(tally)
    box.add(delivery())
    before = tally.waiting_bytes
    box.run(0)
    taken = box.take(0)
    assert taken is not None

    box.finish_attempt(*taken[:2], Attempt(0, 500, 0, b"x" * 4096, None), 0)

    assert tally.waiting_bytes == before + 4096
    box.close()
    assert (tally.waiting_bytes, tally.finished_bytes) == (0, 0)


def test_an_attempt_that_is_abandoned_is_made_again() -> None:
    box = outbox()
    box.add(delivery())
    box.run(0)
    taken = box.take(0)
    assert taken is not None

    box.abandon(*taken[:2])
    box.run(0)

    assert (box.in_flight, box.waiting, taken[1].status) == (0, 1, WAITING)
    assert box.take(0) is not None


def test_the_oldest_that_waits_is_given_up_and_the_rest_still_goes() -> None:
    box = outbox()
    first, second = box.add(delivery()), box.add(delivery())

    assert box.give_up_oldest("Too much.")
    box.run(0)

    assert (first.status, first.detail, second.status) == ("dead", "Too much.", WAITING)
    taken = box.take(0)
    assert taken is not None
    assert taken[1] is second


# Without a server


async def _sell(client: httpx2.AsyncClient, number: str, **headers: str) -> None:
    response = await client.post(
        "/promotions/org/asgi/sales-vouchers/gift-cards",
        json=new_card(external_number=number),
        headers={"Authorization": "Bearer any", **headers},
    )
    assert response.status_code == 201


async def _subscribed(client: httpx2.AsyncClient, url: str) -> None:
    response = await client.post(
        "/promotions/org/asgi/sales-vouchers/gift-card-subscriptions",
        json={"callback_url": url},
        headers={"Authorization": "Bearer any"},
    )
    assert response.status_code == 201


@pytest.mark.parametrize("prefer", ["", "wait=0.2"])
def test_an_app_without_a_server_delivers_before_its_call_ends(receiver: Receiver, prefer: str) -> None:
    async def played() -> None:
        transport = httpx2.ASGITransport(app=App(Config(callbacks=LOCAL)))
        async with httpx2.AsyncClient(transport=transport, base_url="http://sandbox") as client:
            await _subscribed(client, receiver.url)
            await _sell(client, "X-1", Prefer=prefer)

    asyncio.run(played())

    assert len(receiver.wait(1)) == 1


def test_a_call_that_is_given_up_in_the_middle_leaves_nothing_stuck() -> None:
    async def played(receiver: Receiver) -> list[str]:
        transport = httpx2.ASGITransport(app=App(Config(callbacks=LOCAL)))
        async with httpx2.AsyncClient(transport=transport, base_url="http://sandbox") as client:
            await _subscribed(client, receiver.url)
            selling = asyncio.create_task(_sell(client, "X-1"))
            await asyncio.to_thread(receiver.wait, 1)
            selling.cancel()
            with pytest.raises(asyncio.CancelledError):
                await selling
            receiver.mode = answers(202)
            await client.post("/__admin/orgs/asgi/webhooks/flush")
            found = (await client.get("/__admin/orgs/asgi/webhooks")).json()["webhooks"]
            return [it["status"] for it in found]

    with Receiver(hangs()) as receiver:
        assert asyncio.run(played(receiver)) == ["delivered"]


def test_the_sink_needs_no_server_either() -> None:
    async def played() -> list[str]:
        transport = httpx2.ASGITransport(app=App(Config(callbacks=LOCAL)))
        async with httpx2.AsyncClient(transport=transport, base_url="http://sandbox") as client:
            await _subscribed(client, SINK)
            await _sell(client, "X-1")
            found = (await client.get("/__admin/orgs/asgi/webhooks?wait=60s")).json()["webhooks"]
            return [it["status"] for it in found]

    assert asyncio.run(played()) == ["delivered"]
