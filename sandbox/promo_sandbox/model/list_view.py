"""The documents of a list as it was at a moment: references to what is stored, each decoded when it is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, overload

from promo_sandbox.base.messages import decode_trusted as _decode


class _Stored(Protocol):
    @property
    def body(self) -> bytes: ...
    @property
    def key(self) -> str: ...


class Listed(Sequence[tuple[str, dict[str, Any]]]):
    """Each document with the key of its collection."""

    __slots__ = ("_records",)

    def __init__(self, records: Sequence[_Stored]) -> None:
        self._records = records

    def only(self, key: str) -> Listed:
        """Those of one collection."""
        return Listed([record for record in self._records if record.key == key])

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[tuple[str, dict[str, Any]]]:
        return ((record.key, _decode(record.body)) for record in self._records)

    @overload
    def __getitem__(self, at: int) -> tuple[str, dict[str, Any]]: ...
    @overload
    def __getitem__(self, at: slice) -> Listed: ...
    def __getitem__(self, at: int | slice) -> tuple[str, dict[str, Any]] | Listed:
        if isinstance(at, slice):
            return Listed(self._records[at])
        record = self._records[at]
        return record.key, _decode(record.body)
