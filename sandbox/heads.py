"""Heads of requests on the socket: what is made of their header fields, and of those that came before.

A client repeats itself: the fields of its requests are mostly the same bytes. What httptools made of them once is kept.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from sandbox.messages import Request, combined

METHODS = {method.encode(): method for method in ("GET", "POST", "PUT", "PATCH", "DELETE")}  # saves decoding these
# A request line that httptools reads as it stands, and that leaves the connection open.
_PLAIN = re.compile(rb"([A-Z]+) (/[\w/.~%?=&:,@+-]{0,1000}) HTTP/1\.1\r\n")
_REMEMBERED = 256  # blocks of fields, and request lines
_LONGEST = 2048  # bytes of each
_MOST = 64  # fields of a block
_ONCE = 4096  # hashes of blocks that came once
_SPECIAL = {b"expect", b"transfer-encoding", b"upgrade"}


class Fields(NamedTuple):
    """The header fields of a request, and what is made of them."""

    came: list[tuple[bytes, bytes]]
    headers: list[tuple[bytes, bytes]]  # their names in lower case
    fields: dict[bytes, bytes]
    size: int  # bytes


NO_FIELDS = Fields([], [], {}, 0)


def fields_of(came: list[tuple[bytes, bytes]]) -> Fields:
    headers = [(name.lower(), value) for name, value in came]
    return Fields(came, headers, combined(headers), sum(len(name) + len(value) + 4 for name, value in headers))


class Known:
    """Blocks of header fields that came twice, with what was made of them. Of what is special httptools is asked."""

    __slots__ = ("_blocks", "_max_body", "_once")

    def __init__(self, max_body: int) -> None:
        """max_body: bytes; whether a longer body is taken must be looked at each time."""
        self._blocks: dict[bytes, tuple[Fields, int]] = {}  # and the bytes of the body that follows
        self._once: set[int] = set()  # hashes; where each request has a number, none comes again
        self._max_body = max_body

    def request(self, data: bytes) -> Request | None:
        """The request that the data is, if it is one whole request with known fields, after another or at first."""
        start, end = data.find(b"\r\n") + 2, data.find(b"\r\n\r\n") + 4
        known = self._blocks.get(data[start:end])
        if known is None:
            return None
        fields, length = known
        line = _plain(data[:start]) if start <= _LONGEST and end + length == len(data) else None
        if line is None:
            return None
        method, target = line
        return Request(method, target, fields.headers, data[end:], fields.fields, len(target) + fields.size)

    def add(self, data: bytes, fields: Fields) -> None:
        """Remember the fields of data httptools has just parsed, if it is one whole request and nothing special."""
        start, end = data.find(b"\r\n") + 2, data.find(b"\r\n\r\n") + 4
        if max(start, end - start) > _LONGEST:
            return
        block = data[start:end]
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
def _plain(line: bytes) -> tuple[str, str] | None:
    """Method and target of a request line."""
    found = _PLAIN.fullmatch(line)
    method = METHODS.get(found[1]) if found else None
    return (method, found[2].decode("ascii")) if found and method else None
