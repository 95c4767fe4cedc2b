"""The engine's quick test, `jsonschema-rs` and `jsonschema` give the same verdict on a message.

The known errors of the last stand at the end.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker

from promo_sandbox.base import config
from promo_sandbox.base.messages import encode
from promo_sandbox.openapi.document import Document
from promo_sandbox.openapi.validation import Validator
from promo_sandbox.server.app import load_contracts
from tests.contract import fuzzing

FORMATS = FormatChecker(["date-time", "date", "uri", "uuid", "email", "regex"])


class Message(NamedTuple):
    """An example of the specs, the validator of its place, and the second one."""

    where: str
    value: Any
    first: Validator
    second: Draft202012Validator


def documents() -> Iterator[Document]:
    yield Document(config.data_folder("specs") / "sandbox" / "admin.yaml")
    for contract in load_contracts(config.data_folder("specs")):
        yield from contract.documents


def messages() -> Iterator[Message]:
    """Every example of a body that some operation takes or gives."""
    for document in documents():
        for operation in document.operations:
            raw = document.raw["paths"][operation.template.removeprefix(document.base_path)][operation.method.lower()]
            body = document.resolve(raw.get("requestBody", {}), ())
            for media, content in body.get("content", {}).items():
                assert operation.body is not None
                validator = operation.body.content[media]
                for name, example in content.get("examples", {}).items():
                    value = document.resolve(example, ())["value"]
                    yield Message(f"{operation.id}, {name}", value, validator, second(validator))
            for status, response in operation.responses.items():
                for name, (media, example) in response.examples.items():
                    validator = response.content[media]
                    yield Message(f"{operation.id}, {status}, {name}", example["value"], validator, second(validator))


def second(validator: Validator) -> Draft202012Validator:
    return Draft202012Validator(validator.schema, format_checker=FORMATS)


MESSAGES = list({encode([message.value, id(message.first)]): message for message in messages()}.values())

texts = st.sampled_from(
    [
        *(
            "",
            " ",
            "x",
            "x" * 256,
            "x" * 257,
            "EUR",
            "eur",
            "ISSUED",
            "issued",
            "ACTIVE",
            "SCHEDULE",
            "ExternalGiftCard",
        ),
        *("InternalGiftCard", "50.00", "1", "true", "\x00", "\u0130", "\U0001f381", "healthy", "P1D", "P", "P1DT"),
        *("2030-01-01T00:00:00Z", "2030-01-01T00:00:00.123456789Z", "2030-01-01T00:00:00+01:00", "2030-01-01T00:00:00"),
        *("2030-01-01", "2030-02-30T00:00:00Z", "2029-02-29T00:00:00Z", "2028-02-29T00:00:00Z", "2030-01-01T24:00:00Z"),
        *("2030-01-01T23:59:59-23:59", "2030-01-01T00:60:00Z", "2030-13-01T00:00:00Z", "2030-01-01T00:00:00+24:00"),
        *(
            "https://hooks.example/x?y=z#0",
            "urn:x:y",
            "//x",
            "/x",
            "x y",
            "https://a b",
            "https://[::1]/",
            "http://[::1",
        ),
        *("https://hooks.example/%zz", "mailto:a@b.example", "https://", "1:x"),
    ]
)
decimals = ("0.5", "4.35", "0.07", "1.0", "0.000001", "0.0000001", "9000000000000.000001", "1e-99999999999", "1e999")
integers = (0, -1, 1, 100, 599, 600, 5001, 10**30, -(10**30), 9_000_000_000_000, -9_000_000_000_001)
numbers = st.sampled_from([*integers, *map(Decimal, decimals)]) | st.decimals(-1000, 1000, places=6)
others: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, False, [], {}, [1], [{}], {"unit": "EUR"}, {"unit": "EUR", "value": 1}, {"value": 1}]
)
values = texts | numbers | others.map(copy.deepcopy)


@fuzzing.seeded
@settings(
    max_examples=10 * fuzzing.EXAMPLES,
    derandomize=not fuzzing.AT_RANDOM,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(st.data())
@pytest.mark.fuzz
def test_both_validators_agree_whatever_is_changed_in_a_message(data: st.DataObject) -> None:
    message = data.draw(st.sampled_from(MESSAGES), "message")
    value = copy.deepcopy(message.value)
    for _ in range(data.draw(st.integers(0, 3), "changes")):
        value = change(data, value)
    found = message.first.violations(value, "body")
    assert (not found) == message.second.is_valid(whole(value)), (message.where, value, found)
    assert (not found) == message.first.compiled.is_valid(value), (message.where, value, found)


def change(data: st.DataObject, value: Any) -> Any:
    """The value with something in it replaced, left out or added."""
    if not isinstance(value, dict | list) or not value or data.draw(st.integers(0, 5)) == 0:
        return data.draw(values)
    key = data.draw(st.sampled_from(sorted(value) if isinstance(value, dict) else range(len(value))))
    how = data.draw(st.sampled_from(["deeper", "deeper", "replace", "leave out", "add"]))
    if how == "deeper":
        value[key] = change(data, value[key])
    elif how == "replace":
        value[key] = data.draw(values)
    elif how == "leave out":
        del value[key]
    elif isinstance(value, dict):
        value[data.draw(texts)] = data.draw(values)
    else:
        value.append(data.draw(values))
    return value


def whole(value: Any) -> Any:
    """The value with 1.0 as 1: both are integers, but `jsonschema` does not know it of a `Decimal`."""
    if isinstance(value, dict):
        return {name: whole(item) for name, item in value.items()}
    if isinstance(value, list):
        return [whole(item) for item in value]
    return int(value) if isinstance(value, Decimal) and value == value.to_integral_value() else value


@pytest.mark.parametrize(
    ("schema", "value", "right"),
    [
        ({"multipleOf": 0.01}, 4.35, True),
        ({"multipleOf": 0.000001}, 0.07, True),
        ({"pattern": "^[A-Z]+$"}, "EUR\n", False),
        ({"pattern": r"^\d+$"}, "٣", False),
        ({"pattern": r"^\p{L}+$"}, "é", True),
        ({"format": "date-time"}, "1990-12-31T23:59:60Z", True),
        ({"format": "date-time"}, "0000-01-01T00:00:00Z", True),
        ({"format": "date-time"}, "2030-01-01T00:00:00Z\n", False),
        ({"format": "uri"}, "https://hooks.example\n", False),
        ({"type": "integer"}, Decimal("1.0"), True),
    ],
)
def test_the_second_validator_errs_where_it_is_known_to(schema: dict[str, Any], value: Any, right: bool) -> None:
    validator = Validator(schema)
    assert (not validator.violations(value, "body")) == right
    try:
        verdict = second(validator).is_valid(value)
    except re.error:  # it does not know \p{L} at all
        return
    assert verdict != right
