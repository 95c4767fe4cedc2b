"""A mapping from texts whose copies share what neither has changed since, so that a copy costs what changes after it.

The entries stand in buckets by their hashes; a bucket that gets too full is split in two (extendible hashing), so no
single write ever moves many entries. A bucket that a copy may have, too, is copied before it is written to.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from itertools import chain
from sys import getrefcount
from typing import Any, Generic, TypeVar, overload

V = TypeVar("V")
D = TypeVar("D")
FULL = 170  # entries of a bucket; a dictionary of so many is full, too
_SLICE = 300  # entries moved or freed in one go
_ALONE = 2  # references that there are while the only one is counted
_DEEPEST = 24  # bits of a hash that tell buckets apart


class _Bucket(Generic[V]):
    """The entries whose hashes have the same last `depth` bits."""

    __slots__ = ("depth", "entries", "owner")

    def __init__(self, entries: dict[str, V], depth: int, owner: object) -> None:
        self.entries = entries
        self.depth = depth
        self.owner = owner  # the table that may write to it


class Table(MutableMapping[str, V]):
    """Values by texts, in no particular order. It is a little slower than a dictionary."""

    __slots__ = ("_buckets", "_mask", "_owner")

    def __init__(self) -> None:
        self._owner = object()  # stands for this table until it is copied
        self._buckets: list[_Bucket[V]] = [_Bucket({}, 0, self._owner)]  # by the last bits of the hash
        self._mask = 0  # of these bits

    def __len__(self) -> int:
        return sum(len(bucket.entries) for bucket in self._different())

    def __iter__(self) -> Iterator[str]:
        return chain.from_iterable(bucket.entries for bucket in self._different())

    def __contains__(self, key: object) -> bool:
        return key in self._buckets[hash(key) & self._mask].entries

    def __getitem__(self, key: str) -> V:
        return self._buckets[hash(key) & self._mask].entries[key]

    @overload
    def get(self, key: str, default: None = None) -> V | None: ...
    @overload
    def get(self, key: str, default: D) -> V | D: ...
    def get(self, key: str, default: D | None = None) -> V | D | None:
        return self._buckets[hash(key) & self._mask].entries.get(key, default)

    def __setitem__(self, key: str, value: V) -> None:
        place = hash(key) & self._mask
        bucket = self._buckets[place]
        if bucket.owner is not self._owner:
            bucket = self._own(place)
        entries = bucket.entries
        entries[key] = value
        if len(entries) > FULL and bucket.depth < _DEEPEST:
            self._split(place)

    def __delitem__(self, key: str) -> None:
        place = hash(key) & self._mask
        bucket = self._buckets[place]
        if bucket.owner is not self._owner:
            bucket = self._own(place)
        del bucket.entries[key]

    def copy(self) -> Table[V]:
        """Another table of the same entries. From now on neither writes to what they share."""
        copied: Table[V] = Table()
        copied._buckets, copied._mask = self._buckets.copy(), self._mask
        self._owner = object()
        return copied

    def shorten(self) -> int | None:
        """Let go of some entries, whichever: how many that frees, since no copy has them; None if nothing is left.

        For a table that nobody asks any more.
        """
        if not self._buckets:
            return None
        bucket = self._buckets.pop()
        return len(bucket.entries) if getrefcount(bucket) == _ALONE else 0

    def _different(self) -> Iterator[_Bucket[V]]:
        """Each bucket once, though it may stand at several places."""
        return (bucket for place, bucket in enumerate(self._buckets) if not place >> bucket.depth)

    def _own(self, place: int) -> _Bucket[V]:
        """A bucket of this table's own, in the place of one that others may have, too."""
        shared = self._buckets[place]
        own = _Bucket(shared.entries.copy(), shared.depth, self._owner)
        self._set(place, own)
        return own

    def _set(self, place: int, bucket: _Bucket[V]) -> None:
        step = 1 << bucket.depth
        for at in range(place & (step - 1), len(self._buckets), step):
            self._buckets[at] = bucket

    def _split(self, place: int) -> None:
        full = self._buckets[place]
        bit = 1 << full.depth
        if bit > self._mask:
            self._buckets += self._buckets
            self._mask += bit
        others: dict[str, V] = {}
        entries: dict[str, V] = {}
        for key, value in full.entries.items():
            if hash(key) & bit:
                others[key] = value
            else:
                entries[key] = value
        self._set(place & (bit - 1), _Bucket(entries, full.depth + 1, self._owner))
        self._set(place & (bit - 1) | bit, _Bucket(others, full.depth + 1, self._owner))


class Pouring(MutableMapping[str, V]):
    """The entries of a dictionary on their way into a table. Each is in one of the two; new ones go into the table."""

    __slots__ = ("rest", "table")

    def __init__(self, entries: dict[str, V]) -> None:
        self.rest = entries
        self.table: Table[V] = Table()

    def __len__(self) -> int:
        return len(self.rest) + len(self.table)

    def __iter__(self) -> Iterator[str]:
        return chain(self.rest, self.table)

    def __contains__(self, key: object) -> bool:
        return key in self.rest or key in self.table

    def __getitem__(self, key: str) -> V:
        return self.rest[key] if key in self.rest else self.table[key]

    def __setitem__(self, key: str, value: V) -> None:
        self.rest.pop(key, None)
        self.table[key] = value

    def __delitem__(self, key: str) -> None:
        del (self.rest if key in self.rest else self.table)[key]

    def pour(self) -> None:
        """Move some entries."""
        for _ in range(min(_SLICE, len(self.rest))):
            key, value = self.rest.popitem()
            self.table[key] = value

    def shorten(self) -> int | None:
        """As that of a table."""
        count = min(_SLICE, len(self.rest))
        for _ in range(count):
            self.rest.popitem()
        return count or self.table.shorten()


def poured(entries: MutableMapping[str, V]) -> MutableMapping[str, V]:
    """The same entries, of which some more stand in a table, and at last all; a dictionary is used up."""
    if isinstance(entries, dict):
        entries = Pouring(entries)
    if not isinstance(entries, Pouring):
        return entries
    entries.pour()
    return entries if entries.rest else entries.table


def in_table(entries: MutableMapping[str, V]) -> Table[V]:
    """The same entries, all of them in a table."""
    while not isinstance(entries, Table):
        entries = poured(entries)
    return entries


def emptied(containers: list[Any]) -> Iterator[None]:
    """Take everything out of dictionaries, tables and what else can `shorten`, in slices: it may take long."""
    let_go = 0
    while containers:
        container = containers.pop()
        container = Pouring(container) if isinstance(container, dict) else container
        while (freed := container.shorten()) is not None:
            let_go += 1 + freed
            if let_go >= _SLICE:
                let_go = 0
                yield
    if let_go:
        yield
