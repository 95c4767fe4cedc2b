"""Decodes the content codings of a request body (RFC 9110, 8.4.1) with bounded work and memory."""

from __future__ import annotations

import zlib

from promo_sandbox.base.field_values import list_elements
from promo_sandbox.base.messages import TOO_LARGE, BodyProblem, Request

_GZIP, _ZLIB, _RAW = 31, zlib.MAX_WBITS, -zlib.MAX_WBITS  # the values of zlib's `wbits` parameter
# Some clients send `deflate` without the zlib header.
_FORMATS = {"gzip": (_GZIP,), "x-gzip": (_GZIP,), "deflate": (_ZLIB, _RAW)}
_ACCEPT_ENCODING = (("accept-encoding", "gzip, deflate"),)
_MAX_CODINGS = 4
_MAX_MEMBERS = 2048  # a gzip stream consists of members (RFC 1952, 2.2)
_PIECE = 65_536  # bytes


class _Broken(Exception):
    """The data does not have this format."""


class _TooLarge(Exception):
    """The decoded data is longer than the limit."""


def decode_body(request: Request, limit: int) -> None:
    """Decode a request's body in place; if that fails, set `request.body_problem`. limit: bytes."""
    header = (request.header(b"content-encoding") or "").lower()
    codings = [coding for coding in list_elements(header) if coding != "identity"]
    unknown = next((coding for coding in codings if coding not in _FORMATS), None)
    if unknown is not None:
        detail = f"The body must be sent as it is or in gzip or deflate, not in {unknown[:50]}."
        request.body_problem = BodyProblem(415, detail, _ACCEPT_ENCODING)
    elif len(codings) > _MAX_CODINGS:
        detail = f"The body must have at most {_MAX_CODINGS} content codings."
        request.body_problem = BodyProblem(415, detail, _ACCEPT_ENCODING)
    else:
        try:
            for coding in reversed(codings):
                request.body = _decode(request.body, coding, limit)
        except _TooLarge:
            request.body_problem = TOO_LARGE
        except _Broken:
            request.body_problem = BodyProblem(400, f"The body is not in {header[:50]}, as its Content-Encoding says.")


def _decode(data: bytes, coding: str, limit: int) -> bytes:
    *others, last = _FORMATS[coding]
    for format_ in others:
        try:
            return _inflate(data, format_, limit)
        except _Broken:
            continue
    return _inflate(data, last, limit)


def _inflate(data: bytes, format_: int, limit: int) -> bytes:
    """The decoded data. Decoding stops at the first byte beyond the limit."""
    decoded = bytearray()
    position = members = 0
    while position < len(data) or not members:
        members += 1
        if members > _MAX_MEMBERS:
            raise _TooLarge
        position = _inflate_member(data, position, format_, limit, decoded)
        if format_ != _GZIP and position < len(data):
            raise _Broken
    return bytes(decoded)


def _inflate_member(data: bytes, position: int, format_: int, limit: int, decoded: bytearray) -> int:
    """Append the data of one member. Returns the position after the member."""
    member = zlib.decompressobj(format_)
    rest = b""
    while not member.eof:
        if not rest:
            if position >= len(data):
                raise _Broken  # the data ends too early
            rest, position = data[position : position + _PIECE], position + _PIECE
        try:
            decoded += member.decompress(rest, limit + 1 - len(decoded))
        except zlib.error:
            raise _Broken from None
        if len(decoded) > limit:
            raise _TooLarge
        rest = member.unconsumed_tail
    return min(position, len(data)) - len(member.unused_data)
