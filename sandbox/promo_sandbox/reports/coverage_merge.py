"""Adds and subtracts coverage reports of servers with the same contracts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from promo_sandbox.base.errors import SandboxError
from promo_sandbox.model.coverage import totals

Json = dict[str, Any]


def added(reports: list[Json]) -> Json:
    """The sum of at least one report."""
    whole = reports[0]
    for report in reports[1:]:
        whole = _combined(whole, report, lambda mine, theirs: mine + theirs)
    return whole


def since(before: Json, after: Json) -> Json:
    """The counts between two reports of a server. A count that was reset meanwhile gives 0."""
    return _combined(after, before, lambda mine, theirs: max(0, mine - theirs))


def called(report: Json) -> Json:
    """The report without the vendors that were never called."""
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
