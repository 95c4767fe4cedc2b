"""How a connection sends replies: at once, late, in pieces, or cut off.

What of the requests is read meanwhile is `promo_sandbox.server.protocol`'s business.
"""

from __future__ import annotations

import asyncio
import http
import logging
from collections import deque
from contextlib import aclosing
from typing import ClassVar, NamedTuple

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from promo_sandbox.base.messages import Reply, Stream
from promo_sandbox.engine.execution import problem
from promo_sandbox.server.app import App, can_be_halved, head_text, paced

_LINGER = 2  # seconds in which the end of a connection's last request is still read
_STATUS_LINES = {int(status): f"HTTP/1.1 {int(status)} {status.phrase}\r\n".encode() for status in http.HTTPStatus}

# How a head ends, and whether the connection stays open after the reply.
OPEN = b"\r\n"
KEPT = b"connection: keep-alive\r\n\r\n"  # HTTP/1.0 must be told
CLOSE = b"connection: close\r\n\r\n"

# A reply that is cut off where nothing of its body can be missing. Some clients take half a header for the whole head.
_CUT_STATUS_LINE = b"HTTP/1.1 2"


class Refused(Exception):
    """The request is not even read to its end."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class _Queued(NamedTuple):
    """A reply that is not sent at once."""

    reply: Reply
    head_only: bool
    ending: bytes
    chunked: bool
    due: float  # by the loop's clock


class Replying(HttpToolsProtocol):
    """The replies of one connection, in the order of its requests."""

    __slots__ = (
        "_begun", "_deaf", "_ending", "_method", "_queue", "_sending", "_since", "_unsent", "_waiting", "_writable",
    )  # fmt: skip

    sandbox: ClassVar[App]
    _dated: tuple[object, bytes] = (None, b"")  # uvicorn's headers for every reply, and these as they are sent

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]  # a stream transport, as uvicorn knows
        self._begun = False  # a request has begun that is not complete yet
        self._since = self.loop.time()  # when it began, or when the last one ended
        self._deaf = False  # nothing more is answered on this connection
        self._method = ""
        self._ending = OPEN
        self._waiting = b""  # what came and is not parsed yet; then nothing more is read
        self._unsent = 0  # bytes that the client had not taken when it was last looked at
        self._queue: deque[_Queued] = deque()  # replies that wait, the first of them being sent
        self._sending: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._deaf, self._waiting = True, b""
        if self._sending is not None:
            self._sending.cancel()
        super().connection_lost(exc)

    def _resume(self) -> None:
        """Go on with what waits, and read again when that is done."""
        raise NotImplementedError

    def _send(self, reply: Reply) -> None:
        if reply.transmission is not None or self._queue:
            self._enqueue(reply)
        else:
            self._write(reply, self._method == "HEAD", self._ending)

    def _write(self, reply: Reply, head_only: bool, ending: bytes) -> None:
        try:
            head = self._head_of(reply, ending)
        except Exception as error:  # whatever a rule has put into its headers
            logging.getLogger("sandbox").exception("a reply")
            reply, ending = problem(500, "Defect of the sandbox", str(error)), CLOSE
            head = self._head_of(reply, ending)
        self.transport.write(head if head_only else head + reply.body)
        if ending is CLOSE:
            self._end()

    def _head_of(self, reply: Reply, ending: bytes) -> bytes:
        always, dated = Replying._dated
        if always is not self.server_state.default_headers:
            dated = self._date()
        return _STATUS_LINES[reply.status] + dated + head_text(reply).encode("latin-1") + ending

    def _enqueue(self, reply: Reply) -> None:
        """What comes late or in pieces, and what is answered behind it. Nothing more is read until it is sent."""
        # Only HTTP/1.1 knows chunks. A connection that stays open unsaid is that; any other's request was parsed.
        modern = self._ending is OPEN or (self._ending is CLOSE and self.parser.get_http_version() != "1.0")
        chunked = modern and (reply.stream is not None or reply.work is not None)
        ending = self._ending if chunked or reply.stream is None else CLOSE
        self._queue.append(_Queued(reply, self._method == "HEAD", ending, chunked, self.loop.time() + reply.delay))
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
        self._resume()

    def _worked(self, queued: _Queued, reply: Reply) -> _Queued:
        """The reply that its work has made, in the place of the one that waited for it."""
        chunked = queued.chunked and reply.stream is not None
        ending = queued.ending if chunked or reply.stream is None else CLOSE
        return queued._replace(reply=reply, chunked=chunked, ending=ending, due=self.loop.time() + reply.delay)

    async def _deliver(self, queued: _Queued) -> None:
        reply = queued.reply
        if reply.cut == "unsent":
            self._lose()
        elif reply.cut is not None:
            self.transport.write(await self._half(queued))
            self._lose()
        elif reply.stream is None:
            self._write(reply, queued.head_only, queued.ending)
        else:
            await self._write_stream(queued, reply.stream)

    async def _half(self, queued: _Queued) -> bytes:
        """The beginning of a reply, of which every client can tell that more should have come."""
        reply, head = queued.reply, self._head_of(queued.reply, queued.ending)
        if queued.head_only or not (queued.chunked or can_be_halved(reply)):
            return _CUT_STATUS_LINE
        if reply.stream is None:
            return head + reply.body[: len(reply.body) // 2]
        async with aclosing(paced(reply.stream)) as pieces:
            piece = await anext(pieces, b"")
        return _chunked(head) + b"%x\r\n" % len(piece) + piece[: len(piece) // 2]

    async def _write_stream(self, queued: _Queued, stream: Stream) -> None:
        head = self._head_of(queued.reply, queued.ending)
        self.transport.write(_chunked(head) if queued.chunked else head)
        async with aclosing(paced(stream)) as pieces:
            if not queued.head_only:
                async for piece in pieces:
                    await self._writable.wait()
                    self._write_piece(piece, queued.chunked)
                self.transport.write(b"0\r\n\r\n" if queued.chunked else b"")
        if queued.ending is CLOSE:
            self._end()

    def _write_piece(self, piece: bytes, chunked: bool) -> None:
        if piece:
            self.transport.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)

    def _lose(self) -> None:
        """End the connection without a further word."""
        self._deaf, self._waiting = True, b""
        self.transport.close()

    def _end(self) -> None:
        """Close our side. What the client still sends is read and dropped for a while: a connection that is closed on
        unread data is reset, and the client may never see the reply."""
        self._deaf, self._waiting = True, b""
        self.transport.write_eof()
        self.loop.call_later(_LINGER, self.transport.close)

    def _date(self) -> bytes:
        """uvicorn's headers for every reply, of which it makes new ones each second."""
        always = self.server_state.default_headers
        Replying._dated = always, b"".join([b"%b: %b\r\n" % header for header in always])
        return Replying._dated[1]

    def _refuse(self, refused: Refused) -> None:
        """Answer what is no request, and close. Nobody can say which org it was for, so no journal has it."""
        if self.transport.is_closing() or self._deaf:
            return
        self._begun, self._ending = False, CLOSE
        phrase = http.HTTPStatus(refused.status).phrase
        content = {"type": "about:blank", "title": phrase, "status": refused.status, "detail": str(refused)}
        self._send(Reply(refused.status, content, "application/problem+json"))

    def shutdown(self) -> None:
        self._deaf = True
        self.transport.close()

    def pause_writing(self) -> None:
        """A client that does not read its replies sends no further requests."""
        self._writable.clear()
        self._since, self._unsent = self.loop.time(), self.transport.get_write_buffer_size()
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        self._writable.set()
        self.loop.call_soon(self._resume)


def _chunked(head: bytes) -> bytes:
    return head[: -len(OPEN)] + b"transfer-encoding: chunked\r\n\r\n"
