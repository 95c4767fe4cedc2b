"""Lists: pages of what fits `q`, in the order of `sort`."""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable
from decimal import Decimal
from itertools import islice
from typing import Any

from promo_sandbox.rules import Call, Collection, Doc, Listed, Reply, Work
from promo_sandbox.vendors.emporix.lists_query import MISSING, at, conditions

Show = Callable[[Doc], Doc]
Test = Callable[[Doc], bool]
Key = tuple[list[str], bool]  # a path, and whether it descends
Rank = tuple[Any, ...]
_Ranked = tuple[Rank, int]  # and a place in the list

MAX_KEYS = 30
_RUN = 250  # documents that are sorted at once

_KEY = re.compile(r"([^\s:,()\"]+)(?::(asc|desc))?")
_LANGUAGE = re.compile(r"[a-z]{2}(-[A-Z]{2})?")


class _Descending:
    """What sorts the other way round."""

    __slots__ = ("_rank",)

    def __init__(self, rank: Rank) -> None:
        self._rank = rank

    def __lt__(self, other: _Descending) -> bool:
        return other._rank < self._rank

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Descending) and self._rank == other._rank

    __hash__ = None  # type: ignore[assignment]  # it is compared, never looked up


def page(call: Call, collection: Collection, name: str, show: Show = lambda doc: doc) -> Reply:
    """A page of a list, each document as `show` has it; that is also what is searched and ordered.

    Documented: the total of what fits is told if asked for. Inferred: otherwise not.
    """
    tests, keys = _conditions(call), _keys(call)
    if tests or keys:
        return call.reply_later(_searched(call, collection, call.listed(name), show, tests, keys))
    offset, limit = _window(call)
    found = call.listed(name, offset, limit)
    return call.reply_all((call.public(collection, show(doc)) for _, doc in found), _count(call, call.size(name)))


def _window(call: Call) -> tuple[int, int]:
    size = call.query["pageSize"]
    return (call.query["pageNumber"] - 1) * size, size


def _count(call: Call, total: int) -> tuple[tuple[str, str], ...]:
    return (("Items-Count", str(total)),) if call.query.get("totalCount") else ()


def _searched(
    call: Call, collection: Collection, docs: Listed, show: Show, tests: list[Test], keys: list[Key]
) -> Work[Reply]:
    """The page as work in slices. It keeps the places of what it finds, since the documents could fill the memory."""
    found: list[_Ranked] = []
    for place, (_, doc) in enumerate(docs):
        shown = show(doc)
        for test in tests:
            if not test(shown):
                break
            yield
        else:
            found.append((_ranks(shown, keys), place))
        yield
    offset, limit = _window(call)
    runs: list[list[_Ranked]] = [] if keys else [found]
    for first in range(0, len(found) if keys else 0, _RUN):  # nobody is answered while Python sorts 50,000 at once
        runs.append(sorted(found[first : first + _RUN], key=_rank_of))
        yield
    indexes: list[int] = []
    for _, place in islice(heapq.merge(*runs, key=_rank_of), offset, offset + limit):
        indexes.append(place)
        yield
    shown_docs = (call.public(collection, show(docs[place][1])) for place in indexes)
    return call.reply_all(shown_docs, _count(call, len(found)))


def _conditions(call: Call) -> list[Callable[[Doc], bool]]:
    try:
        return conditions(call.query.get("q", ""))
    except ValueError:
        call.reject("invalid-query")


def _keys(call: Call) -> list[Key]:
    """Documented: members to sort by, ascending unless told otherwise. Each as its path, and whether it descends."""
    written = call.query.get("sort", "")
    found = [_KEY.fullmatch(key.strip()) for key in written.split(",")] if written.strip() else []
    if None in found:
        detail = {"field": "sort", "message": "not a valid sort", "type": "invalid_query_parameter"}
        call.reject("invalid-query", details=[detail])
    keys: dict[str, bool] = {}
    for key in found:
        if key:
            keys.setdefault(key[1], key[2] == "desc")  # what comes again would no longer change the order
    if len(keys) > MAX_KEYS:
        detail = {"field": "sort", "message": f"more than {MAX_KEYS} keys", "type": "invalid_query_parameter"}
        call.reject("invalid-query", details=[detail])
    return [(path.split("."), descending) for path, descending in keys.items()]


def _value(doc: Doc, path: list[str]) -> Any:
    """Inferred: a text that is the same in all languages is sorted by in any of them."""
    value = at(doc, path)
    if value is MISSING and len(path) > 1 and _LANGUAGE.fullmatch(path[-1]):
        text = at(doc, path[:-1])
        return text if isinstance(text, str) else MISSING
    return value


def _ranks(doc: Doc, keys: list[Key]) -> Rank:
    ranks = ((_rank(_value(doc, path)), descending) for path, descending in keys)
    return tuple(_Descending(rank) if descending else rank for rank, descending in ranks)


def _rank_of(ranked: _Ranked) -> Rank:
    return ranked[0]


def _rank(value: Any) -> tuple[Any, ...]:
    """Inferred: nothing comes first, then numbers, texts, truth values, and all else as one."""
    if value is MISSING or value is None:
        return (0,)
    if isinstance(value, bool):
        return (3, value)
    if isinstance(value, int | Decimal):
        return (1, value)
    return (2, value) if isinstance(value, str) else (4,)
