"""Norce's promotions, rule by rule, over HTTP. The numbers in the titles are those of the rules' list."""

from __future__ import annotations

from typing import Any

import pytest

from tests.serving import Json, OrgClient
from tests.vendors.norce_support import (
    NOW,
    PROMOTIONS,
    TEXTS,
    answered,
    ask,
    choose,
    codes_path,
    insert_codes,
    inserted,
    put_codes,
    read,
    rejected,
    standing_still,
    updated,
    used,
    wrong,
)

CHANGED = "2030-01-01T12:00:00.000"
REQUIREMENT: Json = {"RequirementType": "BasketTotal", "OrderSum": 500}
EFFECT: Json = {"EffectType": "DiscountBasket", "IsDiscount": True, "Value": 20}
FILTERS = ("Manufacturer", "Category", "Flag", "PriceList")


@pytest.fixture
def slug(org_client: OrgClient) -> OrgClient:
    return standing_still(org_client)


def ids_of(promotion: Json, rows: str) -> list[int]:
    return [row["Id"] for row in promotion[rows]]


# Insert


def test_an_insert_without_members_gets_every_default(slug: OrgClient) -> None:
    promotion = inserted(slug)

    assert promotion["Status"] == "Inactive"
    assert promotion["ExclusivityType"] == "NotExclusive"
    for flag in ("IsStackable", "IsProductReq", "ExcludeFromPriceCalculation"):
        assert promotion[flag] is False
    for member in ("ImageKey", "ImageUrl", "Code", "StartDate", "EndDate", "CurrencyCode", "AllowedUsageCount"):
        assert promotion[member] is None
    assert (promotion["Requirements"], promotion["Effects"], promotion["Cultures"]) == ([], [], [])


def test_null_is_the_default_of_the_enumerations(slug: OrgClient) -> None:
    promotion = inserted(slug, Status=None, ExclusivityType=None, Requirements=[{"ProductsIncluded": None}])

    assert (promotion["Status"], promotion["ExclusivityType"]) == ("Inactive", "NotExclusive")
    assert promotion["Requirements"][0]["ProductsIncluded"] == "And"


def test_an_insert_starts_all_counters_at_nothing(slug: OrgClient) -> None:
    promotion = inserted(slug)

    for member in ("UsageCount", "UniqueDiscountCodeCount", "UniqueDiscountCodeUsedCount"):
        assert promotion[member] == 0
    for member in ("TotalOrder", "TotalDiscount", "DiscountPercentage", "MarginPercentage"):
        assert promotion[member] == 0


def test_an_insert_answers_what_a_get_answers(slug: OrgClient) -> None:
    promotion = inserted(slug, Name="Spring", Requirements=[REQUIREMENT], Effects=[EFFECT])

    assert read(slug, promotion) == promotion


def test_an_insert_ignores_the_id_of_the_body_and_counts_its_own(slug: OrgClient) -> None:
    first = inserted(slug, Id=4711)
    second = inserted(slug, Id=first["Id"])

    assert len({4711, first["Id"], second["Id"]}) == 3
    assert first["Id"] < second["Id"]


def test_an_insert_ignores_nested_ids_and_assigns_others(slug: OrgClient) -> None:
    row = {"Id": 4711, "ManufacturerId": 1}
    promotion = inserted(
        slug,
        Requirements=[{"Id": 4711, **REQUIREMENT, "ProductList": [row, row]}],
        Effects=[{"Id": 4711, **EFFECT, "ProductList": [row]}],
    )

    rows = [*promotion["Requirements"], *promotion["Effects"]]
    ids = [found["Id"] for row in rows for found in (row, *row["ProductList"])]
    assert len(set(ids)) == 5
    assert 4711 not in ids


def test_an_insert_ignores_what_only_the_server_says(slug: OrgClient) -> None:
    promotion = inserted(
        slug,
        DefaultName="Mine",
        CountLeft=3,
        UsageCount="wrong",
        TotalOrder=9,
        StoppedBy=4,
        Created="yesterday",
        Changed=CHANGED,
        Requirements=[{**REQUIREMENT, "ValueType": "Quantity", "ChangedBy": "me"}],
    )

    assert (promotion["DefaultName"], promotion["CountLeft"], promotion["UsageCount"]) == (None, None, 0)
    assert (promotion["TotalOrder"], promotion["StoppedBy"], promotion["Created"]) == (0, None, NOW)
    assert (promotion["Changed"], promotion["ChangedBy"]) == (None, None)
    assert promotion["Requirements"][0]["ValueType"] == "OrderSum"
    assert promotion["Requirements"][0]["ChangedBy"] is None


def test_unknown_fields_are_ignored(slug: OrgClient) -> None:
    promotion = inserted(slug, Nonsense=1, Effects=[{**EFFECT, "Nonsense": 1}])

    assert "Nonsense" not in promotion
    assert "Nonsense" not in promotion["Effects"][0]


def test_an_insert_is_made_by_the_account_of_the_header(slug: OrgClient) -> None:
    assert inserted(slug, account=7)["CreatedByName"] == "Account 7"


def test_members_stand_in_the_order_of_the_page(slug: OrgClient) -> None:
    promotion = inserted(slug, Requirements=[{**REQUIREMENT, "ProductList": [{}]}], Effects=[{"ProductList": [{}]}])

    assert list(promotion)[:5] == ["Requirements", "Effects", "Id", "Name", "DefaultName"]
    assert list(promotion)[-1] == "Cultures"
    assert len(promotion) == 47
    requirement = list(promotion["Requirements"][0])
    assert requirement[:5] == ["Id", "RequirementType", "DiscountCode", "ExternalDiscountCode", "ValueType"]
    assert len(requirement) == 20
    assert len(promotion["Effects"][0]) == 14
    assert len(promotion["Requirements"][0]["ProductList"][0]) == 25
    assert len(promotion["Effects"][0]["ProductList"][0]) == 29


# Update


def test_an_update_replaces_every_field(slug: OrgClient) -> None:
    promotion = inserted(
        slug,
        Name="Spring",
        Code="SPRING",
        CurrencyCode="SEK",
        AllowedUsageCount=5,
        UniqueUserUsageCount=1,
        IsStackable=True,
        ExclusivityType="Exclusive",
        StartDate="2030-03-01T00:00:00Z",
        ImageKey="2f6c1d8e-94b7-4a50-b3e1-7d0c5f8a9b62",
        Requirements=[REQUIREMENT],
        Effects=[EFFECT],
        Cultures=[{"CultureCode": "sv-SE"}],
    )

    after = updated(slug, promotion, Code="SUMMER")

    assert after["Code"] == "SUMMER"
    blank = inserted(slug)
    kept = {"Id", "Code", "Created", "CreatedByName", "Changed", "ChangedBy"}
    assert {name: value for name, value in after.items() if name not in kept} == {
        name: value for name, value in blank.items() if name not in kept
    }
    assert read(slug, promotion) == after


def test_an_update_keeps_what_only_the_server_says(slug: OrgClient) -> None:
    promotion = inserted(slug, account=7)
    used(slug, promotion, UsageCount=3, TotalOrder=1090.5, TotalDiscount=20, DiscountPercentage=2.5)

    after = updated(slug, promotion, UsageCount=0, TotalOrder=0, Created="2029-01-01T00:00:00Z", CreatedByName="me")

    assert (after["UsageCount"], after["TotalOrder"], after["TotalDiscount"]) == (3, 1090.5, 20)
    assert (after["DiscountPercentage"], after["Created"], after["CreatedByName"]) == (2.5, NOW, "Account 7")


@pytest.mark.parametrize("sent", ["nothing", "zero", "the same"])
def test_an_update_takes_the_id_of_the_path_and_none_else(slug: OrgClient, sent: str) -> None:
    promotion = inserted(slug)
    ids: dict[str, Json] = {"nothing": {}, "zero": {"Id": 0}, "the same": {"Id": promotion["Id"]}}

    assert updated(slug, promotion, **ids[sent])["Id"] == promotion["Id"]


def test_an_update_with_another_id_is_rejected(slug: OrgClient) -> None:
    promotion, other = inserted(slug, Name="Spring"), inserted(slug)

    response = ask(slug, "PUT", f"/{promotion['Id']}", {"Id": other["Id"]})

    assert wrong(slug, response, "id-mismatch") == {"promotion.Id"}
    assert read(slug, promotion) == promotion


def test_an_update_never_creates(slug: OrgClient) -> None:
    rejected(slug, ask(slug, "PUT", "/4711", {"Name": "Spring"}), 404, "unknown-promotion")

    assert answered(ask(slug, "GET")) == []


@pytest.mark.parametrize("rows", ["Requirements", "Effects"])
def test_a_row_with_a_known_id_is_updated_in_full(slug: OrgClient, rows: str) -> None:
    one = {"SortOrder": 1, "GenericQty": 2, "ProductList": [{"ManufacturerId": 1, "PartNo": "A"}]}
    promotion = inserted(slug, **{rows: [one]})
    before = promotion[rows][0]
    product = before["ProductList"][0]

    sent = {"Id": before["Id"], "SortOrder": 2, "ProductList": [{"Id": product["Id"], "ManufacturerId": 9}]}
    after = updated(slug, promotion, account=4, **{rows: [sent]})[rows][0]

    assert (after["Id"], after["SortOrder"], after["GenericQty"]) == (before["Id"], 2, None)
    assert (after["Changed"], after["ChangedBy"]) == (CHANGED, "Account 4")
    changed = after["ProductList"][0]
    assert (changed["Id"], changed["ManufacturerId"], changed["PartNo"]) == (product["Id"], 9, None)
    assert (changed["Changed"], changed["ChangedBy"]) == (CHANGED, "Account 4")


@pytest.mark.parametrize("rows", ["Requirements", "Effects"])
def test_a_row_with_no_id_zero_or_an_unknown_one_is_inserted(slug: OrgClient, rows: str) -> None:
    promotion = inserted(slug, **{rows: [{"SortOrder": 1}]})
    (known,) = ids_of(promotion, rows)

    sent = [{"SortOrder": 2}, {"Id": 0, "SortOrder": 3}, {"Id": 4711, "SortOrder": 4}, {"Id": known, "SortOrder": 5}]
    after = updated(slug, promotion, **{rows: sent})[rows]

    assert [row["SortOrder"] for row in after] == [2, 3, 4, 5]
    assert after[3]["Id"] == known
    assert len({row["Id"] for row in after}) == 4
    assert {0, 4711}.isdisjoint(row["Id"] for row in after)
    assert [row["Changed"] for row in after] == [None, None, None, CHANGED]


@pytest.mark.parametrize("rows", ["Requirements", "Effects"])
def test_a_row_that_is_sent_twice_is_updated_once_and_inserted_once(slug: OrgClient, rows: str) -> None:
    promotion = inserted(slug, **{rows: [{}]})
    (known,) = ids_of(promotion, rows)

    after = updated(slug, promotion, **{rows: [{"Id": known}, {"Id": known}]})

    assert ids_of(after, rows)[0] == known
    assert len(set(ids_of(after, rows))) == 2


@pytest.mark.parametrize("rows", ["Requirements", "Effects"])
def test_a_row_that_is_not_sent_is_removed(slug: OrgClient, rows: str) -> None:
    promotion = inserted(slug, **{rows: [{"SortOrder": 1, "ProductList": [{}, {}]}, {"SortOrder": 2}]})
    first, _ = promotion[rows]

    sent = {"Id": first["Id"], "ProductList": [{"Id": first["ProductList"][1]["Id"]}]}
    after = updated(slug, promotion, **{rows: [sent]})

    assert ids_of(after, rows) == [first["Id"]]
    assert [row["Id"] for row in after[rows][0]["ProductList"]] == [first["ProductList"][1]["Id"]]
    assert updated(slug, promotion)[rows] == []


def test_an_update_says_when_and_by_whom(slug: OrgClient) -> None:
    promotion = inserted(slug)
    slug.advance("PT1H")

    after = updated(slug, promotion, account=4)
    again = updated(slug, promotion, account=5)

    assert (after["Changed"], after["ChangedBy"]) == ("2030-01-01T13:00:00.000", "Account 4")
    assert (again["Changed"], again["ChangedBy"]) == ("2030-01-01T13:00:00.000", "Account 5")


def test_what_a_get_answers_can_be_put_back(slug: OrgClient) -> None:
    promotion = inserted(
        slug,
        Name="Spring",
        Status="Active",
        AllowedUsageCount=5,
        Requirements=[{**REQUIREMENT, "ProductList": [{"ManufacturerId": 1}]}],
        Effects=[EFFECT],
        Cultures=[{"CultureCode": "sv-SE", "Name": "Våren"}],
    )

    after = updated(slug, promotion, **promotion)

    def unchanged(doc: Any) -> Any:
        if isinstance(doc, dict):
            return {name: unchanged(value) for name, value in doc.items() if name not in ("Changed", "ChangedBy")}
        return [unchanged(item) for item in doc] if isinstance(doc, list) else doc

    assert unchanged(after) == unchanged(promotion)


# Status


@pytest.mark.parametrize("before", ["Active", "Draft"])
def test_becoming_inactive_is_recorded(slug: OrgClient, before: str) -> None:
    promotion = inserted(slug, Status=before)

    after = updated(slug, promotion, account=4, Status="Inactive")

    assert (after["StoppedDate"], after["StoppedBy"], after["StoppedByName"]) == (NOW, 4, "Account 4")


def test_leaving_out_the_status_stops_a_promotion_too(slug: OrgClient) -> None:
    after = updated(slug, inserted(slug, Status="Active"), Name="Spring")

    assert (after["Status"], after["StoppedDate"]) == ("Inactive", NOW)


def test_an_unknown_caller_stops_a_promotion_as_account_0(slug: OrgClient) -> None:
    after = updated(slug, inserted(slug, Status="Active"), Status="Inactive")

    assert (after["StoppedBy"], after["StoppedByName"]) == (0, "System")


def test_the_account_of_the_token_stops_a_promotion_where_no_header_names_one(slug: OrgClient) -> None:
    promotion = inserted(slug, Status="Active")

    bearer = f"sandbox;tenant={slug.org};account=12"
    after = answered(ask(slug, "PUT", f"/{promotion['Id']}", {}, bearer=bearer))

    assert (after["StoppedBy"], after["StoppedByName"]) == (12, "Account 12")


def test_an_insert_as_inactive_is_no_stop(slug: OrgClient) -> None:
    promotion = inserted(slug, Status="Inactive", account=4)

    assert (promotion["StoppedDate"], promotion["StoppedBy"], promotion["StoppedByName"]) == (None, None, None)


def test_a_stop_is_recorded_once(slug: OrgClient) -> None:
    promotion = inserted(slug, Status="Active")
    updated(slug, promotion, account=4, Status="Inactive")
    slug.advance("PT1H")

    after = updated(slug, promotion, account=5, Status="Inactive", Name="Spring")

    assert (after["StoppedDate"], after["StoppedBy"], after["StoppedByName"]) == (NOW, 4, "Account 4")


def test_reactivation_clears_the_stop(slug: OrgClient) -> None:
    promotion = inserted(slug, Status="Active")
    updated(slug, promotion, account=4, Status="Inactive")

    after = updated(slug, promotion, account=4, Status="Active")

    assert (after["StoppedDate"], after["StoppedBy"], after["StoppedByName"]) == (None, None, None)


@pytest.mark.parametrize("before", ["Inactive", "Active", "Draft"])
@pytest.mark.parametrize("after", ["Inactive", "Active", "Draft"])
def test_every_transition_is_allowed(slug: OrgClient, before: str, after: str) -> None:
    assert updated(slug, inserted(slug, Status=before), Status=after)["Status"] == after


def test_coming_is_no_status(slug: OrgClient) -> None:
    coming = inserted(slug, Status="Active", StartDate="2030-02-01T00:00:00Z")
    slug.advance("P7D")

    assert read(slug, coming)["Status"] == "Active"


def test_reaching_the_allowed_usage_count_inactivates(slug: OrgClient) -> None:
    promotion = inserted(slug, Status="Active", AllowedUsageCount=2)
    used(slug, promotion, UsageCount=1)
    assert read(slug, promotion)["Status"] == "Active"

    used(slug, promotion, UsageCount=2)

    after = read(slug, promotion)
    assert (after["Status"], after["CountLeft"]) == ("Inactive", 0)
    assert (after["StoppedDate"], after["StoppedBy"], after["StoppedByName"]) == (NOW, 0, "System")


def test_an_update_to_what_was_used_already_inactivates(slug: OrgClient) -> None:
    promotion = inserted(slug, Status="Active")
    used(slug, promotion, UsageCount=3)

    after = updated(slug, promotion, account=4, Status="Active", AllowedUsageCount=3)
    again = updated(slug, promotion, account=4, Status="Active", AllowedUsageCount=4)

    assert (after["Status"], after["StoppedBy"]) == ("Inactive", 0)
    assert (again["Status"], again["StoppedBy"]) == ("Active", None)


def test_a_limit_of_no_use_is_reached_by_a_use_only(slug: OrgClient) -> None:
    promotion = inserted(slug, Status="Active", AllowedUsageCount=0)
    seeded = slug.seed("norce", promotions=[{"Id": 100, "Status": "Active", "AllowedUsageCount": 0}])["promotions"][0]
    assert (promotion["Status"], promotion["CountLeft"], promotion["StoppedDate"]) == ("Active", 0, None)
    assert updated(slug, promotion, Status="Active", AllowedUsageCount=0)["Status"] == seeded["Status"] == "Active"

    used(slug, read(slug, promotion), UsageCount=1)

    assert read(slug, promotion)["Status"] == "Inactive"


def test_a_draft_is_not_inactivated_by_its_limit(slug: OrgClient) -> None:
    assert inserted(slug, Status="Draft", AllowedUsageCount=0)["Status"] == "Draft"


# Counters


@pytest.mark.parametrize(("allowed", "usage", "left"), [(5, 0, 5), (5, 3, 2), (5, 5, 0), (5, 9, 0), (None, 9, None)])
def test_what_is_left_is_what_is_allowed_without_what_was_used(
    slug: OrgClient, allowed: int | None, usage: int, left: int | None
) -> None:
    promotion = inserted(slug, AllowedUsageCount=allowed)
    used(slug, promotion, UsageCount=usage)

    assert read(slug, promotion)["CountLeft"] == left


def test_usage_and_totals_change_through_seed_and_state_only(slug: OrgClient) -> None:
    promotion = inserted(slug)
    used(slug, promotion, UsageCount=3, TotalOrder=99.5)
    state = slug.admin("GET", "/state").json()
    stored = state["documents"]["norce"]["promotions"][0]
    stored["document"]["TotalDiscount"] = 12.5
    assert slug.admin("PUT", "/state", state).is_success

    updated(slug, promotion, UsageCount=0, TotalOrder=0, TotalDiscount=0)

    after = read(slug, promotion)
    assert (after["UsageCount"], after["TotalOrder"], after["TotalDiscount"]) == (3, 99.5, 12.5)


@pytest.mark.parametrize("length", [10, 40_000])
def test_a_promotion_that_is_read_again_shows_what_has_changed_since(slug: OrgClient, length: int) -> None:
    promotion = inserted(slug, Description="x" * length, AllowedUsageCount=5)
    first = read(slug, promotion)

    insert_codes(slug, promotion, "A")
    counted = read(slug, promotion)
    used(slug, promotion, UsageCount=2)
    once_more = read(slug, promotion)

    assert read(slug, promotion) == once_more
    assert counted == first | {"UniqueDiscountCodeCount": 1}
    assert once_more == counted | {"UsageCount": 2, "CountLeft": 3}


def test_the_code_counters_count_stored_and_claimed_codes(slug: OrgClient) -> None:
    promotion, other = inserted(slug), inserted(slug)
    insert_codes(slug, promotion, "A", "B", "C")
    put_codes(slug, promotion, {"DiscountCode": "B", "IsClaimed": True}, {"DiscountCode": "D", "IsClaimed": True})
    insert_codes(slug, other, "A")

    after = read(slug, promotion)
    assert (after["UniqueDiscountCodeCount"], after["UniqueDiscountCodeUsedCount"]) == (4, 2)
    put_codes(slug, promotion, "B")
    assert read(slug, promotion)["UniqueDiscountCodeUsedCount"] == 1
    assert read(slug, other)["UniqueDiscountCodeCount"] == 1


def test_seeded_codes_are_counted(slug: OrgClient) -> None:
    promotion = inserted(slug)
    slug.seed(
        "norce",
        unique_codes=[
            {"promotion": promotion["Id"], "DiscountCode": "A"},
            {"promotion": promotion["Id"], "DiscountCode": "B", "IsClaimed": True},
        ],
    )

    after = read(slug, promotion)
    assert (after["UniqueDiscountCodeCount"], after["UniqueDiscountCodeUsedCount"]) == (2, 1)


# Texts


@pytest.mark.parametrize("text", TEXTS)
def test_the_text_of_an_insert_becomes_the_default(slug: OrgClient, text: str) -> None:
    promotion = inserted(slug, **{text: "Spring"})

    assert (promotion[text], promotion[f"Default{text}"], promotion[f"Is{text}Inherited"]) == (
        "Spring",
        "Spring",
        False,
    )


def test_an_insert_has_nothing_to_inherit_from(slug: OrgClient) -> None:
    promotion = inserted(slug, Name="Spring", IsNameInherited=True)

    assert (promotion["Name"], promotion["DefaultName"], promotion["IsNameInherited"]) == ("Spring", "Spring", False)


@pytest.mark.parametrize("text", TEXTS)
def test_an_insert_without_a_text_inherits_it(slug: OrgClient, text: str) -> None:
    promotion = inserted(slug)

    assert (promotion[text], promotion[f"Default{text}"], promotion[f"Is{text}Inherited"]) == (None, None, True)


@pytest.mark.parametrize("text", TEXTS)
def test_an_update_that_inherits_shows_the_default_and_ignores_the_text(slug: OrgClient, text: str) -> None:
    promotion = inserted(slug, **{text: "Spring"})

    after = updated(slug, promotion, **{text: "Summer", f"Is{text}Inherited": True})

    assert (after[text], after[f"Default{text}"], after[f"Is{text}Inherited"]) == ("Spring", "Spring", True)


@pytest.mark.parametrize("text", TEXTS)
def test_an_update_that_does_not_inherit_sets_the_default_too(slug: OrgClient, text: str) -> None:
    promotion = inserted(slug, **{text: "Spring"})

    after = updated(slug, promotion, **{text: "Summer", f"Is{text}Inherited": False})

    assert (after[text], after[f"Default{text}"], after[f"Is{text}Inherited"]) == ("Summer", "Summer", False)


def test_an_update_that_leaves_a_text_out_takes_it_away(slug: OrgClient) -> None:
    after = updated(slug, inserted(slug, Name="Spring"))

    assert (after["Name"], after["DefaultName"], after["IsNameInherited"]) == (None, None, True)


@pytest.mark.parametrize("text", TEXTS)
def test_a_culture_has_its_own_text_or_inherits_the_default(slug: OrgClient, text: str) -> None:
    own = {"CultureCode": "sv-SE", text: "Våren"}
    none = {"CultureCode": "nb-NO", text: None}
    inherits = {"CultureCode": "da-DK", text: "Foråret", f"Is{text}Inherited": True}

    promotion = inserted(slug, **{text: "Spring", "Cultures": [own, none, inherits]})

    shown = [(row[text], row[f"Is{text}Inherited"], row["IsTranslated"]) for row in promotion["Cultures"]]
    assert shown == [("Våren", False, True), ("Spring", True, False), ("Spring", True, False)]


def test_an_inherited_text_of_a_culture_follows_the_default(slug: OrgClient) -> None:
    promotion = inserted(slug, Name="Spring", Cultures=[{"CultureCode": "sv-SE"}])

    after = updated(slug, promotion, Name="Summer", Cultures=promotion["Cultures"])

    assert after["Cultures"][0]["Name"] == "Summer"


def test_what_is_translated_is_not_for_the_client_to_say(slug: OrgClient) -> None:
    promotion = inserted(slug, Cultures=[{"CultureCode": "sv-SE", "IsTranslated": True}])

    assert promotion["Cultures"][0]["IsTranslated"] is False
    assert len(promotion["Cultures"][0]) == 12


def test_a_culture_stands_once(slug: OrgClient) -> None:
    cultures = [{"CultureCode": "sv-SE"}, {"CultureCode": "nb-NO"}, {"CultureCode": "sv-SE"}]

    response = ask(slug, "POST", "", {"Cultures": cultures})

    assert wrong(slug, response, "duplicate-culture") == {"promotion.Cultures[2].CultureCode"}
    assert answered(ask(slug, "GET")) == []


# Requirements and effects


@pytest.mark.parametrize(
    ("sums", "value", "kind"),
    [
        ({}, "Quantity", None),
        ({"OrderSum": 1}, "OrderSum", "Above"),
        ({"OrderSumMax": 1}, "OrderSum", "Below"),
        ({"OrderSum": 0, "OrderSumMax": 1}, "OrderSum", "Between"),
        ({"OrderSum": 1, "OrderSumType": "Sideways"}, "OrderSum", "Sideways"),
        ({"OrderSumType": "Between"}, "Quantity", "Between"),
    ],
)
def test_the_sums_of_a_requirement_decide_how_they_are_compared(
    slug: OrgClient, sums: Json, value: str, kind: str | None
) -> None:
    row = inserted(slug, Requirements=[{"RequirementType": "BasketTotal", **sums}])["Requirements"][0]

    assert (row["ValueType"], row["OrderSumType"]) == (value, kind)


@pytest.mark.parametrize(
    "kind",
    [
        *("BasketTotal", "ProductFilter", "ProductManufacturer", "ProductCategory", "ProductFlag", "ProductPriceList"),
        *("ProductType", "DiscountCode", "UniqueDiscountCode", "ExternalDiscountCode", "CustomerFlag", "CompanyFlag"),
    ],
)
def test_every_requirement_type_is_taken(slug: OrgClient, kind: str) -> None:
    assert inserted(slug, Requirements=[{"RequirementType": kind}])["Requirements"][0]["RequirementType"] == kind


@pytest.mark.parametrize(
    "kind",
    [
        *("DiscountBasket", "ProductFilter", "ProductManufacturer", "ProductCategory", "ProductFlag"),
        *("ProductPriceList", "ProductType", "DiscountFreight", "AddProduct", "SelectProduct"),
    ],
)
def test_every_effect_type_is_taken(slug: OrgClient, kind: str) -> None:
    assert inserted(slug, Effects=[{"EffectType": kind}])["Effects"][0]["EffectType"] == kind


def test_codes_and_names_of_products_are_kept_as_they_are_sent(slug: OrgClient) -> None:
    sent: Json = {f"{name}{part}": f"{name} {part}" for name in FILTERS for part in ("Code", "Name")}
    sent |= {"ManufacturerId": 3, "ProductHasVariants": True, "PartNo": "A-1", "Qty": 2}

    row = inserted(slug, Requirements=[{"ProductList": [sent]}])["Requirements"][0]["ProductList"][0]

    assert {name: row[name] for name in sent} == sent
    assert (row["CategoryId"], row["IsFlagInclusive"]) == (None, False)


@pytest.mark.parametrize(("discount", "fixed"), [(True, False), (True, True), (False, True), (False, False)])
def test_what_an_effect_means_is_not_validated(slug: OrgClient, discount: bool, fixed: bool) -> None:
    sent = {"IsDiscount": discount, "IsFixedPrice": fixed, "Value": -12.345}

    row = inserted(slug, Effects=[{**sent, "ProductList": [sent]}])["Effects"][0]

    assert {name: row[name] for name in sent} == sent
    assert {name: row["ProductList"][0][name] for name in sent} == sent


def test_an_image_has_an_address(slug: OrgClient) -> None:
    key = "2f6c1d8e-94b7-4a50-b3e1-7d0c5f8a9b62"

    assert inserted(slug, ImageKey=key)["ImageUrl"] == f"https://cdn.norce.tech/{key}"
    assert inserted(slug)["ImageUrl"] is None


# Lists and applications


def test_a_list_has_no_requirements_and_effects_but_cultures(slug: OrgClient) -> None:
    promotion = inserted(slug, Requirements=[REQUIREMENT], Effects=[EFFECT], Cultures=[{"CultureCode": "sv-SE"}])
    insert_codes(slug, promotion, "A")

    (listed,) = answered(ask(slug, "GET"))

    whole = read(slug, promotion)
    assert listed == {name: value for name, value in whole.items() if name not in ("Requirements", "Effects")}
    assert listed["UniqueDiscountCodeCount"] == 1


def test_a_list_is_a_bare_array_oldest_first(slug: OrgClient) -> None:
    promotions = [inserted(slug, Name=name) for name in ("a", "b", "c")]
    updated(slug, promotions[0], Name="a")

    assert [listed["Id"] for listed in answered(ask(slug, "GET"))] == [promotion["Id"] for promotion in promotions]


def test_each_application_has_promotions_of_its_own(slug: OrgClient) -> None:
    mine = inserted(slug, application=5)
    inserted(slug, application=6)

    assert [listed["Id"] for listed in answered(ask(slug, "GET", application=5))] == [mine["Id"]]
    for method, path, body in (
        ("GET", "", None),
        ("PUT", "", {}),
        ("GET", "/unique-codes", None),
        ("PUT", "/unique-codes", []),
        ("POST", "/unique-codes", []),
    ):
        response = ask(slug, method, f"/{mine['Id']}{path}", body, application=6)
        rejected(slug, response, 404, "unknown-promotion")


def test_without_the_header_it_is_about_application_1(slug: OrgClient) -> None:
    promotion = inserted(slug)

    assert read(slug, promotion, application=1) == promotion
    assert slug.state()["norce"]["applications"][0]["document"] == {"id": "1", "name": "Application 1"}


def test_a_token_may_be_for_some_applications_only(slug: OrgClient) -> None:
    bearer = f"sandbox;tenant={slug.org};applications=5,6"

    assert ask(slug, "GET", application=6, bearer=bearer).status_code == 200
    rejected(slug, ask(slug, "GET", application=7, bearer=bearer), 403, "application-not-granted")


def test_a_token_for_some_applications_is_about_the_first_of_them(slug: OrgClient) -> None:
    promotion = answered(ask(slug, "POST", "", {}, bearer=f"sandbox;tenant={slug.org};applications=5,6"))

    assert read(slug, promotion, application=5) == promotion


def test_a_token_for_no_application_opens_none(slug: OrgClient) -> None:
    bearer = f"sandbox;tenant={slug.org};applications="

    rejected(slug, ask(slug, "GET", bearer=bearer), 403, "application-not-granted")


def test_the_host_names_the_customer(slug: OrgClient) -> None:
    inserted(slug, Name="Spring")

    for host in (f"{slug.org}.localhost:8080", f"{slug.org}.api-se.playground.norce.tech"):
        response = slug.http.get(slug.url + PROMOTIONS, headers={"Authorization": "Bearer any", "Host": host})
        assert [listed["Name"] for listed in answered(response)] == ["Spring"]


# Validation


@pytest.mark.parametrize(
    ("body", "keys"),
    [
        ({"Status": "active"}, {"promotion.Status"}),
        ({"ExclusivityType": "exclusive"}, {"promotion.ExclusivityType"}),
        ({"Requirements": [{"RequirementType": "Nothing"}]}, {"promotion.Requirements[0].RequirementType"}),
        ({"Requirements": [{"ProductsIncluded": "and"}]}, {"promotion.Requirements[0].ProductsIncluded"}),
        ({"Effects": [{}, {"EffectType": "Nothing"}]}, {"promotion.Effects[1].EffectType"}),
        ({"AllowedUsageCount": -1}, {"promotion.AllowedUsageCount"}),
        ({"UniqueUserUsageCount": -1}, {"promotion.UniqueUserUsageCount"}),
        ({"Effects": [{"ProductList": [{"Qty": -1}]}]}, {"promotion.Effects[0].ProductList[0].Qty"}),
        ({"AllowedUsageCount": 2**31}, {"promotion.AllowedUsageCount"}),
        ({"ImageKey": "no-uuid"}, {"promotion.ImageKey"}),
        ({"StartDate": "tomorrow"}, {"promotion.StartDate"}),
        ({"Code": "c" * 51}, {"promotion.Code"}),
        ({"Name": 5, "IsStackable": "yes"}, {"promotion.Name", "promotion.IsStackable"}),
        ({"Requirements": {}}, {"promotion.Requirements"}),
        ({"Cultures": [{"CultureCode": ""}]}, {"promotion.Cultures[0].CultureCode"}),
        ({"Cultures": [{"CultureCode": "s" * 17}]}, {"promotion.Cultures[0].CultureCode"}),
        ([], {"promotion"}),
        ("Spring", {"promotion"}),
    ],
)
def test_what_is_not_as_described_is_named_and_nothing_changes(slug: OrgClient, body: Json, keys: set[str]) -> None:
    promotion = inserted(slug, Name="Spring")

    assert wrong(slug, ask(slug, "POST", "", body)) == keys
    assert wrong(slug, ask(slug, "PUT", f"/{promotion['Id']}", body)) == keys
    assert [listed["Name"] for listed in answered(ask(slug, "GET"))] == ["Spring"]


@pytest.mark.parametrize("text", ["Name", "SubHeader", "DescriptionHeader"])
def test_a_short_text_has_at_most_255_characters(slug: OrgClient, text: str) -> None:
    assert inserted(slug, **{text: "x" * 255})[text] == "x" * 255
    assert wrong(slug, ask(slug, "POST", "", {text: "x" * 256})) == {f"promotion.{text}"}
    assert wrong(slug, ask(slug, "POST", "", {"Cultures": [{"CultureCode": "sv", text: "x" * 256}]})) == {
        f"promotion.Cultures[0].{text}"
    }


@pytest.mark.parametrize("text", ["SubDescription", "Description"])
def test_a_description_may_be_long(slug: OrgClient, text: str) -> None:
    assert inserted(slug, **{text: "x" * 5000})[text] == "x" * 5000


def test_a_promotion_does_not_end_before_it_begins(slug: OrgClient) -> None:
    body = {"StartDate": "2030-03-01T01:00:00+01:00", "EndDate": "2030-02-28T23:59:59Z"}

    assert wrong(slug, ask(slug, "POST", "", body), "start-after-end") == {"promotion.StartDate"}
    assert inserted(slug, **{**body, "EndDate": "2030-03-01T00:00:00Z"})["EndDate"] == "2030-03-01T00:00:00Z"


def test_every_broken_rule_stands_under_its_own_key(slug: OrgClient) -> None:
    promotion = inserted(slug)
    body = {
        "Id": promotion["Id"] + 1,
        "StartDate": "2030-03-01T00:00:00Z",
        "EndDate": "2030-02-01T00:00:00Z",
        "Cultures": [{"CultureCode": "sv"}, {"CultureCode": "sv"}],
    }

    response = ask(slug, "PUT", f"/{promotion['Id']}", body)

    keys = {"promotion.Id", "promotion.StartDate", "promotion.Cultures[1].CultureCode"}
    assert wrong(slug, response, "id-mismatch") == keys


@pytest.mark.parametrize("id", ["2147483648", "-2147483649", "99999999999", "one", "1.5", "%20"])
def test_an_id_that_is_no_int32_is_rejected(slug: OrgClient, id: str) -> None:
    for method, path, body in (
        ("GET", f"/{id}", None),
        ("PUT", f"/{id}", {}),
        ("GET", f"/{id}/unique-codes", None),
        ("PUT", f"/{id}/unique-codes", []),
        ("POST", f"/{id}/unique-codes", []),
    ):
        assert wrong(slug, ask(slug, method, path, body)) == {"id"}


@pytest.mark.parametrize("id", [0, -1, 2147483647])
def test_an_id_that_nothing_has_is_unknown(slug: OrgClient, id: int) -> None:
    body = rejected(slug, ask(slug, "GET", f"/{id}"), 404, "unknown-promotion")

    assert body == {"Message": f"There is no promotion {id}."}


def test_no_member_of_anything_is_required(slug: OrgClient) -> None:
    sent = {
        "Requirements": [{"ProductList": [{}]}],
        "Effects": [{"ProductList": [{}]}],
        "Cultures": [{}, {"Name": "N"}],
    }

    promotion = inserted(slug, **sent)

    assert [(row["CultureCode"], row["Name"]) for row in promotion["Cultures"]] == [(None, None), (None, "N")]
    assert read(slug, promotion) == promotion
    assert slug.seed("norce", promotions=[{"Id": 100, **sent}])["promotions"][0]["Cultures"] == promotion["Cultures"]


def test_an_external_discount_code_is_kept(slug: OrgClient) -> None:
    row = {"RequirementType": "ExternalDiscountCode", "ExternalDiscountCode": "EXT-1"}

    promotion = inserted(slug, Requirements=[row])

    for said in (promotion, read(slug, promotion), updated(slug, promotion, Requirements=[row])):
        assert said["Requirements"][0]["ExternalDiscountCode"] == "EXT-1"
    assert updated(slug, promotion, Requirements=[{}])["Requirements"][0]["ExternalDiscountCode"] is None


def test_a_total_may_be_as_large_as_a_double(slug: OrgClient) -> None:
    def seed(total: str) -> int:
        body = f'{{"norce": {{"promotions": [{{"Id": 5, "TotalOrder": {total}}}]}}}}'
        path = f"/__admin/orgs/{slug.org}/seed"
        return slug.request("POST", path, raw=body.encode()).status_code

    assert [seed("1.7e308"), seed("-1e300"), seed("1.8e308"), seed("1" + "0" * 310)] == [200, 200, 400, 400]


def test_nothing_is_required(slug: OrgClient) -> None:
    assert inserted(slug)["Name"] is None


def test_lists_may_be_null(slug: OrgClient) -> None:
    promotion = inserted(slug, Requirements=None, Effects=None, Cultures=None)

    assert (promotion["Requirements"], promotion["Effects"], promotion["Cultures"]) == ([], [], [])


@pytest.mark.parametrize("raw", [b"{", b"\xff", b'{"Name": NaN}'])
def test_what_is_no_json_is_rejected(slug: OrgClient, raw: bytes) -> None:
    response = slug.request("POST", PROMOTIONS, raw=raw, headers={"Sandbox-Org": slug.org})

    assert wrong(slug, response) == {"promotion"}


@pytest.mark.parametrize("header", ["account-id", "application-id"])
def test_a_header_that_is_no_int32_is_rejected(slug: OrgClient, header: str) -> None:
    assert wrong(slug, ask(slug, "GET", headers={header: "me"})) == {header}


# What can be chosen


def test_the_result_may_be_an_empty_object(slug: OrgClient) -> None:
    choose(slug, result="{}")

    assert answered(ask(slug, "POST", "", {"Name": "Spring"})) == {}
    (listed,) = answered(ask(slug, "GET"))
    assert answered(ask(slug, "PUT", f"/{listed['Id']}", {"Name": "Summer"})) == {}
    assert read(slug, listed)["Name"] == "Summer"


@pytest.mark.parametrize("spelling", ["applicationId", "applicationid", "APPLICATIONID", "Application-Id"])
def test_the_application_may_be_named_in_either_spelling(slug: OrgClient, spelling: str) -> None:
    made = answered(ask(slug, "POST", "", {"Name": "Spring"}, headers={spelling: "5"}))

    assert [listed["Id"] for listed in answered(ask(slug, "GET", application=5))] == [made["Id"]]
    assert answered(ask(slug, "GET", headers={spelling: "5"})) == answered(ask(slug, "GET", application=5))
    assert answered(ask(slug, "GET")) == []
    slug.seed("norce", settings=[{"strict_headers": True}])
    assert ask(slug, "GET", headers={spelling: "5"}, account=7).status_code == 200


def test_both_spellings_must_say_the_same(slug: OrgClient) -> None:
    assert ask(slug, "GET", application=5, headers={"applicationId": "5"}).status_code == 200

    response = ask(slug, "GET", application=5, headers={"applicationId": "6"})

    assert wrong(slug, response) == {"application-id"}
    assert "differs between application-id and applicationId" in response.text
    assert wrong(slug, ask(slug, "GET", headers={"applicationId": "five"})) == {"application-id"}


def test_strict_headers_are_required(slug: OrgClient) -> None:
    choose(slug, strict_headers=True)

    assert wrong(slug, ask(slug, "GET"), "missing-header") == {"account-id", "application-id"}
    assert wrong(slug, ask(slug, "GET", account=1), "missing-header") == {"application-id"}
    assert answered(ask(slug, "GET", account=1, application=1)) == []


def test_rejections_may_be_problems(slug: OrgClient) -> None:
    choose(slug, error_body="problem")

    response = ask(slug, "POST", "", {"Name": 5})

    assert (response.status_code, response.headers["content-type"]) == (400, "application/problem+json")
    body = response.json()
    assert (body["status"], body["title"]) == (400, "One or more validation errors occurred.")
    assert body["errors"].keys() == {"promotion.Name"}
    missing = ask(slug, "GET", "/4711")
    assert missing.json()["detail"] == "There is no promotion 4711."
    assert ask(slug, "GET", codes_path({"Id": 4711})).json()["title"] == "Not Found"


@pytest.mark.parametrize("media", ["application/json", "text/json"])
def test_both_media_types_are_read_and_answered(slug: OrgClient, media: str) -> None:
    headers = {"Content-Type": media, "Accept": media}

    response = slug.request("POST", PROMOTIONS, raw=b'{"Name": "Spring"}', headers={"Sandbox-Org": slug.org, **headers})

    assert (response.status_code, response.headers["content-type"]) == (200, media)
    assert response.json()["Name"] == "Spring"


# Seeds


def test_a_seed_says_as_much_as_it_likes(slug: OrgClient) -> None:
    seeded = slug.seed(
        "norce",
        promotions=[
            {
                "application": 5,
                "Name": "Spring",
                "Requirements": [{"OrderSum": 5, "ProductList": [{"Id": 9, "PartNo": "A"}]}],
                "Effects": [{"Id": 3}],
                "Cultures": [{"CultureCode": "sv-SE"}],
            }
        ],
    )["promotions"][0]

    promotion = read(slug, seeded, application=5)

    assert (promotion["DefaultName"], promotion["CreatedByName"]) == ("Spring", "System")
    assert promotion["Requirements"][0]["OrderSumType"] == "Above"
    assert promotion["Requirements"][0]["ProductList"][0]["Id"] == 9
    assert promotion["Effects"][0]["Id"] == 3
    assert promotion["Cultures"][0]["Name"] == "Spring"


def test_ids_that_a_seed_has_taken_are_not_given_again(slug: OrgClient) -> None:
    slug.seed("norce", promotions=[{"Id": number, "Effects": [{"Id": 20}]} for number in range(1, 6)])

    assert inserted(slug)["Id"] not in range(1, 6)
    rows = updated(slug, {"Id": 1}, Effects=[{"Id": 20}, *({} for _ in range(25))])["Effects"]
    assert len({row["Id"] for row in rows}) == 26


@pytest.mark.parametrize(
    "promotion",
    [
        {"Id": "one"},
        {"Requirements": {}},
        {"Requirements": [5]},
        {"Effects": [{"ProductList": [None]}]},
        {"Cultures": 5},
        {"Cultures": [None]},
        {"AllowedUsageCount": "5", "Status": "Active"},
        {"Status": "active"},
        {"application": []},
    ],
)
def test_a_seed_that_is_not_as_described_is_rejected(slug: OrgClient, promotion: Json) -> None:
    response = slug.admin("POST", "/seed", {"norce": {"promotions": [promotion]}})

    assert response.status_code == 400
    assert slug.state() == {}


def test_a_promotion_has_at_most_3000_rows_which_are_filled_in(slug: OrgClient) -> None:
    rows: Json = [{"ProductList": [{}] * 1000}] * 3
    sent = {"Name": "x", "Requirements": rows}

    rejected_whole = ask(slug, "POST", "", sent)

    assert wrong(slug, rejected_whole) == {"promotion"}


def test_the_texts_of_a_promotions_cultures_have_at_most_a_million_characters(slug: OrgClient) -> None:
    sent = {"Name": "x", "Description": "x" * 2000, "Cultures": [{}] * 501}

    rejected_whole = ask(slug, "POST", "", sent)

    assert wrong(slug, rejected_whole) == {"promotion"}
