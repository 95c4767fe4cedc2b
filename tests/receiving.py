"""A real receiver of callbacks on loopback, over http or https, that can misbehave in several ways."""

from __future__ import annotations

import asyncio
import itertools
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from types import TracebackType
from typing import Any, NamedTuple, Self, cast

import httptools
import msgspec
import uvloop

from tests.patience import LONG

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: a close resets the connection
_SMALL = 4096  # bytes that the kernel takes for a receiver that does not read, before it doubles them


class Received(NamedTuple):
    """A complete callback. `at_order` is its number at the receiver, from 0."""

    path: str  # and query
    headers: dict[str, str]  # by lower-case name
    body: bytes
    at_order: int

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class Connection(asyncio.Protocol):
    """One connection, on which a mode answers."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._parser = httptools.HttpRequestParser(self)
        self._url, self._headers, self._body = b"", dict[str, str](), bytearray()
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop has types of its own
        self._receiver.opened(self)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._receiver.lost(self)

    def on_message_begin(self) -> None:
        self._url, self._headers, self._body = b"", {}, bytearray()

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        self._receiver.take(self._url.decode("latin-1"), self._headers, bytes(self._body))
        self._receiver.mode.answer(self)

    def send(self, status: int, body: bytes = b"", headers: bytes = b"") -> None:
        """Send an answer. headers: bytes as sent, each with a line end."""
        if not self.transport.is_closing():
            head = b"HTTP/1.1 %d X\r\n%scontent-length: %d\r\n\r\n" % (status, headers, len(body))
            self.transport.write(head + body)

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_later(seconds, call)


class Mode(NamedTuple):
    """How a receiver answers a callback, and whether it reads at all."""

    answer: Callable[[Connection], None]
    reads: bool = True


def answers(*statuses: int) -> Mode:
    """Answers with these statuses in order; the last one repeats."""
    left = itertools.chain(statuses, itertools.repeat(statuses[-1]))
    return Mode(lambda connection: connection.send(next(left)))


def hangs() -> Mode:
    """Never answers."""
    return Mode(lambda _: None)


def resets() -> Mode:
    """Resets the connection instead of answering."""

    def reset(connection: Connection) -> None:
        connection.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        connection.transport.abort()

    return Mode(reset)


def redirects(url: str, status: int = 307) -> Mode:
    """Redirects."""
    return Mode(lambda connection: connection.send(status, headers=b"location: %s\r\n" % url.encode()))


def floods(size: int = 10_000_000, status: int = 202) -> Mode:
    """Answers with a body of this many bytes."""
    body = bytes(size)
    return Mode(lambda connection: connection.send(status, body))


def never_reads() -> Mode:
    """Accepts connections and reads nothing, not even the start of TLS. The kernel's buffer is small."""
    return Mode(lambda _: None, reads=False)


def is_slow(seconds: float, status: int = 202) -> Mode:
    """Answers after a delay."""
    return Mode(lambda connection: connection.later(seconds, lambda: connection.send(status)))


class Receiver:
    """Runs in a thread of its own inside `with`. `mode` may be changed at any time."""

    def __init__(self, mode: Mode | None = None, *, tls: bool = False, port: int = 0) -> None:
        self.mode = mode or answers(202)
        self.received: list[Received] = []
        self.connections = 0  # opened so far
        self._open: set[Connection] = set()
        self._unread: list[socket.socket] = []
        self._greeting: dict[asyncio.Task[None], socket.socket] = {}
        self._came = threading.Condition()
        self._up = threading.Event()
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", port), backlog=1024)
        self._listener.setblocking(False)
        if not self.mode.reads:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}/"
        self._loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        self._closing = asyncio.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._up.wait(LONG), "the receiver did not start"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Close all connections and the receiver, as the end of `with` does."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._closing.set)
            self._thread.join(LONG)
            assert not self._thread.is_alive(), "the receiver did not stop"

    def wait(self, count: int, timeout: float = LONG) -> list[Received]:
        """Wait for this many callbacks and return them. Fails after the timeout in seconds."""
        with self._came:
            came = self._came.wait_for(lambda: len(self.received) >= count, timeout)
            assert came, f"{len(self.received)} callbacks came in {timeout} s instead of {count}"
            return list(self.received)

    def wait_for_connections(self, count: int, timeout: float = LONG) -> None:
        """Wait until this many connections were opened. Fails after the timeout in seconds."""
        with self._came:
            came = self._came.wait_for(lambda: self.connections >= count, timeout)
            assert came, f"{self.connections} connections were opened in {timeout} s instead of {count}"

    def opened(self, connection: Connection) -> None:
        self._open.add(connection)
        self._count()

    def lost(self, connection: Connection) -> None:
        self._open.discard(connection)

    def take(self, path: str, headers: dict[str, str], body: bytes) -> None:
        with self._came:
            self.received.append(Received(path, headers, body, len(self.received)))
            self._came.notify_all()

    def _count(self) -> None:
        with self._came:
            self.connections += 1
            self._came.notify_all()

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_reader(self._listener, self._accept)
        self._up.set()
        await self._closing.wait()
        loop.remove_reader(self._listener)
        greeting = dict(self._greeting)
        for task in greeting:
            task.cancel()
        await asyncio.gather(*greeting, return_exceptions=True)
        for unread in (self._listener, *self._unread, *greeting.values()):
            unread.close()
        while self._open:
            for connection in list(self._open):
                connection.transport.abort()
            await asyncio.sleep(0)

    def _accept(self) -> None:
        with suppress(OSError):  # the client has closed it already
            accepted, _ = self._listener.accept()
            accepted.setblocking(False)
            if self.mode.reads:
                task = asyncio.create_task(self._greet(accepted))
                self._greeting[task] = accepted
                task.add_done_callback(self._greeting.pop)
            else:
                self._unread.append(accepted)
                self._count()

    async def _greet(self, accepted: socket.socket) -> None:
        """A connection counts once TLS is set up, if it is used."""
        with suppress(OSError):
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: Connection(self), accepted, ssl=_context() if self._tls else None
            )


@cache
def _authority() -> Any:
    import trustme  # noqa: PLC0415 - few tests need it, and it takes a while

    return trustme.CA()


def ca_pem() -> bytes:
    """The authority of the receivers' certificates."""
    pem: bytes = _authority().cert_pem.bytes()
    return pem


def own_pem() -> bytes:
    """The receivers' own certificate."""
    pem: bytes = _certificate().cert_chain_pems[0].bytes()
    return pem


@cache
def _certificate() -> Any:
    return _authority().issue_cert("localhost", "127.0.0.1")


@cache
def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _certificate().configure_cert(context)
    return context
