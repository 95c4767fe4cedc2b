"""What an org stores: documents as JSON bytes, their order in lists, their unique members, and what falls due.

Documents are values: reading decodes a fresh copy, writing replaces. Every write is noted, so a rule that fails is
rolled back and the journal can tell before from after. Knows nothing of what the documents mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
from sortedcontainers import SortedList

from sandbox.messages import encode

Doc = dict[str, Any]
# Where a document stands: in which lists, at which moment (or other number) in each.
Places = Callable[[Doc, int], Iterable[tuple[str, int]]]
# What falls due with a document: moment and event.
Dues = Callable[[Doc], Iterable[tuple[int, str]]]

_decode = msgspec.json.Decoder(float_hook=Decimal).decode
_SLICE = 500


class NotUnique(Exception):
    """Another document of the collection has the same value in a unique member."""

    def __init__(self, member: str, value: str) -> None:
        super().__init__(f"{member} {value!r} is taken")
        self.member, self.value = member, value


class Collection(NamedTuple):
    """What the state must know of a kind of document. `places` and `dues` are functions of the document alone
    (and of the moment it was created), so order and agenda can always be derived again."""

    key: str  # `<vendor>.<name>`
    unique: tuple[str, ...]
    places: Places
    dues: Dues | None = None
    prepare: Callable[[Doc, Any], None] | None = None  # fills in what a seeded document leaves out
    seeded: Callable[[Any, Doc], None] | None = None  # runs when a document was seeded


# A stored document: its body, the moment of its creation, its place in the order of creation over all collections.
# A plain tuple, as are the entries of lists and agenda: the garbage collector stops looking at those.
Record = tuple[bytes, int, int]
# An entry of the agenda: moment, place, event, key of the collection, id.
Due = tuple[int, int, str, str, str]


class Change(NamedTuple):
    """One write: what a document was and what it became; None is absent."""

    collection: Collection
    id: str
    before: Record | None
    after: Record | None


class _Documents:
    __slots__ = ("records", "unique")

    def __init__(self, unique: tuple[str, ...]) -> None:
        self.records: dict[str, Record] = {}
        self.unique: dict[str, dict[str, str]] = {member: {} for member in unique}


class State:
    """The documents of one org. `begin` a unit of work, then write, then keep it or `roll_back`."""

    __slots__ = ("_agenda", "_documents", "_lists", "changes", "place", "sequence")

    def __init__(self) -> None:
        self._documents: dict[str, _Documents] = {}
        self._lists: dict[str, SortedList] = {}
        self._agenda = SortedList()
        self.changes: list[Change] = []
        self.sequence = 0  # ids given out; never taken back, so that no id is ever used again
        self.place = 0

    def begin(self) -> None:
        self.changes = []

    def roll_back(self) -> None:
        for change in reversed(self.changes):
            self._replace(change.collection, change.id, change.after, change.before)
        self.changes = []

    def get(self, collection: Collection, id: str) -> Doc | None:
        documents = self._documents.get(collection.key)
        record = documents.records.get(id) if documents else None
        return None if record is None else _decode(record[0])

    def find(self, collection: Collection, member: str, value: str) -> str | None:
        """The id of the document whose unique `member` has the value."""
        documents = self._documents.get(collection.key)
        return documents.unique[member].get(value) if documents else None

    def put(self, collection: Collection, id: str, doc: Doc, created: int, place: int | None = None) -> None:
        """Add a document or replace the one with this id. Raises `NotUnique`, and then nothing has changed."""
        documents = self._documents.get(collection.key)
        before = documents.records.get(id) if documents else None
        if before is not None:
            created, place = before[1], before[2]
        elif place is None:
            place = self.place
        after = (encode(doc), created, place)
        for member in collection.unique:
            holder = self.find(collection, member, doc[member]) if member in doc else None
            if holder is not None and holder != id:
                raise NotUnique(member, doc[member])
        self.place = max(self.place, place + 1)
        self._replace(collection, id, before, after, doc)
        self.changes.append(Change(collection, id, before, after))

    def delete(self, collection: Collection, id: str) -> bool:
        """Whether there was such a document."""
        documents = self._documents.get(collection.key)
        before = documents.records.get(id) if documents else None
        if before is None:
            return False
        self._replace(collection, id, before, None)
        self.changes.append(Change(collection, id, before, None))
        return True

    def page(
        self, name: str, *, start: int | None, stop: int | None, offset: int, limit: int, descending: bool = False
    ) -> list[tuple[str, Doc]]:
        """Documents of a list with their collection's key, in the half-open interval from `start` to `stop`.

        Ties keep the order of creation, in a descending list the newest first.
        """
        entries = self._lists.get(name)
        if entries is None:
            return []
        first = 0 if start is None else entries.bisect_left((start,))
        last = len(entries) if stop is None else entries.bisect_left((stop,))
        if descending:
            chosen = entries.islice(max(first, last - offset - limit), max(first, last - offset), reverse=True)
        else:
            chosen = entries.islice(min(first + offset, last), min(first + offset + limit, last))
        return [(key, _decode(self._documents[key].records[id][0])) for _, _, key, id in chosen]

    def place_of(self, collection: Collection, doc: Doc) -> int:
        """The number by which a stored document is ordered in its first list."""
        record = self._documents[collection.key].records[doc["id"]]
        return next(iter(collection.places(doc, record[1])))[1]

    def size(self, name: str) -> int:
        """How many documents a list has."""
        entries = self._lists.get(name)
        return len(entries) if entries is not None else 0

    def next_due(self, until: int) -> Due | None:
        """Take the next entry of the agenda that falls due at or before a moment."""
        agenda = self._agenda
        return agenda.pop(0) if agenda and agenda[0][0] <= until else None

    @property
    def due_at(self) -> int | None:
        return self._agenda[0][0] if self._agenda else None

    def records(self, collection: Collection) -> dict[str, Record]:
        """The records of a collection by id, in no particular order."""
        documents = self._documents.get(collection.key)
        return documents.records if documents else {}

    @property
    def count(self) -> int:
        """How many documents are stored."""
        return sum(len(documents.records) for documents in self._documents.values())

    def dismantle(self) -> Iterator[None]:
        """Free the memory in slices, so that forgetting 100,000 documents stalls nobody."""
        containers: list[Any] = [self._agenda, *self._lists.values()]
        for documents in self._documents.values():
            containers += [documents.records, *documents.unique.values()]
        self._documents, self._lists, self._agenda, self.changes = {}, {}, SortedList(), []
        while containers:
            container = containers.pop()
            while container:
                if isinstance(container, dict):
                    for _ in range(min(_SLICE, len(container))):
                        container.popitem()
                else:
                    del container[-_SLICE:]
                yield

    def _replace(
        self,
        collection: Collection,
        id: str,
        before: Record | None,
        after: Record | None,
        doc: Doc | None = None,
    ) -> None:
        documents = self._documents.get(collection.key)
        if documents is None:
            documents = self._documents[collection.key] = _Documents(collection.unique)
        old = None if before is None else _decode(before[0])
        new = doc if doc is not None else None if after is None else _decode(after[0])
        if after is None:
            del documents.records[id]
        else:
            documents.records[id] = after
        for member in collection.unique:
            self._reindex(documents.unique[member], id, (old or {}).get(member), (new or {}).get(member))
        self._move(collection, id, before, old, after, new)

    @staticmethod
    def _reindex(index: dict[str, str], id: str, old: str | None, new: str | None) -> None:
        if old == new:
            return
        if old is not None:
            del index[old]
        if new is not None:
            index[new] = id

    def _move(
        self,
        collection: Collection,
        id: str,
        before: Record | None,
        old: Doc | None,
        after: Record | None,
        new: Doc | None,
    ) -> None:
        was = (
            []
            if before is None or old is None
            else [(name, (key, before[2], collection.key, id)) for name, key in collection.places(old, before[1])]
        )
        now = (
            []
            if after is None or new is None
            else [(name, (key, after[2], collection.key, id)) for name, key in collection.places(new, after[1])]
        )
        if was != now:
            for name, entry in was:
                entries = self._lists[name]
                entries.remove(entry)
                if not entries:
                    del self._lists[name]
            for name, entry in now:
                entries = self._lists.get(name)
                if entries is None:
                    entries = self._lists[name] = SortedList()
                entries.add(entry)
        if collection.dues is not None:
            self._reschedule(collection, id, before, old, after, new)

    def _reschedule(
        self,
        collection: Collection,
        id: str,
        before: Record | None,
        old: Doc | None,
        after: Record | None,
        new: Doc | None,
    ) -> None:
        dues = collection.dues
        if dues is None:
            return
        was = (
            []
            if before is None or old is None
            else [(at, before[2], event, collection.key, id) for at, event in dues(old)]
        )
        now = (
            []
            if after is None or new is None
            else [(at, after[2], event, collection.key, id) for at, event in dues(new)]
        )
        if was == now:
            return
        for entry in was:
            if entry not in now:
                self._agenda.discard(entry)  # it is gone already when the change is what it brought about
        self._agenda.update([entry for entry in now if entry not in was])
