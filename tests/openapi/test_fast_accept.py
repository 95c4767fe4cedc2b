"""The fast test never accepts a value that the library rejects, and it accepts the common schemas."""

from __future__ import annotations

import sys
from decimal import Decimal
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promo_sandbox.openapi.fast_accept import compile_test
from promo_sandbox.openapi.validation import Validator, describe_error

_NAMES = st.sampled_from(["a", "b", "kind"])
_NUMBERS = st.integers(-3, 3) | st.sampled_from(
    [Decimal("0.5"), Decimal("1.0"), Decimal("0.010"), Decimal("1e3"), 10**30]
)
_TEXTS = st.sampled_from(["", "x", "y", "xy", "2030-01-01T00:00:00Z", "é" * 200])


def _schemas(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    properties = st.dictionaries(_NAMES, inner, max_size=3)
    required = st.lists(_NAMES, unique=True, max_size=2)
    return (
        st.fixed_dictionaries({"properties": properties}, optional={"type": st.just("object"), "required": required})
        | st.fixed_dictionaries({"type": st.just("object")}, optional={"properties": properties, "required": required})
        | st.fixed_dictionaries({"allOf": st.lists(inner, min_size=1, max_size=3)}, optional={"properties": properties})
        | st.fixed_dictionaries({"type": st.just("array")}, optional={"items": inner, "maxItems": st.integers(0, 2)})
        | st.fixed_dictionaries({"type": st.just(["array", "null"]), "items": inner})
        | st.fixed_dictionaries({"oneOf": st.lists(inner, min_size=1, max_size=3)})
        | st.builds(_kinds, st.lists(_TEXTS, min_size=1, max_size=3), properties, st.booleans())
    )


def _kinds(constants: list[str], properties: dict[str, Any], required: bool) -> dict[str, Any]:
    """A choice between objects by what their `kind` is."""
    return {
        "oneOf": [
            {
                "type": "object",
                "properties": {**properties, "kind": {"type": "string", "const": constant}},
                **({"required": ["kind"]} if required else {}),
            }
            for constant in constants
        ]
    }


_LEAVES = (
    st.sampled_from(
        [
            {},
            {"type": "string"},
            {"type": "integer"},
            {"type": "boolean"},
            {"type": "null"},
            {"$ref": "#/$defs/D"},
            {"type": ["string", "null"]},
            {"type": ["null", "string"], "maxLength": 1},
            {"type": ["integer", "null"], "minimum": -1},
            {"type": ["number", "null"], "maximum": Decimal("0.5")},
            {"type": "array"},
            {"type": "object"},
        ]
    )
    | st.fixed_dictionaries({"type": st.just("string"), "enum": st.lists(_TEXTS, min_size=1, unique=True)})
    | st.fixed_dictionaries({"type": st.just("string"), "const": _TEXTS})
    | st.fixed_dictionaries(
        {"type": st.just("string")},
        optional={"format": st.just("date-time"), "minLength": st.integers(0, 2), "maxLength": st.integers(0, 2)},
    )
    | st.fixed_dictionaries(
        {"type": st.just("number")},
        optional={
            "minimum": st.integers(-2, 2),
            "maximum": st.integers(-2, 2) | st.just(Decimal("0.5")),
            "multipleOf": st.sampled_from([1, Decimal("0.01"), Decimal("0.5")]),
        },
    )
    | st.fixed_dictionaries({"type": st.just("integer")}, optional={"minimum": st.integers(-2, 2)})
)
_SCHEMAS = st.recursive(_LEAVES, _schemas, max_leaves=8)
_VALUES = st.recursive(
    st.none() | st.booleans() | _NUMBERS | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3),
    max_leaves=8,
)


@given(_SCHEMAS, _SCHEMAS, st.lists(_VALUES, min_size=1, max_size=8))
@settings(max_examples=200, deadline=None)
def test_yes_means_that_the_validator_says_so_too(schema: dict[str, Any], definition: Any, values: list[Any]) -> None:
    # A definition that refers to itself without an object between describes nothing.
    definitions = {"D": {"type": "object", "properties": {"a": definition}}}
    validate = jsonschema_rs.Draft202012Validator({**schema, "$defs": definitions}, validate_formats=True)
    test = compile_test(schema, definitions)

    for value in values:
        assert not test(value) or validate.is_valid(value)


@given(_SCHEMAS, _SCHEMAS, st.lists(_VALUES, min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_leaving_out_valid_fields_does_not_change_the_errors(
    schema: dict[str, Any], definition: Any, values: list[Any]
) -> None:
    definitions = {"D": {"type": "object", "properties": {"a": definition}}}
    validator = Validator({**schema, "$defs": definitions})

    for value in values:
        reported = validator.violations(value, "body")
        whole = [it for error in validator.compiled.iter_errors(value) for it in describe_error(error, "body")]
        assert reported == whole[:50]


OBJECT = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string"},
        "status": {"type": "string", "enum": ["NEW", "OLD"]},
        "value": {"type": "number", "minimum": 0, "maximum": 9_000_000_000_000, "multipleOf": Decimal("0.000001")},
        "parts": {"type": "array", "items": {"$ref": "#/$defs/Part"}},
        "at": {"type": "string", "format": "date-time"},
        "count": {"type": "integer"},
    },
}
PART = {
    "allOf": [
        {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}},
        {"properties": {"n": {}}},
    ]
}


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        ({"name": "x"}, True),
        ({"name": "x", "unknown": object}, True),
        (
            {"name": "x", "status": "NEW", "value": Decimal("50.00"), "parts": [{"id": "1", "n": None}], "count": 1},
            True,
        ),
        ({"name": "x", "value": Decimal("9000000000000.000000")}, True),
        ({"name": "x", "at": "2030-01-01T00:00:00Z"}, True),
        ({"name": "x", "at": "today"}, False),
        ({"name": "x", "at": 7}, False),
        ({"name": 7}, False),
        ({}, False),
        ({"name": "x", "status": "BROKEN"}, False),
        ({"name": "x", "status": ["NEW"]}, False),
        ({"name": "x", "value": -1}, False),
        ({"name": "x", "value": Decimal("0.0000001")}, False),
        ({"name": "x", "value": Decimal("1e-40")}, False),
        ({"name": "x", "value": True}, False),
        ({"name": "x", "value": "1"}, False),
        ({"name": "x", "value": None}, False),
        ({"name": None}, False),
        ({"name": "x", "status": None}, False),
        ({"name": "x", "at": None}, False),
        ({"name": "x", "count": None}, False),
        ({"name": "x", "parts": None}, False),
        ({"name": "x", "parts": [{}]}, False),
        ({"name": "x", "parts": {}}, False),
        ({"name": "x", "count": True}, False),
        ([], False),
        (None, False),
    ],
)
def test_objects_arrays_texts_and_numbers_need_no_library(value: Any, answer: bool) -> None:
    assert compile_test(OBJECT, {"Part": PART})(value) is answer


def _kind(constant: str, **members: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["kind"],
        "properties": {"kind": {"type": "string", "const": constant}, **members},
    }


def test_a_constant_chooses_the_alternative() -> None:
    test = compile_test({"oneOf": [_kind("A", n={"type": "number"}), _kind("B", n={"type": "string"})]}, {})

    assert test({"kind": "A", "n": 1})
    assert test({"kind": "B", "n": "1"})
    assert not test({"kind": "A", "n": "1"})
    assert not test({"kind": "C"})
    assert not test({"n": 1})
    assert not test({"kind": ["A"]})
    assert not test("A")


def test_a_choice_that_no_constant_decides_is_the_validator_s() -> None:
    test = compile_test({"oneOf": [{"type": "number", "minimum": 0}, {"type": "number", "maximum": 0}]}, {})

    assert test(1)
    assert test(-1)
    assert not test(0)


def test_a_schema_that_contains_itself_is_validated_at_any_depth() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}, "name": {"type": "string"}}}
    test = compile_test({"$ref": "#/$defs/Node"}, {"Node": node})

    def chain(depth: int, name: Any) -> Any:
        return {"next": chain(depth - 1, name)} if depth else {"name": name}

    assert test(chain(60, "x"))
    assert not test(chain(60, 7))


def test_a_schema_that_contains_itself_several_times_is_compiled_with_little_work() -> None:
    node = {"type": "object", "properties": {f"child{at}": {"$ref": "#/$defs/Node"} for at in range(8)}}
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event == "call"
        if calls > 20_000:  # doubling at each level would be billions
            raise OverflowError("too much work")

    sys.setprofile(count)
    try:
        test = compile_test({"$ref": "#/$defs/Node"}, {"Node": node})
    finally:
        sys.setprofile(None)

    assert test({"child0": {"child1": {}}})
    assert not test({"child0": {"child1": 7}})


@pytest.mark.parametrize(
    "inside",
    [
        {"allOf": [{"$ref": "#/$defs/Node"}]},
        {"allOf": [{"$ref": "#/$defs/Node"}, {"required": ["name"]}]},
    ],
)
@pytest.mark.parametrize("several", [False, True])
def test_a_schema_that_contains_itself_through_a_definition_is_validated_at_any_depth(
    inside: dict[str, Any], several: bool
) -> None:
    member = {"type": "array", "items": inside} if several else inside
    node = {"type": "object", "properties": {"next": member, "name": {"type": "string"}}}
    test = compile_test({"$ref": "#/$defs/Node"}, {"Node": node})

    def chain(depth: int, name: Any) -> Any:
        if not depth:
            return {"name": name}
        return {"name": "x", "next": [chain(depth - 1, name)] if several else chain(depth - 1, name)}

    assert all(test(chain(depth, "x")) for depth in (0, 1, 2, 3, 20))
    assert not any(test(chain(depth, 7)) for depth in (0, 1, 2, 3, 20))


def test_a_schema_that_is_not_named_may_be_inside_itself_by_way_of_a_definition() -> None:
    node = {"type": "object", "properties": {"kids": {"type": "array", "items": {"allOf": [{"$ref": "#/$defs/Node"}]}}}}
    whole = {"allOf": [{"$ref": "#/$defs/Node"}], "properties": {"title": {"type": "string"}}}
    test = compile_test(whole, {"Node": node})

    assert test({"title": "x", "kids": [{"kids": []}, {"kids": [{}]}]})
    assert not test({"title": "x", "kids": [{"kids": [7]}]})
    assert not test({"title": 7, "kids": []})


NAMES = [
    "it's",
    'a"b',
    "a\nb",
    "back\\slash",
    "{brace}",
    "%s",
    "class",
    "v",
    "m",
    "__import__('os')",
    "",
    "é",
    "\u2028",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_only_ever_a_name(name: str) -> None:
    kinds = [_kind(name, **{name: {"type": "number"}}), _kind("other")]
    schema = {
        "type": "object",
        "required": [name],
        "properties": {name: {"type": "string", "enum": [name]}, "choice": {"oneOf": kinds}, "same": {"const": name}},
    }
    test = compile_test(schema, {})

    assert test({name: name, "choice": {"kind": name, name: 1}, "same": name})
    assert not test({name: f"{name}x"})
    assert not test({name: name, "choice": {"kind": name, name: "1"}})
    assert not test({name: name, "same": f"{name}x"})
    assert not test({})


def test_a_cached_number_and_an_equal_one_are_validated_correctly() -> None:
    test = compile_test({"type": "number", "minimum": 0, "multipleOf": Decimal("0.01")}, {})
    right, wrong = Decimal("50.00"), Decimal("50.001")

    for _ in range(3):
        assert test(right)
        assert test(Decimal("50.0"))
        assert not test(wrong)
        assert not test(-right)
        assert not test(None)


def test_very_many_numbers_are_validated_correctly() -> None:
    test = compile_test({"type": "number", "minimum": 0, "maximum": 1000}, {})

    assert [number for number in range(-5, 2000) if test(Decimal(number))] == list(range(1001))


def test_a_value_may_have_one_of_several_types() -> None:
    test = compile_test({"type": "object", "properties": {"a": {"type": ["string", "null"]}}}, {})

    assert test({"a": "x"})
    assert test({"a": None})
    assert not test({"a": 7})
