"""Pages of a list: the documents that match `q`, in the order of `sort`."""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable
from decimal import Decimal
from itertools import islice
from operator import itemgetter
from typing import Any

from promo_sandbox.rules import Call, Collection, Doc, ListView, Reply, Work
from promo_sandbox.vendors.emporix.lists_query import MISSING, Condition, parse_query, value_at

Show = Callable[[Doc], Doc]
SortKey = tuple[list[str], bool]  # a path, and whether the order is descending
Rank = tuple[Any, ...]
_Ranked = tuple[Rank, int]  # a rank and a position in the list
_rank_of: Callable[[_Ranked], Rank] = itemgetter(0)

MAX_KEYS = 30
_RUN_LENGTH = 250  # documents that are sorted at once

_KEY = re.compile(r"([^\s:,()\"]+)(?::(asc|desc))?")
_LANGUAGE = re.compile(r"[a-z]{2}(-[A-Z]{2})?")


class _Descending:
    """A rank that sorts in the opposite direction."""

    __slots__ = ("_rank",)

    def __init__(self, rank: Rank) -> None:
        self._rank = rank

    def __lt__(self, other: _Descending) -> bool:
        return other._rank < self._rank

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Descending) and self._rank == other._rank

    __hash__ = None  # type: ignore[assignment]  # ranks are compared, never looked up


def page(call: Call, collection: Collection, index: str, show: Show = lambda doc: doc) -> Reply:
    """A page of an index. `show` converts each document; conditions and order apply to the converted documents.

    Documented: the total is in `Items-Count` if requested. Inferred: otherwise the header is absent.
    """
    conditions, keys = _query_conditions(call), _sort_keys(call)
    if conditions or keys:
        return call.reply_later(_search(call, collection, call.list_view(index), show, conditions, keys))
    offset, limit = _offset_and_limit(call)
    shown = (call.public(collection, show(doc)) for _, doc in call.list_view(index, offset, limit))
    return call.reply_all(shown, _count_header(call, call.list_size(index)))


def _offset_and_limit(call: Call) -> tuple[int, int]:
    size = call.query["pageSize"]
    return (call.query["pageNumber"] - 1) * size, size


def _count_header(call: Call, total: int) -> tuple[tuple[str, str], ...]:
    return (("Items-Count", str(total)),) if call.query.get("totalCount") else ()


def _search(
    call: Call, collection: Collection, docs: ListView, show: Show, conditions: list[Condition], keys: list[SortKey]
) -> Work[Reply]:
    """The page as work in slices. It keeps positions instead of documents, which could fill the memory."""
    found: list[_Ranked] = []
    for position, (_, doc) in enumerate(docs):
        shown = show(doc)
        for condition in conditions:
            if not condition(shown):
                break
            yield
        else:
            found.append((_sort_rank(shown, keys), position))
        yield
    offset, limit = _offset_and_limit(call)
    # Sorting 50,000 documents at once would block other requests, so short runs are sorted and then merged.
    runs: list[list[_Ranked]] = [] if keys else [found]
    for start in range(0, len(found) if keys else 0, _RUN_LENGTH):
        runs.append(sorted(found[start : start + _RUN_LENGTH], key=_rank_of))
        yield
    positions: list[int] = []
    end = min(offset + limit, len(found))  # a page may be beyond what `islice` can count
    for _, position in islice(heapq.merge(*runs, key=_rank_of), min(offset, end), end):
        positions.append(position)
        yield
    shown_docs = (call.public(collection, show(docs[position][1])) for position in positions)
    return call.reply_all(shown_docs, _count_header(call, len(found)))


def _query_conditions(call: Call) -> list[Condition]:
    try:
        return parse_query(call.query.get("q", ""))
    except ValueError:
        call.reject("invalid-query")


def _sort_keys(call: Call) -> list[SortKey]:
    """Documented: `sort` lists fields; the order is ascending by default."""
    written = call.query.get("sort", "")
    found = [_KEY.fullmatch(key.strip()) for key in written.split(",")] if written.strip() else []
    if None in found:
        detail = {"field": "sort", "message": "not a valid sort", "type": "invalid_query_parameter"}
        call.reject("invalid-query", details=[detail])
    keys: dict[str, bool] = {}
    for key in found:
        if key:
            keys.setdefault(key[1], key[2] == "desc")  # a repeated key does not change the order
    if len(keys) > MAX_KEYS:
        detail = {"field": "sort", "message": f"more than {MAX_KEYS} keys", "type": "invalid_query_parameter"}
        call.reject("invalid-query", details=[detail])
    return [(path.split("."), descending) for path, descending in keys.items()]


def _sort_value(doc: Doc, path: list[str]) -> Any:
    """Inferred: a text without languages is the text of every language."""
    value = value_at(doc, path)
    if value is MISSING and len(path) > 1 and _LANGUAGE.fullmatch(path[-1]):
        text = value_at(doc, path[:-1])
        return text if isinstance(text, str) else MISSING
    return value


def _sort_rank(doc: Doc, keys: list[SortKey]) -> Rank:
    ranks = ((_value_rank(_sort_value(doc, path)), descending) for path, descending in keys)
    return tuple(_Descending(rank) if descending else rank for rank, descending in ranks)


def _value_rank(value: Any) -> tuple[Any, ...]:
    """Inferred: missing values and null come first, then numbers, texts, Booleans, and last all other values."""
    if value is MISSING or value is None:
        return (0,)
    if isinstance(value, bool):
        return (3, value)
    if isinstance(value, int | Decimal):
        return (1, value)
    return (2, value) if isinstance(value, str) else (4,)
