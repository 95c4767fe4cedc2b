"""Validates values against JSON Schemas, and reports all violations with their places."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import jsonschema_rs

from promo_sandbox.base.document_errors import Place
from promo_sandbox.base.messages import Violation, decode_trusted
from promo_sandbox.base.nearest_names import nearest
from promo_sandbox.openapi.explanation import Explanation, OwnError, is_large
from promo_sandbox.openapi.fast_accept import Test, compile_test, compile_validator, optional_field_tests
from promo_sandbox.openapi.integers import Integers

MAX_VIOLATIONS = 50
MAX_MESSAGE = 300
_MAX_DEPTH = 50  # of schemas composed of schemas
_REMEMBERED = 64  # valid bodies that each validator remembers

# Keywords of an OpenAPI schema that do not affect validity.
_ANNOTATIONS = frozenset(
    {"default", "deprecated", "description", "discriminator", "example", "examples", "readOnly", "title", "writeOnly"}
)
_INTEGERS = {"int32": 2**31, "int64": 2**63}
_SCHEMAS = "#/components/schemas/"


class Validator:
    """A schema that is compiled on first use."""

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
        self._known: _KnownFields | None = None
        self._explanation: Explanation | None = None
        self._valid: set[int] = (
            set()
        )  # hashes of valid bodies; clients cannot cause collisions, since hashes are salted

    @property
    def compiled(self) -> jsonschema_rs.Draft202012Validator:
        if self._compiled is None:
            self._compiled = compile_validator(self.schema)
        return self._compiled

    def validate(self, body: bytes, value: Any, where: str) -> list[Violation]:
        """The violations of a value with its encoding (or value is the encoding). Valid bodies are remembered."""
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
        """A value of a client with normalised integers. Its violations are added to the list."""
        if (self._accepts or self._compile_test())(value):
            return value
        found = self._find_violations(value, where)
        if found:
            violations += found
            return value
        return self.normalise_integers(value)

    def normalise_integers(self, value: Any) -> Any:
        """A value, valid or not, with the integers of the schema normalised."""
        if self._integers is None:
            self._integers = Integers([self.schema], self.schema.get("$defs", {}))
        return self._integers.normalise(value)

    def _compile_test(self) -> Test:
        self._accepts = compile_test(self.schema, self.schema.get("$defs", {}))
        return self._accepts

    def violations(self, value: Any, where: str) -> list[Violation]:
        """The violations of `value`, at most 50. where: its place in the message, such as `body`."""
        return [] if (self._accepts or self._compile_test())(value) else self._find_violations(value, where)

    def _find_violations(self, value: Any, where: str) -> list[Violation]:
        """The same for a value that the fast test did not accept."""
        rest = self._without_valid_fields(value)
        if is_large(rest):
            return list(islice(self._explain(rest, where), MAX_VIOLATIONS))
        errors = self.compiled.iter_errors(rest)
        return list(islice((found for error in errors for found in describe_error(error, where)), MAX_VIOLATIONS))

    def unknown_fields(self, value: Any, where: str, *, deep: bool) -> Iterator[Violation]:
        """Violations for the fields that an object's schema does not declare, each with the nearest declared name.

        A schema with `additionalProperties`, or without properties, allows all fields. deep: also check nested objects;
        otherwise they are checked only where their schema itself forbids other fields.
        """
        if self._known is None:
            self._known = _known_fields([self.schema], self.schema.get("$defs", {}), {})
        return _unknown_fields(self._known, value, where, strict=True, deep=deep)

    def _explain(self, value: Any, where: str) -> Iterator[Violation]:
        """The violations of a large value. Each violation is computed when it is needed."""
        if self._explanation is None:
            self._explanation = Explanation(self.schema)
        for found in self._explanation.errors(value):
            yield from describe_error(found.error, _where(where, found.place), found.keyword_path)

    def _without_valid_fields(self, value: Any) -> Any:
        """An object without its valid optional fields. Finding the errors of the rest takes half the time."""
        if type(value) is not dict:
            return value
        if self._optional_field_tests is None:
            self._optional_field_tests = optional_field_tests(self.schema, self.schema.get("$defs", {}))
        tests = self._optional_field_tests
        return {name: field for name, field in value.items() if name not in tests or not tests[name](field)}


def describe_error(
    error: jsonschema_rs.ValidationError | OwnError, where: str, keyword_path: Place = ()
) -> Iterator[Violation]:
    """The violations of an error. If only one alternative is possible by its type or constants, those of it.

    where: the place of the validated value; keyword_path: the place of its schema.
    """
    alternatives: list[list[jsonschema_rs.ValidationError]] | None = getattr(error.kind, "context", None)
    message = error.message
    if alternatives:
        depth = len(error.instance_path)
        possible = [errors for errors in alternatives if _mismatch(errors, depth) is None]
        if len(possible) == 1 and possible[0]:
            for inner in possible[0]:
                yield from describe_error(inner, where, keyword_path)
            return
        message = _describe_alternatives(possible or alternatives, depth)
    yield _violation(error, message, where, keyword_path)


def _mismatch(errors: list[jsonschema_rs.ValidationError], depth: int) -> jsonschema_rs.ValidationError | None:
    """The error that excludes an alternative: the value has another type, or a field has another constant."""
    for error in errors:
        kind, steps = error.kind.name, len(error.instance_path)
        if (steps == depth and kind == "type") or (steps == depth + 1 and kind == "const"):
            return error
        if steps == depth and kind == "enum" and type(error.instance) not in map(type, error.kind.as_dict()["options"]):
            return error
    return None


def _describe_alternatives(alternatives: list[list[jsonschema_rs.ValidationError]], depth: int) -> str:
    """The error of each alternative, or a sentence if the value matches several ones."""
    if not all(alternatives):
        return "fits more than one alternative, and may fit only one"
    errors = [_mismatch(found, depth) or found[0] for found in alternatives]
    if all(error.kind.name == "type" and len(error.instance_path) == depth for error in errors):
        others = [", ".join(f'"{it}"' for it in error.kind.as_dict()["types"]) for error in errors[1:]]
        return " or ".join([errors[0].message, *others])
    messages = [(_where("", list(error.instance_path)[depth:]).removeprefix("."), error.message) for error in errors]
    return "; or ".join(dict.fromkeys(f"{place}: {message}" if place else message for place, message in messages))


def _where(where: str, steps: Iterable[str | int]) -> str:
    for step in steps:
        where += f"[{step}]" if isinstance(step, int) else f".{step}"
    return where


def _violation(
    error: jsonschema_rs.ValidationError | OwnError, message: str, where: str, keyword_path: Place
) -> Violation:
    kind, where = error.kind.name, _where(where, error.instance_path)
    if kind == "required":
        where += f".{error.kind.value}"
        message = "is required"
    if len(message) > MAX_MESSAGE:
        message = f"{message[:MAX_MESSAGE]}…"
    where = where if len(where) <= MAX_MESSAGE else f"{where[:MAX_MESSAGE]}…"
    path = error.schema_path
    whole_path = path if not keyword_path or path[:1] == ["$defs"] else [*keyword_path, *path]
    return Violation(where, message, kind, whole_path)


def json_schema(schema: Any) -> Any:
    """Convert an OpenAPI schema to plain JSON Schema, with references into `$defs`."""
    if isinstance(schema, list):
        return [json_schema(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    plain: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "$ref":
            plain[key] = value.replace(_SCHEMAS, "#/$defs/")
        elif key == "properties":
            plain[key] = {name: json_schema(field) for name, field in value.items()}
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


class _KnownFields:
    """The fields that the schemas of a value declare, with all schemas that they are composed of."""

    __slots__ = ("closed", "fields", "items", "open")

    def __init__(self) -> None:
        self.fields: dict[str, _KnownFields] = {}
        self.items: _KnownFields | None = None
        self.closed = False  # whether a schema forbids other fields
        self.open = True  # whether a schema allows other fields, or no schema declares fields


def _known_fields(
    schemas: list[Any], definitions: dict[str, Any], done: dict[tuple[int, ...], _KnownFields]
) -> _KnownFields:
    """done: the results for other schemas, since a schema may contain itself."""
    key = tuple(map(id, schemas))
    if key in done:
        return done[key]
    found = done[key] = _KnownFields()
    parts = [part for schema in schemas for part in _parts(schema, definitions)]
    fields: dict[str, list[Any]] = {}
    for part in parts:
        for name, field in part.get("properties", {}).items():
            fields.setdefault(name, []).append(field)
    additional = [part["additionalProperties"] for part in parts if "additionalProperties" in part]
    items = [part["items"] for part in parts if "items" in part]
    found.closed, found.open = False in additional, bool(additional) or not fields
    found.fields = {name: _known_fields(each, definitions, done) for name, each in fields.items()}
    found.items = _known_fields(items, definitions, done) if items else None
    return found


def _unknown_fields(known: _KnownFields, value: Any, where: str, *, strict: bool, deep: bool) -> Iterator[Violation]:
    if type(value) is dict:
        if not known.closed and known.open and not known.fields:
            return
        for name, field in value.items():
            inner = known.fields.get(name)
            if inner is not None:
                if type(field) is dict or type(field) is list:
                    yield from _unknown_fields(inner, field, f"{where}.{name}", strict=strict and deep, deep=deep)
            elif known.closed or (strict and not known.open):
                message = f"is not a known field{_hint(name, known.fields)}"
                yield Violation(f"{where}.{name}"[:MAX_MESSAGE], message, "additionalProperties")
    elif type(value) is list and known.items is not None:
        for at, item in enumerate(value):
            if type(item) is dict or type(item) is list:
                yield from _unknown_fields(known.items, item, f"{where}[{at}]", strict=strict and deep, deep=deep)


def _parts(schema: Any, definitions: dict[str, Any], depth: int = 0) -> Iterator[dict[str, Any]]:
    """A schema and all schemas that it is composed of."""
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
