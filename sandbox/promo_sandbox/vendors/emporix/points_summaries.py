"""Reward points: all entries of an account, or of all accounts. Those of a large one are sent in pieces."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from promo_sandbox.rules import Call, Doc, Listed, Reply, Work, encoded
from promo_sandbox.vendors.emporix.points import ALL_ACCOUNTS, account_of, added_list, redeemed_list
from promo_sandbox.vendors.emporix.rules import rules

_FEW = 500  # entries of an account that are shown at once
_SLICE = 64  # entries of a piece
_UsedWith = dict[str, list[str]]  # entries that add points -> the redemptions that drew upon them


@rules.operation("getCustomerSummary", "getMySummary")
def get_summary(call: Call) -> Reply:
    account = account_of(call)
    if _entry_count(call, account) <= _FEW:
        return call.reply(_summary(call, account))
    return call.reply_in_pieces(_summary_json(account, [], []), _summary_in_pieces(call, account))


@rules.operation("listAllSummaries")
def list_summaries(call: Call) -> Reply:
    return call.reply_later(_all_summaries(call))


def _all_summaries(call: Call) -> Work[Reply]:
    accounts = call.listed(ALL_ACCOUNTS)
    for _, account in accounts:
        if _entry_count(call, account) > _FEW:
            return call.reply_in_pieces([], _summaries_in_pieces(call, accounts))
        yield
    return call.reply_all(_summary(call, account) for _, account in accounts)


def _summaries_in_pieces(call: Call, accounts: Listed) -> Iterator[bytes]:
    opening = b"["
    for _, account in accounts:
        yield opening
        yield from _summary_in_pieces(call, account)
        opening = b","
    yield b"]"


def _summary(call: Call, account: Doc) -> Doc:
    """Documented: all entries, expired and used up ones too; a redemption stands in each entry that it drew upon."""
    customer = account["id"]
    redeemed = list(call.listed(redeemed_list(customer)))
    used_with: _UsedWith = {}
    for _, doc in redeemed:
        _note_sources(doc, used_with)
    added = [_shown(doc, used_with) for _, doc in call.listed(added_list(customer))]
    return _summary_json(account, added, [doc["entry"] for _, doc in redeemed])


def _summary_in_pieces(call: Call, account: Doc) -> Iterator[bytes]:
    """The same as JSON, in pieces of a few entries."""
    customer = account["id"]
    redeemed, added = call.listed(redeemed_list(customer)), call.listed(added_list(customer))
    used_with: _UsedWith = {}
    for number, (_, doc) in enumerate(redeemed):
        _note_sources(doc, used_with)
        if not number % _SLICE:
            yield b""
    head, between, end = encoded(_summary_json(account, [], [])).split(b"[]")
    yield head
    yield from _array(_shown(doc, used_with) for _, doc in added)
    yield between
    yield from _array(doc["entry"] for _, doc in redeemed)
    yield end


def _array(items: Iterator[Doc]) -> Iterator[bytes]:
    opening = b"["
    while some := list(islice(items, _SLICE)):
        yield opening + encoded(some)[1:-1]
        opening = b","
    yield b"]" if opening == b"," else b"[]"


def _note_sources(redemption: Doc, used_with: _UsedWith) -> None:
    for source in redemption["sources"]:
        used_with.setdefault(source, []).append(redemption["entry"]["id"])


def _shown(added: Doc, used_with: _UsedWith) -> Doc:
    entry: Doc = added["entry"]
    entry["usedWith"] += used_with.get(added["id"], ())
    return entry


def _summary_json(account: Doc, added: list[Doc], redeemed: list[Doc]) -> Doc:
    return {
        "customerId": account["id"],
        "activePoints": account["activePoints"],
        "summary": {"addedPointsList": added, "redeemedPointsList": redeemed},
    }


def _entry_count(call: Call, account: Doc) -> int:
    return call.size(added_list(account["id"])) + call.size(redeemed_list(account["id"]))
