"""Exact amounts with a unit, in JSON `{"unit": "EUR", "value": 50.00}`. Values are decimals, never floats."""

from __future__ import annotations

from decimal import ROUND_05UP, ROUND_HALF_UP, Context, Decimal
from functools import lru_cache
from typing import Any

import msgspec

# Sums of all amounts that the specs allow fit into this precision, so they are never rounded.
_EXACT = Context(prec=80)
_LONG = 100  # digits
# ROUND_05UP makes a second rounding of a longer product give the same result as rounding it once.
_PRODUCT = Context(prec=_LONG, rounding=ROUND_05UP)
_USUAL_MINOR_UNITS = 2


class Money(msgspec.Struct, frozen=True):
    """An amount in major units of a currency, or in another unit of measure."""

    value: Decimal
    unit: str

    def minus(self, other: Money) -> Money:
        """The difference. The caller must make sure that both units are the same."""
        return Money(_EXACT.subtract(self.value, other.value), self.unit)

    def percentage(self, percent: Decimal | int) -> Money:
        """This percentage of the amount, rounded half up to the minor unit of the currency."""
        part = _PRODUCT.scaleb(_PRODUCT.multiply(self.value, Decimal(percent)), -2)
        return Money(part.quantize(_minor_unit(self.unit), ROUND_HALF_UP, _PRODUCT), self.unit)

    def json(self) -> dict[str, Any]:
        return {"unit": self.unit, "value": self.value}

    def __str__(self) -> str:
        # The format `f` would write out all zeros of a number such as `0e-99999999999`.
        return f"{self.value:{'f' if abs(self.value.adjusted()) < _LONG else ''}} {self.unit}"


def money(wire: dict[str, Any]) -> Money:
    """Parse `{"unit", "value"}`; the value is an `int` or a `Decimal`, never a float."""
    value = wire["value"]
    return Money(value if type(value) is Decimal else Decimal(value), wire["unit"])


@lru_cache(maxsize=256)  # bounded, since clients may send any text as a currency
def _minor_unit(currency: str) -> Decimal:
    """The smallest amount of a currency (ISO 4217); a hundredth if the standard does not define it."""
    import iso4217  # noqa: PLC0415 - takes 20 ms to load its table; only percentages need it

    try:
        digits = iso4217.Currency(currency).exponent
    except ValueError:
        digits = None
    return Decimal(1).scaleb(-(_USUAL_MINOR_UNITS if digits is None else digits))
