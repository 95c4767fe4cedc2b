"""The names that are most similar to a mistyped one, and the time to find them."""

from __future__ import annotations

import difflib
import random
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promo_sandbox.base.nearest_names import nearest

NAMES = ["getGiftCard", "getGiftCards", "createCoupon", "listCoupons", "redeemCoupon", "deleteCoupon"]


@pytest.mark.parametrize("name", ["getGiftcard", "listCoupon", "redeem", "deletCoupn", "nothing at all", ""])
def test_the_nearest_name_is_the_one_that_the_standard_library_finds(name: str) -> None:
    assert nearest(name, NAMES) == difflib.get_close_matches(name, NAMES, n=1)


@given(st.text("abc", max_size=12), st.lists(st.text("abc", max_size=12), max_size=8))
def test_so_it_is_for_any_few_names(name: str, names: list[str]) -> None:
    assert nearest(name, names, 3) == difflib.get_close_matches(name, names, n=3)


def test_much_longer_or_shorter_names_are_not_compared() -> None:
    assert nearest("a" * 50, ["a" * 20, "a" * 22]) == ["a" * 22]


def test_long_names_and_many_are_looked_at_for_a_moment_only() -> None:
    chance = random.Random(7)  # noqa: S311 - no secret
    letters = list(string.ascii_lowercase * 4)
    names = []
    for number in range(20_000):
        chance.shuffle(letters)
        names.append("".join(letters)[:90] + str(number))
    looked_at: list[str] = []

    def seen() -> object:
        for name in names:
            looked_at.append(name)
            yield name

    nearest("x" * 100_000, seen())  # type: ignore[arg-type]  # a generator

    assert len(looked_at) <= 1001
