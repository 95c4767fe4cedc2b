"""What became of the events that an org told: deliveries read, waited for, hastened and repeated.

Deliveries themselves are the business of `sandbox.outbox` and `sandbox.webhooks`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from time import perf_counter

from sandbox import clock
from sandbox.admin.operations import Operations
from sandbox.call import Call
from sandbox.deliveries import WAITING, Attempt, Delivery
from sandbox.messages import Reply, decode, encode
from sandbox.orgs import Org
from sandbox.rules import Doc, Rules
from sandbox.state import NEVER
from sandbox.targets import NotAllowed, Rewrite
from sandbox.then_document import duration

MAX_WAIT = 60  # seconds
_DIGITS = 18  # of an id at most
_MAX_FLUSH = 60.0  # seconds
_LOOK = 0.05  # seconds between looks for an outbox that does not exist yet


class WebhookOperations(Operations):
    def bind(self, rules: Rules) -> None:
        rules.operation("listWebhooks")(self._list)
        rules.operation("getWebhook")(self._get)
        rules.operation("flushWebhooks")(self._flush)
        rules.operation("redeliverWebhook")(self._redeliver)
        rules.operation("getRewrites")(self._get_rewrites)
        rules.operation("putRewrites")(self._put_rewrites)

    def _list(self, call: Call) -> Reply:
        org, query = self.known(call), dict(call.query)
        self.meant(call, "callback", query.get("event"), self.callbacks)
        if "wait" not in query or _enough(org, query):
            return call.reply(_list_json(org, query))
        seconds = duration(_with_unit(query["wait"])) / clock.SECOND
        if seconds > MAX_WAIT:
            call.reject("invalid-request", f"wait is at most {MAX_WAIT} s.")
        reply = call.reply(_list_json(org, query))
        reply.body = b""
        reply.stream = _later(org, lambda: _enough(org, query), seconds, lambda: _list_json(org, query))
        return reply

    def _get(self, call: Call) -> Reply:
        return call.reply(webhook_json(self._delivery(call, self.known(call))))

    def _flush(self, call: Call) -> Reply:
        org = self.known(call)
        outbox = org.outbox
        if outbox is None:
            return call.reply({"attempted": 0, "delivered": 0, "waiting": 0})
        before = {delivery.id: delivery.attempted for delivery in outbox if delivery.status == WAITING}
        outbox.hasten(org.clock.now())
        self.orgs.webhooks.run(org)

        def flushed() -> Doc:
            tried = [it for it in outbox if it.id in before and it.attempted > before[it.id]]
            delivered = sum(it.status == "delivered" for it in tried)
            return {"attempted": len(tried), "delivered": delivered, "waiting": outbox.waiting}

        reply = call.reply(flushed())
        if not outbox.idle:
            reply.body = b""
            reply.stream = _later(org, lambda: outbox.idle, _MAX_FLUSH, flushed)
        return reply

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
                self.orgs.webhooks.policy.judge_rewrite(rewrite)
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


async def _later(
    org: Org, done: Callable[[], bool], seconds: float, content: Callable[[], Doc]
) -> AsyncGenerator[bytes, None]:
    """What there is to say once something is done, or the time is over."""
    until, watched = perf_counter() + seconds, None
    news = asyncio.Event()
    try:
        while (left := until - (looked := perf_counter())) > 0 and not done():
            cost = perf_counter() - looked
            if org.outbox is not watched:  # it has begun to tell, or began anew
                if watched is not None:
                    watched.watchers.discard(news.set)
                watched = org.outbox
                if watched is not None:
                    watched.watchers.add(news.set)
            news.clear()
            try:
                await asyncio.wait_for(news.wait(), min(left, _LOOK))
            except TimeoutError:
                continue
            await asyncio.sleep(max(0.005, 10 * cost))  # not after each of many
    finally:
        if watched is not None:
            watched.watchers.discard(news.set)
    yield encode(content())


def _chosen(org: Org, query: Doc) -> Iterator[Delivery]:
    wanted: Doc = {name: query[name] for name in ("event", "subscription", "status") if name in query}
    since = query.get("since", 0)
    for delivery in org.outbox or ():
        if delivery.id > since and (not wanted or _fits(delivery, wanted)):
            yield delivery


def _fits(delivery: Delivery, wanted: Doc) -> bool:
    has = {"event": delivery.event.name, "subscription": delivery.subscription, "status": delivery.status}
    return all(has[name] == value for name, value in wanted.items())


def _enough(org: Org, query: Doc) -> bool:
    """Whether so many were attempted, or ended without it; or are as the caller wants them."""
    found = sum("status" in query or it.attempted > 0 or it.status != WAITING for it in _chosen(org, query))
    return found >= int(query["count"])


def _list_json(org: Org, query: Doc) -> Doc:
    found = list(_chosen(org, query))
    return {
        "total": len(found),
        "dropped": org.outbox.dropped if org.outbox is not None else 0,
        "waiting": org.outbox.waiting if org.outbox is not None else 0,
        "webhooks": [webhook_json(delivery) for delivery in found[: query["limit"]]],
    }


def webhook_json(delivery: Delivery) -> Doc:
    return {
        "id": delivery.id,
        "at": clock.text(delivery.event.at),
        "event": delivery.event.name,
        "cause": delivery.cause,
        "subscription": delivery.subscription,
        "url": delivery.url,
        "payload": decode(delivery.event.payload),
        "sent": delivery.sent.decode("utf-8", "replace") if delivery.sent is not None else None,
        "status": delivery.status,
        "detail": delivery.detail,
        "trouble": delivery.trouble.shown if delivery.trouble is not None else None,
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
