"""The sorted index returns what a sorted list would, by key and by position, after any changes."""

from __future__ import annotations

from itertools import pairwise
from typing import Any
from unittest.mock import patch

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from promo_sandbox.model.sorted_index import CHUNK, SortedIndex

FEW = st.integers(-20, 20)
# Some differ in their lower bits only, some in the others, and some have more bits than two machine integers.
KEYS = FEW | st.builds(lambda high, low, far: (high << far) + low, FEW, FEW, st.sampled_from([63, 121, 122, 300]))


def filled(keys: list[int]) -> SortedIndex[str]:
    entries: SortedIndex[str] = SortedIndex()
    for key in keys:
        entries.put(key, str(key))
    return entries


def is_sound(entries: SortedIndex[Any]) -> bool:
    """No chunk is empty or too long, each has as many values as keys, and the last keys are correct."""
    chunks = entries._chunks  # noqa: SLF001 - it has no public name
    keys = [[chunk.keys[place] for place in range(len(chunk.keys))] for chunk in chunks]
    return (
        all(0 < len(chunk) < 2 * CHUNK for chunk in keys)
        and all(len(chunk.keys) == len(chunk.values) for chunk in chunks)
        and entries._last == [chunk[-1] for chunk in keys]  # noqa: SLF001 - the same
        and all(one < other for one, other in pairwise(key for chunk in keys for key in chunk))
    )


def test_entries_that_are_added_in_any_order_are_sorted() -> None:
    keys = [number * 7919 % (8 * CHUNK) - 3 * CHUNK for number in range(8 * CHUNK)]

    entries = filled(keys)

    assert list(entries.values()) == list(map(str, sorted(keys)))
    assert (len(entries), entries.first) == (8 * CHUNK, -3 * CHUNK)
    assert is_sound(entries)


def test_full_chunks_are_packed_unless_a_key_is_huge() -> None:
    small, huge = filled(list(range(3 * CHUNK))), filled([number << 200 for number in range(3 * CHUNK)])

    assert [isinstance(chunk.keys, list) for chunk in small._chunks] == [False, False, True]  # noqa: SLF001 - the same
    assert all(isinstance(chunk.keys, list) for chunk in huge._chunks)  # noqa: SLF001 - the same
    assert is_sound(huge)


def test_an_unpacked_chunk_may_be_removed() -> None:
    with patch.multiple("promo_sandbox.model.sorted_index", CHUNK=4, _UNPACK_AFTER=2):
        entries = filled(list(range(0, 160, 10)))
        for key in (41, 42):
            entries.put(key, str(key))
        for key in (40, 41, 42, 50, 60, 70):
            entries.pop(key)

        for key in (81, 82):
            entries.put(key, str(key))

    assert list(entries.values()) == list(map(str, [0, 10, 20, 30, 80, 81, 82, *range(90, 160, 10)]))
    assert is_sound(entries)


def test_a_slice_may_span_chunks() -> None:
    entries = filled(list(range(4 * CHUNK)))

    assert entries.between(CHUNK - 2, 3 * CHUNK + 2) == list(map(str, range(CHUNK - 2, 3 * CHUNK + 2)))
    assert entries.between(4 * CHUNK - 1, 9 * CHUNK) == [str(4 * CHUNK - 1)]
    assert entries.between(4 * CHUNK, 9 * CHUNK) == []
    assert entries.between(5, 5) == entries.between(7, 5) == entries.between(0, -1) == []
    assert entries.between(-5, 2) == ["0", "1"]


def test_empty_chunks_are_removed() -> None:
    entries = filled(list(range(3 * CHUNK)))

    taken = [entries.pop(key) for key in range(CHUNK // 2, 5 * CHUNK // 2)]

    assert taken == list(map(str, range(CHUNK // 2, 5 * CHUNK // 2)))
    assert is_sound(entries)
    assert entries.position(2 * CHUNK) == CHUNK // 2
    assert len(entries) == CHUNK


def test_a_copy_is_independent() -> None:
    entries = filled(list(range(3 * CHUNK)))

    copy = entries.copy()
    copy.pop(CHUNK)
    copy.put(0, "other")
    entries.pop(5)

    assert (len(copy), copy.between(0, 1), copy.position(6)) == (3 * CHUNK - 1, ["other"], 6)
    assert (len(entries), entries.between(0, 1), entries.position(6)) == (3 * CHUNK - 1, ["0"], 5)
    assert is_sound(copy)
    assert is_sound(entries)


def test_dropping_ends_with_an_empty_index() -> None:
    entries = filled(list(range(3 * CHUNK)))

    freed = 0
    while (count := entries.drop_some()) is not None:
        freed += count

    assert freed == 3 * CHUNK
    assert len(entries) == 0
    assert list(entries.values()) == []


class OrderedMachine(RuleBasedStateMachine):
    """Random changes, applied to an index and to a dict."""

    def __init__(self) -> None:
        super().__init__()
        self._small = patch.multiple("promo_sandbox.model.sorted_index", CHUNK=3, _UNPACK_AFTER=2)
        self._small.start()
        self.entries: SortedIndex[int] = SortedIndex()
        self.model: dict[int, int] = {}
        self.others: list[tuple[SortedIndex[int], list[int]]] = []  # copies that are not changed, and what they hold

    @rule(key=KEYS, value=st.integers())
    def put(self, key: int, value: int) -> None:
        self.entries.put(key, value)
        self.model[key] = value

    @rule(key=KEYS)
    def pop(self, key: int) -> None:
        assert self.entries.pop(key) == self.model.pop(key, None)

    @rule(first=FEW, end=FEW)
    def between(self, first: int, end: int) -> None:
        values = [self.model[key] for key in sorted(self.model)]
        assert self.entries.between(first, end) == values[max(first, 0) : max(end, 0)]

    @rule(key=KEYS)
    def position(self, key: int) -> None:
        assert self.entries.position(key) == sum(other < key for other in self.model)

    @rule()
    def go_on_with_a_copy(self) -> None:
        self.others = [*self.others[-2:], (self.entries, list(self.entries.values()))]
        self.entries = self.entries.copy()

    @rule()
    def go_on_beside_a_copy(self) -> None:
        self.others = [*self.others[-2:], (self.entries.copy(), list(self.entries.values()))]

    @invariant()
    def copies_stay_as_they_are(self) -> None:
        for entries, values in self.others:
            assert list(entries.values()) == values
            assert is_sound(entries)

    @invariant()
    def all_is_in_order(self) -> None:
        assert list(self.entries.values()) == [self.model[key] for key in sorted(self.model)]
        assert len(self.entries) == len(self.model)
        assert bool(self.entries) == bool(self.model)
        assert is_sound(self.entries)

    def teardown(self) -> None:
        self._small.stop()


TestOrderedAgainstADict = OrderedMachine.TestCase
TestOrderedAgainstADict.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
