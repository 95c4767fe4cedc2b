"""The `when` of a step: patterns that a call must match, compiled to functions; the reason for a mismatch on request.

A pattern for an object gives some of its fields, a pattern for a list gives all items, any other value must be equal.
`{matches: regex}` searches a string for a regular expression; `{present: false}` matches an absent value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from promo_sandbox.base.linear_regex import compile_regex
from promo_sandbox.base.masking import Masks
from promo_sandbox.base.messages import Request
from promo_sandbox.openapi.operation import Values
from promo_sandbox.openapi.parameters import parse_form

Matcher = Callable[[Any], bool]


class _Absent:
    def __repr__(self) -> str:
        return "absent"


ABSENT: Any = _Absent()
PARTS = ("path", "query", "headers", "body")
_MAX_SHOWN = 60
_MASKS = Masks()


def compile_pattern(pattern: Any) -> Matcher:
    """A function that tests a value against a pattern. Raises `ValueError` for an invalid regular expression."""
    if isinstance(pattern, dict):
        if is_operator(pattern):
            if "matches" in pattern:
                return _search(pattern["matches"])
            present = pattern["present"]
            return lambda value: (value is not ABSENT) is present
        return _object_matcher([(name, compile_pattern(part)) for name, part in pattern.items()])
    if isinstance(pattern, list):
        items = [compile_pattern(part) for part in pattern]
        return lambda value: (
            isinstance(value, list)
            and len(value) == len(items)
            and all(test(item) for test, item in zip(items, value, strict=True))
        )
    if isinstance(pattern, bool):
        return lambda value: value is pattern
    # Numbers are compared by value: 50 equals 50.00. Python's 1 equals True, too, so booleans are excluded.
    return lambda value: bool(value == pattern) and not isinstance(value, bool)


def _object_matcher(fields: list[tuple[str, Matcher]]) -> Matcher:
    def matches(value: Any) -> bool:
        if not isinstance(value, dict):
            return False
        for name, test in fields:  # noqa: SIM110 - runs for every call, and a generator doubles the time
            if not test(value.get(name, ABSENT)):
                return False
        return True

    return matches


def is_operator(pattern: Any) -> bool:
    """Whether a pattern is `{matches: text}` or `{present: boolean}`, not a pattern for an object."""
    if not isinstance(pattern, dict) or len(pattern) != 1:
        return False
    return isinstance(pattern.get("matches"), str) or isinstance(pattern.get("present"), bool)


def _search(expression: str) -> Matcher:
    matches = compile_regex(expression).matches
    return lambda value: isinstance(value, str) and matches(value)


def expressions(pattern: Any) -> Iterator[str]:
    """The regular expressions in a pattern."""
    if is_operator(pattern):
        if "matches" in pattern:
            yield pattern["matches"]
    elif isinstance(pattern, dict | list):
        for part in pattern.values() if isinstance(pattern, dict) else pattern:
            yield from expressions(part)


def text_pattern(pattern: Any) -> Any:
    """A pattern for values that are strings in a request, such as query parameters: `10` becomes the string 10."""
    if isinstance(pattern, dict):
        if is_operator(pattern):
            return pattern
        return {name: text_pattern(part) for name, part in pattern.items()}
    if isinstance(pattern, list):
        return [text_pattern(part) for part in pattern]
    if isinstance(pattern, bool):
        return "true" if pattern else "false"
    return str(pattern) if isinstance(pattern, int | Decimal) else pattern


def mismatch(pattern: Any, value: Any, where: str) -> str | None:
    """The first reason why a value does not match a pattern; None if it matches."""
    if compile_pattern(pattern)(value):
        return None
    if value is ABSENT:
        return f"{where} is missing"
    if isinstance(pattern, dict) and isinstance(value, dict) and not is_operator(pattern):
        inner = (mismatch(part, value.get(name, ABSENT), f"{where}.{name}") for name, part in pattern.items())
        return next((reason for reason in inner if reason is not None), None)
    if isinstance(pattern, list) and isinstance(value, list) and len(pattern) == len(value):
        inner = (mismatch(part, value[index], f"{where}[{index}]") for index, part in enumerate(pattern))
        return next((reason for reason in inner if reason is not None), None)
    if _MASKS.is_secret(where.rpartition(".")[2]):
        return f"{where} has another value"
    return f"{where} is {shown(value)}, not {shown(pattern)}"


def shown(value: Any) -> str:
    """A value for a message, shortened."""
    text = str(value) if isinstance(value, Decimal) else repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


class CallParts:
    """The parts of a call that a step can test, each decoded when it is needed."""

    __slots__ = ("_query", "_request", "_values")

    def __init__(self, request: Request, values: Values) -> None:
        self._request = request
        self._values = values
        self._query: dict[str, Any] | None = None

    def match(self, parts: tuple[tuple[str, Matcher], ...]) -> bool:
        for name, test in parts:  # noqa: SIM110 - runs for every call, and a generator doubles the time
            if not test(self._part(name)):
                return False
        return True

    def mismatch(self, when: dict[str, Any]) -> str | None:
        found = (mismatch(pattern, self._part(name), name) for name, pattern in when.items())
        return next((reason for reason in found if reason is not None), None)

    def _part(self, name: str) -> Any:
        if name == "body":
            return self._values.body if self._request.body else ABSENT
        if name == "path":
            return self._values.path
        if name == "headers":
            return {field.decode("latin-1"): value.decode("latin-1") for field, value in self._request.fields.items()}
        if self._query is None:
            parameters = parse_form(self._request.query, [])
            self._query = {name: texts[0] if len(texts) == 1 else texts for name, texts in parameters.items()}
        return self._query
