"""The initial state of a test's org, and the problems that make a passed test fail. Does not import pytest."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Collection, Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar

from promo_sandbox.base.errors import SandboxError
from promo_sandbox.base.messages import encode
from promo_sandbox.base.printable import escaped
from promo_sandbox.client import Org, Rejected
from promo_sandbox.client.calls import suggestion
from promo_sandbox.client.http import path_segment

KINDS = ("internal_errors", "unmet", "unexpected", "unmatched")
_KEYWORDS: dict[str, tuple[type, ...]] = {
    "scenario": (str, dict, Path),
    "clock": (str, datetime.datetime),
    "settings": (dict,),
    "seed": (dict,),
    "allow": (str, tuple, list, set, frozenset),
    "check": (bool,),
}
_MAX_ROWS = 50  # of the table of requests
_MAX_PER_KIND = 5  # problems of one kind in a message
_MAX_WIDTH = 100  # characters of a path

Json = dict[str, Any]
Jsons = list[Json]
T = TypeVar("T")


def set_up(org: Org, marks: Mapping[str, Any]) -> None:
    """Prepare an org as the marker says: `scenario`, `clock`, `settings`, `seed`, in this order.

    Raises `SandboxError` for an unknown keyword or an invalid value.
    """
    for name, value in marks.items():
        if name not in _KEYWORDS:
            raise SandboxError(f"@pytest.mark.sandbox has no {name!r}; {suggestion(name, _KEYWORDS)}")
        if value is not None and not isinstance(value, _KEYWORDS[name]):
            kinds = " or ".join(kind.__name__ for kind in _KEYWORDS[name])
            raise SandboxError(f"@pytest.mark.sandbox({name}={value!r}) must be {kinds}, not {type(value).__name__}")
    allowed_kinds(marks)
    if marks.get("scenario") is not None:
        org.scenario(marks["scenario"])
    else:
        org.reset()  # so that the org exists, even if the test sends no request
    if marks.get("clock") is not None:
        org.clock.freeze(marks["clock"])
    if marks.get("settings"):
        org.seed(**{vendor: {"settings": [values]} for vendor, values in marks["settings"].items()})
    if marks.get("seed"):
        org.seed(**marks["seed"])


def allowed_kinds(marks: Mapping[str, Any]) -> Collection[str]:
    """The kinds of problems that the marker allows. Raises `SandboxError` for an unknown one."""
    if not marks.get("check", True):
        return KINDS
    names = marks.get("allow") or ()
    names = (names,) if isinstance(names, str) else tuple(names)
    for name in names:
        if name not in KINDS:
            raise SandboxError(f"@pytest.mark.sandbox cannot allow {name!r}; {suggestion(name, KINDS)}")
    return names


def failure_message(org: Org, marks: Mapping[str, Any]) -> str:
    """The problems in an org that are not allowed, with a table of its requests; empty if there are none."""
    kinds = [kind for kind in KINDS if kind not in allowed_kinds(marks)]
    found: dict[str, list[str]] = {}
    for kind, problems in _problems(org, kinds):
        if problems:
            found.setdefault(kind, []).extend(problems)
    if not found:
        return ""
    names = ", ".join(repr(kind) for kind in found)
    allow = f"({names})" if len(found) > 1 else names
    lines = [line for problems in found.values() for line in problems]
    hint = f"If this is expected, allow it: @pytest.mark.sandbox(allow={allow})"
    first = f"The test passed, but the sandbox recorded problems in its org {org.org}."
    return escaped("\n".join([first, *lines, hint, "", request_table(org)]), keep="\n")


def request_table(org: Org) -> str:
    """The newest requests of an org as a table: time, method, path, status, operation and notes."""
    newest = _none_if_unknown(lambda: org.requests(limit=_MAX_ROWS + 1))
    if not newest:
        return f"The org {escaped(org.org)} received no requests.\n"
    rows = [
        ("time", "method", "path", "status", "operation", ""),
        *(_row(it, org) for it in reversed(newest[:_MAX_ROWS])),
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    if len(newest) > _MAX_ROWS:
        lines.insert(1, f"… only the newest {_MAX_ROWS} requests")
    return escaped("\n".join(lines), keep="\n") + "\n"


def _problems(org: Org, kinds: Collection[str]) -> Iterator[tuple[str, list[str]]]:
    about = (_none_if_unknown(org.about) if kinds else None) or {}
    if "unmatched" in kinds and about.get("unmatched"):
        yield "unmatched", _unmatched(org)
    if "internal_errors" in kinds and about.get("internal_errors"):
        yield "internal_errors", _internal_errors(org, about["internal_errors"])
    if "unmet" in kinds and about.get("armed"):
        yield "unmet", _armed(org.armed())
    if ("unmet" in kinds and about.get("unmet")) or ("unexpected" in kinds and about.get("unexpected")):
        progress = org.scenario_progress()
        if "unmet" in kinds:
            yield "unmet", _unmet(progress)
        if "unexpected" in kinds:
            yield "unexpected", _unexpected(progress)


def _none_if_unknown(method: Callable[[], T]) -> T | None:
    """The result, or None if the org does not exist: it was deleted, or the server was restarted."""
    try:
        return method()
    except Rejected as rejected:
        if rejected.status != HTTPStatus.NOT_FOUND:
            raise
        return None


def _unmatched(org: Org) -> list[str]:
    found = org.requests(unmatched=True, limit=_MAX_PER_KIND)
    lines = []
    for it in reversed(found):
        nearest = "".join(f"; the nearest is {one['path']} ({one['why']})" for one in it["nearest"][:1])
        lines.append(f"- {it['request']['method']} {_target(it, org)} matched no operation{nearest}.")
    return lines


def _internal_errors(org: Org, count: int) -> list[str]:
    found = org.requests(internal_error=True, limit=1000)
    lines = [
        f"- {it['request']['method']} {_target(it, org)} caused an internal error: {it['internal_error']}."
        for it in reversed(found[:_MAX_PER_KIND])
    ]
    without = count - len(found)
    if without > 0:
        lines.append(
            f"- There were also internal errors without a request, such as in an event that became due: {without}."
        )
    return lines


def _unmet(progress: Json) -> list[str]:
    steps = {step["number"]: step for step in progress["steps"]}
    return [
        f"- Step {number} of the scenario{_scenario_name(progress)} is unmet: {_missing_calls(steps[number])}."
        for number in progress["unmet"]
    ]


def _armed(armed: Jsons) -> list[str]:
    lines = []
    for it in armed[:_MAX_PER_KIND]:
        name = it.get("operation") or it["callback"]
        one, several = ("an event", "events") if "callback" in it else ("a call", "calls")
        missing = one if it["times"] == 1 else f"{it['times']} {several}"
        lines.append(
            f"- An effect armed with `next` is unmet: {_short_json(it['then'])} waits for {missing} of {name}."
        )
    return lines


def _short_json(then: Json) -> str:
    text = encode(then).decode()
    return text if len(text) <= _MAX_WIDTH else f"{text[: _MAX_WIDTH - 1]}…"


def _missing_calls(step: Json) -> str:
    if step["operation"] is None:
        return "it waits for the earlier steps"
    calls = "a call" if step["times"] == 1 else f"{step['times']} calls"
    taken = f" and received {step['taken'] or 'none'}"
    return f"it waits for {calls} of {step['operation']}{taken}"


def _unexpected(progress: Json) -> list[str]:
    return [
        f"- Exchange {it['exchange']} ({it['operation'] or 'no operation'}) was not expected by the scenario"
        f"{_scenario_name(progress)}: {it['why']}"
        for it in progress["unexpected"][:_MAX_PER_KIND]
    ]


def _scenario_name(progress: Json) -> str:
    return f" {progress['name']}" if progress["name"] else ""


def _row(exchange: Json, org: Org) -> tuple[str, ...]:
    request, reply = exchange["request"], exchange["reply"]
    target = _target(exchange, org)
    matched = exchange["operation"] is not None
    notes = [f"step {exchange['step']}" if exchange["step"] is not None else ""]
    notes.append(exchange["rejection"] or "" if matched else "unmatched")
    notes += [name for name in ("unexpected", "internal_error") if exchange[name] is not None]
    fault = exchange["fault"]
    if fault is not None:
        notes += [f"cut {fault['cut']}" if fault["cut"] else "", "corrupt" if fault["corrupt"] else ""]
    return (
        exchange["at"],
        request["method"],
        target if len(target) <= _MAX_WIDTH else f"{target[: _MAX_WIDTH - 1]}…",
        str(reply["status"] or "-"),
        exchange["operation"] or "-",
        ", ".join(note for note in notes if note),
    )


def _target(exchange: Json, org: Org) -> str:
    """The request target, without the prefix that names the org."""
    target: str = exchange["request"]["target"]
    return target.removeprefix(f"/~{path_segment(org.org)}")
