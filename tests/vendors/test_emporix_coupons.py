"""Emporix's coupons: what they can be, their codes, versions and status, who may read them; referral coupons."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.serving import Json, OrgClient
from tests.vendors.emporix_coupons_support import (
    LATER,
    MANAGE,
    NOW,
    ON_BEHALF,
    PAST,
    READ,
    REDEEM,
    SOON,
    ask,
    assert_not_redeemed,
    assert_rejected,
    configure,
    coupons,
    create,
    create_percent,
    customer,
    found,
    listed,
    money,
    new_coupon,
    order,
    read,
    redeem,
    redeemed,
    tenant,
    token,
    validate,
)
from tests.vendors.rejections import unchanged

# Creation


def test_a_new_coupon_is_kept_with_its_defaults(shop: OrgClient) -> None:
    assert create(shop, code="WINTER") == "WINTER"

    assert read(shop, "WINTER") == {
        "code": "WINTER",
        "name": "Five",
        "discountType": "ABSOLUTE",
        "discountAbsolute": money(5),
        "allowAnonymous": False,
        "maxRedemptions": -1,
        "maxRedemptionsPerCustomer": -1,
        "discountCalculationType": "SUBTOTAL",
        "categoryRestricted": False,
        "segmentRestricted": False,
        "restrictions": {"validFor": []},
        "metadata": {"version": 0},
        "status": "VALID",
        "redemptionCount": 0,
        "referralCoupon": False,
        "deleted": False,
    }


def test_a_coupon_without_a_type_is_absolute(shop: OrgClient) -> None:
    create(shop, discountType=None)

    assert read(shop)["discountType"] == "ABSOLUTE"


def test_an_amount_without_currency_is_in_dollars_and_one_without_amount_is_nothing(shop: OrgClient) -> None:
    create(shop, discountAbsolute={"amount": 7}, restrictions={"minOrderValue": {"currency": "EUR"}})

    coupon = read(shop)
    assert coupon["discountAbsolute"] == money(7, "USD")
    assert coupon["restrictions"]["minOrderValue"] == money(0)


def test_a_coupon_without_a_code_is_given_one_of_its_own(shop: OrgClient) -> None:
    codes = {create(shop, code=None) for _ in range(3)}

    assert len(codes) == 3
    assert all(read(shop, code)["code"] == code for code in codes)


def test_what_the_server_assigns_and_what_is_unknown_is_ignored_when_sent(shop: OrgClient) -> None:
    create(shop, status="USED", deleted=True, redemptionCount=9, referralCoupon=True, issuedTo="", surprise=1)

    coupon = read(shop)
    assert (coupon["status"], coupon["deleted"], coupon["redemptionCount"]) == ("VALID", False, 0)
    assert coupon["referralCoupon"] is False
    assert coupon["issuedTo"] == ""
    assert "surprise" not in coupon


def test_mixins_are_kept_with_the_places_of_their_schemas(shop: OrgClient) -> None:
    mixins = {"campaign": {"origin": "Winter Sale", "amount": 50.10}}
    schemas = {"campaign": "https://schemas.example/campaign.json"}
    create(shop, mixins=mixins, metadata={"version": 7, "mixins": schemas})

    assert read(shop)["mixins"] == mixins
    assert read(shop)["metadata"] == {"version": 0, "mixins": schemas}


def test_dates_are_answered_in_utc_with_milliseconds(shop: OrgClient) -> None:
    create(shop, restrictions={"validFrom": "2029-12-31T22:30:00+01:00", "validUntil": "2030-02-01T00:00:00.123456Z"})

    restrictions = read(shop)["restrictions"]
    assert restrictions["validFrom"] == "2029-12-31T21:30:00.000Z"
    assert restrictions["validUntil"] == "2030-02-01T00:00:00.123Z"


@pytest.mark.parametrize(
    ("date", "kept"),
    [
        ("0000-01-01T00:00:00Z", "0000-01-01T00:00:00.000Z"),
        ("0000-01-01T00:00:00+01:00", "0000-01-01T00:00:00.000Z"),
        ("9999-12-31T23:59:59-23:59", "9999-12-31T23:59:59.999Z"),
    ],
)
def test_a_date_beyond_what_can_be_written_is_the_last_that_can(shop: OrgClient, date: str, kept: str) -> None:
    create(shop, restrictions={"validFrom": date})

    assert read(shop)["restrictions"]["validFrom"] == kept


def test_the_exchange_of_points_can_name_code_and_customer(shop: OrgClient) -> None:
    create(shop, code="LLS-232394", issuedTo="C1")

    assert read(shop, "LLS-232394")["issuedTo"] == "C1"


# Codes


def test_a_code_is_kept_in_upper_case_and_found_in_any(shop: OrgClient) -> None:
    assert create(shop, code="Winter-Sale") == "WINTER-SALE"

    assert read(shop, "winter-sale")["code"] == read(shop, "WINTER-SALE")["code"] == "WINTER-SALE"
    redeemed(shop, code="wInTeR-sAlE")
    assert read(shop, "winter-sale")["redemptionCount"] == 1


def test_codes_that_differ_in_case_only_are_the_same(shop: OrgClient) -> None:
    create(shop, code="WINTER")

    response = ask(shop, "POST", "/coupons", new_coupon(code="winter"))

    assert_rejected(shop, response, 409, "coupon-exists")


def test_where_the_tenant_wants_it_the_case_of_a_code_means_something(shop: OrgClient) -> None:
    configure(shop, enableCouponCodeCaseSensitivity=True)

    assert [create(shop, code=code) for code in ("Winter", "WINTER")] == ["Winter", "WINTER"]
    assert read(shop, "Winter")["code"] == "Winter"
    assert_rejected(shop, ask(shop, "GET", coupons("winter")), 404, "unknown-coupon")


def test_a_code_that_is_taken_is_rejected_in_the_words_of_the_vendor(shop: OrgClient) -> None:
    create(shop, code="MW2023_7")

    with unchanged(shop):
        response = ask(shop, "POST", "/coupons", new_coupon(code="MW2023_7"))

    assert assert_rejected(shop, response, 409, "coupon-exists") == {
        "status": 409,
        "type": "conflict_resource",
        "message": f"Duplicate Coupon 'MW2023_7' on tenant '{shop.org}'",
    }


@pytest.mark.parametrize("code", ["A/B", "10 % OFF", "ÄÖ ✓", "a+b&c=d?e#f", "%2F", "'\"", "🎁" * 50, "1/2/3"])
def test_a_code_may_have_any_character(shop: OrgClient, code: str) -> None:
    kept = create(shop, code=code, maxRedemptions=1)
    assert kept == code.upper()

    redemption = redeemed(shop, code=kept)
    assert ask(shop, "GET", coupons(kept, "redemptions", redemption)).json()["code"] == kept
    assert read(shop, kept)["status"] == "USED"
    assert ask(shop, "DELETE", coupons(kept)).status_code == 204


def test_counts_of_codes_that_look_alike_are_not_mixed_up(shop: OrgClient) -> None:
    for code in ("A", "A/C1", "1:A", "A/2:C1"):
        create(shop, code=code, maxRedemptionsPerCustomer=1)
    for code in ("A", "A/C1", "1:A", "A/2:C1"):
        redeemed(shop, code=code)
        redeemed(shop, order(legalEntityId="C1"), code=code)

    assert [read(shop, code)["redemptionCount"] for code in ("A", "A/C1", "1:A", "A/2:C1")] == [2] * 4


def test_an_empty_code_is_no_code(shop: OrgClient) -> None:
    assert_rejected(shop, ask(shop, "POST", "/coupons", new_coupon(code="")), 400, "invalid-request")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "", None),
        ("PUT", "", {}),
        ("PATCH", "", {}),
        ("DELETE", "", None),
        ("POST", "/validation", order()),
        ("GET", "/redemptions", None),
        ("POST", "/redemptions", order()),
        ("GET", "/redemptions/r1", None),
        ("DELETE", "/redemptions/r1", None),
    ],
)
def test_an_unknown_code_is_not_found_in_any_path(shop: OrgClient, method: str, path: str, body: Json) -> None:
    response = ask(shop, method, f"/coupons/MW2023_72{path}", body)

    assert assert_rejected(shop, response, 404, "unknown-coupon") == {
        "status": 404,
        "type": "resource_not_found",
        "message": "Coupon with code MW2023_72 not found.",
    }


# What a coupon can be

FLAWS: dict[str, tuple[Json, str]] = {
    "percent-needs-percentage": ({"discountType": "PERCENT"}, "discountPercentage"),
    "absolute-needs-amount": ({"discountAbsolute": None}, "discountAbsolute"),
    "anonymous-with-customers": (
        {"allowAnonymous": True, "restrictions": {"validFor": ["C1"]}},
        "restrictions.validFor",
    ),
    "anonymous-with-customer-limit": (
        {"allowAnonymous": True, "maxRedemptionsPerCustomer": 1},
        "maxRedemptionsPerCustomer",
    ),
    "segments-missing": ({"segmentRestricted": True}, "restrictions.segments"),
    "segments-without-flag": ({"restrictions": {"segments": ["s"]}}, "restrictions.segments"),
    "segments-with-categories": (
        {
            "segmentRestricted": True,
            "categoryRestricted": True,
            "restrictions": {"segments": ["s"], "includedCategories": ["c"]},
        },
        "segmentRestricted",
    ),
    "segments-with-customers": (
        {"segmentRestricted": True, "restrictions": {"segments": ["s"], "validFor": ["C1"]}},
        "segmentRestricted",
    ),
    "categories-missing": (
        {"categoryRestricted": True, "restrictions": {"excludedCategories": ["c"]}},
        "restrictions.includedCategories",
    ),
    "categories-without-flag": (
        {"restrictions": {"excludedCategories": ["c"]}},
        "restrictions.includedCategories",
    ),
    "categories-overlap": (
        {
            "categoryRestricted": True,
            "restrictions": {"includedCategories": ["a", "b"], "excludedCategories": ["b"]},
        },
        "restrictions.excludedCategories",
    ),
    "free-shipping-with-categories": (
        {
            "discountType": "FREE_SHIPPING",
            "categoryRestricted": True,
            "restrictions": {"includedCategories": ["c"]},
        },
        "categoryRestricted",
    ),
    "validity-reversed": (
        {"restrictions": {"validFrom": LATER, "validUntil": SOON}},
        "restrictions.validUntil",
    ),
}


@pytest.mark.parametrize("name", FLAWS)
def test_an_unsound_coupon_is_not_created(shop: OrgClient, name: str) -> None:
    members, field = FLAWS[name]

    with unchanged(shop):
        response = ask(shop, "POST", "/coupons", new_coupon(**members))

    body = assert_rejected(shop, response, 400, name)
    assert (body["status"], body["type"]) == (400, "validation_violation")
    assert body["message"] == "There are validation problems, see details section for more information."
    assert [detail["field"] for detail in body["details"]] == [field]


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize("name", FLAWS)
def test_a_coupon_is_not_made_unsound(shop: OrgClient, method: str, name: str) -> None:
    create(shop, **({"discountType": "FREE_SHIPPING", "discountAbsolute": None} if "absolute" in name else {}))
    members, _ = FLAWS[name]
    body = {member: value for member, value in members.items() if value is not None}

    with unchanged(shop):
        response = ask(shop, method, coupons("FIVE"), {"discountType": "ABSOLUTE", **_amount(method, name), **body})

    assert_rejected(shop, response, 400, name)


def _amount(method: str, name: str) -> Json:
    return {"discountAbsolute": money(5)} if method == "PUT" and "absolute" not in name else {}


def test_all_that_is_wrong_with_a_coupon_is_reported_at_once(shop: OrgClient) -> None:
    body = new_coupon(
        discountType="PERCENT",
        allowAnonymous=True,
        maxRedemptionsPerCustomer=1,
        segmentRestricted=True,
        categoryRestricted=True,
        restrictions={"validFor": ["C1"], "validFrom": LATER, "validUntil": SOON},
    )
    response = ask(shop, "POST", "/coupons", body)

    details = assert_rejected(shop, response, 400, "percent-needs-percentage")["details"]
    assert [(detail["field"], detail["type"]) for detail in details] == [
        ("discountPercentage", "missing_value"),
        ("restrictions.validFor", "invalid_value"),
        ("maxRedemptionsPerCustomer", "invalid_value"),
        ("restrictions.segments", "missing_value"),
        ("segmentRestricted", "invalid_value"),
        ("segmentRestricted", "invalid_value"),
        ("restrictions.includedCategories", "missing_value"),
        ("restrictions.validUntil", "invalid_value"),
    ]


def test_empty_lists_and_the_limit_of_minus_one_restrict_nothing(shop: OrgClient) -> None:
    lists: Json = {"validFor": [], "segments": [], "includedCategories": [], "excludedCategories": []}
    create(shop, allowAnonymous=True, maxRedemptions=-1, maxRedemptionsPerCustomer=-1, restrictions=lists)

    assert redeem(shop, bearer=token(shop)).status_code == 201


def test_the_discount_of_another_type_may_be_there_and_means_nothing(shop: OrgClient) -> None:
    create(shop, code="SHIP", discountType="FREE_SHIPPING", discountAbsolute=money(24.99, "USD"))
    create_percent(shop, 10, code="TEN", discountAbsolute=money(1, "USD"))
    create(shop, code="ABS", discountPercentage=1)

    assert redeem(shop, order(100, 24.99), "SHIP").status_code == 201
    assert redeem(shop, order(100, 10), "TEN").status_code == 201
    assert redeem(shop, order(100, 5), "ABS").status_code == 201


def test_a_coupon_valid_for_one_instant_is_sound(shop: OrgClient) -> None:
    create(shop, restrictions={"validFrom": NOW, "validUntil": NOW})

    assert read(shop)["status"] == "VALID"


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"name": None}, "name"),
        ({"name": 5}, "name"),
        ({"discountType": "HALF"}, "discountType"),
        ({"discountPercentage": 100.01}, "discountPercentage"),
        ({"discountPercentage": -1}, "discountPercentage"),
        ({"discountAbsolute": {"amount": -0.01}}, "discountAbsolute.amount"),
        ({"discountAbsolute": {"currency": "eur"}}, "discountAbsolute.currency"),
        ({"discountAbsolute": 5}, "discountAbsolute"),
        ({"allowAnonymous": "yes"}, "allowAnonymous"),
        ({"maxRedemptions": -2}, "maxRedemptions"),
        ({"maxRedemptionsPerCustomer": 1.5}, "maxRedemptionsPerCustomer"),
        ({"discountCalculationType": "NET"}, "discountCalculationType"),
        ({"restrictions": {"validFor": "C1"}}, "restrictions.validFor"),
        ({"restrictions": {"validFor": [1]}}, "restrictions.validFor[0]"),
        ({"restrictions": {"validFrom": "tomorrow"}}, "restrictions.validFrom"),
        ({"restrictions": {"minOrderValue": {"amount": "50"}}}, "restrictions.minOrderValue.amount"),
        ({"restrictions": {"segments": [None]}}, "restrictions.segments[0]"),
        ({"metadata": {"mixins": {"a": 1}}}, "metadata.mixins.a"),
        ({"mixins": []}, "mixins"),
        ({"code": 7}, "code"),
    ],
)
def test_a_member_that_is_not_as_described_is_named(shop: OrgClient, members: Json, field: str) -> None:
    with unchanged(shop):
        response = ask(shop, "POST", "/coupons", new_coupon(**members))

    body = assert_rejected(shop, response, 400, "invalid-request")
    assert body["type"] == "validation_violation"
    assert [detail["field"] for detail in body["details"]] == [field]


@pytest.mark.parametrize("raw", [b"{", b"[]", b"5", b"null", b"\xff", b'{"name": NaN}', b"[" * 200])
def test_a_body_that_is_no_object_is_not_read(shop: OrgClient, raw: bytes) -> None:
    response = shop.request("POST", f"/coupon/{shop.org}/coupons", raw=raw)

    assert_rejected(shop, response, 400, "invalid-request")


def test_an_empty_body_is_a_missing_payload(shop: OrgClient) -> None:
    response = shop.request("POST", f"/coupon/{shop.org}/coupons", raw=b"")

    assert assert_rejected(shop, response, 400, "missing-body") == {
        "type": "validation_violation",
        "status": 400,
        "message": "The request violates validation constraints.",
        "details": [{"type": "missing_payload", "message": "Empty payload was sent", "moreInfo": ""}],
    }


@pytest.mark.parametrize("name", ["ab", "abcdefghijklmnopq", "Acme", "1acme", "a-cme"])
def test_a_tenant_has_3_to_16_small_letters_and_digits(shop: OrgClient, name: str) -> None:
    response = shop.http.get(f"{shop.url}/coupon/{name}/coupons", headers={"Authorization": "Bearer any"})

    assert response.status_code == 400
    assert (response.json()["type"], response.json()["status"]) == ("validation_violation", 400)


# Change


def test_put_replaces_the_whole_coupon_but_what_the_server_keeps(shop: OrgClient) -> None:
    create(shop, description="old", issuedTo="C1", maxRedemptions=3, mixins={"a": 1}, metadata={"mixins": {"a": "x"}})
    redeemed(shop)
    body = {"name": "Ten", "discountType": "PERCENT", "discountPercentage": 10, "restrictions": {"validUntil": SOON}}

    response = ask(shop, "PUT", coupons("FIVE"), body)

    assert (response.status_code, response.content) == (200, b"")
    assert read(shop) == {
        **body,
        "code": "FIVE",
        "allowAnonymous": False,
        "maxRedemptions": -1,
        "maxRedemptionsPerCustomer": -1,
        "discountCalculationType": "SUBTOTAL",
        "categoryRestricted": False,
        "segmentRestricted": False,
        "restrictions": {"validFor": [], "validUntil": SOON},
        "metadata": {"version": 1},
        "status": "VALID",
        "redemptionCount": 1,
        "referralCoupon": False,
        "deleted": False,
    }


def test_put_needs_nothing_and_keeps_name_and_type(shop: OrgClient) -> None:
    create(shop, discountType="FREE_SHIPPING", description="gone soon")

    assert ask(shop, "PUT", coupons("FIVE"), {}).status_code == 200

    coupon = read(shop)
    assert (coupon["name"], coupon["discountType"]) == ("Five", "FREE_SHIPPING")
    assert "description" not in coupon


def test_put_with_partial_and_patch_merge_object_by_object(shop: OrgClient) -> None:
    for method, query in (("PUT", "?partial=true"), ("PATCH", "")):
        code = create(
            shop,
            code=method,
            description="kept",
            restrictions={"validFor": ["C1", "C2"], "validUntil": SOON, "minOrderValue": money(50)},
            mixins={"a": {"b": 1, "c": 2}},
        )
        change: Json = {
            "name": "New",
            "restrictions": {"validFor": ["C3"], "minOrderValue": {"amount": 60}},
            "mixins": {"a": {"c": 3}},
        }
        assert ask(shop, method, coupons(code) + query, change).status_code == 200

        coupon = read(shop, code)
        assert (coupon["name"], coupon["description"]) == ("New", "kept")
        assert coupon["restrictions"] == {"validFor": ["C3"], "validUntil": SOON, "minOrderValue": money(60)}
        assert coupon["mixins"] == {"a": {"b": 1, "c": 3}}
        assert coupon["discountAbsolute"] == money(5)
        assert coupon["metadata"]["version"] == 1


@pytest.mark.parametrize("query", ["", "?partial=false"])
def test_partial_may_be_left_out(shop: OrgClient, query: str) -> None:
    create(shop, description="gone soon")

    response = ask(shop, "PUT", coupons("FIVE") + query, {"discountAbsolute": money(1)})

    assert response.status_code == 200
    assert "description" not in read(shop)


def test_a_code_is_not_changed(shop: OrgClient) -> None:
    create(shop)

    assert ask(shop, "PATCH", coupons("FIVE"), {"code": "SIX"}).status_code == 200

    assert read(shop)["code"] == "FIVE"
    assert ask(shop, "GET", coupons("SIX")).status_code == 404


def test_every_update_raises_the_version(shop: OrgClient) -> None:
    create(shop)
    versions = [read(shop)["metadata"]["version"]]
    for method in ("PATCH", "PUT", "PATCH"):
        ask(shop, method, coupons("FIVE"), {"discountAbsolute": money(1)})
        versions.append(read(shop)["metadata"]["version"])

    assert versions == [0, 1, 2, 3]


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize("version", [0, 2, -1])
def test_another_version_than_the_present_one_is_stale(shop: OrgClient, method: str, version: int) -> None:
    create(shop)
    body = {"discountAbsolute": money(1), "metadata": {"version": version}}
    assert ask(shop, "PATCH", coupons("FIVE"), {}).status_code == 200

    with unchanged(shop):
        response = ask(shop, method, coupons("FIVE"), body)

    rejection = assert_rejected(shop, response, 409, "stale-version")
    assert (rejection["status"], rejection["type"]) == (409, "conflict_resource")

    body["metadata"]["version"] = 1
    assert ask(shop, method, coupons("FIVE"), body).status_code == 200
    assert read(shop)["metadata"]["version"] == 2


def test_changing_a_coupon_leaves_its_redemptions_alone(shop: OrgClient) -> None:
    create(shop)
    redeemed(shop)
    before = listed(shop, coupons("FIVE", "redemptions"))

    ask(shop, "PUT", coupons("FIVE"), {"discountType": "FREE_SHIPPING"})

    assert listed(shop, coupons("FIVE", "redemptions")) == before


# Deletion


def test_a_deleted_coupon_is_kept_but_hidden(shop: OrgClient) -> None:
    create(shop)
    create(shop, code="SIX")

    response = ask(shop, "DELETE", coupons("FIVE"))

    assert (response.status_code, response.content) == (204, b"")
    assert [coupon["code"] for coupon in listed(shop)] == ["SIX"]
    shown = listed(shop, showDeleted="true")
    assert [(coupon["code"], coupon["deleted"]) for coupon in shown] == [("FIVE", True), ("SIX", False)]


@pytest.mark.parametrize("permanent", [False, True])
def test_a_deleted_coupon_is_not_found(shop: OrgClient, permanent: bool) -> None:
    configure(shop, couponPermanentDelete=permanent)
    create(shop)
    ask(shop, "DELETE", coupons("FIVE"))

    assert_rejected(shop, ask(shop, "GET", coupons("FIVE")), 404, "unknown-coupon")
    assert_rejected(shop, validate(shop), 404, "unknown-coupon")
    assert_rejected(shop, redeem(shop), 404, "unknown-coupon")
    assert_rejected(shop, ask(shop, "PATCH", coupons("FIVE"), {}), 404, "unknown-coupon")
    assert_rejected(shop, ask(shop, "DELETE", coupons("FIVE")), 404, "unknown-coupon")


def test_a_deleted_coupon_that_is_kept_keeps_its_code(shop: OrgClient) -> None:
    create(shop)
    ask(shop, "DELETE", coupons("FIVE"))

    assert_rejected(shop, ask(shop, "POST", "/coupons", new_coupon()), 409, "coupon-exists")


def test_after_a_permanent_deletion_the_code_starts_anew(shop: OrgClient) -> None:
    configure(shop, couponPermanentDelete=True)
    create(shop, maxRedemptionsPerCustomer=1)
    redeemed(shop, order(legalEntityId="LE1"))

    assert ask(shop, "DELETE", coupons("FIVE")).status_code == 204
    assert listed(shop, showDeleted="true") == []

    create(shop, maxRedemptionsPerCustomer=1)
    coupon = read(shop)
    assert (coupon["redemptionCount"], coupon["metadata"]["version"]) == (0, 0)
    assert "legalEntityRedemptions" not in coupon
    redeemed(shop, order(legalEntityId="LE1"))


# Status


def test_the_status_follows_the_time(shop: OrgClient) -> None:
    create(shop, restrictions={"validFrom": "2030-01-01T12:00:01Z", "validUntil": "2030-01-01T12:00:02Z"})
    statuses = [read(shop)["status"]]
    for _ in range(3):
        shop.advance("PT1S")
        statuses.append(read(shop)["status"])

    assert statuses == ["INACTIVE", "VALID", "VALID", "EXPIRED"]


def test_a_coupon_that_was_redeemed_as_often_as_may_be_is_used(shop: OrgClient) -> None:
    create(shop, maxRedemptions=2)
    statuses = []
    for _ in range(2):
        statuses.append(read(shop)["status"])
        redeemed(shop)

    assert [*statuses, read(shop)["status"]] == ["VALID", "VALID", "USED"]


def test_a_coupon_for_no_redemption_is_used_from_the_beginning(shop: OrgClient) -> None:
    create(shop, maxRedemptions=0)

    assert read(shop)["status"] == "USED"


@pytest.mark.parametrize(
    ("dates", "status"),
    [
        ({"validFrom": "2029-01-01T00:00:00Z", "validUntil": PAST}, "EXPIRED"),
        ({"validFrom": SOON}, "USED"),
        ({"validUntil": SOON}, "USED"),
    ],
)
def test_expired_comes_before_used_and_used_before_inactive(shop: OrgClient, dates: Json, status: str) -> None:
    create(shop, maxRedemptions=0, restrictions=dates)

    assert read(shop)["status"] == status


def test_a_change_of_the_limit_changes_the_status(shop: OrgClient) -> None:
    create(shop, maxRedemptions=1)
    redeemed(shop)

    ask(shop, "PATCH", coupons("FIVE"), {"maxRedemptions": 2})
    assert read(shop)["status"] == "VALID"
    ask(shop, "PATCH", coupons("FIVE"), {"maxRedemptions": 0})
    assert read(shop)["status"] == "USED"


# Who may read


@pytest.mark.parametrize(
    ("scope", "claims", "readable"),
    [
        (MANAGE, {}, {"FOR-C1", "CLOSED", "OPEN"}),
        (READ, {}, {"FOR-C1", "CLOSED", "OPEN"}),
        (REDEEM, {"customer": "C1"}, {"FOR-C1", "CLOSED", "OPEN"}),
        (REDEEM, {"customer": "C2"}, {"CLOSED", "OPEN"}),
        (REDEEM, {}, {"CLOSED", "OPEN"}),
        (ON_BEHALF, {}, {"CLOSED", "OPEN"}),
        ("other.scope", {"customer": "C1"}, {"OPEN"}),
    ],
)
def test_a_scope_opens_the_coupons_that_it_is_for(
    shop: OrgClient, scope: str, claims: dict[str, str], readable: set[str]
) -> None:
    create(shop, code="FOR-C1", restrictions={"validFor": ["C1"]})
    create(shop, code="CLOSED")
    create(shop, code="OPEN", allowAnonymous=True)
    bearer = token(shop, scope, **claims)

    for code in ("FOR-C1", "CLOSED", "OPEN"):
        response = ask(shop, "GET", coupons(code), bearer=bearer)
        if code in readable:
            assert response.status_code == 200, response.text
            continue
        assert assert_rejected(shop, response, 403, "coupon-not-readable") == {
            "type": "insufficient_permissions",
            "status": 403,
            "message": f"Insufficient permissions to retrieve the coupon with Id {code}",
        }


def test_on_behalf_of_a_customer_a_coupon_for_that_customer_is_read(shop: OrgClient) -> None:
    create(shop, restrictions={"validFor": ["C1"]})
    bearer = token(shop, ON_BEHALF)

    assert ask(shop, "GET", coupons("FIVE") + "?customerNumber=C1", bearer=bearer).status_code == 200
    response = ask(shop, "GET", coupons("FIVE") + "?customerNumber=C2", bearer=bearer)
    assert_rejected(shop, response, 403, "coupon-not-readable")


@pytest.mark.parametrize("scope", [MANAGE, READ, REDEEM])
def test_a_customer_number_needs_its_scope_whatever_else_a_token_may(shop: OrgClient, scope: str) -> None:
    create(shop, allowAnonymous=True)

    response = ask(shop, "GET", coupons("FIVE") + "?customerNumber=C1", bearer=token(shop, scope, customer="C1"))

    assert_rejected(shop, response, 403, "on-behalf-forbidden")


@pytest.mark.parametrize("scope", [MANAGE, READ])
def test_coupons_are_listed_to_those_who_manage_and_those_who_read(shop: OrgClient, scope: str) -> None:
    create(shop)

    assert len(ask(shop, "GET", "/coupons", bearer=token(shop, scope)).json()) == 1


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/coupons", new_coupon(code="SIX")),
        ("PUT", "/coupons/FIVE", {}),
        ("PATCH", "/coupons/FIVE", {}),
        ("DELETE", "/coupons/FIVE", None),
        ("GET", "/coupons/FIVE/redemptions", None),
        ("DELETE", "/coupons/FIVE/redemptions/r1", None),
    ],
)
def test_only_who_manages_coupons_may_change_them(shop: OrgClient, method: str, path: str, body: Json) -> None:
    create(shop)
    bearer = token(shop, READ, REDEEM, ON_BEHALF, customer="C1")

    response = ask(shop, method, path, body, bearer)

    assert assert_rejected(shop, response, 403, "insufficient-scope")["type"] == "insufficient_permissions"


def test_an_anonymous_token_reads_only_what_is_open_to_all(shop: OrgClient) -> None:
    create(shop)
    create(shop, code="OPEN", allowAnonymous=True)
    login = shop.http.get(
        f"{shop.url}/customerlogin/auth/anonymous/login", params={"tenant": shop.org, "client_id": "storefront"}
    )
    bearer = login.json()["access_token"]

    assert ask(shop, "GET", coupons("OPEN"), bearer=bearer).status_code == 200
    assert_rejected(shop, ask(shop, "GET", coupons("FIVE"), bearer=bearer), 403, "coupon-not-readable")
    assert_rejected(shop, ask(shop, "GET", "/coupons", bearer=bearer), 403, "insufficient-scope")


# Referral coupons


def referral(shop: OrgClient, method: str = "POST", number: str = "61443563", **more: Any) -> Any:
    return ask(shop, method, f"/referral-coupons/{number}", **more)


def test_a_referral_coupon_is_worth_what_the_tenant_says(shop: OrgClient) -> None:
    created = referral(shop)

    assert created.status_code == 200
    coupon = created.json()
    assert coupon.pop("code").startswith("REF_")
    assert coupon == {
        "name": "Referral coupon",
        "discountType": "ABSOLUTE",
        "discountAbsolute": money(8, "USD"),
        "allowAnonymous": True,
        "maxRedemptions": -1,
        "maxRedemptionsPerCustomer": -1,
        "restrictions": {"validFor": []},
        "issuedTo": "61443563",
        "metadata": {"version": 0},
        "status": "VALID",
        "redemptionCount": 0,
        "referralCoupon": True,
        "deleted": False,
    }


def test_the_settings_of_the_tenant_decide_worth_and_prefix(shop: OrgClient) -> None:
    configure(shop, currency="EUR", couponSettings={"referral": {"value": 3.5, "codePrefix": "Freund"}})

    coupon = referral(shop).json()

    assert coupon["discountAbsolute"] == money(3.5)
    assert coupon["code"].startswith("FREUND_")


def test_a_customer_has_one_referral_coupon(shop: OrgClient) -> None:
    first, again, of_another = (referral(shop, number=number).json() for number in ("C1", "C1", "C2"))

    assert first == again == referral(shop, "GET", "C1").json()
    assert of_another["code"] != first["code"]
    assert len(listed(shop)) == 2


def test_a_customer_without_referral_coupon_is_answered_nothing(shop: OrgClient) -> None:
    response = referral(shop, "GET")

    assert (response.status_code, response.content) == (204, b"")


@pytest.mark.parametrize("permanent", [False, True])
def test_after_a_referral_coupon_was_deleted_there_is_none_and_another_can_be_made(
    shop: OrgClient, permanent: bool
) -> None:
    configure(shop, couponPermanentDelete=permanent)
    first = referral(shop).json()["code"]
    assert ask(shop, "DELETE", coupons(first)).status_code == 204

    assert referral(shop, "GET").status_code == 204
    second = referral(shop).json()["code"]
    assert second != first
    assert referral(shop, "GET").json()["code"] == second


def test_a_coupon_that_has_the_code_of_a_former_referral_coupon_is_none(shop: OrgClient) -> None:
    configure(shop, couponPermanentDelete=True)
    code = referral(shop).json()["code"]
    ask(shop, "DELETE", coupons(code))
    create(shop, code=code)

    assert referral(shop, "GET").status_code == 204


def test_a_referral_coupon_is_a_coupon(shop: OrgClient) -> None:
    code = referral(shop).json()["code"]

    assert read(shop, code).items() >= referral(shop, "GET").json().items()
    redeemed(shop, order(100, 8, "USD"), code, customer(shop, "C9"))
    assert referral(shop, "GET").json()["redemptionCount"] == 1


def test_a_referral_coupon_stays_one_and_its_customers_whatever_is_changed(shop: OrgClient) -> None:
    code = referral(shop).json()["code"]

    assert ask(shop, "PUT", coupons(code), {"discountType": "FREE_SHIPPING"}).status_code == 200

    coupon = referral(shop, "GET").json()
    assert (coupon["referralCoupon"], coupon["issuedTo"]) == (True, "61443563")


def test_a_referral_coupon_shows_nothing_that_its_schema_does_not_list(shop: OrgClient) -> None:
    code = referral(shop).json()["code"]
    redeemed(shop, order(100, 8, "USD", legalEntityId="LE1"), code, customer(shop, "C9"))
    limits = {"includedCategories": ["shoes"], "validUntil": LATER, "unknown": 1}
    change = {"categoryRestricted": True, "restrictions": limits, "discountCalculationType": "TOTAL", "unknown": 1}
    assert ask(shop, "PATCH", coupons(code), change).status_code == 200

    shown = referral(shop, "GET").json()

    assert shown["restrictions"] == {"validFor": [], "validUntil": LATER}
    assert shown.keys() == {
        "code",
        "name",
        "discountType",
        "discountAbsolute",
        "allowAnonymous",
        "maxRedemptions",
        "maxRedemptionsPerCustomer",
        "restrictions",
        "issuedTo",
        "referralCoupon",
        "redemptionCount",
        "status",
        "deleted",
        "metadata",
    }


def test_what_the_page_does_not_list_of_a_coupon_is_not_kept(shop: OrgClient) -> None:
    code = create(
        shop,
        unknown=1,
        discountAbsolute={**money(5), "unknown": 1},
        restrictions={"validUntil": LATER, "unknown": 1, "minOrderValue": {**money(5), "unknown": 1}},
        metadata={"unknown": 1},
    )
    for method in ("PATCH", "PUT"):
        assert ask(shop, method, coupons(code), new_coupon(restrictions={"validFrom": SOON, "unknown": 1})).is_success
        assert "unknown" not in str(read(shop, code))


def test_the_vendors_document_of_a_site_s_mixins_is_taken_as_it_is(shop: OrgClient) -> None:
    mixin = {
        "codePrefix": "XYZ",
        "length": 3,
        "sendReferralCoupon": True,
        "rewardpoints": {
            "codePrefix": "T",
            "orderValueToRewardPointsFactor": 1,
            "enabled": True,
            "validityInMonths": 2,
        },
        "referral": {"codePrefix": "E", "value": 5, "redemptionCodeValue": 5},
        "metadata": {"schema": "https://schemas.example/couponSettingsSiteMixIn.v4"},
    }
    configure(shop, couponSettings=mixin)

    coupon = referral(shop).json()

    assert shop.state()["emporix"]["settings"][0]["document"]["couponSettings"] == mixin
    assert (coupon["discountAbsolute"], coupon["code"][:2]) == (money(5, "USD"), "E_")


def test_a_code_that_the_service_makes_has_the_prefix_and_the_length_of_the_settings(shop: OrgClient) -> None:
    assert re.fullmatch(r"[0-9A-F]{8}", create(shop, code=None))
    configure(shop, couponSettings={"codePrefix": "Sale-", "length": 1})

    codes = {create(shop, code=None) for _ in range(40)}

    assert len(codes) == 40  # more than there are of the length
    assert all(re.fullmatch(r"SALE-[0-9A-F]{1,4}", code) for code in codes)
    assert min(map(len, codes)) == len("SALE-F")


@pytest.mark.parametrize(
    "settings",
    [
        {"referral": {"value": {"amount": 8, "currency": "USD"}}},
        {"referral": {"value": -1}},
        {"length": 0},
        {"length": 33},
        {"prefix": "XYZ"},
    ],
)
def test_settings_of_another_shape_are_rejected(shop: OrgClient, settings: Json) -> None:
    response = shop.admin("POST", "/seed", {"emporix": {"settings": [{"couponSettings": settings}]}})

    assert response.status_code == 400, response.text


def test_a_body_sent_for_a_referral_coupon_is_not_read(shop: OrgClient) -> None:
    assert referral(shop, body={"customerNumber": "61443563"}).status_code == 200


def test_any_valid_token_gets_a_referral_coupon(shop: OrgClient) -> None:
    assert referral(shop, bearer=token(shop, "other.scope")).status_code == 200


# The vendor's tutorial


def test_a_tutorials_coupon_for_segments_is_taken(shop: OrgClient) -> None:
    create(
        shop,
        code="MW2023_10",
        discountAbsolute=money(24.99, "USD"),
        maxRedemptions=1,
        segmentRestricted=True,
        restrictions={"validFor": [], "segments": ["segmentId1", "segmentId2"], "minOrderValue": money(49.99, "USD")},
        mixins={"couponCustomAttributes": {"provenance": "Winter Sale", "suggestedAmount": 50}},
        metadata={"mixins": {"couponCustomAttributes": "https://schemas.example/couponAttributes_v1.json"}},
    )

    assert read(shop, "MW2023_10")["restrictions"]["segments"] == ["segmentId1", "segmentId2"]


# Seeds and snapshots


def test_a_seeded_coupon_needs_little_and_its_counts_are_those_of_its_redemptions(shop: OrgClient) -> None:
    shop.seed(
        "emporix",
        coupons=[{"code": "seeded", "name": "S", "redemptionCount": 9, "status": "USED", "maxRedemptions": 2}],
        coupon_redemptions=[{"code": "seeded", "customerNumber": "C1", "orderTotal": money(1), "discount": money(0)}],
    )

    coupon = read(shop, "SEEDED")
    assert (coupon["code"], coupon["redemptionCount"], coupon["status"]) == ("SEEDED", 1, "VALID")
    assert redeem(shop, order(100, 0, "USD"), "SEEDED").status_code == 201
    assert read(shop, "SEEDED")["status"] == "USED"


def test_what_is_seeded_to_belong_to_a_coupon_names_its_code_in_any_case(shop: OrgClient) -> None:
    create(shop, maxRedemptionsPerCustomer=1)
    amounts = {"orderTotal": money(1), "discount": money(0)}
    shop.seed(
        "emporix",
        coupons=[new_coupon(code="ref_7", referralCoupon=True, metadata={"mixins": {}})],
        coupon_redemptions=[{"id": "r1", "code": "five", "customerNumber": "C1", **amounts}],
        referral_coupons=[{"id": "C1", "code": "ref_7"}],
    )

    assert_not_redeemed(shop, redeem(shop), 400, "coupon-redemptions-exceeded")
    coupon = referral(shop, "GET", "C1").json()
    assert (coupon["code"], coupon["metadata"]) == ("REF_7", {"mixins": {}, "version": 0})


def test_what_is_seeded_to_belong_to_a_coupon_that_is_there_belongs_to_that(shop: OrgClient) -> None:
    configure(shop, enableCouponCodeCaseSensitivity=True)
    create(shop, code="Winter")
    configure(shop, enableCouponCodeCaseSensitivity=False)
    shop.seed("emporix", coupon_redemptions=[{"code": "Winter", "orderTotal": money(1), "discount": money(0)}])
    configure(shop, enableCouponCodeCaseSensitivity=True)

    assert read(shop, "Winter")["redemptionCount"] == 1


def test_a_state_with_codes_of_either_case_is_restored_as_it_was(shop: OrgClient) -> None:
    configure(shop, enableCouponCodeCaseSensitivity=True)
    create(shop, code="Winter", maxRedemptions=1)
    redeemed(shop, code="Winter")
    state = shop.admin("GET", "/state").json()

    ask(shop, "DELETE", coupons("Winter"))
    assert shop.admin("PUT", "/state", state).status_code in (200, 204)

    assert shop.admin("GET", "/state").json() == state
    assert read(shop, "Winter")["status"] == "USED"


@pytest.mark.parametrize(
    "doc", [{}, {"code": 5}, {"code": []}, {"id": 5}, {"name": "n", "code": "x", "restrictions": 5}, {"metadata": 1}]
)
def test_a_seed_that_is_no_coupon_is_rejected(shop: OrgClient, doc: Json) -> None:
    with unchanged(shop):
        response = shop.admin("POST", "/seed", {"emporix": {"coupons": [doc]}})

    assert 400 <= response.status_code < 500


def test_coupons_of_one_tenant_are_not_those_of_another(shop: OrgClient) -> None:
    create(shop)
    other = tenant(OrgClient(shop.url, f"{shop.org}x", shop.http))

    assert found(other).json() == []
    assert ask(other, "GET", coupons("FIVE")).status_code == 404
