"""Sends the replies of a connection: at once, late, in pieces, or only in part.

`promo_sandbox.server.protocol` reads the requests.
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
from promo_sandbox.server.app import App, head_text, is_truncation_visible, paced

_LINGER = 2  # seconds in which the rest of a connection's last request is read and dropped
_STATUS_LINES = {int(status): f"HTTP/1.1 {int(status)} {status.phrase}\r\n".encode() for status in http.HTTPStatus}

# The end of a head, which says whether the connection stays open after the reply.
OPEN = b"\r\n"
KEPT = b"connection: keep-alive\r\n\r\n"  # for HTTP/1.0
CLOSE = b"connection: close\r\n\r\n"

# Sent for a dropped connection if the reply has no body. Some clients accept half a head as the whole head.
_CUT_STATUS_LINE = b"HTTP/1.1 2"


class BadRequest(Exception):
    """The request is invalid or too long, and is not read to its end."""

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


class ReplyProtocol(HttpToolsProtocol):
    """Sends the replies of one connection, in the order of its requests."""

    __slots__ = (
        "_closed", "_ending", "_in_request", "_method", "_queue", "_sending", "_since", "_unparsed", "_unsent",
        "_writable",
    )  # fmt: skip

    sandbox: ClassVar[App]
    _common_headers: tuple[object, bytes] = (None, b"")  # uvicorn's default headers, and their bytes

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]  # a stream transport, as uvicorn knows
        self._in_request = False  # a request is not complete yet
        self._since = self.loop.time()  # when it started, or when the last one ended
        self._closed = False  # no more requests are answered
        self._method = ""
        self._ending = OPEN
        self._unparsed = b""  # received data; while there is some, nothing more is read
        self._unsent = 0  # bytes in the write buffer at the last check
        self._queue: deque[_Queued] = deque()  # waiting replies; the first is being sent
        self._sending: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed, self._unparsed = True, b""
        if self._sending is not None:
            self._sending.cancel()
        super().connection_lost(exc)

    def _resume(self) -> None:
        """Parse the waiting data, then read from the socket again."""
        raise NotImplementedError

    def _send(self, reply: Reply) -> None:
        if reply.transmission is not None or self._queue:
            self._enqueue(reply)
        else:
            self._write(reply, self._method == "HEAD", self._ending)

    def _write(self, reply: Reply, head_only: bool, ending: bytes) -> None:
        try:
            head = self._head_of(reply, ending)
        except Exception as error:  # a rule may set invalid headers
            logging.getLogger("sandbox").exception("a reply could not be sent")
            reply, ending = problem(500, "Internal error of the sandbox", str(error)), CLOSE
            head = self._head_of(reply, ending)
        self.transport.write(head if head_only else head + reply.body)
        if ending is CLOSE:
            self._close_gracefully()

    def _head_of(self, reply: Reply, ending: bytes) -> bytes:
        defaults, common = ReplyProtocol._common_headers
        if defaults is not self.server_state.default_headers:
            common = self._update_common_headers()
        return _STATUS_LINES[reply.status] + common + head_text(reply).encode("latin-1") + ending

    def _enqueue(self, reply: Reply) -> None:
        """Queue a reply that is late or in pieces, or that follows such a reply. Reading pauses until all are sent."""
        # Only HTTP/1.1 has chunks. OPEN means HTTP/1.1; for CLOSE the parser knows the version.
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
                    queued = self._with_result(queued, await self.sandbox.finish(queued.reply))
                await asyncio.sleep(queued.due - self.loop.time())
                await self._send_queued(queued)
                self._queue.popleft()
        except Exception:  # from a rule; the status is sent already, so the connection is dropped
            logging.getLogger("sandbox").exception("a reply could not be sent to its end")
            self._drop_connection()
        self._since = self.loop.time()
        self._resume()

    def _with_result(self, queued: _Queued, reply: Reply) -> _Queued:
        """The queued reply, replaced by the result of its work."""
        chunked = queued.chunked and reply.stream is not None
        ending = queued.ending if chunked or reply.stream is None else CLOSE
        return queued._replace(reply=reply, chunked=chunked, ending=ending, due=self.loop.time() + reply.delay)

    async def _send_queued(self, queued: _Queued) -> None:
        reply = queued.reply
        if reply.cut == "unsent":
            self._drop_connection()
        elif reply.cut is not None:
            self.transport.write(await self._truncated(queued))
            self._drop_connection()
        elif reply.stream is None:
            self._write(reply, queued.head_only, queued.ending)
        else:
            await self._write_stream(queued, reply.stream)

    async def _truncated(self, queued: _Queued) -> bytes:
        """The first part of a reply. Every client can detect that the rest is missing."""
        reply, head = queued.reply, self._head_of(queued.reply, queued.ending)
        if queued.head_only or not (queued.chunked or is_truncation_visible(reply)):
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
            self._close_gracefully()

    def _write_piece(self, piece: bytes, chunked: bool) -> None:
        if piece:
            self.transport.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)

    def _drop_connection(self) -> None:
        """Close the connection at once."""
        self._closed, self._unparsed = True, b""
        self.transport.close()

    def _close_gracefully(self) -> None:
        """Close the sending side, and drop further data for a while.

        Closing a connection with unread data resets it, and the client might not get the reply.
        """
        self._closed, self._unparsed = True, b""
        self.transport.write_eof()
        self.loop.call_later(_LINGER, self.transport.close)

    def _update_common_headers(self) -> bytes:
        """Encode uvicorn's default headers, which change each second."""
        defaults = self.server_state.default_headers
        ReplyProtocol._common_headers = defaults, b"".join([b"%b: %b\r\n" % header for header in defaults])
        return ReplyProtocol._common_headers[1]

    def _send_error(self, error: BadRequest) -> None:
        """Answer an invalid request and close. It is in no journal, as its org is not known."""
        if self.transport.is_closing() or self._closed:
            return
        self._in_request, self._ending = False, CLOSE
        phrase = http.HTTPStatus(error.status).phrase
        self._send(problem(error.status, phrase, str(error)))

    def shutdown(self) -> None:
        self._closed = True
        self.transport.close()

    def pause_writing(self) -> None:
        """Stop reading requests while the client does not read its replies."""
        self._writable.clear()
        self._since, self._unsent = self.loop.time(), self.transport.get_write_buffer_size()
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        self._writable.set()
        self.loop.call_soon(self._resume)


def _chunked(head: bytes) -> bytes:
    return head[: -len(OPEN)] + b"transfer-encoding: chunked\r\n\r\n"
