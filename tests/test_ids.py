"""Identifiers are reproducible and unique."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from promo_sandbox.base import ids

UUID_4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@settings(deadline=None)
@given(st.integers(0, 2**63))
def test_a_uuid_is_a_version_4_uuid_and_the_same_every_time(place: int) -> None:
    first = ids.uuid(place)

    assert UUID_4.fullmatch(first)
    assert ids.uuid(place) == first


def test_places_of_a_sequence_have_different_uuids() -> None:
    assert len({ids.uuid(place) for place in range(10_000)}) == 10_000


def test_places_of_a_sequence_have_different_digits_even_where_they_are_few() -> None:
    assert len({ids.digest(place, 8) for place in range(100_000)}) == 100_000


def test_the_first_uuids_never_change() -> None:
    assert ids.uuid(1) == "f6896de6-cbdf-4b43-87a2-3bdf54554984"


def test_a_digest_has_the_size_one_asks_for() -> None:
    assert re.fullmatch(r"[0-9a-f]{32}", ids.digest(1))
    assert [len(ids.digest(1, digits)) for digits in (1, 7, 24, 32)] == [1, 7, 24, 32]
    assert ids.digest(1).startswith(ids.digest(1, 7))
