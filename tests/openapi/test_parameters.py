"""Parameters are converted to their types, then validated."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promo_sandbox.base.messages import Violation
from promo_sandbox.openapi.parameters import Parameter, parse_form, percent_decode
from promo_sandbox.openapi.validation import Validator


def parameter(schema: dict[str, Any], **raw: Any) -> Parameter:
    return Parameter({"name": "X-it", "in": "query", "schema": schema, **raw}, schema, Validator(schema))


def read(declared: Parameter, *texts: str) -> tuple[dict[str, Any], list[Violation]]:
    values: dict[str, Any] = {}
    violations: list[Violation] = []
    declared.read(list(texts), values, violations)
    return values, violations


@pytest.mark.parametrize(
    ("schema", "text", "value"),
    [
        ({"type": "string"}, "12", "12"),
        ({"type": "string"}, "", ""),
        ({}, "true", "true"),
        ({"type": "integer"}, "12", 12),
        ({"type": "integer"}, "-7", -7),
        ({"type": "integer"}, "9" * 40, int("9" * 40)),
        ({"type": "number"}, "12.50", Decimal("12.50")),
        ({"type": "number"}, "-1e3", Decimal(-1000)),
        ({"type": "boolean"}, "true", True),
        ({"type": "boolean"}, "false", False),
        ({"type": "string", "format": "date-time"}, "2030-01-01T00:00:00Z", "2030-01-01T00:00:00Z"),
    ],
)
def test_a_text_becomes_what_its_schema_says(schema: dict[str, Any], text: str, value: Any) -> None:
    values, violations = read(parameter(schema), text)

    assert values == {"X-it": value}
    assert type(values["X-it"]) is type(value)
    assert not violations


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": "integer"}, "1.5"),
        ({"type": "integer"}, "twelve"),
        ({"type": "integer"}, ""),
        ({"type": "integer"}, "+1"),
        ({"type": "integer"}, " 1"),
        ({"type": "integer"}, "1_000"),
        ({"type": "integer"}, "\u0661"),
        ({"type": "integer"}, "9" * 41),
        ({"type": "integer"}, "9" * 5000),
        ({"type": "integer", "minimum": 1}, "0"),
        ({"type": "number"}, "NaN"),
        ({"type": "number"}, "Infinity"),
        ({"type": "number"}, ".5"),
        ({"type": "number"}, "1e9999"),
        ({"type": "number"}, "1e999"),
        ({"type": "number"}, "0e-999"),
        ({"type": "boolean"}, "True"),
        ({"type": "boolean"}, "1"),
        ({"type": "string", "minLength": 1}, ""),
        ({"type": "string", "maxLength": 3}, "long"),
        ({"enum": ["a", "b"]}, "c"),
        ({"type": "string", "format": "date-time"}, "today"),
        ({"type": "array", "items": {"type": "string"}, "maxItems": 1}, "a,b"),
    ],
)
def test_a_text_that_does_not_fit_is_a_violation_and_no_value(schema: dict[str, Any], text: str) -> None:
    values, violations = read(parameter(schema, explode=False), text)

    assert values == {}
    assert [violation.where for violation in violations] == ["query.X-it"]


def test_every_invalid_item_is_reported() -> None:
    schema = {"type": "array", "items": {"enum": ["a", "b"]}}

    _, violations = read(parameter(schema), "a", "x", "b", "y")

    assert [violation.where for violation in violations] == ["query.X-it[1]", "query.X-it[3]"]


def test_a_required_parameter_that_is_missing_is_a_violation() -> None:
    missing = Violation("query.X-it", "is required", "required")

    assert read(parameter({"type": "string"}, required=True)) == ({}, [missing])


def test_an_optional_parameter_that_is_missing_is_absent_or_its_default() -> None:
    assert read(parameter({"type": "string"})) == ({}, [])
    assert read(parameter({"type": "integer", "default": 7})) == ({"X-it": 7}, [])
    assert read(parameter({"type": "integer", "default": None})) == ({"X-it": None}, [])


def test_of_two_equal_names_the_last_wins_but_an_array_has_them_all() -> None:
    assert read(parameter({"type": "integer"}), "1", "2") == ({"X-it": 2}, [])
    assert read(parameter({"type": "array"}), "1", "2") == ({"X-it": ["1", "2"]}, [])
    assert read(parameter({"type": "array"}), "1,2") == ({"X-it": ["1,2"]}, [])


def test_an_array_that_does_not_explode_is_separated_by_commas() -> None:
    assert read(parameter({"type": "array"}, explode=False), "1,2", "3,4") == ({"X-it": ["3", "4"]}, [])
    assert read(parameter({"type": "array"}, **{"in": "header"}), "1,2") == ({"X-it": ["1", "2"]}, [])
    assert read(parameter({"type": "array"}, **{"in": "header"}), "1 ,, 2,") == ({"X-it": ["1", "2"]}, [])


def test_a_parameter_of_a_path_or_a_header_says_so_in_its_violation() -> None:
    _, in_path = read(parameter({"type": "integer"}, **{"in": "path"}), "x")
    _, in_header = read(parameter({"type": "integer"}, **{"in": "header"}), "x")

    assert in_path[0].where == "path.X-it"
    assert in_header[0].where == "header.X-it"


def test_a_schema_that_accepts_every_text_needs_no_validator() -> None:
    assert parameter({"type": "string", "description": "Anything.", "example": "x"}).validator is None
    assert parameter({"type": "string", "minLength": 1}, **{"in": "path"}).validator is None
    assert parameter({"type": "string", "minLength": 1}).validator is not None
    assert parameter({"type": "string", "minLength": 2}, **{"in": "path"}).validator is not None
    assert parameter({"type": "string", "maxLength": 2}, **{"in": "path"}).validator is not None


@settings(deadline=None)
@given(st.text())
def test_a_segment_is_decoded_to_what_was_encoded(text: str) -> None:
    assert percent_decode(quote(text, safe="")) == text


def test_a_plus_in_a_path_is_a_plus_and_in_a_query_a_space() -> None:
    assert percent_decode("a+b%2B") == "a+b+"
    assert parse_form("a+b=c+d%2B", []) == {"a b": ["c d+"]}


def test_a_segment_that_is_not_utf_8_is_rejected() -> None:
    with pytest.raises(ValueError, match="utf-8"):
        percent_decode("%FF")


@settings(deadline=None)
@given(st.lists(st.tuples(st.text(min_size=1), st.text()), max_size=6))
def test_a_query_is_read_as_it_was_written(written: list[tuple[str, str]]) -> None:
    violations: list[Violation] = []

    found = parse_form(urlencode(written), violations)

    assert not violations
    assert found == {name: [value for of, value in written if of == name] for name, _ in written}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", {}),
        ("&&", {}),
        ("a", {"a": [""]}),
        ("a=", {"a": [""]}),
        ("=b", {"": ["b"]}),
        ("a=b=c", {"a": ["b=c"]}),
        ("a=%zz", {"a": ["%zz"]}),
        ("a=1&b=2&a=3", {"a": ["1", "3"], "b": ["2"]}),
    ],
)
def test_odd_queries_are_read_too(query: str, found: dict[str, list[str]]) -> None:
    assert parse_form(query, []) == found


def test_each_pair_that_is_not_utf_8_is_a_violation_of_its_own() -> None:
    violations: list[Violation] = []

    found = parse_form("a=%FF&b=2&%FE=3", violations)

    assert found == {"b": ["2"]}
    assert violations == [
        Violation("query.a", "is not percent-encoded UTF-8", "syntax"),
        Violation("query.%FE", "is not percent-encoded UTF-8", "syntax"),
    ]


def test_a_form_with_too_many_escapes_is_rejected() -> None:
    violations: list[Violation] = []

    assert parse_form("a=" + "%41" * 50_000, violations, "body") == {"a": ["A" * 50_000]}
    assert parse_form("a=" + "%41" * 50_001, violations, "body") == {}
    assert violations == [Violation("body", "has more than 50000 escaped bytes", "maxLength")]
