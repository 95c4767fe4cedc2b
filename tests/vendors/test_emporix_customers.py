"""Emporix's customers: signing up as the vendor's pages and its own storefront do, and what the profile shows then."""

from __future__ import annotations

import pytest

from tests.serving import Json, OrgClient
from tests.vendors.emporix_identity_support import (
    NOW,
    PASSWORD,
    answered,
    as_tenant,
    customer,
    log_in,
    me,
    rejected,
    sign_up,
    validate,
    visitor,
)

COMPANY = {"id": "67e162a3ad4e2f12bc4f9306", "name": "ABC", "contactAssignmentId": "91033918"}
NAMES = {"firstName": "Ada", "lastName": "Berg", "company": "Berg AG"}


@pytest.fixture
def tenant(org_client: OrgClient) -> OrgClient:
    return as_tenant(org_client)


def profile(tenant: OrgClient, email: str = "ada@example.com", **query: str) -> Json:
    return answered(me(tenant, answered(log_in(tenant, email))["access_token"], **query))


# Credentials of their own


def test_a_customer_who_signed_up_with_credentials_of_their_own_logs_in_by_these_alone(tenant: OrgClient) -> None:
    own = {"email": "Login@example.com", "password": "noch-geheimer"}
    assert sign_up(tenant, signup=own).status_code == 201

    token = answered(log_in(tenant, "login@example.com", "noch-geheimer"))["access_token"]

    for email, password in (
        ("ada@example.com", PASSWORD),
        ("login@example.com", PASSWORD),
        ("ada@example.com", "noch-geheimer"),
    ):
        rejected(tenant, log_in(tenant, email, password), 401, "wrong-password")
    assert answered(validate(tenant, token))["email"] == "Login@example.com"
    seen = answered(me(tenant, token))
    assert (seen["accounts"], seen["contactEmail"]) == ([{"id": "Login@example.com"}], "ada@example.com")


def test_an_address_to_log_in_by_has_one_account_and_one_to_be_reached_by_may_have_more(tenant: OrgClient) -> None:
    own = {"email": "login@example.com", "password": PASSWORD}
    sign_up(tenant, signup=own)

    rejection = rejected(tenant, sign_up(tenant, "ben@example.com", signup=own), 409, "duplicate-account")
    assert rejection["message"] == f"Duplicate account 'login@example.com' for tenant '{tenant.org}'."
    rejected(tenant, sign_up(tenant, "login@example.com"), 409, "duplicate-account")
    assert sign_up(tenant).status_code == 201


def test_the_same_credentials_once_more_are_what_the_vendors_storefront_sends(tenant: OrgClient) -> None:
    assert sign_up(tenant, signup={"email": "ada@example.com", "password": PASSWORD}, captcha=1).status_code == 201
    assert log_in(tenant).status_code == 200


@pytest.mark.parametrize(
    ("own", "field", "kind"),
    [
        ({"email": "login@example.com"}, "signup.password", "missing_value"),
        ({"password": PASSWORD}, "signup.email", "missing_value"),
        ({"email": "login", "password": PASSWORD}, "signup.email", "invalid_format"),
        ({"email": "login@example.com", "password": "short"}, "signup.password", "out_of_range"),
        ({"email": None, "password": PASSWORD}, "signup.email", "invalid_value"),
    ],
)
def test_what_is_wrong_with_credentials_is_named(tenant: OrgClient, own: Json, field: str, kind: str) -> None:
    body = rejected(tenant, sign_up(tenant, signup=own), 400, "invalid-request")

    assert [(detail["field"], detail["type"]) for detail in body["details"]] == [(field, kind)]


# Details


@pytest.mark.parametrize("contact", ["shop@example.com", "ada@example.org", ""])
def test_the_contact_is_reached_by_the_address_of_the_signup(tenant: OrgClient, contact: str) -> None:
    body = rejected(tenant, sign_up(tenant, customerDetails={"contactEmail": contact}), 400, "contact-email-differs")

    assert [detail["field"] for detail in body["details"]] == ["customerDetails.contactEmail"]


def test_the_contacts_address_is_the_one_of_the_signup_and_not_the_one_to_log_in_by(tenant: OrgClient) -> None:
    own = {"email": "login@example.com", "password": PASSWORD}

    rejected(
        tenant,
        sign_up(tenant, signup=own, customerDetails={"contactEmail": own["email"]}),
        400,
        "contact-email-differs",
    )
    assert sign_up(tenant, signup=own, customerDetails={"contactEmail": "ADA@example.com"}).status_code == 201


def test_the_vendors_own_storefront_signs_a_private_customer_up(tenant: OrgClient) -> None:
    details = {
        "firstName": "Ada",
        "lastName": "Berg",
        "contactPhone": "",
        "company": "",
        "b2b": None,
        "contactEmail": "ada@example.com",
        "preferredCurrency": "EUR",
        "preferredSite": None,
        "preferredLanguage": None,
    }
    again = {"email": "ada@example.com", "password": PASSWORD}

    assert (
        sign_up(tenant, bearer=visitor(tenant)["access_token"], customerDetails=details, signup=again).status_code
        == 201
    )

    seen = profile(tenant)
    assert "b2b" not in seen
    assert (seen["preferredSite"], seen["preferredLanguage"], seen["preferredCurrency"]) == ("main", "en_US", "EUR")


@pytest.mark.parametrize(
    "member",
    ["title", "firstName", "middleName", "lastName", "contactEmail", "contactPhone", "company", "preferredLanguage",
     "preferredCurrency", "preferredSite", "b2b", "mixins", "metadata"],
)  # fmt: skip
def test_a_detail_that_is_null_is_as_good_as_absent(tenant: OrgClient, member: str) -> None:
    sign_up(tenant, customerDetails={member: None})
    sign_up(tenant, "ben@example.com", customerDetails={})

    seen, plain = (profile(tenant, email, expand="mixin:*") for email in ("ada@example.com", "ben@example.com"))
    for name in ("id", "customerNumber", "accounts", "contactEmail"):
        assert seen.pop(name) != plain.pop(name)
    assert seen == plain


def test_details_address_and_credentials_may_be_null(tenant: OrgClient) -> None:
    assert sign_up(tenant, customerDetails=None, customerAddress=None, signup=None).status_code == 201
    assert profile(tenant, expand="addresses")["addresses"] == []


def test_what_is_null_in_an_address_or_a_company_is_as_good_as_absent(tenant: OrgClient) -> None:
    address = {
        "contactName": "Ada Berg",
        "companyName": None,
        "country": None,
        "tags": None,
        "isDefault": None,
        "mixins": None,
    }
    business = {"companyRegistrationId": None, "legalEntities": None}
    assert sign_up(tenant, customerAddress=address, customerDetails={"b2b": business}).status_code == 201

    seen = profile(tenant, expand="addresses")

    assert [kept.keys() for kept in seen["addresses"]] == [{"id", "contactName", "isDefault"}]
    assert seen.get("b2b", {}) == {}
    assert seen["businessModel"] == "B2C"


def test_what_is_null_in_a_legal_entity_is_as_good_as_absent(tenant: OrgClient) -> None:
    entity = {"id": "D165356", "name": None, "contactAssignmentId": None}
    assert sign_up(tenant, customerDetails={"b2b": {"legalEntities": [entity]}}).status_code == 201

    assert profile(tenant)["b2b"] == {"legalEntities": [{"id": "D165356"}]}


def test_what_is_required_cannot_be_null(tenant: OrgClient) -> None:
    for members in (
        {"email": None},
        {"password": None},
        {"customerAddress": {"contactName": None}},
        {"customerDetails": {"b2b": {"legalEntities": [{"id": None}]}}},
    ):
        sent: Json = {"email": "ada@example.com", "password": PASSWORD, **members}
        rejected(tenant, sign_up(tenant, **sent), 400, "invalid-request")


def test_what_the_page_does_not_list_is_not_kept(tenant: OrgClient) -> None:
    strange = {"nickname": "Countess"}
    sign_up(
        tenant,
        customerDetails={
            **NAMES,
            **strange,
            "b2b": {"companyRegistrationId": "1", "legalEntities": [COMPANY | strange]} | strange,
        },
        customerAddress={"contactName": "Ada Berg", **strange},
    )

    assert "Countess" not in str(profile(tenant, expand="addresses,mixin:*"))


# Companies


def test_a_customer_who_signs_up_for_a_company_as_the_tutorial_does_is_b2b(tenant: OrgClient) -> None:
    business = {"companyRegistrationId": "123-456-789", "legalEntities": [COMPANY]}
    sign_up(tenant, customerDetails={**NAMES, "b2b": business})

    seen = profile(tenant)

    assert (seen["businessModel"], seen["b2b"]) == ("B2B", business)


def test_a_registration_number_alone_makes_no_member_of_a_company(tenant: OrgClient) -> None:
    sign_up(tenant, customerDetails={**NAMES, "b2b": {"companyRegistrationId": "1"}})

    seen = profile(tenant)

    assert (seen["businessModel"], seen["b2b"]) == ("B2C", {"companyRegistrationId": "1"})


def test_a_seeded_customer_of_a_company_is_b2b(tenant: OrgClient) -> None:
    business = {"legalEntities": [{"id": "D165356", "name": "Emporix", "contactAssignmentId": "D436432"}]}
    tenant.seed("emporix", customers=[{"email": "ada@example.com", "password": PASSWORD, "b2b": business}])

    seen = profile(tenant)

    assert (seen["businessModel"], seen["b2b"]) == ("B2B", business)


@pytest.mark.parametrize("lacking", [["company"], ["firstName", "lastName"], ["firstName", "lastName", "company"]])
@pytest.mark.parametrize("instead", [{}, None, ""])
def test_a_registration_number_asks_for_names(tenant: OrgClient, lacking: list[str], instead: Json) -> None:
    details: Json = {name: value for name, value in NAMES.items() if name not in lacking}
    if instead != {}:
        details |= dict.fromkeys(lacking, instead)
    response = sign_up(tenant, customerDetails={**details, "b2b": {"companyRegistrationId": "1"}})
    body = rejected(tenant, response, 400, "company-incomplete")

    assert [detail["field"] for detail in body["details"]] == [f"customerDetails.{name}" for name in lacking]
    assert {detail["type"] for detail in body["details"]} == {"missing_value"}


# The profile


def test_the_profile_tells_the_last_login(tenant: OrgClient) -> None:
    token = customer(tenant)["access_token"]
    tenant.advance("PT1H")
    assert answered(me(tenant, token))["lastLogin"] == NOW

    log_in(tenant, password="wrong")
    assert answered(me(tenant, token))["lastLogin"] == NOW

    log_in(tenant)
    assert answered(me(tenant, token))["lastLogin"] == "2030-01-01T13:00:00.000Z"


def test_who_never_logged_in_has_no_last_login(tenant: OrgClient) -> None:
    number = answered(sign_up(tenant), 201)["id"]

    assert answered(me(tenant, f"sandbox;tenant={tenant.org};customer={number}"))["lastLogin"] is None


def test_mixins_are_shown_to_whom_asks_for_them(tenant: OrgClient) -> None:
    sign_up(tenant, customerDetails={"mixins": {"loyalty": {"level": 3, "since": None}}})

    assert profile(tenant, expand="mixin:*")["mixins"] == {"loyalty": {"level": 3, "since": None}}
    for expand in ("", "addresses", "mixins"):
        assert "mixins" not in profile(tenant, expand=expand)


def test_the_default_address_is_the_one_that_is_marked(tenant: OrgClient) -> None:
    addresses = [{"contactName": "Office"}, {"id": "home", "contactName": "Home", "isDefault": True}]
    tenant.seed("emporix", customers=[{"email": "ada@example.com", "password": PASSWORD, "addresses": addresses}])

    seen = profile(tenant, expand="addresses")

    assert (seen["addresses"][0]["isDefault"], bool(seen["addresses"][0]["id"])) == (False, True)
    assert seen["defaultAddress"] == seen["addresses"][1] == addresses[1]


def test_an_address_that_is_not_to_be_the_default_is_not(tenant: OrgClient) -> None:
    sign_up(tenant, customerAddress={"contactName": "Ada Berg", "isDefault": False})

    assert "defaultAddress" not in profile(tenant, expand="addresses")


def test_a_customer_who_came_by_an_identity_provider_has_its_id(tenant: OrgClient) -> None:
    accounts = [{"id": "ada@example.com", "providerId": "auth0|5f7c8ec7"}]
    tenant.seed("emporix", customers=[{"email": "ada@example.com", "password": PASSWORD, "accounts": accounts}])

    assert profile(tenant)["accounts"] == accounts


def test_a_login_tells_whether_an_employee_chose_the_password(tenant: OrgClient) -> None:
    tenant.seed("emporix", customers=[{"email": "ada@example.com", "password": PASSWORD, "initialPassword": True}])
    sign_up(tenant, "ben@example.com")

    assert answered(log_in(tenant))["initialPassword"] == "true"
    assert answered(log_in(tenant, "ben@example.com"))["initialPassword"] == "false"
    assert "initialPassword" not in profile(tenant)
