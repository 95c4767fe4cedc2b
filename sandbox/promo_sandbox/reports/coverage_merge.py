"""Coverage reports of several servers of the same contracts as one, and what of a report is new since another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from promo_sandbox.base.errors import SandboxError
from promo_sandbox.model.coverage import totals

Json = dict[str, Any]


def together(reports: list[Json]) -> Json:
    """The sum of one report or more."""
    whole = reports[0]
    for report in reports[1:]:
        whole = _combined(whole, report, lambda mine, theirs: mine + theirs)
    return whole


def since(before: Json, after: Json) -> Json:
    """What was counted between two reports of a server; nothing is less than nothing, should it be counting anew."""
    return _combined(after, before, lambda mine, theirs: max(0, mine - theirs))


def met(report: Json) -> Json:
    """Only the vendors that were called at all: a suite is not told of those that it does not use."""
    vendors = [
        vendor
        for vendor in report["vendors"]
        if any(item["count"] for item in (*vendor["operations"], *vendor["callbacks"]))
    ]
    return {**report, "vendors": vendors, "totals": totals(vendors)}


def _combined(one: Json, other: Json, count: Callable[[int, int], int]) -> Json:
    def walked(mine: Any, theirs: Any) -> Any:
        if isinstance(mine, dict) and mine.keys() == theirs.keys():
            return {
                name: count(mine[name], theirs[name]) if name == "count" else walked(mine[name], theirs[name])
                for name in mine
                if name != "totals"
            }
        if isinstance(mine, list) and len(mine) == len(theirs):
            return [walked(*pair) for pair in zip(mine, theirs, strict=True)]
        if mine != theirs:
            raise SandboxError("the servers of this run serve different contracts; their coverage cannot be added")
        return mine

    walked_report = walked(one, other)
    vendors = [{**vendor, "totals": totals([vendor])} for vendor in walked_report["vendors"]]
    return {**walked_report, "vendors": vendors, "totals": totals(vendors)}
