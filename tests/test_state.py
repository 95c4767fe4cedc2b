"""The state of an org: each write changes all indexes at once, and can be rolled back."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from promo_sandbox.base.clock import EARLIEST, LATEST
from promo_sandbox.model.state import Collection, Doc, NotUnique, Record, State, Timer
from tests.acme import rejecting


def _indexes(doc: Doc, created: int) -> list[tuple[str, int]]:
    if doc.get("at") == "never":
        raise ValueError("never is no moment")
    at = doc.get("at", created)
    return [("all", at), *((f"shelf/{shelf}", at) for shelf in doc.get("shelves", ()))]


def _timers(doc: Doc) -> Iterable[tuple[int, str]]:
    return [(at, event) for event, at in doc.get("timers", {}).items()]


CARDS = Collection("acme.cards", ("number", "code"), _indexes, _timers)
NOTES = Collection("acme.notes", (), _indexes)


def everything(state: State, name: str = "all", **page: Any) -> list[str]:
    """The ids of a list."""
    bounds = {"start": None, "stop": None, "offset": 0, "limit": 100, **page}
    return [doc["id"] for _, doc in state.page(name, **bounds)]


def agenda(state: State, until: int = 1_000_000) -> list[tuple[int, str, str]]:
    """The timers that are due, removed from the agenda."""
    found: list[Timer] = []
    while (due := state.pop_timer(until)) is not None:
        found.append(due)
    return [(at, event, id) for at, _, event, _, id in found]


def put(state: State, id: str, created: int = 0, collection: Collection = CARDS, **members: Any) -> None:
    state.put(collection, id, {"id": id, **members}, created)


def test_a_document_is_read_with_the_numbers_that_were_stored() -> None:
    state = State()

    put(state, "a", balance=Decimal("50.00"))

    found = state.get(CARDS, "a")
    assert found is not None
    assert str(found["balance"]) == "50.00"


def test_a_read_document_is_a_copy() -> None:
    state = State()
    doc: Doc = {"id": "a", "tags": ["x"]}
    state.put(CARDS, "a", doc, 0)

    doc["tags"].append("y")
    read = state.get(CARDS, "a")
    assert read is not None
    read["tags"].append("z")

    assert state.get(CARDS, "a") == {"id": "a", "tags": ["x"]}


def test_a_document_that_was_not_stored_is_absent() -> None:
    state = State()

    assert state.get(CARDS, "a") is None
    assert state.find(CARDS, "number", "1") is None
    assert state.records(CARDS) == {}
    assert not state.delete(CARDS, "a")
    assert everything(state) == []
    assert (state.list_size("all"), state.count) == (0, 0)
    assert state.pop_timer(1_000_000) is None


def test_a_document_is_found_by_its_unique_fields() -> None:
    state = State()
    put(state, "a", number="1", code="x")
    put(state, "b", number="2")

    assert state.find(CARDS, "number", "2") == "b"
    assert state.find(CARDS, "code", "x") == "a"
    assert state.find(CARDS, "code", "1") is None


def test_a_taken_value_is_rejected_without_any_change() -> None:
    state = State()
    put(state, "a", number="1", code="x")
    put(state, "b", number="2")
    before = deepcopy(state.changes)

    with pytest.raises(NotUnique) as caught:
        put(state, "c", number="3", code="x")
    with pytest.raises(NotUnique):
        put(state, "b", number="1")

    assert (caught.value.field, caught.value.value) == ("code", "x")
    assert everything(state) == ["a", "b"]
    assert state.find(CARDS, "number", "3") is None
    assert state.find(CARDS, "number", "2") == "b"
    assert state.changes == before


def test_a_document_may_keep_release_and_swap_its_unique_values() -> None:
    state = State()
    put(state, "a", number="1")
    put(state, "a", number="1", name="again")
    put(state, "a", number="3")
    put(state, "b", number="1")

    assert state.find(CARDS, "number", "1") == "b"
    assert state.find(CARDS, "number", "3") == "a"

    put(state, "b")
    assert state.find(CARDS, "number", "1") is None


def test_a_document_whose_indexes_fail_is_rejected_without_any_change() -> None:
    state = State()
    put(state, "a", number="1", at=5)

    with pytest.raises(ValueError, match="never is no moment"):
        put(state, "b", number="2", at="never")
    with pytest.raises(ValueError, match="never is no moment"):
        put(state, "a", number="3", at="never")

    assert state.get(CARDS, "b") is None
    assert state.get(CARDS, "a") == {"id": "a", "number": "1", "at": 5}
    assert state.find(CARDS, "number", "1") == "a"
    assert state.find(CARDS, "number", "3") is None
    assert everything(state) == ["a"]


def test_a_list_is_ordered_and_ties_keep_the_order_of_creation() -> None:
    state = State()
    for id, at in (("c", 2), ("b", 1), ("a", 2), ("d", 0)):
        put(state, id, at=at)

    assert everything(state) == ["d", "b", "c", "a"]
    assert everything(state, descending=True) == ["a", "c", "b", "d"]


def test_moments_before_1970_and_far_from_it_are_sorted() -> None:
    state = State()
    moments = {"b": EARLIEST, "e": LATEST, "d": 1, "c": -1, "a": EARLIEST}
    for number, (id, at) in enumerate(moments.items()):
        state.put(CARDS, id, {"id": id, "at": at, "timers": {"expire": at}}, 0, place=1_000_000_000_000 - number)

    assert everything(state) == ["a", "b", "c", "d", "e"]
    assert everything(state, start=-1, stop=1) == ["c"]
    assert everything(state, stop=EARLIEST) == []
    assert state.next_due == EARLIEST
    assert agenda(state, -2) == [(EARLIEST, "expire", "a"), (EARLIEST, "expire", "b")]
    assert agenda(state, LATEST) == [(-1, "expire", "c"), (1, "expire", "d"), (LATEST, "expire", "e")]


def test_a_page_after_a_change_has_the_changed_document() -> None:
    state = State()
    put(state, "a", name="old", shelves=["x"])

    put(state, "a", name="new", shelves=["x"])
    changed = [doc["name"] for _, doc in state.page("shelf/x", start=None, stop=None, offset=0, limit=9)]
    state.roll_back(1)

    assert changed == ["new"]
    assert [doc["name"] for _, doc in state.list_view("shelf/x")] == ["old"]


def test_a_list_may_have_documents_of_several_collections() -> None:
    state = State()
    put(state, "a", 1)
    put(state, "a", 1, NOTES)

    assert [(key, doc["id"]) for key, doc in state.page("all", start=None, stop=None, offset=0, limit=9)] == [
        ("acme.cards", "a"),
        ("acme.notes", "a"),
    ]
    assert state.get(NOTES, "a") == {"id": "a"}


@pytest.mark.parametrize(
    ("page", "ids"),
    [
        ({}, "abcdef"),
        ({"start": 2}, "cdef"),
        ({"stop": 2}, "ab"),
        ({"start": 1, "stop": 4}, "bcd"),
        ({"start": 4, "stop": 1}, ""),
        ({"offset": 4}, "ef"),
        ({"offset": 99}, ""),
        ({"limit": 2}, "ab"),
        ({"limit": 0}, ""),
        ({"start": 1, "stop": 5, "offset": 1, "limit": 2}, "cd"),
        ({"start": 1, "stop": 5, "offset": 3, "limit": 9}, "e"),
        ({"start": 1, "stop": 5, "offset": 5, "limit": 9}, ""),
        ({"descending": True}, "fedcba"),
        ({"descending": True, "limit": 2}, "fe"),
        ({"descending": True, "offset": 1, "limit": 2}, "ed"),
        ({"descending": True, "start": 1, "stop": 5, "offset": 1, "limit": 2}, "dc"),
        ({"descending": True, "start": 1, "stop": 5, "offset": 3, "limit": 9}, "b"),
        ({"descending": True, "start": 1, "stop": 5, "offset": 4, "limit": 9}, ""),
        ({"descending": True, "start": 4, "stop": 1}, ""),
    ],
)
def test_a_page_is_a_part_of_an_interval(page: dict[str, Any], ids: str) -> None:
    state = State()
    for at, id in enumerate("abcdef"):
        put(state, id, at=at)

    assert everything(state, **page) == list(ids)


def test_a_document_moves_between_lists_as_it_changes() -> None:
    state = State()
    put(state, "a", shelves=["x", "y"], at=1)
    put(state, "b", shelves=["y"], at=2)
    put(state, "a", shelves=["y", "z"], at=3)

    assert (everything(state, "shelf/x"), everything(state, "shelf/y"), everything(state, "shelf/z")) == (
        [],
        ["b", "a"],
        ["a"],
    )
    assert [state.list_size(f"shelf/{name}") for name in "xyz"] == [0, 2, 1]


def test_a_document_that_changes_keeps_its_creation_and_place() -> None:
    state = State()
    put(state, "a", 1)
    put(state, "b", 1)

    put(state, "a", 9, name="changed")

    assert everything(state) == ["a", "b"]
    record = state.records(CARDS)["a"]
    assert (record.created, record.place) == (1, 0)
    assert state.sort_number(CARDS, {"id": "a"}) == 1


def test_a_place_can_be_given_and_the_next_comes_after_it() -> None:
    state = State()

    state.put(CARDS, "a", {"id": "a"}, 0, place=7)
    put(state, "b")
    state.put(CARDS, "c", {"id": "c"}, 0, place=3)

    assert [state.records(CARDS)[id].place for id in "abc"] == [7, 8, 3]
    assert everything(state) == ["c", "a", "b"]


def test_a_deleted_document_is_removed_from_all_indexes() -> None:
    state = State()
    put(state, "a", number="1", shelves=["x"], timers={"expire": 5})

    assert state.delete(CARDS, "a")

    assert state.get(CARDS, "a") is None
    assert state.find(CARDS, "number", "1") is None
    assert everything(state) == everything(state, "shelf/x") == []
    assert agenda(state) == []
    assert state.count == 0
    put(state, "b", number="1")
    assert state.find(CARDS, "number", "1") == "b"


def test_timers_are_taken_in_the_order_of_time_and_of_creation() -> None:
    state = State()
    put(state, "c", timers={"expire": 5, "start": 2})
    put(state, "b", timers={"expire": 5})
    put(state, "a", timers={"expire": 9})

    assert agenda(state, 1) == []
    assert agenda(state, 5) == [(2, "start", "c"), (5, "expire", "c"), (5, "expire", "b")]
    assert agenda(state, 8) == []
    assert agenda(state, 9) == [(9, "expire", "a")]


def test_the_agenda_follows_the_documents() -> None:
    state = State()
    put(state, "a", timers={"expire": 5, "start": 2})
    put(state, "b", timers={"expire": 6})

    put(state, "a", timers={"expire": 7})
    put(state, "b")

    assert agenda(state) == [(7, "expire", "a")]


def test_a_timer_does_not_happen_again_when_its_document_changes() -> None:
    state = State()
    put(state, "a", timers={"start": 2, "expire": 5})
    assert agenda(state, 3) == [(2, "start", "a")]

    put(state, "a", timers={"start": 2, "expire": 6})

    assert agenda(state) == [(6, "expire", "a")]


def test_the_moment_of_the_next_timer_is_known() -> None:
    state = State()
    assert state.next_due > 1 << 70

    put(state, "a", timers={"expire": 5})
    put(state, "b", timers={"expire": 3})
    assert state.next_due == 3

    state.delete(CARDS, "b")
    assert state.next_due == 5

    state.roll_back()
    assert state.next_due > 1 << 70


def test_a_timer_that_a_roll_back_put_back_can_be_dropped() -> None:
    state = State()
    put(state, "a", timers={"expire": 5})
    put(state, "b", timers={"expire": 6})
    due = state.pop_timer(5)
    assert due is not None
    state.begin()
    put(state, "a")
    state.roll_back()

    state.drop_timer(due)

    assert state.next_due == 6
    assert agenda(state) == [(6, "expire", "b")]


def test_a_roll_back_undoes_the_unit_of_work_only() -> None:
    state = State()
    put(state, "a", number="1", shelves=["x"], timers={"expire": 5})
    put(state, "b", number="2")
    state.begin()
    put(state, "a", number="3")
    put(state, "c", number="1", shelves=["x"], timers={"expire": 1})
    put(state, "c", number="4")
    state.delete(CARDS, "b")
    put(state, "b", number="5")

    state.roll_back()

    assert state.get(CARDS, "a") == {"id": "a", "number": "1", "shelves": ["x"], "timers": {"expire": 5}}
    assert state.get(CARDS, "c") is None
    assert [state.find(CARDS, "number", number) for number in "12345"] == ["a", "b", None, None, None]
    assert everything(state) == ["a", "b"]
    assert everything(state, "shelf/x") == ["a"]
    assert agenda(state) == [(5, "expire", "a")]
    assert state.changes == []


def test_a_roll_back_to_a_savepoint_undoes_later_changes_only() -> None:
    state = State()
    put(state, "a", number="1")
    state.begin()
    put(state, "a", number="2", shelves=["x"], timers={"expire": 5})
    put(state, "b", number="1")
    savepoint = len(state.changes)
    put(state, "b", number="3", timers={"expire": 1})
    put(state, "c", number="1", shelves=["x"])
    state.delete(CARDS, "a")

    state.roll_back(savepoint)

    assert [state.find(CARDS, "number", number) for number in "123"] == ["b", "a", None]
    assert everything(state) == ["a", "b"]
    assert everything(state, "shelf/x") == ["a"]
    assert [(change.id, change.before is None) for change in state.changes] == [("a", False), ("b", True)]
    assert state.next_due == 5
    state.roll_back()
    assert state.get(CARDS, "a") == {"id": "a", "number": "1"}
    assert everything(state) == ["a"]
    assert (state.changes, agenda(state)) == ([], [])


def test_a_roll_back_without_later_changes_undoes_nothing() -> None:
    state = State()
    put(state, "a")

    state.roll_back(len(state.changes))

    assert everything(state) == ["a"]
    assert len(state.changes) == 1


def test_armed_effects_are_taken_in_order_once_and_by_their_operation() -> None:
    state = State()
    state.arm("addThing", [rejecting("code-taken"), rejecting("code-taken")])
    state.arm("getThing", [rejecting("unknown-thing")])
    state.arm("addThing", [rejecting("invalid-request")])

    met = [state.take_armed("addThing") for _ in range(4)]

    assert met == [rejecting("code-taken"), rejecting("code-taken"), rejecting("invalid-request"), None]
    assert state.armed == {"getThing": [rejecting("unknown-thing")]}
    assert state.take_armed("getThing") == rejecting("unknown-thing")
    assert (state.take_armed("getThing"), state.armed) == (None, {})


def test_nothing_is_armed_by_default() -> None:
    state = State()

    assert state.armed is None
    assert state.take_armed("addThing") is None


def test_a_roll_back_does_not_change_armed_effects() -> None:
    state = State()
    state.arm("addThing", [rejecting("code-taken"), rejecting("invalid-request")])
    state.begin()
    state.take_armed("addThing")

    state.roll_back()

    assert state.armed == {"addThing": [rejecting("invalid-request")]}


def test_a_change_cannot_be_changed() -> None:
    state = State()
    put(state, "a")

    with pytest.raises(AttributeError):
        state.changes[0].id = "b"  # type: ignore[misc]  # which is the point


def test_a_change_has_the_document_before_and_after() -> None:
    state = State()
    put(state, "a", n=1)
    state.begin()
    put(state, "a", n=2)
    put(state, "b", collection=NOTES)
    state.delete(CARDS, "a")

    recorded = [(change.collection.key, change.id, change.before, change.after) for change in state.changes]

    first, second = (Record(body, 0, 0, "acme.cards") for body in (b'{"id":"a","n":1}', b'{"id":"a","n":2}'))
    assert recorded == [
        ("acme.cards", "a", first, second),
        ("acme.notes", "b", None, Record(b'{"id":"b"}', 0, 1, "acme.notes")),
        ("acme.cards", "a", second, None),
    ]


def test_a_copy_is_equal_and_independent() -> None:
    state = State()
    for number in range(5000):  # enough for lists of lists
        put(state, f"{number:04}", number % 7, number=str(number), shelves=["x"], timers={"expire": number})
    state.arm("redeem", [rejecting("too-late"), rejecting("too-early")])
    state.sequence = 7

    copy = state.copy()
    state.delete(CARDS, "0000")
    put(state, "new", number="new")
    state.take_armed("redeem")
    state.sequence = 8

    assert copy.count == 5000
    assert everything(copy, limit=9000)[:3] == ["0000", "0007", "0014"]
    assert everything(copy, "shelf/x", offset=4998) == ["4990", "4997"]
    assert copy.find(CARDS, "number", "0") == "0000"
    assert (copy.get(CARDS, "new"), copy.sequence, copy.next_place, copy.next_due) == (None, 7, 5000, 0)
    assert copy.armed == {"redeem": [rejecting("too-late"), rejecting("too-early")]}
    put(copy, "late", 3, number="new", timers={"expire": 2})
    assert agenda(copy, 2) == [
        (0, "expire", "0000"),
        (1, "expire", "0001"),
        (2, "expire", "0002"),
        (2, "expire", "late"),
    ]
    assert state.find(CARDS, "number", "new") == "new"
    assert agenda(state, 0) == []


def test_a_state_is_dismantled_in_slices() -> None:
    state = State()
    for number in range(1200):
        put(state, str(number), number=str(number), timers={"expire": number})

    slices = sum(1 for _ in state.dismantle())

    assert slices > 10
    assert state.count == 0
    assert everything(state) == []
    assert agenda(state) == []


def test_large_collections_are_migrated_step_by_step() -> None:
    """A copy-on-write map is slower than a dict, but a very large dict takes long to grow."""
    state, kinds = State(), []
    with patch("promo_sandbox.model.state._LARGE", 1000):
        for number in range(4000):
            put(state, str(number), number=str(number))
            kinds.append(type(state.records(CARDS)).__name__)

    assert (kinds[1000], kinds[1100], kinds[-1]) == ("dict", "MigratingMap", "CopyOnWriteMap")
    assert [state.find(CARDS, "number", str(number)) for number in range(4000)] == [str(n) for n in range(4000)]


def test_an_empty_state_is_dismantled_too() -> None:
    assert list(State().dismantle()) == []


_IDS = st.sampled_from("abcde")
_DOCS = st.fixed_dictionaries(
    {},
    optional={
        "number": st.sampled_from("123"),
        "code": st.sampled_from("xy"),
        "at": st.integers(0, 5),
        "shelves": st.lists(st.sampled_from("xy"), unique=True, max_size=2),
        "timers": st.dictionaries(st.sampled_from(["expire", "start"]), st.integers(0, 5), max_size=2),
    },
)


@dataclass
class Model:
    """A simple model of a state: a list of documents in the order of creation, searched and sorted each time."""

    docs: list[dict[str, Any]] = field(default_factory=list)
    happened: set[tuple[int, str, str]] = field(default_factory=set)

    def taken(self, id: str, doc: Doc) -> bool:
        others = [other for other in self.docs if other["id"] != id]
        return any(member in doc and doc[member] == other.get(member) for member in CARDS.unique for other in others)

    def put(self, doc: Doc) -> None:
        at = next((at for at, other in enumerate(self.docs) if other["id"] == doc["id"]), None)
        if at is None:
            self.docs.append(doc)
            gone = set()
        else:
            gone = self.timers(self.docs[at]) - self.timers(doc)
            self.docs[at] = doc
        self.happened -= gone

    def delete(self, id: str) -> None:
        self.happened = {entry for entry in self.happened if entry[2] != id}
        self.docs = [doc for doc in self.docs if doc["id"] != id]

    def listed(self, name: str, descending: bool) -> list[str]:
        chosen = [doc for doc in self.docs if name == "all" or name.removeprefix("shelf/") in doc.get("shelves", ())]
        found = [doc["id"] for doc in sorted(chosen, key=lambda doc: int(doc.get("at", 3)))]
        return found[::-1] if descending else found

    @staticmethod
    def timers(doc: Doc) -> set[tuple[int, str, str]]:
        return {(at, event, doc["id"]) for event, at in doc.get("timers", {}).items()}

    def due(self, until: int) -> list[tuple[int, int, str, str]]:
        entries = [
            (at, order, event, id)
            for order, doc in enumerate(self.docs)
            for at, event, id in self.timers(doc) - self.happened
        ]
        return sorted(entry for entry in entries if entry[0] <= until)


class StateMachine(RuleBasedStateMachine):
    """Random writes, units of work and roll-backs, applied to a state and to its model."""

    @initialize()
    def start(self) -> None:
        self.state, self.model = State(), Model()
        self.kept = deepcopy(self.model)
        self.saved = 0, deepcopy(self.model)

    @rule(id=_IDS, doc=_DOCS)
    def put(self, id: str, doc: Doc) -> None:
        whole = {"id": id, **doc}
        if self.model.taken(id, whole):
            with pytest.raises(NotUnique):
                self.state.put(CARDS, id, whole, 3)
        else:
            self.state.put(CARDS, id, whole, 3)
            self.model.put(whole)

    @rule(id=_IDS)
    def delete(self, id: str) -> None:
        assert self.state.delete(CARDS, id) == any(doc["id"] == id for doc in self.model.docs)
        self.model.delete(id)

    @rule(until=st.integers(0, 5))
    def pass_time(self, until: int) -> None:
        # Each entry is a unit of work of its own, as the orgs have it: what it takes is not rolled back.
        self.begin()
        expected = self.model.due(until)
        assert agenda(self.state, until) == [(at, event, id) for at, _, event, id in expected]
        self.model.happened |= {(at, event, id) for at, _, event, id in expected}
        self.begin()

    @rule()
    def begin(self) -> None:
        self.state.begin()
        self.kept = deepcopy(self.model)
        self.save()

    @rule()
    def go_on_with_a_copy(self) -> None:
        self.begin()
        self.state = self.state.copy()

    @rule()
    def get_ready_for_a_copy(self) -> None:
        with patch("promo_sandbox.model.copy_on_write._SLICE", 1):
            self.state.prepare_copy()

    @rule()
    def save(self) -> None:
        self.saved = len(self.state.changes), deepcopy(self.model)

    @rule()
    def roll_back(self) -> None:
        self.model = self.back_to(self.kept)
        self.state.roll_back()
        self.kept = deepcopy(self.model)
        self.save()

    @rule()
    def roll_back_to_what_was_saved(self) -> None:
        place, model = self.saved
        self.model = self.back_to(model)
        self.kept.happened &= self.model.happened  # what may fall due again may do so after a whole roll-back too
        self.state.roll_back(place)
        self.save()

    def back_to(self, earlier: Model) -> Model:
        """A timer of a document that was changed and changed back may become due again; see `drop_timer`."""
        again = {entry for entry in earlier.happened if entry not in self.model.happened}
        model = deepcopy(earlier)
        model.happened -= again
        return model

    @invariant()
    def documents_are_those_of_the_model(self) -> None:
        records = self.state.records(CARDS)
        in_order = sorted(records, key=lambda id: records[id].place)
        assert [self.state.get(CARDS, id) for id in in_order] == self.model.docs
        assert self.state.count == len(self.model.docs)

    @invariant()
    def lists_are_those_of_the_model(self) -> None:
        for name in ("all", "shelf/x", "shelf/y"):
            assert everything(self.state, name) == self.model.listed(name, descending=False)
            assert everything(self.state, name, descending=True) == self.model.listed(name, descending=True)
            assert self.state.list_size(name) == len(self.model.listed(name, descending=False))

    @invariant()
    def unique_members_are_those_of_the_model(self) -> None:
        for member, values in (("number", "123"), ("code", "xy")):
            for value in values:
                ids = [doc["id"] for doc in self.model.docs if doc.get(member) == value]
                assert self.state.find(CARDS, member, value) == (ids[0] if ids else None)

    @invariant()
    def the_next_entry_is_that_of_the_model(self) -> None:
        due = self.model.due(5)
        assert self.state.next_due == due[0][0] if due else self.state.next_due > 1 << 70


TestStateAgainstItsModel = StateMachine.TestCase
TestStateAgainstItsModel.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
