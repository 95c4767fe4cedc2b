"""Requests, replies and JSON: exact numbers, and limits for hostile bodies."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promo_sandbox.base import messages
from promo_sandbox.base.messages import MAX_DEPTH, FieldOrder, Reply, Request, Violation, decode, encode


@pytest.mark.parametrize(
    "number",
    [
        "50.00",
        "0.1",
        "9000000000000.000001",
        "-0.0",
        "0",
        "-7",
        "1" * 30,
        f"-{'9' * 30}",
        "0.30000000000000000000000001",
    ],
)
def test_a_number_goes_out_as_it_came_in(number: str) -> None:
    assert encode(decode(f'{{"n":{number}}}'.encode())) == f'{{"n":{number}}}'.encode()


def test_a_number_with_an_exponent_keeps_its_value() -> None:
    assert decode(encode(decode(b"[1e3,1.5E-7,1e308,1e-324]"))) == [
        *(Decimal("1e3"), Decimal("1.5e-7"), Decimal("1e308"), Decimal("1e-324"))
    ]


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals(min_value="-1e308", max_value="1e308", places=9)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@settings(deadline=None)
@given(_JSON)
def test_whatever_json_can_say_comes_back_equal(value: Any) -> None:
    assert decode(encode(value)) == value


@pytest.mark.parametrize(
    ("came", "kept"),
    [("", ""), ("ac", "ac"), ("abc", "abc"), ("cab", "abc"), ("zbya", "abzy"), ("zy", "zy"), ("az", "az")],
)
def test_fields_come_in_the_order_of_their_kind_and_others_last(came: str, kept: str) -> None:
    order = FieldOrder(("a", "b", "c"))

    for _ in range(2):  # the second time from what was remembered
        doc = {name: name.upper() for name in came}
        arranged = order.apply(doc)
        assert "".join(arranged) == kept
        assert arranged == doc
        assert (arranged is doc) == (came == kept)


def test_the_last_of_two_equal_keys_wins() -> None:
    assert decode(b'{"a":1,"a":2}') == {"a": 2}


@pytest.mark.parametrize(
    "body",
    [
        b"NaN",
        b"[Infinity]",
        b"-Infinity",
        b'"\\ud800"',
        b'"\\udc00\\ud800"',
        b'"\xed\xa0\x80"',
        b'"\xff"',
        b"\xef\xbb\xbf{}",
        b"",
        b"{",
        b"[1,]",
        b"{'a':1}",
        b"01",
        b"1.",
        b"+1",
        b'"\x00"',
        b"{} {}",
        b"1e99999999999999999999",
        b"1e999999999",
        b"[-1e-999999999]",
        b'{"n": 0e999999999}',
        b"1e309",
        b"1e-325",
        b"1" * 5000,
    ],
)
def test_invalid_json_is_an_error_with_a_sentence(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"^The body .*\.$"):
        decode(body)


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"a":', b"}]")])
def test_a_body_may_be_nested_100_levels_deep_and_no_deeper(opening: bytes, closing: bytes) -> None:
    levels = MAX_DEPTH // (opening.count(b"[") + opening.count(b"{"))

    deepest = opening * levels + b"1" + closing * levels

    assert decode(deepest)
    with pytest.raises(ValueError, match="deeper than 100 levels"):
        decode(b"[" + deepest + b"]")


def test_brackets_side_by_side_are_not_depth() -> None:
    assert decode(b"[" + b"[]," * 5000 + b"[]]") == [[]] * 5001


def test_brackets_in_a_text_are_not_depth() -> None:
    text = b"[{" * 5000 + b'\\"[\\\\'

    assert decode(b'{"a":"' + text + b'"}')
    assert decode(b'"' + b"[" * 5000 + b'"') == "[" * 5000


@pytest.mark.parametrize("body", [b"[" * 1_000_000, b'{"a":' * 200_000, b'[{"":' * 200_000 + b"1" + b"}]" * 200_000])
def test_a_million_brackets_are_rejected(body: bytes) -> None:
    with pytest.raises(ValueError, match="objects, arrays and fractions"):
        decode(body)


@pytest.mark.parametrize("value", [b"{}", b"[]", b"0.5", b"1e9", b"1E9", b"[0.5]"])
def test_a_body_of_values_that_take_long_to_decode_is_rejected(value: bytes) -> None:
    assert len(decode(b"[" + (value + b",") * 15_000 + b"1]")) == 15_001
    with pytest.raises(
        ValueError, match=r"^The body has more than \d+ objects, arrays and fractions; .* counts as 4\.$"
    ):
        decode(b"[" + (value + b",") * 81_000 + b"1]")


@pytest.mark.parametrize("value", [b"0.5", b"1e9", b"1E9"])
def test_a_fraction_takes_as_long_as_four_objects(value: bytes) -> None:
    assert len(decode(b"[" + b",".join([value] * 19_999) + b"]")) == 19_999
    with pytest.raises(ValueError, match="a fraction counts as 4"):
        decode(b"[" + b",".join([value] * 20_001) + b"]")


@pytest.mark.parametrize("value", [b"1", b"true", b"false", b"null", b'""', b'"{e.[\\\\"', b'{"a":"a long text"}'])
def test_a_body_of_many_values_that_are_decoded_quickly_is_read(value: bytes) -> None:
    assert len(decode(b"[" + (value + b",") * 79_998 + b"1]")) == 79_999


def test_a_larger_body_may_have_more_objects() -> None:
    assert len(decode(b"[" + b'{"number":123456},' * 100_000 + b"1]")) == 100_001


def test_a_fraction_of_a_million_digits_is_rejected() -> None:
    assert decode(b"[0." + b"1" * 4000 + b"]")
    with pytest.raises(ValueError, match="beyond what can be read"):
        decode(b"[0." + b"1" * 1_000_000 + b"]")


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 101 + b'"' + b'\\"' * 500_000,
        b"[" * 101 + b'"' + b"\\\\" * 500_000,
        b"[" * 101 + b'"' + b"[" * 1_000_000,
        b"[" * 101 + b"\\" * 1_000_000,
    ],
)
def test_a_text_that_never_ends_is_looked_at_once(body: bytes) -> None:
    with pytest.raises(ValueError, match="deeper than 100 levels"):
        decode(body)


@settings(deadline=None)
@given(st.text(alphabet='[]{}"\\a:,', max_size=40))
def test_depth_is_never_underestimated_for_what_is_json(tail: str) -> None:
    body = b"[" * 60 + f'"{tail}'.encode()
    try:
        expected = messages.decode_trusted(body)  # without the look at the depth
    except ValueError:
        return
    assert decode(body) == expected


_TEXTS = st.text(alphabet='[]{}"\\a', max_size=6)
_JSON = st.recursive(
    _TEXTS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXTS, inner, max_size=4), max_leaves=30
)


def depth(value: Any) -> int:
    if not isinstance(value, list | dict):
        return 0
    return 1 + max((depth(inner) for inner in (value.values() if isinstance(value, dict) else value)), default=0)


@settings(deadline=None)
@given(_JSON, st.booleans())
def test_a_body_is_rejected_for_its_depth_and_not_for_its_texts(value: Any, spaced: bool) -> None:
    body = json.dumps(value, separators=None if spaced else (",", ":")).encode()

    with patch("promo_sandbox.base.messages.MAX_DEPTH", 3), patch("promo_sandbox.base.messages._SHALLOW", 0):
        if depth(value) > 3:
            with pytest.raises(ValueError, match="nested deeper than 3 levels"):
                decode(body)
        else:
            assert decode(body) == value


def test_equal_texts_of_fractions_are_one_object() -> None:
    first, same, other = decode(b"[50.25, 50.25, 50.250]")

    assert first is same
    assert [str(number) for number in (first, same, other)] == ["50.25", "50.25", "50.250"]


def test_the_cache_of_fractions_is_limited_and_has_no_long_ones() -> None:
    remembered = messages._DecimalCache()  # noqa: SLF001 - the bound is the point

    numbers = [remembered[f"{number}.5"] for number in range(5000)]
    long = remembered[f"0.{'1' * 1000}"]

    assert numbers == [Decimal(number) + Decimal("0.5") for number in range(5000)]
    assert str(long) == f"0.{'1' * 1000}"
    assert len(remembered) <= 1024
    assert max(map(len, remembered)) <= 30


def test_a_request_is_taken_apart() -> None:
    request = Request("GET", "/a%2Fb?x=1?2", [(b"host", b"a"), (b"host", b"b"), (b"x-name", b"caf\xe9")])

    assert (request.path, request.query, request.prefix) == ("/a%2Fb", "x=1?2", "")
    assert request.header(b"x-name") == "café"
    assert request.header(b"host") == "b"
    assert request.header(b"missing") is None
    assert request.body == b""
    assert request.body_problem is None


def test_fields_in_several_lines_are_one_list_but_for_those_that_hold_one_value() -> None:
    lines = [(b"accept", b"a"), (b"cookie", b"x=1"), (b"content-type", b"c"), (b"x-own", b"1, 2"), (b"host", b"h")]
    more = [(b"cookie", b"y=2"), (b"accept", b"b"), (b"x-own", b""), (b"content-type", b"d"), (b"accept", b"c;q=0")]

    assert Request("GET", "/", [*lines, *more]).fields == {
        b"accept": b"a, b, c;q=0",
        b"cookie": b"x=1; y=2",
        b"content-type": b"d",
        b"x-own": b"1, 2, ",
        b"host": b"h",
    }


def test_a_reply_without_a_media_type_has_no_body() -> None:
    assert Reply(204).body == b""


def test_a_reply_is_json_unless_it_is_text() -> None:
    assert Reply(200, {"value": Decimal("50.00")}, "application/json").body == b'{"value":50.00}'
    assert Reply(200, "50", "text/plain").body == b"50"
    assert Reply(200, "50", "text/json").body == b'"50"'
    assert Reply(200, "50", "application/json").body == b'"50"'


def test_a_violation_reads_as_place_and_message_and_its_kind_is_for_programs() -> None:
    assert str(Violation("body.name", "is required")) == "body.name: is required"
    assert str(Violation("body.name", "is required", "required")) == "body.name: is required"
    assert Violation("body.name", "is required").kind == ""
