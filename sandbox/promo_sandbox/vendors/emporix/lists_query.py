"""The parameter `q`: conditions that are separated by blanks. Source: the vendor's page on it (standard practices)."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from promo_sandbox.rules import Doc, moment
from promo_sandbox.vendors.emporix.lists_regex import Pattern

Test = Callable[[Any], bool]

MISSING: Any = object()

_MAX_ITEMS = 1000  # of a list in a document
_MAX_COMPARISONS = 20  # of a range
_MAX_SEARCHED = 10_000  # characters
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


def conditions(query: str) -> list[Callable[[Doc], bool]]:
    """What a document must fit. Raises `ValueError` if the query is not valid."""
    return _Reader(query).conditions()


def at(value: Any, path: list[str]) -> Any:
    """The member of a member that the path names, or `MISSING`; of a list, what each item has of it."""
    for place, name in enumerate(path):
        if isinstance(value, list):
            found = [inner for item in value if (inner := at(item, path[place:])) is not MISSING]
            return found or MISSING
        if not isinstance(value, dict) or name not in value:
            return MISSING
        value = value[name]
    return value


class _Reader:
    """Reads a query from left to right."""

    def __init__(self, query: str) -> None:
        self._query = query
        self._place = 0

    def conditions(self) -> list[Callable[[Doc], bool]]:
        found = []
        self._take(_BLANKS)
        while self._place < len(self._query):
            path = self._need(_FIELD)[1].split(".")
            found.append(_of(path, self._test()))
            if self._place < len(self._query) and not self._need(_BLANKS)[0]:
                raise ValueError("there is something behind a condition")
        return found

    def _test(self) -> Test:
        if self._skip("~(") or self._skip("(~"):
            return _found(self._need(_PATTERN_IN_BRACKETS)[1])
        if self._skip("~"):
            return _found(self._need(_BARE_PATTERN)[0])
        if self._skip("("):
            return self._in_brackets()
        if self._query[self._place : self._place + 1] in ("<", ">"):
            return self._comparison()
        if word := self._take(_WORD):
            return _KEYWORDS.get(word[0]) or _one_of([word[0]])
        return _one_of([self._quoted()])

    def _in_brackets(self) -> Test:
        """A range, or a choice of values."""
        self._take(_BLANKS)
        ranges = self._query[self._place : self._place + 1] in ("<", ">")
        test = self._range() if ranges else _one_of(self._choice())
        self._take(_BLANKS)
        if not self._skip(")"):
            raise ValueError("a bracket is not closed")
        return test

    def _range(self) -> Test:
        tests = [self._comparison()]
        while self._take(_AND):
            tests.append(self._comparison())
        if len(tests) > _MAX_COMPARISONS:
            raise ValueError("a range has too many comparisons")
        return _all(tests)

    def _choice(self) -> list[str]:
        texts = [self._value()]
        while self._take(_COMMA):
            texts.append(self._value())
        return texts

    def _value(self) -> str:
        word = self._take(_WORD)
        return word[0] if word else self._quoted()

    def _comparison(self) -> Test:
        """Numbers, or dates in double quotes."""
        compare = _OPERATORS[self._need(_COMPARISON)[0]]
        word = self._take(_WORD)
        if word is None:
            return _later_or_earlier(compare, _date(self._quoted()))
        if not _NUMBER.fullmatch(word[0]):
            raise ValueError("what is compared is neither a number nor a date in quotes")
        return _more_or_less(compare, Decimal(word[0]))

    def _quoted(self) -> str:
        return re.sub(r"\\(.)", r"\1", self._need(_QUOTED)[1], flags=re.DOTALL)

    def _skip(self, text: str) -> bool:
        if not self._query.startswith(text, self._place):
            return False
        self._place += len(text)
        return True

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        match = pattern.match(self._query, self._place)
        if match:
            self._place = match.end()
        return match

    def _need(self, pattern: re.Pattern[str]) -> re.Match[str]:
        match = self._take(pattern)
        if match is None:
            raise ValueError(f"something else was expected at {self._place}")
        return match


def _of(path: list[str], test: Test) -> Callable[[Doc], bool]:
    return lambda doc: test(at(doc, path))


def _all(tests: list[Test]) -> Test:
    return lambda value: all(test(value) for test in tests)


def _each(test: Test) -> Test:
    """Of a list one item has to fit, of the first thousand."""
    return lambda value: any(map(test, value[:_MAX_ITEMS])) if isinstance(value, list) else test(value)


_KEYWORDS: dict[str, Test] = {
    "null": lambda value: value is MISSING or value is None,
    "missing": lambda value: value is MISSING,
    "exists": lambda value: value is not MISSING,
}


def _one_of(given: list[str]) -> Test:
    """Looked up, not compared one by one: a query may name thousands."""
    texts = frozenset(given)
    numbers = frozenset(Decimal(text) for text in texts if _NUMBER.fullmatch(text))
    dates = {date for text in texts if (date := _moment(text)) is not None}

    def test(value: Any) -> bool:
        if isinstance(value, bool):
            return ("true" if value else "false") in texts
        if isinstance(value, str):
            return value in texts or (bool(dates) and _moment(value) in dates)
        return bool(numbers) and isinstance(value, int | Decimal) and value in numbers

    return _each(test)


def _found(source: str) -> Test:
    """Only so many characters are searched, in a list together: else one document could keep others waiting."""
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


def _more_or_less(compare: Callable[[Any, Any], bool], bound: Decimal) -> Test:
    return _each(
        lambda value: isinstance(value, int | Decimal) and not isinstance(value, bool) and compare(value, bound)
    )


def _later_or_earlier(compare: Callable[[Any, Any], bool], bound: int) -> Test:
    def test(value: Any) -> bool:
        date = _moment(value) if isinstance(value, str) else None
        return date is not None and compare(date, bound)

    return _each(test)


def _date(text: str) -> int:
    """A date-time, or a date, which is its beginning in UTC."""
    date = _moment(text)
    if date is None:
        date = _moment(f"{text}T00:00:00Z")
    if date is None:
        raise ValueError("what is compared is no date")
    return date


def _moment(text: str) -> int | None:
    try:
        return moment(text)
    except ValueError:
        return None
