"""Lists: items and the problems reported beside them are one sequence, which `limit` and `offset` count through."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from promo_sandbox.rules import Call, Collection, Doc, Reply, moment
from promo_sandbox.vendors.enfore.rules import rules


def _prepare_problem(doc: Doc, call: Call) -> None:
    doc.setdefault("id", call.new_uuid())
    doc.setdefault("date_and_time", call.now_text)


def _problem_places(doc: Doc, _: int) -> list[tuple[str, int]]:
    # The list of one card's redemptions is the card's own.
    name = f"{doc['list']}/{doc['gift_card_id']}" if "gift_card_id" in doc else doc["list"]
    return [(name, moment(doc["date_and_time"]))]


PROBLEMS = rules.collection("problems", indexes=_problem_places, prepare=_prepare_problem)


def page(
    call: Call,
    collection: Collection,
    name: str,
    *,
    start: int | None = None,
    stop: int | None = None,
    descending: bool = False,
) -> Reply:
    """A page of a list. Source: documented, both items and problems count towards limit and offset."""
    query = call.query
    found = call.page(name, start=start, stop=stop, offset=query["offset"], limit=query["limit"], descending=descending)
    problems = [call.public(PROBLEMS, doc) for _, doc in found.only(PROBLEMS.key)]
    for problem in problems:
        del problem["id"]  # only the sandbox needs it
    return reply(call, collection, (doc for _, doc in found.only(collection.key)), problems)


def reply(call: Call, collection: Collection, docs: Iterable[Doc], problems: Sequence[Doc] = ()) -> Reply:
    items = (call.public(collection, doc) for doc in docs)
    return call.reply_all(items, within=lambda items: {"items": items, "problems": list(problems)})


def interval(call: Call) -> tuple[int, int]:
    """`from` and `to`, the half-open interval. Source: documented; that it may not be reversed is inferred."""
    start, stop = moment(call.query["from"]), moment(call.query["to"])
    if start > stop:
        call.reject("interval-reversed", f"from ({call.query['from']}) is after to ({call.query['to']}).")
    return start, stop
