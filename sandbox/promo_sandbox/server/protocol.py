"""One connection of the socket server: reads requests within limits and answers each in the callback that completes it.

httptools cannot be stopped in the middle of what it is given. So it is given pieces that complete one request each, and
the next piece only when the client has read most of the replies and other connections have had their turn.
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
    fields_of,
    framing,
    split_absolute,
    with_host,
)
from promo_sandbox.server.replies import CLOSE, KEPT, OPEN, Refused, Replying

MAX_LINE = 16_384  # bytes of method and target
MAX_HEADERS = 65_536  # bytes of all header fields
_BLANK_LINE = b"\r\n\r\n"
# How the rest of a blank line begins whose first bytes came before. The longest is first.
_RESTS = (b"\r\n\r\n", b"\n\r\n", b"\r\n", b"\n")
_PIECE = 65_536  # bytes that httptools is given at once, unless they are all of one body
_UNASKED = 65_536  # bytes of a body that are kept before it is asked whether there is memory for more
_AT_ONCE = 4  # requests of one connection that are answered in one turn of the loop
_TURN = 0.002  # seconds after which no further request is begun in that turn


class Protocol(Replying):
    """One connection. Requests are answered in the order in which they come, one at a time."""

    _newest = NO_FIELDS  # of any connection

    # Beside the members that uvicorn's protocol has: with more in one dictionary Python reads each more slowly.
    __slots__ = (
        "_again", "_answered", "_asked", "_at", "_body", "_body_size", "_came", "_head_complete", "_length", "_limit",
        "_offered", "_read", "_target", "_unfinished", "_unread", "_watch", "url",
    )  # fmt: skip

    known: ClassVar[HeaderCache]  # to all connections of a server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._answered = 0
        self._length: int | None = None  # of the body, if it is told
        self._offered: list[tuple[bytes, bytes]] | None = None  # the fields of a head that is parsed again
        self._head_complete = True
        self._body: bytes | bytearray = b""
        self._body_size = 0
        self._read = Protocol._newest
        self._at = 0  # where in what waits
        self._watch = self.loop.call_later(self.sandbox.config.request_timeout, self._check_time)

    def connection_lost(self, exc: Exception | None) -> None:
        self._watch.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        if self._begun or self._queue or self._ending is not OPEN:  # a request or its reply is under way
            self._read_on(data)
        elif (request := self.known.request(data)) is None:
            self._read_on(data)
            self._learn(data)
        else:
            self._since = self.loop.time()
            self._answered += 1
            self._method = request.method
            if not self.transport.is_closing():
                self._send(self.sandbox.handle(request))

    def _read_on(self, data: bytes, at: int = 0) -> None:
        """Answer what came, as long as the client reads the replies and nobody else waits for too long."""
        if at == 0 and not self._begun and len(data) <= _PIECE:
            blank = data.find(_BLANK_LINE)
            if blank < 0 or data.find(_BLANK_LINE, blank + 2) < 0:  # one request and perhaps a part of the next
                self._parse(data)
                return
        most, until = self._answered + _AT_ONCE, 0.0
        while True:
            end = self._end_of_piece(data, at)
            self._parse(data[at:end])
            if self._deaf or end >= len(data):
                return
            if end - at == _PIECE:
                data, end = data[end:], 0
            at, now = end, perf_counter()
            until = until or now + _TURN
            if self._queue or not self._writable.is_set() or self._answered >= most or now >= until:
                break
        self._waiting, self._at = data, at
        self.transport.pause_reading()
        if not self._queue and self._writable.is_set():
            self.loop.call_soon(self._resume)

    def _end_of_piece(self, data: bytes, at: int) -> int:
        """Up to where httptools can be given the data so that one request is completed at most.

        Whatever a request is, it ends with a blank line or with its last byte by Content-Length.
        """
        if self._begun:
            if self._head_complete and self._length is not None:
                return at + self._length - self._body_size
            if at == 0:
                for rest in _RESTS:
                    if data.startswith(rest):
                        return len(rest)
        blank = data.find(_BLANK_LINE, at, at + _PIECE)
        return at + _PIECE if blank < 0 else blank + len(_BLANK_LINE)

    def _resume(self) -> None:
        """Go on with what waits, and read again when that is done."""
        if self.transport.is_closing() or self._queue or not self._writable.is_set():
            return
        data, self._waiting = self._waiting, b""
        if data and not self._deaf:
            self._read_on(data, self._at)
        if not (self._waiting or self._queue or self.transport.is_closing()) and self._writable.is_set():
            self.transport.resume_reading()

    def _parse(self, piece: bytes) -> None:
        answered, size = self._answered, self._body_size
        try:
            try:
                self.parser.feed_data(piece)
            except httptools.HttpParserUpgrade as offer:  # RFC 9110 leaves a server free to ignore it
                self.parser = httptools.HttpRequestParser(self)  # the other one may think that the connection ends
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn has it
                self.parser.feed_data(self._again)
                self.parser.feed_data(piece[offer.args[0] :])
            if self._begun and answered == self._answered and size == self._body_size:
                # httptools tells of a field when it is whole; until then all that can be counted is what came in.
                self._unfinished += len(piece)
                if self._unfinished > MAX_LINE + MAX_HEADERS:
                    self._too_long()
        except Refused as refused:
            self._refuse(refused)
        except httptools.HttpParserCallbackError as error:
            cause = error.__context__
            self._refuse(cause if isinstance(cause, Refused) else Refused(400, "The request is not HTTP."))
        except httptools.HttpParserError:
            self._refuse(Refused(400, "The request is not HTTP."))

    def _learn(self, data: bytes) -> None:
        if self._ending is OPEN and not self._begun:
            self.known.add(data, self._read)

    def on_message_begin(self) -> None:
        self._begun = True
        self._since = self.loop.time()
        self.url = b""
        self._came: list[tuple[bytes, bytes]] = []  # its header fields
        self._unfinished = 0
        self._head_complete = False
        self._body = b""
        self._body_size = 0
        self._asked = 0  # how long its body was when it was asked whether there is memory for more
        self._unread: BodyProblem | None = None  # why its body is not read to the end
        self._ending = OPEN
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
        self._unfinished = 0
        parser = self.parser
        if self._offered is not None:
            self._came, self._offered = self._offered, None
        elif parser.should_upgrade():
            self._pass_over_offer()
            return
        # Requests with the same fields share what is made of them, as they are many, and kept in the journal.
        if self._came != self._read.came:
            newest = Protocol._newest
            self._read = newest if newest.came == self._came else fields_of(self._came)
            Protocol._newest = self._read
        if self._read.size > MAX_HEADERS:
            self._too_long()
        fields = self._read.fields
        if not parser.should_keep_alive():
            self._ending = CLOSE
        elif b"connection" in fields and parser.get_http_version() == "1.0":
            self._ending = CLOSE if b"close" in fields[b"connection"].lower() else KEPT
        method = parser.get_method()
        self._method = METHODS.get(method) or method.decode("ascii")
        self._target = self.url.decode("latin-1")
        if self._read.flaw is not None or self._target[0] != "/":
            self._validate_target()
        self._length = None
        if b"content-length" in fields or b"transfer-encoding" in fields:
            self._expect_body(fields)

    def _pass_over_offer(self) -> None:
        """The head offers to speak another protocol from here on: it is parsed again without the offer.

        httptools stops after such a head, and would read no body.
        """
        method = self.parser.get_method()
        if method == b"CONNECT":
            raise Refused(400, "The request is not HTTP.")
        self._again = framing(method, self.url, self.parser.get_http_version(), self._came)
        self._offered, self._unread = self._came, TOO_LARGE  # nothing of it counts until it is parsed again

    def _validate_target(self) -> None:
        """Which host is asked: where the target says so, that; else the one `Host`."""
        flaw = self._read.flaw
        if flaw is not None and not (flaw is NO_HOST and self.parser.get_http_version() == "1.0"):
            raise Refused(400, flaw)
        if self._target[0] == "/" or (self._target == "*" and self._method == "OPTIONS"):
            return
        split = split_absolute(self.url)
        if split is None:
            raise Refused(400, "The target is neither a path nor a URL.")
        host, target = split
        self._read, self._target = with_host(self._read, host), target.decode("latin-1")

    def _expect_body(self, fields: dict[bytes, bytes]) -> None:
        length = fields.get(b"content-length")
        self._length = None if length is None else int(length)
        self._limit = self.sandbox.max_body(self._target)
        if self._length is not None and self._length > self._limit:
            self._unread = TOO_LARGE
            self._answer()  # known before it is read: answer now, and do not keep the rest
        elif (
            fields.get(b"expect", b"").lower() == b"100-continue"
            and self._length != 0
            and not self._queue
            and self.parser.get_http_version() != "1.0"
        ):
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        if self._unread is not None:
            return
        self._body_size = size = self._body_size + len(body)
        if size > self._limit or size > self._asked + _UNASKED:
            self._asked = size
            self._unread = self.sandbox.unread(size, self._limit, self._length)
        if self._unread is not None:
            self._answer()
        elif not self._body:
            self._body = body
        else:  # one growing buffer, since a body may come in a million pieces
            if type(self._body) is bytes:
                self._body = bytearray(self._body)
            self._body += body

    def on_message_complete(self) -> None:
        if self._unread is None:
            self._answer()

    def _answer(self) -> None:
        self._begun, self._since = False, self.loop.time()
        self._answered += 1
        if self._deaf or self.transport.is_closing():
            return
        fields = self._read
        head = len(self.url) + fields.size
        made = Http10Request if self.parser.get_http_version() == "1.0" else Request
        body, self._body = self._body, b""  # a connection that waits for its next request keeps none
        if self._unread is not None:
            self._ending = CLOSE
            body = b""
        whole = body if type(body) is bytes else bytes(body)
        request = made(
            self._method, self._target, fields.headers, whole, fields.fields, head, body_problem=self._unread
        )
        self._send(self.sandbox.handle(request))

    def _too_long(self) -> None:
        if len(self.url) > MAX_LINE:
            raise Refused(414, f"The request line is longer than {MAX_LINE} bytes.")
        raise Refused(431, f"The header fields are longer than {MAX_HEADERS} bytes together.")

    def _check_time(self) -> None:
        """One timer a connection, not a request: has a request been incomplete, or the connection idle, too long?"""
        timeout, now = self.sandbox.config.request_timeout, self.loop.time()
        if not self._writable.is_set():
            unsent = self.transport.get_write_buffer_size()
            if unsent != self._unsent:
                self._since, self._unsent = now, unsent  # slowly, but it reads
        elif self._queue or self._waiting:  # it is the server that is late
            self._since = now
        # A connection that never said anything has no more time than a request, nor has one that does not read.
        idle = self._answered and not (self._begun or self._deaf) and self._writable.is_set()
        left = (self.timeout_keep_alive if idle else timeout) - (now - self._since)
        if left <= 0 and self._begun and not self._deaf and self._writable.is_set():
            self._refuse(Refused(408, f"The request was not complete after {timeout:g} seconds."))
            left = timeout
        if left > 0:
            self._watch = self.loop.call_later(min(left, timeout), self._check_time)
        elif self.transport.get_write_buffer_size():
            self.transport.abort()  # what the client does not read would keep the connection open
        else:
            self.transport.close()
