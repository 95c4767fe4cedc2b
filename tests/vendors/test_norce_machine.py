"""Promotions and their codes in whatever order of requests, against a small model: no code lost, none counted twice."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import httpx2
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.contract import fuzzing
from tests.serving import Json, OrgClient
from tests.vendors.norce_support import NOW, ask, codes_path, standing_still

_numbers = itertools.count()

pick = st.integers(0, 1000)  # which of those there are
applications = st.sampled_from([None, 1, 2])
statuses = st.sampled_from(["Inactive", "Active", "Draft"])
limits = st.sampled_from([None, 0, 1, 2, 3])
texts = st.sampled_from([None, "None", "A", "B", "C", "a", "A ", "A/B", "Å", "x" * 50])
codes = st.fixed_dictionaries(
    {"DiscountCode": texts},
    optional={
        "IsClaimed": st.booleans(),
        "DateClaimed": st.sampled_from([None, "2029-12-24T18:00:00Z"]),
        "QuotationId": st.sampled_from([None, 42]),
        "ClaimedFromSource": st.sampled_from([None, "Till"]),
        "Created": st.sampled_from([None, "2029-12-01T00:00:00Z"]),
    },
)
bodies = st.lists(codes, max_size=8)
broken = st.sampled_from([{"DiscountCode": ""}, {"DiscountCode": " "}, {"DiscountCode": "x" * 51}, 5])


@dataclass
class Promotion:
    """What a promotion should be."""

    id: int
    application: int
    status: str
    limit: int | None
    name: str | None
    usage: int = 0
    stopped: bool = False
    codes: dict[str | None, Json] = field(default_factory=dict)  # in the order of insertion

    @property
    def claimed(self) -> int:
        return sum(code["IsClaimed"] for code in self.codes.values())

    @property
    def left(self) -> int | None:
        return None if self.limit is None else max(self.limit - self.usage, 0)

    def take(self, status: str) -> None:
        """The status that it is given; one that is used up does not become active."""
        used_up = status == "Active" and self.limit is not None and self.usage >= max(self.limit, 1)
        before, self.status = self.status, "Inactive" if used_up else status
        if self.status != "Inactive":
            self.stopped = False
        elif before != "Inactive":
            self.stopped = True


def stored(sent: Json, created: str | None = None) -> Json:
    """What a code that is sent should be; `created` is when it was, if it is there already."""
    claimed = sent.get("IsClaimed", False)
    return {
        "DiscountCode": sent["DiscountCode"],
        "Created": created or sent.get("Created") or NOW,
        "IsClaimed": claimed,
        "DateClaimed": (sent.get("DateClaimed") or NOW) if claimed else None,
        "QuotationId": sent.get("QuotationId") if claimed else None,
        "ClaimedFromSource": sent.get("ClaimedFromSource") if claimed else None,
    }


class Promotions(RuleBasedStateMachine):
    """Promotions and codes are inserted, updated and claimed, for a fresh customer whose clock stands still."""

    def __init__(self, url: str, http: httpx2.Client) -> None:
        super().__init__()
        self.org_client = standing_still(OrgClient(url, f"machine-{next(_numbers)}", http))
        self.promotions: list[Promotion] = []

    def teardown(self) -> None:
        internal_errors = self.org_client.admin("GET", "/requests?internal_error=true").json()
        assert internal_errors["total"] == 0, internal_errors
        self.org_client.admin("DELETE")

    def request(self, method: str, path: str, application: int | None, body: Json = None) -> tuple[int, Json]:
        response = ask(self.org_client, method, path, body, application=application)
        return response.status_code, response.json()

    def about(self, promotion: Promotion, method: str, body: Json = None, path: str = "") -> tuple[int, Json]:
        return self.request(method, f"/{promotion.id}{path}", promotion.application, body)

    def some(self, number: int) -> Promotion:
        return self.promotions[number % len(self.promotions)]

    any_there = precondition(lambda self: bool(self.promotions))

    @rule(application=applications, status=statuses, limit=limits, name=st.sampled_from([None, "Spring"]))
    def insert(self, application: int | None, status: str, limit: int | None, name: str | None) -> None:
        body = {"Status": status, "AllowedUsageCount": limit, "Name": name}
        answer, said = self.request("POST", "", application, body)
        assert answer == 200
        promotion = Promotion(said["Id"], application or 1, status, limit, name)
        promotion.take(status)
        self.promotions.append(promotion)

    @any_there
    @rule(number=pick, status=statuses, limit=limits, name=st.sampled_from([None, "Summer"]), inherits=st.booleans())
    def update(self, number: int, status: str, limit: int | None, name: str | None, inherits: bool) -> None:
        promotion = self.some(number)
        body = {"Status": status, "AllowedUsageCount": limit, "Name": name, "IsNameInherited": inherits}
        assert self.about(promotion, "PUT", body)[0] == 200
        promotion.limit = limit
        promotion.name = promotion.name if inherits else name
        promotion.take(status)

    @any_there
    @rule(number=pick, usage=st.integers(0, 3))
    def is_used(self, number: int, usage: int) -> None:
        promotion = self.some(number)
        _, whole = self.about(promotion, "GET")
        self.org_client.seed("norce", promotions=[{**whole, "application": promotion.application, "UsageCount": usage}])
        promotion.usage = usage
        promotion.take(promotion.status)

    @any_there
    @rule(number=pick, body=bodies)
    def insert_codes(self, number: int, body: list[Json]) -> None:
        promotion = self.some(number)
        new = {code["DiscountCode"] for code in body} - promotion.codes.keys()
        assert self.about(promotion, "POST", body, "/unique-codes") == (200, len(new))
        for code in body:
            promotion.codes.setdefault(code["DiscountCode"], stored(code))

    @any_there
    @rule(number=pick, body=bodies)
    def put_codes(self, number: int, body: list[Json]) -> None:
        promotion = self.some(number)
        assert self.about(promotion, "PUT", body, "/unique-codes") == (200, {})
        for code in {code["DiscountCode"]: code for code in body}.values():
            there = promotion.codes.get(code["DiscountCode"])
            promotion.codes[code["DiscountCode"]] = stored(code, there["Created"] if there else None)

    @any_there
    @rule(number=pick, body=bodies, wrong=broken, method=st.sampled_from(["POST", "PUT"]))
    def a_broken_code_spoils_all(self, number: int, body: list[Json], wrong: Json, method: str) -> None:
        assert self.about(self.some(number), method, [*body, wrong], "/unique-codes")[0] == 400

    @any_there
    @rule(number=pick, method=st.sampled_from(["GET", "PUT"]))
    def another_application_knows_nothing_of_it(self, number: int, method: str) -> None:
        promotion = self.some(number)
        body: Json = {} if method == "PUT" else None
        assert self.request(method, f"/{promotion.id}", promotion.application + 1, body)[0] == 404

    @invariant()
    def each_promotion_counts_its_codes_and_its_uses(self) -> None:
        for application in (1, 2):
            answer, listed = self.request("GET", "", application)
            assert answer == 200
            mine = [promotion for promotion in self.promotions if promotion.application == application]
            assert [item["Id"] for item in listed] == [promotion.id for promotion in mine]
            for item, promotion in zip(listed, mine, strict=True):
                counted = (item["UniqueDiscountCodeCount"], item["UniqueDiscountCodeUsedCount"], item["CountLeft"])
                assert counted == (len(promotion.codes), promotion.claimed, promotion.left)
                assert (item["Status"], item["UsageCount"]) == (promotion.status, promotion.usage)
                assert (item["StoppedDate"] is not None) == promotion.stopped
                assert (item["Name"], item["DefaultName"]) == (promotion.name, promotion.name)

    @invariant()
    def no_code_is_lost_or_stands_twice(self) -> None:
        for promotion in self.promotions:
            response = ask(self.org_client, "GET", codes_path({"Id": promotion.id}), application=promotion.application)
            assert response.json() == list(promotion.codes.values())


@pytest.mark.fuzz
def test_no_order_of_requests_leads_astray(url: str, http: httpx2.Client) -> None:
    fuzzing.in_any_order(lambda: Promotions(url, http))
