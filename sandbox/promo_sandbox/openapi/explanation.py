"""Finds the errors of an invalid value with `jsonschema_rs`, in bounded time.

The library computes all errors before it returns the first one, which takes very long for large values. So a large
value is validated part by part, along its schema, until the caller has enough errors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

import jsonschema_rs

from promo_sandbox.base.document_errors import Place
from promo_sandbox.openapi.fast_accept import Test, chosen_alternative, compile_test, compile_validator

_LARGE = 200  # values
_COLLECTIONS = {dict, list}
_MAX_UNKNOWN = 50  # unknown fields that are reported
_OF_ANY = frozenset({"type", "$defs", "$schema"})
_OF_OTHERS = frozenset({"minLength", "maxLength", "pattern", "format", "minimum", "maximum", "multipleOf"})
_OF_ARRAYS = frozenset({"items", "minItems", "maxItems", "uniqueItems"})
_OF_OBJECTS = frozenset({"properties", "required", "additionalProperties", "minProperties", "maxProperties"})
_ARRAY = _OF_ANY | _OF_OTHERS | _OF_ARRAYS
_OBJECT = _OF_ANY | _OF_OTHERS | _OF_OBJECTS

Schema = Mapping[str, Any]


class Kind(NamedTuple):
    name: str
    value: Any = None


class OwnError(NamedTuple):
    """An error that this module found itself, with the attributes of the library's errors."""

    kind: Kind
    message: str
    instance_path: tuple[()] = ()
    schema_path: tuple[()] = ()


class LocatedError(NamedTuple):
    """An error in a part of a value. The paths of the error are relative to this part."""

    error: jsonschema_rs.ValidationError | OwnError
    place: Place  # of the part, in the whole value
    keyword_path: Place  # of the part's schema, in the whole schema

    def value_path(self) -> Place:
        """The place of the error in the whole value."""
        return (*self.place, *self.error.instance_path)

    def schema_path(self) -> Place:
        """The place of the keyword in the whole schema."""
        own = tuple(self.error.schema_path)
        return own if own[:1] == ("$defs",) else (*self.keyword_path, *own)


class Explanation:
    """Finds the errors of values of one schema. Each error is computed when it is needed."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._definitions: Schema = schema.get("$defs", {})
        # By the identity of a schema. It is stable, because all schemas are parts of the whole schema or are kept here.
        self._validators: dict[tuple[int, str], jsonschema_rs.Draft202012Validator] = {}
        self._tests: dict[int, Test] = {}
        self._rests: dict[int, Schema] = {}

    def errors(self, value: Any) -> Iterator[LocatedError]:
        return self._errors(self._schema, value, (), ())

    def _errors(self, schema: Schema, value: Any, place: Place, keyword_path: Place) -> Iterator[LocatedError]:
        while schema.keys() - {"$defs"} == {"$ref"}:
            name = schema["$ref"].rsplit("/", 1)[1]
            schema, keyword_path = self._definitions[name], ("$defs", name)
        if not is_large(value):
            yield from self._library_errors(schema, schema, "", value, place, keyword_path)
        elif "allOf" in schema:
            yield from self._errors(self._rest(schema), value, place, keyword_path)
            for at, part in enumerate(schema["allOf"]):
                yield from self._errors(part, value, place, (*keyword_path, "allOf", at))
        elif type(value) is list and schema.keys() <= _ARRAY and _allows_type(schema, "array"):
            yield from self._array(schema, value, place, keyword_path)
        elif type(value) is dict and schema.keys() <= _OBJECT and _allows_type(schema, "object"):
            yield from self._object(schema, value, place, keyword_path)
        else:
            yield from self._alternatives(schema, value, place, keyword_path)

    def _rest(self, schema: Schema) -> Schema:
        """A schema without its `allOf`."""
        if id(schema) not in self._rests:
            self._rests[id(schema)] = {name: value for name, value in schema.items() if name not in ("allOf", "$defs")}
        return self._rests[id(schema)]

    def _array(self, schema: Schema, value: list[Any], place: Place, keyword_path: Place) -> Iterator[LocatedError]:
        own = {name: limit for name, limit in schema.items() if name in _OF_ARRAYS and name != "items"}
        most = own.get("maxItems")
        if most is not None and len(value) > most:  # the library's message would contain the whole array
            yield LocatedError(
                OwnError(Kind("maxItems"), f"has more than {most} items"), place, (*keyword_path, "maxItems")
            )
        elif own:
            yield from self._library_errors(schema, own, "own", value, place, keyword_path)
        items = schema.get("items", True)
        if isinstance(items, dict):
            is_valid = self._test(items)
            for at, item in enumerate(value):
                if not is_valid(item):
                    yield from self._errors(items, item, (*place, at), (*keyword_path, "items"))

    def _object(
        self, schema: Schema, value: dict[str, Any], place: Place, keyword_path: Place
    ) -> Iterator[LocatedError]:
        known, additional = schema.get("properties", {}), schema.get("additionalProperties", True)
        own = {name: limit for name, limit in schema.items() if name in _OF_OBJECTS}
        own |= {"properties": dict.fromkeys(known, True), "additionalProperties": additional is not False}
        counted = max(_MAX_UNKNOWN, schema.get("minProperties", 0), schema.get("maxProperties", 0) + 1)
        names = {name: None for name in (*known, *schema.get("required", ())) if name in value}
        names |= dict.fromkeys(islice((name for name in value if name not in names), counted))
        yield from self._library_errors(schema, own, "own", names, place, keyword_path)
        for name in value if isinstance(additional, dict) else [name for name in known if name in value]:
            part, field = known.get(name, additional), value[name]
            if isinstance(part, dict) and not self._test(part)(field):
                steps = ("properties", name) if name in known else ("additionalProperties",)
                yield from self._errors(part, field, (*place, name), (*keyword_path, *steps))

    def _alternatives(self, schema: Schema, value: Any, place: Place, keyword_path: Place) -> Iterator[LocatedError]:
        """If a constant chooses an alternative, the errors of that alternative; else one general error."""
        chosen = chosen_alternative(schema, self._definitions, value)
        if chosen is not None:
            yield from self._errors(schema["oneOf"][chosen], value, place, (*keyword_path, "oneOf", chosen))
        elif not self._test(schema)(value):
            keyword = next((name for name in ("oneOf", "anyOf", "not") if name in schema), "type")
            yield LocatedError(OwnError(Kind(keyword), "is not as described"), place, (*keyword_path, keyword))

    def _library_errors(
        self, schema: Schema, part: Schema, kind: str, value: Any, place: Place, keyword_path: Place
    ) -> Iterator[LocatedError]:
        """The library's errors for a value and a part of a schema. kind: which part, to find its validator again."""
        key = id(schema), kind
        if key not in self._validators:
            self._validators[key] = compile_validator({**part, "$defs": self._definitions})
        for error in self._validators[key].iter_errors(value):
            yield LocatedError(error, place, keyword_path)

    def _test(self, schema: Schema) -> Test:
        if id(schema) not in self._tests:
            self._tests[id(schema)] = compile_test(schema, self._definitions)
        return self._tests[id(schema)]


def _allows_type(schema: Schema, type_: str) -> bool:
    types = schema.get("type", type_)
    return type_ == types if isinstance(types, str) else type_ in types


def is_large(value: Any) -> bool:
    """Whether the value contains too many values to validate it as a whole."""
    left = _LARGE
    pending = [value] if type(value) in _COLLECTIONS else []
    for collection in pending:  # grows in the loop
        left -= len(collection)
        if left < 0:
            return True
        for inner in collection.values() if type(collection) is dict else collection:
            if type(inner) in _COLLECTIONS:
                pending.append(inner)  # noqa: PERF401 - the list that the loop reads
    return False
