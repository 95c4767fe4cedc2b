"""Validation reports all violations with their places."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from promo_sandbox.base.messages import Violation, decode
from promo_sandbox.openapi.validation import MAX_MESSAGE, MAX_VIOLATIONS, Validator, json_schema, references

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["name", "price"],
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "price": {
            "type": "object",
            "required": ["unit", "value"],
            "properties": {"unit": {"type": "string"}, "value": {"type": "number", "minimum": 0, "multipleOf": 0.01}},
        },
        "tags": {"type": "array", "items": {"type": "string", "maxLength": 3}, "uniqueItems": True},
    },
}


def violations(schema: dict[str, Any], value: Any, where: str = "body") -> list[Violation]:
    return Validator(schema).violations(value, where)


def test_what_fits_has_no_violations() -> None:
    assert violations(SCHEMA, {"name": "Lamp", "price": {"unit": "EUR", "value": Decimal("4.35")}}) == []


def test_all_violations_are_reported_with_their_places() -> None:
    found = violations(SCHEMA, {"name": "", "price": {"value": -1}, "tags": ["ok", "longer", 7]})

    assert sorted(violation.where for violation in found) == [
        "body.name",
        "body.price.unit",
        "body.price.value",
        "body.tags[1]",
        "body.tags[2]",
    ]


def test_a_missing_field_is_reported_at_its_own_place() -> None:
    assert violations(SCHEMA, {}, "event x") == [
        Violation("event x.name", "is required", "required", ["required"]),
        Violation("event x.price", "is required", "required", ["required"]),
    ]


def test_an_invalid_whole_value_is_reported_at_its_place() -> None:
    [found] = violations(SCHEMA, [])

    assert found == Violation("body", '[] is not of type "object"', "type", ["type"])


@pytest.mark.parametrize(
    ("schema", "value", "kind"),
    [
        ({"type": "object", "required": ["a"]}, {}, "required"),
        ({"type": "string"}, 7, "type"),
        ({"type": "string", "minLength": 1}, "", "minLength"),
        ({"type": "string", "pattern": "^a$"}, "b", "pattern"),
        ({"type": "string", "format": "date-time"}, "soon", "format"),
        ({"enum": ["a"]}, "b", "enum"),
        ({"const": "a"}, "b", "const"),
        ({"type": "number", "minimum": 0}, -1, "minimum"),
        ({"type": "number", "exclusiveMinimum": 0}, 0, "exclusiveMinimum"),
        ({"type": "number", "multipleOf": 0.01}, Decimal("0.001"), "multipleOf"),
        ({"type": "array", "maxItems": 1}, [1, 2], "maxItems"),
        ({"type": "object", "properties": {}, "additionalProperties": False}, {"a": 1}, "additionalProperties"),
        ({"oneOf": [{"type": "string"}, {"type": "null"}]}, 7, "oneOf"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, 7, "anyOf"),
    ],
)
def test_a_violation_has_the_name_of_the_keyword_that_is_broken(schema: dict[str, Any], value: Any, kind: str) -> None:
    assert [violation.kind for violation in violations(schema, value)] == [kind]


def test_a_long_message_is_cut() -> None:
    [found] = violations({"maxLength": 3}, "x" * 10_000)

    assert len(found.message) == MAX_MESSAGE + 1
    assert found.message.endswith("…")


def test_a_long_place_is_cut_too() -> None:
    schema = {"additionalProperties": {"type": "object", "required": [str(number) for number in range(50)]}}

    found = violations(schema, {"k" * 100_000: {}})

    assert sum(len(violation.where) for violation in found) < 100_000


def test_the_number_of_violations_is_limited() -> None:
    assert len(violations({"items": {"type": "string"}}, list(range(1000)))) == MAX_VIOLATIONS


@pytest.mark.parametrize("number", ["4.35", "0.07", "9000000000000.01", "1e2", "0"])
def test_decimals_are_validated_exactly(number: str) -> None:
    assert violations({"multipleOf": 0.01}, decode(number.encode())) == []


@pytest.mark.parametrize("number", ["4.355", "9000000000000.001", "1e-3"])
def test_decimals_with_too_many_places_are_reported(number: str) -> None:
    assert len(violations({"multipleOf": 0.01}, decode(number.encode()))) == 1


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"format": "date-time"}, "2030-01-01T00:00:00"),
        ({"format": "date"}, "2030-02-30"),
        ({"format": "uuid"}, "x"),
        ({"format": "email"}, "x"),
        ({"format": "uri"}, "not a uri"),
        ({"pattern": "^a$"}, "a\n"),
        ({"pattern": "^[a-z]+[a-z_]*[a-z]+$"}, "x"),
        ({"pattern": "^(?!a)"}, "a"),
        ({"type": "integer"}, Decimal("1.5")),
        ({"type": "integer"}, True),
        ({"type": "number"}, "1"),
        ({"type": "boolean"}, 1),
        ({"const": 1}, True),
        ({"enum": [0]}, False),
    ],
)
def test_formats_patterns_and_types_are_validated(schema: dict[str, Any], value: Any) -> None:
    assert len(violations(schema, value)) == 1


def test_a_whole_number_written_with_a_fraction_is_an_integer() -> None:
    assert violations({"type": "integer"}, decode(b"1.0")) == []


@pytest.mark.parametrize(("form", "bound"), [("int32", 2**31), ("int64", 2**63)])
def test_the_widths_of_integers_are_bounds(form: str, bound: int) -> None:
    schema = json_schema({"type": "integer", "format": form})

    assert violations(schema, bound - 1) == violations(schema, -bound) == []
    assert len(violations(schema, bound)) == len(violations(schema, -bound - 1)) == 1


def test_a_bound_of_the_schema_goes_before_that_of_its_format() -> None:
    schema = json_schema({"type": "integer", "format": "int32", "minimum": 1, "maximum": 2**40})

    assert violations(schema, 2**40) == []
    assert len(violations(schema, 0)) == 1


def test_a_schema_loses_what_says_nothing_about_validity_but_not_properties_of_that_name() -> None:
    plain = json_schema(
        {
            "description": "x",
            "x-internal": True,
            "properties": {"description": {"title": "t", "type": "string"}, "x-a": {"example": 1}, "default": {}},
            "enum": [{"description": "stays"}],
            "required": ["title"],
        }
    )

    assert plain == {
        "properties": {"description": {"type": "string"}, "x-a": {}, "default": {}},
        "enum": [{"description": "stays"}],
        "required": ["title"],
    }


def test_references_point_into_definitions() -> None:
    plain = json_schema(
        {"oneOf": [{"$ref": "#/components/schemas/A"}], "properties": {"b": {"$ref": "#/components/schemas/B"}}}
    )

    assert plain == {"oneOf": [{"$ref": "#/$defs/A"}], "properties": {"b": {"$ref": "#/$defs/B"}}}
    assert references(plain) == {"A", "B"}


def test_a_schema_is_compiled_on_first_use() -> None:
    validator = Validator({"pattern": "("})

    with pytest.raises(ValueError, match='not a "regex"'):
        validator.violations("x", "body")


def test_valid_bodies_are_remembered_by_their_bytes() -> None:
    validator = Validator({"type": "object", "required": ["name"]})

    for _ in range(2):
        assert validator.validate(b'{"name":1}', {"name": 1}, "reply") == []
        assert validator.validate(b"{}", {}, "reply") == [
            Violation("reply.name", "is required", "required", ["required"])
        ]


def test_an_encoded_object_is_validated_as_it_is_sent() -> None:
    validator = Validator({"type": "object", "properties": {"name": {"type": "string"}}})
    right, wrong = b'{"name":"Lamp"}', b'{"name":7}'

    assert validator.validate(right, right, "reply") == []
    assert [violation.where for violation in validator.validate(wrong, wrong, "reply")] == ["reply.name"]


def test_the_number_of_remembered_bodies_is_limited() -> None:
    validator = Validator({"type": "object"})

    for number in range(1000):
        assert validator.validate(str(number).encode(), {}, "reply") == []

    assert len(validator._valid) <= 64  # noqa: SLF001 - the bound is the point


def test_of_alternatives_the_one_that_a_constant_names_is_explained() -> None:
    kinds = [
        {"type": "object", "required": [member], "properties": {"@type": {"const": kind}, member: {"type": "integer"}}}
        for kind, member in (("A", "a"), ("B", "b"))
    ]
    validator = Validator({"properties": {"it": {"oneOf": kinds}}})

    def explained(it: object) -> list[str]:
        return list(map(str, validator.violations({"it": it}, "body")))

    assert explained({"@type": "A", "a": "x"}) == ['body.it.a: "x" is not of type "integer"']
    assert explained({"@type": "B", "a": 1}) == ["body.it.b: is required"]
    assert explained({"@type": "C", "a": 1}) == ['body.it: @type: "A" was expected; or @type: "B" was expected']
    assert explained({"@type": "A", "a": 1}) == []


DATE = {"type": "string", "format": "date-time"}
WEBHOOK = {"anyOf": [{"enum": ["twice", "drop"]}, {"type": "object", "required": ["late"]}]}
EITHER = {"oneOf": [{"required": ["operation"]}, {"required": ["callback"]}]}


@pytest.mark.parametrize(
    ("schema", "value", "message"),
    [
        ({"anyOf": [DATE, {"type": "null"}]}, "soon", '"soon" is not a "date-time"'),
        ({"oneOf": [{"type": "null"}, {"type": "string", "format": "uuid"}]}, "x", '"x" is not a "uuid"'),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, 7, '7 is not of type "string" or "null"'),
        (WEBHOOK, "thrice", '"thrice" is not one of "twice" or "drop"'),
        (WEBHOOK, 7, '7 is not one of "twice" or "drop"; or 7 is not of type "object"'),
        (EITHER, {"operation": 1, "callback": 2}, "fits more than one alternative, and may fit only one"),
        (EITHER, {}, '"operation" is a required property; or "callback" is a required property'),
    ],
)
def test_the_errors_of_alternatives_are_reported(schema: dict[str, Any], value: Any, message: str) -> None:
    assert [violation.message for violation in violations(schema, value)] == [message]


def test_of_alternatives_the_one_of_the_value_s_type_is_explained() -> None:
    assert list(map(str, violations(WEBHOOK, {}))) == ["body.late: is required"]
