"""A list of documents as it was at one moment: references to stored documents, each decoded when it is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, overload

from promo_sandbox.base.messages import decode_trusted as _decode


class _Record(Protocol):
    @property
    def body(self) -> bytes: ...
    @property
    def key(self) -> str: ...


class ListView(Sequence[tuple[str, dict[str, Any]]]):
    """Pairs of collection key and document. It stays the same while the list changes."""

    __slots__ = ("_records",)

    def __init__(self, records: Sequence[_Record]) -> None:
        self._records = records

    def only(self, key: str) -> ListView:
        """The documents of the collection with this key."""
        return ListView([record for record in self._records if record.key == key])

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[tuple[str, dict[str, Any]]]:
        return ((record.key, _decode(record.body)) for record in self._records)

    @overload
    def __getitem__(self, index: int) -> tuple[str, dict[str, Any]]: ...
    @overload
    def __getitem__(self, index: slice) -> ListView: ...
    def __getitem__(self, index: int | slice) -> tuple[str, dict[str, Any]] | ListView:
        if isinstance(index, slice):
            return ListView(self._records[index])
        record = self._records[index]
        return record.key, _decode(record.body)
