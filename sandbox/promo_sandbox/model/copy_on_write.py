"""A mapping with `str` keys whose copies share their entries: a copy costs only as much as is changed after it.

The entries are in buckets by their hashes. A full bucket is split in two (extendible hashing), so no single write moves
many entries. A bucket that a copy may share is copied before a write.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from itertools import chain
from sys import getrefcount
from typing import Any, Generic, TypeVar, overload

V = TypeVar("V")
D = TypeVar("D")
BUCKET_SIZE = 170  # a dict with so many entries is full, too
_SLICE = 300  # entries that are moved or freed at a time
_NOT_SHARED = 2  # `getrefcount` of an object with no other reference than the local name
_MAX_DEPTH = 24  # bits of the hash


class _Bucket(Generic[V]):
    """The entries whose hashes have the same last `depth` bits."""

    __slots__ = ("depth", "entries", "owner")

    def __init__(self, entries: dict[str, V], depth: int, owner: object) -> None:
        self.entries = entries
        self.depth = depth
        self.owner = owner  # of the map that may write to it


class CopyOnWriteMap(MutableMapping[str, V]):
    """An unordered mapping, a little slower than a dict, with a `copy` that takes little time and memory."""

    __slots__ = ("_buckets", "_mask", "_owner")

    def __init__(self) -> None:
        self._owner = object()  # marks the buckets of this map; replaced by each copy
        self._buckets: list[_Bucket[V]] = [_Bucket({}, 0, self._owner)]  # by the last bits of the hash
        self._mask = 0  # of these bits

    def __len__(self) -> int:
        return sum(len(bucket.entries) for bucket in self._distinct())

    def __iter__(self) -> Iterator[str]:
        return chain.from_iterable(bucket.entries for bucket in self._distinct())

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
            bucket = self._own_bucket(place)
        entries = bucket.entries
        entries[key] = value
        if len(entries) > BUCKET_SIZE and bucket.depth < _MAX_DEPTH:
            self._split(place)

    def __delitem__(self, key: str) -> None:
        place = hash(key) & self._mask
        bucket = self._buckets[place]
        if bucket.owner is not self._owner:
            bucket = self._own_bucket(place)
        del bucket.entries[key]

    def copy(self) -> CopyOnWriteMap[V]:
        """A map with the same entries. Neither writes to shared buckets from now on."""
        copied: CopyOnWriteMap[V] = CopyOnWriteMap()
        copied._buckets, copied._mask = self._buckets.copy(), self._mask
        self._owner = object()
        return copied

    def drop_some(self) -> int | None:
        """Drop any bucket of a map that is no longer used; None if there is none.

        Returns how many entries that frees: none if a copy shares them.
        """
        if not self._buckets:
            return None
        bucket = self._buckets.pop()
        return len(bucket.entries) if getrefcount(bucket) == _NOT_SHARED else 0

    def _distinct(self) -> Iterator[_Bucket[V]]:
        """Each bucket once, although it may be at several places."""
        return (bucket for place, bucket in enumerate(self._buckets) if not place >> bucket.depth)

    def _own_bucket(self, place: int) -> _Bucket[V]:
        """Replace a bucket that copies may share by a copy of it."""
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


class MigratingMap(MutableMapping[str, V]):
    """A dict while its entries are moved to a copy-on-write map. Each entry is in one of the two."""

    __slots__ = ("remaining", "target")

    def __init__(self, entries: dict[str, V]) -> None:
        self.remaining = entries
        self.target: CopyOnWriteMap[V] = CopyOnWriteMap()

    def __len__(self) -> int:
        return len(self.remaining) + len(self.target)

    def __iter__(self) -> Iterator[str]:
        return chain(self.remaining, self.target)

    def __contains__(self, key: object) -> bool:
        return key in self.remaining or key in self.target

    def __getitem__(self, key: str) -> V:
        return self.remaining[key] if key in self.remaining else self.target[key]

    def __setitem__(self, key: str, value: V) -> None:
        self.remaining.pop(key, None)
        self.target[key] = value

    def __delitem__(self, key: str) -> None:
        del (self.remaining if key in self.remaining else self.target)[key]

    def move_some(self) -> None:
        """Move some entries."""
        for _ in range(min(_SLICE, len(self.remaining))):
            key, value = self.remaining.popitem()
            self.target[key] = value

    def drop_some(self) -> int | None:
        """As `CopyOnWriteMap.drop_some`."""
        count = min(_SLICE, len(self.remaining))
        for _ in range(count):
            self.remaining.popitem()
        return count or self.target.drop_some()


def migrated_some(entries: MutableMapping[str, V]) -> MutableMapping[str, V]:
    """The same entries, with some more of them in a copy-on-write map. A dict that is given is emptied."""
    if isinstance(entries, dict):
        entries = MigratingMap(entries)
    if not isinstance(entries, MigratingMap):
        return entries
    entries.move_some()
    return entries if entries.remaining else entries.target


def migrated(entries: MutableMapping[str, V]) -> CopyOnWriteMap[V]:
    """The same entries, all in a copy-on-write map."""
    while not isinstance(entries, CopyOnWriteMap):
        entries = migrated_some(entries)
    return entries


def free_in_slices(containers: list[Any]) -> Iterator[None]:
    """Empty dicts and objects with `drop_some`, in slices, because freeing much memory takes long."""
    dropped = 0
    while containers:
        container = containers.pop()
        container = MigratingMap(container) if isinstance(container, dict) else container
        while (freed := container.drop_some()) is not None:
            dropped += 1 + freed
            if dropped >= _SLICE:
                dropped = 0
                yield
    if dropped:
        yield
