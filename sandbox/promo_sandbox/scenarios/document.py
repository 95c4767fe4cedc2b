"""Reads a scenario's document, validates it by its JSON Schema and by the specs, and compiles its steps.

All names in it must exist: operations, rejections, callbacks, parameters, fields. An error has the file, the line, the
place and the nearest name. The seed is validated when an org starts the scenario.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from promo_sandbox.base import clock, yaml_file
from promo_sandbox.base.document_errors import MAX_FLAWS, Flaw, Flaws, InvalidDocument, Place, shortened, suggestion
from promo_sandbox.base.errors import DocumentError
from promo_sandbox.base.linear_regex import MAX_SIZES, compile_regex
from promo_sandbox.base.messages import Violation
from promo_sandbox.model.contract import Contract, Route
from promo_sandbox.model.effects import Effects
from promo_sandbox.model.rules import SETTINGS
from promo_sandbox.model.state import State
from promo_sandbox.openapi.explanation import Explanation
from promo_sandbox.openapi.integers import Integers
from promo_sandbox.openapi.validation import json_schema
from promo_sandbox.scenarios.conditions import PARTS, Matcher, compile_pattern, expressions, is_operator, text_pattern
from promo_sandbox.scenarios.effects_document import EffectsReader, duration
from promo_sandbox.scenarios.run import Given, Scenario, Step

_ANY = "any"
_PLACE_PART = re.compile(r"[^.\[\]]+")
MAX_VALUES = 10_000  # in the steps of a scenario; the seed is not counted
_MAX_DEPTH = 20  # of schemas in schemas


class ScenarioReader:
    """Reads scenarios for a set of vendors."""

    def __init__(self, schema: Path, contracts: Iterable[Contract]) -> None:
        self._file = schema
        self._contracts = {contract.vendor: contract for contract in contracts}
        self._routes = {route.operation.id: route for it in self._contracts.values() for route in it.routes()}
        self._schema: dict[str, Any] | None = None
        self._explanation: Explanation | None = None
        self._integers: Integers | None = None

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema of a scenario, read on first use."""
        if self._schema is None:
            self._schema = msgspec.json.decode(self._file.read_bytes())
        return self._schema

    def read(self, text: str, file: str, raw: Any = None, *, name: str | None = None) -> Scenario:
        """Read a scenario. raw: the parsed text, if it exists already. Raises `InvalidDocument` with all mistakes."""
        if raw is None:
            raw = parse(text, file)
        flaws = Flaws()
        for place, detail in islice(self._schema_errors(raw), MAX_FLAWS):
            flaws.add(place, detail)
        flaws.raise_if_any(file, text)
        raw = self._with_integers(raw)
        if _count_values(raw["steps"]) > MAX_VALUES:
            flaws.add(("steps",), f"has more than {MAX_VALUES} values")
        flaws.raise_if_any(file, text)
        scenario = self._compiled(raw, name, flaws)
        flaws.raise_if_any(file, text)
        return scenario

    def read_effects(self, raw: dict[str, Any], route: Route, flaws: Flaws) -> Effects:
        """The effects of a trigger on the calls of an operation."""
        if "throttle" in raw:
            flaws.add(("then", "throttle"), "is only allowed in a step of a scenario")
        return EffectsReader(self._contracts.values(), flaws).for_calls(raw, [route], ("then",))

    def read_event_effects(self, raw: dict[str, Any], flaws: Flaws) -> Effects:
        """The effects of a trigger on the deliveries of a callback's events."""
        return EffectsReader(self._contracts.values(), flaws).for_events(raw, ("then",))

    def _schema_errors(self, raw: Any) -> Iterator[tuple[Place, str]]:
        """The errors by the JSON Schema."""
        if self._explanation is None:
            self._explanation = Explanation(json_schema(self.schema))
        for found in self._explanation.errors(raw):
            error, place = found.error, found.value_path()
            if error.kind.name == "additionalProperties":
                known: Any = self.schema
                for step in found.schema_path()[:-1]:
                    known = known[step]
                for name in getattr(error.kind, "unexpected", ()):  # mypy does not know that this kind has it
                    yield (*place, name), f"is unknown{suggestion(name, known['properties'])}"
            elif error.kind.name == "required":
                yield place, f"{error.kind.value} is required"
            else:
                yield place, error.message[:300]

    def _with_integers(self, raw: dict[str, Any]) -> dict[str, Any]:
        """The document with integers for numbers such as `times: 2.0`."""
        if self._integers is None:
            plain = json_schema(self.schema)
            self._integers = Integers([plain], plain.get("$defs", {}))
        written: dict[str, Any] = self._integers.normalise(raw)
        return written

    def _compiled(self, raw: dict[str, Any], name: str | None, flaws: Flaws) -> Scenario:
        given = self._given(raw.get("given", {}), flaws)
        state = self._state(given.seed)
        effects = EffectsReader(self._contracts.values(), flaws)
        steps: list[Step] = []
        sizes = 0
        for at, step in enumerate(raw["steps"]):
            sizes += sum(_sizes(step.get("when")))
            if sizes > MAX_SIZES:
                flaws.add(("steps", at, "when"), "makes the patterns of the scenario too large together")
                break
            if flaws.full:
                break
            steps.append(self._step(at, step, state, effects, flaws))
            before = steps[-2] if at else None
            if before and before.times is None and before.duration is None and steps[-1].operations is None:
                why = "is never reached, because the step before it takes any number of calls; give that one a `for`"
                flaws.add(("steps", at), why)
        return Scenario(name, raw, given, tuple(steps), fails_otherwise=raw.get("otherwise") == "fail")

    def _given(self, raw: dict[str, Any], flaws: Flaws) -> Given:
        seed = {vendor: dict(collections) for vendor, collections in raw.get("seed", {}).items()}
        for vendor, settings in raw.get("settings", {}).items():
            if flaws.full:
                break
            contract = self._contracts.get(vendor)
            if contract is None or SETTINGS not in contract.schemas:
                known = [name for name, it in self._contracts.items() if SETTINGS in it.schemas]
                flaws.add(("given", "settings", vendor), f"is not a vendor with settings{suggestion(vendor, known)}")
            elif SETTINGS in seed.get(vendor, {}):
                flaws.add(("given", "settings", vendor), "is also in the seed")
            else:
                seed.setdefault(vendor, {})[SETTINGS] = [settings]
        now = None
        if "clock" in raw:
            try:
                now = clock.parse(raw["clock"])
            except ValueError as error:
                flaws.add(("given", "clock"), str(error))
            if now is not None and not 0 <= now <= clock.LATEST:
                flaws.add(("given", "clock"), f"{raw['clock']} is not between 1970 and 9999")
        for vendor in islice(seed.keys() - self._contracts.keys(), MAX_FLAWS):
            flaws.add(("given", "seed", vendor), f"is not a vendor{suggestion(vendor, self._contracts)}")
        return Given(now, seed)

    def _state(self, seed: dict[str, Any]) -> State:
        """A state with the seeded settings only, because they select the version of a contract."""
        state = State()
        for vendor, collections in seed.items():
            contract = self._contracts.get(vendor)
            for settings in collections.get(SETTINGS, ())[-1:]:
                if contract is not None and SETTINGS in contract.rules.collections:
                    state.put(contract.rules.collections[SETTINGS], SETTINGS, settings, 0)
        return state

    def _step(self, at: int, raw: dict[str, Any], state: State, effects: EffectsReader, flaws: Flaws) -> Step:
        place: Place = ("steps", at)
        names, then = raw.get("operation"), raw.get("then", {})
        time = None
        if "for" in raw:
            try:
                time = duration(raw["for"])
            except ValueError as error:
                flaws.add((*place, "for"), str(error))
        if names is None:
            for name in ("when", "times", "for"):
                if name in raw:
                    flaws.add((*place, name), "needs an operation")
            return Step(at + 1, None, None, (), {}, 1, None, effects.without_call(then, (*place, "then")))
        routes = self._named(names, place, flaws)
        selected = [route.contract.select_version(route, state) for route in routes]
        times = raw.get("times", _ANY if time is not None else 1)
        when = _when(raw.get("when", {}))
        parts = tuple(_parts(when, (*place, "when"), selected, flaws))
        return Step(
            at + 1,
            names if isinstance(names, str) else ", ".join(names),
            frozenset(route.operation.id for route in routes),
            parts,
            when,
            None if times == _ANY else int(times),
            time,
            effects.for_calls(then, selected, (*place, "then")) if routes else Effects({}),
        )

    def _named(self, names: str | list[str], place: Place, flaws: Flaws) -> list[Route]:
        """The operations that a step names by operationId, `vendor.*` or `*`."""
        found: dict[str, Route] = {}
        for at, name in enumerate([names] if isinstance(names, str) else names):
            vendor, dot, rest = name.rpartition(".")
            if name == "*":
                found |= self._routes
            elif name in self._routes:
                found[name] = self._routes[name]
            elif dot and rest == "*" and vendor in self._contracts:
                found |= {id: route for id, route in self._routes.items() if route.contract.vendor == vendor}
            else:
                where = (*place, "operation") if isinstance(names, str) else (*place, "operation", at)
                known = [*self._routes, *(f"{vendor}.*" for vendor in self._contracts)]
                flaws.add(where, f"there is no operation {shortened(name)}{suggestion(name, known)}")
        return list(found.values())


def _count_values(document: Any) -> int:
    """The number of values in a document."""
    count, waiting = 0, [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict | list):
            count += len(value)
            waiting += value.values() if isinstance(value, dict) else value
    return count


def parse(text: str, file: str) -> Any:
    """The value of a YAML document. Raises `InvalidDocument` if it is not valid YAML."""
    try:
        return yaml_file.parse_untrusted(text, file)
    except DocumentError as error:
        raise InvalidDocument(file, [Flaw("", error.line, error.reason)]) from None


def seed_errors(text: str, file: str, raw: Any, violations: list[Violation]) -> InvalidDocument:
    """The violations of a scenario's seed, as mistakes in its document."""
    flaws = Flaws()
    for violation in violations:
        place: list[str | int] = [int(it) if it.isdigit() else it for it in _PLACE_PART.findall(violation.where)]
        if len(place) > 1 and place[1] == SETTINGS and place[0] in raw["given"].get("settings", {}):
            flaws.add(("given", "settings", place[0], *place[3:]), violation.message)
        else:
            flaws.add(("given", "seed", *place), violation.message)
    try:
        flaws.raise_if_any(file, text)
    except InvalidDocument as flawed:
        return flawed
    return InvalidDocument(file, [Flaw("/given", None, "cannot be applied")])


def _when(raw: dict[str, Any]) -> dict[str, Any]:
    """The patterns by part: strings for path, query and headers; names of headers in lower case."""
    when = {name: raw[name] if name == "body" else text_pattern(raw[name]) for name in PARTS if name in raw}
    if "headers" in when:
        when["headers"] = {name.lower(): part for name, part in when["headers"].items()}
    return when


def _sizes(when: Any) -> Iterator[int]:
    for expression in expressions(when):
        with suppress(ValueError):  # reported when it is compiled
            yield compile_regex(expression).size


def _parts(when: dict[str, Any], place: Place, routes: list[Route], flaws: Flaws) -> Iterator[tuple[str, Matcher]]:
    for name, pattern in when.items():
        try:
            yield name, compile_pattern(pattern)
        except ValueError as error:
            flaws.add((*place, name), str(error))
    if not routes:
        return
    operations = [route.operation for route in routes]
    for location in ("path", "query"):
        known = [it.name for operation in operations for it in operation.parameters if it.location == location]
        for name in when.get(location, {}):
            if name not in known:
                detail = (
                    f"{operations[0].id} has no {location} parameter {shortened(name)}{suggestion(name, known)}"
                    if len(operations) == 1
                    else f"none of these operations has a {location} parameter {shortened(name)}"
                )
                flaws.add((*place, location, name), detail)
    if "body" in when:
        schemas = [validator.schema for it in operations if it.body for validator in it.body.content.values()]
        if not schemas:
            flaws.add((*place, "body"), f"{operations[0].id} has no body")
        _check_fields(when["body"], schemas, [schema.get("$defs", {}) for schema in schemas], (*place, "body"), flaws)


def _check_fields(pattern: Any, schemas: list[Any], defs: list[Any], place: Place, flaws: Flaws) -> None:
    """Report fields that none of the schemas declares, unless a schema admits any field."""
    if isinstance(pattern, list):
        items = [_resolved(schema, it).get("items") for schema, it in zip(schemas, defs, strict=True)]
        for at, part in enumerate(pattern):
            _check_fields(part, [it or {} for it in items], defs, (*place, at), flaws)
    if not isinstance(pattern, dict) or is_operator(pattern):
        return
    declared = [_declared_fields(schema, it) for schema, it in zip(schemas, defs, strict=True)]
    if any(fields is None for fields in declared):
        return
    known = {name for fields in declared for name in fields or ()}
    for name, part in pattern.items():
        if name not in known:
            flaws.add((*place, name), f"the body has no such field{suggestion(name, known)}")
        else:
            inner = [((fields or {}).get(name), it) for fields, it in zip(declared, defs, strict=True)]
            kept = [(schema, it) for schema, it in inner if schema is not None]
            _check_fields(part, [schema for schema, _ in kept], [it for _, it in kept], (*place, name), flaws)


def _resolved(schema: Any, defs: Any) -> dict[str, Any]:
    """A schema, with `$ref` followed."""
    seen = 0
    while isinstance(schema, dict) and "$ref" in schema and seen < _MAX_DEPTH:
        schema, seen = defs.get(schema["$ref"].rpartition("/")[2], {}), seen + 1
    return schema if isinstance(schema, dict) else {}


def _declared_fields(schema: Any, defs: Any, depth: int = 0) -> dict[str, Any] | None:
    """The fields that a schema and its parts declare; None if it declares none, or admits others."""
    plain = _resolved(schema, defs)
    additional = plain.get("additionalProperties")
    if isinstance(additional, dict) or additional is True or depth > _MAX_DEPTH:
        return None
    found: dict[str, Any] = dict(plain.get("properties", {}))
    for keyword in ("allOf", "anyOf", "oneOf"):
        for part in plain.get(keyword, ()):
            found |= _declared_fields(part, defs, depth + 1) or {}
    return found or None
