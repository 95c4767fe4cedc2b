"""One connection of the socket server: reads requests within limits, and answers each in the callback of its last byte.

httptools parses all data that it gets. So it gets pieces that complete at most one request each. The next piece follows
after other connections had their turn and the client has read most of the replies.
"""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import ClassVar

import httptools

from promo_sandbox.base.messages import TOO_LARGE, BodyProblem, Http10Request, Request
from promo_sandbox.server.header_cache import (
    METHODS,
    NO_FIELDS,
    NO_HOST,
    HeaderCache,
    framing,
    parse_fields,
    split_absolute,
    with_host,
)
from promo_sandbox.server.replies import CLOSE, KEPT, OPEN, BadRequest, ReplyProtocol

MAX_LINE = 16_384  # bytes of method and target
MAX_HEADERS = 65_536  # bytes of all header fields
_BLANK_LINE = b"\r\n\r\n"
# The possible rests of a blank line whose first bytes were in the data before. The longest is first.
_BLANK_LINE_ENDS = (b"\r\n\r\n", b"\n\r\n", b"\r\n", b"\n")
_MAX_PIECE = 65_536  # bytes that httptools gets at once; more if they are all of one body
_CHECK_INTERVAL = 65_536  # bytes of a body between checks of the memory
_REQUESTS_PER_TURN = 4  # requests of one connection that are answered in one turn of the loop
_MAX_TURN = 0.002  # seconds after which that turn handles no further request


class Protocol(ReplyProtocol):
    """One connection. Requests are answered in order, one at a time."""

    _last_fields = NO_FIELDS  # of all connections

    # uvicorn's protocol has a `__dict__`. More attributes in it would make each one slower to read.
    __slots__ = (
        "_body", "_body_problem", "_body_size", "_checked_size", "_fields", "_head_complete", "_head_without_upgrade",
        "_length", "_limit", "_offset", "_received", "_request_count", "_target", "_timer", "_unfinished",
        "_upgrade_fields", "url",
    )  # fmt: skip

    header_cache: ClassVar[HeaderCache]  # of all connections of a server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._request_count = 0
        self._length: int | None = None  # the Content-Length
        self._upgrade_fields: list[tuple[bytes, bytes]] | None = None  # of a head that is parsed again
        self._head_complete = True
        self._body: bytes | bytearray = b""
        self._body_size = 0
        self._fields = Protocol._last_fields
        self._offset = 0  # in the unparsed data
        self._timer = self.loop.call_later(self.sandbox.config.request_timeout, self._check_timeout)

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._closed:
            return
        if self._in_request or self._queue or self._ending is not OPEN:  # a request or its reply is not complete
            self._feed(data)
        elif (request := self.header_cache.request(data)) is None:
            self._feed(data)
            self._cache_fields(data)
        else:
            self._since = self.loop.time()
            self._request_count += 1
            self._method = request.method
            if not self.transport.is_closing():
                self._send(self.sandbox.handle(request))

    def _feed(self, data: bytes, at: int = 0) -> None:
        """Parse and answer the data, until the client stops reading replies or the turn of this connection ends."""
        if at == 0 and not self._in_request and len(data) <= _MAX_PIECE:
            blank = data.find(_BLANK_LINE)
            if blank < 0 or data.find(_BLANK_LINE, blank + 2) < 0:  # one request and perhaps a part of the next
                self._parse(data)
                return
        most, until = self._request_count + _REQUESTS_PER_TURN, 0.0
        while True:
            end = self._end_of_piece(data, at)
            self._parse(data[at:end])
            if self._closed or end >= len(data):
                return
            if end - at == _MAX_PIECE:
                data, end = data[end:], 0
            at, now = end, perf_counter()
            until = until or now + _MAX_TURN
            if self._queue or not self._writable.is_set() or self._request_count >= most or now >= until:
                break
        self._unparsed, self._offset = data, at
        self.transport.pause_reading()
        if not self._queue and self._writable.is_set():
            self.loop.call_soon(self._resume)

    def _end_of_piece(self, data: bytes, at: int) -> int:
        """The end of the next piece for httptools, which completes at most one request.

        A request ends with a blank line, or with the last byte of its Content-Length.
        """
        if self._in_request:
            if self._head_complete and self._length is not None:
                return at + self._length - self._body_size
            if at == 0:
                for rest in _BLANK_LINE_ENDS:
                    if data.startswith(rest):
                        return len(rest)
        blank = data.find(_BLANK_LINE, at, at + _MAX_PIECE)
        return at + _MAX_PIECE if blank < 0 else blank + len(_BLANK_LINE)

    def _resume(self) -> None:
        """Parse the waiting data, then read from the socket again."""
        if self.transport.is_closing() or self._queue or not self._writable.is_set():
            return
        data, self._unparsed = self._unparsed, b""
        if data and not self._closed:
            self._feed(data, self._offset)
        if not (self._unparsed or self._queue or self.transport.is_closing()) and self._writable.is_set():
            self.transport.resume_reading()

    def _parse(self, piece: bytes) -> None:
        answered, size = self._request_count, self._body_size
        try:
            try:
                self.parser.feed_data(piece)
            except httptools.HttpParserUpgrade as offer:  # RFC 9110: a server may ignore it
                self.parser = httptools.HttpRequestParser(self)  # the old one may treat the connection as closed
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn has it
                self.parser.feed_data(self._head_without_upgrade)
                self.parser.feed_data(piece[offer.args[0] :])
            if self._in_request and answered == self._request_count and size == self._body_size:
                # httptools reports a field when it is complete. Until then only the received bytes can be counted.
                self._unfinished += len(piece)
                if self._unfinished > MAX_LINE + MAX_HEADERS:
                    self._reject_long_head()
        except BadRequest as error:
            self._send_error(error)
        except httptools.HttpParserCallbackError as error:
            cause = error.__context__
            self._send_error(cause if isinstance(cause, BadRequest) else BadRequest(400, "The request is not HTTP."))
        except httptools.HttpParserError:
            self._send_error(BadRequest(400, "The request is not HTTP."))

    def _cache_fields(self, data: bytes) -> None:
        if self._ending is OPEN and not self._in_request:
            self.header_cache.add(data, self._fields)

    def on_message_begin(self) -> None:
        self._in_request = True
        self._since = self.loop.time()
        self.url = b""
        self._received: list[tuple[bytes, bytes]] = []  # header fields
        self._unfinished = 0
        self._head_complete = False
        self._body = b""
        self._body_size = 0
        self._checked_size = 0  # of the body at the last check of the memory
        self._body_problem: BodyProblem | None = None  # why the rest of the body is not read
        self._ending = OPEN
        self._method = ""

    def on_url(self, url: bytes) -> None:
        self.url += url
        if len(self.url) > MAX_LINE:
            self._reject_long_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._head_complete:  # trailer fields are ignored
            self._received.append((name, value))

    def on_headers_complete(self) -> None:
        self._head_complete = True
        self._unfinished = 0
        parser = self.parser
        if self._upgrade_fields is not None:
            self._received, self._upgrade_fields = self._upgrade_fields, None
        elif parser.should_upgrade():
            self._ignore_upgrade()
            return
        # Requests with the same fields share the parsed fields, which saves memory in the journal.
        if self._received != self._fields.received:
            newest = Protocol._last_fields
            self._fields = newest if newest.received == self._received else parse_fields(self._received)
            Protocol._last_fields = self._fields
        if self._fields.size > MAX_HEADERS:
            self._reject_long_head()
        fields = self._fields.fields
        if not parser.should_keep_alive():
            self._ending = CLOSE
        elif b"connection" in fields and parser.get_http_version() == "1.0":
            self._ending = CLOSE if b"close" in fields[b"connection"].lower() else KEPT
        method = parser.get_method()
        self._method = METHODS.get(method) or method.decode("ascii")
        self._target = self.url.decode("latin-1")
        if self._fields.host_error is not None or self._target[0] != "/":
            self._validate_target()
        self._length = None
        if b"content-length" in fields or b"transfer-encoding" in fields:
            self._expect_body(fields)

    def _ignore_upgrade(self) -> None:
        """Parse the head again without the offer of another protocol (`Upgrade`).

        httptools stops after a head with such an offer and reads no body.
        """
        method = self.parser.get_method()
        if method == b"CONNECT":
            raise BadRequest(400, "The request is not HTTP.")
        self._head_without_upgrade = framing(method, self.url, self.parser.get_http_version(), self._received)
        self._upgrade_fields, self._body_problem = self._received, TOO_LARGE  # ignored until it is parsed again

    def _validate_target(self) -> None:
        """Check the target and `Host`. The host of an absolute target replaces `Host`."""
        host_error = self._fields.host_error
        if host_error is not None and not (host_error is NO_HOST and self.parser.get_http_version() == "1.0"):
            raise BadRequest(400, host_error)
        if self._target[0] == "/" or (self._target == "*" and self._method == "OPTIONS"):
            return
        split = split_absolute(self.url)
        if split is None:
            raise BadRequest(400, "The target is neither a path nor a URL.")
        host, target = split
        self._fields, self._target = with_host(self._fields, host), target.decode("latin-1")

    def _expect_body(self, fields: dict[bytes, bytes]) -> None:
        length = fields.get(b"content-length")
        self._length = None if length is None else int(length)
        self._limit = self.sandbox.max_body(self._target)
        if self._length is not None and self._length > self._limit:
            self._body_problem = TOO_LARGE
            self._answer()  # before the body is read
        elif (
            fields.get(b"expect", b"").lower() == b"100-continue"
            and self._length != 0
            and not self._queue
            and self.parser.get_http_version() != "1.0"
        ):
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        if self._body_problem is not None:
            return
        self._body_size = size = self._body_size + len(body)
        if size > self._limit or size > self._checked_size + _CHECK_INTERVAL:
            self._checked_size = size
            self._body_problem = self.sandbox.check_body_size(size, self._limit, self._length)
        if self._body_problem is not None:
            self._answer()
        elif not self._body:
            self._body = body
        else:  # one growing buffer: a body may come in a million pieces
            if type(self._body) is bytes:
                self._body = bytearray(self._body)
            self._body += body

    def on_message_complete(self) -> None:
        if self._body_problem is None:
            self._answer()

    def _answer(self) -> None:
        self._in_request, self._since = False, self.loop.time()
        self._request_count += 1
        if self._closed or self.transport.is_closing():
            return
        fields = self._fields
        head = len(self.url) + fields.size
        request_class = Http10Request if self.parser.get_http_version() == "1.0" else Request
        body, self._body = self._body, b""  # an idle connection keeps no body
        if self._body_problem is not None:
            self._ending = CLOSE
            body = b""
        whole = body if type(body) is bytes else bytes(body)
        request = request_class(
            self._method, self._target, fields.headers, whole, fields.fields, head, body_problem=self._body_problem
        )
        self._send(self.sandbox.handle(request))

    def _reject_long_head(self) -> None:
        if len(self.url) > MAX_LINE:
            raise BadRequest(414, f"The request line is longer than {MAX_LINE} bytes.")
        raise BadRequest(431, f"The header fields are longer than {MAX_HEADERS} bytes together.")

    def _check_timeout(self) -> None:
        """Close the connection if it was idle, or a request incomplete, for too long. One timer for each connection."""
        timeout, now = self.sandbox.config.request_timeout, self.loop.time()
        if not self._writable.is_set():
            unsent = self.transport.get_write_buffer_size()
            if unsent != self._unsent:
                self._since, self._unsent = now, unsent  # the client reads, although slowly
        elif self._queue or self._unparsed:  # the server has work to do
            self._since = now
        # The timeout of a request also applies to a new connection, and to a client that does not read its replies.
        idle = self._request_count and not (self._in_request or self._closed) and self._writable.is_set()
        left = (self.timeout_keep_alive if idle else timeout) - (now - self._since)
        if left <= 0 and self._in_request and not self._closed and self._writable.is_set():
            self._send_error(BadRequest(408, f"The request was not complete after {timeout:g} seconds."))
            left = timeout
        if left > 0:
            self._timer = self.loop.call_later(min(left, timeout), self._check_timeout)
        elif self.transport.get_write_buffer_size():
            self.transport.abort()  # `close` would wait until the client has read all replies
        else:
            self.transport.close()
