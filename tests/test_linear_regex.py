"""Regular expressions of clients: matches, errors, and bounded time."""

from __future__ import annotations

import re

import pytest

from promo_sandbox.base.linear_regex import MAX_PATTERN, MAX_TEXT, compile_regex


@pytest.mark.parametrize("text", ["aaa", "aab", "", "b", "10", "X-Trace", "straße", "a\nb", "a@b.de"])
@pytest.mark.parametrize(
    "expression", ["^(a+)+$", "a", "^[ab]$", r"\d+", "^X-", "(?i)STRA", "a|b", "^$", r"a.b", r"\w+@\w+\.de", "a{2,3}"]
)
def test_patterns_match_as_in_python(expression: str, text: str) -> None:
    assert compile_regex(expression).matches(text) == bool(re.search(expression, text))


@pytest.mark.parametrize(
    "expression", ["(", "[z-a]", "(?=a)", "(?<!a)b", r"(a)\1", r"\Aa\Z", "(a{100}){100}{100}", "a" * (MAX_PATTERN + 1)]
)
def test_an_unsupported_pattern_is_an_error_with_a_sentence(expression: str) -> None:
    with pytest.raises(ValueError, match=r"is not a (supported )?regular expression|more than 1000 characters"):
        compile_regex(expression)


def test_only_the_beginning_of_a_long_text_is_searched() -> None:
    assert compile_regex("b").matches("a" * (MAX_TEXT - 1) + "b")
    assert not compile_regex("b").matches("a" * MAX_TEXT + "b")


def test_a_larger_pattern_has_a_larger_size() -> None:
    assert compile_regex("a").size < compile_regex("a{100}").size < compile_regex("a{1000}").size
