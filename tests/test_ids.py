"""Identifiers: the same every time, never the same twice."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox import ids

UUID_4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@settings(deadline=None)
@given(st.integers(0, 2**63), st.integers(0, 2**63))
def test_a_uuid_is_a_version_4_uuid_and_the_same_every_time(seed: int, place: int) -> None:
    first = ids.uuid(seed, place)

    assert UUID_4.fullmatch(first)
    assert ids.uuid(seed, place) == first


def test_places_of_a_sequence_have_different_uuids() -> None:
    assert len({ids.uuid(0, place) for place in range(10_000)}) == 10_000


def test_seeds_have_different_sequences() -> None:
    assert ids.uuid(0, 1) != ids.uuid(1, 1)
    assert ids.digest(1, 11) != ids.digest(11, 1)


def test_the_first_uuids_never_change() -> None:
    assert ids.uuid(0, 1) == "9ffd041d-9eb6-4a48-bc1c-737f7ebde982"


def test_a_digest_has_the_size_one_asks_for() -> None:
    assert re.fullmatch(r"[0-9a-f]{32}", ids.digest(0, 1))
    assert re.fullmatch(r"[0-9a-f]{10}", ids.digest(0, 1, size=5))
