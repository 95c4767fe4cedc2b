"""From what happened to deliveries: who subscribed to its events, which trouble they meet, and how much may wait.

Whom a vendor tells is said by its rules; what is told was judged before. Sending is the business of `courier`.
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
from promo_sandbox.webhooks.delivery import WAITING, Attempt, Delivery, Limits, answered
from promo_sandbox.webhooks.outbox import Outbox
from promo_sandbox.webhooks.queues import SLICE, Lane, News, Tally

MAX_IN_FLIGHT = 200  # attempts of one org at a time
MAX_SPREADING = 100_000  # events of one org that are still being given to their subscribers
_TICKED = 500  # orgs that are looked at in one go, which takes
_TURN = 0.003  # seconds at most, about, before other requests have their turn
_WRONG = {"sandbox": "not what the contract says"}


class Teller(Protocol):
    """An org, as far as its deliveries need it."""

    name: str
    state: State
    clock: clock.Clock
    outbox: Outbox | None
    news: News
    rewrites: tuple[Rewrite, ...]


class Sending(NamedTuple):
    """One attempt that is being made."""

    org: Teller
    outbox: Outbox
    lane: Lane
    delivery: Delivery
    at: int  # its moment


class _Telling(NamedTuple):
    """An event on its way to its subscribers."""

    outbox: Outbox
    event: Event
    cause: str
    delivery_fault: DeliveryFault | None
    not_before: float  # by the monotonic clock
    subscribers: ListView  # when it happened


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
        self._chores: deque[Iterator[None]] = deque()  # what is too much for one turn of the event loop
        self._spreading: dict[Outbox, deque[_Telling]] = {}
        self._listed: dict[Outbox, dict[str, ListView]] = {}  # subscribers, as long as they are the same
        self._behind: set[Outbox] = set()  # where more is due than was found yet
        self._shrinking: Iterator[None] | None = None
        self._at_once = SLICE  # deliveries of an entry that may still be made before others have their turn
        self.wake: Callable[[], None] = _nobody  # there is something to take; nobody sends yet

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
        self, org: Teller, entry: Entry, *, live: bool, delivery_fault: DeliveryFault | None = None, after: float = 0.0
    ) -> None:
        """Make deliveries of what an entry of the journal tells, and end those whose subscription it deleted.

        live: the org is there, nobody only rehearses. after: seconds until the reply that told it is sent.
        """
        if org.outbox is not None:
            self._cancel_deleted(org, entry)
        cause = entry.name if isinstance(entry, Occurrence) else str(entry.id)
        self._at_once = SLICE
        for event in entry.events:
            then = org.state.take_armed(event.name) if delivery_fault is None and org.state.armed else None
            met = then.webhook if then is not None else delivery_fault
            self._tell(org, event, cause, met, perf_counter() + after if after else 0.0)
        if org.outbox is not None and entry.events:
            org.news.come()
            if live:
                self.run(org)
                self._shrink()

    def run(self, org: Teller) -> None:
        """Have what is due in an org be attempted."""
        outbox = org.outbox
        if outbox is None or outbox.closed:
            return
        if outbox.run(org.clock.now()) and outbox not in self._behind:
            self._behind.add(outbox)
            self._later(self._run_on(org, outbox))
        if outbox.waiting or outbox.spreading:
            self._open[outbox] = org
        else:
            self._open.pop(outbox, None)
        if outbox.ready and outbox.in_flight < MAX_IN_FLIGHT:
            self._turns[outbox] = None
        if self._turns:
            self.wake()

    def tick(self) -> None:
        """The same where something waits: in some orgs, next time in others."""
        until = perf_counter() + _TURN
        for _ in range(_TICKED):
            outbox, org = next(self._round, (None, None))
            if outbox is None or org is None:
                self._round = iter(list(self._open.items()))
                return
            if org.outbox is outbox:
                self.run(org)
            if perf_counter() > until:
                return

    def work(self) -> bool:
        """Do a slice of what is too much for one turn of the event loop; whether there is more."""
        until = perf_counter() + _TURN
        while self._chores and perf_counter() < until:
            if next(self._chores[0], self) is self:
                self._chores.popleft()
            else:
                self._chores.rotate(-1)
        return bool(self._chores)

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
            self._spreading.pop(outbox, None)
            self._listed.pop(outbox, None)
            outbox.close()
            self._later(outbox.dismantle())

    def restored(self, org: Teller) -> None:
        """End what waits for subscriptions that a restored org does not have."""
        if org.outbox is not None:
            waiting = org.outbox.subscribed()
            known = {id for it in self._collections.values() for id in org.state.records(it)}
            self.cancel(org, waiting - known)

    def redeliver(self, org: Teller, delivery: Delivery) -> Delivery | None:
        """Send it once more; None if its subscription is gone."""
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

    def cancel(self, org: Teller, subscriptions: Iterable[str] | None = None) -> None:
        """End what waits for these subscriptions of an org, or for all."""
        outbox = org.outbox
        if outbox is not None:
            self._listed.pop(outbox, None)
            if subscriptions is None:
                for telling in self._spreading.pop(outbox, ()):
                    outbox.hold(-len(telling.event.payload))
                outbox.spreading = 0
            self._later(outbox.cancel(subscriptions))

    def jump(self, org: Teller, back: int) -> None:
        """The clock of an org was set, so far back: what waits, waits as long as it would have."""
        if org.outbox is not None:
            self._later(org.outbox.rewind(back))
            org.outbox.jumped = org.clock.now()

    def _tell(self, org: Teller, event: Event, cause: str, fault: DeliveryFault | None, not_before: float) -> None:
        """Make the deliveries of an event: for many subscribers in slices. Events keep their order."""
        subscriptions = self._subscriptions.get(event.name)
        name = subscriptions.list_name(event.name) if subscriptions is not None else ""
        outbox = org.outbox
        if subscriptions is None or (outbox is None and not org.state.list_size(name)):
            return
        if outbox is None:
            outbox = org.outbox = Outbox(self._limits, self._kept, self._tally, org.news)
        listed = self._listed.setdefault(outbox, {})
        subscribers = listed.get(name)
        if subscribers is None:  # the next event's are the same
            subscribers = listed[name] = org.state.list_view(name)
        telling = _Telling(outbox, event, cause, fault, not_before, subscribers)
        if outbox in self._spreading:
            self._queue(telling)
        elif len(subscribers) > self._at_once:
            self._spreading[outbox] = deque()
            self._queue(telling)
            self._later(self._spread(org, outbox))
        else:
            self._at_once -= len(subscribers)
            for _, subscription in subscribers:
                self._add(telling, subscription, subscriptions.url_field)

    def _queue(self, telling: _Telling) -> None:
        queue, outbox = self._spreading[telling.outbox], telling.outbox
        if len(queue) > 1 and (len(queue) >= MAX_SPREADING or self._tally.too_much):  # the first is on its way
            outbox.dropped += len(queue[1].subscribers)
            outbox.hold(-len(queue[1].event.payload))
            del queue[1]
        queue.append(telling)
        outbox.hold(len(telling.event.payload))
        outbox.spreading = len(queue)

    def _spread(self, org: Teller, outbox: Outbox) -> Iterator[None]:
        """Give the events of an org to their many subscribers, a slice at a time."""
        while queue := self._spreading.get(outbox):
            telling = queue[0]
            subscriptions = self._subscriptions[telling.event.name]
            for at in range(0, len(telling.subscribers), SLICE):
                while self._tally.too_much:
                    self._shrink()
                    yield
                owner = self._open.get(outbox, org)
                there = owner.state.records(subscriptions.collection)
                for _, subscription in telling.subscribers[at : at + SLICE]:
                    if subscription["id"] in there:
                        self._add(telling, subscription, subscriptions.url_field)
                self.run(owner)
                self._shrink()
                yield
                if self._spreading.get(outbox) is not queue:
                    return
            queue.popleft()
            outbox.hold(-len(telling.event.payload))
            outbox.spreading = len(queue)
        if self._spreading.pop(outbox, None) is not None:
            outbox.changed()

    def _run_on(self, org: Teller, outbox: Outbox) -> Iterator[None]:
        """Find what more is due."""
        yield
        while not outbox.closed and outbox.run(org.clock.now()):
            yield
        self._behind.discard(outbox)
        if org.outbox is outbox:
            self.run(org)

    def _later(self, chore: Iterator[None]) -> None:
        self._chores.append(chore)
        self.wake()

    def _forbidden(self, name: str, url: str) -> str | None:
        """Why a URL is not called, which the vendor would not have taken for a subscription; None for any other."""
        if not self._subscriptions[name].https_only or url[:6].lower() == "https:" or self.policy.allows_http(url):
            return None
        return (
            f"{mask_url(url)[:200]} is not an https URL, and the vendor calls no other; "
            "start with --allow-http-callbacks to admit plain http to loopback"
        )

    def _cancel_deleted(self, org: Teller, entry: Entry) -> None:
        changed = [change for change in entry.changes if change.collection.key in self._collections]
        deleted = [change.id for change in changed if change.after is None]
        if changed and org.outbox is not None:
            self._listed.pop(org.outbox, None)
        if deleted:
            self.cancel(org, deleted)

    def _add(self, telling: _Telling, subscription: Doc, url_member: str) -> None:
        outbox, event, cause, fault, not_before, _ = telling
        id, url = subscription["id"], subscription[url_member]
        kind = fault.kind if fault is not None else None
        sent, due, alone = None, event.at, False
        if kind == "truncated":
            sent = event.payload[: len(event.payload) // 2]
        elif kind == "invalid":
            sent = self._invalid(event)
        elif kind == "out_of_order":
            due = NEVER
        elif kind == "late" and fault is not None:
            due, alone = event.at + fault.late, True
        for _ in range(2 if kind == "twice" else 1):
            delivery = Delivery(0, event, cause, id, url, due, delivery_fault=fault, sent=sent, not_before=not_before)
            outbox.add(delivery, alone=alone, forbidden=self._forbidden(event.name, url))

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
        if self._shrinking is None:
            if not self._tally.too_much:
                return
            self._shrinking = self._tally.shrink()
            self._later(self._shrinking)
        if next(self._shrinking, self) is self:  # this frees as much as may have been added since
            self._shrinking = None


def _nobody() -> None: ...
