"""Names that look like one that somebody mistyped, in bounded time however many and however long they are."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from difflib import SequenceMatcher
from itertools import islice

_LONGEST = 100  # characters of a name that are looked at
_ALIKE = 0.6  # of 1, as in `difflib.get_close_matches`
_MOST = 1000  # names of a fitting length that are looked at
_CLOSELY = 10  # that are compared letter by letter, which takes the time of their lengths multiplied


def nearest(name: str, names: Iterable[str], most: int = 1) -> list[str]:
    """Those of the names that look most like this one, the best first."""
    name = name[:_LONGEST]
    matcher: SequenceMatcher[str] = SequenceMatcher(autojunk=False)
    matcher.set_seq2(name)
    # Two texts are 0.6 alike only if the shorter has three sevenths of the longer one's length.
    shortest, longest = len(name) * 3 / 7, min(len(name) * 7 / 3, _LONGEST)
    fitting = islice((it for it in names if shortest <= len(it) <= longest), _MOST)
    rough: list[tuple[float, str]] = []
    for candidate in fitting:
        matcher.set_seq1(candidate)
        ratio = matcher.quick_ratio()
        if ratio >= _ALIKE:
            rough.append((ratio, candidate))
    close: list[tuple[float, str]] = []
    for _, candidate in heapq.nlargest(_CLOSELY, rough):
        matcher.set_seq1(candidate)
        ratio = matcher.ratio()
        if ratio >= _ALIKE:
            close.append((ratio, candidate))
    return [candidate for _, candidate in heapq.nlargest(most, close)]
