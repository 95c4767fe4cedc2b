"""The `when` of a step: which calls it takes. Compiled into functions that say yes or no; why not is told when asked.

A pattern is part of what it fits: an object names some members, a list every item, anything else an equal value. Where
that will not do, `{matches: regex}` is searched for in a text, and `{present: false}` fits what is not there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from promo_sandbox.base.linear_regex import compile_pattern
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


def compiled(wanted: Any) -> Matcher:
    """Whether a value fits the pattern. Raises `ValueError` for a regular expression that is none."""
    if isinstance(wanted, dict):
        if is_operator(wanted):
            if "matches" in wanted:
                return _search(wanted["matches"])
            present = wanted["present"]
            return lambda value: (value is not ABSENT) is present
        return _members([(name, compiled(part)) for name, part in wanted.items()])
    if isinstance(wanted, list):
        items = [compiled(part) for part in wanted]
        return lambda value: (
            isinstance(value, list)
            and len(value) == len(items)
            and all(fits(item) for fits, item in zip(items, value, strict=True))
        )
    if isinstance(wanted, bool):
        return lambda value: value is wanted
    # Numbers are equal by value, 50 and 50.00; in Python 1 also equals true.
    return lambda value: bool(value == wanted) and not isinstance(value, bool)


def _members(members: list[tuple[str, Matcher]]) -> Matcher:
    def fit(value: Any) -> bool:
        if not isinstance(value, dict):
            return False
        for name, fits in members:  # noqa: SIM110 - asked on every call, and a generator costs as much as what it asks
            if not fits(value.get(name, ABSENT)):
                return False
        return True

    return fit


def is_operator(pattern: Any) -> bool:
    """Whether an object is no part of an object, but `{matches: text}` or `{present: boolean}`."""
    if not isinstance(pattern, dict) or len(pattern) != 1:
        return False
    return isinstance(pattern.get("matches"), str) or isinstance(pattern.get("present"), bool)


def _search(expression: str) -> Matcher:
    matches = compile_pattern(expression).matches
    return lambda value: isinstance(value, str) and matches(value)


def expressions(wanted: Any) -> Iterator[str]:
    """The regular expressions in a pattern."""
    if is_operator(wanted):
        if "matches" in wanted:
            yield wanted["matches"]
    elif isinstance(wanted, dict | list):
        for part in wanted.values() if isinstance(wanted, dict) else wanted:
            yield from expressions(part)


def text_pattern(pattern: Any) -> Any:
    """A pattern for what is text on the wire, such as a query: `10` there is the text 10."""
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
    """The first reason why a value does not fit a pattern; None if it does."""
    if compiled(pattern)(value):
        return None
    if value is ABSENT:
        return f"{where} is not there"
    if isinstance(pattern, dict) and isinstance(value, dict) and not is_operator(pattern):
        inner = (mismatch(part, value.get(name, ABSENT), f"{where}.{name}") for name, part in pattern.items())
        return next((reason for reason in inner if reason is not None), None)
    if isinstance(pattern, list) and isinstance(value, list) and len(pattern) == len(value):
        inner = (mismatch(part, value[at], f"{where}[{at}]") for at, part in enumerate(pattern))
        return next((reason for reason in inner if reason is not None), None)
    if _MASKS.is_secret(where.rpartition(".")[2]):
        return f"{where} is another one"
    return f"{where} is {shown(value)}, not {shown(pattern)}"


def shown(value: Any) -> str:
    """A value in a sentence."""
    text = str(value) if isinstance(value, Decimal) else repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


class CallParts:
    """What a call says, part by part, looked at only when a step asks."""

    __slots__ = ("_query", "_request", "_values")

    def __init__(self, request: Request, values: Values) -> None:
        self._request = request
        self._values = values
        self._query: dict[str, Any] | None = None

    def fits(self, parts: tuple[tuple[str, Matcher], ...]) -> bool:
        for name, fits in parts:  # noqa: SIM110 - asked on every call, and a generator costs as much as what it asks
            if not fits(self._part(name)):
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
            given = parse_form(self._request.query, [])
            self._query = {name: texts[0] if len(texts) == 1 else texts for name, texts in given.items()}
        return self._query
