"""Deliveries of an org: list, wait, flush, redeliver; and rewrites of callback URLs.

`promo_sandbox.webhooks.outbox` keeps the deliveries and `promo_sandbox.webhooks.dispatch` sends them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator
from functools import cached_property
from time import perf_counter
from typing import NamedTuple, TypeVar

from promo_sandbox.admin.fair_turns import SLICE, Turns
from promo_sandbox.admin.shared import Operations, parse_id
from promo_sandbox.base import clock
from promo_sandbox.base.callback_policy import NotAllowed, Rewrite
from promo_sandbox.base.masking import mask_url
from promo_sandbox.base.messages import Reply, decode, encode
from promo_sandbox.engine.orgs import Org
from promo_sandbox.model.call import Call
from promo_sandbox.model.rules import Rules
from promo_sandbox.model.state import NEVER, Doc
from promo_sandbox.scenarios.effects_document import duration
from promo_sandbox.webhooks.delivery import WAITING, Attempt, Delivery
from promo_sandbox.webhooks.outbox import Outbox
from promo_sandbox.webhooks.queues import Queue

MAX_WAIT = 60  # seconds
V = TypeVar("V")
_EMPTY_LIST: Doc = {"total": 0, "dropped": 0, "waiting": 0, "webhooks": []}
_EMPTY_FLUSH: Doc = {"attempted": 0, "delivered": 0, "waiting": 0}
MAX_WAITS = 1000  # replies that may wait at once
_MAX_FLUSH = 60.0  # seconds
_SMALL = 1_048_576  # bytes; at most so many bytes of deliveries are searched and encoded in one go
_PIECE = 65_536  # bytes of one piece of a longer list


class _Query(NamedTuple):
    """Filters of deliveries, the count to wait for, and the maximum length of the list."""

    since: int
    criteria: Doc  # event, subscription and status, if given
    min_count: int
    limit: int

    def matches(self, delivery: Delivery) -> bool:
        if delivery.id <= self.since:
            return False
        if not self.criteria:
            return True
        actual = {"event": delivery.event.name, "subscription": delivery.subscription, "status": delivery.status}
        return all(actual[name] == value for name, value in self.criteria.items())

    def counts(self, delivery: Delivery) -> bool:
        """Whether a delivery counts as awaited: it was attempted or has ended, or the query has a status."""
        finished = "status" in self.criteria or delivery.attempted > 0 or delivery.status != WAITING
        return finished and self.matches(delivery)


class WebhookOperations(Operations):
    _waits = 0  # replies that wait

    @cached_property
    def _turns(self) -> Turns:
        return Turns()

    def bind(self, rules: Rules) -> None:
        rules.operation("listWebhooks")(self._list)
        rules.operation("getWebhook")(self._get)
        rules.operation("flushWebhooks")(self._flush)
        rules.operation("redeliverWebhook")(self._redeliver)
        rules.operation("getRewrites")(self._get_rewrites)
        rules.operation("putRewrites")(self._put_rewrites)

    def _list(self, call: Call) -> Reply:
        org, given = self.existing_org(call), call.query
        self.check_name(call, "callback", given.get("event"), self.callbacks)
        criteria: Doc = {name: given[name] for name in ("event", "subscription", "status") if name in given}
        query = _Query(given.get("since", 0), criteria, int(given["count"]), int(given["limit"]))
        seconds = duration(_with_unit(given["wait"])) / clock.SECOND if "wait" in given else 0.0
        if seconds > MAX_WAIT:
            call.reject("invalid-request", f"wait must be at most {MAX_WAIT} s.")
        small = org.outbox is None or org.outbox.size <= _SMALL
        if small and (not seconds or _counted(query, org.outbox or ()) >= query.min_count):
            return call.reply(_list_json(org, query))
        return self._reply_later(call, _EMPTY_LIST, self._list_when_ready(org, query, seconds))

    def _reply_later(self, call: Call, placeholder: Doc, stream: AsyncGenerator[bytes, None]) -> Reply:
        """A reply that comes later. `placeholder` is validated against the contract in its place."""
        if self._waits >= MAX_WAITS:
            call.reject("too-many-waits")
        reply = call.reply(placeholder)
        reply.body, reply.stream = b"", self._counted_stream(stream)
        return reply

    async def _counted_stream(self, stream: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        self._waits += 1
        try:
            async for piece in stream:
                yield piece
        finally:
            self._waits -= 1
            await stream.aclose()

    def _get(self, call: Call) -> Reply:
        return call.reply(webhook_json(self._delivery(call, self.existing_org(call))))

    def _flush(self, call: Call) -> Reply:
        org = self.existing_org(call)
        outbox = org.outbox
        if outbox is None:
            return call.reply(_EMPTY_FLUSH)
        flush = _Flush(outbox)
        if outbox.size > _SMALL:
            return self._reply_later(call, _EMPTY_FLUSH, self._flush_result(org, flush, outbox.queues))
        flush.note(outbox)
        self._hasten(org, outbox, outbox.queues)
        if outbox.idle:
            return call.reply(flush.json(flush.result(outbox)))
        return self._reply_later(call, _EMPTY_FLUSH, self._flush_result(org, flush, []))

    def _hasten(self, org: Org, outbox: Outbox, queues: list[Queue]) -> None:
        outbox.make_due(org.clock.now(), queues)
        self.orgs.webhooks.run(org)

    async def _flush_result(self, org: Org, flush: _Flush, queues: list[Queue]) -> AsyncGenerator[bytes, None]:
        """The result of a flush, once no attempt is in progress. `queues` are hastened first."""
        outbox = flush.outbox
        if queues:
            async with self._turns.turn():
                for chunk in _chunks(list(outbox)):
                    flush.note(chunk)
                    await asyncio.sleep(0)
                for some_queues in _chunks(queues):
                    self._hasten(org, outbox, some_queues)
                    await asyncio.sleep(0)
        until = perf_counter() + _MAX_FLUSH
        while not outbox.idle and await _wait(org.delivery_changes.next(), until):
            pass
        flushed = _FlushResult(0, 0)
        async with self._turns.turn():
            for chunk in _chunks(list(outbox)):
                flushed = flushed.plus(flush.result(chunk))
                await asyncio.sleep(0)
        yield encode(flush.json(flushed))

    async def _list_when_ready(self, org: Org, query: _Query, seconds: float) -> AsyncGenerator[bytes, None]:
        """The list, once enough deliveries match or the time is over."""
        until = perf_counter() + seconds
        while perf_counter() < until:
            news = org.delivery_changes.next()
            if await self._has_enough(org, query) or not await _wait(news, until):
                break
        shown: list[Delivery] = []
        async with self._turns.turn():
            total = 0
            for chunk in _chunks(list(org.outbox or ())):
                found = [delivery for delivery in chunk if query.matches(delivery)]
                total += len(found)
                shown += found[: query.limit - len(shown)]
                await asyncio.sleep(0)
        head = encode({"total": total, **_counts_json(org), "webhooks": []})
        piece = head[:-2]
        for at, delivery in enumerate(shown):
            piece += (b"," if at else b"") + encode(webhook_json(delivery))
            if len(piece) > _PIECE:
                yield piece
                piece = b""
                await asyncio.sleep(0)
        yield piece + head[-2:]

    async def _has_enough(self, org: Org, query: _Query) -> bool:
        counted = 0
        async with self._turns.turn():
            for chunk in _chunks(list(org.outbox or ())):
                counted += _counted(query, chunk)
                if counted >= query.min_count:
                    return True
                await asyncio.sleep(0)
        return False

    def _redeliver(self, call: Call) -> Reply:
        org = self.existing_org(call)
        delivery = self.orgs.webhooks.redeliver(org, self._delivery(call, org))
        if delivery is None:
            call.reject("subscription-gone")
        return call.reply(webhook_json(delivery))

    def _get_rewrites(self, call: Call) -> Reply:
        return call.reply(_rewrites_json(self.existing_org(call)))

    def _put_rewrites(self, call: Call) -> Reply:
        rewrites = []
        for at, given in enumerate(call.body["rewrites"]):
            try:
                rewrite = Rewrite(given["from"], given["to"])
                self.orgs.webhooks.policy.validate_rewrite(rewrite)
            except (NotAllowed, ValueError) as error:
                errors = [{"detail": str(error), "pointer": f"body.rewrites[{at}]"}]
                call.reject("unacceptable-rewrite", str(error), errors=errors)
            rewrites.append(rewrite)
        org = self.get_org(call)
        org.rewrites = tuple(rewrites)
        return call.reply(_rewrites_json(org))

    def _delivery(self, call: Call, org: Org) -> Delivery:
        id = call.path["id"]
        number = parse_id(id)
        delivery = org.outbox.find(number) if org.outbox is not None and number is not None else None
        if delivery is None:
            call.reject("unknown-webhook", f"{org.name} has no delivery {id[:50]}.")
        return delivery


class _FlushResult(NamedTuple):
    """How many deliveries were attempted, and how many of these arrived."""

    attempted: int
    delivered: int

    def plus(self, other: _FlushResult) -> _FlushResult:
        return _FlushResult(self.attempted + other.attempted, self.delivered + other.delivered)


class _Flush:
    """The deliveries that waited when an outbox was flushed, with the attempts that each had had."""

    def __init__(self, outbox: Outbox) -> None:
        self.outbox = outbox
        self._before: dict[int, int] = {}

    def note(self, deliveries: Iterable[Delivery]) -> None:
        self._before.update((it.id, it.attempted) for it in deliveries if it.status == WAITING)

    def result(self, deliveries: Iterable[Delivery]) -> _FlushResult:
        tried = [it for it in deliveries if it.attempted > self._before.get(it.id, it.attempted)]
        return _FlushResult(len(tried), sum(it.status == "delivered" for it in tried))

    def json(self, flushed: _FlushResult) -> Doc:
        return {**flushed._asdict(), "waiting": self.outbox.waiting}


async def _wait(news: asyncio.Event, until: float) -> bool:
    """Wait for news. Returns whether they came in time."""
    try:
        async with asyncio.timeout(max(until - perf_counter(), 0)):
            await news.wait()
    except TimeoutError:
        return False
    return True


def _chunks(items: list[V]) -> Iterator[list[V]]:
    for at in range(0, len(items), SLICE):
        yield items[at : at + SLICE]


def _counted(query: _Query, deliveries: Iterable[Delivery]) -> int:
    return sum(query.counts(delivery) for delivery in deliveries)


def _counts_json(org: Org) -> Doc:
    outbox = org.outbox
    return {"dropped": outbox.dropped if outbox else 0, "waiting": outbox.waiting if outbox else 0}


def _list_json(org: Org, query: _Query) -> Doc:
    found = [delivery for delivery in org.outbox or () if query.matches(delivery)]
    return {
        "total": len(found),
        **_counts_json(org),
        "webhooks": [webhook_json(delivery) for delivery in found[: query.limit]],
    }


def webhook_json(delivery: Delivery) -> Doc:
    return {
        "id": delivery.id,
        "at": clock.text(delivery.event.at),
        "event": delivery.event.name,
        "cause": delivery.cause,
        "subscription": delivery.subscription,
        "url": mask_url(delivery.url),
        "payload": decode(delivery.event.payload),
        "sent": delivery.sent.decode("utf-8", "replace") if delivery.sent is not None else None,
        "status": delivery.status,
        "detail": delivery.detail,
        "delivery_fault": delivery.delivery_fault.source if delivery.delivery_fault is not None else None,
        "redelivery_of": delivery.redelivery_of,
        "attempts": [_attempt_json(attempt) for attempt in delivery.attempts],
        "attempted": delivery.attempted,
        "next_attempt": clock.text(delivery.due) if delivery.status == WAITING and delivery.due != NEVER else None,
    }


def _attempt_json(attempt: Attempt) -> Doc:
    return {
        "at": clock.text(attempt.at),
        "status": attempt.status,
        "milliseconds": attempt.nanoseconds // clock.MILLISECOND,
        "body": attempt.body.decode("utf-8", "replace") if attempt.body else None,
        "error": attempt.error,
    }


def _rewrites_json(org: Org) -> Doc:
    return {"rewrites": [{"from": rewrite.source, "to": rewrite.target} for rewrite in org.rewrites]}


def _with_unit(wait: str) -> str:
    return wait if wait.endswith("s") else f"{wait}s"
