"""Redeem options of Emporix, and the exchange of points for a coupon, with what happens when there can be none."""

from __future__ import annotations

import asyncio
import re

import httpx2
import pytest

from tests.patience import LONG
from tests.serving import Json, OrgClient
from tests.vendors.emporix_coupons_support import assert_rejected
from tests.vendors.emporix_points_support import (
    BASE,
    CHARGEBACK,
    EXCHANGED,
    IMPOSSIBLE,
    IN_THREE_YEARS,
    NOW,
    NOW_TEXT,
    added,
    balance,
    choose,
    coupon,
    customer_token,
    earn,
    exchange,
    in_both_versions,
    offer,
    option,
    redeemed,
    restrict,
    spend,
    staff,
    summary,
    template,
    tenant,
    visitor,
)
from tests.vendors.rejections import unchanged

PRESENT, STOREFRONT, PAST = "/{tenant}/redeemOptions", "/public/customer/redeemOptions", "/public/customer/redeem"


@pytest.fixture
def shop(org_client: OrgClient) -> OrgClient:
    return tenant(org_client)


def options(shop: OrgClient, path: str = PRESENT) -> list[Json]:
    response = staff(shop, "GET", path.format(tenant=shop.org))
    assert response.status_code == 200, response.text
    found: list[Json] = response.json()
    return found


def replace(shop: OrgClient, id: str, body: Json) -> httpx2.Response:
    return staff(shop, "PUT", f"/{shop.org}/redeemOptions/{id}", body)


# Options


@in_both_versions
def test_an_option_is_answered_with_id_and_version(shop: OrgClient, version: str) -> None:
    choose(shop, version)

    response = staff(shop, "POST", f"/{shop.org}/redeemOptions", option())

    assert response.status_code == 200
    (found,) = response.json()
    assert re.fullmatch(r"[0-9a-f]{24}", found["id"])
    metadata = {"version": 1, "createdAt": NOW, "modifiedAt": NOW}
    assert found == {**option(), "id": found["id"], "metadata": metadata}


@in_both_versions
def test_creating_an_option_answers_all_of_them(shop: OrgClient, version: str) -> None:
    choose(shop, version)
    first = offer(shop, 10)

    response = staff(shop, "POST", f"/{shop.org}/redeemOptions", option(20))

    assert [(found["id"] == first, found["points"]) for found in response.json()] == [(True, 10), (False, 20)]


@in_both_versions
def test_the_operations_of_2021_know_no_versions_of_options(shop: OrgClient, version: str) -> None:
    choose(shop, version)

    response = staff(shop, "POST", "/public/customer/redeemOptions", option())

    assert response.status_code == 201
    (found,) = response.json()
    assert found == {**option(), "id": found["id"]}
    assert options(shop, PAST) == [found]


@in_both_versions
def test_all_paths_list_the_same_options_oldest_first(shop: OrgClient, version: str) -> None:
    choose(shop, version)
    for points in (30, 10, 20):
        offer(shop, points)

    for path in (PRESENT, STOREFRONT, PAST):
        assert [found["points"] for found in options(shop, path)] == [30, 10, 20]
    assert options(shop, STOREFRONT) == options(shop)


def test_there_are_no_options_at_first(shop: OrgClient) -> None:
    assert [options(shop, path) for path in (PRESENT, STOREFRONT, PAST)] == [[], [], []]


def test_what_the_service_assigns_is_not_taken_from_the_body(shop: OrgClient) -> None:
    sent: Json = {"version": 7, "createdAt": "x", "modifiedAt": "y"}

    id = offer(shop, id="mine", pointsAfterCoupon=5, metadata=sent)

    assert id != "mine"
    assert "pointsAfterCoupon" not in options(shop)[0]
    assert options(shop)[0]["metadata"] == {"version": 1, "createdAt": NOW, "modifiedAt": NOW}


def test_unknown_fields_are_ignored(shop: OrgClient) -> None:
    response = staff(shop, "POST", f"/{shop.org}/redeemOptions", {**option(), "value": 20})

    assert response.status_code == 200
    assert "value" not in response.json()[0]


def test_unknown_fields_are_ignored_inside_a_template_too(shop: OrgClient) -> None:
    amount = {"amount": 10, "currency": "EUR", "unknown": 1}
    link = {"rel": "self", "title": "x", "href": "https://x.example", "type": "text/html", "unknown": 1}
    sent = template(
        unknown=1, discountAbsolute=amount, links=[link], restrictions={"minOrderValue": amount, "unknown": 1}
    )

    id = offer(shop, 90, sent)
    assert "unknown" not in str(options(shop))

    assert replace(shop, id, option(90, sent)).status_code == 200
    (shown,) = options(shop)
    assert "unknown" not in str(shown)
    assert shown["coupon"]["restrictions"] == {"minOrderValue": {"amount": 10, "currency": "EUR"}}


def test_the_years_of_an_option_are_shown_where_the_page_of_2021_lists_them(shop: OrgClient) -> None:
    created = staff(shop, "POST", f"/{shop.org}/redeemOptions", option(validInYears=2)).json()

    shown = {path: staff(shop, "GET", path.format(tenant=shop.org)).json() for path in (PRESENT, STOREFRONT, PAST)}

    assert [("validInYears" in found, "metadata" in found) for found in created] == [(False, True)]
    assert [found.get("validInYears") for found in shown[PAST]] == [2]
    for path in (PRESENT, STOREFRONT):
        assert [("validInYears" in found, "metadata" in found) for found in shown[path]] == [(False, True)]


@pytest.mark.parametrize(
    "wrong",
    [
        {"discountPercentage": "10"},
        {"discountAbsolute": {"amount": "10"}},
        {"maxRedemptions": True},
        {"restrictions": {"validFor": "C1"}},
        {"status": "NEW"},
        {"links": [{}]},
    ],
)
def test_a_template_that_is_seeded_has_the_members_of_the_page(shop: OrgClient, wrong: Json) -> None:
    seeded = {"redeem_options": [option(coupon=template(**wrong))]}
    response = shop.admin("POST", "/seed", {"emporix": seeded})

    assert response.status_code == 400, response.text


def test_an_option_is_shown_with_what_it_leaves_to_the_customer_who_asks(shop: OrgClient) -> None:
    offer(shop, 90)
    offer(shop, 10)
    earn(shop, 50)

    for path in (PRESENT, STOREFRONT, PAST):
        path = path.format(tenant=shop.org)  # noqa: PLW2901 - the template is of no use
        assert [found["pointsAfterCoupon"] for found in visitor(shop, "GET", path).json()] == [-40, 40]
        stranger = visitor(shop, "GET", path, customer="C9").json()
        assert [found["pointsAfterCoupon"] for found in stranger] == [-90, -10]
        assert all("pointsAfterCoupon" not in found for found in staff(shop, "GET", path).json())


def test_an_anonymous_visitor_sees_the_options(shop: OrgClient) -> None:
    offer(shop)

    for path in (PRESENT, STOREFRONT, PAST):
        headers = {"Authorization": f"Bearer sandbox;tenant={shop.org};scope="}
        response = shop.request("GET", BASE + path.format(tenant=shop.org), headers=headers)
        assert (response.status_code, len(response.json())) == (200, 1)


@in_both_versions
def test_an_update_replaces_an_option_and_counts_its_versions(shop: OrgClient, version: str) -> None:
    choose(shop, version)
    id = offer(shop, description="Old")
    shop.advance("PT1H")

    response = replace(shop, id, {"type": "coupon", "name": "New", "points": 7, "metadata": {"version": 1}})

    assert (response.status_code, response.content) == (200, b"")
    metadata = {"version": 2, "createdAt": NOW, "modifiedAt": "2030-01-01T13:00:00.000Z"}
    assert options(shop) == [{"id": id, "type": "coupon", "name": "New", "points": 7, "metadata": metadata}]


@in_both_versions
@pytest.mark.parametrize("stale", [1, 3, 10**30])
def test_an_update_of_a_stale_version_is_rejected(shop: OrgClient, version: str, stale: int) -> None:
    choose(shop, version)
    id = offer(shop)
    replace(shop, id, option(metadata={"version": 1}))

    with unchanged(shop):
        response = replace(shop, id, option(80, metadata={"version": stale}))

    message = f"The resource that was requested for update with id = {id} has changed."
    assert assert_rejected(shop, response, 409, "stale-redeem-option") == {
        "status": 409,
        "message": "RedeemOption not Updated",
        "details": {"message": f"{message} Please retry your request with valid version"},
    }


@pytest.mark.parametrize("metadata", [{}, {"createdAt": "x"}, None])
def test_an_update_without_a_version_is_not_compared(shop: OrgClient, metadata: Json) -> None:
    id = offer(shop)
    replace(shop, id, option())

    assert replace(shop, id, option() if metadata is None else option(metadata=metadata)).status_code == 200
    assert options(shop)[0]["metadata"]["version"] == 3


def test_an_option_keeps_its_place_when_it_is_updated(shop: OrgClient) -> None:
    first = offer(shop, 10)
    offer(shop, 20)

    replace(shop, first, option(30))

    assert [found["points"] for found in options(shop)] == [30, 20]


@in_both_versions
def test_a_deleted_option_is_gone(shop: OrgClient, version: str) -> None:
    choose(shop, version)
    id, other = offer(shop), offer(shop)

    response = staff(shop, "DELETE", f"/{shop.org}/redeemOptions/{id}")

    assert (response.status_code, response.content) == (204, b"")
    assert [found["id"] for found in options(shop)] == [other]
    with unchanged(shop):
        again = staff(shop, "DELETE", f"/{shop.org}/redeemOptions/{id}")
    assert_rejected(shop, again, 404, "unknown-redeem-option")
    with unchanged(shop):
        assert_rejected(shop, replace(shop, id, option()), 404, "unknown-redeem-option")


@in_both_versions
def test_exchanging_by_an_unknown_option_is_404(shop: OrgClient, version: str) -> None:
    choose(shop, version)
    earn(shop)

    with unchanged(shop):
        response = exchange(shop, "64b7a")

    assert assert_rejected(shop, response, 404, "unknown-redeem-option") == {
        "type": "resource_not_found",
        "status": 404,
        "message": "No redeem option found for id 64b7a",
    }


@pytest.mark.parametrize("points", [0, -5])
def test_an_option_must_cost_something(shop: OrgClient, points: int) -> None:
    id = offer(shop)

    for method, path in (
        ("POST", f"/{shop.org}/redeemOptions"),
        ("POST", "/public/customer/redeemOptions"),
        ("PUT", f"/{shop.org}/redeemOptions/{id}"),
    ):
        with unchanged(shop):
            response = staff(shop, method, path, option(points))
        assert_rejected(shop, response, 400, "points-not-positive")


def without(*members: str) -> Json:
    return {name: value for name, value in option().items() if name not in members}


@in_both_versions
@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        without("type"),
        without("name"),
        without("points"),
        option(10**30),
        {**option(), "points": "5"},
        {**option(), "type": None},
        {**option(), "coupon": []},
        {**option(), "coupon": {"name": "x"}},
        {**option(), "coupon": {"discountType": "ABSOLUTE"}},
        {**option(), "coupon": template(discountType="GIFT")},
        {**option(), "coupon": template(discountPercentage=101)},
        {**option(), "coupon": template(discountPercentage=-1)},
        {**option(), "coupon": template(discountAbsolute={"amount": -1})},
        {**option(), "coupon": template(discountAbsolute={"currency": "EURO"})},
        {**option(), "coupon": template(restrictions={"validUntil": "tomorrow"})},
        {**option(), "coupon": template(links=[{}])},
        {**option(), "metadata": {"version": "1"}},
    ],
)
def test_an_option_of_the_wrong_form_is_invalid(shop: OrgClient, version: str, body: Json) -> None:
    choose(shop, version)
    id = offer(shop)

    for method, path in (
        ("POST", f"/{shop.org}/redeemOptions"),
        ("POST", "/public/customer/redeemOptions"),
        ("PUT", f"/{shop.org}/redeemOptions/{id}"),
    ):
        with unchanged(shop):
            response = staff(shop, method, path, body)
        assert_rejected(shop, response, 400, "invalid-request")


@pytest.mark.parametrize("name", ["ab", "a" * 17, "Acme", "1acme", "a-cme"])
def test_a_tenant_in_the_path_must_be_one(shop: OrgClient, name: str) -> None:
    headers = {"Sandbox-Org": shop.org}

    response = shop.request("GET", f"{BASE}/{name}/redeemOptions", headers=headers)

    assert_rejected(shop, response, 400, "invalid-request")


def test_another_tenant_is_forbidden(shop: OrgClient) -> None:
    token = customer_token(shop, tenant="othertenant")
    headers = {"Authorization": f"Bearer {token}"}

    response = shop.request("GET", f"{BASE}/{shop.org}/redeemOptions", headers=headers)

    assert assert_rejected(shop, response, 403, "foreign-credentials")["type"] == "insufficient_permissions"


# The exchange


@in_both_versions
def test_points_are_exchanged_for_a_coupon_that_then_exists(shop: OrgClient, version: str) -> None:
    choose(shop, version)
    earn(shop, 100)
    id = offer(shop, 90)

    response = exchange(shop, id)

    assert response.status_code == EXCHANGED[version]
    assert response.json().keys() == {"code"}
    code = response.json()["code"]
    assert re.fullmatch(r"LLS-\d{6}", code)
    found = coupon(shop, code)
    assert (found["code"], found["name"], found["discountType"]) == (code, "10 euros", "ABSOLUTE")
    assert found["discountAbsolute"] == {"amount": 10, "currency": "EUR"}
    assert (found["status"], found["redemptionCount"], found["issuedTo"]) == ("VALID", 0, "C1")
    assert balance(shop) == 10


def test_an_exchange_is_booked_with_points_and_description_of_the_option(shop: OrgClient) -> None:
    earn(shop, 100)

    exchange(shop, offer(shop, 90, description="10 euros for 90 points"))

    (entry,) = redeemed(shop)
    assert entry == {
        "id": entry["id"],
        "description": "10 euros for 90 points",
        "points": 90,
        "createdAt": NOW_TEXT,
        "allPointsAfterCreation": 10,
    }
    assert added(shop)[0]["usedWith"] == [entry["id"]]


def test_an_option_without_a_description_gives_the_entry_none(shop: OrgClient) -> None:
    earn(shop, 100)

    exchange(shop, offer(shop, 90))

    assert "description" not in redeemed(shop)[0]


def test_every_exchange_spends_again(shop: OrgClient) -> None:
    earn(shop, 100)
    id = offer(shop, 30)

    codes = {exchange(shop, id).json()["code"] for _ in range(3)}

    assert len(codes) == 3
    assert balance(shop) == 10


@in_both_versions
def test_no_customer_exchanges_more_points_than_there_are(shop: OrgClient, version: str) -> None:
    choose(shop, version)
    earn(shop, 89)
    id = offer(shop, 90)

    with unchanged(shop):
        response = exchange(shop, id)

    assert_rejected(shop, response, 400, "not-enough-points")


@in_both_versions
def test_a_customer_without_an_account_exchanges_nothing(shop: OrgClient, version: str) -> None:
    choose(shop, version)
    id = offer(shop)

    assert_rejected(shop, exchange(shop, id, "C9"), 404, "unknown-customer")


@in_both_versions
def test_the_exchange_names_the_option_by_its_documented_member(shop: OrgClient, version: str) -> None:
    choose(shop, version)
    earn(shop)
    id = offer(shop)

    bodies: list[Json] = [{"redeemOptionId": id}, {}, {"id": None}, {"id": 5}, []]
    for body in bodies:
        with unchanged(shop):
            response = visitor(shop, "POST", "/public/customer/redeem", body)
        assert_rejected(shop, response, 400, "invalid-request")


def test_the_storefront_exchanges_with_its_site(shop: OrgClient) -> None:
    earn(shop)
    id = offer(shop)

    response = visitor(shop, "POST", "/public/customer/redeem?siteCode=main", {"id": id})

    assert response.json()["code"].startswith("LLS-")


def test_the_prefix_of_the_code_is_set_for_the_site(shop: OrgClient) -> None:
    earn(shop)
    id = offer(shop)
    restrict(shop, codePrefix="L")

    assert re.fullmatch(r"L-\d{6}", exchange(shop, id).json()["code"])


def test_the_code_is_the_one_that_the_coupon_service_keeps(shop: OrgClient) -> None:
    earn(shop)
    id = offer(shop)
    restrict(shop, codePrefix="summer")

    code = exchange(shop, id).json()["code"]

    assert re.fullmatch(r"SUMMER-\d{6}", code)
    assert coupon(shop, code)["code"] == code


def test_the_template_is_copied_without_what_the_coupon_service_assigns(shop: OrgClient) -> None:
    earn(shop)
    link = {"rel": "self", "title": "x", "href": "https://x.example", "type": "application/json"}
    sent = template(
        code="MINE",
        description="For points",
        maxRedemptions=1,
        allowAnonymous=True,
        restrictions={"minOrderValue": {"amount": 20, "currency": "EUR"}},
        issuedTo="C2",
        redemptionCount=1,
        status="USED",
        deleted=True,
        links=[link],
    )

    code = exchange(shop, offer(shop, 90, sent)).json()["code"]

    found = coupon(shop, code)
    assert code != "MINE"
    assert (found["description"], found["maxRedemptions"], found["allowAnonymous"]) == ("For points", 1, True)
    assert (found["issuedTo"], found["redemptionCount"], found["status"]) == ("C1", 0, "VALID")
    assert found["restrictions"]["minOrderValue"] == {"amount": 20, "currency": "EUR"}
    assert found["restrictions"].get("validFor", []) == []  # it may be given to friends
    assert found["deleted"] is False


def test_an_option_shows_its_template_as_it_was_sent(shop: OrgClient) -> None:
    sent = template(status="VALID", maxRedemptions=1, discountAbsolute={"amount": 10})

    offer(shop, 90, sent)

    assert options(shop)[0]["coupon"] == sent


@pytest.mark.parametrize(
    ("given", "years", "until"),
    [
        (None, 1, "2031-01-01T12:00:00.000Z"),
        ("2040-05-05T00:00:00.000Z", 1, "2040-05-05T00:00:00.000Z"),
        (None, 2147483647, "9999-12-31T12:00:00.000Z"),
    ],
)
def test_the_years_of_an_option_of_2021_end_the_coupon(
    shop: OrgClient, given: str | None, years: int, until: str
) -> None:
    earn(shop)
    restrictions = {"minOrderValue": {"amount": 5, "currency": "EUR"}, **({"validUntil": given} if given else {})}

    code = exchange(shop, offer(shop, 90, template(restrictions=restrictions), validInYears=years)).json()["code"]

    assert coupon(shop, code)["restrictions"]["validUntil"] == until
    assert coupon(shop, code)["restrictions"]["minOrderValue"] == {"amount": 5, "currency": "EUR"}


def test_the_present_version_knows_no_years(shop: OrgClient) -> None:
    choose(shop, "current")
    earn(shop)

    code = exchange(shop, offer(shop, validInYears=1)).json()["code"]

    assert "validInYears" not in options(shop)[0]
    assert "validUntil" not in coupon(shop, code)["restrictions"]


def test_the_version_of_2021_knows_no_free_shipping(shop: OrgClient) -> None:
    body = option(coupon=template(discountType="FREE_SHIPPING"))

    assert_rejected(shop, staff(shop, "POST", f"/{shop.org}/redeemOptions", body), 400, "invalid-request")


@in_both_versions
def test_points_are_not_exchanged_for_free_shipping(shop: OrgClient, version: str) -> None:
    choose(shop, "current")
    id = offer(shop, 90, template(discountType="FREE_SHIPPING"))
    earn(shop)
    choose(shop, version)

    with unchanged(shop):
        response = exchange(shop, id)

    assert_rejected(shop, response, 400, "discount-type-not-exchangeable")
    assert [found["coupon"]["discountType"] for path in (PRESENT, STOREFRONT, PAST) for found in options(shop, path)]


@in_both_versions
def test_reward_points_that_are_disabled_are_not_exchanged(shop: OrgClient, version: str) -> None:
    earn(shop)
    id = offer(shop)
    restrict(shop, version, enabled=False)

    with unchanged(shop):
        response = exchange(shop, id)

    assert_rejected(shop, response, 400, "reward-points-disabled")
    assert spend(shop, 1).status_code == 201  # only the exchange is


def test_a_code_that_a_coupon_has_is_not_used_again(shop: OrgClient) -> None:
    earn(shop, 1000)
    id = offer(shop, 1)
    state = shop.admin("GET", "/state").json()
    code = exchange(shop, id).json()["code"]
    made = shop.admin("GET", "/state").json()
    state["documents"]["emporix"]["coupons"] = made["documents"]["emporix"]["coupons"]
    assert shop.admin("PUT", "/state", state).status_code == 200  # the same numbers come again, the coupon is there

    another = exchange(shop, id)

    assert another.status_code == 201
    assert another.json()["code"] != code
    assert balance(shop) == 999


def test_points_of_the_past_are_not_exchanged(shop: OrgClient) -> None:
    earn(shop, 90, validUntil="2030-01-02T00:00:00Z")
    id = offer(shop, 90)
    shop.advance("P1D")

    assert_rejected(shop, exchange(shop, id), 400, "not-enough-points")


# When there can be no coupon

IMPOSSIBLE_COUPONS = {
    "PERCENT without a percentage": IMPOSSIBLE,
    "ABSOLUTE without an amount": template(discountAbsolute=None),
    "a currency in small letters": template(discountAbsolute={"amount": 1, "currency": "eur"}),
    "anonymous and for one customer": template(allowAnonymous=True, restrictions={"validFor": ["C1"]}),
    "half a redemption": template(maxRedemptions=0.5),
}


@in_both_versions
@pytest.mark.parametrize("sent", IMPOSSIBLE_COUPONS.values(), ids=IMPOSSIBLE_COUPONS)
def test_points_are_given_back_if_the_coupon_cannot_be_made(shop: OrgClient, version: str, sent: Json) -> None:
    choose(shop, version)
    earn(shop, 100)
    id = offer(shop, 90, sent, description="Impossible")

    response = exchange(shop, id)

    assert response.status_code == 500
    assert response.headers["content-type"] == "application/json"
    exchanged = shop.last()
    assert (exchanged["rejection"], exchanged["internal_error"]) == ("coupon-not-created", None)
    body = response.json()
    assert (body["status"], body["error"], body["path"]) == (500, "Internal Server Error", "/public/customer/redeem")
    assert body["timestamp"] == NOW_TEXT
    assert "coupons" not in shop.state()["emporix"]
    (redemption,) = redeemed(shop)
    assert (redemption["points"], redemption["description"]) == (90, "Impossible")
    assert redemption["allPointsAfterCreation"] == 10
    source, chargeback = added(shop)
    assert (source["usedPoints"], source["usedWith"]) == (90, [redemption["id"]])
    assert chargeback == {
        "id": chargeback["id"],
        "reference-id": None,
        "description": CHARGEBACK,
        "points": 90,
        "createdAt": NOW_TEXT,
        "allPointsAfterCreation": 100,
        "usedPoints": 0,
        "validUntil": IN_THREE_YEARS,
        "usedWith": [],
    }
    assert balance(shop) == 100


def make_fail(shop: OrgClient, name: str, times: int = 1) -> None:
    """The next coupons are rejected so, as any operation can be made to reject."""
    armed = {"operation": "createCoupon", "then": {"reject": name}, "times": times}
    response = shop.admin("POST", "/next", armed)
    assert response.status_code == 200, response.text


@in_both_versions
def test_points_are_given_back_if_the_coupon_service_fails(shop: OrgClient, version: str) -> None:
    choose(shop, version)
    earn(shop, 100)
    id = offer(shop, 90)
    make_fail(shop, "internal-error")

    assert exchange(shop, id).status_code == 500
    assert (balance(shop), [entry["description"] for entry in added(shop)[1:]]) == (100, [CHARGEBACK])
    assert exchange(shop, id).status_code == EXCHANGED[version]


def test_another_code_is_tried_while_there_is_a_coupon_of_it(shop: OrgClient) -> None:
    earn(shop, 100)
    id = offer(shop, 90)
    make_fail(shop, "coupon-exists", 5)

    assert exchange(shop, id).status_code == 201
    assert len(added(shop)) == 1


def test_codes_are_not_tried_for_ever(shop: OrgClient) -> None:
    earn(shop, 100)
    id = offer(shop, 90)
    make_fail(shop, "coupon-exists", 100)

    assert exchange(shop, id).status_code == 500
    assert balance(shop) == 100


def test_an_option_without_a_coupon_cannot_be_exchanged(shop: OrgClient) -> None:
    earn(shop)
    response = staff(shop, "POST", f"/{shop.org}/redeemOptions", {"type": "coupon", "name": "20 euros", "points": 30})

    assert exchange(shop, response.json()[0]["id"]).status_code == 500
    assert (balance(shop), [entry["description"] for entry in added(shop)[1:]]) == (100, [CHARGEBACK])


def test_points_given_back_live_three_years_whatever_the_settings_say(shop: OrgClient) -> None:
    earn(shop)
    id = offer(shop, 90, IMPOSSIBLE)
    restrict(shop, validityInMonths=1)

    exchange(shop, id)

    assert added(shop)[1]["validUntil"] == IN_THREE_YEARS


def test_points_given_back_can_be_redeemed(shop: OrgClient) -> None:
    earn(shop, 90)
    exchange(shop, offer(shop, 90, IMPOSSIBLE))

    response = exchange(shop, offer(shop, 90))

    assert response.status_code == 201
    assert [entry["usedPoints"] for entry in added(shop)] == [90, 90]
    assert balance(shop) == 0


EXAMPLE_END = "2023-11-11T12:00:50.406Z"


def test_the_worked_example_of_the_vendor_comes_out_to_the_digit(shop: OrgClient) -> None:
    """The documented summary: two exchanges fail, each is charged back, and the first entry bears both."""
    shop.freeze("2023-05-11T18:32:18.591Z")
    earn(
        shop,
        2000,
        id="1c32ce73-8765-42a7-92af-ff370a0a59d6",
        description="Earned",
        validUntil="2023-11-11T12:00:50.406Z",
    )
    first = offer(shop, 50, IMPOSSIBLE, description="test desc")
    second = offer(shop, 90, IMPOSSIBLE, description="10 euros for 90 points")
    shop.freeze("2023-05-11T18:32:38.501Z")
    assert exchange(shop, first).status_code == 500
    shop.freeze("2023-05-11T18:32:50.946Z")
    assert exchange(shop, second).status_code == 500

    found = summary(shop)

    earlier, later = (entry["id"] for entry in found["summary"]["redeemedPointsList"])
    chargebacks = [entry["id"] for entry in found["summary"]["addedPointsList"][1:]]
    assert found == {
        "customerId": "C1",
        "activePoints": 2000,
        "summary": {
            "addedPointsList": [
                {
                    "id": "1c32ce73-8765-42a7-92af-ff370a0a59d6",
                    "reference-id": None,
                    "description": "Earned",
                    "points": 2000,
                    "createdAt": "2023-05-11T18:32:18.591+00:00",
                    "allPointsAfterCreation": 2000,
                    "usedPoints": 140,
                    "validUntil": "2023-11-11T12:00:50.406+00:00",
                    "usedWith": [earlier, later],
                },
                {
                    "id": chargebacks[0],
                    "reference-id": None,
                    "description": CHARGEBACK,
                    "points": 50,
                    "createdAt": "2023-05-11T18:32:38.501+00:00",
                    "allPointsAfterCreation": 2000,
                    "usedPoints": 0,
                    "validUntil": "2026-05-11T18:32:38.501+00:00",
                    "usedWith": [],
                },
                {
                    "id": chargebacks[1],
                    "reference-id": None,
                    "description": CHARGEBACK,
                    "points": 90,
                    "createdAt": "2023-05-11T18:32:50.946+00:00",
                    "allPointsAfterCreation": 2000,
                    "usedPoints": 0,
                    "validUntil": "2026-05-11T18:32:50.946+00:00",
                    "usedWith": [],
                },
            ],
            "redeemedPointsList": [
                {
                    "id": earlier,
                    "description": "test desc",
                    "points": 50,
                    "createdAt": "2023-05-11T18:32:38.501+00:00",
                    "allPointsAfterCreation": 1950,
                },
                {
                    "id": later,
                    "description": "10 euros for 90 points",
                    "points": 90,
                    "createdAt": "2023-05-11T18:32:50.946+00:00",
                    "allPointsAfterCreation": 1910,
                },
            ],
        },
    }


# Many at once


def test_of_64_clients_that_exchange_the_last_points_at_once_exactly_one_gets_a_coupon(shop: OrgClient) -> None:
    earn(shop, 90)
    id = offer(shop, 90)
    target = f"{shop.url}{BASE}/public/customer/redeem"
    headers = {"Authorization": f"Bearer {customer_token(shop)}"}

    async def exchange_at_once() -> list[int]:
        limits = httpx2.Limits(max_connections=64)
        async with httpx2.AsyncClient(limits=limits, timeout=LONG, headers=headers) as client:
            responses = await asyncio.gather(*(client.post(target, json={"id": id}) for _ in range(64)))
        return [response.status_code for response in responses]

    assert sorted(asyncio.run(exchange_at_once())) == [201] + [400] * 63
    assert balance(shop) == 0
    assert len(shop.state()["emporix"]["coupons"]) == 1


def test_an_option_seeded_without_a_version_has_the_first(shop: OrgClient) -> None:
    shop.seed(
        "emporix", redeem_options=[{"id": "5f905280df6b3b0013b6c541", "type": "coupon", "name": "x", "points": 9}]
    )

    metadata = {"version": 1, "createdAt": NOW, "modifiedAt": NOW}
    assert options(shop) == [
        {"id": "5f905280df6b3b0013b6c541", "type": "coupon", "name": "x", "points": 9, "metadata": metadata}
    ]
