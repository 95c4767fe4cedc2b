"""Reward points: an account for each customer, entries that add points and expire, entries that redeem them.

The account keeps its balance: what adds, redeems or expires changes it there and then, so nobody adds up entries.
Which redemption used which points is written down with the redemption alone, so an entry stays small however often it
is drawn upon.
"""

from __future__ import annotations

from calendar import monthrange
from functools import lru_cache
from typing import Any

from promo_sandbox.rules import Call, Collection, Doc, Rejected, Reply, Violation, Work, moment, moment_text
from promo_sandbox.vendors.emporix.rules import rules

_MAX_YEAR = 9999
_DAY = len("2030-01-01")
_SLICE = 64  # entries that are read at once, at most
_MAX_OPEN = 10_000  # entries with points left that an account may be seeded with
ALL_ACCOUNTS = "reward_points"
_EXPIRY = "expire-points"


# Dates


def date_text(at: int) -> str:
    """Documented by every example: UTC with milliseconds, and `+00:00` in place of `Z`."""
    return f"{moment_text(at)[:-1]}+00:00"


def months_later(at: int, months: int) -> str:
    """The same of so many calendar months later, at most in the year 9999."""
    text = date_text(at)
    return _day_later(text[:_DAY], months) + text[_DAY:]


@lru_cache(maxsize=256)  # many entries are booked on the same day
def _day_later(day: str, months: int) -> str:
    """A month after 31 January is the last of February."""
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
    """The entries that can be drawn upon: neither expired nor used up."""
    return f"open_points/{customer}"


def redeemed_list(customer: str) -> str:
    return f"redeemed_points/{customer}"


def _left(doc: Doc) -> int:
    """The points of an entry that can be redeemed."""
    entry = doc["entry"]
    left: int = entry["points"] - entry["usedPoints"]
    return 0 if doc.get("expired") else max(left, 0)


def _account_places(_: Doc, __: int) -> list[tuple[str, int]]:
    return [(ALL_ACCOUNTS, 0)]


def _added_places(doc: Doc, _: int) -> list[tuple[str, int]]:
    # Inferred: in the order in which they were booked, whatever `createdAt` a client gave them.
    customer = doc["customerId"]
    return [(added_list(customer), 0), *([(_open_list(customer), 0)] if _left(doc) else [])]


def _added_dues(doc: Doc) -> list[tuple[int, str]]:
    return [(moment(doc["entry"]["validUntil"]), _EXPIRY)] if _left(doc) else []


def _redeemed_places(doc: Doc, _: int) -> list[tuple[str, int]]:
    return [(redeemed_list(doc["customerId"]), 0)]


def _prepare_account(doc: Doc, call: Call) -> None:
    doc["id"] = doc.setdefault("customerId", doc.get("id"))
    doc.setdefault("activePoints", 0)
    summary = doc.get("summary")
    for entries in summary.values() if isinstance(summary, dict) else ():
        if isinstance(entries, list) and len(entries) > _MAX_OPEN:
            call.reject("invalid-request", f"has more than {_MAX_OPEN} entries of a kind")


def _prepare_entry(doc: Doc, call: Call) -> None:
    doc.setdefault("id", call.new_uuid())


def _prepare_added(doc: Doc, call: Call) -> None:
    _prepare_entry(doc, call)
    if isinstance(doc.get("customerId"), str):
        _refuse_more(call, doc["customerId"])


def _refuse_more(call: Call, customer: str) -> None:
    """A limit of the sandbox's for what is seeded, since each entry seeded by itself has the others added up anew."""
    if call.size(_open_list(customer)) >= _MAX_OPEN:
        detail = f"The customer {customer} has {_MAX_OPEN} entries with points left"
        raise Rejected("invalid-request", detail, violations=[Violation("body", detail)])


def _split(call: Call, doc: Doc) -> Work[None]:
    """A seeded account: its entries go to their own collections, its balance is what they come to."""
    customer = doc["id"]
    yield from _forgetting(call, customer)
    given = doc["activePoints"]
    summary = doc.pop("summary", {"addedPointsList": [{"points": given}] if given else []})
    doc["activePoints"] = 0
    call.replace(ACCOUNTS, doc)
    account = doc
    for terms in summary.get("addedPointsList", ()):
        account = add(call, account, terms, seeded=True)
        yield
    for terms in summary.get("redeemedPointsList", ()):
        _write_redemption(call, account, terms, int(terms.get("allPointsAfterCreation", account["activePoints"])), [])
        yield
    doc["activePoints"] = account["activePoints"]


def _recount(call: Call, doc: Doc) -> Work[None]:
    """An entry seeded by itself: the balance of its account is added up anew."""
    customer, active = doc["customerId"], 0
    for _, entry in call.listed(_open_list(customer)):
        active += _left(entry)
        yield
    call.update(ACCOUNTS, _opened(call, customer), activePoints=active)


ACCOUNTS = rules.collection(ALL_ACCOUNTS, indexes=_account_places, prepare=_prepare_account, seeded=_split)
ADDED = rules.collection(
    "added_points", indexes=_added_places, timers=_added_dues, prepare=_prepare_added, seeded=_recount
)
REDEEMED = rules.collection("redeemed_points", indexes=_redeemed_places, prepare=_prepare_entry)


@rules.on_timer(_EXPIRY)
def expire(call: Call, id: str) -> None:
    """Documented: points can be redeemed until `validUntil`. What is left of them then is off the balance."""
    doc = call.get(ADDED, id)
    if doc is None:
        return
    account = call.get(ACCOUNTS, doc["customerId"])
    if account is not None:
        call.update(ACCOUNTS, account, activePoints=max(account["activePoints"] - _left(doc), 0))
    call.update(ADDED, doc, expired=True)


# Accounts


@rules.operation("getCustomerPoints", "getMyPoints")
def get_points(call: Call) -> Reply:
    """Documented: a bare integer. That a customer without an account is 404 is what clients have met."""
    return call.reply(account_of(call)["activePoints"])


@rules.operation("createCustomerPoints")
def create_points(call: Call) -> Reply:
    """Documented (present version): one account for each customer. Inferred: the path names whose it is."""
    customer = call.path["customerId"]
    start = call.body.get("startPoints")
    if start is not None and start["points"] <= 0:
        call.reject("points-not-positive")
    if call.get(ACCOUNTS, customer) is not None:
        assert call.operation is not None  # only a request comes here
        # The two versions have different details; both say who it is in the first of them.
        (detail,) = call.operation.rejections["entry-exists"].value["details"]
        message = f"Couldn't create a new reward point entry for the customer '{customer}'"
        call.reject("entry-exists", details=[{**detail, "message": message}])
    account = _opened(call, customer)
    if start is not None:
        add(call, account, start)
    return call.reply()


@rules.operation("deleteCustomerPoints")
def delete_points(call: Call) -> Reply:
    """Documented: meant for the deletion of a customer. Inferred: that there was no account is no mistake."""
    customer = call.path["customerId"]
    return call.reply_after_writing(_deleted(call, customer))


def _deleted(call: Call, customer: str) -> Work[Reply]:
    if call.delete(ACCOUNTS, customer):
        yield from _forgetting(call, customer)
    return call.reply()


@rules.operation("addPoints")
def add_points(call: Call) -> Reply:
    """Documented (tutorial): the account is made or added to. Inferred: points are above 0."""
    if call.body["points"] <= 0:
        call.reject("points-not-positive")
    add(call, _opened(call, call.path["customerId"]), call.body)
    return call.reply()


@rules.operation("redeemPoints")
def redeem_points(call: Call) -> Reply:
    """Documented: makes no coupon. Inferred: points are above 0; an unknown customer is 404, as in the summary."""
    account = account_of(call)
    if call.body["points"] <= 0:
        call.reject("points-not-positive")
    return call.reply_after_writing(_redeemed(call, account))


def _redeemed(call: Call, account: Doc) -> Work[Reply]:
    yield from redeem(call, account, call.body)
    return call.reply()


def customer_of(call: Call) -> str:
    """Whom the request is about: the customer of the path, or of the access token."""
    if "customerId" in call.path:
        return call.path["customerId"]
    customer = call.grant.customer if call.grant is not None else None
    if not customer:
        call.reject("not-a-customer")
    return customer


def account_of(call: Call) -> Doc:
    customer = customer_of(call)
    account = call.get(ACCOUNTS, customer)
    if account is None:
        call.reject("unknown-customer", f"No reward points found for customer {customer}")
    return account


def _opened(call: Call, customer: str) -> Doc:
    account = call.get(ACCOUNTS, customer)
    if account is not None:
        return account
    return call.add(ACCOUNTS, {"id": customer, "customerId": customer, "activePoints": 0})


# Entries


def add(call: Call, account: Doc, terms: Doc, *, seeded: bool = False) -> Doc:
    """Book an entry; the account as it is then.

    Inferred: `id`, `createdAt` and `validUntil` are kept as sent, what follows from the account is worked out. A seed
    tells how things stand, so there `usedPoints`, `usedWith` and `allPointsAfterCreation` are kept too.
    """
    if seeded:
        _refuse_more(call, account["id"])
    key = _key(call, ADDED, terms)
    created = moment(terms["createdAt"]) if "createdAt" in terms else call.now
    # Inferred: without an end, points live as long as the settings say.
    end = date_text(moment(terms["validUntil"])) if "validUntil" in terms else months_later(created, _validity(call))
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
    active = account["activePoints"] + _left(doc)
    entry["allPointsAfterCreation"] = int(terms.get("allPointsAfterCreation", active)) if seeded else active
    call.add(ADDED, doc)
    return call.update(ACCOUNTS, account, activePoints=active)


def _key(call: Call, collection: Collection, terms: Doc) -> str:
    """The id of an entry: what a client gave it, so that no other is given the same, unless it has given it before."""
    given = terms.get("id")
    return given if isinstance(given, str) and not call.is_taken(collection, given) else call.new_uuid()


def redeem(call: Call, account: Doc, terms: Doc) -> Work[None]:
    """Use points up, or refuse if there are too few (inferred; no page says). They are off the balance at once."""
    points, active = int(terms["points"]), account["activePoints"]
    if points > active:
        detail = f"Customer {account['id']} has {active} active points, which are less than {points}"
        call.reject("not-enough-points", detail)
    call.update(ACCOUNTS, account, activePoints=active - points)
    sources = yield from _draw(call, account["id"], points)
    _write_redemption(call, account, terms, active - points, sources)


def _draw(call: Call, customer: str, points: int) -> Work[list[str]]:
    """The entries that the points were taken from. Inferred: in the order in which they were booked."""
    sources: list[str] = []
    limit = 1  # most redemptions need no more
    while points > 0 and (found := call.page(_open_list(customer), limit=limit)):
        for _, doc in found:
            part = min(points, _left(doc))
            entry = doc["entry"]
            call.update(ADDED, doc, entry={**entry, "usedPoints": entry["usedPoints"] + part})
            sources.append(doc["id"])
            points -= part
            if points == 0:
                return sources
        limit = min(2 * limit, _SLICE)
        yield
    return sources


def _write_redemption(call: Call, account: Doc, terms: Doc, active: int, sources: list[str]) -> None:
    key = _key(call, REDEEMED, terms)
    entry = {
        "id": terms.get("id", key),
        **({"description": terms["description"]} if "description" in terms else {}),
        "points": int(terms["points"]),
        "createdAt": date_text(moment(terms["createdAt"]) if "createdAt" in terms else call.now),
        "allPointsAfterCreation": active,
    }
    call.add(REDEEMED, {"id": key, "customerId": account["id"], "entry": entry, "sources": sources})


def _forgetting(call: Call, customer: str) -> Work[None]:
    lists = (call.listed(added_list(customer)), ADDED), (call.listed(redeemed_list(customer)), REDEEMED)
    for entries, collection in lists:
        for _, doc in entries:
            call.delete(collection, doc["id"])
            yield


def settings_of(call: Call) -> Any:
    """Documented (site settings): what a site has set for reward points."""
    return call.settings["couponSettings"]["rewardpoints"]


def _validity(call: Call) -> int:
    return int(settings_of(call)["validityInMonths"])
