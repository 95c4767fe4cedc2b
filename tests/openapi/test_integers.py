"""Values that a schema declares as integers are normalised; all other values are unchanged."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from promo_sandbox.base.messages import encode
from promo_sandbox.openapi.fast_accept import compile_test
from promo_sandbox.openapi.validation import Validator

INTEGER = {"type": "integer"}
NUMBER = {"type": "number"}
TREE = {"type": "object", "properties": {"n": INTEGER, "inner": {"$ref": "#/$defs/Tree"}}}


def kept(schema: dict[str, Any], value: Any) -> bytes:
    violations: list[Any] = []
    found = Validator(schema).read(value, "body", violations)
    assert not violations
    return encode(found)


@pytest.mark.parametrize(
    ("schema", "value", "written"),
    [
        (INTEGER, Decimal("3.0"), b"3"),
        (INTEGER, Decimal("-0.0"), b"0"),
        (INTEGER, Decimal("1e30"), b"1" + b"0" * 30),
        (INTEGER, Decimal("12345678901234567890123456789012345678901234567890.0"), b"1234567890" * 5),
        (NUMBER, Decimal("3.0"), b"3.0"),
        ({"type": ["integer", "null"], "minimum": 0}, Decimal("3.0"), b"3"),
        ({"type": ["integer", "string"]}, Decimal("3.0"), b"3"),
        ({"anyOf": [INTEGER, {"type": "string"}]}, Decimal("3.0"), b"3"),
        ({"anyOf": [INTEGER, NUMBER]}, Decimal("3.0"), b"3.0"),
        ({"allOf": [{"properties": {"a": INTEGER}}]}, {"a": Decimal("3.0"), "b": Decimal("3.0")}, b'{"a":3,"b":3.0}'),
        ({"properties": {"a": {"items": INTEGER}}}, {"a": [1, Decimal("2.0")]}, b'{"a":[1,2]}'),
        (
            {"properties": {"b": NUMBER}, "additionalProperties": INTEGER},
            {"a": Decimal("3.0"), "b": Decimal("3.0")},
            b'{"a":3,"b":3.0}',
        ),
        (
            {"$ref": "#/$defs/Tree", "$defs": {"Tree": TREE}},
            {"inner": {"inner": {"n": Decimal("2.0"), "m": Decimal("2.0")}}},
            b'{"inner":{"inner":{"n":2,"m":2.0}}}',
        ),
        ({"type": "object"}, {"a": Decimal("3.0")}, b'{"a":3.0}'),
    ],
)
def test_an_integer_is_kept_as_one(schema: dict[str, Any], value: Any, written: bytes) -> None:
    before = encode(value)

    assert kept(schema, value) == written

    assert encode(value) == before  # which may belong to the caller


def test_a_normalised_value_is_the_same_object() -> None:
    value = {"a": {"n": 3}, "m": Decimal("3.0")}

    assert Validator({"properties": {"a": {"properties": {"n": INTEGER}}}}).read(value, "body", []) is value


def test_an_invalid_value_is_reported() -> None:
    violations: list[Any] = []

    Validator({"properties": {"n": INTEGER}}).read({"n": Decimal("3.5")}, "body", violations)

    assert [violation.where for violation in violations] == ["body.n"]


@pytest.mark.parametrize(
    "schema",
    [
        INTEGER,
        {"type": ["integer", "null"]},
        {"anyOf": [INTEGER, {"type": "null"}]},
        {"oneOf": [INTEGER]},
        {"not": {"type": "string"}, "type": "integer"},
    ],
)
def test_the_quick_yes_is_for_integers_as_they_should_be_written(schema: dict[str, Any]) -> None:
    test = compile_test(schema, {})

    assert test(3)
    assert not test(Decimal("3.0"))
    assert not Validator(schema).violations(Decimal("3.0"), "body")
