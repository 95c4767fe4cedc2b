"""From what happened to deliveries: who subscribed to its events, which trouble they meet, and how much may wait.

Whom a vendor tells is said by its rules; what is told was judged before. Sending is the business of `courier`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from heapq import heapify, heappop, heapreplace
from itertools import islice
from time import perf_counter
from typing import NamedTuple, Protocol

from sandbox import clock
from sandbox.contract import Contract
from sandbox.deliveries import WAITING, Attempt, Delivery, Limits, answered
from sandbox.errors import SandboxError
from sandbox.journal import Entry, Event, Occurrence
from sandbox.messages import decode, encode
from sandbox.outbox import Lane, Outbox, Tally
from sandbox.rules import Subscriptions
from sandbox.state import NEVER, State
from sandbox.targets import Policy, Rewrite
from sandbox.then import Trouble

MEBIBYTE = 1_048_576
MAX_WAITING_BYTES = 256 * MEBIBYTE  # of all orgs
MAX_SETTLED_BYTES = 16 * MEBIBYTE
MAX_IN_FLIGHT = 200  # attempts of one org at a time
_TICKED = 500  # orgs that are looked at in one go
_ALL = 1_000_000_000
_WRONG = {"sandbox": "not what the contract says"}


class Teller(Protocol):
    """An org, as far as its deliveries need it."""

    name: str
    state: State
    clock: clock.Clock
    outbox: Outbox | None
    rewrites: tuple[Rewrite, ...]


class Sending(NamedTuple):
    """One attempt that is being made."""

    org: Teller
    outbox: Outbox
    lane: Lane
    delivery: Delivery
    at: int  # its moment


class Webhooks:
    """The deliveries of all orgs."""

    def __init__(
        self, contracts: Iterable[Contract], *, limits: Limits | None = None, policy: Policy | None = None, kept: int
    ) -> None:
        """kept: deliveries of an org that are remembered after they ended."""
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
                        raise SandboxError(f"two vendors tell subscribers of {name}")
                    self._subscriptions[name] = subscriptions
        self._collections = {it.collection.key: it.collection for it in self._subscriptions.values()}
        self._tally = Tally()
        self._open: dict[Outbox, Teller] = {}  # where something waits
        self._round: Iterator[tuple[Outbox, Teller]] = iter(())  # those that `tick` has not come to yet
        self._turns: dict[Outbox, None] = {}  # where something is ready, in order
        self.wake: Callable[[], None] = _nobody  # there is something to take

    def concerns(self, org: Teller, entry: Entry) -> bool:
        """Whether anybody may be told of an entry, or have been; what nobody is told costs no more than this."""
        if org.outbox is not None:
            return True
        for event in entry.events:
            subscriptions = self._subscriptions.get(event.name)
            if subscriptions is not None and org.state.records(subscriptions.collection):
                return True
        return False

    def told(
        self, org: Teller, entry: Entry, *, live: bool, trouble: Trouble | None = None, after: float = 0.0
    ) -> None:
        """Make deliveries of what an entry of the journal tells, and end those whose subscription it deleted.

        live: the org is there, nobody only rehearses. after: seconds until the reply that told it is sent.
        """
        if org.outbox is not None:
            self._cancel_deleted(org.outbox, entry)
        cause = entry.name if isinstance(entry, Occurrence) else str(entry.id)
        for event in entry.events:
            met = trouble
            if met is None and org.state.armed:
                then = org.state.disarm(event.name)
                met = then.webhook if then is not None else None
            for id, url in self._subscribers(org, event):
                outbox = org.outbox
                if outbox is None:
                    outbox = org.outbox = Outbox(self._limits, self._kept, self._tally)
                self._add(outbox, event, cause, id, url, met, perf_counter() + after if after else 0.0)
        if org.outbox is not None and entry.events and live:
            self.run(org)
            self._shrink()

    def run(self, org: Teller) -> None:
        """Have what is due in an org be attempted."""
        outbox = org.outbox
        if outbox is None or outbox.closed:
            return
        outbox.run(org.clock.now())
        if outbox.waiting:
            self._open[outbox] = org
        else:
            self._open.pop(outbox, None)
        if outbox.ready and outbox.in_flight < MAX_IN_FLIGHT:
            self._turns[outbox] = None
        if self._turns:
            self.wake()

    def tick(self) -> None:
        """The same where something waits: in some of the orgs, the next time in others."""
        chosen = list(islice(self._round, _TICKED))
        if len(chosen) < _TICKED:
            self._round = iter(list(self._open.items()))
        for outbox, org in chosen:
            if org.outbox is outbox:
                self.run(org)

    def take(self) -> Sending | None:
        """The next delivery to attempt, the orgs in turn."""
        while self._turns:
            outbox = next(iter(self._turns))
            del self._turns[outbox]
            org = self._open.get(outbox)
            if org is None or outbox.closed or outbox.in_flight >= MAX_IN_FLIGHT:
                continue
            taken = outbox.take(org.clock.now())
            if outbox.ready and outbox.in_flight < MAX_IN_FLIGHT:
                self._turns[outbox] = None
            if taken is not None:
                return Sending(org, outbox, *taken)
        return None

    def note(self, sending: Sending, attempt: Attempt) -> None:
        """An attempt was made, and the next one follows at once."""
        sending.outbox.note(sending.lane, sending.delivery, attempt)

    def settle(self, sending: Sending, attempt: Attempt) -> None:
        """An attempt was made."""
        attempt = answered(sending.delivery, attempt)
        sending.outbox.settle(sending.lane, sending.delivery, attempt, sending.org.clock.now())
        self._went_on(sending)

    def refuse(self, sending: Sending, reason: str) -> None:
        """An attempt may not be made, and none ever is."""
        sending.outbox.refuse(sending.lane, sending.delivery, reason)
        self._went_on(sending)

    def abandon(self, sending: Sending) -> None:
        """An attempt is not made, for now or for ever."""
        sending.outbox.abandon(sending.lane, sending.delivery)
        self._went_on(sending)

    def close(self, outbox: Outbox | None) -> None:
        """Nothing of it is sent any more: its org is gone, or begins anew."""
        if outbox is not None:
            self._open.pop(outbox, None)
            outbox.close()

    def restored(self, org: Teller) -> None:
        """End what waits for subscriptions that a restored org does not have."""
        if org.outbox is not None:
            waiting = org.outbox.subscribed()
            known = {id for it in self._collections.values() for id in org.state.records(it)}
            org.outbox.cancel(waiting - known)

    def redeliver(self, org: Teller, delivery: Delivery) -> Delivery | None:
        """Send it once more; None if its subscription is gone."""
        outbox = org.outbox
        url = dict(self._subscribers(org, delivery.event)).get(delivery.subscription)
        if outbox is None or url is None:
            return None
        now = org.clock.now()
        made = outbox.add(
            Delivery(0, delivery.event, delivery.cause, delivery.subscription, url, now, redelivery_of=delivery.id)
        )
        self.run(org)
        self._shrink()
        return made

    def left(self) -> Iterator[tuple[str, str, int]]:
        """What waits still: org, URL, how many."""
        for outbox, org in self._open.items():
            counts: dict[str, int] = {}
            for delivery in outbox:
                if delivery.status == WAITING:
                    counts[delivery.url] = counts.get(delivery.url, 0) + 1
            for url, count in counts.items():
                yield org.name, url, count

    def _subscribers(self, org: Teller, event: Event) -> Iterator[tuple[str, str]]:
        subscriptions = self._subscriptions.get(event.name)
        if subscriptions is None:
            return
        name = subscriptions.listed(event.name)
        if org.state.size(name):
            for _, doc in org.state.page(name, start=None, stop=None, offset=0, limit=_ALL):
                yield doc["id"], doc[subscriptions.url]

    def _cancel_deleted(self, outbox: Outbox, entry: Entry) -> None:
        deleted = [
            change.id for change in entry.changes if change.after is None and change.collection.key in self._collections
        ]
        if deleted:
            outbox.cancel(deleted)

    def _add(
        self, outbox: Outbox, event: Event, cause: str, id: str, url: str, trouble: Trouble | None, not_before: float
    ) -> None:
        kind = trouble.kind if trouble is not None else None
        sent, due, alone = None, event.at, False
        if kind == "truncated":
            sent = event.payload[: len(event.payload) // 2]
        elif kind == "invalid":
            sent = self._invalid(event)
        elif kind == "out_of_order":
            due = NEVER
        elif kind == "late" and trouble is not None:
            due, alone = event.at + trouble.late, True
        for _ in range(2 if kind == "twice" else 1):
            delivery = Delivery(0, event, cause, id, url, due, trouble=trouble, sent=sent, not_before=not_before)
            outbox.add(delivery, alone=alone)

    def _invalid(self, event: Event) -> bytes:
        """JSON that breaks the callback's contract: the payload with one member, that says most, something else."""
        payload = decode(event.payload)
        members = payload if isinstance(payload, dict) else {}
        for name in sorted(members, key=lambda name: len(encode(members[name])), reverse=True):
            broken = {**payload, name: _WRONG}
            if self._validators[event.name].violations(broken, "payload"):
                return encode(broken)
        return encode("not what the contract says")

    def _went_on(self, sending: Sending) -> None:
        if sending.org.outbox is sending.outbox:
            self.run(sending.org)
        self._shrink()

    def _shrink(self) -> None:
        """Keep what waits, and what is remembered of the rest, within bounds: whoever has most gives first."""
        tally = self._tally
        if tally.waiting_bytes > MAX_WAITING_BYTES:
            for outbox in _largest(tally, lambda outbox: outbox.waiting_bytes):
                if tally.waiting_bytes <= MAX_WAITING_BYTES * 15 // 16:
                    break
                outbox.give_up_oldest("Too much waits in this server.")
        if tally.settled_bytes > MAX_SETTLED_BYTES:
            for outbox in _largest(tally, lambda outbox: outbox.settled_bytes):
                if tally.settled_bytes <= MAX_SETTLED_BYTES * 15 // 16:
                    break
                outbox.forget_oldest()


def _largest(tally: Tally, size: Callable[[Outbox], int]) -> Iterator[Outbox]:
    """Whichever holds most, again and again, as long as it has become less each time."""
    heap = [(-size(outbox), at, outbox) for at, outbox in enumerate(tally.outboxes)]
    heapify(heap)
    while heap:
        held, at, outbox = heap[0]
        yield outbox
        left = -size(outbox)
        if left == held:
            heappop(heap)
        else:
            heapreplace(heap, (left, at, outbox))


def _nobody() -> None:
    """Nobody sends."""
