"""Server-sent events for exchanges as they happen, for any number of clients; buffers are bounded.

While no client follows, exchanges are not passed on and cost nothing. The server sends the events to the clients.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import NamedTuple

from promo_sandbox.admin.fair_turns import Turns
from promo_sandbox.admin.shared import parse_id
from promo_sandbox.base.messages import encode
from promo_sandbox.engine.orgs import Orgs
from promo_sandbox.model.journal import Entry, Exchange, Journal
from promo_sandbox.model.state import Doc

HEARTBEAT = 15.0  # seconds
MAX_QUEUED = 1000  # events of one client, of at most so many bytes together:
MAX_QUEUED_BYTES = 8 * 1_048_576
MAX_RECENT = 1000  # exchanges after which a client of all orgs can continue when it reconnects
_MAX_CACHED = 100  # encoded exchanges, of at most so many bytes together:
_MAX_CACHED_BYTES = 4 * 1_048_576
_LARGE = 65_536  # bytes; a larger event is sent in a turn of its own
_RETRY = b"retry: 1000\n\n"
_HEARTBEAT_COMMENT = b": still there\n\n"


class FeedEvent(NamedTuple):
    """An exchange with its org and event id. Without an exchange, it only tells the client the newest id."""

    id: str
    org: str
    exchange: Exchange | None


class FeedOptions(NamedTuple):
    """Which events a client gets, and how."""

    org: str | None  # None: of every org
    exchange_ids: bool  # event ids are the ids of the exchanges in their org, not numbers of the server
    matches: Callable[[Exchange], bool]
    to_json: Callable[[str, Exchange], Doc]
    follow: bool  # continue after the recorded exchanges
    replay: bool  # begin with all recorded exchanges
    last_event_id: str | None  # None: a client that connects for the first time


class LiveFeed:
    """Receives every exchange while a client follows, and for a while after the last one has left."""

    def __init__(self, orgs: Orgs) -> None:
        self._orgs = orgs
        self._server = secrets.token_hex(4)  # distinguishes event ids of this server from those of an earlier one
        self._number = 0
        self._recent: deque[tuple[int, str, int]] = deque(maxlen=MAX_RECENT)  # number, org, id of the exchange
        self._unobserved = 0  # exchanges since the last client left
        self.listeners: set[Listener] = set()
        self.turns = Turns()
        self._cache: dict[int, tuple[Exchange, bytes]] = {}  # by id(exchange); oldest first
        self._cache_bytes = 0

    def cached_json(self, exchange: Exchange) -> bytes | None:
        """An exchange as JSON, if it was encoded recently for another client."""
        _, encoded = self._cache.get(id(exchange), (None, None))
        return encoded

    def encode_exchange(self, options: FeedOptions, org: str, exchange: Exchange) -> bytes:
        """Encode an exchange, once for all clients that keep up."""
        encoded = encode(options.to_json(org, exchange))
        self._cache[id(exchange)] = exchange, encoded
        self._cache_bytes += len(encoded)
        while len(self._cache) > _MAX_CACHED or self._cache_bytes > _MAX_CACHED_BYTES:
            _, oldest = self._cache.pop(next(iter(self._cache)))
            self._cache_bytes -= len(oldest)
        return encoded

    def clear_cache(self) -> None:
        self._cache, self._cache_bytes = {}, 0

    def listener(self, options: FeedOptions) -> Listener:
        """The stream of a client. It has all exchanges from now on, even if it is read only later."""
        self._unobserved = 0
        self._orgs.listen(self._receive)
        org = self._orgs.find(options.org) if options.org is not None else None
        return Listener(self, options, org.journal.last_id if org and options.exchange_ids else self._number)

    def missed(self, options: FeedOptions, since: int) -> Iterator[FeedEvent | int]:
        """What a stream begins with. A number is a count of exchanges that are no longer recorded."""
        if options.exchange_ids:
            yield from self._missed_in_org(options, since)
        elif options.replay:
            yield from self._recorded()
        else:
            yield from self._missed_in_all_orgs(options, since)

    def event(self, options: FeedOptions, number: int, org: str, exchange: Exchange | None) -> FeedEvent:
        if options.exchange_ids:
            return FeedEvent(str(exchange.id if exchange else number), org, exchange)
        return FeedEvent(f"{self._server}-{number}", org, exchange)

    def _missed_in_org(self, options: FeedOptions, last: int) -> Iterator[FeedEvent | int]:
        org = self._orgs.find(options.org or "")
        if org is None:
            return
        if options.last_event_id is not None:
            last = parse_id(options.last_event_id) or 0
        if options.replay or last > org.journal.last_id:  # the org was reset, or the server restarted
            last = 0
        first = next((entry.id for entry in org.journal.entries()), org.journal.last_id + 1)
        if options.last_event_id is not None and first > last + 1:
            yield first - last - 1
        for exchange in org.journal.exchanges():
            if exchange.id > last:
                yield self.event(options, 0, org.name, exchange)
        yield self.event(options, org.journal.last_id, org.name, None)

    def _missed_in_all_orgs(self, options: FeedOptions, last: int) -> Iterator[FeedEvent | int]:
        if options.last_event_id is not None:
            server, _, number = options.last_event_id.partition("-")
            if server != self._server:
                yield from self._recorded()
                return
            last = parse_id(number) or 0
        first = self._recent[0][0] if self._recent else self._number + 1
        if first > last + 1:
            yield first - last - 1
        for at, name, id in self._recent:
            if at > last:
                org = self._orgs.find(name)
                exchange = org.journal.find(id) if org else None
                yield 1 if exchange is None else self.event(options, at, name, exchange)
        yield self.event(options, self._number, "", None)

    def _recorded(self) -> Iterator[FeedEvent]:
        """All recorded exchanges, org by org. Only the last event has an id, the newest."""
        for org in self._orgs:
            for exchange in org.journal.exchanges():
                yield FeedEvent("", org.name, exchange)
        yield FeedEvent(f"{self._server}-{self._number}", "", None)

    def _receive(self, journal: Journal, entry: Entry) -> None:
        if not isinstance(entry, Exchange):
            return
        self._number += 1
        self._recent.append((self._number, journal.org, entry.id))
        if self.listeners:
            for listener in self.listeners:
                if listener.wants(journal.org, entry):
                    listener.offer(self.event(listener.options, self._number, journal.org, entry))
            return
        self._unobserved += 1
        if self._unobserved > MAX_RECENT:  # a client that reconnects now has missed something anyway
            self._orgs.listen(None)
            self._recent.clear()


class Listener:
    """One client. Its newest events are queued; it gets the number of those that were dropped."""

    def __init__(self, feed: LiveFeed, options: FeedOptions, since: int) -> None:
        self._feed = feed
        self.options = options
        self._since = since  # the number or id of the last exchange before it connected
        self._queue: deque[FeedEvent] = deque()
        self._size = 0  # bytes
        self._dropped = 0
        self._news = asyncio.Event()

    def wants(self, org: str, exchange: Exchange) -> bool:
        return self.options.org in (None, org) and self.options.matches(exchange)

    def offer(self, event: FeedEvent) -> None:
        self._queue.append(event)
        self._news.set()
        if event.exchange is None:
            return
        self._size += event.exchange.size
        while len(self._queue) > MAX_QUEUED or (self._size > MAX_QUEUED_BYTES and len(self._queue) > 1):
            self._dropped += self._take().exchange is not None

    async def events(self, heartbeat: float = HEARTBEAT) -> AsyncGenerator[bytes, None]:
        """The body of the reply. The listener receives events from the first piece until it is closed."""
        try:
            self._catch_up()
            yield _RETRY
            while True:
                while self._queue or self._dropped:
                    yield await self._next()
                    await asyncio.sleep(0)  # so that other requests get a turn between two events
                if not self.options.follow:
                    return
                self._news.clear()
                try:
                    await asyncio.wait_for(self._news.wait(), heartbeat)
                except TimeoutError:
                    yield _HEARTBEAT_COMMENT
        finally:
            self._feed.listeners.discard(self)
            if not self._feed.listeners:
                self._feed.clear_cache()

    def _catch_up(self) -> None:
        for event in self._feed.missed(self.options, self._since):
            if isinstance(event, int):
                self._dropped += event
            elif event.exchange is None or self.wants(event.org, event.exchange):
                self.offer(event)
        if self.options.follow:
            self._feed.listeners.add(self)

    async def _next(self) -> bytes:
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            return b'event: dropped\ndata: {"dropped":%d}\n\n' % dropped
        event = self._take()
        id_field = b"id: %b\n" % event.id.encode() if event.id else b""
        if event.exchange is None:
            return id_field + b"\n"  # a client remembers the id, and reports no event
        encoded = self._feed.cached_json(event.exchange)
        if encoded is None or len(encoded) > _LARGE:  # so that not all clients are served in one turn
            async with self._feed.turns.turn(rest=False):
                encoded = self._feed.cached_json(event.exchange) or self._feed.encode_exchange(
                    self.options, event.org, event.exchange
                )
        return b"%bevent: exchange\ndata: %b\n\n" % (id_field, encoded)

    def _take(self) -> FeedEvent:
        event = self._queue.popleft()
        self._size -= event.exchange.size if event.exchange else 0
        return event
