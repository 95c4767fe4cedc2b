"""The journal of an org: its newest exchanges, timers and seeds, and how many older entries were dropped.

An entry keeps the bytes that were sent and what the engine knew. The admin API makes JSON of it on request.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heapreplace

import msgspec

from promo_sandbox.base.messages import Reply, Request, Violation
from promo_sandbox.model.effects import DeliveryFault, Fault
from promo_sandbox.model.state import Change

MAX_BODY = 65_536  # bytes kept of each body
_SLICE = 4  # entries freed at a time; a seed's entry may contain the events of thousands of objects
# Sizes in bytes, measured.
_ENTRY_SIZE = 800  # without its bodies
_EVENT_SIZE = 100  # without its payload
_CHANGE_SIZE = 60  # without the document before it
_VIOLATION_SIZE = 700  # without its texts


class Event(msgspec.Struct, frozen=True, gc=False):
    """An event for subscribers: the name of a callback, and its payload as JSON."""

    at: int
    name: str
    payload: bytes


class Entry(msgspec.Struct, kw_only=True):
    """Something that happened, with its changes and events."""

    id: int = 0
    changes: list[Change] = []
    events: list[Event] = []
    size: int = _ENTRY_SIZE  # bytes, estimated
    internal_error: str | None = None

    def set_events(self, events: list[Event]) -> None:
        self.events = events
        for event in events:
            self.size += _EVENT_SIZE + len(event.payload)

    def set_changes(self, changes: list[Change]) -> None:
        self.changes = changes
        for change in changes:
            before = change.before
            self.size += _CHANGE_SIZE if before is None else _CHANGE_SIZE + len(before.body)

    def set_later_changes(self, changes: list[Change]) -> None:
        """Keep the first changes, up to the `MAX_BODY` bytes that are reserved for them in `size`."""
        room = MAX_BODY
        for number, change in enumerate(changes):
            room -= _CHANGE_SIZE + (len(change.before.body) if change.before is not None else 0)
            if room < 0:
                self.changes = changes[:number]
                return
        self.changes = changes


class Occurrence(Entry):
    """Something that happened without a request: a timer, or a seed."""

    at: int  # moment by the org's clock
    name: str
    document: str | None = None  # id of the timer's document


class Exchange(Entry):
    """A request, its reply, and the reasons for it."""

    at: int  # moment by the org's clock
    request: Request
    body_size: int = 0
    vendor: str | None = None
    operation: str | None = None  # operationId; None if no operation matched
    version: str | None = None  # of the vendor's contract, if its spec has several
    rejection: str | None = None
    source: str | None = None  # the rejection's x-source
    violations: list[Violation] = []
    preference: str | None = None  # the `Prefer` header that chose the reply
    step: int | None = None  # of the org's scenario, from 1
    unexpected: str | None = None  # why no step took it, if the scenario requires one
    fault: Fault | None = None  # in the reply
    delivery_fault: DeliveryFault | None = None  # in the deliveries of its events
    nanoseconds: int = 0
    status: int = 0
    reply_media: str | None = None
    reply_headers: tuple[tuple[str, str], ...] = ()
    reply_size: int = 0
    reply_body: bytes = b""

    def set_reply(self, reply: Reply) -> None:
        request = self.request
        self.update_reply(reply)
        size = self.body_size = len(request.body)
        if size > MAX_BODY:
            request.body, size = request.body[:MAX_BODY], MAX_BODY
        self.size += request.head_size + size + len(self.reply_body)
        for violation in self.violations:
            self.size += _VIOLATION_SIZE + len(violation.where) + len(violation.message)

    def update_reply(self, reply: Reply) -> None:
        """Set the parts of the reply; again when a reply that is made later is complete, without a new `size`."""
        self.status = reply.status
        self.reply_media = reply.media
        self.reply_headers = reply.headers
        body = reply.body
        size = self.reply_size = len(body)
        self.reply_body = body if size <= MAX_BODY else body[:MAX_BODY]


Listener = Callable[["Journal", Entry], None]


class Budget:
    """The bytes that the journals of all orgs may keep together. Beyond that, the largest journals drop entries.

    So an org with many requests does not remove the journal of an org with few.
    """

    __slots__ = ("_size", "available", "journals", "listener")

    def __init__(self, size: int) -> None:
        self.available = size
        self._size = size
        self.journals: set[Journal] = set()  # all that are not empty
        self.listener: Listener | None = None  # called with each new entry

    def make_room(self, writing: Journal) -> None:
        """Drop entries until a sixteenth is available. The newest entry of the journal that is written to stays."""
        heap = [(-journal.size, number, journal) for number, journal in enumerate(self.journals)]
        heapify(heap)
        while self.available < self._size // 16 and heap:
            _, number, journal = heap[0]
            if journal.drop_oldest(keep=1 if journal is writing else 0):
                heapreplace(heap, (-journal.size, number, journal))
            else:
                heappop(heap)


class Journal:
    """The newest entries of one org."""

    __slots__ = ("_budget", "_entries", "_limit", "dropped", "last_id", "org", "size")

    def __init__(self, limit: int, budget: Budget, org: str = "") -> None:
        self.org = org
        self._limit = limit
        self._budget = budget
        self.size = 0  # bytes
        self._entries: deque[Entry] | None = None  # None while it is empty, which takes less memory
        self.last_id = 0
        self.dropped = 0

    def next_id(self) -> int:
        self.last_id += 1
        return self.last_id

    def add(self, entry: Entry) -> None:
        """Add an entry. Beyond the limit this journal drops its oldest one, beyond the budget see `Budget`."""
        entries, budget = self._entries, self._budget
        if entries is None:
            entries = self._entries = deque()
            budget.journals.add(self)
        entries.append(entry)
        size = entry.size
        self.size += size
        budget.available -= size
        if len(entries) > self._limit:
            self.drop_oldest(keep=self._limit)
        if budget.available < 0:
            budget.make_room(self)
        if budget.listener is not None:
            budget.listener(self, entry)

    def drop_oldest(self, keep: int) -> bool:
        """Drop the oldest entry if there are more than `keep`; whether it was dropped."""
        entries = self._entries
        if entries is None or len(entries) <= keep:
            return False
        size = entries.popleft().size
        self.size -= size
        self._budget.available += size
        self.dropped += 1
        if not entries:
            self._entries = None
            self._budget.journals.discard(self)
        return True

    def entries(self) -> Iterator[Entry]:
        """All entries, the oldest first."""
        return iter(self._entries or ())

    def exchanges(self) -> Iterator[Exchange]:
        return (entry for entry in self.entries() if isinstance(entry, Exchange))

    def find(self, id: int) -> Exchange | None:
        """The exchange with an id. Ids are consecutive, so this is an index access."""
        if not self._entries:
            return None
        place = id - self._entries[0].id
        entry = self._entries[place] if 0 <= place < len(self._entries) else None
        return entry if isinstance(entry, Exchange) else None

    def clear(self) -> Iterator[None]:
        """Empty the journal. Ids continue, so that an old `Sandbox-Exchange` never names a new exchange.

        It is empty at once. The generator frees its memory in slices, so that other requests do not wait.
        """
        entries = self._entries or deque()
        self._budget.available += self.size
        self._budget.journals.discard(self)
        self.size = 0
        self._entries, self.dropped = None, 0
        return _free_in_slices(entries)


def _free_in_slices(entries: deque[Entry]) -> Iterator[None]:
    while entries:
        for _ in range(min(_SLICE, len(entries))):
            entries.popleft()
        yield
