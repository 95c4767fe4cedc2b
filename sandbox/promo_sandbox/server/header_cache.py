"""The header fields of requests, and a cache of them.

The header fields of a client's requests are mostly the same bytes, so the parsed fields are kept.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv6Address
from typing import NamedTuple

from promo_sandbox.base.messages import Request, combine_fields

METHODS = {method.encode(): method for method in ("GET", "POST", "PUT", "PATCH", "DELETE")}
# A request line that httptools would pass on unchanged, and that keeps the connection open.
_PLAIN = re.compile(rb"([A-Z]+) (/[\w/.~%?=&:,@+-]{0,1000}) HTTP/1\.1\r\n")
_MAX_CACHED = 256  # blocks of fields, and request lines
_MAX_LENGTH = 2048  # bytes of each
_MAX_FIELDS = 64  # fields of a block
_MAX_SEEN_ONCE = 4096  # hashes of blocks that were received once
_SPECIAL = {b"expect", b"transfer-encoding", b"upgrade"}
# RFC 9110 7.2: a host as in RFC 3986, which allows an underscore, and a port. The host may be empty.
_HOST = re.compile(rb"(?:(?:[\w.~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*|\[([0-9A-Fa-f:.]+)(?:%25[\w.~-]+)?\])(?::[0-9]{0,5})?")
_ABSOLUTE = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#@]*@)?([^/?#@]+)(/[^?#]*)?(\?[^#]*)?(?:#.*)?")
# The fields that determine the end of the body, and whether the connection stays open.
_FRAMING = (b"content-length", b"transfer-encoding", b"connection")
_SET_BY_TARGET = [(b"", b"")]  # differs from the fields of any request

_MAX_HOST = 300  # bytes

NO_HOST = "The request has no Host."


class Fields(NamedTuple):
    """The header fields of a request, as received and parsed."""

    received: list[tuple[bytes, bytes]]
    headers: list[tuple[bytes, bytes]]  # with names in lower case
    fields: dict[bytes, bytes]
    size: int  # bytes
    host_error: str | None  # why its Host is invalid


NO_FIELDS = Fields([], [], {}, 0, NO_HOST)


def parse_fields(received: list[tuple[bytes, bytes]]) -> Fields:
    headers = [(name.lower(), value) for name, value in received]
    fields = combine_fields(headers)
    size = 4 * len(headers) + sum([len(name) + len(value) for name, value in headers])
    host, host_error = fields.get(b"host"), None
    if host is None:
        host_error = NO_HOST
    elif len(fields) < len(headers) and [name for name, _ in headers].count(b"host") > 1:
        host_error = "The request has more than one Host."
    elif len(host) > _MAX_HOST or not _is_host(host):
        host_error = "The Host of the request is not a host."
    return Fields(received, headers, fields, size, host_error)


def split_absolute(url: bytes) -> tuple[bytes, bytes] | None:
    """Split a target in absolute form, as clients of a proxy send it, into host and origin form. None for any other."""
    match = _ABSOLUTE.fullmatch(url)
    if match is None or len(match[1]) > _MAX_HOST or not _is_host(match[1]):
        return None
    return match[1], (match[2] or b"/") + (match[3] or b"")


def with_host(fields: Fields, host: bytes) -> Fields:
    """The fields with the host of the target: RFC 9112 3.2.2 requires to ignore the request's `Host`."""
    headers = [(name, value) for name, value in fields.headers if name != b"host"]
    headers.append((b"host", host))
    return Fields(_SET_BY_TARGET, headers, combine_fields(headers), fields.size, None)


def framing(method: bytes, url: bytes, version: str, received: list[tuple[bytes, bytes]]) -> bytes:
    """The head of a request with only those fields that determine where it ends."""
    lines = [b"%b: %b\r\n" % (name, value) for name, value in received if name.lower() in _FRAMING]
    return b"%b %b HTTP/%b\r\n%b\r\n" % (method, url, version.encode(), b"".join(lines))


class HeaderCache:
    """Parsed header fields of blocks that were received twice. Requests that are not plain go to httptools."""

    __slots__ = ("_blocks", "_last_miss", "_max_body", "_seen_once")

    def __init__(self, max_body: int) -> None:
        """max_body: bytes; a longer body is never cached, because the protocol must check it."""
        self._blocks: dict[bytes, tuple[Fields, int]] = {}  # with the length of the body
        self._seen_once: set[int] = set()  # hashes: a block that never repeats takes little memory
        self._max_body = max_body
        self._last_miss = (b"", 0, 0, b"")  # data, start, end and block of the last look-up that failed

    def request(self, data: bytes) -> Request | None:
        """The request, if the data is exactly one whole request and its fields are cached."""
        start, end = data.find(b"\r\n") + 2, data.find(b"\r\n\r\n") + 4
        block = data[start:end]
        cached = self._blocks.get(block)
        if cached is None:
            self._last_miss = data, start, end, block
            return None
        fields, length = cached
        line = _plain(data[:start]) if start <= _MAX_LENGTH and end + length == len(data) else None
        if line is None:
            return None
        method, target = line
        return Request(method, target, fields.headers, data[end:], fields.fields, len(target) + fields.size)

    def add(self, data: bytes, fields: Fields) -> None:
        """Cache the fields that httptools parsed after `request` returned None, if the data is one plain request."""
        missed_data, start, end, block = self._last_miss
        if missed_data is not data or start > _MAX_LENGTH or len(block) > _MAX_LENGTH:
            return
        if hash(block) not in self._seen_once:
            if len(self._seen_once) >= _MAX_SEEN_ONCE:
                self._seen_once.clear()
            self._seen_once.add(hash(block))
            return
        length = int(fields.fields.get(b"content-length", b"0"))
        if (
            _SPECIAL.isdisjoint(fields.fields)
            and length <= self._max_body
            and end + length == len(data)
            and len(fields.received) <= _MAX_FIELDS
            and _plain(data[:start])
        ):
            if len(self._blocks) >= _MAX_CACHED:
                self._blocks.clear()
            self._blocks[block] = fields, length


@lru_cache(_MAX_CACHED)
def _is_host(text: bytes) -> bool:
    match = _HOST.fullmatch(text)
    if match is None or match[1] is None:
        return match is not None
    try:
        IPv6Address(match[1].decode())
    except ValueError:
        return False
    return True


@lru_cache(_MAX_CACHED)
def _plain(line: bytes) -> tuple[str, str] | None:
    """Method and target of a request line."""
    match = _PLAIN.fullmatch(line)
    method = METHODS.get(match[1]) if match else None
    return (method, match[2].decode("ascii")) if match and method else None
