"""Reward points of Emporix in whatever order of requests, against a model: what is earned is left, used or expired."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import httpx2
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.contract import fuzzing
from tests.serving import Json, OrgClient
from tests.vendors import emporix_points_support as support
from tests.vendors.emporix_coupons_support import assert_rejected
from tests.vendors.emporix_points_support import CHARGEBACK, DELETED, EXCHANGED, IMPOSSIBLE, NOW, OPENED, staff

START = datetime.fromisoformat(NOW)
_numbers = itertools.count()

customers = st.sampled_from(["C1", "C1", "C1", "C2", "c 3/x"])
amounts = st.integers(1, 60) | st.sampled_from([1, 100, 2**31 - 1])
useless_amounts = st.sampled_from([0, -1, -(2**31)])
hours = st.integers(0, 24)
ends = st.sampled_from([None, None, -1, 0, 1, 6, 12, 24, 48])  # hours from now
seldom = st.integers(0, 3).map(lambda number: number == 3)


def text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")


def three_years_after(moment: datetime) -> datetime:
    return moment.replace(year=moment.year + 3)  # the machine never lives until a leap day


@dataclass
class Added:
    """What an entry that added points should be."""

    points: int
    created: datetime
    until: datetime
    balance: int  # right after it
    description: str | None = None
    used: int = 0
    used_with: list[int] = field(default_factory=list)  # places of the redemptions

    def left(self, now: datetime) -> int:
        return 0 if self.until <= now else self.points - self.used

    def expired(self, now: datetime) -> int:
        return self.points - self.used if self.until <= now else 0


@dataclass
class Account:
    """What a customer's account should be."""

    added: list[Added] = field(default_factory=list)
    redeemed: list[Json] = field(default_factory=list)  # without their ids

    def active(self, now: datetime) -> int:
        return sum(entry.left(now) for entry in self.added)

    def redeem(self, points: int, now: datetime, description: str | None) -> None:
        place, missing = len(self.redeemed), points
        for entry in self.added:
            part = min(missing, entry.left(now))
            if part:
                entry.used += part
                entry.used_with.append(place)
                missing -= part
        assert missing == 0
        said = {} if description is None else {"description": description}
        redemption = {**said, "points": points, "createdAt": text(now), "allPointsAfterCreation": self.active(now)}
        self.redeemed.append(redemption)

    def add(self, points: int, now: datetime, until: datetime, description: str | None = None) -> None:
        entry = Added(points, now, until, 0, description)
        self.added.append(entry)
        entry.balance = self.active(now)


@dataclass
class Option:
    """What a redeem option should be."""

    id: str
    points: int
    description: str | None
    rejection: str | None  # why it cannot be exchanged, if it cannot
    version: int = 1


class Points(RuleBasedStateMachine):
    """A fresh tenant whose clock stands still but for `time_passes`."""

    def __init__(self, url: str, http: httpx2.Client) -> None:
        super().__init__()
        self.shop = OrgClient(url, f"points{next(_numbers)}", http)
        self.version = "2021"
        self.now = START
        self.accounts: dict[str, Account] = {}  # in the order in which they were opened
        self.options: list[Option] = []
        self.codes: set[str] = set()

    @initialize(version=st.sampled_from(support.VERSIONS))
    def there_is_a_shop(self, version: str) -> None:
        self.shop.freeze(NOW)
        self.version = version
        support.choose(self.shop, "current")  # which knows all kinds of coupon
        for points, coupon, rejection in (
            (30, support.template(), None),
            (1, support.template(discountType="PERCENT", discountPercentage=5), None),
            (20, IMPOSSIBLE, "coupon-not-created"),
            (7, support.template(discountType="FREE_SHIPPING"), "discount-type-not-exchangeable"),
        ):
            description = None if points == 1 else f"{points} points"
            said = {} if description is None else {"description": description}
            id = support.offer(self.shop, points, coupon, **said)
            self.options.append(Option(id, points, description, rejection))
        support.choose(self.shop, version)
        for hours in (12, None, 30):
            self.points_are_added("C1", 40, hours)

    def staff(self, method: str, customer: str, operation: str = "", body: Json = None) -> httpx2.Response:
        return staff(self.shop, method, f"/customer/{quote(customer, safe='')}{operation}", body)

    def is_rejected(self, response: httpx2.Response, status: int, name: str) -> None:
        """By that name, and nothing was changed."""
        assert_rejected(self.shop, response, status, name)

    def end(self, hours: int | None) -> tuple[Json, datetime]:
        if hours is None:
            return {}, three_years_after(self.now)
        until = self.now + timedelta(hours=hours)
        return {"validUntil": text(until)}, until

    @rule(customer=customers, points=amounts | useless_amounts, until=ends)
    def points_are_added(self, customer: str, points: int, until: int | None) -> None:
        said, end = self.end(until)
        response = self.staff("POST", customer, "/addPoints", {"points": points, **said})
        if points <= 0:
            self.is_rejected(response, 400, "points-not-positive")
            return
        assert (response.status_code, response.content) == (201, b"")
        self.accounts.setdefault(customer, Account()).add(points, self.now, end)

    @rule(customer=customers, points=st.none() | amounts | useless_amounts, until=ends)
    def an_account_is_opened(self, customer: str, points: int | None, until: int | None) -> None:
        said, end = self.end(until)
        body = {} if points is None else {"startPoints": {"points": points, **said}}
        response = self.staff("POST", customer, body=body)
        if points is not None and points <= 0:
            self.is_rejected(response, 400, "points-not-positive")
        elif customer in self.accounts:
            self.is_rejected(response, 400 if self.version == "2021" else 409, "entry-exists")
        else:
            assert response.status_code == OPENED[self.version]
            self.accounts[customer] = Account()
            if points is not None:
                self.accounts[customer].add(points, self.now, end)

    @rule(customer=customers, points=amounts | useless_amounts)
    def points_are_redeemed(self, customer: str, points: int) -> None:
        response = self.staff("POST", customer, "/redeemPoints", {"points": points, "description": "Spent"})
        account = self.accounts.get(customer)
        if account is None:
            self.is_rejected(response, 404, "unknown-customer")
        elif points <= 0:
            self.is_rejected(response, 400, "points-not-positive")
        elif points > account.active(self.now):
            self.is_rejected(response, 400, "not-enough-points")
        else:
            assert (response.status_code, response.content) == (201, b"")
            account.redeem(points, self.now, "Spent")

    @rule(customer=customers, but=st.integers(-1, 2))
    def all_points_but_a_few_are_redeemed(self, customer: str, but: int) -> None:
        account = self.accounts.get(customer)
        wanted = account.active(self.now) - but if account is not None else 1
        self.points_are_redeemed(customer, min(wanted, 2**31 - 1))

    @rule(customer=customers, which=st.sampled_from([0, 1, 2, 2, 3]))
    def points_are_exchanged(self, customer: str, which: int) -> None:
        option = self.options[which]
        response = support.exchange(self.shop, option.id, customer)
        account = self.accounts.get(customer)
        if account is None:
            self.is_rejected(response, 404, "unknown-customer")
        elif option.rejection == "discount-type-not-exchangeable":
            self.is_rejected(response, 400, "discount-type-not-exchangeable")
        elif option.points > account.active(self.now):
            self.is_rejected(response, 400, "not-enough-points")
        else:
            account.redeem(option.points, self.now, option.description)
            if option.rejection:
                assert response.status_code == 500
                assert self.shop.last()["rejection"] == option.rejection
                account.add(option.points, self.now, three_years_after(self.now), CHARGEBACK)
            else:
                assert response.status_code == EXCHANGED[self.version]
                code = response.json()["code"]
                assert re.fullmatch(r"LLS-\d{6}", code)
                assert code not in self.codes
                self.codes.add(code)

    @rule(which=st.integers(0, 2), points=st.integers(1, 60), stale=seldom)
    def an_option_changes_its_price(self, which: int, points: int, stale: bool) -> None:
        option = self.options[which]
        coupon = IMPOSSIBLE if option.rejection else support.template()
        said = {} if option.description is None else {"description": option.description}
        body = support.option(points, coupon, **said, metadata={"version": option.version + stale})
        response = staff(self.shop, "PUT", f"/{self.shop.org}/redeemOptions/{option.id}", body)
        if stale:
            self.is_rejected(response, 409, "stale-redeem-option")
        else:
            assert response.status_code == 200
            option.points, option.version = points, option.version + 1

    @rule(customer=customers, really=seldom)
    def an_account_is_deleted(self, customer: str, really: bool) -> None:
        if really:
            response = self.staff("DELETE", customer)
            assert (response.status_code, response.content) == (DELETED[self.version], b"")
            self.accounts.pop(customer, None)

    @rule(by=hours)
    def time_passes(self, by: int) -> None:
        before = self.now
        self.now += timedelta(hours=by)
        happened = self.shop.advance(f"PT{by}H")
        due = [
            entry.until
            for account in self.accounts.values()
            for entry in account.added
            if before < entry.until <= self.now and entry.used < entry.points
        ]
        assert [(item["event"], item["at"]) for item in happened] == [
            ("expire-points", text(at).replace("+00:00", "Z")) for at in sorted(due)
        ]

    @rule(version=st.sampled_from(support.VERSIONS))
    def the_tenant_changes_its_version(self, version: str) -> None:
        support.choose(self.shop, version)
        self.version = version

    @invariant()
    def every_point_that_was_earned_is_left_or_used_or_expired(self) -> None:
        response = staff(self.shop, "GET", "/summaryBatch")
        assert response.status_code == 200, response.text
        summaries: list[Json] = response.json()
        assert [summary["customerId"] for summary in summaries] == list(self.accounts)
        for summary in summaries:
            account = self.accounts[summary["customerId"]]
            entries = summary["summary"]["addedPointsList"]
            expired = [entry.expired(self.now) for entry in account.added]
            left = [entry["points"] - entry["usedPoints"] - gone for entry, gone in zip(entries, expired, strict=True)]
            assert min(left, default=0) >= 0
            assert sum(left) == summary["activePoints"]
            used = sum(entry["usedPoints"] for entry in entries)
            assert used == sum(entry["points"] for entry in summary["summary"]["redeemedPointsList"])
            assert sum(entry["points"] for entry in entries) == summary["activePoints"] + used + sum(expired)
            self.tells_what_happened(summary, account)

    def tells_what_happened(self, summary: Json, account: Account) -> None:
        assert summary["activePoints"] == account.active(self.now)
        redeemed = summary["summary"]["redeemedPointsList"]
        ids = [entry["id"] for entry in redeemed]
        assert len(set(ids)) == len(ids)
        assert redeemed == [{"id": id, **entry} for id, entry in zip(ids, account.redeemed, strict=True)]
        added = summary["summary"]["addedPointsList"]
        assert added == [
            {
                "id": found["id"],
                "reference-id": None,
                **({} if entry.description is None else {"description": entry.description}),
                "points": entry.points,
                "createdAt": text(entry.created),
                "allPointsAfterCreation": entry.balance,
                "usedPoints": entry.used,
                "validUntil": text(entry.until),
                "usedWith": [ids[place] for place in entry.used_with],
            }
            for found, entry in zip(added, account.added, strict=True)
        ]

    @rule(customer=customers)
    def a_customer_sees_what_an_employee_sees(self, customer: str) -> None:
        own = support.visitor(self.shop, "GET", "/public/customer", customer=customer)
        account = self.accounts.get(customer)
        if account is None:
            self.is_rejected(own, 404, "unknown-customer")
        else:
            assert own.json() == self.staff("GET", customer).json() == account.active(self.now)

    def teardown(self) -> None:
        if self.codes:
            assert {entry["document"]["code"] for entry in self.shop.state()["emporix"]["coupons"]} == self.codes
        internal_errors = self.shop.admin("GET", "/requests?internal_error=true").json()
        assert internal_errors["total"] == 0, internal_errors
        self.shop.admin("DELETE")


@pytest.mark.fuzz
def test_no_order_of_requests_loses_or_makes_points(url: str, http: httpx2.Client) -> None:
    fuzzing.in_any_order(lambda: Points(url, http), steps=40)
