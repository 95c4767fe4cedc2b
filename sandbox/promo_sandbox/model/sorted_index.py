"""Values in the order of their numbers, each found by its number or by its position, in little memory.

In chunks, which copies share until they write to one. Most keep their numbers in arrays of machine integers, where they
take a third of the memory; those to which others are being added, in a list, where that takes a third of the time. So
do those with huge numbers.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from heapq import merge
from itertools import chain, islice
from sys import getrefcount
from typing import Generic, TypeVar, overload

K = TypeVar("K")
V = TypeVar("V")
CHUNK = 500  # entries of a chunk; it is split where it has twice as many
_BITS = 63  # of a number that are in its lower half
_LOWER = (1 << _BITS) - 1
_MOST = 2 * _BITS  # bits of a number that has room in two halves; a sign has too
_RUN, _SOME = 5000, 100  # values that are sorted in one go, and handed over
_ALONE = 2  # references that there are while the only one is counted
_WARM = 100  # entries in turn that make a list of a chunk's array worth while


class _Chunk(Generic[V]):
    """Some entries in their order."""

    __slots__ = ("numbers", "owner", "values")

    def __init__(self, numbers: list[int] | _Numbers, values: list[V], owner: object) -> None:
        self.numbers = numbers
        self.values = values
        self.owner = owner  # the only one that may write to it

    def place(self, number: int) -> int:
        """How many of its entries have lower numbers."""
        numbers = self.numbers
        return bisect_left(numbers, number) if isinstance(numbers, list) else numbers.place(number)

    def loose(self) -> list[int]:
        """The numbers, from now on in a list."""
        if not isinstance(self.numbers, list):
            self.numbers = list(self.numbers)
        return self.numbers

    def pack(self) -> None:
        """The numbers, from now on in arrays, if they have room there."""
        numbers = self.numbers
        if isinstance(numbers, list) and all(number.bit_length() <= _MOST for number in numbers[:1] + numbers[-1:]):
            self.numbers = _Numbers(numbers)

    def part(self, first: int, end: int, owner: object) -> _Chunk[V]:
        """A copy of the entries at the places from `first` up to before `end`."""
        return _Chunk(self.numbers[first:end], self.values[first:end], owner)


class _Numbers:
    """What is needed of a list of ascending numbers; of each the lower bits are in one array, the rest in another."""

    __slots__ = ("_high", "_low")

    def __init__(self, numbers: list[int]) -> None:
        self._high = array("q", [number >> _BITS for number in numbers])
        self._low = array("q", [number & _LOWER for number in numbers])

    def __len__(self) -> int:
        return len(self._low)

    def __iter__(self) -> Iterator[int]:
        return (high << _BITS | low for high, low in zip(self._high, self._low, strict=True))

    @overload
    def __getitem__(self, place: int) -> int: ...
    @overload
    def __getitem__(self, place: slice) -> _Numbers: ...
    def __getitem__(self, place: int | slice) -> int | _Numbers:
        if isinstance(place, int):
            return self._high[place] << _BITS | self._low[place]
        part = _Numbers([])
        part._high, part._low = self._high[place], self._low[place]
        return part

    def __delitem__(self, place: int) -> None:
        del self._high[place], self._low[place]

    def insert(self, place: int, number: int) -> None:
        self._high.insert(place, number >> _BITS)
        self._low.insert(place, number & _LOWER)

    def place(self, number: int) -> int:
        high = number >> _BITS
        first = bisect_left(self._high, high)
        return bisect_left(self._low, number & _LOWER, first, bisect_right(self._high, high, first))


class SortedIndex(Generic[V]):
    """A mapping from numbers, sorted. Empty ones are false."""

    __slots__ = ("_asked", "_chunks", "_last", "_owner", "_turns", "_warm")

    def __init__(self) -> None:
        self._owner = object()  # stands for this mapping until it is copied
        self._chunks: list[_Chunk[V]] = []  # none is empty
        self._last: list[int] = []  # the highest number of each chunk
        self._asked: _Chunk[V] | None = None  # the packed one to which something was added last,
        self._turns = 0  # and so often in turn
        self._warm: _Chunk[V] | None = None  # the one that is not packed, though not the last, for that reason

    def __len__(self) -> int:
        return sum(len(chunk.values) for chunk in self._chunks)

    def __bool__(self) -> bool:
        return bool(self._chunks)

    def put(self, key: int, value: V) -> None:
        """Put a value at its number, in the place of another if there is one."""
        last = self._last
        if last and key <= last[-1]:
            self._insert(key, value)
        elif last and len((chunk := self._chunks[-1]).values) < CHUNK:  # they often come in their order
            if chunk.owner is not self._owner:
                chunk = self._own(-1)
            numbers = chunk.numbers
            if not isinstance(numbers, list):
                numbers = chunk.loose()
            numbers.append(key)
            chunk.values.append(value)
            last[-1] = key
        else:
            if last and self._chunks[-1].owner is self._owner:
                self._chunks[-1].pack()
            self._chunks.append(_Chunk([key], [value], self._owner))
            last.append(key)

    def pop(self, key: int) -> V | None:
        """Take out the value at a number; None if there is none."""
        at = bisect_left(self._last, key)
        if at == len(self._last):
            return None
        chunk = self._chunks[at]
        place = chunk.place(key)
        if chunk.numbers[place] != key:
            return None
        if chunk.owner is not self._owner:
            chunk = self._own(at)
        del chunk.numbers[place]
        value = chunk.values.pop(place)
        if chunk.values:
            self._last[at] = chunk.numbers[-1]
        else:
            del self._chunks[at], self._last[at]
        return value

    @property
    def first(self) -> int:
        """The lowest number. Raises `IndexError` where there is none."""
        return self._chunks[0].numbers[0]

    def position(self, key: int) -> int:
        """How many entries have lower numbers."""
        at = bisect_left(self._last, key)
        before = sum(len(chunk.values) for chunk in self._chunks[:at])
        return before if at == len(self._last) else before + self._chunks[at].place(key)

    def values(self) -> Iterator[V]:
        return chain.from_iterable(chunk.values for chunk in self._chunks)

    def between(self, first: int, end: int) -> list[V]:
        """The values at the positions from `first` up to before `end`."""
        found: list[V] = []
        for chunk in self._chunks:
            if end <= 0:
                break
            values = chunk.values
            if first < len(values):
                found += values[max(first, 0) : end]
            first, end = first - len(values), end - len(values)
        return found

    def copy(self) -> SortedIndex[V]:
        """The same entries. From now on neither writes to the chunks that both have."""
        copied: SortedIndex[V] = SortedIndex()
        copied._chunks, copied._last = self._chunks.copy(), self._last.copy()
        self._owner = object()
        self._asked = self._warm = None
        return copied

    def shorten(self) -> int | None:
        """Take out a chunk of entries, whichever: how many that frees, since no copy has them; None if none is left."""
        if not self._chunks:
            return None
        chunk = self._chunks.pop()
        del self._last[-1]
        return len(chunk.values) if getrefcount(chunk) == _ALONE else 0

    def _insert(self, key: int, value: V) -> None:
        at = bisect_left(self._last, key)
        chunk = self._chunks[at]
        if chunk.owner is not self._owner:
            chunk = self._own(at)
        numbers, values = chunk.numbers, chunk.values
        if not isinstance(numbers, list):
            numbers = self._warmed(chunk, key)
        place = bisect_left(numbers, key) if isinstance(numbers, list) else numbers.place(key)
        if numbers[place] == key:
            values[place] = value
            return
        numbers.insert(place, key)
        values.insert(place, value)
        if len(values) >= 2 * CHUNK:
            self._split(at)

    def _own(self, at: int) -> _Chunk[V]:
        """A chunk of our own, in the place of one that a copy may have, too."""
        shared = self._chunks[at]
        own = self._chunks[at] = shared.part(0, len(shared.values), self._owner)
        return own

    def _warmed(self, chunk: _Chunk[V], key: int) -> list[int] | _Numbers:
        """The numbers of a packed chunk that another is added to; a list, once that has happened often in turn."""
        if chunk is not self._asked:
            self._asked, self._turns = chunk, 0
        self._turns += 1
        if self._turns < _WARM:
            return chunk.loose() if key.bit_length() > _MOST else chunk.numbers
        if self._warm is not None and self._warm is not self._chunks[-1]:
            self._warm.pack()
        self._warm = chunk
        return chunk.loose()

    def _split(self, at: int) -> None:
        chunk = self._chunks[at]
        first, second = chunk.part(0, CHUNK, self._owner), chunk.part(CHUNK, 2 * CHUNK, self._owner)
        first.pack()
        if chunk is self._warm:
            self._warm = second
        elif at < len(self._chunks) - 1:
            second.pack()
        self._chunks[at : at + 1] = [first, second]
        self._last.insert(at, first.numbers[-1])


def in_order(values: Iterable[V], number: Callable[[V], int]) -> Iterator[list[V]]:
    """Values in the order of their numbers, some at a time; none of them while they are sorted."""
    left = iter(values)
    runs = []
    while run := sorted(islice(left, _RUN), key=number):
        runs.append(run)
        yield []
    merged = merge(*runs, key=number)
    while some := list(islice(merged, _SOME)):
        yield some


def put_in(lists: dict[K, SortedIndex[V]], name: K, number: int, value: V) -> None:
    """Put a value into one of several lists, which is made if there is none of that name."""
    entries = lists.get(name)
    if entries is None:
        entries = lists[name] = SortedIndex()
    entries.put(number, value)


def take_out(lists: dict[K, SortedIndex[V]], name: K, number: int) -> V | None:
    """Take a value out of one of several lists; a list that is empty goes."""
    entries = lists.get(name)
    if entries is None:
        return None
    value = entries.pop(number)
    if not entries:
        del lists[name]
    return value
