"""A sorted mapping from `int` keys, with access by key and by position, in little memory.

The entries are in chunks, which copies share until one writes to them. Most chunks keep their keys in arrays of machine
integers, which takes a third of the memory. Chunks that are being written to, or that have huge keys, use a list, where
an insertion takes a third of the time.
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
CHUNK = 500  # entries of a chunk; with twice as many it is split
_LOW_BITS = 63  # of a key, in the first array
_LOW_MASK = (1 << _LOW_BITS) - 1
_MAX_BITS = 2 * _LOW_BITS  # of a key that fits into the two arrays; its sign fits, too
_SORTED_AT_ONCE, _SLICE = 5000, 100  # values that are sorted, and returned, at a time
_NOT_SHARED = 2  # `getrefcount` of an object with no other reference than the local name
_UNPACK_AFTER = 100  # insertions into the same packed chunk, after which a list is worth while


class _Chunk(Generic[V]):
    """Some entries, sorted."""

    __slots__ = ("keys", "owner", "values")

    def __init__(self, keys: list[int] | _PackedKeys, values: list[V], owner: object) -> None:
        self.keys = keys
        self.values = values
        self.owner = owner  # of the index that may write to it

    def place(self, key: int) -> int:
        """How many of its entries have lower keys."""
        keys = self.keys
        return bisect_left(keys, key) if isinstance(keys, list) else keys.place(key)

    def unpack(self) -> list[int]:
        """The keys, from now on in a list."""
        if not isinstance(self.keys, list):
            self.keys = list(self.keys)
        return self.keys

    def pack(self) -> None:
        """Move the keys to arrays, if they fit."""
        keys = self.keys
        if isinstance(keys, list) and all(key.bit_length() <= _MAX_BITS for key in keys[:1] + keys[-1:]):
            self.keys = _PackedKeys(keys)

    def part(self, first: int, end: int, owner: object) -> _Chunk[V]:
        """A copy of the entries at the places from `first` to `end` - 1."""
        return _Chunk(self.keys[first:end], self.values[first:end], owner)


class _PackedKeys:
    """A compact list of ascending keys: the lower bits of each are in one array, the rest in another."""

    __slots__ = ("_high", "_low")

    def __init__(self, keys: list[int]) -> None:
        self._high = array("q", [key >> _LOW_BITS for key in keys])
        self._low = array("q", [key & _LOW_MASK for key in keys])

    def __len__(self) -> int:
        return len(self._low)

    def __iter__(self) -> Iterator[int]:
        return (high << _LOW_BITS | low for high, low in zip(self._high, self._low, strict=True))

    @overload
    def __getitem__(self, place: int) -> int: ...
    @overload
    def __getitem__(self, place: slice) -> _PackedKeys: ...
    def __getitem__(self, place: int | slice) -> int | _PackedKeys:
        if isinstance(place, int):
            return self._high[place] << _LOW_BITS | self._low[place]
        part = _PackedKeys([])
        part._high, part._low = self._high[place], self._low[place]
        return part

    def __delitem__(self, place: int) -> None:
        del self._high[place], self._low[place]

    def insert(self, place: int, key: int) -> None:
        self._high.insert(place, key >> _LOW_BITS)
        self._low.insert(place, key & _LOW_MASK)

    def place(self, key: int) -> int:
        high = key >> _LOW_BITS
        first = bisect_left(self._high, high)
        return bisect_left(self._low, key & _LOW_MASK, first, bisect_right(self._high, high, first))


class SortedIndex(Generic[V]):
    """A sorted mapping from `int` keys; false if it is empty."""

    __slots__ = ("_chunks", "_insertions", "_last", "_owner", "_target", "_unpacked")

    def __init__(self) -> None:
        self._owner = object()  # marks the chunks of this index; replaced by each copy
        self._chunks: list[_Chunk[V]] = []  # none is empty
        self._last: list[int] = []  # the highest key of each chunk
        self._target: _Chunk[V] | None = None  # the packed chunk of the last insertion
        self._insertions = 0  # into that chunk without one into another
        self._unpacked: _Chunk[V] | None = None  # the chunk that uses a list because of many insertions

    def __len__(self) -> int:
        return sum(len(chunk.values) for chunk in self._chunks)

    def __bool__(self) -> bool:
        return bool(self._chunks)

    def put(self, key: int, value: V) -> None:
        """Store a value under a key, in place of another if there is one."""
        last = self._last
        if last and key <= last[-1]:
            self._insert(key, value)
        elif last and len((chunk := self._chunks[-1]).values) < CHUNK:  # keys are often added in their order
            if chunk.owner is not self._owner:
                chunk = self._own_chunk(-1)
            keys = chunk.keys
            if not isinstance(keys, list):
                keys = chunk.unpack()
            keys.append(key)
            chunk.values.append(value)
            last[-1] = key
        else:
            if last and self._chunks[-1].owner is self._owner:
                self._chunks[-1].pack()
            self._chunks.append(_Chunk([key], [value], self._owner))
            last.append(key)

    def pop(self, key: int) -> V | None:
        """Remove and return the value of a key; None if there is none."""
        at = bisect_left(self._last, key)
        if at == len(self._last):
            return None
        chunk = self._chunks[at]
        place = chunk.place(key)
        if chunk.keys[place] != key:
            return None
        if chunk.owner is not self._owner:
            chunk = self._own_chunk(at)
        del chunk.keys[place]
        value = chunk.values.pop(place)
        if chunk.values:
            self._last[at] = chunk.keys[-1]
        else:
            del self._chunks[at], self._last[at]
        return value

    @property
    def first(self) -> int:
        """The lowest key. Raises `IndexError` if there is none."""
        return self._chunks[0].keys[0]

    def position(self, key: int) -> int:
        """How many entries have lower keys."""
        at = bisect_left(self._last, key)
        before = sum(len(chunk.values) for chunk in self._chunks[:at])
        return before if at == len(self._last) else before + self._chunks[at].place(key)

    def values(self) -> Iterator[V]:
        return chain.from_iterable(chunk.values for chunk in self._chunks)

    def between(self, first: int, end: int) -> list[V]:
        """The values at the positions from `first` to `end` - 1."""
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
        """An index with the same entries. Neither writes to shared chunks from now on."""
        copied: SortedIndex[V] = SortedIndex()
        copied._chunks, copied._last = self._chunks.copy(), self._last.copy()
        self._owner = object()
        self._target = self._unpacked = None
        return copied

    def drop_some(self) -> int | None:
        """Drop any chunk, and return how many entries that frees: none if a copy shares them. None if there is none."""
        if not self._chunks:
            return None
        chunk = self._chunks.pop()
        del self._last[-1]
        return len(chunk.values) if getrefcount(chunk) == _NOT_SHARED else 0

    def _insert(self, key: int, value: V) -> None:
        at = bisect_left(self._last, key)
        chunk = self._chunks[at]
        if chunk.owner is not self._owner:
            chunk = self._own_chunk(at)
        keys, values = chunk.keys, chunk.values
        if not isinstance(keys, list):
            keys = self._writable_keys(chunk, key)
        place = bisect_left(keys, key) if isinstance(keys, list) else keys.place(key)
        if keys[place] == key:
            values[place] = value
            return
        keys.insert(place, key)
        values.insert(place, value)
        if len(values) >= 2 * CHUNK:
            self._split(at)

    def _own_chunk(self, at: int) -> _Chunk[V]:
        """Replace a chunk that copies may share by a copy of it."""
        shared = self._chunks[at]
        own = self._chunks[at] = shared.part(0, len(shared.values), self._owner)
        return own

    def _writable_keys(self, chunk: _Chunk[V], key: int) -> list[int] | _PackedKeys:
        """The keys of a packed chunk before an insertion: in a list after many insertions into the same chunk."""
        if chunk is not self._target:
            self._target, self._insertions = chunk, 0
        self._insertions += 1
        if self._insertions < _UNPACK_AFTER:
            return chunk.unpack() if key.bit_length() > _MAX_BITS else chunk.keys
        if self._unpacked is not None and self._unpacked is not self._chunks[-1]:
            self._unpacked.pack()
        self._unpacked = chunk
        return chunk.unpack()

    def _split(self, at: int) -> None:
        chunk = self._chunks[at]
        first, second = chunk.part(0, CHUNK, self._owner), chunk.part(CHUNK, 2 * CHUNK, self._owner)
        first.pack()
        if chunk is self._unpacked:
            self._unpacked = second
        elif at < len(self._chunks) - 1:
            second.pack()
        self._chunks[at : at + 1] = [first, second]
        self._last.insert(at, first.keys[-1])


def sorted_in_slices(values: Iterable[V], key: Callable[[V], int]) -> Iterator[list[V]]:
    """The values sorted by a key, in slices; empty slices while they are sorted."""
    remaining = iter(values)
    runs = []
    while run := sorted(islice(remaining, _SORTED_AT_ONCE), key=key):
        runs.append(run)
        yield []
    merged = merge(*runs, key=key)
    while some := list(islice(merged, _SLICE)):
        yield some


def insert_into(lists: dict[K, SortedIndex[V]], name: K, key: int, value: V) -> None:
    """Store a value in the list of this name, which is created if there is none."""
    entries = lists.get(name)
    if entries is None:
        entries = lists[name] = SortedIndex()
    entries.put(key, value)


def remove_from(lists: dict[K, SortedIndex[V]], name: K, key: int) -> V | None:
    """Remove a value from the list of this name; an empty list is removed, too."""
    entries = lists.get(name)
    if entries is None:
        return None
    value = entries.pop(key)
    if not entries:
        del lists[name]
    return value
