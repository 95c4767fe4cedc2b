"""The paths of enfore that are easily mistaken for each other, and the form of what is rejected."""

from __future__ import annotations

import httpx2
import pytest

from tests.patience import LONG
from tests.serving import OrgClient
from tests.vendors.enfore_support import (
    EVER,
    NOW,
    PROBLEMS,
    RECEIVER,
    VOUCHER_KINDS,
    VoucherKind,
    assert_rejected,
    cards,
    eur,
    furnish,
    path,
    redeem,
    seed_card,
    unchanged,
)

each_kind = pytest.mark.parametrize("kind", VOUCHER_KINDS, ids=lambda kind: kind.singular)


@pytest.fixture(autouse=True)
def _frozen(org_client: OrgClient) -> None:
    org_client.freeze(NOW)


def vouchers(org_client: OrgClient, *segments: str) -> str:
    return path(org_client, "sales-vouchers", *segments)


# The three spellings of a subscription


@each_kind
def test_the_former_path_of_a_subscription_read_by_get_is_a_voucher_called_subscriptions(
    org_client: OrgClient, kind: VoucherKind
) -> None:
    response = org_client.request("GET", vouchers(org_client, f"{kind.singular}s", "subscriptions"))

    body = assert_rejected(org_client, response, 404, f"unknown-{kind.singular}")
    assert "subscriptions" in body["detail"]
    assert org_client.last()["operation"].removeprefix("get") == kind.singular.title().replace("-", "")


def test_a_card_may_be_called_subscriptions(org_client: OrgClient) -> None:
    seed_card(org_client, id="subscriptions")

    assert org_client.request("GET", cards(org_client, "subscriptions")).json()["id"] == "subscriptions"
    assert redeem(org_client, "subscriptions", 1).status_code == 201
    assert len(org_client.request("GET", cards(org_client, "subscriptions/redemptions")).json()["items"]) == 1


@each_kind
@pytest.mark.parametrize(
    ("method", "ending", "allow"),
    [
        ("POST", "s-subscriptions", "GET, HEAD"),
        ("DELETE", "s-subscriptions", "GET, HEAD"),
        ("GET", "-subscriptions/id", "DELETE"),
        ("PUT", "-subscriptions", "GET, HEAD, POST"),
        ("PUT", "s/subscriptions", "GET, HEAD, POST"),
        ("DELETE", "s/subscriptions", "GET, HEAD, POST"),
        ("PUT", "s/subscriptions/id", "DELETE"),
        ("PATCH", "s/id", "GET, HEAD"),
    ],
)
def test_what_a_path_does_not_have_is_405_with_what_it_has(
    org_client: OrgClient, kind: VoucherKind, method: str, ending: str, allow: str
) -> None:
    with unchanged(org_client):
        response = org_client.request(method, vouchers(org_client, kind.singular + ending), {"callback_url": RECEIVER})

    assert_rejected(org_client, response, 405, "method-not-allowed")
    assert response.headers["allow"] == allow


@each_kind
@pytest.mark.parametrize("ending", ["s-subscriptions/id", "-subscription", "", "s/", "s/id/", "s-subscriptions/"])
def test_other_spellings_do_not_exist(org_client: OrgClient, kind: VoucherKind, ending: str) -> None:
    response = org_client.request("GET", vouchers(org_client, kind.singular + ending))

    assert_rejected(org_client, response, 404, "unknown-path")


def test_below_the_former_path_a_post_of_redemptions_is_of_a_card_and_a_delete_of_a_subscription(
    org_client: OrgClient,
) -> None:
    assert_rejected(org_client, redeem(org_client, "subscriptions", 1), 422, "unknown-gift-card")

    response = org_client.request("DELETE", cards(org_client, "subscriptions/redemptions"))

    assert_rejected(org_client, response, 404, "unknown-subscription")
    assert org_client.last()["operation"] == "unsubscribeToGiftCardsDeprecated"


@pytest.mark.parametrize(
    "plural", ["loyalty-programs/external-loyalty-programs", "promotions/external-coupon-promotions"]
)
def test_programmes_and_promotions_are_spelt_in_the_singular(org_client: OrgClient, plural: str) -> None:
    assert_rejected(org_client, org_client.request("GET", path(org_client, plural)), 404, "unknown-path")


@pytest.mark.parametrize("segment", ["Gift-Cards", "gift%2Dcardz", "gift_cards"])
def test_paths_are_distinguished_to_the_letter(org_client: OrgClient, segment: str) -> None:
    assert org_client.request("GET", vouchers(org_client, segment) + EVER).status_code == 404


def test_an_id_may_have_any_character_when_it_is_encoded(org_client: OrgClient) -> None:
    seed_card(org_client, id="a/b c?ü")

    response = org_client.request("GET", cards(org_client, "a%2Fb%20c%3F%C3%BC"))

    assert (response.status_code, response.json()["id"]) == (200, "a/b c?ü")


def test_a_client_may_say_that_a_get_is_json(org_client: OrgClient) -> None:
    response = org_client.request(
        "GET", cards(org_client) + EVER, headers={"Content-Type": "application/json", "Accept": "*/*"}
    )

    assert response.status_code == 200


def test_organisations_share_nothing(org_client: OrgClient) -> None:
    card = seed_card(org_client)

    response = org_client.request("GET", f"/promotions/org/{org_client.org}-neighbour/sales-vouchers/gift-cards/{card}")

    assert response.status_code == 404


def test_a_head_request_gets_no_body_and_leaves_the_connection_fit_for_the_next(org_client: OrgClient) -> None:
    with httpx2.Client(headers={"Authorization": "Bearer any"}, timeout=LONG) as client:
        client.head(org_client.url + cards(org_client))
        response = client.get(org_client.url + cards(org_client) + EVER)

    assert response.status_code == 200


# The order in which a request is validated


def test_credentials_are_validated_before_everything_else(org_client: OrgClient) -> None:
    response = org_client.http.post(org_client.url + cards(org_client, "nowhere/redemptions"), content=b"{")

    assert_rejected(org_client, response, 403, "missing-credentials")


def test_the_form_is_validated_before_the_existence(org_client: OrgClient) -> None:
    drafts = path(org_client, "promotions/external-coupon-promotion-drafts/nowhere")

    assert_rejected(org_client, org_client.request("PUT", drafts, {}), 400, "invalid-request")


def test_the_existence_is_validated_before_the_sense(org_client: OrgClient) -> None:
    dates = {"start_date_and_time": NOW, "end_date_and_time": NOW}
    drafts = path(org_client, "promotions/external-coupon-promotion-drafts/nowhere")

    response = org_client.request("PUT", drafts, {"name": "x", "configuration": {}, **dates})

    assert_rejected(org_client, response, 404, "unknown-draft")


# Problems


def test_a_problem_has_neither_status_nor_instance(org_client: OrgClient) -> None:
    response = org_client.request("GET", cards(org_client, "nowhere"))

    assert response.json().keys() == {"type", "title", "detail"}
    assert response.headers["content-type"] == "application/problem+json"


def test_problems_of_one_type_have_one_title_and_their_own_details(org_client: OrgClient) -> None:
    card = seed_card(org_client)

    first, second = redeem(org_client, card, 51).json(), redeem(org_client, card, 52).json()

    assert first["type"] == second["type"] == f"{PROBLEMS}amount-exceeds-balance"
    assert first["title"] == second["title"]
    assert "51 EUR" in first["detail"]
    assert "52 EUR" in second["detail"]


def test_the_detail_of_an_invalid_request_names_the_member(org_client: OrgClient) -> None:
    body = {"redeemed_amount": {**eur(1), "unit": "DM"}, "external_reference": "r"}

    response = org_client.request("POST", cards(org_client, "any/redemptions"), body)

    assert "redeemed_amount.unit" in assert_rejected(org_client, response, 400, "invalid-request")["detail"]


@pytest.mark.parametrize(
    ("method", "where", "body", "resource"),
    [
        ("PUT", "sales-vouchers/gift-cards/internal/activation-status", "ACTIVE", "sales-vouchers/gift-cards/internal"),
        (
            "POST",
            "loyalty-programs/external-loyalty-program",
            {"draft_id": "without-start", "operation": "SCHEDULE"},
            "loyalty-programs/external-loyalty-program-drafts/without-start",
        ),
        (
            "PATCH",
            "promotions/external-coupon-promotion/archived",
            {"updates": []},
            "promotions/external-coupon-promotion/archived",
        ),
    ],
)
def test_a_problem_with_an_object_names_where_it_can_be_read(
    org_client: OrgClient, method: str, where: str, body: object, resource: str
) -> None:
    furnish(org_client)

    response = org_client.request(method, path(org_client, where), body)

    assert response.json()["on_resource"] == org_client.url + path(org_client, resource)
    read = org_client.http.get(response.json()["on_resource"], headers={"Authorization": "Bearer any"})
    assert (read.status_code, read.json()["id"]) == (200, resource.rpartition("/")[2])


def test_a_resource_is_named_under_the_prefix_by_which_the_client_came(org_client: OrgClient) -> None:
    furnish(org_client)

    response = org_client.request(
        "PUT",
        f"/~{org_client.org}/promotions/org/tenant/sales-vouchers/gift-cards/internal/activation-status",
        "ACTIVE",
    )

    expected = f"{org_client.url}/~{org_client.org}/promotions/org/tenant/sales-vouchers/gift-cards/internal"
    assert response.json()["on_resource"] == expected
