"""An org's deliveries: in which order each subscription gets its events, when the next attempt is due, what came of it.

Sends nothing and resolves nothing; which events make deliveries is the business of `webhooks`, sending them that of
`courier`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from heapq import heapify, heappop, heappush
from time import perf_counter

from promo_sandbox.base import clock
from promo_sandbox.model.state import NEVER
from promo_sandbox.webhooks.delivery import (
    CANCELED,
    DEAD,
    DELIVERED,
    DROPPED,
    NOT_ALLOWED,
    WAITING,
    Attempt,
    Delivery,
    Limits,
    answered,
    is_sink,
)
from promo_sandbox.webhooks.queues import SLICE, Lane, News, Tally, dismantled, key_alone, rewound

FIRST_RETRY = clock.SECOND
MAX_ATTEMPTS_KEPT = 20  # of one delivery, the newest
MAX_REPLY_KEPT = 4096  # bytes of an attempt's answer
MAX_CAUGHT_UP = 100  # attempts of one delivery at moments that a clock jumped over
_ACCEPTED = 202


class Outbox:
    """All deliveries of one org: those that wait, and the newest of the others."""

    def __init__(self, limits: Limits, kept: int, tally: Tally, news: News | None = None) -> None:
        self._limits = limits
        self._kept = kept
        self._tally = tally
        self._news = news or News()
        tally.outboxes.add(self)
        self._all: dict[int, Delivery] = {}
        self._settled: deque[int] = deque()
        self._lanes: dict[str, Lane] = {}
        self._late: set[str] = set()  # the keys of lanes that have one delivery for themselves
        self._agenda: list[tuple[int, int, Lane]] = []
        self._ready: deque[Lane] = deque()
        self._held: list[tuple[float, int, Lane]] = []  # a heap: until the reply that told it was sent
        self._number = 0
        self._entries = 0
        self._oldest = 1  # no delivery with a lower id waits
        self._behind = False  # more is due than one `run` finds
        self.spreading = 0  # events that are still being given to their many subscribers
        self.jumped = 0  # up to this moment the clock was set; what is due before is attempted at its own moment
        self.dropped = 0
        self.waiting = 0
        self.in_flight = 0
        self.waiting_bytes = 0
        self.settled_bytes = 0
        self.closed = False  # its org is gone: nothing is sent any more

    def __iter__(self) -> Iterator[Delivery]:
        """Oldest first."""
        return iter(self._all.values())

    def find(self, id: int) -> Delivery | None:
        return self._all.get(id)

    @property
    def first_due(self) -> int:
        """When the next delivery is due that does not wait for anything else."""
        return self._agenda[0][0] if self._agenda else NEVER

    @property
    def ready(self) -> bool:
        """Whether `take` would give something."""
        return bool(self._ready) and not self.closed

    @property
    def idle(self) -> bool:
        """Whether all that was due has been attempted."""
        return self.closed or not (self._ready or self._held or self.in_flight or self._behind or self.spreading)

    @property
    def lanes(self) -> list[Lane]:
        return list(self._lanes.values())

    @property
    def size(self) -> int:
        """Bytes of all deliveries, about."""
        return self.waiting_bytes + self.settled_bytes

    def add(self, delivery: Delivery, *, alone: bool = False, forbidden: str | None = None) -> Delivery:
        """Number a delivery and take it in, after the others of its subscription unless it is `alone`.

        One that a script has be dropped is at once; so ends one that must not be sent, for which there is a reason.
        """
        self._number += 1
        delivery.id = self._number
        delivery.answers = delivery.delivery_fault.times if delivery.delivery_fault is not None else 0
        self._all[delivery.id] = delivery
        self.waiting += 1
        self.hold(delivery.size)
        if forbidden is not None:
            self.end(delivery, NOT_ALLOWED, forbidden)
            self.changed()
            return delivery
        if delivery.delivery_fault is not None and delivery.delivery_fault.kind == "drop":
            self.end(delivery, DROPPED, "A script has it be lost.")
            self.changed()
            return delivery
        key = key_alone(delivery) if alone else delivery.subscription
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane(key, delivery.subscription)
            if alone:
                self._late.add(key)
        lane.add(delivery)
        self._schedule(lane)
        return delivery

    def hold(self, size: int) -> None:
        """So many bytes more wait, or fewer."""
        self.waiting_bytes += size
        self._tally.waiting_bytes += size

    def end(self, delivery: Delivery, status: str, detail: str | None = None) -> None:
        """Nothing more is attempted. Which lane it stood in must have let go of it."""
        delivery.status, delivery.detail, delivery.due = status, detail, NEVER
        if self.closed:
            return
        self.waiting -= 1
        self.hold(-delivery.size)
        self.settled_bytes += delivery.size
        self._tally.settled_bytes += delivery.size
        self._settled.append(delivery.id)
        while len(self._settled) > self._kept:
            self.forget_oldest()

    def forget_oldest(self) -> bool:
        """Forget the delivery that ended first; whether there was one."""
        if not self._settled:
            return False
        size = self._all.pop(self._settled.popleft()).size
        self.settled_bytes -= size
        self._tally.settled_bytes -= size
        self.dropped += 1
        return True

    def close(self) -> None:
        """Its org is gone, or begins anew."""
        self.closed = True
        self._tally.outboxes.discard(self)
        self._tally.waiting_bytes -= self.waiting_bytes
        self._tally.settled_bytes -= self.settled_bytes
        self._tally = Tally()  # what is in flight still ends, and counts for nobody
        self.changed()

    def dismantle(self) -> Iterator[None]:
        """Free the memory of a closed outbox in slices. What is being attempted keeps its place."""
        self._agenda, self._held, self._ready = [], [], deque()
        return dismantled(self._lanes, self._all)

    def give_up_oldest(self, detail: str) -> bool:
        """End the oldest delivery that waits and is not being attempted; whether there was one."""
        for id in range(self._oldest, self._number + 1):
            delivery = self._all.get(id)
            if delivery is None or delivery.status != WAITING:
                self._oldest += id == self._oldest
            elif self._give_up(delivery, detail):
                return True
        return False

    def _give_up(self, delivery: Delivery, detail: str) -> bool:
        for key in (delivery.subscription, key_alone(delivery)):
            lane = self._lanes.get(key)
            at = lane.place(delivery) if lane is not None else None
            if lane is not None and at is not None:
                break
        else:
            return False  # its subscription is gone
        if at == 0 and lane.busy:
            return False
        del lane.waiting[at]
        self.end(delivery, DEAD, detail)
        self._schedule(lane)
        self.changed()
        return True

    def cancel(self, subscriptions: Iterable[str] | None = None) -> Iterator[None]:
        """End what waits for these subscriptions, or for all: none of it is attempted from now on.

        A slice is done at once; the iterator does the rest, where there is more.
        """
        if subscriptions is None:
            lost = self.lanes
        else:
            chosen = set(subscriptions)
            lost = [self._lanes[id] for id in chosen if id in self._lanes]
            lost += [self._lanes[key] for key in self._late if self._lanes[key].subscription in chosen]
        for lane in lost:
            self._drop(lane)
        self._ready = deque(lane for lane in self._ready if not lane.lost)
        if self._held:
            self._held = [it for it in self._held if not it[2].lost]
            heapify(self._held)
        rest = self._empty(lost)
        next(rest, None)
        return rest

    def _drop(self, lane: Lane) -> None:
        lane.lost = True
        del self._lanes[lane.key]
        self._late.discard(lane.key)

    def _empty(self, lost: list[Lane]) -> Iterator[None]:
        """End what waited in lanes that are lost; what is in flight ends by itself."""
        ended = 0
        for lane in lost:
            while len(lane.waiting) > lane.busy:
                at = 1 if lane.busy else 0
                delivery = lane.waiting[at]
                del lane.waiting[at]
                self.end(delivery, CANCELED, "Its subscription is gone.")
                ended += 1
                if ended % SLICE == 0:
                    self.changed()
                    yield
        self.changed()

    def subscribed(self) -> set[str]:
        """The subscriptions for which something waits."""
        return {lane.subscription for lane in self._lanes.values() if lane.waiting}

    def run(self, now: int) -> bool:
        """Find what is due at this moment, and settle at once what the sink takes; whether more is due."""
        real, left = perf_counter(), SLICE
        while left > 0 and self._held and self._held[0][0] <= real:
            self._schedule(heappop(self._held)[2])
            left -= 1
        while left > 0 and self._agenda and self._agenda[0][0] <= now:
            left -= self._found(heappop(self._agenda), now, left)
        self._behind = left <= 0 and not self.closed
        return self._behind

    def _found(self, entry: tuple[int, int, Lane], now: int, most: int) -> int:
        """What an entry of the agenda stands for is due; how many deliveries that were, of so many at most."""
        _, number, lane = entry
        if number != lane.entry:
            return 1
        lane.entry = 0
        if lane.busy or lane.lost or not lane.waiting:
            return 1
        first = lane.waiting[0]
        if first.not_before > perf_counter():
            self._entries += 1
            heappush(self._held, (first.not_before, self._entries, lane))
        elif is_sink(first.url):
            return self._sink(lane, now, most)
        else:
            lane.ready = True
            self._ready.append(lane)
        return 1

    def hasten(self, now: int, lanes: Iterable[Lane]) -> None:
        """Make the first of each of these lanes due."""
        for lane in lanes:
            if lane.lost or not lane.waiting:
                continue
            if lane.waiting[-1].due == NEVER:
                lane.waiting[-1].due = now  # nobody passes it any more
            if not lane.busy:
                lane.waiting[0].due = min(lane.waiting[0].due, now)
                lane.waiting[0].not_before = 0.0
                self._schedule(lane)

    def take(self, now: int) -> tuple[Lane, Delivery, int] | None:
        """A delivery to attempt now, and the moment that counts as that of the attempt; `settle` ends it."""
        while self._ready:
            lane = self._ready.popleft()
            lane.ready = False
            if lane.waiting and not lane.lost:
                lane.busy = True
                self.in_flight += 1
                return lane, lane.waiting[0], self._moment(lane, lane.waiting[0], now)
            self._schedule(lane)  # it was given up, or canceled
        return None

    def abandon(self, lane: Lane, delivery: Delivery) -> None:
        """The attempt was taken and is not made: it stays to be made, unless nobody is to be told any more."""
        self.in_flight -= 1
        lane.busy = False
        if lane.lost:
            self._leave(lane, delivery, CANCELED, "Its subscription is gone.")
        self._schedule(lane)
        self.changed()

    def settle(self, lane: Lane, delivery: Delivery, attempt: Attempt, now: int) -> None:
        """An attempt is over."""
        self.in_flight -= 1
        lane.busy = False
        self.note(lane, delivery, attempt)
        if attempt.succeeded:
            self._leave(lane, delivery, DELIVERED)
        elif lane.lost:
            self._leave(lane, delivery, CANCELED, "Its subscription is gone.")
        else:
            self._retry(lane, delivery, attempt, now)
        self._schedule(lane)
        self.changed()

    def refuse(self, lane: Lane, delivery: Delivery, reason: str) -> None:
        """The attempt was not made, and none ever is."""
        self.in_flight -= 1
        lane.busy = False
        self._leave(lane, delivery, NOT_ALLOWED, reason)
        self._schedule(lane)
        self.changed()

    def changed(self) -> None:
        self._news.come()

    def _moment(self, lane: Lane, delivery: Delivery, now: int) -> int:
        return max(delivery.due, lane.last) if delivery.due <= self.jumped else now

    def _schedule(self, lane: Lane) -> None:
        """Enter the lane's first in the agenda; a lane that is empty goes."""
        if lane.busy or lane.ready or lane.lost:
            return
        if not lane.waiting:
            self._drop(lane)
            return
        due = lane.waiting[0].due
        if lane.entry and lane.due == due:
            return
        self._entries += 1
        lane.entry, lane.due = (self._entries, due) if due != NEVER else (0, NEVER)
        if due != NEVER:
            heappush(self._agenda, (due, lane.entry, lane))
            if len(self._agenda) > 2 * len(self._lanes) + 64:
                self._agenda = [it for it in self._agenda if it[1] == it[2].entry and not it[2].lost]
                heapify(self._agenda)

    def _sink(self, lane: Lane, now: int, most: int) -> int:
        """Answer for the host that is nowhere, as long as something is due, so many times at most; how many times."""
        times = 0
        while (
            times < most
            and lane.waiting
            and lane.waiting[0].due <= now
            and lane.waiting[0].not_before <= perf_counter()
        ):
            times += 1
            delivery = lane.waiting[0]
            at = self._moment(lane, delivery, now)
            attempt = answered(delivery, Attempt(at, _ACCEPTED, 0, b"", None))
            self.note(lane, delivery, attempt)
            if attempt.succeeded:
                self._leave(lane, delivery, DELIVERED)
            else:
                self._retry(lane, delivery, attempt, now)
        self._schedule(lane)
        self.changed()
        return max(times, 1)

    def note(self, lane: Lane, delivery: Delivery, attempt: Attempt) -> None:
        """An attempt was made, and is not the last word."""
        before = delivery.size
        lane.last = max(lane.last, attempt.at)
        delivery.attempted += 1
        delivery.attempts = (*delivery.attempts, attempt)[-MAX_ATTEMPTS_KEPT:]
        self.hold(delivery.size - before)

    def rewind(self, by: int) -> Iterator[None]:
        """The clock was set back: what waits, waits as long as it would have.

        A slice is done at once; the iterator does the rest, where there is more.
        """
        rest = rewound(self.lanes, by, self._number, self._schedule) if by else iter(())
        next(rest, None)
        return rest

    def _retry(self, lane: Lane, delivery: Delivery, attempt: Attempt, now: int) -> None:
        """Documented of a sibling API: exponential back-off, until the subscription is deleted."""
        delivery.failures += 1
        if delivery.failures == self._limits.attempts:
            self._leave(lane, delivery, DEAD, f"{delivery.failures} attempts have failed.")
            return
        wait = min(FIRST_RETRY << min(delivery.failures - 1, 40), self._limits.longest_retry)
        catching_up = attempt.at <= self.jumped and delivery.failures <= MAX_CAUGHT_UP
        delivery.due = (attempt.at if catching_up else now) + wait

    def _leave(self, lane: Lane, delivery: Delivery, status: str, detail: str | None = None) -> None:
        lane.waiting.popleft()
        self.end(delivery, status, detail)
