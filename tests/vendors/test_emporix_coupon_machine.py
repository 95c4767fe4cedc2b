"""Coupons in whatever order of requests, against a small model: no use lost, none counted twice, no limit exceeded."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import NamedTuple

import httpx2
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from promo_sandbox.base.messages import decode, encode
from tests.contract import fuzzing
from tests.serving import Json, OrgClient
from tests.vendors.emporix_coupons_support import NOW, ON_BEHALF, configure, coupons, customer, token

START = datetime.fromisoformat(NOW)
EXACT = Context(prec=200)
_numbers = itertools.count()

pick = st.integers(0, 1000)  # which of those there are
seldom = st.integers(0, 5).map(lambda number: number == 5)
customers = st.sampled_from([None, "C1", "C2", "C3"])
entities = st.sampled_from([None, "LE1", "LE2"])
limits = st.sampled_from([-1, -1, 0, 1, 2, 3])
hours = st.integers(0, 48)
amounts = st.decimals(min_value=0, max_value=500, places=2) | st.sampled_from(
    [Decimal("299.3"), Decimal("369.07"), Decimal("0.05"), Decimal("36.905"), Decimal("36.9049999999999999999999")]
)
percentages = st.sampled_from([Decimal(10), Decimal(0), Decimal(100), Decimal("33.3333333333333333333333333333333333")])


def text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


class Redemption(NamedTuple):
    """What a redemption should be."""

    id: str
    customer: str | None
    entity: str | None


@dataclass
class Coupon:
    """What a coupon should be."""

    code: str
    percentage: Decimal | None  # otherwise `amount` euros off
    amount: Decimal
    limit: int
    customer_limit: int
    open: bool
    chosen: list[str]
    minimum: Decimal
    begins: datetime | None
    ends: datetime | None
    version: int = 0
    deleted: bool = False
    redemptions: list[Redemption] = field(default_factory=list)

    def granted(self, total: Decimal) -> Decimal:
        if self.percentage is None:
            return self.amount
        part = EXACT.divide(EXACT.multiply(total, self.percentage), Decimal(100))
        return part.quantize(Decimal("0.01"), ROUND_HALF_UP, EXACT)

    @property
    def used_up(self) -> bool:
        return 0 <= self.limit <= len(self.redemptions)

    def used_up_by(self, customer: str | None, entity: str | None) -> bool:
        own = sum((it.customer, it.entity) == (customer, entity) for it in self.redemptions)
        return customer is not None and 0 <= self.customer_limit <= own

    def status(self, now: datetime) -> str:
        if self.ends is not None and self.ends < now:
            return "EXPIRED"
        if self.used_up:
            return "USED"
        return "INACTIVE" if self.begins is not None and now < self.begins else "VALID"

    def objections(
        self, now: datetime, customer: str | None, entity: str | None, total: Decimal, discount: Decimal
    ) -> list[str]:
        found = {
            "coupon_redemption_forbidden": (self.chosen and customer not in self.chosen)
            or (customer is None and not self.open),
            "coupon_not_active": self.begins is not None and now < self.begins,
            "coupon_expired": self.ends is not None and self.ends < now,
            "coupon_redemptions_exceeded": self.used_up or self.used_up_by(customer, entity),
            "coupon_order_total_too_low": total < self.minimum,
            "coupon_discount_amount_incorrect": discount > self.granted(total),
        }
        return [name for name, holds in found.items() if holds]


class Coupons(RuleBasedStateMachine):
    """Coupons are made, changed, redeemed, given back and deleted, in a fresh tenant whose clock stands still."""

    def __init__(self, url: str, http: httpx2.Client) -> None:
        super().__init__()
        self.org_client = OrgClient(url, f"machine{next(_numbers)}", http)
        self.org_client.freeze(NOW)
        self.now = START
        self.coupons: list[Coupon] = []  # in the order of creation, also those that are deleted but kept
        self.permanent = False
        self.made = itertools.count()

    def teardown(self) -> None:
        internal_errors = self.org_client.admin("GET", "/requests?internal_error=true").json()
        assert internal_errors["total"] == 0, internal_errors
        self.org_client.admin("DELETE")

    def request(self, method: str, path: str, body: Json = None, bearer: str = "any") -> tuple[int, Json]:
        raw = None if body is None else encode(body)
        headers = {"Authorization": f"Bearer {bearer}"}
        response = self.org_client.request(method, f"/coupon/{self.org_client.org}{path}", raw=raw, headers=headers)
        return response.status_code, decode(response.content) if response.content else None

    def some(self, number: int) -> Coupon:
        return self.coupons[number % len(self.coupons)]

    def is_unknown(self, answer: tuple[int, Json]) -> None:
        assert answer[0] == 404, answer
        assert answer[1]["type"] == "resource_not_found"
        assert self.org_client.last()["changes"] == []

    @initialize(permanent=st.booleans())
    def there_are_coupons(self, permanent: bool) -> None:
        self.permanent = permanent
        configure(self.org_client, couponPermanentDelete=permanent)
        for percentage in (None, Decimal(10)):
            self.a_coupon_is_made(
                percentage=percentage, amount=Decimal(5), limit=-1, customer_limit=1, is_open=False, chosen=[],
                minimum=Decimal(0), begins=None, lasts=None, again=False,
            )  # fmt: skip

    @rule(percentage=st.none() | percentages, amount=amounts, limit=limits, customer_limit=limits, is_open=seldom,
          chosen=st.lists(st.sampled_from(["C1", "C2"]), max_size=2), minimum=st.just(Decimal(0)) | amounts,
          begins=st.none() | hours, lasts=st.none() | hours, again=seldom)  # fmt: skip
    def a_coupon_is_made(
        self,
        *,
        percentage: Decimal | None,
        amount: Decimal,
        limit: int,
        customer_limit: int,
        is_open: bool,
        chosen: list[str],
        minimum: Decimal,
        begins: int | None,
        lasts: int | None,
        again: bool,
    ) -> None:
        if is_open:
            customer_limit, chosen = -1, []
        code = self.coupons[0].code.lower() if again else f"K{next(self.made)}"
        begin = None if begins is None else self.now + timedelta(hours=begins)
        end = None if lasts is None else (begin or self.now) + timedelta(hours=lasts)
        coupon = Coupon(code.upper(), percentage, amount, limit, customer_limit, is_open, chosen, minimum, begin, end)
        status, content = self.request("POST", "/coupons", {"code": code, **self.terms(coupon)})
        taken = [known for known in self.coupons if known.code == coupon.code]
        if taken:
            assert (status, content["type"]) == (409, "conflict_resource")
            return
        assert (status, content) == (201, {"id": coupon.code})
        self.coupons.append(coupon)

    @staticmethod
    def terms(coupon: Coupon) -> Json:
        restrictions: Json = {"validFor": coupon.chosen, "minOrderValue": {"amount": coupon.minimum, "currency": "EUR"}}
        if coupon.begins is not None:
            restrictions["validFrom"] = text(coupon.begins)
        if coupon.ends is not None:
            restrictions["validUntil"] = text(coupon.ends)
        by_amount = {"discountType": "ABSOLUTE", "discountAbsolute": {"amount": coupon.amount, "currency": "EUR"}}
        by_part = {"discountType": "PERCENT", "discountPercentage": coupon.percentage}
        return {
            "name": "Five",
            "allowAnonymous": coupon.open,
            "maxRedemptions": coupon.limit,
            "maxRedemptionsPerCustomer": coupon.customer_limit,
            "restrictions": restrictions,
            **(by_amount if coupon.percentage is None else by_part),
        }

    @rule(which=pick, who=customers, entity=entities, total=amounts, over=st.sampled_from(["0.01", "0", "0", "-0.01"]),
          only_ask=seldom, on_behalf=st.booleans())  # fmt: skip
    def a_coupon_is_redeemed(
        self, *, which: int, who: str | None, entity: str | None, total: Decimal, over: str, only_ask: bool,
        on_behalf: bool,
    ) -> None:  # fmt: skip
        coupon = self.some(which)
        discount = max(Decimal(0), coupon.granted(total) + Decimal(over))
        body: Json = {
            name: {"amount": it, "currency": "EUR"} for name, it in (("orderTotal", total), ("discount", discount))
        }
        if entity is not None:
            body["legalEntityId"] = entity
        bearer = customer(self.org_client, who) if who else token(self.org_client)
        if on_behalf and who is not None:
            bearer, body["customerNumber"] = token(self.org_client, ON_BEHALF), who
        path = coupons(coupon.code, "validation" if only_ask else "redemptions")
        status, content = self.request("POST", path, body, bearer)
        if coupon.deleted:
            self.is_unknown((status, content))
            return
        objections = coupon.objections(self.now, who, entity, total, discount)
        if objections:
            assert status == (403 if objections[0] == "coupon_redemption_forbidden" else 400), content
            assert [detail["type"] for detail in content["details"]] == objections
            assert self.org_client.last()["changes"] == []
        elif only_ask:
            assert (status, content) == (200, None)
            assert self.org_client.last()["changes"] == []
        else:
            assert status == 201, content
            coupon.redemptions.append(Redemption(content["id"], who, entity))

    @rule(which=pick, redemption=pick)
    def a_redemption_is_given_back(self, which: int, redemption: int) -> None:
        coupon = self.some(which)
        if not coupon.redemptions:
            return
        chosen = coupon.redemptions[redemption % len(coupon.redemptions)]
        answer = self.request("DELETE", coupons(coupon.code, "redemptions", chosen.id))
        if coupon.deleted:
            self.is_unknown(answer)
            return
        assert answer == (204, None)
        coupon.redemptions.remove(chosen)
        self.is_unknown(self.request("GET", coupons(coupon.code, "redemptions", chosen.id)))

    @rule(which=pick, limit=limits, customer_limit=limits, version=st.none() | st.integers(0, 2))
    def the_limits_of_a_coupon_are_changed(
        self, which: int, limit: int, customer_limit: int, version: int | None
    ) -> None:
        coupon = self.some(which)
        body: Json = {"maxRedemptions": limit}
        if not coupon.open:
            body["maxRedemptionsPerCustomer"] = customer_limit
        if version is not None:
            body["metadata"] = {"version": version}
        answer = self.request("PATCH", coupons(coupon.code), body)
        if coupon.deleted:
            self.is_unknown(answer)
        elif version not in (None, coupon.version):
            assert (answer[0], answer[1]["type"]) == (409, "conflict_resource")
        else:
            assert answer == (200, None)
            coupon.limit = limit
            coupon.customer_limit = -1 if coupon.open else customer_limit
            coupon.version += 1

    @rule(which=pick, seldom=seldom)
    def a_coupon_is_deleted(self, which: int, seldom: bool) -> None:
        coupon = self.some(which)
        if not seldom or len(self.coupons) < 2:
            return
        answer = self.request("DELETE", coupons(coupon.code))
        if coupon.deleted:
            self.is_unknown(answer)
            return
        assert answer == (204, None)
        if self.permanent:
            self.coupons.remove(coupon)
        else:
            coupon.deleted = True

    @rule(by=hours)
    def time_passes(self, by: int) -> None:
        before, self.now = self.now, self.now + timedelta(hours=by)
        happened = [(each["event"], each["id"]) for each in self.org_client.advance(f"PT{by}H")]
        live = [coupon for coupon in self.coupons if not coupon.deleted]
        begun = [coupon.code for coupon in live if coupon.begins and before < coupon.begins <= self.now]
        ended = [coupon.code for coupon in live if coupon.ends and before <= coupon.ends < self.now]
        assert Counter(happened) == Counter(
            [*(("start-coupon", code) for code in begun), *(("expire-coupon", code) for code in ended)]
        )

    @invariant()
    def each_coupon_counts_its_redemptions_and_no_limit_is_exceeded(self) -> None:
        status, listed = self.request("GET", "/coupons?showDeleted=true&pageSize=1000")
        assert status == 200
        assert [item["code"] for item in listed] == [coupon.code for coupon in self.coupons]
        for item, coupon in zip(listed, self.coupons, strict=True):
            counts = Counter(redemption.entity for redemption in coupon.redemptions if redemption.entity)
            counted = {count["legalEntityId"]: count["count"] for count in item.get("legalEntityRedemptions", [])}
            assert (item["redemptionCount"], counted) == (len(coupon.redemptions), counts)
            assert (item["status"], item["deleted"]) == (coupon.status(self.now), coupon.deleted)
            assert item["metadata"]["version"] == coupon.version

    @invariant()
    def the_redemptions_are_listed_in_their_order(self) -> None:
        for coupon in self.coupons:
            if not coupon.deleted:
                _, listed = self.request("GET", coupons(coupon.code, "redemptions") + "?pageSize=1000")
                assert [
                    (item["id"], item.get("customerNumber"), item.get("legalEntityId")) for item in listed
                ] == coupon.redemptions


@pytest.mark.fuzz
def test_no_order_of_requests_leads_astray(url: str, http: httpx2.Client) -> None:
    fuzzing.in_any_order(lambda: Coupons(url, http))
