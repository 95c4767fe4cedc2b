"""Normalises integers: where a schema has the type integer, `3.0` and `3e0` are stored and sent as `3`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

Schema = Mapping[str, Any]
_PARTS = ("allOf", "anyOf", "oneOf")


class Integers:
    """Where a document has integers, by all schemas that describe the same place of it."""

    __slots__ = ("_additional", "_declared", "_definitions", "_fields", "_is_integer", "_items", "_schemas")

    def __init__(self, schemas: Iterable[Schema], definitions: Schema) -> None:
        self._definitions = definitions
        self._schemas = list(_composed(schemas, definitions))
        types = [type_ for schema in self._schemas for type_ in _types(schema)]
        self._is_integer = "integer" in types and "number" not in types  # with both, an alternative may be a number
        self._declared = {name for schema in self._schemas for name in schema.get("properties", ())}
        self._fields: dict[str, Integers | None] = {}  # of declared fields, filled on first use
        self._additional: list[Integers | None] = []
        self._items: list[Integers | None] = []

    def normalise(self, value: Any) -> Any:
        """A valid value with normalised integers; the same object if they already are normalised."""
        if type(value) is Decimal:
            return int(value) if self._is_integer and value == value.to_integral_value() else value
        if type(value) is dict:
            changed = None
            for name, field in value.items():
                place = self._field(name) if type(field) in (Decimal, dict, list) else None
                kept = field if place is None else place.normalise(field)
                if kept is not field:
                    changed = dict(value) if changed is None else changed
                    changed[name] = kept
            return value if changed is None else changed
        if type(value) is list:
            place = self._item()
            items = value if place is None else [place.normalise(item) for item in value]
            return items if any(kept is not item for kept, item in zip(items, value, strict=True)) else value
        return value

    def _field(self, name: str) -> Integers | None:
        if name in self._declared:
            if name not in self._fields:
                self._fields[name] = self._place(
                    schema["properties"][name] for schema in self._schemas if name in schema.get("properties", ())
                )
            return self._fields[name]
        if not self._additional:
            self._additional.append(self._place(self._under("additionalProperties")))
        return self._additional[0]

    def _item(self) -> Integers | None:
        if not self._items:
            self._items.append(self._place(self._under("items")))
        return self._items[0]

    def _under(self, keyword: str) -> Iterator[Schema]:
        return (schema[keyword] for schema in self._schemas if isinstance(schema.get(keyword), Mapping))

    def _place(self, schemas: Iterable[Schema]) -> Integers | None:
        found = list(schemas)
        return Integers(found, self._definitions) if mentions_integer(found, self._definitions) else None


def mentions_integer(schemas: Iterable[Schema], definitions: Schema) -> bool:
    """Whether the schemas, or schemas that they refer to, contain the type integer."""
    pending: list[Any] = list(schemas)
    visited: set[str] = set()
    while pending:
        schema = pending.pop()
        if isinstance(schema, list):
            pending += schema
        elif isinstance(schema, Mapping):
            if "integer" in _types(schema):
                return True
            name = _reference(schema)
            if name is not None and name not in visited:
                visited.add(name)
                pending.append(definitions[name])
            pending += schema.values()
    return False


def _composed(schemas: Iterable[Schema], definitions: Schema) -> Iterator[Schema]:
    """The schemas, and the schemas that they refer to or are composed of."""
    pending = list(schemas)
    visited: set[str] = set()
    while pending:
        schema = pending.pop()
        name = _reference(schema)
        if name is not None and name not in visited:
            visited.add(name)
            pending.append(definitions[name])
        for keyword in _PARTS:
            pending += schema.get(keyword, ())
        yield schema


def _reference(schema: Schema) -> str | None:
    reference = schema.get("$ref")
    return reference.rpartition("/")[2] if isinstance(reference, str) else None


def _types(schema: Schema) -> list[str]:
    type_ = schema.get("type")
    return [type_] if isinstance(type_, str) else type_ if isinstance(type_, list) else []
