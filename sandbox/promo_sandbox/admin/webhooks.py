"""What became of the events that an org told: deliveries read, waited for, hastened and repeated.

Deliveries themselves are the business of `promo_sandbox.webhooks.outbox` and `promo_sandbox.webhooks.dispatch`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator
from functools import cached_property
from time import perf_counter
from typing import NamedTuple, TypeVar

from promo_sandbox.admin.fair_turns import SLICE, Turns
from promo_sandbox.admin.shared import Operations
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
_NOTHING: Doc = {"total": 0, "dropped": 0, "waiting": 0, "webhooks": []}
_UNFLUSHED: Doc = {"attempted": 0, "delivered": 0, "waiting": 0}
_DIGITS = 18  # of an id at most
MAX_WAITS = 1000  # replies that wait at once
_MAX_FLUSH = 60.0  # seconds
_SMALL = 1_048_576  # bytes of deliveries that are looked through and written down at once
_PIECE = 65_536  # bytes of a longer list that are sent in one piece


class _Wish(NamedTuple):
    """Which deliveries are asked for, and how many of them are awaited or shown."""

    since: int
    criteria: Doc  # event, subscription, status; those that are given
    awaited: int
    limit: int

    def holds(self, delivery: Delivery) -> bool:
        if delivery.id <= self.since:
            return False
        if not self.criteria:
            return True
        has = {"event": delivery.event.name, "subscription": delivery.subscription, "status": delivery.status}
        return all(has[name] == value for name, value in self.criteria.items())

    def awaits(self, delivery: Delivery) -> bool:
        """Whether it counts: it was attempted, or ended without it, or is as the caller wants it."""
        return ("status" in self.criteria or delivery.attempted > 0 or delivery.status != WAITING) and self.holds(
            delivery
        )


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
        org, query = self.known(call), call.query
        self.meant(call, "callback", query.get("event"), self.callbacks)
        criteria: Doc = {name: query[name] for name in ("event", "subscription", "status") if name in query}
        wish = _Wish(query.get("since", 0), criteria, int(query["count"]), int(query["limit"]))
        seconds = duration(_with_unit(query["wait"])) / clock.SECOND if "wait" in query else 0.0
        if seconds > MAX_WAIT:
            call.reject("invalid-request", f"wait is at most {MAX_WAIT} s.")
        small = org.outbox is None or org.outbox.size <= _SMALL
        if small and (not seconds or _counted(wish, org.outbox or ()) >= wish.awaited):
            return call.reply(_list_json(org, wish))
        return self._waiting(call, _NOTHING, self._listed(org, wish, seconds))

    def _waiting(self, call: Call, shape: Doc, stream: AsyncGenerator[bytes, None]) -> Reply:
        """A reply that comes later. shape: what the contract may check in its place."""
        if self._waits >= MAX_WAITS:
            call.reject("too-many-waits")
        reply = call.reply(shape)
        reply.body, reply.stream = b"", self._admitted(stream)
        return reply

    async def _admitted(self, stream: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        self._waits += 1
        try:
            async for piece in stream:
                yield piece
        finally:
            self._waits -= 1
            await stream.aclose()

    def _get(self, call: Call) -> Reply:
        return call.reply(webhook_json(self._delivery(call, self.known(call))))

    def _flush(self, call: Call) -> Reply:
        org = self.known(call)
        outbox = org.outbox
        if outbox is None:
            return call.reply(_UNFLUSHED)
        flush = _Flush(outbox)
        if outbox.size > _SMALL:
            return self._waiting(call, _UNFLUSHED, self._flushed(org, flush, outbox.queues))
        flush.note(outbox)
        self._hasten(org, outbox, outbox.queues)
        if outbox.idle:
            return call.reply(flush.json(flush.came_of(outbox)))
        return self._waiting(call, _UNFLUSHED, self._flushed(org, flush, []))

    def _hasten(self, org: Org, outbox: Outbox, queues: list[Queue]) -> None:
        outbox.make_due(org.clock.now(), queues)
        self.orgs.webhooks.run(org)

    async def _flushed(self, org: Org, flush: _Flush, queues: list[Queue]) -> AsyncGenerator[bytes, None]:
        """What came of a flush, once nothing is in flight; `queues` are to be hastened yet."""
        outbox = flush.outbox
        if queues:
            async with self._turns.turn():
                for some in _slices(list(outbox)):
                    flush.note(some)
                    await asyncio.sleep(0)
                for part in _slices(queues):
                    self._hasten(org, outbox, part)
                    await asyncio.sleep(0)
        until = perf_counter() + _MAX_FLUSH
        while not outbox.idle and await _came(org.delivery_changes.next(), until):
            pass
        came = _Came(0, 0)
        async with self._turns.turn():
            for some in _slices(list(outbox)):
                came = came.plus(flush.came_of(some))
                await asyncio.sleep(0)
        yield encode(flush.json(came))

    async def _listed(self, org: Org, wish: _Wish, seconds: float) -> AsyncGenerator[bytes, None]:
        """The list, once there is enough of what is awaited, or the time is over."""
        until = perf_counter() + seconds
        while perf_counter() < until:
            news = org.delivery_changes.next()
            if await self._enough(org, wish) or not await _came(news, until):
                break
        shown: list[Delivery] = []
        async with self._turns.turn():
            total = 0
            for some in _slices(list(org.outbox or ())):
                found = [delivery for delivery in some if wish.holds(delivery)]
                total += len(found)
                shown += found[: wish.limit - len(shown)]
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

    async def _enough(self, org: Org, wish: _Wish) -> bool:
        counted = 0
        async with self._turns.turn():
            for some in _slices(list(org.outbox or ())):
                counted += _counted(wish, some)
                if counted >= wish.awaited:
                    return True
                await asyncio.sleep(0)
        return False

    def _redeliver(self, call: Call) -> Reply:
        org = self.known(call)
        made = self.orgs.webhooks.redeliver(org, self._delivery(call, org))
        if made is None:
            call.reject("subscription-gone")
        return call.reply(webhook_json(made))

    def _get_rewrites(self, call: Call) -> Reply:
        return call.reply(_rewrites_json(self.known(call)))

    def _put_rewrites(self, call: Call) -> Reply:
        rewrites = []
        for at, given in enumerate(call.body["rewrites"]):
            try:
                rewrite = Rewrite(given["from"], given["to"])
                self.orgs.webhooks.policy.validate_rewrite(rewrite)
            except (NotAllowed, ValueError) as refused:
                errors = [{"detail": str(refused), "pointer": f"body.rewrites[{at}]"}]
                call.reject("unacceptable-rewrite", str(refused), errors=errors)
            rewrites.append(rewrite)
        org = self.made(call)
        org.rewrites = tuple(rewrites)
        return call.reply(_rewrites_json(org))

    def _delivery(self, call: Call, org: Org) -> Delivery:
        id = call.path["id"]
        known = org.outbox is not None and id.isascii() and id.isdigit() and len(id) <= _DIGITS
        delivery = org.outbox.find(int(id)) if org.outbox is not None and known else None
        if delivery is None:
            call.reject("unknown-webhook", f"{org.name} has no delivery {id[:50]}.")
        return delivery


class _Came(NamedTuple):
    """What came of a flush: how many deliveries were attempted, and how many of these arrived."""

    attempted: int
    delivered: int

    def plus(self, other: _Came) -> _Came:
        return _Came(self.attempted + other.attempted, self.delivered + other.delivered)


class _Flush:
    """Which deliveries waited when an outbox was flushed, and how often each had been attempted."""

    def __init__(self, outbox: Outbox) -> None:
        self.outbox = outbox
        self._before: dict[int, int] = {}

    def note(self, deliveries: Iterable[Delivery]) -> None:
        self._before.update((it.id, it.attempted) for it in deliveries if it.status == WAITING)

    def came_of(self, deliveries: Iterable[Delivery]) -> _Came:
        tried = [it for it in deliveries if it.attempted > self._before.get(it.id, it.attempted)]
        return _Came(len(tried), sum(it.status == "delivered" for it in tried))

    def json(self, came: _Came) -> Doc:
        return {**came._asdict(), "waiting": self.outbox.waiting}


async def _came(news: asyncio.Event, until: float) -> bool:
    """Wait for news; whether they came in time."""
    try:
        async with asyncio.timeout(max(until - perf_counter(), 0)):
            await news.wait()
    except TimeoutError:
        return False
    return True


def _slices(all_: list[V]) -> Iterator[list[V]]:
    for at in range(0, len(all_), SLICE):
        yield all_[at : at + SLICE]


def _counted(wish: _Wish, deliveries: Iterable[Delivery]) -> int:
    return sum(wish.awaits(delivery) for delivery in deliveries)


def _counts_json(org: Org) -> Doc:
    outbox = org.outbox
    return {"dropped": outbox.dropped if outbox else 0, "waiting": outbox.waiting if outbox else 0}


def _list_json(org: Org, wish: _Wish) -> Doc:
    found = [delivery for delivery in org.outbox or () if wish.holds(delivery)]
    return {
        "total": len(found),
        **_counts_json(org),
        "webhooks": [webhook_json(delivery) for delivery in found[: wish.limit]],
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
