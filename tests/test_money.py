"""Amounts are exact."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promo_sandbox.base.messages import decode, encode
from promo_sandbox.base.money import Money, money

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


@pytest.mark.parametrize(
    ("currency", "part"),
    [
        ("EUR", "123.46"),
        ("USD", "123.46"),
        ("JPY", "123"),
        ("KRW", "123"),
        ("ISK", "123"),
        ("KWD", "123.457"),
        ("BHD", "123.457"),
        ("OMR", "123.457"),
        ("JOD", "123.457"),
        ("TND", "123.457"),
        ("IQD", "123.457"),  # the standard's three, not the none that shops there show
        ("CLF", "123.4565"),
        ("XAU", "123.46"),  # gold has no minor unit
        ("ZZZ", "123.46"),  # no currency
        ("points", "123.46"),
    ],
)
def test_a_percentage_has_the_digits_of_its_currency(currency: str, part: str) -> None:
    assert str(Money(Decimal("1234.565"), currency).percentage(10).value) == part


@settings(deadline=None)
@given(
    st.decimals(min_value=0, max_value=9_000_000_000_000, places=9), st.decimals(min_value=0, max_value=100, places=5)
)
def test_a_percentage_is_the_nearest_amount_and_the_larger_of_two(total: Decimal, percent: Decimal) -> None:
    exact = Fraction(total) * Fraction(percent) / 100

    for currency, unit in (("JPY", Fraction(1)), ("EUR", Fraction(1, 100)), ("KWD", Fraction(1, 1000))):
        part = Fraction(Money(total, currency).percentage(percent).value)
        assert part % unit == 0
        assert -unit / 2 < exact - part < unit / 2 or exact - part == -unit / 2


def test_a_long_product_is_rounded_once() -> None:
    total = Decimal("0.04" + "9" * 150)

    assert Money(total, "EUR").percentage(10).value == Decimal("0.00")
    assert Money(Decimal("0.05"), "EUR").percentage(10).value == Decimal("0.01")


def test_who_asks_for_no_percentage_does_not_wait_for_the_table_of_currencies() -> None:
    loaded = "import sys; import promo_sandbox.server.app; sys.exit('iso4217' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", loaded], check=False).returncode == 0  # noqa: S603 - our own text
