"""Exact amounts in a unit, as `{"unit": "EUR", "value": 50.00}` writes them: decimal from the wire to the wire."""

from __future__ import annotations

from decimal import Context, Decimal
from typing import Any

import msgspec

# Wide enough that no sum of amounts that a spec admits is ever rounded.
_EXACT = Context(prec=80)
_LONG = 100  # digits


class Money(msgspec.Struct, frozen=True):
    """An amount in major units of a currency (or in any other unit of measure)."""

    value: Decimal
    unit: str

    def minus(self, other: Money) -> Money:
        """What is left; the units must be the same, which the caller has checked."""
        return Money(_EXACT.subtract(self.value, other.value), self.unit)

    def json(self) -> dict[str, Any]:
        return {"unit": self.unit, "value": self.value}

    def __str__(self) -> str:
        # `0e-99999999999` is a number too, and would be written out with all its zeros.
        return f"{self.value:{'f' if abs(self.value.adjusted()) < _LONG else ''}} {self.unit}"


def money(wire: dict[str, Any]) -> Money:
    """Read `{"unit", "value"}`; the value is an `int` or a `Decimal`, never a float."""
    value = wire["value"]
    return Money(value if type(value) is Decimal else Decimal(value), wire["unit"])
