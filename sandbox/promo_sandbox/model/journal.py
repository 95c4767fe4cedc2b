"""What happened in an org, bounded, with a count of what was dropped: exchanges, and what the clock or a seed did.

Keeps what was on the wire and what the engine knew; writing it down as JSON happens only when somebody asks.
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
_SLICE = 4  # entries freed at a time; one of a seed may hold the events of thousands of objects
_OVERHEAD = 800  # bytes of an entry besides its bodies, measured
_TOLD = 100  # bytes of an event besides its payload, measured
_CHANGED = 60  # bytes of a change besides what only it keeps, measured
_VIOLATION = 700  # bytes of a violation besides its texts: the steps to the broken keyword, measured


class Event(msgspec.Struct, frozen=True, gc=False):
    """Something a vendor tells its subscribers: a callback's name and its payload as JSON."""

    at: int
    name: str
    payload: bytes


class Entry(msgspec.Struct, kw_only=True):
    """Something that happened: what it changed and what it told."""

    id: int = 0
    changes: list[Change] = []
    events: list[Event] = []
    size: int = _OVERHEAD  # bytes, about
    internal_error: str | None = None

    def told(self, events: list[Event]) -> None:
        self.events = events
        for event in events:
            self.size += _TOLD + len(event.payload)

    def changed(self, changes: list[Change]) -> None:
        self.changes = changes
        for change in changes:
            before = change.before
            self.size += _CHANGED if before is None else _CHANGED + len(before.body)

    def changed_later(self, changes: list[Change]) -> None:
        """As many of the first changes as have room in what was kept for them in `size`: `MAX_BODY`."""
        room = MAX_BODY
        for number, change in enumerate(changes):
            room -= _CHANGED + (len(change.before.body) if change.before is not None else 0)
            if room < 0:
                self.changes = changes[:number]
                return
        self.changes = changes


class Occurrence(Entry):
    """What happened without a request: an agenda entry that fell due, or a seed."""

    at: int  # moment by the org's clock
    name: str
    document: str | None = None  # id of the document it fell due for


class Exchange(Entry):
    """A request, its reply, and why it was answered so."""

    at: int  # moment by the org's clock
    request: Request
    body_size: int = 0
    vendor: str | None = None
    operation: str | None = None  # operationId; None where nothing matched
    version: str | None = None  # of the vendor's contract, where its spec has several
    rejection: str | None = None
    source: str | None = None  # the rejection's x-source
    violations: list[Violation] = []
    preference: str | None = None  # the `Prefer` that chose the answer
    step: int | None = None  # of the org's scenario, from 1
    unexpected: str | None = None  # why no step took it, where the scenario wants one to
    fault: Fault | None = None  # what befell the reply
    delivery_fault: DeliveryFault | None = None  # what befalls the deliveries of what it tells
    nanoseconds: int = 0
    status: int = 0
    reply_media: str | None = None
    reply_headers: tuple[tuple[str, str], ...] = ()
    reply_size: int = 0
    reply_body: bytes = b""

    def answered(self, reply: Reply) -> None:
        request = self.request
        self.completed(reply)
        size = self.body_size = len(request.body)
        if size > MAX_BODY:
            request.body, size = request.body[:MAX_BODY], MAX_BODY
        self.size += request.head_size + size + len(self.reply_body)
        for violation in self.violations:
            self.size += _VIOLATION + len(violation.where) + len(violation.message)

    def completed(self, reply: Reply) -> None:
        """What was answered; once more where the reply was made later, for which room was kept in `size`."""
        self.status = reply.status
        self.reply_media = reply.media
        self.reply_headers = reply.headers
        body = reply.body
        size = self.reply_size = len(body)
        self.reply_body = body if size <= MAX_BODY else body[:MAX_BODY]


Listener = Callable[["Journal", Entry], None]


class Budget:
    """The bytes that the journals of all orgs may keep together. Over it, those that keep most forget their oldest.

    So a loud org costs a quiet one nothing, and a new one finds room beside a thousand that nobody asks any more.
    """

    __slots__ = ("_size", "journals", "left", "listener")

    def __init__(self, size: int) -> None:
        self.left = size
        self._size = size
        self.journals: set[Journal] = set()  # those that keep something
        self.listener: Listener | None = None  # is told of every entry

    def shrink(self, busy: Journal) -> None:
        """Make room, enough for a while; of the busy journal the newest entry stays."""
        heap = [(-journal.kept, at, journal) for at, journal in enumerate(self.journals)]
        heapify(heap)
        while self.left < self._size // 16 and heap:
            _, at, journal = heap[0]
            if journal.drop(keep=1 if journal is busy else 0):
                heapreplace(heap, (-journal.kept, at, journal))
            else:
                heappop(heap)


class Journal:
    """The newest entries of one org."""

    __slots__ = ("_budget", "_entries", "_limit", "dropped", "kept", "last", "org")

    def __init__(self, limit: int, budget: Budget, org: str = "") -> None:
        self.org = org
        self._limit = limit
        self._budget = budget
        self.kept = 0  # bytes
        self._entries: deque[Entry] | None = None  # an org nobody asks of again should cost little
        self.last = 0
        self.dropped = 0

    def next_id(self) -> int:
        self.last += 1
        return self.last

    def add(self, entry: Entry) -> None:
        """Keep an entry; over the limit the oldest of this org goes, over the budget those of whoever keeps most."""
        entries, budget = self._entries, self._budget
        if entries is None:
            entries = self._entries = deque()
            budget.journals.add(self)
        entries.append(entry)
        size = entry.size
        self.kept += size
        budget.left -= size
        if len(entries) > self._limit:
            self.drop(keep=self._limit)
        if budget.left < 0:
            budget.shrink(self)
        if budget.listener is not None:
            budget.listener(self, entry)

    def drop(self, keep: int) -> bool:
        """Drop the oldest entry if there are more than to `keep`; whether that was so."""
        entries = self._entries
        if entries is None or len(entries) <= keep:
            return False
        size = entries.popleft().size
        self.kept -= size
        self._budget.left += size
        self.dropped += 1
        if not entries:
            self._entries = None
            self._budget.journals.discard(self)
        return True

    def entries(self) -> Iterator[Entry]:
        """Oldest first."""
        return iter(self._entries or ())

    def exchanges(self) -> Iterator[Exchange]:
        return (entry for entry in self.entries() if isinstance(entry, Exchange))

    def find(self, id: int) -> Exchange | None:
        """An exchange by its id; ids are consecutive, so it is looked up, not searched for."""
        if not self._entries:
            return None
        place = id - self._entries[0].id
        entry = self._entries[place] if 0 <= place < len(self._entries) else None
        return entry if isinstance(entry, Exchange) else None

    def clear(self) -> Iterator[None]:
        """Forget what is kept; the ids go on, so that an old `Sandbox-Exchange` never names a new exchange.

        The journal is empty at once; its memory is freed in slices, so that forgetting stalls nobody.
        """
        entries = self._entries or deque()
        self._budget.left += self.kept
        self._budget.journals.discard(self)
        self.kept = 0
        self._entries, self.dropped = None, 0
        return _freed(entries)


def _freed(entries: deque[Entry]) -> Iterator[None]:
    while entries:
        for _ in range(min(_SLICE, len(entries))):
            entries.popleft()
        yield
