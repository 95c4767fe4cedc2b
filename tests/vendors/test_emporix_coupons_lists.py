"""Emporix's lists of coupons and redemptions: pages, totals, `sort`, and every form of the query `q`."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promo_sandbox.vendors.emporix.lists_regex import Pattern
from tests.serving import Json, OrgClient
from tests.vendors.emporix_coupons_support import (
    NOW,
    PAST,
    SOON,
    ask,
    assert_rejected,
    coupons,
    create,
    create_percent,
    customer,
    found,
    listed,
    money,
    order,
    redeemed,
)


@pytest.fixture
def full(shop: OrgClient) -> OrgClient:
    """A shop with coupons of all kinds."""
    create(
        shop, code="ALPHA", name="Winter Sale", description="for winter", maxRedemptions=1,
        mixins={"campaign": {"rank": 3, "on": True, "title": {"en": "Snow", "de": "Schnee"}}},
        restrictions={"validFor": ["C1", "C2"], "validUntil": SOON},
    )  # fmt: skip
    create(
        shop, code="BETA", name="Summer sale", discountAbsolute=money(20.5),
        mixins={"campaign": {"rank": 20, "on": False, "title": {"en": "Sun"}}},
        restrictions={"validFrom": SOON},
    )  # fmt: skip
    create_percent(shop, 10, code="GAMMA", name="10", mixins={"campaign": {"rank": 10, "title": None}})
    create(shop, code="DELTA", name="Old", restrictions={"validUntil": PAST}, allowAnonymous=True)
    redeemed(shop, order(legalEntityId="LE1"), "ALPHA")
    return shop


def codes(shop: OrgClient, **query: str) -> list[str]:
    return [coupon["code"] for coupon in listed(shop, **query)]


# Pages


def test_a_list_is_in_the_order_of_creation(full: OrgClient) -> None:
    assert codes(full) == ["ALPHA", "BETA", "GAMMA", "DELTA"]


def test_a_page_has_16_unless_it_is_said_otherwise(shop: OrgClient) -> None:
    for number in range(18):
        create(shop, code=f"C{number:02d}")

    assert codes(shop) == [f"C{number:02d}" for number in range(16)]
    assert codes(shop, pageNumber="2") == ["C16", "C17"]
    assert codes(shop, pageNumber="3") == []
    assert codes(shop, pageNumber="4", pageSize="5") == ["C15", "C16", "C17"]
    assert codes(shop, pageNumber="2", pageSize="5", sort="code:desc") == [f"C{n:02d}" for n in range(12, 7, -1)]
    assert len(codes(shop, pageSize="100000")) == 18
    assert codes(shop, pageNumber="9" * 30, pageSize="9" * 30) == []
    assert codes(shop, pageNumber="9" * 30, pageSize="9" * 30, sort="code") == []


@pytest.mark.parametrize("query", [{"pageNumber": "0"}, {"pageSize": "0"}, {"pageSize": "many"}, {"pageNumber": "1.5"}])
def test_a_page_is_counted_from_1(shop: OrgClient, query: dict[str, str]) -> None:
    response = found(shop, **query)

    rejection = assert_rejected(shop, response, 400, "invalid-request")
    assert [detail["field"] for detail in rejection["details"]] == list(query)


def test_the_total_is_sent_only_if_it_is_requested(full: OrgClient) -> None:
    assert "items-count" not in found(full).headers
    assert "items-count" not in found(full, totalCount="false").headers
    assert found(full, totalCount="true").headers["items-count"] == "4"
    assert found(full, totalCount="true", pageSize="1", pageNumber="9").headers["items-count"] == "4"
    assert found(full, totalCount="true", pageSize="1", q="status:VALID").headers["items-count"] == "1"
    assert found(full, totalCount="true", q="code:NONE").headers["items-count"] == "0"


# Sorting


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("code", "ALPHA BETA DELTA GAMMA"),
        ("code:asc", "ALPHA BETA DELTA GAMMA"),
        ("code:desc", "GAMMA DELTA BETA ALPHA"),
        ("discountAbsolute.amount", "GAMMA ALPHA DELTA BETA"),
        ("discountAbsolute.amount:desc,code:desc", "BETA DELTA ALPHA GAMMA"),
        (" discountAbsolute.amount , code:desc", "GAMMA DELTA ALPHA BETA"),
        ("mixins.campaign.rank", "DELTA ALPHA GAMMA BETA"),
        ("mixins.campaign.title.en:desc", "BETA ALPHA GAMMA DELTA"),
        ("name.en", "GAMMA DELTA BETA ALPHA"),
        ("name.de:desc", "ALPHA BETA DELTA GAMMA"),
        ("status,code", "DELTA BETA ALPHA GAMMA"),
        ("redemptionCount:desc", "ALPHA BETA GAMMA DELTA"),
        ("restrictions.validUntil", "BETA GAMMA DELTA ALPHA"),
        ("allowAnonymous:desc", "DELTA ALPHA BETA GAMMA"),
        ("no.such.field", "ALPHA BETA GAMMA DELTA"),
        ("restrictions", "ALPHA BETA GAMMA DELTA"),
        ("", "ALPHA BETA GAMMA DELTA"),
    ],
)
def test_a_list_is_sorted_by_members_and_members_of_members(full: OrgClient, sort: str, expected: str) -> None:
    assert codes(full, sort=sort) == expected.split()


@pytest.mark.parametrize("sort", [",", "code,", "code:up", "code:", ":asc", "code asc", "code:asc:desc", "a(b)"])
def test_a_sort_that_cannot_be_understood_is_rejected(full: OrgClient, sort: str) -> None:
    rejection = assert_rejected(full, found(full, sort=sort), 400, "invalid-query")

    assert rejection["details"] == [{"field": "sort", "message": "not a valid sort", "type": "invalid_query_parameter"}]


# Queries


@pytest.mark.parametrize(
    ("q", "expected"),
    [
        # by value
        ("code:ALPHA", "ALPHA"),
        ("id:ALPHA", "ALPHA"),
        ("code:alpha", ""),
        ('name:"Winter Sale"', "ALPHA"),
        ("name:10", "GAMMA"),
        ("discountPercentage:10", "GAMMA"),
        ("discountPercentage:10.0", "GAMMA"),
        ("discountAbsolute.amount:20.5", "BETA"),
        ("mixins.campaign.title.en:Snow", "ALPHA"),
        ("name.en:Old", ""),  # works for localized members only
        ("restrictions.validFor:C2", "ALPHA"),
        ("legalEntityRedemptions.count:1", "ALPHA"),
        ("status:USED", "ALPHA"),
        ("redemptionCount:1", "ALPHA"),
        ("metadata.version:0", "ALPHA BETA GAMMA DELTA"),
        (f'restrictions.validUntil:"{SOON}"', "ALPHA"),
        ('restrictions.validUntil:"2030-02-01T01:00:00+01:00"', "ALPHA"),
        # by comparison
        ("mixins.campaign.rank:>10", "BETA"),
        ("mixins.campaign.rank:>=10", "BETA GAMMA"),
        ("mixins.campaign.rank:<10", "ALPHA"),
        ("mixins.campaign.rank:<=10.0", "ALPHA GAMMA"),
        ("mixins.campaign.rank:(>=3 AND <20)", "ALPHA GAMMA"),
        ("mixins.campaign.rank:( >3 AND <20 )", "GAMMA"),
        ("mixins.campaign.rank:>-1e3", "ALPHA BETA GAMMA"),
        ("name:>5", ""),
        ("allowAnonymous:>0", ""),
        # dates
        (f'restrictions.validUntil:<"{NOW}"', "DELTA"),
        ('restrictions.validUntil:>="2030-02-01"', "ALPHA"),
        ('restrictions.validFrom:(>="2030-01-01" AND <="2030-02-01T00:00:00Z")', "BETA"),
        ('restrictions.validFrom:>"1970-01-01T00:00:00Z"', "BETA"),
        ('name:>"1970-01-01"', ""),
        # truth, null, existence
        ("allowAnonymous:true", "DELTA"),
        ("allowAnonymous:false", "ALPHA BETA GAMMA"),
        ("mixins.campaign.on:false", "BETA"),
        ("mixins.campaign.title:null", "GAMMA DELTA"),
        ("mixins.campaign.title:missing", "DELTA"),
        ("mixins.campaign.title:exists", "ALPHA BETA GAMMA"),
        ('name:"exists"', ""),
        # several values, several members
        ("code:(ALPHA,GAMMA)", "ALPHA GAMMA"),
        ('code:( "ALPHA" , DELTA )', "ALPHA DELTA"),
        ("redemptionCount:(1,2)", "ALPHA"),
        ("status:VALID discountType:PERCENT", "GAMMA"),
        ("  code:(ALPHA,BETA)   mixins.campaign.rank:>10 ", "BETA"),
        ("code:ALPHA code:BETA", ""),
        # regular expressions
        ("code:~LPH", "ALPHA"),
        ("code:~^.E", "BETA DELTA"),
        ("code:~A$ code:~^[B-D]", "BETA DELTA"),
        ("name:(~Winter Sale)", "ALPHA"),
        ("name:~(Winter Sa)", "ALPHA"),
        ("name:(~[Ss]ale$)", "ALPHA BETA"),
        ("mixins.campaign.title.de:~Schn", "ALPHA"),
        ("restrictions.validFor:~^C", "ALPHA"),
        (r"name:~^\d+$", "GAMMA"),
        ("code:~ALPHA|GAMMA", "ALPHA GAMMA"),
        ("name:(~Winter) code:ALPHA", "ALPHA"),
        ("redemptionCount:~1", ""),
        # nothing
        ("", "ALPHA BETA GAMMA DELTA"),
        ("   ", "ALPHA BETA GAMMA DELTA"),
        ("no.such.field:1", ""),
    ],
)
def test_a_query_finds(full: OrgClient, q: str, expected: str) -> None:
    assert codes(full, q=q) == expected.split()


@pytest.mark.parametrize(
    "q",
    [
        "code",
        "code:",
        ":ALPHA",
        "code=ALPHA",
        "code:ALPHA,BETA",
        "code:(ALPHA",
        "code:()",
        "code:(,)",
        "code:(ALPHA BETA)",
        "code:ALPHA)",
        'code:"ALPHA',
        'code:"ALPHA"x',
        "rank:>",
        "rank:>ten",
        'rank:>"ten"',
        "rank:>=2030-01-01",
        "rank:(>1 OR <2)",
        "rank:(>1 AND 2)",
        "rank:(>1 AND <2",
        "rank:>1e9999",
        "code:~",
        "code:(~ALPHA",
        "code:~(",
        "code:~(a+)+$",
        "code:(~(a|a)*b)",
        "code:~a**",
        r"code:~(\1)",
        "code:~[",
        "code:~[z-a]",
        "code:~[[:alpha:]]",
        r"code:~\bALPHA",
        "code:~a{300}",
        "code:~a{3,2}",
        "code:~(?=a)",
        "code:~" + "a" * 101,
        "compoundLogicalQuery:((code:ALPHA) OR (code:BETA))",
        "\x00",
    ],
)
def test_a_query_that_cannot_be_understood_is_rejected(full: OrgClient, q: str) -> None:
    for path in ("/coupons", coupons("ALPHA", "redemptions")):
        assert assert_rejected(full, found(full, path, q=q), 400, "invalid-query") == {
            "status": 400,
            "message": "There are validation problems, see details section for more information.",
            "type": "validation_violation",
            "details": [{"field": "q", "message": "not a valid query", "type": "invalid_query_parameter"}],
        }


def test_a_quote_in_a_value_is_escaped(shop: OrgClient) -> None:
    create(shop, code="HI", name='say "hi" \\o/')
    create(shop, code="HO", name="say hi")

    assert codes(shop, q='name:"say \\"hi\\" \\\\o/"') == ["HI"]


def test_deleted_coupons_are_searched_if_they_are_asked_for(full: OrgClient) -> None:
    ask(full, "DELETE", coupons("ALPHA"))

    assert codes(full, q="deleted:true") == []
    assert codes(full, q="deleted:true", showDeleted="true") == ["ALPHA"]


def test_what_depends_on_the_time_is_searched_as_of_now(full: OrgClient) -> None:
    assert codes(full, q="status:INACTIVE") == ["BETA"]
    full.advance("P31D")
    assert codes(full, q="status:INACTIVE") == []


# Redemptions


def test_redemptions_are_listed_searched_sorted_and_counted(shop: OrgClient) -> None:
    create(shop)
    for number, total in enumerate((50, 70, 60)):
        body = order(total, number, orderCode=f"O{number}")
        redeemed(shop, body, bearer=customer(shop, f"C{number}"))
        shop.advance("PT1H")
    path = coupons("FIVE", "redemptions")

    def orders(**query: str) -> list[str]:
        return [redemption["orderCode"] for redemption in listed(shop, path, **query)]

    assert orders() == ["O0", "O1", "O2"]
    assert orders(sort="orderTotal.amount:desc") == ["O1", "O2", "O0"]
    assert orders(q="customerNumber:(C1,C2)") == ["O1", "O2"]
    assert orders(q=f'redeemedAt:>"{NOW}" discount.amount:<2') == ["O1"]
    assert orders(pageSize="1", pageNumber="3") == ["O2"]
    assert found(shop, path, q="orderTotal.amount:>50", pageSize="1", totalCount="true").headers["items-count"] == "2"
    assert_rejected(shop, found(shop, path, sort="a:b"), 400, "invalid-query")


# Regular expressions

ITEMS = st.sampled_from(["a", "b", ".", "[ab]", "[^a]", r"\w", r"\.", r"\d", "[a-c.]", "[]a]", "-"])
QUANTIFIERS = st.sampled_from(["", "", "", "*", "+", "?", "{2}", "{1,}", "{0,2}"])
SEQUENCES = st.lists(st.builds(str.__add__, ITEMS, QUANTIFIERS), max_size=4).map("".join)
ALTERNATIVES = st.builds(
    lambda start, inner, end: start + inner + end, st.sampled_from(["", "^"]), SEQUENCES, st.sampled_from(["", "$"])
)


@settings(max_examples=500, deadline=None)
@given(st.lists(ALTERNATIVES, min_size=1, max_size=2).map("|".join), st.text("ab.c1-]", max_size=7))
def test_a_pattern_finds_what_the_standard_library_finds(pattern: str, text: str) -> None:
    assert Pattern(pattern).found_in(text) == bool(re.search(pattern, text, re.DOTALL))


@pytest.mark.parametrize("pattern", ["a*a*a*a*a*a*a*a*a*a*b", "a{0,190}b", "[ab]+[ab]+[ab]+[ab]+c", ".*.*.*.*.*=.*;"])
def test_no_pattern_makes_the_server_hang(shop: OrgClient, pattern: str) -> None:
    create(shop, name="a" * 20_000)
    begin = time.process_time()  # of the server too, which is a thread of this process

    assert listed(shop, q=f"name:~{pattern}") == []

    assert time.process_time() - begin < 5


def test_the_codes_of_the_tutorial_of_queries_are_found(shop: OrgClient) -> None:
    for code in ("ABCD12", "XABCD12", "AB CD", "OTHER"):
        create(shop, code=code)
    named: list[Json] = listed(shop, q="code:~ABCD12")

    assert [coupon["code"] for coupon in named] == ["ABCD12", "XABCD12"]
    assert codes(shop, q="code:(~AB CD)") == ["AB CD"]


# What takes long


@pytest.fixture(scope="module")
def many() -> list[Json]:
    """Enough coupons to be worked out in slices, whose names are in another order than they are."""
    return [
        {"code": f"C{number:04}", "name": f"{number * 7919 % 3000 // 3:04}", "description": f"{number % 7}"}
        for number in range(3000)
    ]


def test_a_long_list_is_sorted_as_python_sorts_it(shop: OrgClient, many: list[Json]) -> None:
    shop.seed("emporix", coupons=[{**coupon, "discountAbsolute": money(1)} for coupon in many])

    found = codes(shop, sort="description:desc,name", pageSize="100000")
    page = codes(shop, sort="description:desc,name", pageSize="10", pageNumber="200")

    wanted = sorted(sorted(many, key=lambda it: it["name"]), key=lambda it: it["description"], reverse=True)
    assert found == [coupon["code"] for coupon in wanted]
    assert page == found[1990:2000]


def test_a_long_list_tells_how_many_fit(shop: OrgClient, many: list[Json]) -> None:
    shop.seed("emporix", coupons=[{**coupon, "discountAbsolute": money(1)} for coupon in many])

    response = ask(shop, "GET", "/coupons?q=description:3&totalCount=true&pageSize=5")
    exchange = shop.last()

    assert response.headers["items-count"] == str(sum(coupon["description"] == "3" for coupon in many))
    assert [coupon["code"] for coupon in response.json()] == ["C0003", "C0010", "C0017", "C0024", "C0031"]
    assert exchange["reply"]["body"] == response.text
    assert ["Items-Count", response.headers["items-count"]] in exchange["reply"]["headers"]


def test_a_key_that_comes_again_no_longer_changes_the_order(full: OrgClient) -> None:
    assert codes(full, sort="name,code:desc,name:desc") == codes(full, sort="name,code:desc")
    assert codes(full, sort="name," * 1500 + "code") == codes(full, sort="name,code")


def test_as_many_keys_as_a_coupon_has_are_served_and_no_more(full: OrgClient) -> None:
    served = ",".join(f"mixins.k{number}" for number in range(30))

    assert codes(full, sort=served) == codes(full)
    response = found(full, sort=served + ",name")
    assert_rejected(full, response, 400, "invalid-query")
    assert response.json()["details"][0]["message"] == "more than 30 keys"


def test_of_long_texts_and_lists_the_beginning_is_searched(full: OrgClient) -> None:
    texts = {"t": "a" * 10_000 + "b", "u": "a" * 9_999 + "b", "l": ["a"] * 1000 + ["b"], "m": ["a"] * 999 + ["b"]}
    create(full, code="LONG", mixins={"long": texts})

    assert codes(full, q="mixins.long.t:~b") == codes(full, q="mixins.long.l:b") == []
    assert codes(full, q="mixins.long.u:~b") == codes(full, q="mixins.long.m:b") == ["LONG"]


def test_a_query_may_name_thousands_of_values(full: OrgClient) -> None:
    values = ",".join([*(f"X{number}" for number in range(2000)), "GAMMA"])

    assert codes(full, q=f"code:({values})") == ["GAMMA"]
    assert codes(full, q="redemptionCount:(7,1.0)") == ["ALPHA"]
    assert codes(full, q="mixins.campaign.on:(x,true)") == ["ALPHA"]


def test_a_range_of_too_many_comparisons_is_not_served(full: OrgClient) -> None:
    assert codes(full, q=f"redemptionCount:({' AND '.join(['>=1'] * 20)})") == ["ALPHA"]
    assert_rejected(full, found(full, q=f"redemptionCount:({' AND '.join(['>=1'] * 21)})"), 400, "invalid-query")


def test_a_query_of_too_many_fields_is_rejected(full: OrgClient) -> None:
    response = ask(full, "GET", f"/coupons?{'&'.join('a=1' for _ in range(1001))}")

    assert response.status_code == 400
    assert "more than 1000 fields" in response.text
