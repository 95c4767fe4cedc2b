"""Errors of large values: the same as those of small values, and computed only as far as needed."""

from __future__ import annotations

from itertools import islice
from typing import Any

import pytest

from promo_sandbox.base.messages import Violation
from promo_sandbox.openapi import explanation
from promo_sandbox.openapi.explanation import Explanation
from promo_sandbox.openapi.validation import MAX_VIOLATIONS, Validator

THING = {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}, "n": {"type": "integer"}}}
SCHEMA: dict[str, Any] = {
    "allOf": [{"$ref": "#/$defs/base"}, {"properties": {"inner": {"$ref": "#/$defs/closed"}}}],
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "maxLength": 3},
        "things": {
            "type": "array",
            "items": {"$ref": "#/$defs/thing"},
            "minItems": 1,
            "maxItems": 9,
            "uniqueItems": True,
        },
        "by_name": {"type": "object", "additionalProperties": {"$ref": "#/$defs/thing"}},
        "either": {"$ref": "#/$defs/either"},
        "texts": {"type": ["string", "array"], "minLength": 2, "items": {"type": "string"}},
    },
    "$defs": {
        "thing": THING,
        "base": {"type": "object", "properties": {"base": {"type": "array", "items": {"type": "array"}}}},
        "closed": {"type": "object", "additionalProperties": False, "maxProperties": 2, "properties": {"a": {}}},
        "either": {"oneOf": [{"$ref": "#/$defs/left"}, {"$ref": "#/$defs/right"}]},
        "left": {
            "type": "object",
            "required": ["kind"],
            "properties": {"kind": {"const": "left"}, "l": {"type": "null"}},
        },
        "right": {
            "type": "object",
            "required": ["kind"],
            "properties": {"kind": {"const": "right"}, "r": {"type": "array", "items": {"type": "null"}}},
        },
    },
}
VALUES: list[Any] = [
    {},
    [],
    7,
    {"name": "long"},
    {"name": 1, "things": [{"id": "a"}, {"id": 1}, {}, 7, {"id": "b", "n": 1.5}]},
    {"name": "x", "things": []},
    {"name": "x", "things": [{"id": str(number)} for number in range(10)]},
    {"name": "x", "things": [{"id": "a"}, {"id": "a"}]},
    {"name": "x", "by_name": {"a": {"id": "x"}, "b": {"id": 2}, "c": []}},
    {"name": "x", "inner": {"a": 1, "b": 2}},
    {"name": "x", "inner": {"a": 1, "b": 2, "c": 3, "d": 4}},
    {"name": "x", "base": [[], 1, {}]},
    {"name": "x", "either": {"kind": "right", "r": [None, 1]}},
    {"name": "x", "either": {"kind": "left", "l": 1}},
    {"name": "x", "texts": ["a", 1]},
    {"name": "x", "texts": "a"},
]


def reported(violations: list[Violation]) -> set[tuple[str, str, tuple[str | int, ...]]]:
    return {(found.where, found.kind, tuple(found.keyword_path)) for found in violations}


@pytest.mark.parametrize("value", VALUES)
def test_a_large_value_is_explained_as_a_small_one(value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    small = Validator(SCHEMA).violations(value, "body")

    monkeypatch.setattr(explanation, "_LARGE", 0)
    large = Validator(SCHEMA).violations(value, "body")

    assert reported(large) == reported(small)


def test_no_more_is_worked_out_than_is_listened_to(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    is_large = explanation.is_large

    def counted(value: Any) -> bool:
        asked.append(value)
        return is_large(value)

    monkeypatch.setattr(explanation, "is_large", counted)
    things = {"name": "x", "things": [7] * 100_000}
    schema = {**SCHEMA, "properties": {"things": {"type": "array", "items": {"$ref": "#/$defs/thing"}}}}

    found = Validator(schema).violations(things, "body")

    assert len(found) == MAX_VIOLATIONS
    assert len(asked) < MAX_VIOLATIONS + 10


def test_alternatives_without_a_discriminator_give_one_general_error() -> None:
    schema = {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}]}

    [found] = islice(Explanation(schema).errors([1] * 100_000), 5)

    assert (found.error.kind.name, found.schema_path()) == ("anyOf", ("anyOf",))


def test_only_some_of_many_unknown_fields_are_named() -> None:
    schema = {"type": "object", "additionalProperties": False, "properties": {"a": {}}}
    value = {f"k{number}": number for number in range(50_000)}

    [found] = Validator(schema).violations(value, "body")

    assert found.kind == "additionalProperties"
    assert "k0" in found.message
    assert len(found.message) < 400
