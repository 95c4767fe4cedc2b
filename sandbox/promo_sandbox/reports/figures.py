"""Figures that every form of the coverage report shows."""

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
    """`19 of 551 covered (3.4 %)`."""
    whole = totals["everything"]
    return f"{share(whole).replace('/', ' of ')} covered ({percent(whole)})"


def percent(part: Json) -> str:
    return f"{part['percent']:g} %"


def reaches(totals: Json, wanted: float) -> bool:
    """Whether at least this percentage of everything is covered, before rounding."""
    whole = totals["everything"]
    return bool(whole["covered"] * 100 >= Fraction(str(wanted)) * whole["all"])


def counted(items: list[Json]) -> Json:
    """How many of the items are covered, in the shape of the totals."""
    return {"covered": sum(item["count"] > 0 for item in items), "all": len(items)}


def names(operation: Json) -> Iterator[tuple[str, int]]:
    """The statuses and rejections of an operation with their counts."""
    for item in operation["statuses"]:
        yield str(item["status"]), item["count"]
    for item in operation["rejections"]:
        yield item["rejection"], item["count"]


def uncovered(operation: Json) -> list[str]:
    """The statuses and rejections of an operation that are not covered."""
    return [name for name, count in names(operation) if not count]


def is_incomplete(operation: Json) -> bool:
    return not operation["count"] or bool(uncovered(operation))
