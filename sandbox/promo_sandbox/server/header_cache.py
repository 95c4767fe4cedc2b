"""Heads of requests on the socket: what is made of their header fields, and of those that came before.

A client repeats itself: the fields of its requests are mostly the same bytes. What httptools made of them once is kept.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv6Address
from typing import NamedTuple

from promo_sandbox.base.messages import Request, combine_fields

METHODS = {method.encode(): method for method in ("GET", "POST", "PUT", "PATCH", "DELETE")}  # saves decoding these
# A request line that httptools reads as it stands, and that leaves the connection open.
_PLAIN = re.compile(rb"([A-Z]+) (/[\w/.~%?=&:,@+-]{0,1000}) HTTP/1\.1\r\n")
_REMEMBERED = 256  # blocks of fields, and request lines
_LONGEST = 2048  # bytes of each
_MOST = 64  # fields of a block
_ONCE = 4096  # hashes of blocks that came once
_SPECIAL = {b"expect", b"transfer-encoding", b"upgrade"}
# RFC 9110 7.2: a host as RFC 3986 has it, so an underscore may be part of it, and a port. It may be empty.
_HOST = re.compile(rb"(?:(?:[\w.~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*|\[([0-9A-Fa-f:.]+)(?:%25[\w.~-]+)?\])(?::[0-9]{0,5})?")
_ABSOLUTE = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#@]*@)?([^/?#@]+)(/[^?#]*)?(\?[^#]*)?(?:#.*)?")
# Which of a request's fields say where its body ends, and whether the connection stays.
_FRAMING = (b"content-length", b"transfer-encoding", b"connection")
_SET_BY_TARGET = [(b"", b"")]  # equal to no fields that come

_MAX_HOST = 300  # bytes

NO_HOST = "The request has no Host."


class Fields(NamedTuple):
    """The header fields of a request, and what is made of them."""

    came: list[tuple[bytes, bytes]]
    headers: list[tuple[bytes, bytes]]  # their names in lower case
    fields: dict[bytes, bytes]
    size: int  # bytes
    flaw: str | None  # what is wrong with its Host


NO_FIELDS = Fields([], [], {}, 0, NO_HOST)


def fields_of(came: list[tuple[bytes, bytes]]) -> Fields:
    headers = [(name.lower(), value) for name, value in came]
    fields = combine_fields(headers)
    size = 4 * len(headers) + sum([len(name) + len(value) for name, value in headers])
    host, flaw = fields.get(b"host"), None
    if host is None:
        flaw = NO_HOST
    elif len(fields) < len(headers) and [name for name, _ in headers].count(b"host") > 1:
        flaw = "The request has more than one Host."
    elif len(host) > _MAX_HOST or not _is_host(host):
        flaw = "The Host of the request is not a host."
    return Fields(came, headers, fields, size, flaw)


def split_absolute(url: bytes) -> tuple[bytes, bytes] | None:
    """Host and origin form of a target that is a whole URL, as a proxy's client sends it; None if it is none."""
    found = _ABSOLUTE.fullmatch(url)
    if found is None or len(found[1]) > _MAX_HOST or not _is_host(found[1]):
        return None
    return found[1], (found[2] or b"/") + (found[3] or b"")


def with_host(fields: Fields, host: bytes) -> Fields:
    """The fields of a request whose target names the host: RFC 9112 3.2.2 has its `Host` ignored."""
    headers = [(name, value) for name, value in fields.headers if name != b"host"]
    headers.append((b"host", host))
    return Fields(_SET_BY_TARGET, headers, combine_fields(headers), fields.size, None)


def framing(method: bytes, url: bytes, version: str, came: list[tuple[bytes, bytes]]) -> bytes:
    """The head of a request with those of its fields only that say where it ends."""
    lines = [b"%b: %b\r\n" % (name, value) for name, value in came if name.lower() in _FRAMING]
    return b"%b %b HTTP/%b\r\n%b\r\n" % (method, url, version.encode(), b"".join(lines))


class HeaderCache:
    """Blocks of header fields that came twice, with what was made of them. Of what is special httptools is asked."""

    __slots__ = ("_asked", "_blocks", "_max_body", "_once")

    def __init__(self, max_body: int) -> None:
        """max_body: bytes; whether a longer body is taken must be looked at each time."""
        self._blocks: dict[bytes, tuple[Fields, int]] = {}  # and the bytes of the body that follows
        self._once: set[int] = set()  # hashes; where each request has a number, none comes again
        self._max_body = max_body
        self._asked = (b"", 0, 0, b"")  # what was not known at last, and where its fields are

    def request(self, data: bytes) -> Request | None:
        """The request that the data is, if it is one whole request with known fields, after another or at first."""
        start, end = data.find(b"\r\n") + 2, data.find(b"\r\n\r\n") + 4
        block = data[start:end]
        known = self._blocks.get(block)
        if known is None:
            self._asked = data, start, end, block
            return None
        fields, length = known
        line = _plain(data[:start]) if start <= _LONGEST and end + length == len(data) else None
        if line is None:
            return None
        method, target = line
        return Request(method, target, fields.headers, data[end:], fields.fields, len(target) + fields.size)

    def add(self, data: bytes, fields: Fields) -> None:
        """Remember the fields of data that httptools has parsed since `request` did not know it, if it is one whole
        request and nothing special."""
        asked, start, end, block = self._asked
        if asked is not data or start > _LONGEST or len(block) > _LONGEST:
            return
        if hash(block) not in self._once:
            if len(self._once) >= _ONCE:
                self._once.clear()
            self._once.add(hash(block))
            return
        length = int(fields.fields.get(b"content-length", b"0"))
        if (
            _SPECIAL.isdisjoint(fields.fields)
            and length <= self._max_body
            and end + length == len(data)
            and len(fields.came) <= _MOST
            and _plain(data[:start])
        ):
            if len(self._blocks) >= _REMEMBERED:
                self._blocks.clear()
            self._blocks[block] = fields, length


@lru_cache(_REMEMBERED)
def _is_host(text: bytes) -> bool:
    found = _HOST.fullmatch(text)
    if found is None or found[1] is None:
        return found is not None
    try:
        IPv6Address(found[1].decode())
    except ValueError:
        return False
    return True


@lru_cache(_REMEMBERED)
def _plain(line: bytes) -> tuple[str, str] | None:
    """Method and target of a request line."""
    found = _PLAIN.fullmatch(line)
    method = METHODS.get(found[1]) if found else None
    return (method, found[2].decode("ascii")) if found and method else None
