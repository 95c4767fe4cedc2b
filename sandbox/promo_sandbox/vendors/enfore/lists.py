"""Pages of lists. A list contains items and problems in one sequence; `limit` and `offset` count both."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from promo_sandbox.rules import Call, Collection, Doc, Reply, moment
from promo_sandbox.vendors.enfore.rules import rules


def _prepare_problem(doc: Doc, call: Call) -> None:
    doc.setdefault("id", call.new_uuid())
    doc.setdefault("date_and_time", call.now_text)


def _problem_indexes(doc: Doc, _: int) -> list[tuple[str, int]]:
    # Each card has a list of redemptions of its own.
    name = f"{doc['list']}/{doc['gift_card_id']}" if "gift_card_id" in doc else doc["list"]
    return [(name, moment(doc["date_and_time"]))]


PROBLEMS = rules.collection("problems", indexes=_problem_indexes, prepare=_prepare_problem)


def reply_page(
    call: Call,
    collection: Collection,
    name: str,
    *,
    start: int | None = None,
    stop: int | None = None,
    descending: bool = False,
) -> Reply:
    """A page of a list. Documented: both items and problems count towards limit and offset."""
    query = call.query
    page = call.page(name, start=start, stop=stop, offset=query["offset"], limit=query["limit"], descending=descending)
    problems = [call.public(PROBLEMS, doc) for _, doc in page.only(PROBLEMS.key)]
    for problem in problems:
        del problem["id"]  # the vendor's problems have no id
    return reply_items(call, collection, (doc for _, doc in page.only(collection.key)), problems)


def reply_items(call: Call, collection: Collection, docs: Iterable[Doc], problems: Sequence[Doc] = ()) -> Reply:
    items = (call.public(collection, doc) for doc in docs)
    return call.reply_all(items, within=lambda items: {"items": items, "problems": list(problems)})


def read_interval(call: Call) -> tuple[int, int]:
    """The half-open interval from `from` to `to`. Source: documented; inferred: it must not be reversed."""
    start, stop = moment(call.query["from"]), moment(call.query["to"])
    if start > stop:
        call.reject("interval-reversed", f"from ({call.query['from']}) is after to ({call.query['to']}).")
    return start, stop
