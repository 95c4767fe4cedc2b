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
        whole = _combined(whole, report, lambda one, other: one + other)
    return whole


def since(before: Json, after: Json) -> Json:
    """The counts between two reports of a server. A count that was reset meanwhile gives 0."""
    return _combined(after, before, lambda later, earlier: max(0, later - earlier))


def called(report: Json) -> Json:
    """The report without the vendors that were never called."""
    vendors = [
        vendor
        for vendor in report["vendors"]
        if any(item["count"] for item in (*vendor["operations"], *vendor["callbacks"]))
    ]
    return {**report, "vendors": vendors, "totals": totals(vendors)}


def _combined(one: Json, other: Json, count: Callable[[int, int], int]) -> Json:
    def combine(one_part: Any, other_part: Any) -> Any:
        if isinstance(one_part, dict) and one_part.keys() == other_part.keys():
            return {
                name: count(one_part[name], other_part[name])
                if name == "count"
                else combine(one_part[name], other_part[name])
                for name in one_part
                if name != "totals"
            }
        if isinstance(one_part, list) and len(one_part) == len(other_part):
            return [combine(*pair) for pair in zip(one_part, other_part, strict=True)]
        if one_part != other_part:
            raise SandboxError("the servers of this run serve different contracts; their coverage cannot be added")
        return one_part

    merged = combine(one, other)
    vendors = [{**vendor, "totals": totals([vendor])} for vendor in merged["vendors"]]
    return {**merged, "vendors": vendors, "totals": totals(vendors)}
