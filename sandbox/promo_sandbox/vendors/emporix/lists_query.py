"""The parameter `q`: conditions separated by blanks. Source: documented, the page on standard practices."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from promo_sandbox.rules import Doc, moment
from promo_sandbox.vendors.emporix.lists_regex import Pattern

Condition = Callable[[Doc], bool]
Test = Callable[[Any], bool]  # of a field's value

MISSING: Any = object()

_MAX_ITEMS = 1000  # of an array in a document
_MAX_COMPARISONS = 20  # of a range
_MAX_SEARCHED = 10_000  # characters of a value
_BLANKS = re.compile(r"\s*")
_FIELD = re.compile(r'([^\s:()"<>~,]+):')
_WORD = re.compile(r'[^\s()",<>~][^\s()",]*')
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_COMPARISON = re.compile(r"[<>]=?")
_AND = re.compile(r"\s+AND\s+")
_COMMA = re.compile(r"\s*,\s*")
_BARE_PATTERN = re.compile(r"\S+")
_PATTERN_IN_BRACKETS = re.compile(r"(.*?)\)(?=\s|$)", re.DOTALL)
_NUMBER = re.compile(r"-?\d{1,40}(?:\.\d{1,40})?(?:[eE][-+]?\d{1,3})?", re.ASCII)
_OPERATORS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


def parse_query(query: str) -> list[Condition]:
    """The conditions that a document must meet. Raises `ValueError` if the query is invalid."""
    return _Parser(query).conditions()


def value_at(value: Any, path: list[str]) -> Any:
    """The value at a path of field names, or `MISSING`. For an array: the list of the values in its items."""
    for index, name in enumerate(path):
        if isinstance(value, list):
            found = [inner for item in value if (inner := value_at(item, path[index:])) is not MISSING]
            return found or MISSING
        if not isinstance(value, dict) or name not in value:
            return MISSING
        value = value[name]
    return value


class _Parser:
    """A recursive-descent parser of a query."""

    def __init__(self, query: str) -> None:
        self._query = query
        self._position = 0

    def conditions(self) -> list[Condition]:
        found = []
        self._match(_BLANKS)
        while self._position < len(self._query):
            path = self._expect(_FIELD)[1].split(".")
            found.append(_on_field(path, self._test()))
            if self._position < len(self._query) and not self._expect(_BLANKS)[0]:
                raise ValueError("a blank must follow a condition")
        return found

    def _test(self) -> Test:
        if self._skip("~(") or self._skip("(~"):
            return _contains(self._expect(_PATTERN_IN_BRACKETS)[1])
        if self._skip("~"):
            return _contains(self._expect(_BARE_PATTERN)[0])
        if self._skip("("):
            return self._in_brackets()
        if self._query[self._position : self._position + 1] in ("<", ">"):
            return self._comparison()
        if word := self._match(_WORD):
            return _KEYWORDS.get(word[0]) or _one_of([word[0]])
        return _one_of([self._quoted()])

    def _in_brackets(self) -> Test:
        """A range, or a list of alternative values."""
        self._match(_BLANKS)
        is_range = self._query[self._position : self._position + 1] in ("<", ">")
        test = self._range() if is_range else _one_of(self._alternatives())
        self._match(_BLANKS)
        if not self._skip(")"):
            raise ValueError("a closing bracket is missing")
        return test

    def _range(self) -> Test:
        tests = [self._comparison()]
        while self._match(_AND):
            tests.append(self._comparison())
        if len(tests) > _MAX_COMPARISONS:
            raise ValueError("a range has too many comparisons")
        return _all(tests)

    def _alternatives(self) -> list[str]:
        texts = [self._value()]
        while self._match(_COMMA):
            texts.append(self._value())
        return texts

    def _value(self) -> str:
        word = self._match(_WORD)
        return word[0] if word else self._quoted()

    def _comparison(self) -> Test:
        """A comparison with a number, or with a date in double quotes."""
        compare = _OPERATORS[self._expect(_COMPARISON)[0]]
        word = self._match(_WORD)
        if word is None:
            return _compare_date(compare, _date(self._quoted()))
        if not _NUMBER.fullmatch(word[0]):
            raise ValueError("a comparison needs a number or a date in double quotes")
        return _compare_number(compare, Decimal(word[0]))

    def _quoted(self) -> str:
        return re.sub(r"\\(.)", r"\1", self._expect(_QUOTED)[1], flags=re.DOTALL)

    def _skip(self, text: str) -> bool:
        if not self._query.startswith(text, self._position):
            return False
        self._position += len(text)
        return True

    def _match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        match = pattern.match(self._query, self._position)
        if match:
            self._position = match.end()
        return match

    def _expect(self, pattern: re.Pattern[str]) -> re.Match[str]:
        match = self._match(pattern)
        if match is None:
            raise ValueError(f"unexpected text at position {self._position}")
        return match


def _on_field(path: list[str], test: Test) -> Condition:
    return lambda doc: test(value_at(doc, path))


def _all(tests: list[Test]) -> Test:
    return lambda value: all(test(value) for test in tests)


def _any_item(test: Test) -> Test:
    """For an array: whether one of its first `_MAX_ITEMS` items passes the test."""
    return lambda value: any(map(test, value[:_MAX_ITEMS])) if isinstance(value, list) else test(value)


_KEYWORDS: dict[str, Test] = {
    "null": lambda value: value is MISSING or value is None,
    "missing": lambda value: value is MISSING,
    "exists": lambda value: value is not MISSING,
}


def _one_of(values: list[str]) -> Test:
    """Equality with one of the values. They are in sets, because a query may have thousands of them."""
    texts = frozenset(values)
    numbers = frozenset(Decimal(text) for text in texts if _NUMBER.fullmatch(text))
    dates = {date for text in texts if (date := _moment(text)) is not None}

    def test(value: Any) -> bool:
        if isinstance(value, bool):
            return ("true" if value else "false") in texts
        if isinstance(value, str):
            return value in texts or (bool(dates) and _moment(value) in dates)
        return bool(numbers) and isinstance(value, int | Decimal) and value in numbers

    return _any_item(test)


def _contains(source: str) -> Test:
    """Whether the pattern is found in the first `_MAX_SEARCHED` characters of a text, or of an array's texts together.

    Without this limit, one document could delay other requests.
    """
    pattern = Pattern(source)

    def test(value: Any) -> bool:
        left = _MAX_SEARCHED
        for text in value[:_MAX_ITEMS] if isinstance(value, list) else [value]:
            if isinstance(text, str):
                if pattern.found_in(text[:left]):
                    return True
                left -= len(text)
                if left <= 0:
                    break
        return False

    return test


def _compare_number(compare: Callable[[Any, Any], bool], bound: Decimal) -> Test:
    return _any_item(
        lambda value: isinstance(value, int | Decimal) and not isinstance(value, bool) and compare(value, bound)
    )


def _compare_date(compare: Callable[[Any, Any], bool], bound: int) -> Test:
    def test(value: Any) -> bool:
        date = _moment(value) if isinstance(value, str) else None
        return date is not None and compare(date, bound)

    return _any_item(test)


def _date(text: str) -> int:
    """The moment of a date-time, or of the start of a day in UTC."""
    date = _moment(text)
    if date is None:
        date = _moment(f"{text}T00:00:00Z")
    if date is None:
        raise ValueError("a comparison with a quoted value needs a date")
    return date


def _moment(text: str) -> int | None:
    try:
        return moment(text)
    except ValueError:
        return None
