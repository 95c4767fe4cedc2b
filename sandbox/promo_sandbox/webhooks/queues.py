"""The parts of an outbox: the queue of one subscription, the memory limit of all outboxes, the signal of changes.

`outbox` decides when an attempt is due.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heapreplace
from operator import attrgetter
from typing import Protocol

from promo_sandbox.model.state import NEVER
from promo_sandbox.webhooks.delivery import Delivery

MEBIBYTE = 1_048_576
MAX_WAITING_BYTES = 256 * MEBIBYTE  # of all orgs
MAX_FINISHED_BYTES = 16 * MEBIBYTE
SLICE = 200  # deliveries or queues that are handled before other requests have their turn


class ChangeSignal:
    """Signals the next change of an org's deliveries to all waiting tasks. Costs nothing while no task waits."""

    __slots__ = ("_next",)

    def __init__(self) -> None:
        self._next: asyncio.Event | None = None

    def next(self) -> asyncio.Event:
        """An event that the next change sets. Get it before reading the deliveries, so that no change is missed."""
        if self._next is None:
            self._next = asyncio.Event()
        return self._next

    def notify(self) -> None:
        if self._next is not None:
            self._next.set()
            self._next = None


class LimitedOutbox(Protocol):
    """The parts of an outbox that the limits of all outboxes need."""

    waiting_bytes: int
    finished_bytes: int

    def give_up_oldest(self, detail: str) -> bool: ...
    def drop_oldest(self) -> bool: ...


class Usage:
    """The size of all outboxes together, and the way to reduce it when it exceeds the limits."""

    __slots__ = ("finished_bytes", "outboxes", "waiting_bytes")

    def __init__(self) -> None:
        self.outboxes: set[LimitedOutbox] = set()
        self.waiting_bytes = 0
        self.finished_bytes = 0

    @property
    def over_limit(self) -> bool:
        return self.waiting_bytes > MAX_WAITING_BYTES or self.finished_bytes > MAX_FINISHED_BYTES

    def shrink(self) -> Iterator[None]:
        """Drop the oldest deliveries of the largest outbox, again and again, down to 15/16 of each limit. In slices."""
        detail = "The deliveries that wait in this server exceed the memory limit."
        yield from self._drop("waiting_bytes", MAX_WAITING_BYTES, lambda outbox: outbox.give_up_oldest(detail))
        yield from self._drop("finished_bytes", MAX_FINISHED_BYTES, lambda outbox: outbox.drop_oldest())

    def _drop(self, size: str, limit: int, drop: Callable[[LimitedOutbox], bool]) -> Iterator[None]:
        if getattr(self, size) > limit:
            for number, outbox in enumerate(self._largest(attrgetter(size)), 1):
                if getattr(self, size) <= limit * 15 // 16:
                    break
                drop(outbox)
                if number % SLICE == 0:
                    yield

    def _largest(self, size: Callable[[LimitedOutbox], int]) -> Iterator[LimitedOutbox]:
        """Yield the largest outbox, again and again. An outbox that has not become smaller is left out."""
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


class Queue:
    """The waiting deliveries of one subscription. They are sent one after the other."""

    __slots__ = ("busy", "deliveries", "due", "entry", "key", "last_attempt", "ready", "removed", "subscription")

    def __init__(self, key: str, subscription: str) -> None:
        self.key = key
        self.subscription = subscription
        self.deliveries: deque[Delivery] = deque()
        self.ready = False  # the first delivery is to be attempted
        self.busy = False  # the first delivery is in flight
        self.last_attempt = 0  # time of the newest attempt
        self.entry = 0  # number of its valid entry in the agenda; 0 without one
        self.due = NEVER  # time of that entry
        self.removed = False  # the subscription or the org is deleted

    def add(self, delivery: Delivery) -> None:
        """Append a delivery. A delivery with the fault `out_of_order` at the end is overtaken by it."""
        held = self.deliveries[-1] if self.deliveries else None
        if held is None or held.due != NEVER:
            self.deliveries.append(delivery)
            return
        if delivery.due == NEVER:
            delivery.due = delivery.event.at  # both are out of order now
        held.due = delivery.due
        self.deliveries.insert(len(self.deliveries) - 1, delivery)

    def index(self, delivery: Delivery) -> int | None:
        """The position of a delivery, which is near the front; None if it is not in this queue."""
        for at, waiting in enumerate(self.deliveries):
            if waiting is delivery:
                return at
        return None


def separate_key(delivery: Delivery) -> str:
    """The key of a queue for this delivery only."""
    return f"{delivery.subscription} {delivery.id}"


def shift_due(queues: list[Queue], by: int, newest: int, schedule: Callable[[Queue], None]) -> Iterator[None]:
    """Make all deliveries up to the id `newest` due earlier, in slices."""
    moved = 0
    for queue in queues:
        queue.last_attempt -= by
        for delivery in list(queue.deliveries):
            if delivery.due != NEVER and delivery.id <= newest:
                delivery.due -= by
            moved += 1
            if moved % SLICE == 0:
                schedule(queue)
                yield
        schedule(queue)


def free_in_slices(queues: dict[str, Queue], deliveries: dict[int, Delivery]) -> Iterator[None]:
    """Free the memory of queues and deliveries in slices. Deliveries in flight keep their places."""
    while queues:
        _, queue = queues.popitem()
        queue.removed = True
        while len(queue.deliveries) > queue.busy:
            queue.deliveries.pop()
            if len(queue.deliveries) % SLICE == 0:
                yield
        if len(queues) % SLICE == 0:
            yield
    while deliveries:
        deliveries.popitem()
        if len(deliveries) % SLICE == 0:
            yield
