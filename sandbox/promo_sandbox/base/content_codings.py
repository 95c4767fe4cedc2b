"""The content codings of a request's body (RFC 9110, 8.4.1), decoded with bounded work and memory."""

from __future__ import annotations

import zlib

from promo_sandbox.base.field_values import list_elements
from promo_sandbox.base.messages import TOO_LARGE, BodyProblem, Request

_GZIP, _ZLIB, _RAW = 31, zlib.MAX_WBITS, -zlib.MAX_WBITS  # how zlib is told the format
# Some clients send as deflate what lacks the frame of zlib.
_FORMATS = {"gzip": (_GZIP,), "x-gzip": (_GZIP,), "deflate": (_ZLIB, _RAW)}
_READ = (("accept-encoding", "gzip, deflate"),)
_MOST_CODINGS = 4
_MOST_MEMBERS = 2048  # of a gzip file, which may be several put together
_PIECE = 65_536  # bytes


class _Broken(Exception):
    """The data is not in this format."""


class _TooLarge(Exception):
    """The decoded data is longer than may be."""


def decode_body(request: Request, limit: int) -> None:
    """Replace a request's body by what it is without its codings, or note why that cannot be. limit: bytes."""
    named = (request.header(b"content-encoding") or "").lower()
    codings = [coding for coding in list_elements(named) if coding != "identity"]
    unknown = next((coding for coding in codings if coding not in _FORMATS), None)
    if unknown is not None:
        detail = f"The body must be sent as it is or in gzip or deflate, not in {unknown[:50]}."
        request.body_problem = BodyProblem(415, detail, _READ)
    elif len(codings) > _MOST_CODINGS:
        request.body_problem = BodyProblem(415, f"The body must have at most {_MOST_CODINGS} content codings.", _READ)
    else:
        try:
            for coding in reversed(codings):
                request.body = _decoded(request.body, coding, limit)
        except _TooLarge:
            request.body_problem = TOO_LARGE
        except _Broken:
            request.body_problem = BodyProblem(400, f"The body is not in {named[:50]}, as its Content-Encoding says.")


def _decoded(data: bytes, coding: str, limit: int) -> bytes:
    *others, last = _FORMATS[coding]
    for format_ in others:
        try:
            return _inflated(data, format_, limit)
        except _Broken:
            continue
    return _inflated(data, last, limit)


def _inflated(data: bytes, format_: int, limit: int) -> bytes:
    """The decoded data. What is too long is noticed with the first byte too many."""
    found = bytearray()
    at = members = 0
    while at < len(data) or not members:
        members += 1
        if members > _MOST_MEMBERS:
            raise _TooLarge
        at = _inflate_member(data, at, format_, limit, found)
        if format_ != _GZIP and at < len(data):
            raise _Broken
    return bytes(found)


def _inflate_member(data: bytes, at: int, format_: int, limit: int, found: bytearray) -> int:
    """Add what one member says; the place after it."""
    member = zlib.decompressobj(format_)
    rest = b""
    while not member.eof:
        if not rest:
            if at >= len(data):
                raise _Broken  # it ends too early
            rest, at = data[at : at + _PIECE], at + _PIECE
        try:
            found += member.decompress(rest, limit + 1 - len(found))
        except zlib.error:
            raise _Broken from None
        if len(found) > limit:
            raise _TooLarge
        rest = member.unconsumed_tail
    return min(at, len(data)) - len(member.unused_data)
