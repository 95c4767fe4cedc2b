"""The lists of enfore's three kinds of sales voucher: half-open intervals, order, filters, and problems in between."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from tests.serving import Json, OrgClient
from tests.vendors.enfore_support import (
    EVER,
    NOW,
    PAST,
    SOON,
    VOUCHER_KINDS,
    VoucherKind,
    assert_rejected,
    eur,
    ids,
    notified,
    pieces,
    problem,
    unchanged,
)

pytestmark = pytest.mark.parametrize("kind", VOUCHER_KINDS, ids=lambda kind: kind.singular)


@pytest.fixture(autouse=True)
def _frozen(org_client: OrgClient) -> None:
    org_client.freeze(NOW)


def seed(org_client: OrgClient, kind: VoucherKind, *vouchers: Json) -> None:
    org_client.seed("enfore", **{kind.collection: [kind.seeded(**voucher) for voucher in vouchers]})


def seed_issued(org_client: OrgClient, kind: VoucherKind, *moments: str) -> None:
    """Vouchers whose ids are the moments of their issue."""
    seed(org_client, kind, *({"id": moment, "issued_date_and_time": moment} for moment in moments))


def listed(org_client: OrgClient, kind: VoucherKind, query: str = EVER) -> list[str]:
    return ids(org_client.request("GET", kind.path(org_client) + query))


# The interval


def test_the_start_of_the_interval_belongs_to_it_and_the_end_does_not(org_client: OrgClient, kind: VoucherKind) -> None:
    seed_issued(org_client, kind, "2029-12-31T23:59:59.999Z", "2030-01-01T00:00:00Z", "2030-01-31T23:59:59.999Z", SOON)

    found = listed(org_client, kind, f"?from=2030-01-01T00:00:00Z&to={SOON}")

    assert found == ["2030-01-01T00:00:00Z", "2030-01-31T23:59:59.999Z"]


def test_an_interval_that_ends_where_it_starts_holds_nothing(org_client: OrgClient, kind: VoucherKind) -> None:
    seed_issued(org_client, kind, SOON)

    assert listed(org_client, kind, f"?from={SOON}&to={SOON}") == []


def test_an_interval_that_ends_before_it_starts_is_rejected(org_client: OrgClient, kind: VoucherKind) -> None:
    seed_issued(org_client, kind, SOON)

    response = org_client.request("GET", kind.path(org_client) + f"?from={SOON}&to={PAST}")

    assert_rejected(org_client, response, 400, "interval-reversed")


@pytest.mark.parametrize(
    "query",
    [
        "",
        f"?from={PAST}",
        f"?to={PAST}",
        f"?from=2030-01-01&to={SOON}",
        f"?from=2030-01-01T00:00:00&to={SOON}",
        f"?from={quote('2030-01-01T00:00:00+00:00')}&to={SOON}",
        f"?from=2030-01-01T00:00:00-01:00&to={SOON}",
        f"?from=2030-02-30T00:00:00Z&to={SOON}",
        f"?from=2030-01-01T24:00:00Z&to={SOON}",
        f"?from={PAST}&to=",
        f"?from={PAST}&to=soon",
        f"{EVER}&limit=0",
        f"{EVER}&limit=5001",
        f"{EVER}&limit=-1",
        f"{EVER}&limit=1.5",
        f"{EVER}&limit=ten",
        f"{EVER}&limit=",
        f"{EVER}&offset=-1",
        f"{EVER}&offset=0.5",
        f"{EVER}&offset=x",
    ],
)
def test_a_query_of_the_wrong_form_is_invalid(org_client: OrgClient, kind: VoucherKind, query: str) -> None:
    response = org_client.request("GET", kind.path(org_client) + query)

    assert_rejected(org_client, response, 400, "invalid-request")


@pytest.mark.parametrize("moment", ["2030-01-01T12:00:00Z", "2030-01-01T12:00:00.123Z", "2030-01-01T12:00:00.123456Z"])
def test_a_moment_may_have_fractions_of_a_second(org_client: OrgClient, kind: VoucherKind, moment: str) -> None:
    seed_issued(org_client, kind, moment)

    assert listed(org_client, kind, f"?from={moment}&to={SOON}") == [moment]


# Order


def test_vouchers_are_listed_by_the_moment_of_their_issue(org_client: OrgClient, kind: VoucherKind) -> None:
    seed_issued(org_client, kind, SOON, "2030-01-01T13:30:00+01:00", PAST, "2030-01-01T13:00:00Z")

    assert listed(org_client, kind) == [PAST, "2030-01-01T13:30:00+01:00", "2030-01-01T13:00:00Z", SOON]


def test_a_voucher_without_an_issue_stands_where_it_came_into_the_system(
    org_client: OrgClient, kind: VoucherKind
) -> None:
    seed_issued(org_client, kind, SOON, PAST)
    seed(org_client, kind, {"id": "unknown issue"})

    assert listed(org_client, kind) == [PAST, "unknown issue", SOON]
    assert listed(org_client, kind, f"?from={NOW}&to={SOON}") == ["unknown issue"]
    assert listed(org_client, kind, f"?from={PAST}&to={NOW}") == [PAST]


def test_vouchers_of_one_moment_are_listed_as_they_came(org_client: OrgClient, kind: VoucherKind) -> None:
    seed(org_client, kind, *({"id": id, "issued_date_and_time": PAST} for id in ("c", "a", "b")))

    assert listed(org_client, kind) == ["c", "a", "b"]


def test_a_voucher_that_changes_keeps_its_place(org_client: OrgClient, kind: VoucherKind) -> None:
    seed(org_client, kind, {"id": "a", "number": "1"}, {"id": "b", "number": "2"})
    org_client.advance("P1D")

    seed(org_client, kind, {"id": "a", "number": "1", "name": "Changed"})

    assert listed(org_client, kind) == ["a", "b"]
    assert listed(org_client, kind, f"?from={NOW}&to=2030-01-01T12:00:00.001Z") == ["a", "b"]


# Filters


def test_a_number_leaves_exactly_its_voucher(org_client: OrgClient, kind: VoucherKind) -> None:
    seed(org_client, kind, {"id": "a", "number": "1"}, {"id": "b", "number": "12"})

    assert listed(org_client, kind, f"{EVER}&number=1") == ["a"]
    assert listed(org_client, kind, f"{EVER}&number=2") == []


def test_an_external_number_leaves_exactly_its_voucher(org_client: OrgClient, kind: VoucherKind) -> None:
    seed(org_client, kind, {"id": "a", "external_number": "X 1"}, {"id": "b", "external_number": "x 1"})

    assert listed(org_client, kind, f"{EVER}&external_number=X%201") == ["a"]
    assert listed(org_client, kind, f"{EVER}&external_number=X+1") == ["a"]
    assert listed(org_client, kind, f"{EVER}&external_number=X") == []


def test_number_and_external_number_both_narrow(org_client: OrgClient, kind: VoucherKind) -> None:
    seed(org_client, kind, {"id": "a", "number": "1", "external_number": "X-1"}, {"id": "b", "number": "2"})

    assert listed(org_client, kind, f"{EVER}&number=1&external_number=X-1") == ["a"]
    assert listed(org_client, kind, f"{EVER}&number=2&external_number=X-1") == []
    assert listed(org_client, kind, f"{EVER}&number=1&external_number=X-2") == []


def test_a_number_does_not_widen_the_interval(org_client: OrgClient, kind: VoucherKind) -> None:
    seed(org_client, kind, {"id": "a", "number": "1", "issued_date_and_time": SOON})

    assert listed(org_client, kind, f"?from={PAST}&to={SOON}&number=1") == []
    assert listed(org_client, kind, f"?from={SOON}&to=2031-01-01T00:00:00Z&number=1") == ["a"]


def test_an_offset_counts_the_voucher_that_a_number_leaves(org_client: OrgClient, kind: VoucherKind) -> None:
    seed(org_client, kind, {"id": "a", "number": "1"})

    assert listed(org_client, kind, f"{EVER}&number=1&limit=1") == ["a"]
    assert listed(org_client, kind, f"{EVER}&number=1&offset=1") == []


# Pages


def test_a_list_has_items_and_problems_and_nothing_that_tells_a_total(org_client: OrgClient, kind: VoucherKind) -> None:
    org_client.seed("enfore")

    response = org_client.request("GET", kind.path(org_client) + EVER)

    assert (response.status_code, response.json()) == (200, {"items": [], "problems": []})


def test_a_page_holds_200_vouchers_unless_more_or_less_are_asked_for(org_client: OrgClient, kind: VoucherKind) -> None:
    seed(org_client, kind, *({"id": f"v-{n}"} for n in range(201)))
    every = [f"v-{n}" for n in range(201)]

    assert listed(org_client, kind) == every[:200]
    assert listed(org_client, kind, f"{EVER}&offset=200") == every[200:]
    assert listed(org_client, kind, f"{EVER}&limit=5000") == every
    assert listed(org_client, kind, f"{EVER}&limit=7&offset=3") == every[3:10]


def test_a_page_past_the_end_is_empty(org_client: OrgClient, kind: VoucherKind) -> None:
    seed_issued(org_client, kind, PAST)

    response = org_client.request("GET", f"{kind.path(org_client)}{EVER}&offset=9999999999")

    assert (response.status_code, response.json()) == (200, {"items": [], "problems": []})


def test_pages_are_cut_within_the_interval(org_client: OrgClient, kind: VoucherKind) -> None:
    seed_issued(org_client, kind, PAST, "2030-01-02T00:00:00Z", "2030-01-03T00:00:00Z", SOON)

    assert listed(org_client, kind, f"?from={NOW}&to={SOON}&limit=1&offset=1") == ["2030-01-03T00:00:00Z"]
    assert listed(org_client, kind, f"?from={NOW}&to={SOON}&offset=2") == []


def test_items_and_problems_are_one_sequence_of_which_a_page_is_cut(org_client: OrgClient, kind: VoucherKind) -> None:
    seed_issued(org_client, kind, "2030-01-01T00:00:00Z", "2030-01-03T00:00:00Z", "2030-01-05T00:00:00Z")
    org_client.seed(
        "enfore",
        problems=[
            problem(kind.collection, f"2030-01-0{day}T00:00:00Z", on_resource="https://x.example") for day in (4, 2)
        ],
    )

    def days(query: str) -> tuple[list[str], list[str]]:
        page = org_client.request("GET", kind.path(org_client) + query).json()
        return [item["id"][9] for item in page["items"]], [found["detail"][9] for found in page["problems"]]

    assert days(EVER) == (["1", "3", "5"], ["2", "4"])
    assert days(f"{EVER}&limit=2") == (["1"], ["2"])
    assert days(f"{EVER}&limit=2&offset=2") == (["3"], ["4"])
    assert days(f"{EVER}&limit=2&offset=4") == (["5"], [])
    assert days("?from=2030-01-02T00:00:00Z&to=2030-01-04T00:00:00Z") == (["3"], ["2"])


def test_a_problem_is_shown_without_what_only_the_sandbox_knows(org_client: OrgClient, kind: VoucherKind) -> None:
    org_client.seed("enfore", problems=[problem(kind.collection, PAST, on_resource="https://x.example/1")])

    [found] = org_client.request("GET", kind.path(org_client) + EVER).json()["problems"]

    assert found.keys() == {"type", "title", "detail", "on_resource"}


def test_a_problem_stands_in_the_list_it_belongs_to_only(org_client: OrgClient, kind: VoucherKind) -> None:
    org_client.seed("enfore", problems=[problem(kind.collection, PAST)])

    for other in VOUCHER_KINDS:
        page = org_client.request("GET", other.path(org_client) + EVER).json()
        assert len(page["problems"]) == (other == kind)


# One voucher, of whichever kind


def test_a_voucher_is_listed_exactly_as_it_is_read(org_client: OrgClient, kind: VoucherKind) -> None:
    seed(
        org_client, kind, {"id": "a", "issued_date_and_time": PAST, "sold_via_invoice": "inv-1", "source_product": "p"}
    )

    [item] = org_client.request("GET", kind.path(org_client) + EVER).json()["items"]

    assert item == org_client.request("GET", kind.path(org_client, "a")).json()


def test_a_voucher_expires_unless_it_is_used_up_or_blocked(org_client: OrgClient, kind: VoucherKind) -> None:
    statuses = ["ISSUED", "PARTIALLY_REDEEMED", "REDEEMED", "CANCELED", "DEACTIVATED"]
    seed(org_client, kind, *({"id": status, "status": status, "expiration_date_and_time": SOON} for status in statuses))

    happened = org_client.advance("P60D")

    assert [(occurrence["event"], occurrence["id"]) for occurrence in happened] == [
        (kind.expiry, "ISSUED"),
        (kind.expiry, "PARTIALLY_REDEEMED"),
    ]
    found = [item["status"] for item in org_client.request("GET", kind.path(org_client) + EVER).json()["items"]]
    assert found == ["EXPIRED", "EXPIRED", "REDEEMED", "CANCELED", "DEACTIVATED"]
    assert [item["id"] for item in notified(org_client, kind.event)[-2:]] == ["ISSUED", "PARTIALLY_REDEEMED"]


def test_subscribers_are_notified_of_what_is_seeded_and_of_what_a_seed_changes(
    org_client: OrgClient, kind: VoucherKind
) -> None:
    seed(org_client, kind, {"id": "a", "number": "1"})
    seed(org_client, kind, {"id": "a", "number": "1", "status": "REDEEMED"})

    assert [item["status"] for item in notified(org_client, kind.event)] == ["ISSUED", "REDEEMED"]
    assert {event["payload"]["org_id"] for event in org_client.events()} == {org_client.org}


@pytest.mark.parametrize("member", ["number", "external_number"])
def test_no_two_vouchers_of_a_kind_share_a_number(org_client: OrgClient, kind: VoucherKind, member: str) -> None:
    taken = {"external_number": "X", "number": "1"}
    seed(org_client, kind, {"id": "a", **taken})
    second = kind.seeded(id="b", **{"external_number": "Y", "number": "2", member: taken[member]})

    with unchanged(org_client):
        response = org_client.admin("POST", "/seed", {"enfore": {kind.collection: [second]}})

    assert response.status_code == 400
    assert member in response.text


def test_a_balance_is_money_or_for_a_product_voucher_a_quantity(org_client: OrgClient, kind: VoucherKind) -> None:
    wrong = eur(1) if kind.singular == "product-voucher" else pieces(1)

    response = org_client.admin("POST", "/seed", {"enfore": {kind.collection: [kind.seeded(current_balance=wrong)]}})

    assert response.status_code == 400


def test_an_unknown_voucher_is_not_found(org_client: OrgClient, kind: VoucherKind) -> None:
    seed(org_client, kind, {"id": "a"})

    response = org_client.request("GET", kind.path(org_client, "nowhere"))

    assert "nowhere" in assert_rejected(org_client, response, 404, f"unknown-{kind.singular}")["detail"]


# What the page's samples show of each kind, besides its number
_COMMON = {
    "name": "Voucher",
    "status": "PARTIALLY_REDEEMED",
    "issued_date_and_time": PAST,
    "expiration_date_and_time": SOON,
    "last_used_date_and_time": PAST,
    "tax": "DE_STANDARD_VAT_2007",
    "source_product": "p-1",
    "sold_via_invoice": "inv-1",
}


def test_a_voucher_is_read_with_every_member_that_the_page_shows(org_client: OrgClient, kind: VoucherKind) -> None:
    own = {
        "gift-card": {"@type", "external_number"},
        "product-voucher": {"product", "product_sales_price_and_quantity", "external_number"},
        "category-voucher": {"sales_categories", "external_number"},
    }[kind.singular]
    unit = pieces if kind.singular == "product-voucher" else eur
    balances = {"current_balance": unit(3), "initial_balance": unit(7)}
    given = kind.seeded(id="a", number="1", external_number="X", **_COMMON, **balances)
    org_client.seed("enfore", **{kind.collection: [given]})

    found = org_client.request("GET", kind.path(org_client, "a")).json()

    assert found.keys() == {"id", "number", "current_balance", "initial_balance"} | _COMMON.keys() | own
    assert found.items() >= given.items()
