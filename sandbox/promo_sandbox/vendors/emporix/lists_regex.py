"""Regular expressions that cannot be made to hang: the time is that of the pattern times that of the text.

The standard library's backtrack, so a pattern of a few characters can occupy them for years. Served is what needs no
groups: each item of a pattern fits one character, may be left out or repeated, and all places in the pattern that the
text may have come to are followed at once, as the bits of a number.
"""

from __future__ import annotations

import re

_MAX_LENGTH = 100
_MAX_ITEMS = 200  # with all repetitions written out
_ITEM = re.compile(
    r"(\\[dwsDWS]|\\[^A-Za-z0-9]|\[\^?\]?(?:\\.|[^\]\\])*\]|[^\\\[\](){}*+?|^$])"
    r"(?:([*+?])|\{(\d{1,3})(,)?(\d{1,3})?\})?",
    re.DOTALL,
)
_SET_OPERATION = re.compile(r"\[|--|&&|~~|\|\|")
_ALTERNATIVE = re.compile(r"((?:\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|[^\\\[|])*)(\||$)", re.DOTALL)


class Pattern:
    """Whether a text has something that fits. Raises `ValueError` for what is not served."""

    def __init__(self, source: str) -> None:
        if len(source) > _MAX_LENGTH:
            raise ValueError(f"it has more than {_MAX_LENGTH} characters")
        self._alternatives: list[_Alternative] = []
        place, more = 0, "|"
        while more:
            match = _ALTERNATIVE.match(source, place)
            if match is None:
                raise ValueError("a set or an escape is not complete")
            self._alternatives.append(_Alternative(match[1]))
            place, more = match.end(), match[2]

    def found_in(self, text: str) -> bool:
        return any(alternative.found_in(text) for alternative in self._alternatives)


class _Alternative:
    """Bit `i` of a number is the place before item `i`; the last bit is behind them all."""

    def __init__(self, source: str) -> None:
        self._from_start = source.startswith("^")
        source = source[1:] if self._from_start else source
        escapes = len(source[:-1]) - len(source[:-1].rstrip("\\"))
        self._to_end = source.endswith("$") and escapes % 2 == 0
        source = source[:-1] if self._to_end else source
        self._items: list[re.Pattern[str]] = []
        self._repeated = self._optional = 0
        place = 0
        while place < len(source):
            match = _ITEM.match(source, place)
            if match is None:
                raise ValueError("it has something that is not served")
            self._add(match)
            place = match.end()
        self._fitting: dict[str, int] = {}
        self._last = 1 << len(self._items)
        self._first = self._spread(1)

    def _add(self, match: re.Match[str]) -> None:
        item, sign, least, comma, most = match.groups()
        if item[0] == "[" and _SET_OPERATION.search(item, 1):
            raise ValueError("it has a set of sets")
        try:
            compiled = re.compile(item, re.DOTALL)
        except re.error:
            raise ValueError("it has a set that is none") from None
        needed = int(least) if least else 0 if sign in ("*", "?") else 1
        endless = sign in ("*", "+") or (comma is not None and most is None)
        further = int(most) - needed if most else 1 if sign == "?" else 0
        if further < 0 or len(self._items) + needed + further + endless > _MAX_ITEMS or (most and not comma):
            raise ValueError("it has a repetition that is not served")
        self._items += [compiled] * needed
        for _ in range(further):
            self._optional |= 1 << len(self._items)
            self._items.append(compiled)
        if endless:
            self._optional |= 1 << len(self._items)
            self._repeated |= 1 << len(self._items)
            self._items.append(compiled)

    def found_in(self, text: str) -> bool:
        indexes = self._first
        for character in text:
            if indexes & self._last and not self._to_end:
                return True
            if not self._from_start:
                indexes |= self._first
            hits = indexes & self._fits(character)
            indexes = self._spread((hits & ~self._repeated) << 1 | hits & self._repeated)
        if not self._from_start:
            indexes |= self._first
        return bool(indexes & self._last)

    def _fits(self, character: str) -> int:
        """The items that fit the character."""
        known = self._fitting.get(character)
        if known is None:
            known = sum(1 << place for place, item in enumerate(self._items) if item.fullmatch(character))
            self._fitting[character] = known
        return known

    def _spread(self, indexes: int) -> int:
        """Those places and all that are reached by leaving items out."""
        while (further := indexes | (indexes & self._optional) << 1) != indexes:
            indexes = further
        return indexes
