"""Parsers of header field values: lists (RFC 9110, 5.6.1), `Prefer` (RFC 7240) and `Accept` (RFC 9110, 12.5.1)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

# Commas and semicolons inside quotes do not separate. An unterminated quote ends with the value.
_ELEMENT = re.compile(r'(?:[^",]|"(?:[^"\\]|\\.)*+"?)++', re.DOTALL)
_PART = re.compile(r'(?:[^";]|"(?:[^"\\]|\\.)*+"?)++', re.DOTALL)
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*+)"', re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_SHORT = 256  # characters
_WEIGHT = re.compile(r"0(?:\.\d{0,3})?|1(?:\.0{0,3})?", re.ASCII)


def list_elements(value: str) -> Iterator[str]:
    """The elements of a list, without empty ones."""
    return filter(None, (found[0].strip(" \t") for found in _ELEMENT.finditer(value)))


def parse_prefer(value: str) -> dict[str, str]:
    """The values of a `Prefer` header by lower-case name. The first value of a name counts; a missing one is ""."""
    found: dict[str, str] = {}
    for element in list_elements(value):
        name, text = _pair(next(_parts(element), ""))
        found.setdefault(name, text)
    return found


def preferred_media_type(accept: str, declared: tuple[str, ...]) -> str | None:
    """The declared media type that an `Accept` header prefers; None if it accepts none of them."""
    return _cached(accept, declared) if len(accept) <= _SHORT else _negotiate(accept, declared)


def _negotiate(accept: str, declared: tuple[str, ...]) -> str | None:
    """The most specific matching range gives a type its weight.

    With equal weights, a full type goes before a range with `*`, and an earlier element before a later one.
    """
    weights: dict[str, tuple[float, int]] = {}
    for at, element in enumerate(list_elements(accept)):
        parts = _parts(element)
        range_, weight = next(parts, "").strip(" \t").lower(), _weight(list(parts))
        weights[range_] = max(weights.get(range_, (0.0, 0)), (weight, -at))
    best, most = None, (0.0, 0, 0)
    for media in declared:
        ranges = (media, f"{media.partition('/')[0]}/*", "*/*")
        matching = next((range_ for range_ in ranges if range_ in weights), None)
        if matching is not None:
            weight, position = weights[matching]
            rank = (weight, -ranges.index(matching), position)
            if weight > 0 and rank > most:
                best, most = media, rank
    return best


_cached = lru_cache(256)(_negotiate)  # clients send the same header with each request


def _weight(parameters: list[str]) -> float:
    """The value of `q`; 1 if it is missing or invalid."""
    text = dict(map(_pair, reversed(parameters))).get("q", "1")
    return float(text) if _WEIGHT.fullmatch(text) else 1.0


def _parts(element: str) -> Iterator[str]:
    """The parts of an element, which semicolons separate."""
    return (found[0] for found in _PART.finditer(element))


def _pair(part: str) -> tuple[str, str]:
    """A name in lower case, and its value without quotes."""
    name, _, value = part.partition("=")
    value = value.strip(" \t")
    quoted = _QUOTED.fullmatch(value)
    return name.strip(" \t").lower(), _ESCAPE.sub(r"\1", quoted[1]) if quoted else value
