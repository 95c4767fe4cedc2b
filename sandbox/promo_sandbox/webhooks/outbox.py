"""The deliveries of one org: their order for each subscription, when the next attempt is due, and the results.

`dispatch` makes the deliveries from events, and `sender` makes the attempts.
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
    is_sink,
    with_scripted_answer,
)
from promo_sandbox.webhooks.queues import SLICE, ChangeSignal, Queue, Usage, free_in_slices, separate_key, shift_due

FIRST_RETRY = clock.SECOND
MAX_ATTEMPTS_KEPT = 20  # of one delivery, the newest
MAX_REPLY_KEPT = 4096  # bytes of an attempt's answer
MAX_CAUGHT_UP = 100  # attempts of one delivery at moments that a clock skipped
_ACCEPTED = 202
_NO_SUBSCRIPTION = "Its subscription was deleted, or the org was restored."


class Outbox:
    """The deliveries of one org: all that wait, and the newest of the finished ones."""

    def __init__(self, limits: Limits, kept: int, usage: Usage, changes: ChangeSignal | None = None) -> None:
        self._limits = limits
        self._kept = kept
        self._usage = usage
        self._changes = changes or ChangeSignal()
        usage.outboxes.add(self)
        self._all: dict[int, Delivery] = {}
        self._finished: deque[int] = deque()
        self._queues: dict[str, Queue] = {}
        self._separate_keys: set[str] = set()  # of the queues that hold a single late delivery
        self._agenda: list[tuple[int, int, Queue]] = []
        self._ready: deque[Queue] = deque()
        self._delayed: list[tuple[float, int, Queue]] = []  # a heap: these wait until a delayed reply is sent
        self._number = 0
        self._entries = 0
        self._oldest = 1  # no delivery with a lower id waits
        self._behind = False  # the last `run` left due deliveries
        self.undistributed = 0  # events whose deliveries are not all made yet
        self.clock_set_to = 0  # the newest time that was set; an attempt that was due before counts at its due time
        self.dropped = 0
        self.waiting = 0
        self.in_flight = 0
        self.waiting_bytes = 0
        self.finished_bytes = 0
        self.closed = False  # the org is deleted or reset: nothing is sent any more

    def __iter__(self) -> Iterator[Delivery]:
        """Oldest first."""
        return iter(self._all.values())

    def find(self, id: int) -> Delivery | None:
        return self._all.get(id)

    @property
    def first_due(self) -> int:
        """When the next queue is due."""
        return self._agenda[0][0] if self._agenda else NEVER

    @property
    def ready(self) -> bool:
        """Whether `take` has an attempt to make."""
        return bool(self._ready) and not self.closed

    @property
    def idle(self) -> bool:
        """Whether all due deliveries have been attempted."""
        return self.closed or not (self._ready or self._delayed or self.in_flight or self._behind or self.undistributed)

    @property
    def queues(self) -> list[Queue]:
        return list(self._queues.values())

    @property
    def size(self) -> int:
        """Approximate size of all deliveries in bytes."""
        return self.waiting_bytes + self.finished_bytes

    def add(self, delivery: Delivery, *, separate: bool = False, forbidden: str | None = None) -> Delivery:
        """Number a delivery and add it to its subscription's queue, or to a queue of its own if it is `separate`.

        A delivery with the fault `drop` is finished at once. So is one with a reason in `forbidden`.
        """
        self._number += 1
        delivery.id = self._number
        delivery.scripted_answers = delivery.delivery_fault.times if delivery.delivery_fault is not None else 0
        self._all[delivery.id] = delivery
        self.waiting += 1
        self.add_waiting_bytes(delivery.size)
        if forbidden is not None:
            self.finish(delivery, NOT_ALLOWED, forbidden)
            self.changed()
            return delivery
        if delivery.delivery_fault is not None and delivery.delivery_fault.kind == "drop":
            self.finish(delivery, DROPPED, "A delivery fault dropped it.")
            self.changed()
            return delivery
        key = separate_key(delivery) if separate else delivery.subscription
        queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = Queue(key, delivery.subscription)
            if separate:
                self._separate_keys.add(key)
        queue.add(delivery)
        self._schedule(queue)
        return delivery

    def add_waiting_bytes(self, size: int) -> None:
        """Change the count of waiting bytes by `size`, which may be negative."""
        self.waiting_bytes += size
        self._usage.waiting_bytes += size

    def finish(self, delivery: Delivery, status: str, detail: str | None = None) -> None:
        """Finish a delivery that is in no queue any more."""
        delivery.status, delivery.detail, delivery.due = status, detail, NEVER
        if self.closed:
            return
        self.waiting -= 1
        self.add_waiting_bytes(-delivery.size)
        self.finished_bytes += delivery.size
        self._usage.finished_bytes += delivery.size
        self._finished.append(delivery.id)
        while len(self._finished) > self._kept:
            self.drop_oldest()

    def drop_oldest(self) -> bool:
        """Drop the oldest finished delivery. Return whether there was one."""
        if not self._finished:
            return False
        size = self._all.pop(self._finished.popleft()).size
        self.finished_bytes -= size
        self._usage.finished_bytes -= size
        self.dropped += 1
        return True

    def close(self) -> None:
        """Stop all deliveries: the org is deleted or reset."""
        self.closed = True
        self._usage.outboxes.discard(self)
        self._usage.waiting_bytes -= self.waiting_bytes
        self._usage.finished_bytes -= self.finished_bytes
        self._usage = Usage()  # attempts in flight still finish, but no longer count
        self.changed()

    def dismantle(self) -> Iterator[None]:
        """Free the memory of a closed outbox in slices. Deliveries in flight keep their places."""
        self._agenda, self._delayed, self._ready = [], [], deque()
        return free_in_slices(self._queues, self._all)

    def give_up_oldest(self, detail: str) -> bool:
        """Give up the oldest waiting delivery that is not in flight. Return whether there was one."""
        for id in range(self._oldest, self._number + 1):
            delivery = self._all.get(id)
            if delivery is None or delivery.status != WAITING:
                self._oldest += id == self._oldest
            elif self._give_up(delivery, detail):
                return True
        return False

    def _give_up(self, delivery: Delivery, detail: str) -> bool:
        for key in (delivery.subscription, separate_key(delivery)):
            queue = self._queues.get(key)
            at = queue.index(delivery) if queue is not None else None
            if queue is not None and at is not None:
                break
        else:
            return False  # its subscription is deleted
        if at == 0 and queue.busy:
            return False
        del queue.deliveries[at]
        self.finish(delivery, DEAD, detail)
        self._schedule(queue)
        self.changed()
        return True

    def cancel(self, subscriptions: Iterable[str] | None = None) -> Iterator[None]:
        """Cancel the waiting deliveries of these subscriptions, or of all. From now on none of them is attempted.

        The first slice is done at once; the iterator does the rest.
        """
        if subscriptions is None:
            removed = self.queues
        else:
            chosen = set(subscriptions)
            removed = [self._queues[id] for id in chosen if id in self._queues]
            removed += [self._queues[key] for key in self._separate_keys if self._queues[key].subscription in chosen]
        for queue in removed:
            self._remove_queue(queue)
        self._ready = deque(queue for queue in self._ready if not queue.removed)
        if self._delayed:
            self._delayed = [it for it in self._delayed if not it[2].removed]
            heapify(self._delayed)
        rest = self._cancel_waiting(removed)
        next(rest, None)
        return rest

    def _remove_queue(self, queue: Queue) -> None:
        queue.removed = True
        del self._queues[queue.key]
        self._separate_keys.discard(queue.key)

    def _cancel_waiting(self, removed: list[Queue]) -> Iterator[None]:
        """Cancel the waiting deliveries of removed queues. Deliveries in flight finish by themselves."""
        ended = 0
        for queue in removed:
            while len(queue.deliveries) > queue.busy:
                at = 1 if queue.busy else 0
                delivery = queue.deliveries[at]
                del queue.deliveries[at]
                self.finish(delivery, CANCELED, _NO_SUBSCRIPTION)
                ended += 1
                if ended % SLICE == 0:
                    self.changed()
                    yield
        self.changed()

    def waiting_subscriptions(self) -> set[str]:
        """The subscriptions with waiting deliveries."""
        return {queue.subscription for queue in self._queues.values() if queue.deliveries}

    def run(self, now: int) -> bool:
        """Find the due deliveries, and finish those to the sink at once. Return whether more are due."""
        real, left = perf_counter(), SLICE
        while left > 0 and self._delayed and self._delayed[0][0] <= real:
            self._schedule(heappop(self._delayed)[2])
            left -= 1
        while left > 0 and self._agenda and self._agenda[0][0] <= now:
            left -= self._process_due(heappop(self._agenda), now, left)
        self._behind = left <= 0 and not self.closed
        return self._behind

    def _process_due(self, entry: tuple[int, int, Queue], now: int, most: int) -> int:
        """Handle a due entry of the agenda. Return how many deliveries it was, at most `most`."""
        _, number, queue = entry
        if number != queue.entry:
            return 1
        queue.entry = 0
        if queue.busy or queue.removed or not queue.deliveries:
            return 1
        first = queue.deliveries[0]
        if first.not_before > perf_counter():
            self._entries += 1
            heappush(self._delayed, (first.not_before, self._entries, queue))
        elif is_sink(first.url):
            return self._deliver_to_sink(queue, now, most)
        else:
            queue.ready = True
            self._ready.append(queue)
        return 1

    def make_due(self, now: int, queues: Iterable[Queue]) -> None:
        """Make the first delivery of each of these queues due."""
        for queue in queues:
            if queue.removed or not queue.deliveries:
                continue
            if queue.deliveries[-1].due == NEVER:
                queue.deliveries[-1].due = now  # it no longer waits for a later delivery to overtake it
            if not queue.busy:
                queue.deliveries[0].due = min(queue.deliveries[0].due, now)
                queue.deliveries[0].not_before = 0.0
                self._schedule(queue)

    def take(self, now: int) -> tuple[Queue, Delivery, int] | None:
        """A delivery to attempt now, and the time of the attempt by the org's clock. Call `finish_attempt` after it."""
        while self._ready:
            queue = self._ready.popleft()
            queue.ready = False
            if queue.deliveries and not queue.removed:
                queue.busy = True
                self.in_flight += 1
                return queue, queue.deliveries[0], self._moment(queue, queue.deliveries[0], now)
            self._schedule(queue)  # its delivery was given up or canceled
        return None

    def abandon(self, queue: Queue, delivery: Delivery) -> None:
        """Put back a delivery that was taken but not attempted. Cancel it if its subscription is deleted."""
        self.in_flight -= 1
        queue.busy = False
        if queue.removed:
            self._finish_first(queue, delivery, CANCELED, _NO_SUBSCRIPTION)
        self._schedule(queue)
        self.changed()

    def finish_attempt(self, queue: Queue, delivery: Delivery, attempt: Attempt, now: int) -> None:
        """Record an attempt, and finish the delivery or schedule the next attempt."""
        self.in_flight -= 1
        queue.busy = False
        self.record_attempt(queue, delivery, attempt)
        if attempt.succeeded:
            self._finish_first(queue, delivery, DELIVERED)
        elif queue.removed:
            self._finish_first(queue, delivery, CANCELED, _NO_SUBSCRIPTION)
        else:
            self._retry(queue, delivery, attempt, now)
        self._schedule(queue)
        self.changed()

    def forbid(self, queue: Queue, delivery: Delivery, reason: str) -> None:
        """Finish a delivery whose URL is not allowed."""
        self.in_flight -= 1
        queue.busy = False
        self._finish_first(queue, delivery, NOT_ALLOWED, reason)
        self._schedule(queue)
        self.changed()

    def changed(self) -> None:
        self._changes.notify()

    def _moment(self, queue: Queue, delivery: Delivery, now: int) -> int:
        return max(delivery.due, queue.last_attempt) if delivery.due <= self.clock_set_to else now

    def _schedule(self, queue: Queue) -> None:
        """Enter the first delivery of a queue in the agenda. Remove an empty queue."""
        if queue.busy or queue.ready or queue.removed:
            return
        if not queue.deliveries:
            self._remove_queue(queue)
            return
        due = queue.deliveries[0].due
        if queue.entry and queue.due == due:
            return
        self._entries += 1
        queue.entry, queue.due = (self._entries, due) if due != NEVER else (0, NEVER)
        if due != NEVER:
            heappush(self._agenda, (due, queue.entry, queue))
            if len(self._agenda) > 2 * len(self._queues) + 64:
                self._agenda = [it for it in self._agenda if it[1] == it[2].entry and not it[2].removed]
                heapify(self._agenda)

    def _deliver_to_sink(self, queue: Queue, now: int, most: int) -> int:
        """Answer for the sink while deliveries are due, at most `most` times. Return how many times, at least 1."""
        times = 0
        while (
            times < most
            and queue.deliveries
            and queue.deliveries[0].due <= now
            and queue.deliveries[0].not_before <= perf_counter()
        ):
            times += 1
            delivery = queue.deliveries[0]
            at = self._moment(queue, delivery, now)
            attempt = with_scripted_answer(delivery, Attempt(at, _ACCEPTED, 0, b"", None))
            self.record_attempt(queue, delivery, attempt)
            if attempt.succeeded:
                self._finish_first(queue, delivery, DELIVERED)
            else:
                self._retry(queue, delivery, attempt, now)
        self._schedule(queue)
        self.changed()
        return max(times, 1)

    def record_attempt(self, queue: Queue, delivery: Delivery, attempt: Attempt) -> None:
        """Record an attempt without finishing the delivery."""
        before = delivery.size
        queue.last_attempt = max(queue.last_attempt, attempt.at)
        delivery.attempted += 1
        delivery.attempts = (*delivery.attempts, attempt)[-MAX_ATTEMPTS_KEPT:]
        self.add_waiting_bytes(delivery.size - before)

    def rewind(self, by: int) -> Iterator[None]:
        """The clock was set back: move all due times back by as much.

        The first slice is done at once; the iterator does the rest.
        """
        rest = shift_due(self.queues, by, self._number, self._schedule) if by else iter(())
        next(rest, None)
        return rest

    def _retry(self, queue: Queue, delivery: Delivery, attempt: Attempt, now: int) -> None:
        """Schedule the next attempt with exponential back-off, as the vendor documents it for a similar API."""
        delivery.failures += 1
        if delivery.failures == self._limits.attempts:
            self._finish_first(queue, delivery, DEAD, f"{delivery.failures} attempts have failed.")
            return
        wait = min(FIRST_RETRY << min(delivery.failures - 1, 40), self._limits.longest_retry)
        catching_up = attempt.at <= self.clock_set_to and delivery.failures <= MAX_CAUGHT_UP
        delivery.due = (attempt.at if catching_up else now) + wait

    def _finish_first(self, queue: Queue, delivery: Delivery, status: str, detail: str | None = None) -> None:
        queue.deliveries.popleft()
        self.finish(delivery, status, detail)
