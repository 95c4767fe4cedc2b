"""What the value of a header field says: the elements of a list, preferences (RFC 7240), accepted media types."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

# Commas and semicolons inside of quotes separate nothing. An unterminated quote ends with the value.
_ELEMENT = re.compile(r'(?:[^",]|"(?:[^"\\]|\\.)*+"?)++', re.DOTALL)
_PART = re.compile(r'(?:[^";]|"(?:[^"\\]|\\.)*+"?)++', re.DOTALL)
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*+)"', re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_SHORT = 256  # characters
_WEIGHT = re.compile(r"0(?:\.\d{0,3})?|1(?:\.0{0,3})?", re.ASCII)


def list_elements(value: str) -> Iterator[str]:
    """The elements of a list; empty ones say nothing."""
    return filter(None, (found[0].strip(" \t") for found in _ELEMENT.finditer(value)))


def parse_prefer(value: str) -> dict[str, str]:
    """The preferences of a `Prefer` by name, in lower case. The first of a name counts; one without a value has ""."""
    found: dict[str, str] = {}
    for element in list_elements(value):
        name, said = _pair(next(_parts(element), ""))
        found.setdefault(name, said)
    return found


def preferred_media_type(accept: str, declared: tuple[str, ...]) -> str | None:
    """Which of the declared media types an `Accept` prefers; None if it accepts none."""
    return _remembered(accept, declared) if len(accept) <= _SHORT else _accepted(accept, declared)


def _accepted(accept: str, declared: tuple[str, ...]) -> str | None:
    """The most specific range that fits a type says its weight. Of equal weights, a type that is named comes before one
    that only fits, and what is named first before the others.
    """
    weights: dict[str, tuple[float, int]] = {}
    for at, element in enumerate(list_elements(accept)):
        parts = _parts(element)
        range_, weight = next(parts, "").strip(" \t").lower(), _weight(list(parts))
        weights[range_] = max(weights.get(range_, (0.0, 0)), (weight, -at))
    best, most = None, (0.0, 0, 0)
    for media in declared:
        ranges = (media, f"{media.partition('/')[0]}/*", "*/*")
        fits = next((range_ for range_ in ranges if range_ in weights), None)
        if fits is not None:
            weight, position = weights[fits]
            rank = (weight, -ranges.index(fits), position)
            if weight > 0 and rank > most:
                best, most = media, rank
    return best


_remembered = lru_cache(256)(_accepted)  # clients repeat themselves


def _weight(parameters: list[str]) -> float:
    """What `q` says; 1 where it says nothing that can be read."""
    said = dict(map(_pair, reversed(parameters))).get("q", "1")
    return float(said) if _WEIGHT.fullmatch(said) else 1.0


def _parts(element: str) -> Iterator[str]:
    """What semicolons separate."""
    return (found[0] for found in _PART.finditer(element))


def _pair(part: str) -> tuple[str, str]:
    """A name in lower case, and its value without the quotes."""
    name, _, value = part.partition("=")
    value = value.strip(" \t")
    quoted = _QUOTED.fullmatch(value)
    return name.strip(" \t").lower(), _ESCAPE.sub(r"\1", quoted[1]) if quoted else value
