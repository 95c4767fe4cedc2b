"""What an org stores: documents as JSON bytes, their order in lists, their unique members, and what falls due.

Documents are values: reading decodes a fresh copy, writing replaces. Every write is noted, so a rule that fails is
rolled back and the journal can tell before from after. Knows nothing of what the documents mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, MutableMapping
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec

from promo_sandbox.base.messages import decode_trusted as _decode
from promo_sandbox.base.messages import encode
from promo_sandbox.model.copy_on_write import Table, emptied, in_table, poured
from promo_sandbox.model.effects import Effects
from promo_sandbox.model.list_view import Listed
from promo_sandbox.model.sorted_index import SortedIndex, in_order, put_in, take_out

Doc = dict[str, Any]
# Where a document stands: in which lists, at which moment (or other number) in each.
Indexes = Callable[[Doc, int], Iterable[tuple[str, int]]]
# What falls due with a document: moment and event.
Timers = Callable[[Doc], Iterable[tuple[int, str]]]

NEVER = 1 << 80
_MANY = 500_000  # documents of a collection, above which they move into tables: a larger dictionary takes 50 ms to grow
_LOOK = 256  # so often, in places, it is looked whether they are so many, and some of them moved
_BITS = 40  # of a number in a list or in the agenda that say the place in the order of creation; the others, the moment


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
    indexes: Indexes
    timers: Timers | None = None
    prepare: Callable[[Doc, Any], None] | None = None  # fills in what a seeded document leaves out
    seeded: Callable[[Any, Doc], Iterator[None] | None] | None = None  # runs when a document was seeded, in steps


class Record(msgspec.Struct, frozen=True, gc=False):
    """A stored document: its body, when it was created, its place in the order of creation over all collections."""

    body: bytes
    created: int
    place: int
    key: str  # of its collection


# An entry of the agenda: moment, place, event, key of the collection, id.
Timer = tuple[int, int, str, str, str]
Kind = tuple[str, str]  # of entries of the agenda: event, key of the collection


class Change(msgspec.Struct, frozen=True, gc=False):
    """One write: what a document was and what it became; None is absent."""

    collection: Collection
    id: str
    before: Record | None
    after: Record | None


Records = MutableMapping[str, Record]
Holders = MutableMapping[str, str]


class _Documents:
    """Those of a collection. They stand in dictionaries until they are copied: a table can be shared, but is slower."""

    __slots__ = ("records", "unique")

    def __init__(self, unique: tuple[str, ...]) -> None:
        self.records: Records = {}
        self.unique: dict[str, Holders] = {member: {} for member in unique}

    def pour(self) -> bool:
        """Move some entries from dictionaries into tables; whether there are more."""
        self.records = poured(self.records)
        self.unique = {member: poured(holders) for member, holders in self.unique.items()}
        return not all(isinstance(entries, Table) for entries in (self.records, *self.unique.values()))

    def copy(self) -> _Documents:
        while self.pour():
            pass
        copied = _Documents(())
        copied.records = in_table(self.records).copy()
        copied.unique = {member: in_table(holders).copy() for member, holders in self.unique.items()}
        return copied


class State:
    """The documents of one org. `begin` a unit of work, then write, then keep it or `roll_back`."""

    __slots__ = (
        "_agenda", "_documents", "_lists", "armed", "changes", "due_at", "place", "sequence", "writers", "writes",
    )  # fmt: skip

    def __init__(self) -> None:
        self._documents: dict[str, _Documents] = {}
        self._lists: dict[str, SortedIndex[Record]] = {}
        self._agenda: dict[Kind, SortedIndex[str]] = {}  # ids
        self.due_at = NEVER  # when the first entry of the agenda falls due
        self.changes: list[Change] = []
        self.sequence = 0  # ids given out; never taken back, so that no id is ever used again
        self.place = 0
        self.writes = 0  # so far; by which somebody can tell that others wrote meanwhile
        self.writers = 0  # requests that write in steps: whoever copies or frees the state waits for them
        self.armed: dict[str, list[Effects]] | None = None  # operationId -> what its next calls meet

    def arm(self, operation_id: str, thens: list[Effects]) -> None:
        self.armed = self.armed or {}
        self.armed.setdefault(operation_id, []).extend(thens)

    @property
    def armed_count(self) -> int:  # calls and events that are yet to meet what is armed
        return sum(map(len, self.armed.values())) if self.armed else 0

    def disarm(self, operation_id: str, *, on_the_wire: bool = True) -> Effects | None:
        """What this call of an operation is to meet, if something was armed; each is met once.

        A call that is not on the wire, as one operation asks another, can only be refused: the rest waits for a client.
        """
        waiting = self.armed.get(operation_id) if self.armed else None
        if self.armed is None or not waiting or not (on_the_wire or waiting[0].reject):
            return None
        then = waiting.pop(0)
        if not waiting:
            del self.armed[operation_id]
        return then

    def pour(self) -> bool:
        """Make a copy quick that is about to be made: move some documents into tables; whether there are more."""
        return any(documents.pour() for documents in self._documents.values())

    def copy(self) -> State:
        """The same documents, order, agenda, ids and what is armed. What neither changes afterwards, both share."""
        copied = State()
        copied._documents = {key: documents.copy() for key, documents in self._documents.items()}
        copied._lists = {name: entries.copy() for name, entries in self._lists.items()}
        copied._agenda = {kind: entries.copy() for kind, entries in self._agenda.items()}
        copied.due_at, copied.sequence, copied.place = self.due_at, self.sequence, self.place
        if self.armed is not None:
            copied.armed = {operation_id: names.copy() for operation_id, names in self.armed.items()}
        return copied

    def begin(self) -> None:
        self.changes = []

    def roll_back(self, to: int = 0) -> None:
        """Undo the changes of this unit of work, or those after the first `to`."""
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

    def has(self, id: str) -> bool:
        """Whether a document of any collection has this id."""
        for documents in self._documents.values():  # noqa: SIM110 - `any` takes twice as long, for every new id
            if id in documents.records:
                return True
        return False

    def find(self, collection: Collection, member: str, value: str) -> str | None:
        """The id of the document whose unique `member` has the value."""
        documents = self._documents.get(collection.key)
        return documents.unique[member].get(value) if documents else None

    def put(self, collection: Collection, id: str, doc: Doc, created: int, place: int | None = None) -> None:
        """Add a document or replace the one with this id. Raises `NotUnique`, and then nothing has changed."""
        documents = self._documents.get(collection.key)
        if documents is None:
            documents = self._documents[collection.key] = _Documents(collection.unique)
        before = documents.records.get(id)
        for member, holders in documents.unique.items():
            value = doc.get(member)
            if value is not None and holders.get(value, id) != id:
                raise NotUnique(member, value)
        if before is not None:
            after = Record(encode(doc), before.created, before.place, before.key)
            self._replace(collection, documents, id, before, after, doc)
        else:
            if place is None:
                place = self.place
            if place >= self.place:
                self.place = place + 1
                if not self.place % _LOOK:
                    self._look_at_sizes()
            after = Record(encode(doc), created, place, collection.key)
            self._insert(collection, documents, id, after, doc)
        self.changes.append(Change(collection, id, before, after))
        self.writes += 1

    def delete(self, collection: Collection, id: str) -> bool:
        """Whether there was such a document."""
        documents = self._documents.get(collection.key)
        before = documents.records.get(id) if documents else None
        if documents is None or before is None:
            return False
        self._replace(collection, documents, id, before, None, None)
        self.changes.append(Change(collection, id, before, None))
        self.writes += 1
        return True

    def page(
        self, name: str, *, start: int | None, stop: int | None, offset: int, limit: int, descending: bool = False
    ) -> Listed:
        """Documents of a list with their collection's key, in the half-open interval from `start` to `stop`.

        Ties keep the order of creation, in a descending list the newest first.
        """
        entries = self._lists.get(name)
        if entries is None:
            return Listed([])
        first = 0 if start is None else entries.position(start << _BITS)
        last = len(entries) if stop is None else entries.position(stop << _BITS)
        if descending:
            return Listed(entries.between(max(first, last - offset - limit), last - offset)[::-1])
        return Listed(entries.between(first + offset, min(first + offset + limit, last)))

    def listed(self, name: str, offset: int = 0, limit: int | None = None) -> Listed:
        """The documents of a list as it is now; what changes meanwhile is not seen."""
        entries = self._lists.get(name)
        if entries is None:
            return Listed([])
        if offset == 0 and limit is None:
            return Listed(list(entries.values()))
        last = len(entries) if limit is None else min(offset + limit, len(entries))
        return Listed(entries.between(offset, last))

    def place_of(self, collection: Collection, doc: Doc) -> int:
        """The number by which a stored document is ordered in its first list."""
        record = self._documents[collection.key].records.get(doc["id"])
        assert record is not None  # it is stored
        return next(iter(collection.indexes(doc, record.created)))[1]

    def size(self, name: str) -> int:
        """How many documents a list has."""
        entries = self._lists.get(name)
        return len(entries) if entries is not None else 0

    def next_timer(self, until: int) -> Timer | None:
        """Take the next entry of the agenda that falls due at or before a moment."""
        if self.due_at > until:
            return None
        kind = min(self._agenda, key=lambda kind: (self._agenda[kind].first, kind))
        number = self._agenda[kind].first
        id = take_out(self._agenda, kind, number)
        assert id is not None  # it is the first
        self._look_ahead()
        return number >> _BITS, number & ((1 << _BITS) - 1), *kind, id

    def drop_timer(self, due: Timer) -> None:
        """Take an entry out of the agenda for good, where a roll-back has put it back."""
        at, place, event, key, _ = due
        take_out(self._agenda, (event, key), at << _BITS | place)
        self._look_ahead()

    def _look_ahead(self) -> None:
        self.due_at = min((entries.first >> _BITS for entries in self._agenda.values()), default=NEVER)

    def records(self, collection: Collection) -> Records:
        """The records of a collection by id, in no particular order."""
        documents = self._documents.get(collection.key)
        return documents.records if documents else {}

    def in_order(self, collection: Collection) -> Iterator[list[Record]]:
        """The records of a collection in the order of creation, some at a time; none of them while they are sorted."""
        return in_order(self.records(collection).values(), attrgetter("place"))

    @property
    def count(self) -> int:
        """How many documents are stored."""
        return sum(len(documents.records) for documents in self._documents.values())

    def dismantle(self) -> Iterator[None]:
        """Free the memory in slices, so that forgetting 100,000 documents stalls nobody."""
        while self.writers:
            yield
        containers: list[Any] = [*self._agenda.values(), *self._lists.values()]
        for documents in self._documents.values():
            containers += [documents.records, *documents.unique.values()]
        self._documents, self._lists, self._agenda, self.changes = {}, {}, {}, []
        self.due_at = NEVER
        yield from emptied(containers)

    def _look_at_sizes(self) -> None:
        """A very large dictionary would take long to grow."""
        for documents in self._documents.values():
            if len(documents.records) > _MANY:
                documents.pour()

    def _replace(
        self,
        collection: Collection,
        documents: _Documents,
        id: str,
        before: Record | None,
        after: Record | None,
        doc: Doc | None,
    ) -> None:
        """Put `after`, which decodes to `doc`, in the place of `before`, in records, indexes, lists and agenda."""
        if before is None and after is not None and doc is not None:
            self._insert(collection, documents, id, after, doc)
            return
        old: Doc | None = None if before is None else _decode(before.body)
        # Before anything changes, because a date in the document that is none raises.
        indexes = _indexes(collection, before, old), _indexes(collection, after, doc)
        timers = _timers(collection, before, old), _timers(collection, after, doc)
        if after is None:
            del documents.records[id]
        else:
            documents.records[id] = after
        for member, holders in documents.unique.items():
            was: str | None = old.get(member) if old else None
            now: str | None = doc.get(member) if doc else None
            if was != now:
                if was is not None:
                    del holders[was]
                if now is not None:
                    holders[now] = id
        self._move(*indexes, after)
        self._reschedule(*timers, id)

    def _insert(self, collection: Collection, documents: _Documents, id: str, record: Record, doc: Doc) -> None:
        """The same for a new document, which most are: nothing is taken out, so everything is put in, in one pass."""
        indexes = collection.indexes(doc, record.created)
        timers = collection.timers(doc) if collection.timers is not None else ()
        order = record.place
        documents.records[id] = record
        for member, holders in documents.unique.items():
            value = doc.get(member)
            if value is not None:
                holders[value] = id
        for name, at in indexes:
            put_in(self._lists, name, at << _BITS | order, record)
        for at, event in timers:
            put_in(self._agenda, (event, collection.key), at << _BITS | order, id)
            self.due_at = min(self.due_at, at)

    def _move(self, was: list[tuple[str, int]], now: list[tuple[str, int]], record: Record | None) -> None:
        for name, number in was:
            if (name, number) not in now:
                take_out(self._lists, name, number)
        if record is not None:
            for name, number in now:
                put_in(self._lists, name, number, record)

    def _reschedule(self, was: list[tuple[Kind, int]], now: list[tuple[Kind, int]], id: str) -> None:
        if was == now:
            return
        for kind, number in was:
            if (kind, number) not in now:
                take_out(self._agenda, kind, number)  # it is gone already when the change is what it brought about
        for kind, number in now:
            if (kind, number) not in was:
                put_in(self._agenda, kind, number, id)
        self._look_ahead()


def _indexes(collection: Collection, record: Record | None, doc: Doc | None) -> list[tuple[str, int]]:
    """The lists that a document stands in, and its number in each."""
    if record is None or doc is None:
        return []
    return [(name, at << _BITS | record.place) for name, at in collection.indexes(doc, record.created)]


def _timers(collection: Collection, record: Record | None, doc: Doc | None) -> list[tuple[Kind, int]]:
    """What falls due with a document, and its number in the agenda."""
    if record is None or doc is None or collection.timers is None:
        return []
    return [((event, collection.key), at << _BITS | record.place) for at, event in collection.timers(doc)]
