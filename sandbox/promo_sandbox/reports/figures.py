"""What every form of the coverage report says: shares, and what was never met of an operation."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

Json = dict[str, Any]
KINDS = ("operations", "statuses", "rejections", "callbacks")


def share(part: Json) -> str:
    """`3/51`."""
    return f"{part['covered']}/{part['all']}"


def summary(totals: Json) -> str:
    """`19 of 551 met (3.4 %)`."""
    whole = totals["everything"]
    return f"{share(whole).replace('/', ' of ')} met ({percent(whole)})"


def percent(part: Json) -> str:
    return f"{part['percent']:g} %"


def reaches(totals: Json, wanted: float) -> bool:
    """Whether so many percent of everything were met, before any rounding."""
    whole = totals["everything"]
    return bool(whole["covered"] * 100 >= Fraction(str(wanted)) * whole["all"])


def counted(items: list[Json]) -> Json:
    """How many of some things were met, as the totals say it."""
    return {"covered": sum(item["count"] > 0 for item in items), "all": len(items)}


def names(operation: Json) -> Iterator[tuple[str, int]]:
    """Statuses and rejections of an operation, and how often each was met."""
    for item in operation["statuses"]:
        yield str(item["status"]), item["count"]
    for item in operation["rejections"]:
        yield item["rejection"], item["count"]


def never(operation: Json) -> list[str]:
    """Statuses and rejections of an operation that were never met."""
    return [name for name, count in names(operation) if not count]


def lacks(operation: Json) -> bool:
    return not operation["count"] or bool(never(operation))
