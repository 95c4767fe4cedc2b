"""Exchanges told as they happen, as server-sent events, to however many listen; bounded for one that does not keep up.

Nothing is told and nothing costs while nobody listens. How the events reach a client is the server's business.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import NamedTuple

from promo_sandbox.admin.fair_turns import Turns
from promo_sandbox.base.messages import encode
from promo_sandbox.engine.orgs import Orgs
from promo_sandbox.model.journal import Entry, Exchange, Journal
from promo_sandbox.model.state import Doc

HEARTBEAT = 15.0  # seconds
MAX_WAITING = 1000  # events of one listener, of so many bytes together:
MAX_WAITING_BYTES = 8 * 1_048_576
REMEMBERED = 1000  # exchanges by which a listener of all orgs can go on after its connection was lost
_WRITTEN = 100  # exchanges that stay written down for the other listeners, of so many bytes together:
_WRITTEN_BYTES = 4 * 1_048_576
_LARGE = 65_536  # bytes of an event that is sent in a turn of its own
_DIGITS = 18  # of the longest number that a client may say
_RETRY = b"retry: 1000\n\n"
_STILL_THERE = b": still there\n\n"


class Told(NamedTuple):
    """An exchange, its org, and by which name a client can say that it has had it; None has only a name."""

    name: str
    org: str
    exchange: Exchange | None


class Wish(NamedTuple):
    """What a listener wants to hear."""

    org: str | None  # None: of every org
    ids: bool  # events are named by the ids of the org's exchanges, not by a number of the server
    wanted: Callable[[Exchange], bool]
    write: Callable[[str, Exchange], Doc]
    follow: bool  # go on after what is there already
    everything: bool  # what is kept already, too
    after: str | None  # the last event that the client has had; None is a new client


class Live:
    """Hears of every exchange while somebody listens, and for a while after."""

    def __init__(self, orgs: Orgs) -> None:
        self._orgs = orgs
        self._server = secrets.token_hex(4)  # an event of a server that ended is not taken for one of this
        self._number = 0
        self._recent: deque[tuple[int, str, int]] = deque(maxlen=REMEMBERED)  # number, org, id of the exchange
        self._unheard = 0  # exchanges since nobody listens
        self.listeners: set[Listener] = set()
        self.turns = Turns()
        self._written: dict[int, tuple[Exchange, bytes]] = {}  # by its identity; oldest first
        self._written_bytes = 0

    def written(self, exchange: Exchange) -> bytes | None:
        """An exchange as JSON, if it was written down a moment ago for another listener."""
        _, written = self._written.get(id(exchange), (None, None))
        return written

    def write(self, wish: Wish, told: Told, exchange: Exchange) -> bytes:
        """The same, written down now: once for all listeners that keep up."""
        written = encode(wish.write(told.org, exchange))
        self._written[id(exchange)] = exchange, written
        self._written_bytes += len(written)
        while len(self._written) > _WRITTEN or self._written_bytes > _WRITTEN_BYTES:
            _, oldest = self._written.pop(next(iter(self._written)))
            self._written_bytes -= len(oldest)
        return written

    def forget_written(self) -> None:
        self._written, self._written_bytes = {}, 0

    def listener(self, wish: Wish) -> Listener:
        """What a reply streams. It begins with what has happened since now, also if it is begun only later."""
        self._unheard = 0
        self._orgs.listen(self._heard)
        org = self._orgs.find(wish.org) if wish.org is not None else None
        return Listener(self, wish, org.journal.last_id if org and wish.ids else self._number)

    def missed(self, wish: Wish, since: int) -> Iterator[Told | int]:
        """What a listener that begins must hear first; a number is how much of that is no longer known."""
        if wish.ids:
            yield from self._missed_in_org(wish, since)
        elif wish.everything:
            yield from self._kept()
        else:
            yield from self._missed_anywhere(wish, since)

    def told(self, wish: Wish, number: int, org: str, exchange: Exchange | None) -> Told:
        if wish.ids:
            return Told(str(exchange.id if exchange else number), org, exchange)
        return Told(f"{self._server}-{number}", org, exchange)

    def _missed_in_org(self, wish: Wish, last: int) -> Iterator[Told | int]:
        org = self._orgs.find(wish.org or "")
        if org is None:
            return
        if wish.after is not None:
            last = _number(wish.after)
        if wish.everything or last > org.journal.last_id:  # the org was reset, or this is another server
            last = 0
        first = next((entry.id for entry in org.journal.entries()), org.journal.last_id + 1)
        if wish.after is not None and first > last + 1:
            yield first - last - 1
        for exchange in org.journal.exchanges():
            if exchange.id > last:
                yield self.told(wish, 0, org.name, exchange)
        yield self.told(wish, org.journal.last_id, org.name, None)

    def _missed_anywhere(self, wish: Wish, number: int) -> Iterator[Told | int]:
        if wish.after is not None:
            server, _, said = wish.after.partition("-")
            if server != self._server:
                yield from self._kept()  # it heard another server, and of this one nothing
                return
            number = _number(said)
        first = self._recent[0][0] if self._recent else self._number + 1
        if first > number + 1:
            yield first - number - 1
        for at, name, id in self._recent:
            if at > number:
                org = self._orgs.find(name)
                exchange = org.journal.find(id) if org else None
                yield 1 if exchange is None else self.told(wish, at, name, exchange)
        yield self.told(wish, self._number, "", None)

    def _kept(self) -> Iterator[Told]:
        """Everything that the journals keep, org by org; who has had all of it, has had the newest too."""
        for org in self._orgs:
            for exchange in org.journal.exchanges():
                yield Told("", org.name, exchange)
        yield Told(f"{self._server}-{self._number}", "", None)

    def _heard(self, journal: Journal, entry: Entry) -> None:
        if not isinstance(entry, Exchange):
            return
        self._number += 1
        self._recent.append((self._number, journal.org, entry.id))
        if self.listeners:
            for listener in self.listeners:
                if listener.hears(journal.org, entry):
                    listener.offer(self.told(listener.wish, self._number, journal.org, entry))
            return
        self._unheard += 1
        if self._unheard > REMEMBERED:  # who comes back now has missed something anyway
            self._orgs.listen(None)
            self._recent.clear()


class Listener:
    """One client. What it has not taken yet waits, the newest of it; how much was dropped, it is told."""

    def __init__(self, live: Live, wish: Wish, since: int) -> None:
        self._live = live
        self.wish = wish
        self._since = since  # the last exchange before it listened
        self._waiting: deque[Told] = deque()
        self._size = 0
        self._dropped = 0
        self._news = asyncio.Event()

    def hears(self, org: str, exchange: Exchange) -> bool:
        return self.wish.org in (None, org) and self.wish.wanted(exchange)

    def offer(self, told: Told) -> None:
        self._waiting.append(told)
        self._news.set()
        if told.exchange is None:
            return
        self._size += told.exchange.size
        while len(self._waiting) > MAX_WAITING or (self._size > MAX_WAITING_BYTES and len(self._waiting) > 1):
            self._dropped += self._take().exchange is not None

    async def events(self, heartbeat: float = HEARTBEAT) -> AsyncGenerator[bytes, None]:
        """The body of the reply. It listens from its first piece until it is closed."""
        try:
            self._catch_up()
            yield _RETRY
            while True:
                while self._waiting or self._dropped:
                    yield await self._next()
                    await asyncio.sleep(0)  # others have their turn between two events
                if not self.wish.follow:
                    return
                self._news.clear()
                try:
                    await asyncio.wait_for(self._news.wait(), heartbeat)
                except TimeoutError:
                    yield _STILL_THERE
        finally:
            self._live.listeners.discard(self)
            if not self._live.listeners:
                self._live.forget_written()

    def _catch_up(self) -> None:
        for told in self._live.missed(self.wish, self._since):
            if isinstance(told, int):
                self._dropped += told
            elif told.exchange is None or self.hears(told.org, told.exchange):
                self.offer(told)
        if self.wish.follow:
            self._live.listeners.add(self)

    async def _next(self) -> bytes:
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            return b'event: dropped\ndata: {"dropped":%d}\n\n' % dropped
        told = self._take()
        name = b"id: %b\n" % told.name.encode() if told.name else b""
        if told.exchange is None:
            return name + b"\n"  # which a client takes note of and says nothing
        written = self._live.written(told.exchange)
        if written is None or len(written) > _LARGE:  # a hundred listeners are not served in one turn
            async with self._live.turns.turn(rest=False):
                written = self._live.written(told.exchange) or self._live.write(self.wish, told, told.exchange)
        return b"%bevent: exchange\ndata: %b\n\n" % (name, written)

    def _take(self) -> Told:
        told = self._waiting.popleft()
        self._size -= told.exchange.size if told.exchange else 0
        return told


def _number(text: str) -> int:
    """A number that a client says; 0 for anything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS else 0
