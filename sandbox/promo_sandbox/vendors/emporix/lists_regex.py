"""A subset of regular expressions whose search time is at most pattern length times text length.

The standard library's `re` backtracks, so a short pattern can take years. This subset has no groups: each item matches
one character, and may be optional or repeated. All possible positions in the pattern are followed at once, as bits.
"""

from __future__ import annotations

import re

_MAX_LENGTH = 100
_MAX_ITEMS = 200  # after repetitions are expanded
_ITEM = re.compile(
    r"(\\[dwsDWS]|\\[^A-Za-z0-9]|\[\^?\]?(?:\\.|[^\]\\])*\]|[^\\\[\](){}*+?|^$])"
    r"(?:([*+?])|\{(\d{1,3})(,)?(\d{1,3})?\})?",
    re.DOTALL,
)
_SET_OPERATION = re.compile(r"\[|--|&&|~~|\|\|")
_ALTERNATIVE = re.compile(r"((?:\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|[^\\\[|])*)(\||$)", re.DOTALL)


class Pattern:
    """A compiled pattern. Raises `ValueError` for syntax that is not supported."""

    def __init__(self, source: str) -> None:
        if len(source) > _MAX_LENGTH:
            raise ValueError(f"the pattern has more than {_MAX_LENGTH} characters")
        self._alternatives: list[_Alternative] = []
        position, separator = 0, "|"
        while separator:
            match = _ALTERNATIVE.match(source, position)
            if match is None:
                raise ValueError("a set or an escape is incomplete")
            self._alternatives.append(_Alternative(match[1]))
            position, separator = match.end(), match[2]

    def found_in(self, text: str) -> bool:
        return any(alternative.found_in(text) for alternative in self._alternatives)


class _Alternative:
    """One alternative of a pattern. Bit `i` of a position number is before item `i`; the last bit is the end."""

    def __init__(self, source: str) -> None:
        self._anchored_at_start = source.startswith("^")
        source = source[1:] if self._anchored_at_start else source
        escapes = len(source[:-1]) - len(source[:-1].rstrip("\\"))
        self._anchored_at_end = source.endswith("$") and escapes % 2 == 0
        source = source[:-1] if self._anchored_at_end else source
        self._items: list[re.Pattern[str]] = []
        self._repeatable = self._optional = 0
        position = 0
        while position < len(source):
            match = _ITEM.match(source, position)
            if match is None:
                raise ValueError("the pattern has syntax that is not supported")
            self._add(match)
            position = match.end()
        self._matches_by_character: dict[str, int] = {}
        self._end = 1 << len(self._items)
        self._start = self._skip_optional(1)

    def _add(self, match: re.Match[str]) -> None:
        item, quantifier, minimum, comma, maximum = match.groups()
        if item[0] == "[" and _SET_OPERATION.search(item, 1):
            raise ValueError("nested sets and set operations are not supported")
        try:
            compiled = re.compile(item, re.DOTALL)
        except re.error:
            raise ValueError("the pattern has an invalid set") from None
        required = int(minimum) if minimum else 0 if quantifier in ("*", "?") else 1
        unbounded = quantifier in ("*", "+") or (comma is not None and maximum is None)
        optional = int(maximum) - required if maximum else 1 if quantifier == "?" else 0
        if optional < 0 or len(self._items) + required + optional + unbounded > _MAX_ITEMS or (maximum and not comma):
            raise ValueError("the pattern has an unsupported or too long repetition")
        self._items += [compiled] * required
        for _ in range(optional):
            self._optional |= 1 << len(self._items)
            self._items.append(compiled)
        if unbounded:
            self._optional |= 1 << len(self._items)
            self._repeatable |= 1 << len(self._items)
            self._items.append(compiled)

    def found_in(self, text: str) -> bool:
        positions = self._start
        for character in text:
            if positions & self._end and not self._anchored_at_end:
                return True
            if not self._anchored_at_start:
                positions |= self._start
            matched = positions & self._matching_items(character)
            positions = self._skip_optional((matched & ~self._repeatable) << 1 | matched & self._repeatable)
        if not self._anchored_at_start:
            positions |= self._start
        return bool(positions & self._end)

    def _matching_items(self, character: str) -> int:
        """The items that match the character."""
        known = self._matches_by_character.get(character)
        if known is None:
            known = sum(1 << position for position, item in enumerate(self._items) if item.fullmatch(character))
            self._matches_by_character[character] = known
        return known

    def _skip_optional(self, positions: int) -> int:
        """These positions, and all that are reachable by skipping optional items."""
        while (optional := positions | (positions & self._optional) << 1) != positions:
            positions = optional
        return positions
