"""What an outbox is made of: the deliveries of one subscription in their order, bytes held by all, news of changes.

When something is attempted is the business of `outbox`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heapreplace
from typing import Protocol

from promo_sandbox.model.state import NEVER
from promo_sandbox.webhooks.delivery import Delivery

MEBIBYTE = 1_048_576
MAX_WAITING_BYTES = 256 * MEBIBYTE  # of all orgs
MAX_SETTLED_BYTES = 16 * MEBIBYTE
SLICE = 200  # deliveries or lanes that are handled before other requests have their turn


class News:
    """The next change of an org's deliveries, for all who wait for it. Costs nothing while nobody waits."""

    __slots__ = ("_next",)

    def __init__(self) -> None:
        self._next: asyncio.Event | None = None

    def next(self) -> asyncio.Event:
        """Set by the next change. To be asked for before looking, so that no change is missed."""
        if self._next is None:
            self._next = asyncio.Event()
        return self._next

    def come(self) -> None:
        if self._next is not None:
            self._next.set()
            self._next = None


class Holder(Protocol):
    """An outbox, as far as the bytes of all are counted."""

    waiting_bytes: int
    settled_bytes: int

    def give_up_oldest(self, detail: str) -> bool: ...
    def forget_oldest(self) -> bool: ...


class Tally:
    """What the outboxes of all orgs hold together, and what of it is given up where that is too much."""

    __slots__ = ("outboxes", "settled_bytes", "waiting_bytes")

    def __init__(self) -> None:
        self.outboxes: set[Holder] = set()  # those that hold something
        self.waiting_bytes = 0
        self.settled_bytes = 0

    @property
    def too_much(self) -> bool:
        return self.waiting_bytes > MAX_WAITING_BYTES or self.settled_bytes > MAX_SETTLED_BYTES

    def shrink(self) -> Iterator[None]:
        """Give up the oldest of whichever outbox holds most, in slices, until there is room for a while."""
        if self.waiting_bytes > MAX_WAITING_BYTES:
            for number, outbox in enumerate(self._largest(lambda outbox: outbox.waiting_bytes), 1):
                if self.waiting_bytes <= MAX_WAITING_BYTES * 15 // 16:
                    break
                outbox.give_up_oldest("Too much waits in this server.")
                if number % SLICE == 0:
                    yield
        if self.settled_bytes > MAX_SETTLED_BYTES:
            for number, outbox in enumerate(self._largest(lambda outbox: outbox.settled_bytes), 1):
                if self.settled_bytes <= MAX_SETTLED_BYTES * 15 // 16:
                    break
                outbox.forget_oldest()
                if number % SLICE == 0:
                    yield

    def _largest(self, size: Callable[[Holder], int]) -> Iterator[Holder]:
        """Whichever holds most, again and again, as long as it has become less each time."""
        heap = [(-size(outbox), at, outbox) for at, outbox in enumerate(self.outboxes)]
        heapify(heap)
        while heap:
            held, at, outbox = heap[0]
            yield outbox
            left = -size(outbox)
            if left == held:
                heappop(heap)
            else:
                heapreplace(heap, (left, at, outbox))


class Lane:
    """The deliveries of one subscription that wait, each for the one before it."""

    __slots__ = ("busy", "due", "entry", "key", "last", "lost", "ready", "subscription", "waiting")

    def __init__(self, key: str, subscription: str) -> None:
        self.key = key
        self.subscription = subscription
        self.waiting: deque[Delivery] = deque()
        self.ready = False  # its first is to be attempted
        self.busy = False  # it is being attempted
        self.last = 0  # the moment of the newest attempt
        self.entry = 0  # the number of its valid entry in the agenda; 0: it has none
        self.due = NEVER  # the moment of that entry
        self.lost = False  # its subscription is gone, or its org

    def add(self, delivery: Delivery) -> None:
        """At the end; one that is to come out of order lets it pass."""
        held = self.waiting[-1] if self.waiting else None
        if held is None or held.due != NEVER:
            self.waiting.append(delivery)
            return
        if delivery.due == NEVER:
            delivery.due = delivery.event.at  # it has come out of order by passing the other
        held.due = delivery.due
        self.waiting.insert(len(self.waiting) - 1, delivery)

    def place(self, delivery: Delivery) -> int | None:
        """Where a delivery stands in this lane, near the front of which it is."""
        for at, waiting in enumerate(self.waiting):
            if waiting is delivery:
                return at
        return None


def key_alone(delivery: Delivery) -> str:
    """The key of a lane that a delivery has for itself."""
    return f"{delivery.subscription} {delivery.id}"


def rewound(lanes: list[Lane], by: int, newest: int, schedule: Callable[[Lane], None]) -> Iterator[None]:
    """Have all deliveries up to the newest be due so much earlier, in slices."""
    moved = 0
    for lane in lanes:
        lane.last -= by
        for delivery in list(lane.waiting):
            if delivery.due != NEVER and delivery.id <= newest:
                delivery.due -= by
            moved += 1
            if moved % SLICE == 0:
                schedule(lane)
                yield
        schedule(lane)


def dismantled(lanes: dict[str, Lane], deliveries: dict[int, Delivery]) -> Iterator[None]:
    """Free the memory of lanes and deliveries in slices. What is being attempted keeps its place."""
    while lanes:
        _, lane = lanes.popitem()
        lane.lost = True
        while len(lane.waiting) > lane.busy:
            lane.waiting.pop()
            if len(lane.waiting) % SLICE == 0:
                yield
        if len(lanes) % SLICE == 0:
            yield
    while deliveries:
        deliveries.popitem()
        if len(deliveries) % SLICE == 0:
            yield
