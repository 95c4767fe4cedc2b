"""What is wrong with a value, as `jsonschema_rs` says it, but in no more time than a few answers take.

The library works out every error before it tells the first, and each takes longer than the value's part took to send.
So a large value is asked about part by part, as its schema is composed, until somebody has heard enough.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

import jsonschema_rs

from promo_sandbox.openapi.fast_accept import Test, chosen_alternative, compile_test, compile_validator

_LARGE = 200  # values
_COLLECTIONS = {dict, list}
_UNKNOWN = 50  # members that are named as not being known
_OF_ANY = frozenset({"type", "$defs", "$schema"})
_OF_OTHERS = frozenset({"minLength", "maxLength", "pattern", "format", "minimum", "maximum", "multipleOf"})
_OF_ARRAYS = frozenset({"items", "minItems", "maxItems", "uniqueItems"})
_OF_OBJECTS = frozenset({"properties", "required", "additionalProperties", "minProperties", "maxProperties"})
_ARRAY = _OF_ANY | _OF_OTHERS | _OF_ARRAYS
_OBJECT = _OF_ANY | _OF_OTHERS | _OF_OBJECTS

Schema = Mapping[str, Any]
Steps = tuple[str | int, ...]


class Kind(NamedTuple):
    name: str
    value: Any = None


class OwnError(NamedTuple):
    """An error of our own, with what is read of the library's."""

    kind: Kind
    message: str
    instance_path: tuple[()] = ()
    schema_path: tuple[()] = ()


class LocatedError(NamedTuple):
    """An error, the part of the value that its paths begin at, and that part's place in the schema."""

    error: jsonschema_rs.ValidationError | OwnError
    place: Steps
    keyword_path: Steps

    def steps(self) -> Steps:
        """To what is wrong, in the whole value."""
        return (*self.place, *self.error.instance_path)

    def schema_steps(self) -> Steps:
        """To the broken keyword, in the whole schema."""
        own = tuple(self.error.schema_path)
        return own if own[:1] == ("$defs",) else (*self.keyword_path, *own)


class Explanation:
    """Tells what is wrong with values of one schema, an error when it is asked for."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._definitions: Schema = schema.get("$defs", {})
        # By the identity of a schema, which stays, since these are parts of the whole or kept beside it.
        self._validators: dict[tuple[int, str], jsonschema_rs.Draft202012Validator] = {}
        self._tests: dict[int, Test] = {}
        self._rests: dict[int, Schema] = {}

    def errors(self, value: Any) -> Iterator[LocatedError]:
        return self._errors(self._schema, value, (), ())

    def _errors(self, schema: Schema, value: Any, place: Steps, keyword_path: Steps) -> Iterator[LocatedError]:
        while schema.keys() - {"$defs"} == {"$ref"}:
            name = schema["$ref"].rsplit("/", 1)[1]
            schema, keyword_path = self._definitions[name], ("$defs", name)
        if not is_large(value):
            yield from self._library_errors(schema, schema, "", value, place, keyword_path)
        elif "allOf" in schema:
            yield from self._errors(self._rest(schema), value, place, keyword_path)
            for at, part in enumerate(schema["allOf"]):
                yield from self._errors(part, value, place, (*keyword_path, "allOf", at))
        elif type(value) is list and schema.keys() <= _ARRAY and _admits(schema, "array"):
            yield from self._array(schema, value, place, keyword_path)
        elif type(value) is dict and schema.keys() <= _OBJECT and _admits(schema, "object"):
            yield from self._object(schema, value, place, keyword_path)
        else:
            yield from self._alternatives(schema, value, place, keyword_path)

    def _rest(self, schema: Schema) -> Schema:
        """What a schema says besides what it is composed of."""
        if id(schema) not in self._rests:
            self._rests[id(schema)] = {name: said for name, said in schema.items() if name not in ("allOf", "$defs")}
        return self._rests[id(schema)]

    def _array(self, schema: Schema, value: list[Any], place: Steps, keyword_path: Steps) -> Iterator[LocatedError]:
        own = {name: said for name, said in schema.items() if name in _OF_ARRAYS and name != "items"}
        most = own.get("maxItems")
        if most is not None and len(value) > most:  # the library would quote it all
            yield LocatedError(
                OwnError(Kind("maxItems"), f"has more than {most} items"), place, (*keyword_path, "maxItems")
            )
        elif own:
            yield from self._library_errors(schema, own, "own", value, place, keyword_path)
        items = schema.get("items", True)
        if isinstance(items, dict):
            fits = self._test(items)
            for at, item in enumerate(value):
                if not fits(item):
                    yield from self._errors(items, item, (*place, at), (*keyword_path, "items"))

    def _object(
        self, schema: Schema, value: dict[str, Any], place: Steps, keyword_path: Steps
    ) -> Iterator[LocatedError]:
        known, further = schema.get("properties", {}), schema.get("additionalProperties", True)
        own = {name: said for name, said in schema.items() if name in _OF_OBJECTS}
        own |= {"properties": dict.fromkeys(known, True), "additionalProperties": further is not False}
        counted = max(_UNKNOWN, schema.get("minProperties", 0), schema.get("maxProperties", 0) + 1)
        names = {name: None for name in (*known, *schema.get("required", ())) if name in value}
        names |= dict.fromkeys(islice((name for name in value if name not in names), counted))
        yield from self._library_errors(schema, own, "own", names, place, keyword_path)
        for name in value if isinstance(further, dict) else [name for name in known if name in value]:
            part, member = known.get(name, further), value[name]
            if isinstance(part, dict) and not self._test(part)(member):
                steps = ("properties", name) if name in known else ("additionalProperties",)
                yield from self._errors(part, member, (*place, name), (*keyword_path, *steps))

    def _alternatives(self, schema: Schema, value: Any, place: Steps, keyword_path: Steps) -> Iterator[LocatedError]:
        """Of alternatives that a constant decides between, what is wrong by the right one; else only that it is."""
        chosen = chosen_alternative(schema, self._definitions, value)
        if chosen is not None:
            yield from self._errors(schema["oneOf"][chosen], value, place, (*keyword_path, "oneOf", chosen))
        elif not self._test(schema)(value):
            keyword = next((name for name in ("oneOf", "anyOf", "not") if name in schema), "type")
            yield LocatedError(OwnError(Kind(keyword), "is not as described"), place, (*keyword_path, keyword))

    def _library_errors(
        self, schema: Schema, asked: Schema, which: str, value: Any, place: Steps, keyword_path: Steps
    ) -> Iterator[LocatedError]:
        """What the library says of a value by a schema, or by a part of it that is called so."""
        key = id(schema), which
        if key not in self._validators:
            self._validators[key] = compile_validator({**asked, "$defs": self._definitions})
        for error in self._validators[key].iter_errors(value):
            yield LocatedError(error, place, keyword_path)

    def _test(self, schema: Schema) -> Test:
        if id(schema) not in self._tests:
            self._tests[id(schema)] = compile_test(schema, self._definitions)
        return self._tests[id(schema)]


def _admits(schema: Schema, kind: str) -> bool:
    kinds = schema.get("type", kind)
    return kind == kinds if isinstance(kinds, str) else kind in kinds


def is_large(value: Any) -> bool:
    """Whether there are more values in it than the library can be asked about at once."""
    left = _LARGE
    waiting = [value] if type(value) in _COLLECTIONS else []
    for collection in waiting:  # which grows meanwhile
        left -= len(collection)
        if left < 0:
            return True
        for inner in collection.values() if type(collection) is dict else collection:
            if type(inner) in _COLLECTIONS:
                waiting.append(inner)  # noqa: PERF401 - a list that is being read
    return False
