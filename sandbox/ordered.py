"""Values in the order of their numbers, each found by its number or by its position, in little memory.

Two lists of references beside each other, in chunks: what that takes for an entry is the number and two references.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import chain
from typing import Generic, TypeVar

V = TypeVar("V")
CHUNK = 500  # entries of a chunk; it is split where it has twice as many


class Ordered(Generic[V]):
    """A mapping from numbers, sorted. Empty ones are false."""

    __slots__ = ("_keys", "_last", "_values")

    def __init__(self) -> None:
        self._keys: list[list[int]] = []
        self._values: list[list[V]] = []
        self._last: list[int] = []  # the highest number of each chunk; no chunk is empty

    def __len__(self) -> int:
        return sum(map(len, self._keys))

    def __bool__(self) -> bool:
        return bool(self._keys)

    def put(self, key: int, value: V) -> None:
        """Put a value at its number, in the place of another if there is one."""
        last = self._last
        if last and key <= last[-1]:
            self._insert(key, value)
        elif last and len(self._keys[-1]) < CHUNK:  # they often come in their order
            self._keys[-1].append(key)
            self._values[-1].append(value)
            last[-1] = key
        else:
            self._keys.append([key])
            self._values.append([value])
            last.append(key)

    def pop(self, key: int) -> V | None:
        """Take out the value at a number; None if there is none."""
        at = bisect_left(self._last, key)
        if at == len(self._last):
            return None
        keys = self._keys[at]
        place = bisect_left(keys, key)
        if keys[place] != key:
            return None
        del keys[place]
        value = self._values[at].pop(place)
        if keys:
            self._last[at] = keys[-1]
        else:
            del self._keys[at], self._values[at], self._last[at]
        return value

    @property
    def first(self) -> int:
        """The lowest number. Raises `IndexError` where there is none."""
        return self._keys[0][0]

    def position(self, key: int) -> int:
        """How many entries have lower numbers."""
        at = bisect_left(self._last, key)
        before = sum(map(len, self._keys[:at]))
        return before if at == len(self._last) else before + bisect_left(self._keys[at], key)

    def values(self) -> Iterator[V]:
        return chain.from_iterable(self._values)

    def between(self, first: int, end: int) -> list[V]:
        """The values at the positions from `first` up to before `end`."""
        found: list[V] = []
        for values in self._values:
            if end <= 0:
                break
            if first < len(values):
                found += values[max(first, 0) : end]
            first, end = first - len(values), end - len(values)
        return found

    def copy(self) -> Ordered[V]:
        copied: Ordered[V] = Ordered()
        copied._keys = [keys.copy() for keys in self._keys]
        copied._values = [values.copy() for values in self._values]
        copied._last = self._last.copy()
        return copied

    def shorten(self) -> None:
        """Take out a chunk of entries, whichever."""
        del self._keys[-1], self._values[-1], self._last[-1]

    def _insert(self, key: int, value: V) -> None:
        at = bisect_left(self._last, key)
        keys, values = self._keys[at], self._values[at]
        place = bisect_left(keys, key)
        if keys[place] == key:
            values[place] = value
            return
        keys.insert(place, key)
        values.insert(place, value)
        if len(keys) >= 2 * CHUNK:
            self._keys[at : at + 1] = [keys[:CHUNK], keys[CHUNK:]]
            self._values[at : at + 1] = [values[:CHUNK], values[CHUNK:]]
            self._last.insert(at, keys[CHUNK - 1])
