"""Amounts: exact from the wire to the wire."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.messages import decode, encode
from sandbox.money import Money, money

AMOUNTS = st.decimals(min_value=-9_000_000_000_000, max_value=9_000_000_000_000, places=6)


def test_an_amount_is_read_from_and_written_to_the_wire_as_it_is() -> None:
    wire = b'{"unit":"EUR","value":50.00}'

    amount = money(decode(wire))

    assert amount == Money(Decimal("50.00"), "EUR")
    assert encode(amount.json()) == wire


def test_a_whole_number_is_an_amount_too() -> None:
    assert money({"unit": "points", "value": 7}) == Money(Decimal(7), "points")


def test_an_amount_reads_like_a_price() -> None:
    assert str(money(decode(b'{"unit":"EUR","value":12.50}'))) == "12.50 EUR"
    assert str(money(decode(b'{"unit":"EUR","value":1e3}'))) == "1000 EUR"


def test_tenths_add_up() -> None:
    left = money(decode(b'{"unit":"EUR","value":0.3}')).minus(money(decode(b'{"unit":"EUR","value":0.1}')))

    assert left.value == Decimal("0.2")


@settings(deadline=None)
@given(AMOUNTS, AMOUNTS)
def test_nothing_is_lost_when_an_amount_is_taken_away_and_given_back(one: Decimal, other: Decimal) -> None:
    left = Money(one, "EUR").minus(Money(other, "EUR"))

    assert left.value + other == one
    assert left.unit == "EUR"


def test_the_largest_amount_keeps_its_last_digit() -> None:
    left = Money(Decimal("9000000000000.000001"), "EUR").minus(Money(Decimal("8999999999999.000002"), "EUR"))

    assert str(left.value) == "0.999999"
