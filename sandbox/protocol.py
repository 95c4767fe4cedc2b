"""One connection of the socket server: uvicorn's HTTP protocol, but one that answers at once and knows limits.

A request of the sandbox is one synchronous function, so it needs no task, no queue and no ASGI messages: it is answered
in the callback that completes it. What httptools leaves unlimited is limited here, and ends the connection it came on.
"""

from __future__ import annotations

import asyncio
import http
import logging
import re
from collections import deque
from contextlib import aclosing
from typing import ClassVar, NamedTuple

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sandbox.answers import problem
from sandbox.app import App, head_text, paced
from sandbox.heads import METHODS, NO_FIELDS, Known, fields_of
from sandbox.messages import OldRequest, Reply, Request, Stream

MAX_LINE = 16_384  # bytes of method and target
MAX_HEADERS = 65_536  # bytes of all header fields
_LARGE_BODY = 1_048_576  # bytes; a larger one is not even read where there is hardly any memory left
_LINGER = 2  # seconds in which the end of a connection's last request is still read

_STATUS_LINES = {int(status): f"HTTP/1.1 {int(status)} {status.phrase}\r\n".encode() for status in http.HTTPStatus}

# An offer to speak another protocol on the connection. httptools would take the body for that protocol's, so the offer
# is made unreadable to it (and readable again in the journal); RFC 9110 leaves a server free to ignore it.
_UPGRADE = re.compile(rb"(\r\n)u(?=pgrade[ \t]*:)", re.IGNORECASE)
_HIDDEN_UPGRADE = b"-pgrade"


class Refused(Exception):
    """The request is not even read to its end."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class _Queued(NamedTuple):
    """A reply that is not sent at once."""

    reply: Reply
    head_only: bool
    keep_alive: bool
    chunked: bool
    due: float  # by the loop's clock


class Protocol(HttpToolsProtocol):
    """One connection. Requests are answered in the order in which they come, one at a time."""

    _newest = NO_FIELDS  # of any connection

    # Beside the members that uvicorn's protocol has: with more in one dictionary Python reads each more slowly.
    __slots__ = (
        "_answered", "_begun", "_body", "_body_size", "_came", "_deaf", "_head_complete", "_keep_alive", "_limit",
        "_method", "_offered", "_oversized", "_parsed", "_queue", "_read", "_sending", "_since", "_target",
        "_unfinished", "_watch", "_writable", "url",
    )  # fmt: skip

    sandbox: ClassVar[App]
    known: ClassVar[Known]  # to all connections of a server
    _dated: tuple[object, bytes] = (None, b"")  # uvicorn's headers for every reply, and these as they are sent

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]  # a stream transport, as uvicorn knows
        self._begun = False  # a request has begun that is not complete yet
        self._since = self.loop.time()  # when it began, or when the last one ended
        self._answered = 0
        self._offered = False  # the head that is read holds an offer of another protocol, hidden
        self._deaf = False  # nothing more is answered on this connection
        self._head_complete = True
        self._keep_alive = True
        self._method = ""
        self._parsed = True  # or known
        self._read = Protocol._newest
        self._queue: deque[_Queued] = deque()  # replies that wait, the first of them being sent
        self._sending: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._watch = self.loop.call_later(self.sandbox.config.request_timeout, self._check_time)

    def connection_lost(self, exc: Exception | None) -> None:
        self._watch.cancel()
        if self._sending is not None:
            self._sending.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        if self._begun or self._queue or not self._keep_alive:  # a request or its reply is under way
            self._parse(data)
        elif (request := self.known.request(data)) is None:
            self._parse(data)
            self._learn(data)
        else:
            self._since = self.loop.time()
            self._answered += 1
            self._method, self._parsed = request.method, False
            if not self.transport.is_closing():
                self._send(self.sandbox.handle(request))

    def _parse(self, data: bytes) -> None:
        if data.find(b"pgrade") >= 0 or data.find(b"PGRADE") >= 0:  # `in` makes an exception first, and drops it
            head, end, rest = data.partition(b"\r\n\r\n")
            data = _UPGRADE.sub(rb"\1-", head) + end + rest
            self._offered = True
        answered = self._answered
        try:
            self.parser.feed_data(data)
            if self._begun and not self._head_complete:
                # httptools tells of a field when it is whole; until then all that can be counted is what came in.
                self._unfinished += len(data) if answered == self._answered else 0
                if self._unfinished > MAX_LINE + MAX_HEADERS:
                    self._too_long()
        except httptools.HttpParserUpgrade:
            self._refuse(Refused(400, "The request is not HTTP."))  # CONNECT is all that still upgrades
        except Refused as refused:
            self._refuse(refused)
        except httptools.HttpParserCallbackError as error:
            cause = error.__context__
            self._refuse(cause if isinstance(cause, Refused) else Refused(400, "The request is not HTTP."))
        except httptools.HttpParserError:
            self._refuse(Refused(400, "The request is not HTTP."))

    def _learn(self, data: bytes) -> None:
        if self._keep_alive and not self._begun:
            self.known.add(data, self._read)

    def on_message_begin(self) -> None:
        self._begun = self._parsed = True
        self._since = self.loop.time()
        self.url = b""
        self._came: list[tuple[bytes, bytes]] = []  # its header fields
        self._unfinished = 0
        self._head_complete = False
        self._body: list[bytes] = []
        self._body_size = 0
        self._oversized = False
        self._keep_alive = True
        self._method = ""

    def on_url(self, url: bytes) -> None:
        self.url += url
        if len(self.url) > MAX_LINE:
            self._too_long()

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._head_complete:  # what comes after a body means nothing
            self._came.append((name, value))

    def on_headers_complete(self) -> None:
        self._head_complete = True
        if self._offered:
            self._offered = False
            self._came = [(b"Upgrade" if name == _HIDDEN_UPGRADE else name, value) for name, value in self._came]
        # Requests with the same fields share what is made of them, as they are many, and kept in the journal.
        if self._came != self._read.came:
            newest = Protocol._newest
            self._read = newest if newest.came == self._came else fields_of(self._came)
            Protocol._newest = self._read
        if self._read.size > MAX_HEADERS:
            self._too_long()
        parser = self.parser
        self._keep_alive = parser.should_keep_alive()
        method = parser.get_method()
        self._method = METHODS.get(method) or method.decode("ascii")
        self._target = target = self.url.decode("latin-1")
        if target[0] != "/":
            self._target = _origin_form(self.url)
        fields = self._read.fields
        length = fields.get(b"content-length")
        if length is not None or b"transfer-encoding" in fields:
            self._limit = self.sandbox.max_body(self._target)
            self._oversized = length is not None and int(length) > self._limit
        if self._oversized:
            self._answer()  # known before it is read: answer now, and do not keep the rest
        elif fields.get(b"expect", b"").lower() == b"100-continue":
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        if self._oversized:
            return
        self._body_size += len(body)
        if self._body_size > _LARGE_BODY and self.sandbox.memory.full:
            raise Refused(507, self.sandbox.memory.reason)
        if self._body_size > self._limit:
            self._oversized = True
            self._answer()
        else:
            self._body.append(body)

    def on_message_complete(self) -> None:
        if not self._oversized:
            self._answer()

    def _answer(self) -> None:
        self._begun, self._since = False, self.loop.time()
        self._answered += 1
        if self._deaf or self.transport.is_closing():
            return
        fields = self._read
        head = len(self.url) + fields.size
        made = OldRequest if self.parser.get_http_version() == "1.0" else Request
        if self._oversized:
            self._keep_alive = False
            request = made(self._method, self._target, fields.headers, b"", fields.fields, head, oversized=True)
        else:
            body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
            request = made(self._method, self._target, fields.headers, body, fields.fields, head)
        self._send(self.sandbox.handle(request))

    def _send(self, reply: Reply) -> None:
        if reply.transmission is not None or self._queue:
            self._enqueue(reply)
        else:
            self._write(reply, self._method == "HEAD", self._keep_alive)

    def _write(self, reply: Reply, head_only: bool, keep_alive: bool) -> None:
        try:
            head = self._head_of(reply, keep_alive)
        except Exception as error:  # whatever a rule has put into its headers
            logging.getLogger("sandbox").exception("a reply")
            reply, keep_alive = problem(500, "Defect of the sandbox", str(error)), False
            head = self._head_of(reply, keep_alive)
        self.transport.write(head if head_only else head + reply.body)
        if not keep_alive:
            self._end()

    def _head_of(self, reply: Reply, keep_alive: bool) -> bytes:
        always, dated = Protocol._dated
        if always is not self.server_state.default_headers:
            dated = self._date()
        return b"%b%b%b%b" % (
            _STATUS_LINES[reply.status],
            dated,
            head_text(reply).encode("latin-1"),
            b"\r\n" if keep_alive else b"connection: close\r\n\r\n",
        )

    def _enqueue(self, reply: Reply) -> None:
        """What comes late or in pieces, and what is answered behind it. Nothing more is read until it is sent."""
        modern = not self._parsed or self.parser.get_http_version() != "1.0"
        chunked = modern and (reply.stream is not None or reply.work is not None)
        keep_alive = self._keep_alive and (chunked or reply.stream is None)
        self._queue.append(_Queued(reply, self._method == "HEAD", keep_alive, chunked, self.loop.time() + reply.delay))
        if len(self._queue) == 1:
            self.transport.pause_reading()
            self._sending = self.loop.create_task(self._send_queue())

    async def _send_queue(self) -> None:
        try:
            while self._queue and not self.transport.is_closing():
                queued = self._queue[0]
                if queued.reply.work is not None:
                    queued = self._worked(queued, await self.sandbox.finish(queued.reply))
                await asyncio.sleep(queued.due - self.loop.time())
                await self._deliver(queued)
                self._queue.popleft()
        except Exception:  # of a rule's pieces or headers; what is sent can only be cut short
            logging.getLogger("sandbox").exception("a reply that came late or in pieces")
            self._lose()
        self._since = self.loop.time()
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def _worked(self, queued: _Queued, reply: Reply) -> _Queued:
        chunked = queued.chunked and reply.stream is not None
        keep_alive = queued.keep_alive and (chunked or reply.stream is None)
        return queued._replace(reply=reply, chunked=chunked, keep_alive=keep_alive, due=self.loop.time() + reply.delay)

    async def _deliver(self, queued: _Queued) -> None:
        reply = queued.reply
        if reply.cut == "unsent":
            self._lose()
        elif reply.cut is not None:
            head, body = self._head_of(reply, queued.keep_alive), b"" if queued.head_only else reply.body
            self.transport.write(head + body[: len(body) // 2] if len(body) > 1 else head[: len(head) // 2])
            self._lose()
        elif reply.stream is None:
            self._write(reply, queued.head_only, queued.keep_alive)
        else:
            await self._write_stream(queued, reply.stream)

    async def _write_stream(self, queued: _Queued, stream: Stream) -> None:
        head = self._head_of(queued.reply, queued.keep_alive)
        if queued.chunked:
            head = head[:-2] + b"transfer-encoding: chunked\r\n\r\n"
        self.transport.write(head)
        async with aclosing(paced(stream)) as pieces:
            if not queued.head_only:
                async for piece in pieces:
                    await self._writable.wait()
                    self._write_piece(piece, queued.chunked)
                self.transport.write(b"0\r\n\r\n" if queued.chunked else b"")
        if not queued.keep_alive:
            self._end()

    def _write_piece(self, piece: bytes, chunked: bool) -> None:
        if piece:
            self.transport.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)

    def _lose(self) -> None:
        """End the connection without a further word."""
        self._deaf = True
        self.transport.close()

    def _end(self) -> None:
        """Close our side. What the client still sends is read and dropped for a while: a connection that is closed on
        unread data is reset, and the client may never see the reply."""
        self._deaf = True
        self.transport.write_eof()
        self.loop.call_later(_LINGER, self.transport.close)

    def _date(self) -> bytes:
        """uvicorn's headers for every reply, of which it makes new ones each second."""
        always = self.server_state.default_headers
        Protocol._dated = always, b"".join([b"%b: %b\r\n" % header for header in always])
        return Protocol._dated[1]

    def _too_long(self) -> None:
        if len(self.url) > MAX_LINE:
            raise Refused(414, f"The request line is longer than {MAX_LINE} bytes.")
        raise Refused(431, f"The header fields are longer than {MAX_HEADERS} bytes together.")

    def _check_time(self) -> None:
        """One timer a connection, not a request: has a request been incomplete, or the connection idle, too long?"""
        timeout = self.sandbox.config.request_timeout
        if self._queue and self._writable.is_set():  # it is the server that is late, not a client that does not read
            self._since = self.loop.time()
        # A connection that never said anything has no more time than a request.
        idle = self._answered and not self._begun
        left = (self.timeout_keep_alive if idle else timeout) - (self.loop.time() - self._since)
        if left > 0:
            self._watch = self.loop.call_later(min(left, timeout), self._check_time)
        elif self._begun:
            self._refuse(Refused(408, f"The request was not complete after {timeout:g} seconds."))
        elif self._writable.is_set():
            self.transport.close()
        else:
            self.transport.abort()  # what it does not read would keep the connection open

    def _refuse(self, refused: Refused) -> None:
        """Answer what is no request, and close. Nobody can say which org it was for, so no journal has it."""
        if self.transport.is_closing() or self._deaf:
            return
        self._begun = self._keep_alive = False
        phrase = http.HTTPStatus(refused.status).phrase
        content = {"type": "about:blank", "title": phrase, "status": refused.status, "detail": str(refused)}
        self._send(Reply(refused.status, content, "application/problem+json"))

    def shutdown(self) -> None:
        self._deaf = True
        self.transport.close()

    def pause_writing(self) -> None:
        """A client that does not read its replies sends no further requests."""
        self._writable.clear()
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        self._writable.set()
        if not self._queue:
            self.transport.resume_reading()


def _origin_form(url: bytes) -> str:
    """The target as path and query, where a proxy's client sent the whole URL."""
    parsed = httptools.parse_url(url)
    path = (parsed.path or b"/").decode("latin-1")
    return f"{path}?{parsed.query.decode('latin-1')}" if parsed.query else path
