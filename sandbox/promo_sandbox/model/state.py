"""What an org stores: documents as JSON bytes, with their lists, unique fields and timers.

Reading decodes a copy, writing replaces the document. The state records each write, so that a failed rule can be
rolled back and the journal shows a document before and after. What the documents mean is left to the rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, MutableMapping
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec

from promo_sandbox.base.messages import decode_trusted as _decode
from promo_sandbox.base.messages import encode
from promo_sandbox.model.copy_on_write import CopyOnWriteMap, free_in_slices, migrated, migrated_some
from promo_sandbox.model.effects import Effects
from promo_sandbox.model.list_view import ListView
from promo_sandbox.model.sorted_index import SortedIndex, insert_into, remove_from, sorted_in_slices

Doc = dict[str, Any]
# (document, moment of creation) -> the lists of a document, and the number that sorts it in each.
Indexes = Callable[[Doc, int], Iterable[tuple[str, int]]]
# document -> its timers: moment and event.
Timers = Callable[[Doc], Iterable[tuple[int, str]]]

NEVER = 1 << 80
_LARGE = 500_000  # documents of a collection that move to a copy-on-write map: a larger dict takes 50 ms to grow
_CHECK_INTERVAL = 256  # new documents between two checks for large collections, each of which moves some entries
_PLACE_BITS = 40  # of a number in a list or in the agenda: the place in the order of creation; the others: the moment


class NotUnique(Exception):
    """Another document of the collection has the same id, or the same value of a unique field."""

    def __init__(self, field: str, value: str) -> None:
        super().__init__(f"{field} {value!r} is taken")
        self.field, self.value = field, value


class Collection(NamedTuple):
    """A kind of document. `indexes` and `timers` depend on the document and the moment of its creation only, so lists
    and agenda can always be derived again."""

    key: str  # `<vendor>.<name>`
    unique: tuple[str, ...]
    indexes: Indexes
    timers: Timers | None = None
    prepare: Callable[[Doc, Any], None] | None = None  # fills in missing fields of a seeded document
    on_seeded: Callable[[Any, Doc], Iterator[None] | None] | None = None  # runs after a document was seeded


class Record(msgspec.Struct, frozen=True, gc=False):
    """A stored document: its JSON, the moment of its creation, its place in the order of creation in the org."""

    body: bytes
    created: int
    place: int
    key: str  # of its collection


# An entry of the agenda: moment, place, event, key of the collection, id.
Timer = tuple[int, int, str, str, str]
TimerKind = tuple[str, str]  # event, key of the collection


class Change(msgspec.Struct, frozen=True, gc=False):
    """One write: a document before and after; None means that it did not exist."""

    collection: Collection
    id: str
    before: Record | None
    after: Record | None


Records = MutableMapping[str, Record]
UniqueValues = MutableMapping[str, str]  # value -> id


class _Documents:
    """The documents of a collection: in dicts until the first copy, then in copy-on-write maps, which are slower."""

    __slots__ = ("records", "unique")

    def __init__(self, unique: tuple[str, ...]) -> None:
        self.records: Records = {}
        self.unique: dict[str, UniqueValues] = {field: {} for field in unique}

    def prepare_copy(self) -> bool:
        """Move some entries from dicts to copy-on-write maps; whether there are more."""
        self.records = migrated_some(self.records)
        self.unique = {field: migrated_some(ids) for field, ids in self.unique.items()}
        return not all(isinstance(entries, CopyOnWriteMap) for entries in (self.records, *self.unique.values()))

    def copy(self) -> _Documents:
        while self.prepare_copy():
            pass
        copied = _Documents(())
        copied.records = migrated(self.records).copy()
        copied.unique = {field: migrated(ids).copy() for field, ids in self.unique.items()}
        return copied


class State:
    """The documents of one org. A unit of work starts with `begin`; `roll_back` undoes its changes."""

    __slots__ = (
        "_agenda", "_documents", "_lists", "active_writers", "armed", "changes", "next_due", "next_place", "sequence",
        "write_count",
    )  # fmt: skip

    def __init__(self) -> None:
        self._documents: dict[str, _Documents] = {}
        self._lists: dict[str, SortedIndex[Record]] = {}
        self._agenda: dict[TimerKind, SortedIndex[str]] = {}  # ids
        self.next_due = NEVER  # moment of the first timer
        self.changes: list[Change] = []  # of this unit of work
        self.sequence = 0  # the last number that was used for an id; a roll-back does not change it
        self.next_place = 0
        self.write_count = 0  # shows whether other requests wrote in the meantime
        self.active_writers = 0  # requests that write in steps; copying and freeing must wait for them
        self.armed: dict[str, list[Effects]] | None = None  # operationId or callback -> effects on its next calls

    def arm(self, name: str, effects: list[Effects]) -> None:
        """Arm effects for the next calls of an operation, or the next events of a callback."""
        self.armed = self.armed or {}
        self.armed.setdefault(name, []).extend(effects)

    @property
    def armed_count(self) -> int:
        """How many armed effects wait for a call or an event."""
        return sum(map(len, self.armed.values())) if self.armed else 0

    def take_armed(self, name: str, *, from_client: bool = True) -> Effects | None:
        """Remove and return the effects on this call or event; None if nothing is armed.

        A call that another operation makes can only be rejected; other effects wait for the call of a client.
        """
        waiting = self.armed.get(name) if self.armed else None
        if self.armed is None or not waiting or not (from_client or waiting[0].reject):
            return None
        effects = waiting.pop(0)
        if not waiting:
            del self.armed[name]
        return effects

    def prepare_copy(self) -> bool:
        """Do a part of the work before a copy, so that `copy` is quick; whether there is more."""
        return any(documents.prepare_copy() for documents in self._documents.values())

    def copy(self) -> State:
        """A state with the same content. Both share what neither changes afterwards."""
        copied = State()
        copied._documents = {key: documents.copy() for key, documents in self._documents.items()}
        copied._lists = {name: entries.copy() for name, entries in self._lists.items()}
        copied._agenda = {kind: entries.copy() for kind, entries in self._agenda.items()}
        copied.next_due, copied.sequence, copied.next_place = self.next_due, self.sequence, self.next_place
        if self.armed is not None:
            copied.armed = {operation_id: names.copy() for operation_id, names in self.armed.items()}
        return copied

    def begin(self) -> None:
        """Begin a unit of work."""
        self.changes = []

    def roll_back(self, to: int = 0) -> None:
        """Undo the changes of this unit of work, except the first `to`."""
        for change in reversed(self.changes[to:]):
            documents = self._documents[change.collection.key]
            doc = None if change.before is None else _decode(change.before.body)
            self._replace(change.collection, documents, change.id, change.after, change.before, doc)
        self.changes = self.changes[:to]

    def get(self, collection: Collection, id: str) -> Doc | None:
        documents = self._documents.get(collection.key)
        record = documents.records.get(id) if documents else None
        return None if record is None else _decode(record.body)

    def get_encoded(self, collection: Collection, id: str) -> bytes | None:
        documents = self._documents.get(collection.key)
        record = documents.records.get(id) if documents else None
        return None if record is None else record.body

    def has_id(self, id: str) -> bool:
        """Whether a document of any collection has this id."""
        for documents in self._documents.values():  # noqa: SIM110 - `any` takes twice as long, for every new id
            if id in documents.records:
                return True
        return False

    def find(self, collection: Collection, field: str, value: str) -> str | None:
        """The id of the document with this value of a unique field."""
        documents = self._documents.get(collection.key)
        return documents.unique[field].get(value) if documents else None

    def put(self, collection: Collection, id: str, doc: Doc, created: int, place: int | None = None) -> None:
        """Add a document or replace the one with this id. Raises `NotUnique` before any change."""
        documents = self._documents.get(collection.key)
        if documents is None:
            documents = self._documents[collection.key] = _Documents(collection.unique)
        before = documents.records.get(id)
        for field, ids in documents.unique.items():
            value = doc.get(field)
            if value is not None and ids.get(value, id) != id:
                raise NotUnique(field, value)
        if before is not None:
            after = Record(encode(doc), before.created, before.place, before.key)
            self._replace(collection, documents, id, before, after, doc)
        else:
            if place is None:
                place = self.next_place
            if place >= self.next_place:
                self.next_place = place + 1
                if not self.next_place % _CHECK_INTERVAL:
                    self._migrate_large_collections()
            after = Record(encode(doc), created, place, collection.key)
            self._insert(collection, documents, id, after, doc)
        self.changes.append(Change(collection, id, before, after))
        self.write_count += 1

    def delete(self, collection: Collection, id: str) -> bool:
        """Delete a document; whether there was one."""
        documents = self._documents.get(collection.key)
        before = documents.records.get(id) if documents else None
        if documents is None or before is None:
            return False
        self._replace(collection, documents, id, before, None, None)
        self.changes.append(Change(collection, id, before, None))
        self.write_count += 1
        return True

    def page(
        self, name: str, *, start: int | None, stop: int | None, offset: int, limit: int, descending: bool = False
    ) -> ListView:
        """The documents of a list whose numbers are in the half-open interval from `start` to `stop`.

        Documents with the same number are in the order of creation, in a descending page the newest first.
        """
        entries = self._lists.get(name)
        if entries is None:
            return ListView([])
        first = 0 if start is None else entries.position(start << _PLACE_BITS)
        last = len(entries) if stop is None else entries.position(stop << _PLACE_BITS)
        if descending:
            return ListView(entries.between(max(first, last - offset - limit), last - offset)[::-1])
        return ListView(entries.between(first + offset, min(first + offset + limit, last)))

    def list_view(self, name: str, offset: int = 0, limit: int | None = None) -> ListView:
        """The documents of a list as it is now; later changes have no effect on it."""
        entries = self._lists.get(name)
        if entries is None:
            return ListView([])
        if offset == 0 and limit is None:
            return ListView(list(entries.values()))
        last = len(entries) if limit is None else min(offset + limit, len(entries))
        return ListView(entries.between(offset, last))

    def sort_number(self, collection: Collection, doc: Doc) -> int:
        """The number that sorts a stored document in its first list."""
        record = self._documents[collection.key].records.get(doc["id"])
        assert record is not None  # it is stored
        return next(iter(collection.indexes(doc, record.created)))[1]

    def list_size(self, name: str) -> int:
        """The number of documents in a list."""
        entries = self._lists.get(name)
        return len(entries) if entries is not None else 0

    def pop_timer(self, until: int) -> Timer | None:
        """Remove and return the first timer that is due at or before a moment."""
        if self.next_due > until:
            return None
        kind = min(self._agenda, key=lambda kind: (self._agenda[kind].first, kind))
        number = self._agenda[kind].first
        id = remove_from(self._agenda, kind, number)
        assert id is not None  # it is the first
        self._update_next_due()
        return number >> _PLACE_BITS, number & ((1 << _PLACE_BITS) - 1), *kind, id

    def drop_timer(self, timer: Timer) -> None:
        """Remove a timer that a roll-back has put back."""
        at, place, event, key, _ = timer
        remove_from(self._agenda, (event, key), at << _PLACE_BITS | place)
        self._update_next_due()

    def _update_next_due(self) -> None:
        self.next_due = min((entries.first >> _PLACE_BITS for entries in self._agenda.values()), default=NEVER)

    def records(self, collection: Collection) -> Records:
        """The records of a collection by id, in no particular order."""
        documents = self._documents.get(collection.key)
        return documents.records if documents else {}

    def records_by_creation(self, collection: Collection) -> Iterator[list[Record]]:
        """The records of a collection in the order of creation, in slices; empty slices while they are sorted."""
        return sorted_in_slices(self.records(collection).values(), attrgetter("place"))

    @property
    def count(self) -> int:
        """The number of documents."""
        return sum(len(documents.records) for documents in self._documents.values())

    def dismantle(self) -> Iterator[None]:
        """Free the memory in slices, so that other requests do not wait while 100,000 documents are freed."""
        while self.active_writers:
            yield
        containers: list[Any] = [*self._agenda.values(), *self._lists.values()]
        for documents in self._documents.values():
            containers += [documents.records, *documents.unique.values()]
        self._documents, self._lists, self._agenda, self.changes = {}, {}, {}, []
        self.next_due = NEVER
        yield from free_in_slices(containers)

    def _migrate_large_collections(self) -> None:
        for documents in self._documents.values():
            if len(documents.records) > _LARGE:
                documents.prepare_copy()

    def _replace(
        self,
        collection: Collection,
        documents: _Documents,
        id: str,
        before: Record | None,
        after: Record | None,
        doc: Doc | None,
    ) -> None:
        """Replace `before` by `after`, which decodes to `doc`: in records, unique values, lists and agenda."""
        if before is None and after is not None and doc is not None:
            self._insert(collection, documents, id, after, doc)
            return
        old: Doc | None = None if before is None else _decode(before.body)
        # Before any change, because an invalid date in the document raises.
        indexes = _indexes(collection, before, old), _indexes(collection, after, doc)
        timers = _timers(collection, before, old), _timers(collection, after, doc)
        if after is None:
            del documents.records[id]
        else:
            documents.records[id] = after
        for field, ids in documents.unique.items():
            previous: str | None = old.get(field) if old else None
            value: str | None = doc.get(field) if doc else None
            if previous != value:
                if previous is not None:
                    del ids[previous]
                if value is not None:
                    ids[value] = id
        self._update_lists(*indexes, after)
        self._reschedule(*timers, id)

    def _insert(self, collection: Collection, documents: _Documents, id: str, record: Record, doc: Doc) -> None:
        """The same for a new document, faster because nothing must be removed. Most writes are of this kind."""
        indexes = collection.indexes(doc, record.created)
        timers = collection.timers(doc) if collection.timers is not None else ()
        order = record.place
        documents.records[id] = record
        for field, ids in documents.unique.items():
            value = doc.get(field)
            if value is not None:
                ids[value] = id
        for name, at in indexes:
            insert_into(self._lists, name, at << _PLACE_BITS | order, record)
        for at, event in timers:
            insert_into(self._agenda, (event, collection.key), at << _PLACE_BITS | order, id)
            self.next_due = min(self.next_due, at)

    def _update_lists(self, before: list[tuple[str, int]], after: list[tuple[str, int]], record: Record | None) -> None:
        for name, number in before:
            if (name, number) not in after:
                remove_from(self._lists, name, number)
        if record is not None:
            for name, number in after:
                insert_into(self._lists, name, number, record)

    def _reschedule(self, before: list[tuple[TimerKind, int]], after: list[tuple[TimerKind, int]], id: str) -> None:
        if before == after:
            return
        for kind, number in before:
            if (kind, number) not in after:
                remove_from(self._agenda, kind, number)  # no effect if this change comes from the timer itself
        for kind, number in after:
            if (kind, number) not in before:
                insert_into(self._agenda, kind, number, id)
        self._update_next_due()


def _indexes(collection: Collection, record: Record | None, doc: Doc | None) -> list[tuple[str, int]]:
    """The lists of a document, and its number in each."""
    if record is None or doc is None:
        return []
    return [(name, at << _PLACE_BITS | record.place) for name, at in collection.indexes(doc, record.created)]


def _timers(collection: Collection, record: Record | None, doc: Doc | None) -> list[tuple[TimerKind, int]]:
    """The timers of a document, and its number in each list of the agenda."""
    if record is None or doc is None or collection.timers is None:
        return []
    return [((event, collection.key), at << _PLACE_BITS | record.place) for at, event in collection.timers(doc)]
