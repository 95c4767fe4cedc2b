"""Reads and validates files of cases: requests, the reply that the vendor documents, and the source."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from promo_sandbox.base import yaml_file
from promo_sandbox.base.document_errors import Flaws, Place, shortened, suggestion
from promo_sandbox.base.errors import SandboxError
from promo_sandbox.scenarios.conditions import compile_pattern

Json = Any
GIVEN = ("org", "fresh")  # the names that every case may use
READING = ("GET", "HEAD")
METHODS = (*READING, "POST", "PUT", "PATCH", "DELETE")
_NAME = re.compile(r"\$\{([^{}]*)\}")
_WORD = re.compile(r"[a-z][a-z0-9_]*\Z")
_SOURCES = ("documented: ", "inferred: ")
_FILE = {"vendor": str, "page": str, "variables": dict, "cases": list}
_CASE = {"name": str, "source": str, "operation": str, "given": list, "request": dict, "expect": dict}
_STEP = {"request": dict, "expect": dict, "take": dict}
_REQUEST = {"method": str, "path": str, "headers": dict, "basic": str, "body": object, "form": dict, "text": str}
_EXPECT = {"status": (int, list), "headers": dict, "body": object}


class Step(NamedTuple):
    """One request, the expected reply, and the values that later steps take from it."""

    request: Json
    expect: Json
    take: Mapping[str, str]


class Case(NamedTuple):
    """Steps of which the last one is tested; the others prepare it."""

    vendor: str
    name: str
    source: str
    operation: str
    steps: tuple[Step, ...]
    variables: Mapping[str, str]

    @property
    def documented(self) -> bool:
        return self.source.startswith(_SOURCES[0])

    @property
    def writes(self) -> bool:
        return any(step.request["method"] not in READING for step in self.steps)


def specs(folder: Path) -> list[dict[str, Any]]:
    """A vendor's specifications, parsed but not compiled."""
    return [yaml_file.read(path) for path in sorted(folder.glob("*.yaml"))]


def operations(specs: Iterable[Mapping[str, Any]]) -> list[str]:
    """The operationIds of specifications."""
    items = [item for spec in specs for item in spec["paths"].values()]
    return [raw["operationId"] for item in items for raw in item.values() if "operationId" in raw]


def load(folder: Path, operations: Mapping[str, Collection[str]]) -> list[Case]:
    """The cases of all files: documented ones before inferred ones, else in the order of the file.

    operations: the operationIds of each vendor. Raises `SandboxError` for an invalid file.
    """
    paths = sorted(folder.rglob("*.yaml"))
    if not paths:
        raise SandboxError(f"there are no cases in {folder}")
    found = [case for path in paths for case in _read(path, operations)]
    names = [(case.vendor, case.name) for case in found]
    for vendor, name in names:
        if names.count((vendor, name)) > 1:
            raise SandboxError(f"two cases of {vendor} in {folder} are named {name!r}")
    return sorted(found, key=lambda case: (case.vendor, not case.documented))


def _read(path: Path, operations: Mapping[str, Collection[str]]) -> list[Case]:
    text = yaml_file.read_text(path)
    document = yaml_file.parse(text, str(path))
    flaws = Flaws()
    _validate(document, operations, flaws)
    flaws.raise_if_any(str(path), text)
    variables = {name: str(value) for name, value in document.get("variables", {}).items()}
    return [
        Case(document["vendor"], case["name"], case["source"], case["operation"], _steps(case), variables)
        for case in document["cases"]
    ]


def _steps(case: Json) -> tuple[Step, ...]:
    return tuple(
        Step(step["request"], step.get("expect", {}), step.get("take", {})) for step in (*case.get("given", ()), case)
    )


def _validate(document: Json, operations: Mapping[str, Collection[str]], flaws: Flaws) -> None:
    if not _has_fields((), document, _FILE, ("vendor", "page", "cases"), flaws):
        return
    vendor = document["vendor"]
    if vendor not in operations:
        flaws.add(("vendor",), f"there is no vendor {shortened(vendor)}{suggestion(vendor, operations)}")
        return
    names = (*GIVEN, *document.get("variables", {}))
    for at, case in enumerate(document["cases"]):
        place: Place = ("cases", at)
        if not _has_fields(place, case, _CASE, ("name", "source", "operation", "request", "expect"), flaws):
            continue
        if not case["source"].startswith(_SOURCES):
            flaws.add((*place, "source"), "must begin with documented: or inferred:")
        if case["operation"] not in operations[vendor]:
            problem = f"{vendor} has no operation {shortened(case['operation'])}"
            flaws.add((*place, "operation"), problem + suggestion(case["operation"], operations[vendor]))
        if "status" not in case["expect"]:
            flaws.add((*place, "expect"), "must have a status")
        _validate_steps(place, case, names, flaws)


def _validate_steps(place: Place, case: Json, names: Collection[str], flaws: Flaws) -> None:
    known = list(names)
    for at, step in enumerate(case.get("given", ())):
        where = (*place, "given", at)
        if _has_fields(where, step, _STEP, ("request",), flaws):
            _validate_step(where, step, known, flaws)
            for name, source in step.get("take", {}).items():
                if (
                    not _WORD.match(name)
                    or not isinstance(source, str)
                    or source.split(".")[0] not in ("body", "headers")
                ):
                    flaws.add((*where, "take", name), "must be a word, and its value a field: body.… or headers.…")
                known.append(name)
    _validate_step(place, case, known, flaws)


def _validate_step(place: Place, step: Json, known: Collection[str], flaws: Flaws) -> None:
    request, expect = step["request"], step.get("expect", {})
    if _has_fields((*place, "request"), request, _REQUEST, ("method", "path"), flaws):
        if request["method"] not in METHODS:
            flaws.add((*place, "request", "method"), f"must be one of {', '.join(METHODS)}")
        if not request["path"].startswith("/"):
            flaws.add((*place, "request", "path"), "must begin with /")
        if sum(kind in request for kind in ("body", "form", "text")) > 1:
            flaws.add((*place, "request"), "has more than one of body, form and text")
    if _has_fields((*place, "expect"), expect, _EXPECT, (), flaws):
        statuses = expect.get("status", [])
        if not all(type(status) is int for status in (statuses if isinstance(statuses, list) else [statuses])):
            flaws.add((*place, "expect", "status"), "must be a status or a list of them")
        for part in ("headers", "body"):
            try:
                compile_pattern(filled(expect.get(part), defaultdict(lambda: "x")))
            except ValueError as error:
                flaws.add((*place, "expect", part), str(error))
    for name in sorted({name for text in _texts((request, expect)) for name in _NAME.findall(text)} - set(known)):
        flaws.add(place, f"there is nothing named ${{{shortened(name)}}}{suggestion(name, known)}")


def _has_fields(place: Place, node: Json, kinds: Mapping[str, Any], required: Collection[str], flaws: Flaws) -> bool:
    """Whether a node is an object with these fields; adds the mistakes otherwise."""
    if not isinstance(node, dict):
        flaws.add(place, "must be an object")
        return False
    wrong = [(name, f"is unknown{suggestion(name, kinds)}") for name in node if name not in kinds]
    wrong += [
        (name, "has the wrong type")
        for name, value in node.items()
        if name in kinds
        and (not isinstance(value, kinds[name]) or (isinstance(value, bool) and kinds[name] is not object))
    ]
    for name, detail in wrong:
        flaws.add((*place, name), detail)
    missing = [name for name in required if name not in node]
    for name in missing:
        flaws.add(place, f"{name} is missing")
    return not wrong and not missing


def _texts(node: Json) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        for value in node.values():
            yield from _texts(value)
    elif isinstance(node, list | tuple):
        for value in node:
            yield from _texts(value)


def filled(node: Json, values: Mapping[str, Json]) -> Json:
    """The node with each `${name}` replaced: by the value if it stands alone, else by its text."""
    if isinstance(node, str):
        whole = _NAME.fullmatch(node)
        if whole:
            return values[whole[1]]
        return _NAME.sub(lambda found: _text(values[found[1]]), node)
    if isinstance(node, dict):
        return {name: filled(value, values) for name, value in node.items()}
    if isinstance(node, list):
        return [filled(value, values) for value in node]
    return node


def _text(value: Json) -> str:
    return f"{value:f}" if isinstance(value, Decimal) else str(value)
