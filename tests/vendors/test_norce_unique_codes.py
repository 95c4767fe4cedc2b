"""Norce's unique codes, rule by rule, over HTTP."""

from __future__ import annotations

import json

import httpx2
import pytest

from promo_sandbox.base.config import MEBIBYTE, Config
from tests.serving import Json, OrgClient, running
from tests.vendors.norce_support import (
    NOW,
    PROMOTIONS,
    answered,
    ask,
    codes,
    codes_path,
    insert_codes,
    inserted,
    neighbour,
    put_codes,
    read,
    rejected,
    standing_still,
    updated,
    wrong,
)

CLAIM: Json = {
    "DiscountCode": "A",
    "IsClaimed": True,
    "DateClaimed": "2030-01-01T10:00:00Z",
    "QuotationId": 42,
    "ClaimedFromSource": "Till",
}


@pytest.fixture
def slug(org_client: OrgClient) -> OrgClient:
    return standing_still(org_client)


@pytest.fixture
def promotion(slug: OrgClient) -> Json:
    return inserted(slug)


def names(found: list[Json]) -> list[str]:
    return [code["DiscountCode"] for code in found]


# Insert


def test_inserting_tells_how_many_were_new(slug: OrgClient, promotion: Json) -> None:
    assert insert_codes(slug, promotion, "A", "B") == 2
    assert insert_codes(slug, promotion, "B", "C") == 1
    assert names(codes(slug, promotion)) == ["A", "B", "C"]


def test_inserting_only_duplicates_answers_0(slug: OrgClient, promotion: Json) -> None:
    insert_codes(slug, promotion, "A", "B")

    assert insert_codes(slug, promotion, "B", "A") == 0


def test_inserting_nothing_answers_0(slug: OrgClient, promotion: Json) -> None:
    assert insert_codes(slug, promotion) == 0
    assert codes(slug, promotion) == []


def test_a_duplicate_in_the_body_counts_once_and_the_first_is_kept(slug: OrgClient, promotion: Json) -> None:
    assert insert_codes(slug, promotion, CLAIM, "A", "B", "B") == 2

    assert [(code["DiscountCode"], code["IsClaimed"]) for code in codes(slug, promotion)] == [("A", True), ("B", False)]


def test_inserting_updates_nothing(slug: OrgClient, promotion: Json) -> None:
    insert_codes(slug, promotion, "A")
    before = codes(slug, promotion)
    slug.advance("PT1H")

    assert insert_codes(slug, promotion, CLAIM) == 0

    assert codes(slug, promotion) == before


def test_a_code_gets_what_it_leaves_out(slug: OrgClient, promotion: Json) -> None:
    insert_codes(slug, promotion, "A")

    assert codes(slug, promotion) == [
        {
            "DiscountCode": "A",
            "Created": NOW,
            "IsClaimed": False,
            "DateClaimed": None,
            "QuotationId": None,
            "ClaimedFromSource": None,
        }
    ]


def test_a_code_may_be_inserted_as_claimed_and_created_earlier(slug: OrgClient, promotion: Json) -> None:
    code = {**CLAIM, "Created": "2029-12-01T00:00:00Z"}

    assert insert_codes(slug, promotion, code) == 1

    assert codes(slug, promotion) == [code]


def test_codes_need_no_requirement_that_asks_for_them(slug: OrgClient) -> None:
    promotion = inserted(slug, Requirements=[])

    assert insert_codes(slug, promotion, "A") == 1


# Update


def test_an_update_inserts_what_is_new_and_replaces_what_is_there(slug: OrgClient, promotion: Json) -> None:
    insert_codes(slug, promotion, "A")

    put_codes(slug, promotion, CLAIM, "B")

    first, second = codes(slug, promotion)
    assert first == {**CLAIM, "Created": NOW}
    assert (second["DiscountCode"], second["IsClaimed"]) == ("B", False)


def test_a_code_that_is_not_mentioned_stays(slug: OrgClient, promotion: Json) -> None:
    insert_codes(slug, promotion, "A", "B")
    put_codes(slug, promotion, CLAIM)
    before = codes(slug, promotion)

    put_codes(slug, promotion, "B")
    put_codes(slug, promotion)

    assert codes(slug, promotion) == before


def test_of_a_code_that_is_sent_twice_the_last_counts(slug: OrgClient, promotion: Json) -> None:
    put_codes(slug, promotion, CLAIM, "B", {"DiscountCode": "A", "IsClaimed": True, "QuotationId": 7})

    first, second = codes(slug, promotion)
    assert (first["QuotationId"], first["ClaimedFromSource"], second["DiscountCode"]) == (7, None, "B")
    assert read(slug, promotion)["UniqueDiscountCodeCount"] == 2


def test_created_is_kept_on_update(slug: OrgClient, promotion: Json) -> None:
    insert_codes(slug, promotion, "A")
    slug.advance("PT1H")

    put_codes(slug, promotion, {"DiscountCode": "A", "Created": "2029-01-01T00:00:00Z"}, "B")

    assert [code["Created"] for code in codes(slug, promotion)] == [NOW, "2030-01-01T13:00:00.000Z"]


def test_a_claim_without_a_date_is_made_now(slug: OrgClient, promotion: Json) -> None:
    insert_codes(slug, promotion, "A", {"DiscountCode": "B", "IsClaimed": True})
    slug.advance("PT1H")

    put_codes(slug, promotion, {"DiscountCode": "A", "IsClaimed": True, "DateClaimed": None})

    assert [code["DateClaimed"] for code in codes(slug, promotion)] == ["2030-01-01T13:00:00.000Z", NOW]


@pytest.mark.parametrize("said", [{"IsClaimed": False}, {}])
def test_a_code_that_is_not_claimed_has_nothing_of_a_claim(slug: OrgClient, promotion: Json, said: Json) -> None:
    insert_codes(slug, promotion, CLAIM)
    assert read(slug, promotion)["UniqueDiscountCodeUsedCount"] == 1

    unclaimed = {name: value for name, value in CLAIM.items() if name != "IsClaimed"}
    put_codes(slug, promotion, {**unclaimed, **said})

    (code,) = codes(slug, promotion)
    claim = (code["IsClaimed"], code["DateClaimed"], code["QuotationId"], code["ClaimedFromSource"])
    assert claim == (False, None, None, None)
    assert read(slug, promotion)["UniqueDiscountCodeUsedCount"] == 0


def test_codes_keep_the_order_of_their_insertion(slug: OrgClient, promotion: Json) -> None:
    insert_codes(slug, promotion, "C", "A")
    slug.advance("PT1S")
    put_codes(slug, promotion, "B", {"DiscountCode": "C", "IsClaimed": True}, {"DiscountCode": "A", "IsClaimed": True})

    assert names(codes(slug, promotion)) == ["C", "A", "B"]


# What is one code


def test_codes_are_distinguished_exactly(slug: OrgClient, promotion: Json) -> None:
    alike = ["code", "CODE", "code ", " code", "co/de", "côde", "co%2Fde"]

    assert insert_codes(slug, promotion, *alike) == len(alike)
    assert insert_codes(slug, promotion, *alike) == 0
    assert names(codes(slug, promotion)) == alike


def test_each_promotion_has_codes_of_its_own(slug: OrgClient, promotion: Json) -> None:
    other = inserted(slug)

    assert insert_codes(slug, promotion, "A") == 1
    assert insert_codes(slug, other, "A") == 1
    put_codes(slug, other, CLAIM)

    assert [code["IsClaimed"] for code in codes(slug, promotion)] == [False]


def test_each_customer_of_norces_has_codes_of_its_own(slug: OrgClient, promotion: Json) -> None:
    other = neighbour(slug)
    theirs = inserted(other)
    assert theirs["Id"] == promotion["Id"]

    insert_codes(slug, promotion, "A")

    assert codes(other, theirs) == []


def test_codes_survive_an_update_of_their_promotion(slug: OrgClient, promotion: Json) -> None:
    insert_codes(slug, promotion, "A", CLAIM)

    after = updated(slug, promotion, Name="Spring")

    assert (after["UniqueDiscountCodeCount"], names(codes(slug, promotion))) == (1, ["A"])


# Validation


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize(
    ("code", "key"),
    [
        ({"DiscountCode": ""}, "DiscountCode"),
        ({"DiscountCode": " \t"}, "DiscountCode"),
        ({"DiscountCode": "x" * 51}, "DiscountCode"),
        ({"DiscountCode": 5}, "DiscountCode"),
        ({"DiscountCode": "B", "ClaimedFromSource": "x" * 51}, "ClaimedFromSource"),
        ({"DiscountCode": "B", "IsClaimed": "yes"}, "IsClaimed"),
        ({"DiscountCode": "B", "DateClaimed": "today"}, "DateClaimed"),
        ({"DiscountCode": "B", "QuotationId": 2**31}, "QuotationId"),
    ],
)
def test_a_code_that_is_not_as_described_is_named_and_nothing_changes(
    slug: OrgClient, promotion: Json, method: str, code: Json, key: str
) -> None:
    response = ask(slug, method, codes_path(promotion), [{"DiscountCode": "A"}, code])

    assert wrong(slug, response) == {f"codes[1].{key}"}
    assert codes(slug, promotion) == []


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("body", [{}, {"DiscountCode": "A"}, "A", 5])
def test_a_body_that_is_no_array_is_rejected(slug: OrgClient, promotion: Json, method: str, body: Json) -> None:
    assert wrong(slug, ask(slug, method, codes_path(promotion), body)) == {"codes"}
    assert codes(slug, promotion) == []


def test_a_code_may_have_fifty_characters(slug: OrgClient, promotion: Json) -> None:
    code = {"DiscountCode": "x" * 50, "IsClaimed": True, "ClaimedFromSource": "y" * 50}

    assert insert_codes(slug, promotion, code) == 1


def test_a_code_without_a_text_is_one_code(slug: OrgClient, promotion: Json) -> None:
    assert (
        insert_codes(slug, promotion, {}, {"DiscountCode": None}, {"DiscountCode": "None"}, {"DiscountCode": "null"})
        == 3
    )
    put_codes(slug, promotion, {"IsClaimed": True, "QuotationId": 7})
    slug.seed("norce", unique_codes=[{"promotion": promotion["Id"], "QuotationId": 8, "IsClaimed": True}])

    found = codes(slug, promotion)
    assert names(found) == [None, "None", "null"]
    assert (found[0]["IsClaimed"], found[0]["QuotationId"]) == (True, 8)
    assert read(slug, promotion)["UniqueDiscountCodeCount"] == 3


def test_every_code_that_is_wrong_is_named(slug: OrgClient, promotion: Json) -> None:
    response = ask(
        slug, "POST", codes_path(promotion), [{"DiscountCode": 5}, {"DiscountCode": "A"}, {"DiscountCode": ""}]
    )

    assert wrong(slug, response) == {"codes[0].DiscountCode", "codes[2].DiscountCode"}


@pytest.mark.parametrize(("method", "body"), [("GET", None), ("PUT", []), ("POST", [])])
def test_an_unknown_promotion_has_no_codes(slug: OrgClient, method: str, body: Json) -> None:
    rejected(slug, ask(slug, method, "/4711/unique-codes", body), 404, "unknown-promotion")


# Many


def test_fifty_thousand_codes_are_stored_by_one_request_and_known_to_the_next(http: httpx2.Client) -> None:
    many = [{"DiscountCode": f"SPRING-{number:05}"} for number in range(50_000)]
    with running(Config(max_body=4 * MEBIBYTE)) as (_, url):
        slug = standing_still(OrgClient(url, "acme", http))
        promotion = inserted(slug)

        assert answered(ask(slug, "POST", codes_path(promotion), many)) == 50_000
        assert answered(ask(slug, "POST", codes_path(promotion), many)) == 0

        after = read(slug, promotion)
        assert (after["UniqueDiscountCodeCount"], after["UniqueDiscountCodeUsedCount"]) == (50_000, 0)
        found = codes(slug, promotion)
        assert names(found) == names(many)


def test_a_long_list_of_codes_delays_no_other_client_and_is_as_it_was_when_it_was_asked_for(
    http: httpx2.Client,
) -> None:
    many = [{"DiscountCode": f"SPRING-{number:05}"} for number in range(50_000)]
    with running(Config(max_body=4 * MEBIBYTE)) as (_, url):
        slug = standing_still(OrgClient(url, "acme", http))
        promotion = inserted(slug)
        insert_codes(slug, promotion, *many)
        headers = {"Authorization": "Bearer any", "Sandbox-Org": slug.org}

        with http.stream("GET", f"{url}{PROMOTIONS}{codes_path(promotion)}", headers=headers) as response:
            # Nothing of the body is read yet, so the server cannot have sent it whole.
            assert insert_codes(slug, promotion, "LATE") == 1
            found = json.loads(response.read())

        assert names(found) == names(many)
        assert len(codes(slug, promotion)) == 50_001
        assert slug.last()["reply"]["size"] > 4 * MEBIBYTE


def test_a_body_beyond_the_limit_of_the_server_is_too_long(slug: OrgClient, promotion: Json) -> None:
    many = [{"DiscountCode": f"SPRING-{number:05}"} for number in range(50_000)]

    response = ask(slug, "POST", codes_path(promotion), many)

    rejected(slug, response, 413, "body-too-large")
    assert codes(slug, promotion) == []


def test_many_codes_are_written_between_other_requests_and_all_are_there_with_the_reply(
    slug: OrgClient, promotion: Json
) -> None:
    many = [f"C{number}" for number in range(20_000)]

    assert insert_codes(slug, promotion, *many) == 20_000
    assert insert_codes(slug, promotion, *many, "D") == 1
    put_codes(slug, promotion, *many)

    assert names(codes(slug, promotion)) == [*many, "D"]
