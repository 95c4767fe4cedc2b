"""JSON Schema compiled once per schema, judged per message; every violation at once, each with its place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import jsonschema_rs

from promo_sandbox.base.messages import Violation, decode_trusted
from promo_sandbox.base.nearest_names import nearest
from promo_sandbox.openapi.explanation import Explanation, OwnError, is_large
from promo_sandbox.openapi.fast_accept import Test, compile_test, compile_validator, optional_field_tests
from promo_sandbox.openapi.integers import Integers

MAX_VIOLATIONS = 50
MAX_MESSAGE = 300
_MAX_DEPTH = 50  # of schemas composed of schemas
_REMEMBERED = 64  # replies that each validator knows to be valid

# Members of an OpenAPI schema that say nothing about validity.
_ANNOTATIONS = frozenset(
    {"default", "deprecated", "description", "discriminator", "example", "examples", "readOnly", "title", "writeOnly"}
)
_INTEGERS = {"int32": 2**31, "int64": 2**63}
_SCHEMAS = "#/components/schemas/"


class Validator:
    """A schema that is compiled when it is first asked."""

    __slots__ = (
        "_accepts",
        "_compiled",
        "_explanation",
        "_integers",
        "_known",
        "_optional_field_tests",
        "_valid",
        "schema",
    )

    def __init__(self, schema: dict[str, Any]) -> None:
        self.schema = schema
        self._compiled: jsonschema_rs.Draft202012Validator | None = None
        self._accepts: Test | None = None
        self._integers: Integers | None = None
        self._optional_field_tests: dict[str, Test] | None = None
        self._known: _Known | None = None
        self._explanation: Explanation | None = None
        self._valid: set[int] = set()  # by 64 bits of a hash that nobody outside can aim at

    @property
    def compiled(self) -> jsonschema_rs.Draft202012Validator:
        if self._compiled is None:
            self._compiled = compile_validator(self.schema)
        return self._compiled

    def validate(self, body: bytes, value: Any, where: str) -> list[Violation]:
        """The same for a value with its encoding, or that twice: what was valid a moment ago is not judged again."""
        known = hash(body)
        if known in self._valid:
            return []
        found = self.violations(decode_trusted(body) if type(value) is bytes else value, where)
        if not found:
            if len(self._valid) >= _REMEMBERED:
                self._valid.clear()
            self._valid.add(known)
        return found

    def read(self, value: Any, where: str, violations: list[Violation]) -> Any:
        """A value from outside as it is to be kept: its integers written as integers. What is wrong is put on the list.

        What is accepted at a glance has them so.
        """
        if (self._accepts or self._compile_test())(value):
            return value
        found = self._find_violations(value, where)
        if found:
            violations += found
            return value
        return self.normalise_integers(value)

    def normalise_integers(self, value: Any) -> Any:
        """A value, be it right or not, with what are integers by the schema written as integers."""
        if self._integers is None:
            self._integers = Integers([self.schema], self.schema.get("$defs", {}))
        return self._integers.normalise(value)

    def _compile_test(self) -> Test:
        self._accepts = compile_test(self.schema, self.schema.get("$defs", {}))
        return self._accepts

    def violations(self, value: Any, where: str) -> list[Violation]:
        """What is wrong with `value`, at most 50; `where` names its place in the message, as `body`."""
        return [] if (self._accepts or self._compile_test())(value) else self._find_violations(value, where)

    def _find_violations(self, value: Any, where: str) -> list[Violation]:
        """The same for a value that was not accepted at a glance."""
        doubtful = self._without_valid_fields(value)
        if is_large(doubtful):
            return list(islice(self._explain(doubtful, where), MAX_VIOLATIONS))
        errors = self.compiled.iter_errors(doubtful)
        return list(islice((found for error in errors for found in describe_error(error, where)), MAX_VIOLATIONS))

    def unknown_fields(self, value: Any, where: str, *, deep: bool) -> Iterator[Violation]:
        """The members of an object that its schema does not know, each with the nearest name that it does know.

        A schema that says `additionalProperties`, or no member at all, knows any. deep: of the objects inside it too;
        else there only where the schema itself forbids others.
        """
        if self._known is None:
            self._known = _known([self.schema], self.schema.get("$defs", {}), {})
        return _unknown_fields(self._known, value, where, strict=True, deep=deep)

    def _explain(self, value: Any, where: str) -> Iterator[Violation]:
        """The same, worked out as it is asked for."""
        if self._explanation is None:
            self._explanation = Explanation(self.schema)
        for found in self._explanation.errors(value):
            yield from describe_error(found.error, _where(where, found.place), found.keyword_path)

    def _without_valid_fields(self, value: Any) -> Any:
        """An object without members that are right and may be absent: to explain the rest takes half the time."""
        if type(value) is not dict:
            return value
        if self._optional_field_tests is None:
            self._optional_field_tests = optional_field_tests(self.schema, self.schema.get("$defs", {}))
        tests = self._optional_field_tests
        return {name: member for name, member in value.items() if name not in tests or not tests[name](member)}


def describe_error(
    error: jsonschema_rs.ValidationError | OwnError, where: str, rule: tuple[str | int, ...] = ()
) -> Iterator[Violation]:
    """What is wrong; of alternatives, with the only one that the value can mean, by its type or its constants.

    where: the place of what was asked about; rule: that of its schema.
    """
    alternatives: list[list[jsonschema_rs.ValidationError]] = getattr(error.kind, "context", [])
    depth = len(error.instance_path)
    left = [found for found in alternatives if _excluded(found, depth) is None]
    if len(left) == 1 and left[0]:
        for inner in left[0]:
            yield from describe_error(inner, where, rule)
        return
    message = _either(left or alternatives, depth) if alternatives else error.message
    yield _violation(error, message, where, rule)


def _excluded(found: list[jsonschema_rs.ValidationError], depth: int) -> jsonschema_rs.ValidationError | None:
    """Why the value at a depth cannot be meant for an alternative: another type, or another constant in a member."""
    for error in found:
        kind, steps = error.kind.name, len(error.instance_path)
        if (steps == depth and kind == "type") or (steps == depth + 1 and kind == "const"):
            return error
        if steps == depth and kind == "enum" and type(error.instance) not in map(type, error.kind.as_dict()["options"]):
            return error
    return None


def _either(alternatives: list[list[jsonschema_rs.ValidationError]], depth: int) -> str:
    """What is wrong by each of some alternatives, or that more than one is right."""
    if not all(alternatives):
        return "fits more than one alternative, and may fit only one"
    errors = [_excluded(found, depth) or found[0] for found in alternatives]
    if all(error.kind.name == "type" and len(error.instance_path) == depth for error in errors):
        others = [", ".join(f'"{it}"' for it in error.kind.as_dict()["types"]) for error in errors[1:]]
        return " or ".join([errors[0].message, *others])
    told = [(_where("", list(error.instance_path)[depth:]).removeprefix("."), error.message) for error in errors]
    return "; or ".join(dict.fromkeys(f"{place}: {said}" if place else said for place, said in told))


def _where(where: str, steps: Iterable[str | int]) -> str:
    for step in steps:
        where += f"[{step}]" if isinstance(step, int) else f".{step}"
    return where


def _violation(
    error: jsonschema_rs.ValidationError | OwnError, message: str, where: str, rule: tuple[str | int, ...]
) -> Violation:
    kind, where = error.kind.name, _where(where, error.instance_path)
    if kind == "required":
        where += f".{error.kind.value}"
        message = "is required"
    if len(message) > MAX_MESSAGE:
        message = f"{message[:MAX_MESSAGE]}…"
    where = where if len(where) <= MAX_MESSAGE else f"{where[:MAX_MESSAGE]}…"
    path = error.schema_path
    return Violation(where, message, kind, path if not rule or path[:1] == ["$defs"] else [*rule, *path])


def json_schema(schema: Any) -> Any:
    """An OpenAPI schema as plain JSON Schema, references pointing into `$defs`."""
    if isinstance(schema, list):
        return [json_schema(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    plain: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "$ref":
            plain[key] = value.replace(_SCHEMAS, "#/$defs/")
        elif key == "properties":
            plain[key] = {name: json_schema(member) for name, member in value.items()}
        elif key in ("enum", "const", "required"):
            plain[key] = value
        elif key not in _ANNOTATIONS and not key.startswith("x-"):
            plain[key] = json_schema(value)
    bound = _INTEGERS.get(schema.get("format", ""))
    if bound:
        plain.setdefault("minimum", -bound)
        plain.setdefault("maximum", bound - 1)
    return plain


def references(schema: Any) -> set[str]:
    """The names of the component schemas that a schema refers to directly."""
    found: set[str] = set()
    if isinstance(schema, dict):
        for key, value in schema.items():
            if key == "$ref":
                found.add(value.rsplit("/", 1)[1])
            else:
                found |= references(value)
    elif isinstance(schema, list):
        for item in schema:
            found |= references(item)
    return found


class _Known:
    """The members that the schemas of a value know, whatever they are composed of."""

    __slots__ = ("closed", "items", "members", "open")

    def __init__(self) -> None:
        self.members: dict[str, _Known] = {}
        self.items: _Known | None = None
        self.closed = False  # to any other member
        self.open = True  # to any other, because a schema says so or because it says nothing of members


def _known(schemas: list[Any], definitions: dict[str, Any], made: dict[tuple[int, ...], _Known]) -> _Known:
    """made: what is known of other schemas, for those that contain themselves."""
    key = tuple(map(id, schemas))
    if key in made:
        return made[key]
    found = made[key] = _Known()
    parts = [part for schema in schemas for part in _parts(schema, definitions)]
    members: dict[str, list[Any]] = {}
    for part in parts:
        for name, member in part.get("properties", {}).items():
            members.setdefault(name, []).append(member)
    others = [part["additionalProperties"] for part in parts if "additionalProperties" in part]
    items = [part["items"] for part in parts if "items" in part]
    found.closed, found.open = False in others, bool(others) or not members
    found.members = {name: _known(each, definitions, made) for name, each in members.items()}
    found.items = _known(items, definitions, made) if items else None
    return found


def _unknown_fields(known: _Known, value: Any, where: str, *, strict: bool, deep: bool) -> Iterator[Violation]:
    if type(value) is dict:
        if not known.closed and known.open and not known.members:
            return
        for name, member in value.items():
            inner = known.members.get(name)
            if inner is not None:
                if type(member) is dict or type(member) is list:
                    yield from _unknown_fields(inner, member, f"{where}.{name}", strict=strict and deep, deep=deep)
            elif known.closed or (strict and not known.open):
                place = f"{where}.{name}"
                yield Violation(
                    place[:MAX_MESSAGE], f"is no member{_hint(name, known.members)}", "additionalProperties"
                )
    elif type(value) is list and known.items is not None:
        for at, item in enumerate(value):
            if type(item) is dict or type(item) is list:
                yield from _unknown_fields(known.items, item, f"{where}[{at}]", strict=strict and deep, deep=deep)


def _parts(schema: Any, definitions: dict[str, Any], depth: int = 0) -> Iterator[dict[str, Any]]:
    """A schema and all that it is composed of."""
    if not isinstance(schema, dict) or depth > _MAX_DEPTH:
        return
    yield schema
    if "$ref" in schema:
        yield from _parts(definitions.get(schema["$ref"].rsplit("/", 1)[1]), definitions, depth + 1)
    for keyword in ("allOf", "anyOf", "oneOf"):
        for part in schema.get(keyword, ()):
            yield from _parts(part, definitions, depth + 1)


def _hint(name: str, known: Iterable[str]) -> str:
    folded = {it.lower(): it for it in known}
    near = nearest(name.lower(), folded)
    if near:
        return f"; did you mean {folded[near[0]]}?"
    names = ", ".join(sorted(known))
    return f"; there are {names}" if len(names) <= MAX_MESSAGE else ""
