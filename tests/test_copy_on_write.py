"""The copy-on-write map behaves as a dict, and its copies are independent and take little memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import MutableMapping
from unittest.mock import patch

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from promo_sandbox.model.copy_on_write import BUCKET_SIZE, CopyOnWriteMap, free_in_slices, migrated_some

KEYS = st.integers(0, 60).map(str)


def filled(size: int) -> CopyOnWriteMap[int]:
    table: CopyOnWriteMap[int] = CopyOnWriteMap()
    for number in range(size):
        table[str(number)] = number
    return table


def test_many_entries_are_found_and_removed() -> None:
    table = filled(20 * BUCKET_SIZE)

    for number in range(0, 20 * BUCKET_SIZE, 2):
        del table[str(number)]

    assert table == {str(number): number for number in range(1, 20 * BUCKET_SIZE, 2)}
    assert table.get("0") is None
    assert table.get("0", -1) == -1
    assert table["1"] == 1


def test_a_dict_is_migrated_while_others_write() -> None:
    entries: MutableMapping[str, int] = {str(number): number for number in range(10 * BUCKET_SIZE)}
    model, number = dict(entries), 0

    while not isinstance(entries := migrated_some(entries), CopyOnWriteMap):
        for key in (str(number), str(number + 20 * BUCKET_SIZE)):  # one that is in either place, and a new one
            entries[key] = model[key] = -number
            assert entries[key] == -number
        del entries[str(number + 1)], model[str(number + 1)]
        assert str(number + 1) not in entries
        assert entries.get(str(number + 1), 7) == 7
        assert (len(entries), dict(entries)) == (len(model), model)
        number += 2

    assert number > 2
    assert entries == model
    assert migrated_some(entries) is entries


def test_a_map_that_is_being_migrated_can_be_freed() -> None:
    half: MutableMapping[str, int] = migrated_some({str(number): number for number in range(10 * BUCKET_SIZE)})

    slices = sum(1 for _ in free_in_slices([half, {str(number): number for number in range(10 * BUCKET_SIZE)}]))

    assert slices > 10
    assert len(half) == 0


def test_keys_with_the_same_hash_are_different_entries() -> None:
    with (
        patch("promo_sandbox.model.copy_on_write.BUCKET_SIZE", 1),
        patch("promo_sandbox.model.copy_on_write._MAX_DEPTH", 3),
    ):
        table = filled(200)

    assert table == {str(number): number for number in range(200)}


def test_a_copy_costs_what_changes_after_it() -> None:
    table = filled(100 * BUCKET_SIZE)
    tracemalloc.start()
    try:
        copies = []
        for number in range(100):
            copies.append(table.copy())
            table[str(number)] = -1
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert [copy[str(number)] for number, copy in enumerate(copies)] == list(range(100))
    assert used / 100 < 20_000  # bytes, where a copy of all takes 900,000


def test_dropping_counts_the_entries_that_it_frees() -> None:
    table = filled(10 * BUCKET_SIZE)
    copy = table.copy()

    def all_freed(of: CopyOnWriteMap[int]) -> int:
        freed = 0
        while (count := of.drop_some()) is not None:
            freed += count
        return freed

    assert all_freed(copy) == 0
    assert all_freed(table) == 10 * BUCKET_SIZE


class TableMachine(RuleBasedStateMachine):
    """Random changes, applied to maps that are copies of each other and to dicts."""

    def __init__(self) -> None:
        super().__init__()
        self._small = patch("promo_sandbox.model.copy_on_write.BUCKET_SIZE", 3)
        self._small.start()
        self.pairs: list[tuple[CopyOnWriteMap[int], dict[str, int]]] = [(CopyOnWriteMap(), {})]

    @rule(which=st.integers(0, 5), key=KEYS, value=st.integers())
    def put(self, which: int, key: str, value: int) -> None:
        table, model = self.pairs[which % len(self.pairs)]
        table[key] = model[key] = value

    @rule(which=st.integers(0, 5), key=KEYS)
    def take_out(self, which: int, key: str) -> None:
        table, model = self.pairs[which % len(self.pairs)]
        assert table.pop(key, None) == model.pop(key, None)

    @rule(which=st.integers(0, 5))
    def copy(self, which: int) -> None:
        table, model = self.pairs[which % len(self.pairs)]
        self.pairs = [*self.pairs[-4:], (table.copy(), model.copy())]

    @rule(which=st.integers(0, 5))
    def forget(self, which: int) -> None:
        if len(self.pairs) > 1:
            table, _ = self.pairs.pop(which % len(self.pairs))
            while table.drop_some() is not None:
                pass

    @invariant()
    def all_are_as_their_models(self) -> None:
        for table, model in self.pairs:
            assert dict(table.items()) == model
            assert len(table) == len(model)
            assert "absent" not in table
            assert all(key in table for key in model)
            assert sorted(table) == sorted(model)

    def teardown(self) -> None:
        self._small.stop()


TestTableAgainstADict = TableMachine.TestCase
TestTableAgainstADict.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
