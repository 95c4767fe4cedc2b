"""Turns events into deliveries: finds the subscribers, applies delivery faults, and limits the size of all outboxes.

The vendors' rules declare the subscriptions, and `engine` has validated the events. `sender` makes the attempts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from time import perf_counter
from typing import NamedTuple, Protocol

from promo_sandbox.base import clock
from promo_sandbox.base.callback_policy import Policy, Rewrite
from promo_sandbox.base.errors import SandboxError
from promo_sandbox.base.masking import mask_url
from promo_sandbox.base.messages import decode, encode
from promo_sandbox.model.contract import Contract
from promo_sandbox.model.effects import DeliveryFault
from promo_sandbox.model.journal import Entry, Event, Occurrence
from promo_sandbox.model.list_view import ListView
from promo_sandbox.model.rules import Subscriptions
from promo_sandbox.model.state import NEVER, Doc, State
from promo_sandbox.webhooks.delivery import WAITING, Attempt, Delivery, Limits, with_scripted_answer
from promo_sandbox.webhooks.outbox import Outbox
from promo_sandbox.webhooks.queues import SLICE, ChangeSignal, Queue, Usage

MAX_IN_FLIGHT = 200  # attempts of one org at a time
MAX_UNDISTRIBUTED = 100_000  # events of one org whose deliveries are not all made yet
_OUTBOXES_PER_TICK = 500
_MAX_TURN = 0.003  # seconds of work in one turn of the event loop, about
_INVALID_VALUE = {"sandbox": "not what the contract says"}


class OrgLike(Protocol):
    """The parts of an org that its deliveries need."""

    name: str
    state: State
    clock: clock.Clock
    outbox: Outbox | None
    delivery_changes: ChangeSignal
    rewrites: tuple[Rewrite, ...]


class PendingAttempt(NamedTuple):
    """An attempt that is being made."""

    org: OrgLike
    outbox: Outbox
    queue: Queue
    delivery: Delivery
    at: int  # time by the org's clock


class _Notification(NamedTuple):
    """An event and its subscribers."""

    outbox: Outbox
    event: Event
    cause: str
    delivery_fault: DeliveryFault | None
    not_before: float  # by the monotonic clock
    subscribers: ListView  # at the time of the event


class Webhooks:
    """The deliveries of all orgs."""

    def __init__(
        self, contracts: Iterable[Contract], *, limits: Limits | None = None, policy: Policy | None = None, kept: int
    ) -> None:
        """kept: how many finished deliveries of an org are kept."""
        contracts = list(contracts)
        self.policy = policy or Policy()
        self._limits = limits or Limits()
        self._kept = kept
        self._validators = {name: it for contract in contracts for name, it in contract.callbacks.items()}
        self._subscriptions: dict[str, Subscriptions] = {}
        for contract in contracts:
            for subscriptions in contract.rules.subscriptions:
                for name in contract.callbacks:
                    if name in self._subscriptions:
                        raise SandboxError(f"two vendors have subscriptions to {name}; rename one of the callbacks")
                    self._subscriptions[name] = subscriptions
        self._collections = {it.collection.key: it.collection for it in self._subscriptions.values()}
        self._usage = Usage()
        self._active: dict[Outbox, OrgLike] = {}  # with waiting deliveries
        self._round: Iterator[tuple[Outbox, OrgLike]] = iter(())  # the next ones for `tick`
        self._ready: dict[Outbox, None] = {}  # with attempts to make, in order
        self._tasks: deque[Iterator[None]] = deque()  # work in slices
        self._undistributed: dict[Outbox, deque[_Notification]] = {}
        self._subscribers: dict[Outbox, dict[str, ListView]] = {}  # a cache, cleared when a subscription changes
        self._partly_scanned: set[Outbox] = set()  # with more due deliveries than one `run` handles
        self._shrinking: Iterator[None] | None = None
        self._immediate = SLICE  # how many more deliveries of the current entry are made at once
        self.wake: Callable[[], None] = _do_nothing  # the sender replaces it

    def may_notify(self, org: OrgLike, entry: Entry) -> bool:
        """Whether an entry may concern a subscriber. If not, this check is its only cost."""
        if org.outbox is not None:
            return True
        for event in entry.events:
            subscriptions = self._subscriptions.get(event.name)
            if subscriptions is not None and org.state.records(subscriptions.collection):
                return True
        return False

    def notify(
        self, org: OrgLike, entry: Entry, *, live: bool, delivery_fault: DeliveryFault | None = None, after: float = 0.0
    ) -> None:
        """Make deliveries of the events of a journal entry, and cancel those of subscriptions that it deleted.

        live: False for a temporary org, and for an org that is being made. after: seconds until the reply is sent.
        """
        if org.outbox is not None:
            self._cancel_deleted(org, entry)
        cause = entry.name if isinstance(entry, Occurrence) else str(entry.id)
        self._immediate = SLICE
        for event in entry.events:
            then = org.state.take_armed(event.name) if delivery_fault is None and org.state.armed else None
            fault = then.delivery_fault if then is not None else delivery_fault
            self._notify(org, event, cause, fault, perf_counter() + after if after else 0.0)
        if org.outbox is not None and entry.events:
            org.delivery_changes.notify()
            if live:
                self.run(org)
                self._enforce_limits()

    def run(self, org: OrgLike) -> None:
        """Find the due deliveries of an org, so that the sender attempts them."""
        outbox = org.outbox
        if outbox is None or outbox.closed:
            return
        if outbox.run(org.clock.now()) and outbox not in self._partly_scanned:
            self._partly_scanned.add(outbox)
            self._defer(self._run_on(org, outbox))
        if outbox.waiting or outbox.undistributed:
            self._active[outbox] = org
        else:
            self._active.pop(outbox, None)
        if outbox.ready and outbox.in_flight < MAX_IN_FLIGHT:
            self._ready[outbox] = None
        if self._ready:
            self.wake()

    def tick(self) -> None:
        """Run the next active outboxes of the round."""
        until = perf_counter() + _MAX_TURN
        for _ in range(_OUTBOXES_PER_TICK):
            outbox, org = next(self._round, (None, None))
            if outbox is None or org is None:
                self._round = iter(list(self._active.items()))
                return
            if org.outbox is outbox:
                self.run(org)
            if perf_counter() > until:
                return

    def run_tasks(self) -> bool:
        """Do a slice of the deferred work. Return whether there is more."""
        until = perf_counter() + _MAX_TURN
        while self._tasks and perf_counter() < until:
            if next(self._tasks[0], self) is self:
                self._tasks.popleft()
            else:
                self._tasks.rotate(-1)
        return bool(self._tasks)

    def next_attempt(self) -> PendingAttempt | None:
        """The next attempt to make. The orgs take turns."""
        while self._ready:
            outbox = next(iter(self._ready))
            del self._ready[outbox]
            org = self._active.get(outbox)
            if org is None or outbox.closed or outbox.in_flight >= MAX_IN_FLIGHT:
                continue
            taken = outbox.take(org.clock.now())
            if outbox.ready and outbox.in_flight < MAX_IN_FLIGHT:
                self._ready[outbox] = None
            if taken is not None:
                return PendingAttempt(org, outbox, *taken)
        return None

    def record_attempt(self, pending: PendingAttempt, attempt: Attempt) -> None:
        """Record a failed attempt that is repeated at once."""
        pending.outbox.record_attempt(pending.queue, pending.delivery, attempt)

    def finish_attempt(self, pending: PendingAttempt, attempt: Attempt) -> None:
        """Record an attempt, and finish the delivery or schedule the next attempt."""
        attempt = with_scripted_answer(pending.delivery, attempt)
        pending.outbox.finish_attempt(pending.queue, pending.delivery, attempt, pending.org.clock.now())
        self._after_attempt(pending)

    def forbid(self, pending: PendingAttempt, reason: str) -> None:
        """Finish a delivery whose URL is not allowed."""
        pending.outbox.forbid(pending.queue, pending.delivery, reason)
        self._after_attempt(pending)

    def abandon(self, pending: PendingAttempt) -> None:
        """Return a delivery to its queue without an attempt, or cancel it if its subscription is deleted."""
        pending.outbox.abandon(pending.queue, pending.delivery)
        self._after_attempt(pending)

    def close(self, outbox: Outbox | None) -> None:
        """Stop all deliveries of an outbox: its org is deleted or reset."""
        if outbox is not None:
            self._active.pop(outbox, None)
            self._undistributed.pop(outbox, None)
            self._subscribers.pop(outbox, None)
            outbox.close()
            self._defer(outbox.dismantle())

    def state_restored(self, org: OrgLike) -> None:
        """Cancel the deliveries of subscriptions that the restored state does not have."""
        if org.outbox is not None:
            waiting = org.outbox.waiting_subscriptions()
            known = {id for it in self._collections.values() for id in org.state.records(it)}
            self.cancel(org, waiting - known)

    def redeliver(self, org: OrgLike, delivery: Delivery) -> Delivery | None:
        """Make a new delivery of the same event. None if its subscription is deleted."""
        outbox = org.outbox
        subscriptions = self._subscriptions.get(delivery.event.name)
        if outbox is None or subscriptions is None:
            return None
        subscription = org.state.get(subscriptions.collection, delivery.subscription)
        if subscription is None:
            return None
        url = subscription[subscriptions.url_field]
        now = org.clock.now()
        made = outbox.add(
            Delivery(0, delivery.event, delivery.cause, delivery.subscription, url, now, redelivery_of=delivery.id),
            forbidden=self._forbidden(delivery.event.name, url),
        )
        self.run(org)
        self._enforce_limits()
        return made

    def undelivered(self) -> Iterator[tuple[str, str, int]]:
        """The waiting deliveries, as `(org, URL, count)`."""
        for outbox, org in self._active.items():
            counts: dict[str, int] = {}
            for delivery in outbox:
                if delivery.status == WAITING:
                    counts[delivery.url] = counts.get(delivery.url, 0) + 1
            for url, count in counts.items():
                yield org.name, url, count

    def cancel(self, org: OrgLike, subscriptions: Iterable[str] | None = None) -> None:
        """Cancel the waiting deliveries of these subscriptions, or of all."""
        outbox = org.outbox
        if outbox is not None:
            self._subscribers.pop(outbox, None)
            if subscriptions is None:
                for notification in self._undistributed.pop(outbox, ()):
                    outbox.add_waiting_bytes(-len(notification.event.payload))
                outbox.undistributed = 0
            self._defer(outbox.cancel(subscriptions))

    def clock_was_set(self, org: OrgLike, back: int) -> None:
        """React to a new time of the org's clock. back: by how much it was set back; due times move with it."""
        if org.outbox is not None:
            self._defer(org.outbox.rewind(back))
            org.outbox.clock_set_to = org.clock.now()

    def _notify(self, org: OrgLike, event: Event, cause: str, fault: DeliveryFault | None, not_before: float) -> None:
        """Make the deliveries of an event, in slices for many subscribers. Events keep their order."""
        subscriptions = self._subscriptions.get(event.name)
        name = subscriptions.list_name(event.name) if subscriptions is not None else ""
        outbox = org.outbox
        if subscriptions is None or (outbox is None and not org.state.list_size(name)):
            return
        if outbox is None:
            outbox = org.outbox = Outbox(self._limits, self._kept, self._usage, org.delivery_changes)
        listed = self._subscribers.setdefault(outbox, {})
        subscribers = listed.get(name)
        if subscribers is None:
            subscribers = listed[name] = org.state.list_view(name)
        notification = _Notification(outbox, event, cause, fault, not_before, subscribers)
        if outbox in self._undistributed:
            self._enqueue(notification)
        elif len(subscribers) > self._immediate:
            self._undistributed[outbox] = deque()
            self._enqueue(notification)
            self._defer(self._distribute(org, outbox))
        else:
            self._immediate -= len(subscribers)
            for _, subscription in subscribers:
                self._add(notification, subscription, subscriptions.url_field)

    def _enqueue(self, notification: _Notification) -> None:
        queue, outbox = self._undistributed[notification.outbox], notification.outbox
        if len(queue) > 1 and (len(queue) >= MAX_UNDISTRIBUTED or self._usage.over_limit):  # the first is on its way
            outbox.dropped += len(queue[1].subscribers)
            outbox.add_waiting_bytes(-len(queue[1].event.payload))
            del queue[1]
        queue.append(notification)
        outbox.add_waiting_bytes(len(notification.event.payload))
        outbox.undistributed = len(queue)

    def _distribute(self, org: OrgLike, outbox: Outbox) -> Iterator[None]:
        """Make the deliveries of events with many subscribers, a slice at a time."""
        while queue := self._undistributed.get(outbox):
            notification = queue[0]
            subscriptions = self._subscriptions[notification.event.name]
            for at in range(0, len(notification.subscribers), SLICE):
                while self._usage.over_limit:
                    self._enforce_limits()
                    yield
                owner = self._active.get(outbox, org)
                there = owner.state.records(subscriptions.collection)
                for _, subscription in notification.subscribers[at : at + SLICE]:
                    if subscription["id"] in there:
                        self._add(notification, subscription, subscriptions.url_field)
                self.run(owner)
                self._enforce_limits()
                yield
                if self._undistributed.get(outbox) is not queue:
                    return
            queue.popleft()
            outbox.add_waiting_bytes(-len(notification.event.payload))
            outbox.undistributed = len(queue)
        if self._undistributed.pop(outbox, None) is not None:
            outbox.changed()

    def _run_on(self, org: OrgLike, outbox: Outbox) -> Iterator[None]:
        """Find the rest of the due deliveries, in slices."""
        yield
        while not outbox.closed and outbox.run(org.clock.now()):
            yield
        self._partly_scanned.discard(outbox)
        if org.outbox is outbox:
            self.run(org)

    def _defer(self, task: Iterator[None]) -> None:
        self._tasks.append(task)
        self.wake()

    def _forbidden(self, name: str, url: str) -> str | None:
        """Why a URL is not called although it is stored: the vendor accepts only https. None if it may be called."""
        if not self._subscriptions[name].https_only or url[:6].lower() == "https:" or self.policy.allows_http(url):
            return None
        return (
            f"{mask_url(url)[:200]} is not an https URL, and the vendor calls no other; "
            "start with --allow-http-callbacks to allow plain http to loopback"
        )

    def _cancel_deleted(self, org: OrgLike, entry: Entry) -> None:
        changed = [change for change in entry.changes if change.collection.key in self._collections]
        deleted = [change.id for change in changed if change.after is None]
        if changed and org.outbox is not None:
            self._subscribers.pop(org.outbox, None)
        if deleted:
            self.cancel(org, deleted)

    def _add(self, notification: _Notification, subscription: Doc, url_member: str) -> None:
        outbox, event, cause, fault, not_before, _ = notification
        id, url = subscription["id"], subscription[url_member]
        kind = fault.kind if fault is not None else None
        sent, due, separate = None, event.at, False
        if kind == "truncated":
            sent = event.payload[: len(event.payload) // 2]
        elif kind == "invalid":
            sent = self._invalid(event)
        elif kind == "out_of_order":
            due = NEVER
        elif kind == "late" and fault is not None:
            due, separate = event.at + fault.late, True
        for _ in range(2 if kind == "twice" else 1):
            delivery = Delivery(0, event, cause, id, url, due, delivery_fault=fault, sent=sent, not_before=not_before)
            outbox.add(delivery, separate=separate, forbidden=self._forbidden(event.name, url))

    def _invalid(self, event: Event) -> bytes:
        """JSON that violates the callback's schema: the payload with an invalid value in its longest field."""
        payload = decode(event.payload)
        fields = payload if isinstance(payload, dict) else {}
        for name in sorted(fields, key=lambda name: len(encode(fields[name])), reverse=True):
            broken = {**payload, name: _INVALID_VALUE}
            if self._validators[event.name].violations(broken, "payload"):
                return encode(broken)
        return encode("not what the contract says")

    def _after_attempt(self, pending: PendingAttempt) -> None:
        if pending.org.outbox is pending.outbox:
            self.run(pending.org)
        self._enforce_limits()

    def _enforce_limits(self) -> None:
        """Keep the outboxes within the limits: the largest outbox loses its oldest deliveries first."""
        if self._shrinking is None:
            if not self._usage.over_limit:
                return
            self._shrinking = self._usage.shrink()
            self._defer(self._shrinking)
        if next(self._shrinking, self) is self:  # a slice frees at least as much as was added since the last one
            self._shrinking = None


def _do_nothing() -> None: ...
