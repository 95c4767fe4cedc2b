"""Reward points: an account for each customer, entries that add points and expire, and entries that redeem points.

The account stores its balance, which every addition, redemption and expiry updates. Only a redemption records which
entries its points came from, so an added entry stays small however often its points are used.
"""

from __future__ import annotations

from calendar import monthrange
from functools import lru_cache
from typing import Any

from promo_sandbox.rules import Call, Collection, Doc, Rejected, Reply, Violation, Work, moment, moment_text
from promo_sandbox.vendors.emporix.rules import rules

_MAX_YEAR = 9999
_DAY = len("2030-01-01")
_MAX_PAGE = 64  # entries that are read at once
_MAX_OPEN_ENTRIES = 10_000  # entries with points left in a seeded account
ALL_ACCOUNTS = "reward_points"
_EXPIRY = "expire-points"


# Dates


def date_text(at: int) -> str:
    """Documented by every example: UTC with milliseconds, and `+00:00` instead of `Z`."""
    return f"{moment_text(at)[:-1]}+00:00"


def add_months(at: int, months: int) -> str:
    """The text of the moment that is a number of calendar months later, at most in the year 9999."""
    text = date_text(at)
    return _add_months_to_day(text[:_DAY], months) + text[_DAY:]


@lru_cache(maxsize=256)  # many entries are booked on the same day
def _add_months_to_day(day: str, months: int) -> str:
    """One month after 31 January is the last day of February."""
    year, month = divmod(12 * int(day[:4]) + int(day[5:7]) - 1 + months, 12)
    if year > _MAX_YEAR:
        return f"{_MAX_YEAR}-12-31"
    if year < 0:
        return "0000-01-01"
    last = monthrange(year, month + 1)[1]
    return f"{year:04d}-{month + 1:02d}-{min(int(day[8:]), last):02d}"


# What is stored


def added_list(customer: str) -> str:
    return f"added_points/{customer}"


def _open_list(customer: str) -> str:
    """The index of entries with points left: neither expired nor used up."""
    return f"open_points/{customer}"


def redeemed_list(customer: str) -> str:
    return f"redeemed_points/{customer}"


def _points_left(doc: Doc) -> int:
    """The points of an entry that can be redeemed."""
    entry = doc["entry"]
    left: int = entry["points"] - entry["usedPoints"]
    return 0 if doc.get("expired") else max(left, 0)


def _account_indexes(_: Doc, __: int) -> list[tuple[str, int]]:
    return [(ALL_ACCOUNTS, 0)]


def _added_indexes(doc: Doc, _: int) -> list[tuple[str, int]]:
    # Inferred: entries are in the order of booking, whatever their `createdAt` is.
    customer = doc["customerId"]
    return [(added_list(customer), 0), *([(_open_list(customer), 0)] if _points_left(doc) else [])]


def _added_timers(doc: Doc) -> list[tuple[int, str]]:
    return [(moment(doc["entry"]["validUntil"]), _EXPIRY)] if _points_left(doc) else []


def _redeemed_indexes(doc: Doc, _: int) -> list[tuple[str, int]]:
    return [(redeemed_list(doc["customerId"]), 0)]


def _prepare_account(doc: Doc, call: Call) -> None:
    doc["id"] = doc.setdefault("customerId", doc.get("id"))
    doc.setdefault("activePoints", 0)
    summary = doc.get("summary")
    for entries in summary.values() if isinstance(summary, dict) else ():
        if isinstance(entries, list) and len(entries) > _MAX_OPEN_ENTRIES:
            call.reject("invalid-request", f"a list of entries may have at most {_MAX_OPEN_ENTRIES}")


def _prepare_entry(doc: Doc, call: Call) -> None:
    doc.setdefault("id", call.new_uuid())


def _prepare_added(doc: Doc, call: Call) -> None:
    _prepare_entry(doc, call)
    if isinstance(doc.get("customerId"), str):
        _reject_too_many_entries(call, doc["customerId"])


def _reject_too_many_entries(call: Call, customer: str) -> None:
    """A limit of the sandbox for seeds: seeding a single entry adds up all open entries of the account."""
    if call.list_size(_open_list(customer)) >= _MAX_OPEN_ENTRIES:
        detail = f"The customer {customer} has {_MAX_OPEN_ENTRIES} entries with points left"
        raise Rejected("invalid-request", detail, violations=[Violation("body", detail)])


def _store_seeded(call: Call, doc: Doc) -> Work[None]:
    """Moves the entries of a seeded account to their own collections and computes the balance from them."""
    customer = doc["id"]
    yield from _delete_entries(call, customer)
    active = doc["activePoints"]
    summary = doc.pop("summary", {"addedPointsList": [{"points": active}] if active else []})
    doc["activePoints"] = 0
    call.replace(ACCOUNTS, doc)
    account = doc
    for terms in summary.get("addedPointsList", ()):
        account = add_entry(call, account, terms, seeded=True)
        yield
    for terms in summary.get("redeemedPointsList", ()):
        _write_redemption(call, account, terms, int(terms.get("allPointsAfterCreation", account["activePoints"])), [])
        yield
    doc["activePoints"] = account["activePoints"]


def _recompute_balance(call: Call, doc: Doc) -> Work[None]:
    """Recomputes the balance of an account after a single entry was seeded."""
    customer, active = doc["customerId"], 0
    for _, entry in call.list_view(_open_list(customer)):
        active += _points_left(entry)
        yield
    call.update(ACCOUNTS, _get_or_create_account(call, customer), activePoints=active)


ACCOUNTS = rules.collection(ALL_ACCOUNTS, indexes=_account_indexes, prepare=_prepare_account, on_seeded=_store_seeded)
ADDED = rules.collection(
    "added_points", indexes=_added_indexes, timers=_added_timers, prepare=_prepare_added, on_seeded=_recompute_balance
)
REDEEMED = rules.collection("redeemed_points", indexes=_redeemed_indexes, prepare=_prepare_entry)


@rules.on_timer(_EXPIRY)
def expire(call: Call, id: str) -> None:
    """Documented: points can be redeemed until `validUntil`. Then the remaining points leave the balance."""
    doc = call.get(ADDED, id)
    if doc is None:
        return
    account = call.get(ACCOUNTS, doc["customerId"])
    if account is not None:
        call.update(ACCOUNTS, account, activePoints=max(account["activePoints"] - _points_left(doc), 0))
    call.update(ADDED, doc, expired=True)


# Accounts


@rules.operation("getCustomerPoints", "getMyPoints")
def get_points(call: Call) -> Reply:
    """Documented: a bare integer. Inferred from clients: 404 for a customer without an account."""
    return call.reply(find_account(call)["activePoints"])


@rules.operation("createCustomerPoints")
def create_points(call: Call) -> Reply:
    """Documented (current version): one account for each customer. Inferred: the path names the customer."""
    customer = call.path["customerId"]
    start = call.body.get("startPoints")
    if start is not None and start["points"] <= 0:
        call.reject("points-not-positive")
    if call.get(ACCOUNTS, customer) is not None:
        assert call.operation is not None  # called for requests only
        # The two versions have different details; in both, the first item names the customer.
        (detail,) = call.operation.rejections["entry-exists"].value["details"]
        message = f"Couldn't create a new reward point entry for the customer '{customer}'"
        call.reject("entry-exists", details=[{**detail, "message": message}])
    account = _get_or_create_account(call, customer)
    if start is not None:
        add_entry(call, account, start)
    return call.reply()


@rules.operation("deleteCustomerPoints")
def delete_points(call: Call) -> Reply:
    """Documented: for the deletion of a customer. Inferred: a missing account is not an error."""
    customer = call.path["customerId"]
    return call.reply_after_writing(_delete_account(call, customer))


def _delete_account(call: Call, customer: str) -> Work[Reply]:
    if call.delete(ACCOUNTS, customer):
        yield from _delete_entries(call, customer)
    return call.reply()


@rules.operation("addPoints")
def add_points(call: Call) -> Reply:
    """Documented (tutorial): creates the account if there is none. Inferred: the points must be above 0."""
    if call.body["points"] <= 0:
        call.reject("points-not-positive")
    add_entry(call, _get_or_create_account(call, call.path["customerId"]), call.body)
    return call.reply()


@rules.operation("redeemPoints")
def redeem_points(call: Call) -> Reply:
    """Documented: creates no coupon. Inferred: the points must be above 0; 404 for an unknown customer."""
    account = find_account(call)
    if call.body["points"] <= 0:
        call.reject("points-not-positive")
    return call.reply_after_writing(_redeem_and_reply(call, account))


def _redeem_and_reply(call: Call, account: Doc) -> Work[Reply]:
    yield from book_redemption(call, account, call.body)
    return call.reply()


def customer_id(call: Call) -> str:
    """The customer of the path, or else of the access token."""
    if "customerId" in call.path:
        return call.path["customerId"]
    customer = call.grant.customer if call.grant is not None else None
    if not customer:
        call.reject("not-a-customer")
    return customer


def find_account(call: Call) -> Doc:
    customer = customer_id(call)
    account = call.get(ACCOUNTS, customer)
    if account is None:
        call.reject("unknown-customer", f"No reward points found for customer {customer}")
    return account


def _get_or_create_account(call: Call, customer: str) -> Doc:
    account = call.get(ACCOUNTS, customer)
    if account is not None:
        return account
    return call.add(ACCOUNTS, {"id": customer, "customerId": customer, "activePoints": 0})


# Entries


def add_entry(call: Call, account: Doc, terms: Doc, *, seeded: bool = False) -> Doc:
    """Adds an entry and returns the updated account.

    Inferred: `id`, `createdAt` and `validUntil` are stored as sent; the other fields are computed from the account. A
    seed describes an existing state, so `usedPoints`, `usedWith` and `allPointsAfterCreation` are stored too.
    """
    if seeded:
        _reject_too_many_entries(call, account["id"])
    key = _entry_key(call, ADDED, terms)
    created = moment(terms["createdAt"]) if "createdAt" in terms else call.now
    # Inferred: without `validUntil`, the settings limit the validity.
    end = date_text(moment(terms["validUntil"])) if "validUntil" in terms else add_months(created, _valid_months(call))
    entry: Doc = {
        "id": terms.get("id", key),
        "reference-id": terms.get("reference-id"),
        **({"description": terms["description"]} if "description" in terms else {}),
        "points": int(terms["points"]),
        "createdAt": date_text(created),
        "allPointsAfterCreation": 0,
        "usedPoints": int(terms.get("usedPoints", 0)) if seeded else 0,
        "validUntil": end,
        "usedWith": terms.get("usedWith", []) if seeded else [],
    }
    doc: Doc = {"id": key, "customerId": account["id"], "entry": entry}
    if moment(end) <= call.now:
        doc["expired"] = True
    active = account["activePoints"] + _points_left(doc)
    entry["allPointsAfterCreation"] = int(terms.get("allPointsAfterCreation", active)) if seeded else active
    call.add(ADDED, doc)
    return call.update(ACCOUNTS, account, activePoints=active)


def _entry_key(call: Call, collection: Collection, terms: Doc) -> str:
    """The id of the stored document: the client's id, or a new UUID if that id is missing or taken."""
    id = terms.get("id")
    return id if isinstance(id, str) and not call.is_taken(collection, id) else call.new_uuid()


def book_redemption(call: Call, account: Doc, terms: Doc) -> Work[None]:
    """Redeems points and records the redemption. The balance changes in the first step.

    Inferred, because no page says it: a redemption of more points than the balance is rejected.
    """
    points, active = int(terms["points"]), account["activePoints"]
    if points > active:
        detail = f"Customer {account['id']} has {active} active points, which are less than {points}"
        call.reject("not-enough-points", detail)
    call.update(ACCOUNTS, account, activePoints=active - points)
    sources = yield from _take_points(call, account["id"], points)
    _write_redemption(call, account, terms, active - points, sources)


def _take_points(call: Call, customer: str, points: int) -> Work[list[str]]:
    """Takes points from entries and returns the ids of these. Inferred: the oldest booking is used first."""
    sources: list[str] = []
    limit = 1  # enough for most redemptions
    while points > 0 and (found := call.page(_open_list(customer), limit=limit)):
        for _, doc in found:
            part = min(points, _points_left(doc))
            entry = doc["entry"]
            call.update(ADDED, doc, entry={**entry, "usedPoints": entry["usedPoints"] + part})
            sources.append(doc["id"])
            points -= part
            if points == 0:
                return sources
        limit = min(2 * limit, _MAX_PAGE)
        yield
    return sources


def _write_redemption(call: Call, account: Doc, terms: Doc, active: int, sources: list[str]) -> None:
    key = _entry_key(call, REDEEMED, terms)
    entry = {
        "id": terms.get("id", key),
        **({"description": terms["description"]} if "description" in terms else {}),
        "points": int(terms["points"]),
        "createdAt": date_text(moment(terms["createdAt"]) if "createdAt" in terms else call.now),
        "allPointsAfterCreation": active,
    }
    call.add(REDEEMED, {"id": key, "customerId": account["id"], "entry": entry, "sources": sources})


def _delete_entries(call: Call, customer: str) -> Work[None]:
    lists = (call.list_view(added_list(customer)), ADDED), (call.list_view(redeemed_list(customer)), REDEEMED)
    for entries, collection in lists:
        for _, doc in entries:
            call.delete(collection, doc["id"])
            yield


def reward_settings(call: Call) -> Any:
    """Documented (site settings): the settings of a site for reward points."""
    return call.settings["couponSettings"]["rewardpoints"]


def _valid_months(call: Call) -> int:
    return int(reward_settings(call)["validityInMonths"])
