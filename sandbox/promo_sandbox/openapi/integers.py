"""Integers in their own notation: where a schema says integer, `3.0` and `3e0` are kept, and answered, as `3`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

Schema = Mapping[str, Any]
_PARTS = ("allOf", "anyOf", "oneOf")


class Integers:
    """All schemas that describe one place of a document, and with that where in it integers are."""

    __slots__ = ("_additional", "_declared", "_definitions", "_is_integer", "_items", "_members", "_schemas")

    def __init__(self, schemas: Iterable[Schema], definitions: Schema) -> None:
        self._definitions = definitions
        self._schemas = list(_composed(schemas, definitions))
        kinds = [kind for schema in self._schemas for kind in _types(schema)]
        self._is_integer = "integer" in kinds and "number" not in kinds  # of two alternatives, either may be meant
        self._declared = {name for schema in self._schemas for name in schema.get("properties", ())}
        self._members: dict[str, Integers | None] = {}  # of those that are declared; made when they are first met
        self._additional: list[Integers | None] = []
        self._items: list[Integers | None] = []

    def normalise(self, value: Any) -> Any:
        """A value that fits its schema with its integers as integers; the same object if they were written so."""
        if type(value) is Decimal:
            return int(value) if self._is_integer and value == value.to_integral_value() else value
        if type(value) is dict:
            changed = None
            for name, member in value.items():
                place = self._member(name) if type(member) in (Decimal, dict, list) else None
                kept = member if place is None else place.normalise(member)
                if kept is not member:
                    changed = dict(value) if changed is None else changed
                    changed[name] = kept
            return value if changed is None else changed
        if type(value) is list:
            place = self._item()
            items = value if place is None else [place.normalise(item) for item in value]
            return items if any(kept is not item for kept, item in zip(items, value, strict=True)) else value
        return value

    def _member(self, name: str) -> Integers | None:
        if name in self._declared:
            if name not in self._members:
                self._members[name] = self._place(
                    schema["properties"][name] for schema in self._schemas if name in schema.get("properties", ())
                )
            return self._members[name]
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
    """Whether the schemas, or any that they come to, speak of an integer."""
    waiting: list[Any] = list(schemas)
    met: set[str] = set()
    while waiting:
        schema = waiting.pop()
        if isinstance(schema, list):
            waiting += schema
        elif isinstance(schema, Mapping):
            if "integer" in _types(schema):
                return True
            name = _reference(schema)
            if name is not None and name not in met:
                met.add(name)
                waiting.append(definitions[name])
            waiting += schema.values()
    return False


def _composed(schemas: Iterable[Schema], definitions: Schema) -> Iterator[Schema]:
    """The schemas with all that they refer to or are composed of."""
    waiting = list(schemas)
    met: set[str] = set()
    while waiting:
        schema = waiting.pop()
        name = _reference(schema)
        if name is not None and name not in met:
            met.add(name)
            waiting.append(definitions[name])
        for keyword in _PARTS:
            waiting += schema.get(keyword, ())
        yield schema


def _reference(schema: Schema) -> str | None:
    reference = schema.get("$ref")
    return reference.rpartition("/")[2] if isinstance(reference, str) else None


def _types(schema: Schema) -> list[str]:
    kind = schema.get("type")
    return [kind] if isinstance(kind, str) else kind if isinstance(kind, list) else []
