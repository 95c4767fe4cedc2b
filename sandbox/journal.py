"""What happened in an org, bounded, with a count of what was dropped: exchanges, and what the clock or a seed did.

Keeps what was on the wire and what the engine knew; writing it down as JSON happens only when somebody asks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from sandbox.messages import Reply, Request, Violation
from sandbox.state import Change

MAX_BODY = 65_536  # bytes kept of each body
_OVERHEAD = 800  # bytes of an entry besides its bodies, measured


class Event(NamedTuple):
    """Something a vendor tells its subscribers: a callback's name and its payload as JSON."""

    at: int
    name: str
    payload: bytes


class Entry:
    """Something that happened: what it changed and what it told."""

    __slots__ = ("at", "changes", "events", "id", "size")

    def __init__(self, at: int) -> None:
        self.at = at  # moment by the org's clock
        self.id = 0
        self.changes: list[Change] = []
        self.events: list[Event] = []
        self.size = _OVERHEAD  # bytes, about

    def told(self, events: list[Event]) -> None:
        self.events = events
        for event in events:
            self.size += len(event.payload)


class Occurrence(Entry):
    """What happened without a request: an agenda entry that fell due, or a seed."""

    __slots__ = ("defect", "document", "name")

    def __init__(self, at: int, name: str, document: str | None = None) -> None:
        super().__init__(at)
        self.name = name
        self.document = document  # id of the document it fell due for
        self.defect: str | None = None


class Exchange(Entry):
    """A request, its reply, and why it was answered so."""

    __slots__ = (
        "body_size",
        "defect",
        "nanoseconds",
        "operation",
        "preference",
        "rejection",
        "reply_body",
        "reply_headers",
        "reply_media",
        "reply_size",
        "request",
        "source",
        "status",
        "vendor",
        "violations",
    )

    def __init__(self, at: int, request: Request) -> None:
        super().__init__(at)
        self.request = request
        self.body_size = len(request.body)
        self.vendor: str | None = None
        self.operation: str | None = None  # operationId; None where nothing matched
        self.rejection: str | None = None
        self.source: str | None = None  # the rejection's x-source
        self.violations: list[Violation] = []
        self.preference: str | None = None  # the `Prefer` that chose the answer
        self.defect: str | None = None
        self.nanoseconds = 0

    def answered(self, reply: Reply) -> None:
        self.status = reply.status
        self.reply_media = reply.media
        self.reply_headers = reply.headers
        self.reply_size = len(reply.body)
        self.reply_body = reply.body if self.reply_size <= MAX_BODY else reply.body[:MAX_BODY]
        if self.body_size > MAX_BODY:
            self.request.body = self.request.body[:MAX_BODY]
        self.size += self.request.head + len(self.request.body) + len(self.reply_body)


class Budget:
    """The bytes that the journals of all orgs may keep together."""

    __slots__ = ("left",)

    def __init__(self, size: int) -> None:
        self.left = size


class Journal:
    """The newest entries of one org."""

    __slots__ = ("_budget", "_bytes", "_entries", "_limit", "dropped", "last")

    def __init__(self, limit: int, budget: Budget) -> None:
        self._limit = limit
        self._budget = budget
        self._bytes = 0
        self._entries: deque[Entry] | None = None  # an org nobody asks of again should cost little
        self.last = 0
        self.dropped = 0

    def next_id(self) -> int:
        self.last += 1
        return self.last

    def add(self, entry: Entry) -> None:
        """Keep an entry; over the limit, or over the budget of all orgs, the oldest of this org go."""
        entries = self._entries
        if entries is None:
            entries = self._entries = deque()
        entries.append(entry)
        size = entry.size
        self._bytes += size
        self._budget.left -= size
        while len(entries) > self._limit or (self._budget.left < 0 and len(entries) > 1):
            size = entries.popleft().size
            self._bytes -= size
            self._budget.left += size
            self.dropped += 1

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

    def clear(self) -> None:
        """Forget what is kept; the ids go on, so that an old `Sandbox-Exchange` never names a new exchange."""
        self._budget.left += self._bytes
        self._bytes = 0
        self._entries, self.dropped = None, 0
