"""What a test's org begins with, and what a test that passed must not leave in it. Knows nothing of pytest."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Collection, Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar

from promo_sandbox.base.errors import SandboxError
from promo_sandbox.base.messages import encode
from promo_sandbox.base.printable import escaped
from promo_sandbox.client import Org, Refused
from promo_sandbox.client.calls import near
from promo_sandbox.client.http import segment

KINDS = ("internal_errors", "unmet", "unexpected", "unmatched")
_KEYWORDS: dict[str, tuple[type, ...]] = {
    "scenario": (str, dict, Path),
    "clock": (str, datetime.datetime),
    "settings": (dict,),
    "seed": (dict,),
    "allow": (str, tuple, list, set, frozenset),
    "check": (bool,),
}
_SHOWN = 50  # exchanges in a table
_EACH = 5  # requests that are told of one kind
_WIDTH = 100  # characters of a path

Json = dict[str, Any]
Jsons = list[Json]
T = TypeVar("T")


def begin(org: Org, given: Mapping[str, Any]) -> None:
    """Give an org what it begins with: `scenario`, `clock`, `settings`, `seed`, in this order.

    Raises `SandboxError` for what there is not.
    """
    for name, value in given.items():
        if name not in _KEYWORDS:
            raise SandboxError(f"@pytest.mark.sandbox has no {name!r}; {near(name, _KEYWORDS)}")
        if value is not None and not isinstance(value, _KEYWORDS[name]):
            kinds = " or ".join(kind.__name__ for kind in _KEYWORDS[name])
            raise SandboxError(f"@pytest.mark.sandbox({name}={value!r}) must be {kinds}, not {type(value).__name__}")
    allowed(given)
    if given.get("scenario") is not None:
        org.scenario(given["scenario"])
    else:
        org.reset()  # from now on there is such an org, also for who only asks whether nothing came
    if given.get("clock") is not None:
        org.clock.freeze(given["clock"])
    if given.get("settings"):
        org.seed(**{vendor: {"settings": [members]} for vendor, members in given["settings"].items()})
    if given.get("seed"):
        org.seed(**given["seed"])


def allowed(given: Mapping[str, Any]) -> Collection[str]:
    """The kinds of trouble that do not make a test fail. Raises `SandboxError` for one that there is not."""
    if not given.get("check", True):
        return KINDS
    names = given.get("allow") or ()
    names = (names,) if isinstance(names, str) else tuple(names)
    for name in names:
        if name not in KINDS:
            raise SandboxError(f"@pytest.mark.sandbox cannot allow {name!r}; {near(name, KINDS)}")
    return names


def complaint(org: Org, given: Mapping[str, Any]) -> str:
    """What is wrong with what a test has left, and all that the org was asked; empty if nothing is wrong."""
    kinds = [kind for kind in KINDS if kind not in allowed(given)]
    found: dict[str, list[str]] = {}
    for kind, told in _found(org, kinds):
        if told:
            found.setdefault(kind, []).extend(told)
    if not found:
        return ""
    names = ", ".join(repr(kind) for kind in found)
    allow = f"({names})" if len(found) > 1 else names
    lines = [line for of_a_kind in found.values() for line in of_a_kind]
    hint = f"If the test expects this, add the marker: @pytest.mark.sandbox(allow={allow})"
    first = f"The test passed, but the sandbox recorded problems in its org {org.org}."
    return escaped("\n".join([first, *lines, hint, "", exchanges(org)]), keep="\n")


def exchanges(org: Org) -> str:
    """What the org was asked, as a table: time, method, path, status, operation, and what there is to say of it."""
    newest = _if_there(lambda: org.requests(limit=_SHOWN + 1))
    if not newest:
        return f"The org {escaped(org.org)} was asked nothing.\n"
    rows = [("time", "method", "path", "status", "operation", ""), *(_row(it, org) for it in reversed(newest[:_SHOWN]))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    if len(newest) > _SHOWN:
        lines.insert(1, f"… only the newest {_SHOWN}")
    return escaped("\n".join(lines), keep="\n") + "\n"


def _found(org: Org, kinds: Collection[str]) -> Iterator[tuple[str, list[str]]]:
    about = (_if_there(org.about) if kinds else None) or {}
    yield "unmatched", _unmatched(org) if "unmatched" in kinds and about.get("unmatched") else []
    yield (
        "internal_errors",
        _internal_errors(org, about["internal_errors"])
        if "internal_errors" in kinds and about.get("internal_errors")
        else [],
    )
    if "unmet" in kinds and about.get("armed"):
        yield "unmet", _armed(org.armed())
    if ("unmet" in kinds and about.get("unmet")) or ("unexpected" in kinds and about.get("unexpected")):
        progress = org.scenario_progress()
        yield "unmet", _unmet(progress) if "unmet" in kinds else []
        yield "unexpected", _unexpected(progress) if "unexpected" in kinds else []


def _if_there(ask: Callable[[], T]) -> T | None:
    """An answer, or None where there is no such org: it was forgotten, or the server begun anew."""
    try:
        return ask()
    except Refused as refused:
        if refused.status != HTTPStatus.NOT_FOUND:
            raise
        return None


def _unmatched(org: Org) -> list[str]:
    found = org.requests(unmatched=True, limit=_EACH)
    lines = []
    for it in reversed(found):
        nearest = "".join(f"; the nearest is {one['path']} ({one['why']})" for one in it["nearest"][:1])
        lines.append(f"- {it['request']['method']} {_target(it, org)} matched no operation{nearest}.")
    return lines


def _internal_errors(org: Org, count: int) -> list[str]:
    found = org.requests(internal_error=True, limit=1000)
    lines = [
        f"- {it['request']['method']} {_target(it, org)} met an internal error of the sandbox: {it['internal_error']}."
        for it in reversed(found[:_EACH])
    ]
    without = count - len(found)
    if without > 0:
        lines.append(f"- There were internal errors without a request too, as when something fell due: {without}.")
    return lines


def _unmet(progress: Json) -> list[str]:
    steps = {step["number"]: step for step in progress["steps"]}
    return [
        f"- Step {number} of the scenario{_called(progress)} is unmet: {_wanted(steps[number])}."
        for number in progress["unmet"]
    ]


def _armed(armed: Jsons) -> list[str]:
    lines = []
    for it in armed[:_EACH]:
        wanted = it.get("operation") or it["callback"]
        one, several = ("an event", "events") if "callback" in it else ("a call", "calls")
        owed = one if it["times"] == 1 else f"{it['times']} {several}"
        lines.append(f"- What `next` armed is unmet: {_short(it['then'])} waits for {owed} of {wanted}.")
    return lines


def _short(then: Json) -> str:
    text = encode(then).decode()
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"


def _wanted(step: Json) -> str:
    if step["operation"] is None:
        return "it waits for the steps before it"
    calls = "a call" if step["times"] == 1 else f"{step['times']} calls"
    taken = f", and {step['taken']} came" if step["taken"] else ", and none came"
    return f"it waits for {calls} of {step['operation']}{taken}"


def _unexpected(progress: Json) -> list[str]:
    return [
        f"- Exchange {it['exchange']} ({it['operation'] or 'no operation'}) was not expected by the scenario"
        f"{_called(progress)}: {it['why']}"
        for it in progress["unexpected"][:_EACH]
    ]


def _called(progress: Json) -> str:
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
        target if len(target) <= _WIDTH else f"{target[: _WIDTH - 1]}…",
        str(reply["status"] or "-"),
        exchange["operation"] or "-",
        ", ".join(note for note in notes if note),
    )


def _target(exchange: Json, org: Org) -> str:
    """What the client asked for, without the prefix that only says which org it is."""
    target: str = exchange["request"]["target"]
    return target.removeprefix(f"/~{segment(org.org)}")
