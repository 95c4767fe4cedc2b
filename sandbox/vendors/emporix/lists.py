"""Lists: pages of what fits `q`, in the order of `sort`."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from sandbox.rules import Call, Collection, Doc, Reply
from sandbox.vendors.emporix.lists_query import MISSING, at, conditions

Show = Callable[[Doc], Doc]

_KEY = re.compile(r"([^\s:,()\"]+)(?::(asc|desc))?")
_LANGUAGE = re.compile(r"[a-z]{2}(-[A-Z]{2})?")


def page(call: Call, collection: Collection, name: str, show: Show = lambda doc: doc) -> Reply:
    """A page of a list, each document as `show` has it; that is also what is searched and ordered.

    Documented: the total of what fits is told if asked for. Inferred: otherwise not.
    """
    limit, offset = call.query["pageSize"], (call.query["pageNumber"] - 1) * call.query["pageSize"]
    tests, keys = _conditions(call), _keys(call)
    if tests or keys:
        found = [show(doc) for _, doc in call.page(name, limit=call.size(name))]
        found = [doc for doc in found if all(test(doc) for test in tests)]
        for path, descending in reversed(keys):
            # mypy cannot tell the type of a lambda with a default, which binds the path of this round.
            found.sort(key=lambda doc, path=path: _rank(_value(doc, path)), reverse=descending)  # type: ignore[misc]
        total, found = len(found), found[offset : offset + limit]
    else:
        total = call.size(name)
        found = [show(doc) for _, doc in call.page(name, offset=offset, limit=limit)]
    headers = (("Items-Count", str(total)),) if call.query.get("totalCount") else ()
    return call.reply([call.public(collection, doc) for doc in found], headers)


def _conditions(call: Call) -> list[Callable[[Doc], bool]]:
    try:
        return conditions(call.query.get("q", ""))
    except ValueError:
        call.reject("invalid-query")


def _keys(call: Call) -> list[tuple[list[str], bool]]:
    """Documented: members to sort by, ascending unless told otherwise. Each as its path, and whether it descends."""
    written = call.query.get("sort", "")
    found = [_KEY.fullmatch(key.strip()) for key in written.split(",")] if written.strip() else []
    if None in found:
        detail = {"field": "sort", "message": "not a valid sort", "type": "invalid_query_parameter"}
        call.reject("invalid-query", details=[detail])
    return [(key[1].split("."), key[2] == "desc") for key in found if key]


def _value(doc: Doc, path: list[str]) -> Any:
    """Inferred: a text that is the same in all languages is sorted by in any of them."""
    value = at(doc, path)
    if value is MISSING and len(path) > 1 and _LANGUAGE.fullmatch(path[-1]):
        text = at(doc, path[:-1])
        return text if isinstance(text, str) else MISSING
    return value


def _rank(value: Any) -> tuple[Any, ...]:
    """Inferred: nothing comes first, then numbers, texts, truth values, and all else as one."""
    if value is MISSING or value is None:
        return (0,)
    if isinstance(value, bool):
        return (3, value)
    if isinstance(value, int | Decimal):
        return (1, value)
    return (2, value) if isinstance(value, str) else (4,)
