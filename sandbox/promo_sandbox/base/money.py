"""Exact amounts in a unit, as `{"unit": "EUR", "value": 50.00}` writes them: decimal from the wire to the wire."""

from __future__ import annotations

from decimal import ROUND_05UP, ROUND_HALF_UP, Context, Decimal
from functools import lru_cache
from typing import Any

import msgspec

# Wide enough that no sum of amounts that a spec admits is ever rounded.
_EXACT = Context(prec=80)
_LONG = 100  # digits
# A product that is longer is cut in a way that rounding it once more gives what rounding it whole would have given.
_PRODUCT = Context(prec=_LONG, rounding=ROUND_05UP)
_USUAL_MINOR_UNITS = 2


class Money(msgspec.Struct, frozen=True):
    """An amount in major units of a currency (or in any other unit of measure)."""

    value: Decimal
    unit: str

    def minus(self, other: Money) -> Money:
        """What is left; the units must be the same, which the caller has checked."""
        return Money(_EXACT.subtract(self.value, other.value), self.unit)

    def percentage(self, percent: Decimal | int) -> Money:
        """That part of a price, rounded half up to the minor unit of its currency."""
        part = _PRODUCT.scaleb(_PRODUCT.multiply(self.value, Decimal(percent)), -2)
        return Money(part.quantize(_minor_unit(self.unit), ROUND_HALF_UP, _PRODUCT), self.unit)

    def json(self) -> dict[str, Any]:
        return {"unit": self.unit, "value": self.value}

    def __str__(self) -> str:
        # `0e-99999999999` is a number too, and would be written out with all its zeros.
        return f"{self.value:{'f' if abs(self.value.adjusted()) < _LONG else ''}} {self.unit}"


def money(wire: dict[str, Any]) -> Money:
    """Read `{"unit", "value"}`; the value is an `int` or a `Decimal`, never a float."""
    value = wire["value"]
    return Money(value if type(value) is Decimal else Decimal(value), wire["unit"])


@lru_cache(maxsize=256)  # there are fewer currencies, but anything may be named as one
def _minor_unit(currency: str) -> Decimal:
    """The smallest amount of a currency (ISO 4217); a hundredth where the standard has none, or no such currency."""
    import iso4217  # noqa: PLC0415 - takes 20 ms to read its table; only a percentage needs it

    try:
        digits = iso4217.Currency(currency).exponent
    except ValueError:
        digits = None
    return Decimal(1).scaleb(-(_USUAL_MINOR_UNITS if digits is None else digits))
