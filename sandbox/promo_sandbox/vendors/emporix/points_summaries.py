"""Summaries of reward points: all entries of one account or of all accounts. Large summaries are sent in pieces."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from promo_sandbox.rules import Call, Doc, ListView, Reply, Work, encode
from promo_sandbox.vendors.emporix.points import ALL_ACCOUNTS, added_list, find_account, redeemed_list
from promo_sandbox.vendors.emporix.rules import rules

_MAX_UNSLICED = 500  # entries of an account that are sent in one piece
_SLICE_LENGTH = 64  # entries in a piece
_UsedWith = dict[str, list[str]]  # id of an added entry -> ids of the redemptions that used it


@rules.operation("getCustomerSummary", "getMySummary")
def get_summary(call: Call) -> Reply:
    account = find_account(call)
    if _entry_count(call, account) <= _MAX_UNSLICED:
        return call.reply(_summary(call, account))
    return call.reply_in_pieces(_summary_json(account, [], []), _summary_in_pieces(call, account))


@rules.operation("listAllSummaries")
def list_summaries(call: Call) -> Reply:
    return call.reply_later(_all_summaries(call))


def _all_summaries(call: Call) -> Work[Reply]:
    accounts = call.list_view(ALL_ACCOUNTS)
    for _, account in accounts:
        if _entry_count(call, account) > _MAX_UNSLICED:
            return call.reply_in_pieces([], _summaries_in_pieces(call, accounts))
        yield
    return call.reply_all(_summary(call, account) for _, account in accounts)


def _summaries_in_pieces(call: Call, accounts: ListView) -> Iterator[bytes]:
    opening = b"["
    for _, account in accounts:
        yield opening
        yield from _summary_in_pieces(call, account)
        opening = b","
    yield b"]"


def _summary(call: Call, account: Doc) -> Doc:
    """Documented: all entries, also expired and used ones. Each added entry lists the redemptions that used it."""
    customer = account["id"]
    redeemed = list(call.list_view(redeemed_list(customer)))
    used_with: _UsedWith = {}
    for _, doc in redeemed:
        _collect_sources(doc, used_with)
    added = [_added_entry(doc, used_with) for _, doc in call.list_view(added_list(customer))]
    return _summary_json(account, added, [doc["entry"] for _, doc in redeemed])


def _summary_in_pieces(call: Call, account: Doc) -> Iterator[bytes]:
    """The summary as JSON, in pieces of a few entries."""
    customer = account["id"]
    redeemed, added = call.list_view(redeemed_list(customer)), call.list_view(added_list(customer))
    used_with: _UsedWith = {}
    for number, (_, doc) in enumerate(redeemed):
        _collect_sources(doc, used_with)
        if not number % _SLICE_LENGTH:
            yield b""
    head, between, end = encode(_summary_json(account, [], [])).split(b"[]")
    yield head
    yield from _array(_added_entry(doc, used_with) for _, doc in added)
    yield between
    yield from _array(doc["entry"] for _, doc in redeemed)
    yield end


def _array(items: Iterator[Doc]) -> Iterator[bytes]:
    opening = b"["
    while some := list(islice(items, _SLICE_LENGTH)):
        yield opening + encode(some)[1:-1]
        opening = b","
    yield b"]" if opening == b"," else b"[]"


def _collect_sources(redemption: Doc, used_with: _UsedWith) -> None:
    for source in redemption["sources"]:
        used_with.setdefault(source, []).append(redemption["entry"]["id"])


def _added_entry(added: Doc, used_with: _UsedWith) -> Doc:
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
    return call.list_size(added_list(account["id"])) + call.list_size(redeemed_list(account["id"]))
