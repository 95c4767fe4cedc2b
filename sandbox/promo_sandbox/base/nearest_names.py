"""Finds the names that are most similar to a mistyped one, in bounded time."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from difflib import SequenceMatcher
from itertools import islice

_MAX_LENGTH = 100  # characters of a name that are compared
_MIN_RATIO = 0.6  # as in `difflib.get_close_matches`
_MAX_CANDIDATES = 1000  # names of a suitable length that are compared quickly
_MAX_EXACT = 10  # names that are compared exactly, in time proportional to the product of both lengths


def nearest(name: str, names: Iterable[str], most: int = 1) -> list[str]:
    """The names that are most similar to this one, the best first."""
    name = name[:_MAX_LENGTH]
    matcher: SequenceMatcher[str] = SequenceMatcher(autojunk=False)
    matcher.set_seq2(name)
    # A ratio of 0.6 is possible only if the shorter text has at least three sevenths of the longer one's length.
    shortest, longest = len(name) * 3 / 7, min(len(name) * 7 / 3, _MAX_LENGTH)
    candidates = islice((it for it in names if shortest <= len(it) <= longest), _MAX_CANDIDATES)
    similar: list[tuple[float, str]] = []
    for candidate in candidates:
        matcher.set_seq1(candidate)
        ratio = matcher.quick_ratio()
        if ratio >= _MIN_RATIO:
            similar.append((ratio, candidate))
    close: list[tuple[float, str]] = []
    for _, candidate in heapq.nlargest(_MAX_EXACT, similar):
        matcher.set_seq1(candidate)
        ratio = matcher.ratio()
        if ratio >= _MIN_RATIO:
            close.append((ratio, candidate))
    return [candidate for _, candidate in heapq.nlargest(most, close)]
