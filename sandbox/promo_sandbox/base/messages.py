"""Requests, replies and contract violations as values, and JSON. `server/` reads and writes them on sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Iterator, Sequence
from decimal import Decimal
from itertools import accumulate
from typing import Any, NamedTuple

import msgspec


class _DecimalCache(dict[str, Decimal]):
    """One object for each short number text, so that it is parsed and validated only once."""

    def __missing__(self, text: str) -> Decimal:
        found = parse_decimal(text)
        if len(text) <= _SHORT:
            if len(self) >= _REMEMBERED:
                self.clear()
            self[text] = found
        return found


def parse_decimal(text: str) -> Decimal:
    """The exact number of a text. Raises `ArithmeticError` if its exponent is beyond that of a double, even for 0.

    Written out, such a number could fill the memory.
    """
    found = Decimal(text[: _LONGEST + 1])
    if len(text) > _LONGEST or not _MIN_EXPONENT <= found.adjusted() <= _MAX_EXPONENT:
        raise OverflowError(f"{text[:_SHORT]} is out of range")
    return found


_MIN_EXPONENT, _MAX_EXPONENT = -324, 308  # of ten
_LONGEST = 4300  # characters, Python's limit for integers: longer texts take long to parse
_SHORT = 30  # characters
_REMEMBERED = 1024  # entries of a cache
# Only for JSON that this program wrote; for other JSON use `decode`.
decode_trusted = msgspec.json.Decoder(float_hook=_DecimalCache().__getitem__).decode
encode = msgspec.json.Encoder(decimal_format="number").encode

MAX_DEPTH = 100
_SHALLOW = 5 * MAX_DEPTH  # bytes; a shorter body of objects cannot be nested deeper, since each takes `{"":}`
MAX_VALUES = 80_000  # objects, arrays and fractions; more only if the body has this many bytes for each:
_BYTES_EACH = 13
_FRACTION = 4  # a fraction counts as this many values, because it takes as long to decode
_ZEROS = bytes.maketrans(b"123456789", b"000000000")
_SQUARE = bytes.maketrans(b"{}", b"[]")
_STEPS = bytes.maketrans(b"[]", b"\x02\x00")  # what a bracket adds to the depth, plus one
_PASSES = 4  # each pass removes the innermost level
_NO_MARKS = bytes(set(range(256)) - set(b'[{]}"'))


class Violation(NamedTuple):
    """One way in which a message breaks its contract."""

    where: str  # such as `body.price.value`
    message: str
    kind: str = ""  # the JSON Schema keyword, or `syntax` if the value cannot be parsed
    keyword_path: Sequence[str | int] = ()  # where the keyword is in the schema

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


class BodyProblem(NamedTuple):
    """Why a request's body cannot be read, and the error response for it."""

    status: int
    detail: str
    headers: tuple[tuple[str, str], ...] = ()  # of the reply
    title: str = "Rejected before any operation"


TOO_LARGE = BodyProblem(413, "The body is larger than this server takes.")

# Header fields with a single value: the last of several lines counts. Several lines of another field are one list.
_SINGLE = frozenset(
    b"access-control-request-method authorization content-length content-location content-range content-type date from"
    b" host if-modified-since if-range if-unmodified-since last-event-id max-forwards origin proxy-authorization range"
    b" referer sandbox-org user-agent".split()
)


def combine_fields(headers: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """The value of each header field; several lines of a list are combined (RFC 9110, 5.3). Names are lower case."""
    fields = dict(headers)
    if len(fields) < len(headers):
        lines: dict[bytes, list[bytes]] = {}
        for name, value in headers:
            lines.setdefault(name, []).append(value)
        for name, values in lines.items():
            if len(values) > 1 and name not in _SINGLE:
                fields[name] = (b"; " if name == b"cookie" else b", ").join(values)
    return fields


class Request:
    """A request. `path` is percent-encoded; header names are lower case; `fields` has each name once."""

    __slots__ = (
        "body",
        "body_problem",
        "fields",
        "head_size",
        "headers",
        "method",
        "path",
        "prefix",
        "query",
        "target",
    )
    version = "HTTP/1.1"

    def __init__(
        self,
        method: str,
        target: str,
        headers: list[tuple[bytes, bytes]],
        body: bytes = b"",
        fields: dict[bytes, bytes] | None = None,
        head_size: int | None = None,
        *,
        body_problem: BodyProblem | None = None,
    ) -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self.fields = combine_fields(headers) if fields is None else fields
        self.body = body
        # Bytes of the target and the fields.
        self.head_size = len(target) + _fields_size(headers) if head_size is None else head_size
        self.body_problem = body_problem  # why the body cannot be read
        self.path, _, self.query = target.partition("?")
        self.prefix = ""  # `/~{org}` if the target began with it; `path` is the rest

    def header(self, name: bytes) -> str | None:
        value = self.fields.get(name)
        return None if value is None else value.decode("latin-1")


class Http10Request(Request):
    """A request of HTTP/1.0."""

    __slots__ = ()
    version = "HTTP/1.0"


def _fields_size(headers: list[tuple[bytes, bytes]]) -> int:
    return sum(len(name) + len(value) for name, value in headers)


# The pieces of a body. They are available at once (Iterator), or come with time (AsyncIterator).
Stream = Iterator[bytes] | AsyncIterator[bytes]


class Transmission:
    """How a reply is sent if it is not sent at once and in one piece. `Reply` documents the attributes."""

    __slots__ = ("cut", "delay", "stream", "work")

    def __init__(self) -> None:
        self.delay = 0.0
        self.cut: str | None = None
        self.stream: Stream | None = None
        self.work: Generator[None, None, Reply] | None = None


class Reply:
    """A reply before it is sent. `content` is the decoded body, which is validated against the contract."""

    __slots__ = ("body", "close", "content", "headers", "media", "status", "transmission")

    def __init__(
        self,
        status: int,
        content: Any = None,
        media: str | None = None,
        headers: tuple[tuple[str, str], ...] = (),
        *,
        close: bool = False,
        encoded: bytes | None = None,
    ) -> None:
        """encoded: the content as JSON, if the caller has it already."""
        self.status = status
        self.content = content  # bytes are JSON, which is decoded for validation
        self.media = media
        self.headers = headers
        self.close = close  # whether to close the connection after this reply
        self.transmission: Transmission | None = None  # None: send at once and in one piece
        if media is None:
            self.body = b""
        elif encoded is not None:
            self.body = encoded
        elif media.startswith("text/") and not media.endswith("json"):
            self.body = str(content).encode()
        else:
            self.body = content if type(content) is bytes else encode(content)

    @property
    def delay(self) -> float:
        """Seconds to wait before the reply is sent."""
        return self.transmission.delay if self.transmission else 0.0

    @delay.setter
    def delay(self, seconds: float) -> None:
        self._transmitted().delay = seconds

    @property
    def cut(self) -> str | None:
        """Drop the connection: `unsent` (before the reply) or `midway` (in the reply)."""
        return self.transmission.cut if self.transmission else None

    @cut.setter
    def cut(self, where: str | None) -> None:
        self._transmitted().cut = where

    @property
    def stream(self) -> Stream | None:
        """The pieces of a body that is sent in pieces; then `body` is empty."""
        return self.transmission.stream if self.transmission else None

    @stream.setter
    def stream(self, pieces: Stream | None) -> None:
        self._transmitted().stream = pieces

    @property
    def work(self) -> Generator[None, None, Reply] | None:
        """The remaining work, in slices. It returns the reply to send; this reply is not sent."""
        return self.transmission.work if self.transmission else None

    @work.setter
    def work(self, work: Generator[None, None, Reply]) -> None:
        self._transmitted().work = work

    def _transmitted(self) -> Transmission:
        if self.transmission is None:
            self.transmission = Transmission()
        return self.transmission


class FieldOrder:
    """The order of the fields in a kind of document."""

    __slots__ = ("_names", "_sorted")

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names
        self._sorted: dict[tuple[str, ...], tuple[str, ...]] = {}  # names -> names in order, empty if they are already

    def apply(self, doc: dict[str, Any]) -> dict[str, Any]:
        """A document with its fields in this order; other fields come last."""
        names = tuple(doc)
        try:
            in_order = self._sorted[names]
        except KeyError:
            in_order = self._sort(names)
        return {name: doc[name] for name in in_order} if in_order else doc

    def _sort(self, names: tuple[str, ...]) -> tuple[str, ...]:
        in_order = (
            *(name for name in self._names if name in names),
            *(name for name in names if name not in self._names),
        )
        if len(self._sorted) >= _REMEMBERED:
            self._sorted.clear()
        self._sorted[names] = () if in_order == names else in_order
        return self._sorted[names]


def decode(body: bytes) -> Any:
    """Decode JSON exactly: fractions are `Decimal`; the last of two equal keys wins.

    Raises `ValueError` with a sentence for the client: not JSON, not UTF-8, NaN, nested too deep, too many values.
    """
    if len(body) > _SHALLOW or body.find(b"[") >= 0:  # most bodies need no counting
        _check_limits(body)
    try:
        return decode_trusted(body)
    except UnicodeDecodeError:
        raise ValueError("The body is not UTF-8.") from None
    except msgspec.MsgspecError as error:
        raise ValueError(f"The body is not valid JSON: {error}.") from None
    except (ArithmeticError, RecursionError):
        raise ValueError("The body has a number or a nesting beyond what can be read.") from None


def _check_limits(body: bytes) -> None:
    """Raise `ValueError` for JSON that is nested too deep, or would take too long to decode."""
    brackets = body.count(b"[") + body.count(b"{")
    limit = max(MAX_VALUES, len(body) // _BYTES_EACH)
    if brackets <= MAX_DEPTH and len(body) <= limit:
        return
    values = brackets + _FRACTION * _fractions(body)  # an upper bound: strings may contain brackets and fractions
    if brackets <= MAX_DEPTH and values <= limit:
        return
    if b"\\" in body:
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    if values > limit:
        without_strings = b"".join(body.split(b'"')[::2])
        brackets_left = without_strings.count(b"[") + without_strings.count(b"{")
        if brackets_left + _FRACTION * _fractions(without_strings) > limit:
            raise ValueError(
                f"The body has more than {limit} objects, arrays and fractions; a fraction counts as {_FRACTION}."
            )
    if brackets > MAX_DEPTH and _depth(body) > MAX_DEPTH:
        raise ValueError(f"The body is nested deeper than {MAX_DEPTH} levels.")


def _fractions(text: bytes) -> int:
    """The number of decimal points and exponents."""
    zeros = text.translate(_ZEROS)
    return zeros.count(b"0.") + zeros.count(b"0e") + zeros.count(b"0E")


def _depth(body: bytes) -> int:
    """How deep JSON without escaped quotes is nested."""
    marks = body.translate(_SQUARE, _NO_MARKS).replace(b'""', b"")  # keeps each bracket inside or outside its string
    left, removed = b"".join(marks.split(b'"')[::2]), 0
    while len(inner := left.replace(b"[]", b"")) < len(left) and removed < _PASSES:  # removes many objects at once
        left, removed = inner, removed + 1
    return removed + max(accumulate(step - 1 for step in left.translate(_STEPS)), default=0)
