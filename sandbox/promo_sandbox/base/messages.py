"""What comes in and what goes out, as values: a request, a reply, a violation. Knows nothing of HTTP servers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Iterator, Sequence
from decimal import Decimal
from itertools import accumulate
from typing import Any, NamedTuple

import msgspec


class _Fractions(dict[str, Decimal]):
    """The same short text is the same number, as one object: quicker than to make it, and to judge it, once more."""

    def __missing__(self, text: str) -> Decimal:
        found = parse_decimal(text)
        if len(text) <= _SHORT:
            if len(self) >= _REMEMBERED:
                self.clear()
            self[text] = found
        return found


def parse_decimal(text: str) -> Decimal:
    """A number as it is written. Raises `ArithmeticError` for one, be it 0, of an order that no double has.

    Nobody means it, and what is made of it, as its digits written out, might take all memory.
    """
    found = Decimal(text[: _LONGEST + 1])
    if len(text) > _LONGEST or not _LEAST <= found.adjusted() <= _MOST:
        raise OverflowError(f"{text[:_SHORT]} is out of range")
    return found


_LEAST, _MOST = -324, 308  # powers of ten
_LONGEST = 4300  # characters, as Python has it for integers: longer ones take long to read
_SHORT = 30  # characters
_REMEMBERED = 1024
# JSON as we wrote it ourselves; for what somebody else wrote, see `decode`.
decode_trusted = msgspec.json.Decoder(float_hook=_Fractions().__getitem__).decode
encode = msgspec.json.Encoder(decimal_format="number").encode

_REMEMBERED = 1024
MAX_DEPTH = 100
_SHALLOW = 5 * MAX_DEPTH  # bytes that objects nested so deep have at least, `{"":}` each
MAX_VALUES = 80_000  # objects, arrays and fractions; more only in a body with so many bytes for each:
_BYTES_EACH = 13
_FRACTION = 4  # values that a fraction counts as, since it takes as long to read
_ZEROS = bytes.maketrans(b"123456789", b"000000000")
_SQUARE = bytes.maketrans(b"{}", b"[]")
_STEPS = bytes.maketrans(b"[]", b"\x02\x00")  # one more than what each adds to the depth
_PASSES = 4  # in each of which the innermost level is taken away
_NO_MARKS = bytes(set(range(256)) - set(b'[{]}"'))


class Violation(NamedTuple):
    """One way a message breaks its contract; `kind`: the JSON Schema keyword, or `syntax` for what cannot be read."""

    where: str
    message: str
    kind: str = ""
    keyword_path: Sequence[str | int] = ()  # the steps to the broken keyword, in the schema that was asked

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


class BodyProblem(NamedTuple):
    """Why a body was not read: the status for it, a sentence, headers for the reply, and the title of a problem."""

    status: int
    detail: str
    headers: tuple[tuple[str, str], ...] = ()
    title: str = "Refused before any operation"


TOO_LARGE = BodyProblem(413, "The body is larger than this server takes.")

# Header fields that hold one value. Of several lines the last counts; those of any other field are one list.
_SINGLE = frozenset(
    b"access-control-request-method authorization content-length content-location content-range content-type date from"
    b" host if-modified-since if-range if-unmodified-since last-event-id max-forwards origin proxy-authorization range"
    b" referer sandbox-org user-agent".split()
)


def combine_fields(headers: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """The value of each field; where a list comes in several lines, it is one (RFC 9110, 5.3). Names in lower case."""
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
    """A request as it came. `path` is percent-encoded, header names are lower case, `fields` has each name once."""

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
        self.prefix = ""  # `/~{org}`, if the target began with one; `path` is what follows

    def header(self, name: bytes) -> str | None:
        value = self.fields.get(name)
        return None if value is None else value.decode("latin-1")


class Http10Request(Request):
    """One of HTTP/1.0."""

    __slots__ = ()
    version = "HTTP/1.0"


def _fields_size(headers: list[tuple[bytes, bytes]]) -> int:
    return sum(len(name) + len(value) for name, value in headers)


# Pieces of a body: all there is to be made, or what only comes with time.
Stream = Iterator[bytes] | AsyncIterator[bytes]


class Transmission:
    """How a reply reaches the client, where that is not at once and whole. What the members mean, `Reply` says."""

    __slots__ = ("cut", "delay", "stream", "work")

    def __init__(self) -> None:
        self.delay = 0.0
        self.cut: str | None = None
        self.stream: Stream | None = None
        self.work: Generator[None, None, Reply] | None = None


class Reply:
    """A reply before it is sent. `content` is the decoded body that the contract is checked against."""

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
        """`encoded`: the content as JSON, where there is such a thing already."""
        self.status = status
        self.content = content  # or bytes: JSON already, which is decoded to be checked
        self.media = media
        self.headers = headers
        self.close = close  # end the connection after this reply
        self.transmission: Transmission | None = None  # None: at once and whole, as nearly all are
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
        """Seconds until it is sent."""
        return self.transmission.delay if self.transmission else 0.0

    @delay.setter
    def delay(self, seconds: float) -> None:
        self._transmitted().delay = seconds

    @property
    def cut(self) -> str | None:
        """The connection is lost: `unsent`, or `midway` through the reply."""
        return self.transmission.cut if self.transmission else None

    @cut.setter
    def cut(self, where: str | None) -> None:
        self._transmitted().cut = where

    @property
    def stream(self) -> Stream | None:
        """The pieces of a body that is not made whole; `body` is empty then."""
        return self.transmission.stream if self.transmission else None

    @stream.setter
    def stream(self, pieces: Stream | None) -> None:
        self._transmitted().stream = pieces

    @property
    def work(self) -> Generator[None, None, Reply] | None:
        """What is still to be done, in slices; it returns the reply, and nothing of this one is sent."""
        return self.transmission.work if self.transmission else None

    @work.setter
    def work(self, work: Generator[None, None, Reply]) -> None:
        self._transmitted().work = work

    def _transmitted(self) -> Transmission:
        if self.transmission is None:
            self.transmission = Transmission()
        return self.transmission


class FieldOrder:
    """The order of the members of a kind of document."""

    __slots__ = ("_names", "_wanted")

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names
        self._wanted: dict[tuple[str, ...], tuple[str, ...]] = {}  # members as they come: as they should; empty: so

    def apply(self, doc: dict[str, Any]) -> dict[str, Any]:
        """A document with its members in this order; others come last."""
        names = tuple(doc)
        try:
            wanted = self._wanted[names]
        except KeyError:
            wanted = self._learn(names)
        return {name: doc[name] for name in wanted} if wanted else doc

    def _learn(self, names: tuple[str, ...]) -> tuple[str, ...]:
        wanted = (
            *(name for name in self._names if name in names),
            *(name for name in names if name not in self._names),
        )
        if len(self._wanted) >= _REMEMBERED:
            self._wanted.clear()
        self._wanted[names] = () if wanted == names else wanted
        return self._wanted[names]


def decode(body: bytes) -> Any:
    """JSON as the client wrote it: fractions are `Decimal`, the last of two equal keys wins.

    Raises `ValueError` with a sentence for a client: not JSON, not UTF-8, NaN, nested deeper than 100, too many values.
    """
    if len(body) > _SHALLOW or body.find(b"[") >= 0:  # which spares most bodies the counting
        _bound(body)
    try:
        return decode_trusted(body)
    except UnicodeDecodeError:
        raise ValueError("The body is not UTF-8.") from None
    except msgspec.MsgspecError as error:
        raise ValueError(f"The body is not valid JSON: {error}.") from None
    except (ArithmeticError, RecursionError):
        raise ValueError("The body has a number or a nesting beyond what can be read.") from None


def _bound(body: bytes) -> None:
    """Raises `ValueError` for JSON that is nested too deep, or would take too long to decode."""
    brackets = body.count(b"[") + body.count(b"{")
    most = max(MAX_VALUES, len(body) // _BYTES_EACH)
    if brackets <= MAX_DEPTH and len(body) <= most:
        return
    values = brackets + _FRACTION * _fractions(body)  # at most, since texts may look like some
    if brackets <= MAX_DEPTH and values <= most:
        return
    if b"\\" in body:
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    if values > most:
        bare = b"".join(body.split(b'"')[::2])  # without its texts
        if bare.count(b"[") + bare.count(b"{") + _FRACTION * _fractions(bare) > most:
            raise ValueError(
                f"The body has more than {most} objects, arrays and fractions; a fraction counts as {_FRACTION}."
            )
    if brackets > MAX_DEPTH and _depth(body) > MAX_DEPTH:
        raise ValueError(f"The body is nested deeper than {MAX_DEPTH} levels.")


def _fractions(text: bytes) -> int:
    """How many points and exponents of numbers there are."""
    same = text.translate(_ZEROS)
    return same.count(b"0.") + same.count(b"0e") + same.count(b"0E")


def _depth(body: bytes) -> int:
    """How deep JSON without escaped quotes is nested."""
    marks = body.translate(_SQUARE, _NO_MARKS).replace(b'""', b"")  # which leaves every bracket in its text or outside
    left, outer = b"".join(marks.split(b'"')[::2]), 0
    while len(inner := left.replace(b"[]", b"")) < len(left) and outer < _PASSES:  # many small objects are gone at once
        left, outer = inner, outer + 1
    return outer + max(accumulate(step - 1 for step in left.translate(_STEPS)), default=0)
