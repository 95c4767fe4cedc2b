"""Emporix's tokens and customers: every rule of the vendor's, through HTTP."""

from __future__ import annotations

import base64
import json

import httpx2
import pytest

from promo_sandbox.base.config import Config
from tests.patience import LONG
from tests.serving import Json, OrgClient, running
from tests.vendors.emporix_identity_support import (
    ALL_SCOPES,
    CUSTOMER_SCOPES,
    EXPIRED_TOKEN,
    INVALID_TOKEN,
    NOW,
    PASSWORD,
    SECRET,
    anonymous_login,
    anonymous_refresh,
    answered,
    as_tenant,
    customer,
    get,
    list_coupons,
    log_in,
    log_out,
    me,
    neighbour,
    post,
    refresh,
    rejected,
    request_token,
    sign_up,
    validate,
    visitor,
)

SNAKE_AND_CAMEL = {
    "access_token": "accessToken",
    "saas_token": "saasToken",
    "expires_in": "expiresIn",
    "refresh_token": "refreshToken",
    "refresh_token_expires_in": "refreshTokenExpiresIn",
}


@pytest.fixture
def tenant(org_client: OrgClient) -> OrgClient:
    return as_tenant(org_client)


def claims(token: str) -> Json:
    """What is inside a JWT."""
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


# Service tokens


def test_a_service_gets_the_scopes_that_it_asks_for_and_its_tenant_last(tenant: OrgClient) -> None:
    token = answered(request_token(tenant, scope=f"tenant={tenant.org} coupon.coupon_read product.product_read"))

    assert token.pop("access_token")
    assert token == {
        "token_type": "Bearer",
        "expires_in": 14399,
        "session_idle_time": 120,
        "refresh_token": "",
        "refresh_token_expires_in": 0,
        "scope": f"coupon.coupon_read product.product_read tenant={tenant.org}",
    }


@pytest.mark.parametrize("scope", [None, ""])
def test_a_service_that_asks_for_no_scope_gets_all(tenant: OrgClient, scope: str | None) -> None:
    assert answered(request_token(tenant, scope=scope))["scope"] == ALL_SCOPES


def test_a_service_that_names_only_its_tenant_gets_all_scopes(tenant: OrgClient) -> None:
    token = answered(request_token(tenant, scope=f"tenant={tenant.org}"))

    assert token["scope"] == f"{ALL_SCOPES} tenant={tenant.org}"
    assert list_coupons(tenant, token["access_token"]).status_code == 200


def test_a_service_token_is_held_to_its_scopes(tenant: OrgClient) -> None:
    for scope, status in (("coupon.coupon_read", 200), ("coupon.coupon_redeem", 403), ("tenant.x", 403)):
        token = answered(request_token(tenant, scope=f"{scope} tenant={tenant.org}"))["access_token"]
        assert list_coupons(tenant, token).status_code == status


def test_a_service_token_for_a_tenant_opens_no_other(tenant: OrgClient) -> None:
    token = answered(request_token(tenant, scope=f"tenant={tenant.org}"))["access_token"]
    other = neighbour(tenant)

    assert list_coupons(other, token).status_code == 403
    assert rejected(other, me(other, token), 403, "foreign-credentials") == {
        "type": "Forbidden",
        "status": 403,
        "message": "User not authorized.",
    }


def test_a_service_token_for_no_tenant_opens_every_one_and_does_not_expire(tenant: OrgClient) -> None:
    token = answered(request_token(tenant))["access_token"]
    tenant.advance("P400D")

    for opened in (tenant, neighbour(tenant)):
        assert list_coupons(opened, token).status_code == 200


def test_the_tenant_of_a_service_token_may_be_named_by_the_header(tenant: OrgClient) -> None:
    token = answered(request_token(tenant, {"Emporix-Tenant": tenant.org}))

    assert token["scope"].endswith(f" tenant={tenant.org}")
    assert list_coupons(neighbour(tenant), token["access_token"]).status_code == 403


def test_the_tenant_among_the_scopes_wins_over_the_header(tenant: OrgClient) -> None:
    token = answered(request_token(tenant, {"Emporix-Tenant": "another"}, scope=f"tenant={tenant.org}"))

    assert token["scope"].endswith(f" tenant={tenant.org}")
    assert list_coupons(tenant, token["access_token"]).status_code == 200


def test_a_service_token_asked_for_below_a_prefix_is_held_to_that_org_and_to_no_tenant(tenant: OrgClient) -> None:
    prefixed = OrgClient(f"{tenant.url}/~{tenant.org}", "acme", tenant.http)
    token = answered(request_token(prefixed))

    assert token["scope"] == ALL_SCOPES
    assert list_coupons(prefixed, token["access_token"]).status_code == 200
    assert list_coupons(neighbour(tenant), token["access_token"]).status_code == 403


def test_a_service_token_expires_by_the_clock_of_its_tenant(tenant: OrgClient) -> None:
    token = answered(request_token(tenant, scope=f"tenant={tenant.org}"))["access_token"]
    tenant.advance("PT14398S")
    assert me(tenant, token).status_code == 200
    tenant.advance("PT1S")

    assert rejected(tenant, me(tenant, token), 401, "expired-credentials") == EXPIRED_TOKEN


def test_a_token_request_may_be_json_as_the_vendors_reference_has_it(tenant: OrgClient) -> None:
    body = {**SECRET, "scope": f"coupon.coupon_read tenant={tenant.org}"}
    response = tenant.http.post(f"{tenant.url}/oauth/token", json=body, headers={"Sandbox-Org": tenant.org})

    assert answered(response)["scope"].startswith("coupon.coupon_read")


def test_a_wrong_secret_is_rejected(tenant: OrgClient) -> None:
    named = {"Sandbox-Org": tenant.org}
    body = rejected(tenant, request_token(tenant, named, client_secret="invalid"), 401, "invalid-client")

    assert body == {"ErrorCode": "invalid_client", "Error": "Client credentials are invalid"}


@pytest.mark.parametrize("grant_type", ["password", "refresh_token", "Client_Credentials", "x" * 2000])
def test_there_is_one_grant_type(tenant: OrgClient, grant_type: str) -> None:
    response = request_token(tenant, {"Sandbox-Org": tenant.org}, grant_type=grant_type)
    body = rejected(tenant, response, 400, "unsupported-grant-type")

    assert body["ErrorCode"] == "unsupported_grant_type"
    assert grant_type[:100] in body["Error"]


@pytest.mark.parametrize("member", ["grant_type", "client_id", "client_secret"])
@pytest.mark.parametrize("value", [None, ""])
def test_what_a_token_request_lacks_is_named(tenant: OrgClient, member: str, value: str | None) -> None:
    response = request_token(tenant, {"Sandbox-Org": tenant.org}, **{member: value})
    name = "unsupported-grant-type" if (member, value) == ("grant_type", "") else "invalid-request"
    body = rejected(tenant, response, 400, name)

    assert body.keys() == {"ErrorCode", "Error"}
    if name == "invalid-request":
        assert body["ErrorCode"] == "invalid_request"
        assert member in body["Error"]


def test_a_token_request_without_a_body_is_rejected(tenant: OrgClient) -> None:
    response = tenant.http.post(f"{tenant.url}/oauth/token", headers={"Sandbox-Org": tenant.org})

    assert rejected(tenant, response, 400, "missing-body")["ErrorCode"] == "invalid_request"


@pytest.mark.parametrize("name", ["ac", "a" * 17, "Acme", "1acme", "acme-1", ""])
def test_a_scope_names_a_tenant_as_tenants_are_named(tenant: OrgClient, name: str) -> None:
    response = request_token(tenant, {"Sandbox-Org": tenant.org}, scope=f"tenant={name}")

    if name:
        assert rejected(tenant, response, 400, "invalid-scope")["ErrorCode"] == "invalid_scope"
    else:
        assert answered(response)["scope"] == ALL_SCOPES


def test_a_strict_server_knows_its_clients() -> None:
    with (
        running(Config(strict=True, clients={"backoffice": "geheim"})) as (_, url),
        httpx2.Client(timeout=LONG) as http,
    ):
        tenant = as_tenant(OrgClient(url, "acme", http))
        assert request_token(tenant).status_code == 200
        assert request_token(tenant, client_secret="another").status_code == 401
        assert request_token(tenant, client_id="another").status_code == 401


# Anonymous tokens


def test_a_visitor_gets_a_token_and_a_session(tenant: OrgClient) -> None:
    token = answered(anonymous_login(tenant))

    assert len(token.pop("sessionId")) == 36
    assert token.pop("access_token") != token.pop("refresh_token")
    assert token == {
        "token_type": "Bearer",
        "expires_in": 3599,
        "refresh_token_expires_in": 86399,
        "scope": f"tenant={tenant.org}",
    }


def test_every_visit_is_another_session(tenant: OrgClient) -> None:
    assert visitor(tenant)["sessionId"] != visitor(tenant)["sessionId"]


def test_a_visitor_may_name_the_tenant_as_older_clients_do(tenant: OrgClient) -> None:
    query = {"hybris-tenant": tenant.org, "client_id": "storefront"}

    token = answered(anonymous_login(tenant, **query))

    assert token["scope"] == f"tenant={tenant.org}"
    assert tenant.last()["operation"] == "anonymousLogin"


def test_of_two_names_of_the_tenant_the_present_one_wins(tenant: OrgClient) -> None:
    query = {"tenant": tenant.org, "hybris-tenant": "another", "client_id": "storefront"}

    assert answered(anonymous_login(tenant, **query))["scope"] == f"tenant={tenant.org}"


def test_a_visitor_may_say_more(tenant: OrgClient) -> None:
    more = {"currency": "EUR", "siteCode": "main", "language": "de", "targetLocation": "DE", "whatever": "1"}

    assert anonymous_login(tenant, tenant=tenant.org, client_id="storefront", **more).status_code == 200


def test_a_visitor_needs_neither_bearer_nor_secret_and_any_bearer_is_ignored(tenant: OrgClient) -> None:
    query = {"tenant": tenant.org, "client_id": "storefront"}

    assert get(tenant, "/customerlogin/auth/anonymous/login", "invalid", query=query).status_code == 200


@pytest.mark.parametrize(
    ("query", "name", "field"),
    [
        ({"client_id": "storefront"}, "missing-tenant", "tenant"),
        ({"tenant": "acme"}, "invalid-request", "client_id"),
        ({"tenant": "ac", "client_id": "storefront"}, "invalid-request", "tenant"),
        ({"tenant": "a" * 17, "client_id": "storefront"}, "invalid-request", "tenant"),
        ({"tenant": "ACME", "client_id": "storefront"}, "invalid-request", "tenant"),
        ({"hybris-tenant": "a-b", "client_id": "storefront"}, "invalid-request", "hybris-tenant"),
    ],
)
def test_what_is_wrong_with_a_visit_is_named(tenant: OrgClient, query: dict[str, str], name: str, field: str) -> None:
    response = tenant.http.get(
        f"{tenant.url}/customerlogin/auth/anonymous/login", params=query, headers={"Sandbox-Org": tenant.org}
    )
    body = rejected(tenant, response, 400, name)

    assert (body["status"], body["type"]) == (400, "validation_violation")
    assert {(detail["field"], detail["type"]) for detail in body["details"]} == {(field, "invalid_query_parameter")}


def test_an_anonymous_token_opens_nothing_that_asks_for_a_scope(tenant: OrgClient) -> None:
    assert list_coupons(tenant, visitor(tenant)["access_token"]).status_code == 403


def test_an_anonymous_token_is_for_its_tenant_only(tenant: OrgClient) -> None:
    other = neighbour(tenant)

    rejected(other, me(other, visitor(tenant)["access_token"]), 403, "foreign-credentials")


def test_an_anonymous_token_expires_by_the_clock(tenant: OrgClient) -> None:
    token = visitor(tenant)["access_token"]
    tenant.advance("PT3599S")

    assert rejected(tenant, me(tenant, token), 401, "expired-credentials") == EXPIRED_TOKEN


def test_refreshing_an_anonymous_token_keeps_the_session(tenant: OrgClient) -> None:
    token = visitor(tenant)
    tenant.advance("PT3600S")

    fresh = answered(anonymous_refresh(tenant, refresh_token=token["refresh_token"]))

    assert fresh["sessionId"] == token["sessionId"]
    assert fresh["access_token"] != token["access_token"]
    assert fresh.keys() == token.keys()
    assert me(tenant, fresh["access_token"]).status_code == 200


def test_an_anonymous_session_may_be_refreshed_by_its_access_token_as_formerly(tenant: OrgClient) -> None:
    token = visitor(tenant)

    fresh = answered(anonymous_refresh(tenant, anonymous_token=token["access_token"]))

    assert fresh["sessionId"] == token["sessionId"]
    tenant.advance("PT3599S")
    late = anonymous_refresh(tenant, anonymous_token=token["access_token"])
    rejected(tenant, late, 401, "invalid-refresh-token")


def test_an_anonymous_session_can_be_refreshed_again_and_again(tenant: OrgClient) -> None:
    token = visitor(tenant)
    session = token["sessionId"]
    for _ in range(3):
        tenant.advance("PT23H")
        token = answered(anonymous_refresh(tenant, refresh_token=token["refresh_token"]))

    assert token["sessionId"] == session


def test_an_anonymous_refresh_token_expires(tenant: OrgClient) -> None:
    token = visitor(tenant)["refresh_token"]
    tenant.advance("PT86399S")

    rejected(tenant, anonymous_refresh(tenant, refresh_token=token), 401, "invalid-refresh-token")


def test_only_what_refreshes_a_visit_refreshes_one(tenant: OrgClient) -> None:
    ada, ours, foreign = customer(tenant), visitor(tenant), visitor(neighbour(tenant))
    service = answered(request_token(tenant, scope=f"tenant={tenant.org}"))["access_token"]

    for query in (
        {"refresh_token": "unknown"},
        {"refresh_token": ""},
        {"refresh_token": ours["access_token"]},
        {"refresh_token": ada["refresh_token"]},
        {"refresh_token": foreign["refresh_token"]},
        {"anonymous_token": ours["refresh_token"]},
        {"anonymous_token": ada["access_token"]},
        {"anonymous_token": service},
        {"anonymous_token": foreign["access_token"]},
        {"refresh_token": "unknown", "anonymous_token": ours["access_token"]},
    ):
        rejected(tenant, anonymous_refresh(tenant, **query), 401, "invalid-refresh-token")


def test_a_visit_cannot_be_refreshed_with_nothing(tenant: OrgClient) -> None:
    body = rejected(tenant, anonymous_refresh(tenant), 400, "missing-refresh-token")

    assert [detail["field"] for detail in body["details"]] == ["refresh_token"]


# Signing up


def test_a_customer_signs_up_and_gets_a_number_of_eight_digits(tenant: OrgClient) -> None:
    created = answered(sign_up(tenant, bearer=visitor(tenant)["access_token"]), 201)

    assert created.keys() == {"id"}
    assert len(created["id"]) == 8
    assert created["id"].isdigit()


def test_every_customer_has_another_number(tenant: OrgClient) -> None:
    numbers = [answered(sign_up(tenant, f"ada{number}@example.com"), 201)["id"] for number in range(5)]

    assert len(set(numbers)) == 5


def test_a_new_customer_does_not_get_the_number_of_a_seeded_one(tenant: OrgClient) -> None:
    numbers = [f"{10_000_000 + number}" for number in range(1, 6)]
    tenant.seed("emporix", customers=[{"id": number, "email": f"{number}@example.com"} for number in numbers])

    assert answered(sign_up(tenant), 201)["id"] not in numbers


def test_a_new_customer_is_active_at_once(tenant: OrgClient) -> None:
    sign_up(tenant)

    assert log_in(tenant).status_code == 200


@pytest.mark.parametrize("email", ["ada@example.com", "Ada@Example.COM"])
def test_a_mail_address_has_one_account(tenant: OrgClient, email: str) -> None:
    sign_up(tenant)

    assert rejected(tenant, sign_up(tenant, email), 409, "duplicate-account") == {
        "type": "conflict_resource",
        "status": 409,
        "message": f"Duplicate account '{email}' for tenant '{tenant.org}'.",
    }


def test_a_mail_address_may_have_an_account_of_each_tenant(tenant: OrgClient) -> None:
    assert sign_up(tenant).status_code == sign_up(neighbour(tenant)).status_code == 201


@pytest.mark.parametrize(
    ("members", "field", "kind"),
    [
        ({"email": None}, "email", "missing_value"),
        ({"password": None}, "password", "missing_value"),
        ({"email": "ada"}, "email", "invalid_format"),
        ({"email": "ada@example.com\n"}, "email", "invalid_format"),
        ({"password": "short"}, "password", "out_of_range"),
        ({"password": 123456}, "password", "invalid_value"),
        ({"customerDetails": {"firstName": 1}}, "customerDetails.firstName", "invalid_value"),
        ({"customerDetails": {"preferredCurrency": "EURO"}}, "customerDetails.preferredCurrency", "out_of_range"),
        ({"customerAddress": {}}, "customerAddress.contactName", "missing_value"),
    ],
)
def test_what_is_wrong_with_a_signup_is_named(tenant: OrgClient, members: Json, field: str, kind: str) -> None:
    sent = {"email": "ada@example.com", "password": PASSWORD, **members}
    response = post(tenant, "signup", {name: value for name, value in sent.items() if value is not None})
    body = rejected(tenant, response, 400, "invalid-request")

    assert (body["status"], body["type"]) == (400, "validation_violation")
    assert [detail["field"] for detail in body["details"]] == [field]
    assert [detail["type"] for detail in body["details"]] == [kind]


def test_everything_that_is_wrong_with_a_signup_is_named_at_once(tenant: OrgClient) -> None:
    body = rejected(tenant, post(tenant, "signup", {"customerDetails": {"title": 1}}), 400, "invalid-request")

    assert {detail["field"] for detail in body["details"]} == {"email", "password", "customerDetails.title"}


@pytest.mark.parametrize("operation", ["signup", "login"])
def test_an_empty_body_is_a_missing_payload(tenant: OrgClient, operation: str) -> None:
    response = tenant.request("POST", f"/customer/{tenant.org}/{operation}", raw=b"")
    body = rejected(tenant, response, 400, "missing-body")

    assert [detail["type"] for detail in body["details"]] == ["missing_payload"]


@pytest.mark.parametrize("raw", [b"{", b"[]", b"\xff", b"NaN", b'"text"', b"null"])
def test_a_body_that_is_no_object_is_rejected(tenant: OrgClient, raw: bytes) -> None:
    for operation in ("signup", "login"):
        response = tenant.request("POST", f"/customer/{tenant.org}/{operation}", raw=raw)
        rejected(tenant, response, 400, "invalid-request")


def test_a_password_of_six_characters_is_long_enough(tenant: OrgClient) -> None:
    assert sign_up(tenant, password="sechs6").status_code == 201


def test_a_lenient_server_lets_any_bearer_sign_up_and_log_in(tenant: OrgClient) -> None:
    assert sign_up(tenant, bearer="whatever").status_code == 201

    assert len(answered(log_in(tenant, bearer="whatever"))["session_id"]) == 36


# Logging in


def test_a_customer_logs_in_and_gets_tokens_in_both_spellings(tenant: OrgClient) -> None:
    token = customer(tenant)

    assert (token["token_type"], token["initialPassword"]) == ("Bearer", "false")
    assert (token["expires_in"], token["refresh_token_expires_in"]) == (2591999, 86399)
    assert {camel: token[camel] for camel in SNAKE_AND_CAMEL.values()} == {
        camel: token[snake] for snake, camel in SNAKE_AND_CAMEL.items()
    }
    assert len({token["access_token"], token["saas_token"], token["refresh_token"]}) == 3


def test_the_saas_token_is_a_jwt_about_the_customer(tenant: OrgClient) -> None:
    token = customer(tenant)

    assert claims(token["saas_token"])["sub"] == token["number"]


def test_the_session_of_the_visit_goes_on_after_the_login(tenant: OrgClient) -> None:
    visit = visitor(tenant)
    sign_up(tenant, bearer=visit["access_token"])

    login = answered(log_in(tenant, bearer=visit["access_token"]))

    assert login["session_id"] == visit["sessionId"]


def test_a_customer_logs_in_with_the_mail_address_in_any_case(tenant: OrgClient) -> None:
    sign_up(tenant, "Ada@Example.com")

    assert log_in(tenant, "aDA@eXAMPLE.COM").status_code == 200


@pytest.mark.parametrize(
    ("email", "password"),
    [
        ("ada@example.com", "another"),
        ("ada@example.com", ""),
        ("ada@example.com", PASSWORD.upper()),
        ("ben@example.com", PASSWORD),
        ("", ""),
        ("no address", PASSWORD),
    ],
)
def test_a_wrong_password_is_answered_as_wrong_credentials(tenant: OrgClient, email: str, password: str) -> None:
    sign_up(tenant)

    assert rejected(tenant, log_in(tenant, email, password), 401, "wrong-password") == {
        "type": "Unauthorized",
        "status": 401,
        "message": "Access denied. Entered credentials are incorrect.",
    }


def test_a_customer_who_was_seeded_without_a_password_cannot_log_in(tenant: OrgClient) -> None:
    tenant.seed("emporix", customers=[{"email": "ada@example.com"}])

    for password in ("", "None", "null"):
        rejected(tenant, log_in(tenant, password=password), 401, "wrong-password")


def test_a_seeded_customer_logs_in_and_has_the_number_of_the_seed(tenant: OrgClient) -> None:
    seeded = {"customerNumber": "87413250", "email": "Ada@example.com", "password": "x", "firstName": "Ada"}
    tenant.seed("emporix", customers=[seeded])

    token = answered(log_in(tenant, password="x"))["access_token"]

    profile = answered(me(tenant, token))
    assert (profile["id"], profile["customerNumber"], profile["firstName"]) == ("87413250", "87413250", "Ada")
    assert profile["accounts"] == [{"id": "Ada@example.com"}]


@pytest.mark.parametrize("member", ["email", "password"])
def test_what_a_login_lacks_is_named(tenant: OrgClient, member: str) -> None:
    body = {"email": "ada@example.com", "password": PASSWORD}
    del body[member]

    rejection = rejected(tenant, post(tenant, "login", body), 400, "invalid-request")

    assert [(detail["field"], detail["type"]) for detail in rejection["details"]] == [(member, "missing_value")]


def test_a_customers_token_has_the_scopes_of_the_page_and_opens_nothing_of_the_employees(tenant: OrgClient) -> None:
    login = customer(tenant)
    for token in (login, answered(refresh(tenant, login["refresh_token"]))):
        *scopes, named = answered(validate(tenant, token["access_token"]))["scope"].split()

        assert (set(scopes), len(scopes), named) == (CUSTOMER_SCOPES, 23, f"tenant={tenant.org}")
        assert set(claims(token["access_token"])["scope"].split()) == CUSTOMER_SCOPES
        assert list_coupons(tenant, token["access_token"]).status_code == 403


def test_a_customers_token_expires_by_the_clock(tenant: OrgClient) -> None:
    token = customer(tenant)["access_token"]
    tenant.advance("PT2591998S")
    assert me(tenant, token).status_code == 200
    tenant.advance("PT1S")

    rejected(tenant, me(tenant, token), 401, "expired-credentials")


# Refreshing


def employee(tenant: OrgClient, *entities: str) -> Json:
    """The tokens of a customer who belongs to these companies."""
    companies = [{"id": entity} for entity in entities]
    assert sign_up(tenant, customerDetails={"b2b": {"legalEntities": companies}}).status_code == 201
    return answered(log_in(tenant))


def test_refreshing_a_customers_token_keeps_customer_and_session(tenant: OrgClient) -> None:
    visit, token = visitor(tenant), customer(tenant)

    fresh = answered(refresh(tenant, token["refresh_token"], visit["access_token"]))

    assert fresh["session_id"] == token["session_id"]
    assert fresh["access_token"] != token["access_token"]
    assert answered(me(tenant, fresh["access_token"]))["id"] == token["number"]
    assert (fresh["expires_in"], fresh["refresh_token_expires_in"]) == (2591999, 86399)


def test_a_refreshed_token_comes_in_both_spellings_and_without_a_saas_token(tenant: OrgClient) -> None:
    fresh = answered(refresh(tenant, customer(tenant)["refresh_token"]))

    assert fresh.keys() & {"saas_token", "saasToken"} == set()
    for snake, camel in SNAKE_AND_CAMEL.items():
        assert fresh.get(snake) == fresh.get(camel)


def test_the_former_token_stays_valid_after_a_refresh(tenant: OrgClient) -> None:
    token = customer(tenant)
    refresh(tenant, token["refresh_token"])

    assert me(tenant, token["access_token"]).status_code == 200


def test_a_legal_entity_is_embedded_when_a_token_is_refreshed(tenant: OrgClient) -> None:
    token = employee(tenant, "D165356")

    fresh = answered(refresh(tenant, token["refresh_token"], legalEntityId="D165356"))

    assert answered(validate(tenant, fresh["access_token"]))["legalEntityId"] == "D165356"
    assert "legalEntityId" not in answered(validate(tenant, token["access_token"]))


def test_a_legal_entity_stays_until_another_one_is_named(tenant: OrgClient) -> None:
    token = employee(tenant, "LE1", "LE2")
    for query, legal_entity in (({"legalEntityId": "LE1"}, "LE1"), ({}, "LE1"), ({"legalEntityId": "LE2"}, "LE2")):
        token = answered(refresh(tenant, token["refresh_token"], **query))
        assert answered(validate(tenant, token["access_token"]))["legalEntityId"] == legal_entity


@pytest.mark.parametrize("entities", [(), ("LE1", "LE2")])
def test_only_a_legal_entity_of_the_customers_own_is_embedded(tenant: OrgClient, entities: tuple[str, ...]) -> None:
    token = employee(tenant, *entities)

    body = rejected(
        tenant,
        refresh(tenant, token["refresh_token"], legalEntityId="LE3"),
        400,
        "legal-entity-not-assigned",
    )

    assert body == {
        "type": "bad_request",
        "status": 400,
        "message": "The customer is not assigned to the legal entity LE3.",
    }
    assert "legalEntityId" not in answered(validate(tenant, token["access_token"]))


def test_a_seeded_customer_acts_for_a_company_too(tenant: OrgClient) -> None:
    member = {"email": "ben@example.com", "password": PASSWORD, "b2b": {"legalEntities": [{"id": "LE1"}]}}
    tenant.seed("emporix", customers=[member])
    token = answered(log_in(tenant, "ben@example.com"))

    fresh = answered(refresh(tenant, token["refresh_token"], legalEntityId="LE1"))

    assert answered(validate(tenant, fresh["access_token"]))["legalEntityId"] == "LE1"
    rejected(tenant, refresh(tenant, fresh["refresh_token"], legalEntityId="LE2"), 400, "legal-entity-not-assigned")


def test_a_customers_refresh_token_expires(tenant: OrgClient) -> None:
    token = customer(tenant)
    tenant.advance("PT86399S")

    rejected(tenant, refresh(tenant, token["refresh_token"]), 401, "invalid-refresh-token")


def test_only_a_refresh_token_of_a_customer_of_this_tenant_refreshes_one(tenant: OrgClient) -> None:
    ada, foreign = customer(tenant), customer(neighbour(tenant))

    for text in (
        "",
        "unknown",
        ada["access_token"],
        ada["saas_token"],
        visitor(tenant)["refresh_token"],
        foreign["refresh_token"],
    ):
        rejected(tenant, refresh(tenant, text), 401, "invalid-refresh-token")


@pytest.mark.parametrize("query", [{}, {"refreshToken": "x", "legalEntityId": ""}])
def test_what_is_wrong_with_a_refresh_is_named(tenant: OrgClient, query: dict[str, str]) -> None:
    response = get(tenant, f"/customer/{tenant.org}/refreshauthtoken", query=query)
    body = rejected(tenant, response, 400, "invalid-request")

    assert [detail["type"] for detail in body["details"]] == ["invalid_query_parameter"]
    assert body["details"][0]["field"] == ("legalEntityId" if query else "refreshToken")


# Validating


def test_a_customers_token_tells_what_it_is_good_for(tenant: OrgClient) -> None:
    token = customer(tenant)
    tenant.advance("P1D")

    said = answered(validate(tenant, token["access_token"]))
    assert said.pop("scope").endswith(f" tenant={tenant.org}")
    assert said == {
        "token_type": "Bearer",
        "expires_in": 2505599,
        "sessionId": token["session_id"],
        "email": "ada@example.com",
    }


@pytest.mark.parametrize("bearer", ["whatever", "sandbox;scope=coupon.coupon_redeem"])
def test_a_token_that_is_no_customers_cannot_be_validated(tenant: OrgClient, bearer: str) -> None:
    assert rejected(tenant, validate(tenant, bearer), 401, "not-logged-in") == INVALID_TOKEN


def test_neither_a_visitors_nor_a_services_token_can_be_validated(tenant: OrgClient) -> None:
    service = answered(request_token(tenant, scope=f"tenant={tenant.org}"))

    for token in (visitor(tenant), service):
        rejected(tenant, validate(tenant, token["access_token"]), 401, "not-logged-in")


def test_a_token_that_describes_itself_is_validated_as_what_it_says(tenant: OrgClient) -> None:
    token = f"sandbox;tenant={tenant.org};customer=C1;scope=coupon.coupon_redeem;legal_entity=LE1"

    assert answered(validate(tenant, token)) == {
        "token_type": "Bearer",
        "expires_in": 2591999,
        "scope": f"coupon.coupon_redeem tenant={tenant.org}",
        "legalEntityId": "LE1",
    }


# The profile


def test_the_profile_has_what_the_customer_signed_up_with(tenant: OrgClient) -> None:
    details = {
        "title": "MS",
        "firstName": "Ada",
        "lastName": "Berg",
        "contactEmail": "Ada@Example.com",
        "contactPhone": "123",
        "company": "Berg AG",
        "preferredLanguage": "de_DE",
        "preferredCurrency": "EUR",
        "preferredSite": "hamburg",
        "b2b": {"companyRegistrationId": "1"},
        "mixins": {"loyalty": {"level": 3}},
    }
    number = answered(sign_up(tenant, customerDetails=details), 201)["id"]

    assert answered(me(tenant, answered(log_in(tenant))["access_token"], expand="mixin:*")) == {
        **details,
        "id": number,
        "customerNumber": number,
        "accounts": [{"id": "ada@example.com"}],
        "businessModel": "B2C",
        "metadata": {"mixins": {}, "version": 1},
        "lastLogin": NOW,
    }


def test_the_profile_of_a_customer_without_details_has_the_defaults(tenant: OrgClient) -> None:
    token = customer(tenant)
    profile = answered(me(tenant, token["access_token"]))

    assert profile["contactEmail"] == "ada@example.com"
    assert (profile["preferredLanguage"], profile["preferredCurrency"], profile["preferredSite"]) == (
        "en_US",
        "USD",
        "main",
    )


def test_the_profile_tells_no_password(tenant: OrgClient) -> None:
    token = customer(tenant)

    assert PASSWORD not in me(tenant, token["access_token"], expand="addresses").text


def test_a_signup_cannot_choose_what_the_platform_assigns(tenant: OrgClient) -> None:
    chosen = {"id": "1", "customerNumber": "1", "accounts": [], "email": "x", "account": "x", "password": "x"}
    number = answered(sign_up(tenant, customerDetails={**chosen, "businessModel": 1, "addresses": 1}), 201)["id"]

    profile = answered(me(tenant, answered(log_in(tenant))["access_token"]))

    assert (profile["id"], profile["customerNumber"], profile["businessModel"]) == (number, number, "B2C")
    assert profile["accounts"] == [{"id": "ada@example.com"}]


@pytest.mark.parametrize("expand", ["addresses", "addresses,mixin:*", "mixin:*,addresses"])
def test_the_profile_shows_addresses_to_whom_asks_for_them(tenant: OrgClient, expand: str) -> None:
    sign_up(tenant, customerAddress={"contactName": "Ada Berg", "city": "Hamburg"})
    token = answered(log_in(tenant))["access_token"]

    profile = answered(me(tenant, token, expand=expand))
    (address,) = profile["addresses"]

    assert profile["defaultAddress"] == address
    assert (address["contactName"], address["city"], address["isDefault"]) == ("Ada Berg", "Hamburg", True)
    assert address["id"]
    assert answered(me(tenant, token)).keys() & {"addresses", "defaultAddress"} == set()


@pytest.mark.parametrize("expand", ["", "mixin:*", "nothing", "addresses"])
def test_whatever_is_to_be_expanded_is_tolerated(tenant: OrgClient, expand: str) -> None:
    assert me(tenant, customer(tenant)["access_token"], expand=expand).status_code == 200
    assert me(tenant, visitor(tenant)["access_token"], expand=expand).status_code == 200


def test_a_visitor_is_customer_00000000(tenant: OrgClient) -> None:
    profile = {
        "id": "00000000",
        "customerNumber": "00000000",
        "firstName": "Anonymous",
        "lastName": "Anonymous",
        "preferredSite": "default",
        "accounts": [],
    }

    assert answered(me(tenant, visitor(tenant)["access_token"])) == profile
    assert answered(me(tenant, "whatever")) == profile


def test_a_token_for_a_customer_that_there_is_not_has_no_profile(tenant: OrgClient) -> None:
    response = me(tenant, f"sandbox;tenant={tenant.org};customer=C1")

    assert rejected(tenant, response, 404, "unknown-customer") == {
        "type": "resource_not_found",
        "status": 404,
        "message": "Customer C1 not found.",
    }


# Which tenant


def test_points_are_not_booked_where_nothing_names_the_tenant(tenant: OrgClient) -> None:
    url = f"{tenant.url}/reward-points/customer/C1/addPoints"
    token = answered(request_token(tenant, client_id="shop", client_secret="s", scope=None))["access_token"]
    bearer = {"Authorization": f"Bearer {token}"}

    response = tenant.http.post(url, json={"points": 5}, headers=bearer)

    assert response.status_code == 400
    detail = {"field": "tenant", "message": "size must be between 3 and 16", "type": "invalid_header"}
    assert response.json()["details"] == [detail]
    exchange = tenant.http.get(f"{tenant.url}/__admin/orgs/default/requests").json()["requests"][0]
    assert "Emporix-Tenant" in exchange["violations"][0]["message"]


@pytest.mark.parametrize("way", ["scope", "header", "base URL"])
def test_the_tenant_is_named_by_the_token_s_scope_a_header_or_the_base_url(tenant: OrgClient, way: str) -> None:
    base = f"{tenant.url}/~{tenant.org}" if way == "base URL" else tenant.url
    scope = f"tenant={tenant.org}" if way == "scope" else None
    form = {"grant_type": "client_credentials", "client_id": "shop", "client_secret": "s", "scope": scope}
    said = {name: value for name, value in form.items() if value}
    token = answered(tenant.http.post(f"{base}/oauth/token", data=said))["access_token"]
    headers = {"Authorization": f"Bearer {token}"} | ({"Emporix-Tenant": tenant.org} if way == "header" else {})

    opened = tenant.http.post(f"{base}/reward-points/customer/C1", json={}, headers=headers)
    added = tenant.http.post(f"{base}/reward-points/customer/C1/addPoints", json={"points": 5}, headers=headers)

    assert (opened.is_success, added.status_code) == (True, 201)
    mine = tenant.http.get(
        f"{tenant.url}/reward-points/customer/C1", headers={"Authorization": f"Bearer sandbox;tenant={tenant.org}"}
    )
    assert mine.json() == 5


# Logging out


def test_a_token_that_was_logged_out_is_invalid(tenant: OrgClient) -> None:
    token = customer(tenant)["access_token"]

    response = log_out(tenant, token, token)

    assert (response.status_code, response.content) == (204, b"")
    for again in (me(tenant, token), validate(tenant, token), log_out(tenant, token, token)):
        assert again.status_code == 401
        assert again.json() == INVALID_TOKEN
    assert tenant.last()["rejection"] == "invalid-credentials"


def test_a_token_that_was_logged_out_is_invalid_for_the_other_apis_too(tenant: OrgClient) -> None:
    token = customer(tenant)["access_token"]
    assert get(tenant, f"/reward-points/{tenant.org}/redeemOptions", token).status_code == 200
    log_out(tenant, token, token)

    response = get(tenant, f"/reward-points/{tenant.org}/redeemOptions", token)

    assert (response.status_code, response.json()) == (401, INVALID_TOKEN)


def test_what_came_with_a_token_that_was_logged_out_refreshes_no_more(tenant: OrgClient) -> None:
    token = customer(tenant)
    log_out(tenant, token["access_token"])

    rejected(tenant, refresh(tenant, token["refresh_token"]), 401, "invalid-refresh-token")


def test_to_log_out_ends_that_token_only(tenant: OrgClient) -> None:
    first = customer(tenant)
    second, ben = answered(log_in(tenant)), customer(tenant, "ben@example.com")
    log_out(tenant, first["access_token"])

    assert me(tenant, second["access_token"]).status_code == 200
    assert me(tenant, ben["access_token"]).status_code == 200
    assert refresh(tenant, second["refresh_token"]).status_code == 200


def test_a_customer_who_logged_out_logs_in_again_in_the_same_session(tenant: OrgClient) -> None:
    visit = visitor(tenant)["access_token"]
    sign_up(tenant, bearer=visit)
    first = answered(log_in(tenant, bearer=visit))
    log_out(tenant, first["access_token"], visit)

    second = answered(log_in(tenant, bearer=visit))

    assert second["session_id"] == first["session_id"]
    assert me(tenant, second["access_token"]).status_code == 200


def test_to_log_out_of_what_is_no_token_changes_nothing(tenant: OrgClient) -> None:
    foreign = customer(neighbour(tenant))
    before = tenant.state()

    for text in ("unknown", "", foreign["access_token"], "sandbox;customer=C1"):
        assert log_out(tenant, text).status_code == 204
    assert tenant.state() == before
    assert me(neighbour(tenant), foreign["access_token"]).status_code == 200


def test_to_log_out_twice_is_to_log_out(tenant: OrgClient) -> None:
    token = customer(tenant)["access_token"]

    assert log_out(tenant, token).status_code == log_out(tenant, token).status_code == 204


def test_a_logout_is_forgotten_when_the_token_would_have_expired(tenant: OrgClient) -> None:
    token = customer(tenant)["access_token"]
    log_out(tenant, token)
    assert len(tenant.state()["emporix"]["logouts"]) == 1

    happened = tenant.advance("PT2591999S")

    assert [entry["event"] for entry in happened] == ["forget-logout"]
    assert "logouts" not in tenant.state()["emporix"]
    rejected(tenant, me(tenant, token), 401, "expired-credentials")


def test_a_token_that_has_expired_needs_no_logging_out(tenant: OrgClient) -> None:
    token = customer(tenant)["access_token"]
    tenant.advance("P31D")

    assert log_out(tenant, token).status_code == 204
    assert "logouts" not in tenant.state()["emporix"]


def test_a_logout_names_the_token(tenant: OrgClient) -> None:
    response = get(tenant, f"/customer/{tenant.org}/logout")
    body = rejected(tenant, response, 400, "invalid-request")

    assert [detail["field"] for detail in body["details"]] == ["accessToken"]


# What is no access token


@pytest.mark.parametrize("name", ["refresh_token", "saas_token"])
def test_a_customers_other_tokens_are_no_bearers(tenant: OrgClient, name: str) -> None:
    token = customer(tenant)[name]

    assert rejected(tenant, me(tenant, token), 401, "invalid-credentials") == INVALID_TOKEN
    assert get(tenant, f"/coupon/{tenant.org}/coupons/X", token).status_code == 401


def test_a_visitors_refresh_token_is_no_bearer(tenant: OrgClient) -> None:
    token = visitor(tenant)["refresh_token"]

    rejected(tenant, sign_up(tenant, bearer=token), 401, "invalid-credentials")


# The tenant of the path


@pytest.mark.parametrize("name", ["ac", "a" * 17, "Acme", "1acme", "ac-me", "acme%0A", "%C3%A4cme"])
def test_a_path_names_a_tenant_as_tenants_are_named(tenant: OrgClient, name: str) -> None:
    response = get(tenant, f"/customer/{name}/me", headers={"Sandbox-Org": tenant.org})

    assert rejected(tenant, response, 400, "invalid-tenant") == {
        "type": "bad_request",
        "status": 400,
        "message": "The tenant information provided with the request is not valid.",
    }


@pytest.mark.parametrize("name", ["acm", "a" * 16, "a1b2"])
def test_a_tenants_name_may_be_as_short_and_as_long_as_this(tenant: OrgClient, name: str) -> None:
    assert get(tenant, f"/customer/{name}/me", headers={"Sandbox-Org": tenant.org}).status_code == 200


def test_the_header_names_a_tenant_as_tenants_are_named(tenant: OrgClient) -> None:
    response = get(tenant, f"/customer/{tenant.org}/me", headers={"Emporix-Tenant": "Acme"})
    body = rejected(tenant, response, 400, "invalid-request")

    assert [(detail["field"], detail["type"]) for detail in body["details"]] == [("tenant", "invalid_header")]


def test_a_tenant_called_customerlogin_is_a_tenant(tenant: OrgClient) -> None:
    response = get(tenant, "/customer/customerlogin/me", headers={"Sandbox-Org": tenant.org})

    assert response.status_code == 200
    assert tenant.last()["operation"] == "getMe"


# The settings


def test_settings_are_seeded_and_checked(tenant: OrgClient) -> None:
    (stored,) = tenant.seed("emporix", settings=[{"reward_points_version": "current"}])["settings"]
    assert stored["reward_points_version"] == "current"

    response = tenant.admin("POST", "/seed", {"emporix": {"settings": [{"reward_points_version": "2022"}]}})
    assert response.status_code == 400, response.text
    assert tenant.state()["emporix"]["settings"][0]["document"]["reward_points_version"] == "current"


def test_settings_are_one_object_that_a_later_seed_replaces(tenant: OrgClient) -> None:
    tenant.seed("emporix", settings=[{"reward_points_version": "current"}])
    tenant.seed("emporix", settings=[{"couponPermanentDelete": True}])

    (entry,) = tenant.state()["emporix"]["settings"]
    assert entry["document"] == {"id": entry["document"]["id"], "couponPermanentDelete": True}


# Browsers


def test_a_browser_may_ask(tenant: OrgClient) -> None:
    origin = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}
    asked = {**origin, "Access-Control-Request-Headers": "authorization,content-type,emporix-tenant"}

    response = tenant.http.options(f"{tenant.url}/customer/{tenant.org}/login", headers=asked)

    assert response.status_code in (200, 204)
    assert response.headers["access-control-allow-origin"] in ("*", "https://shop.example")


def test_a_setting_that_there_is_not_is_rejected(org_client: OrgClient) -> None:
    for settings in ({"reward_points_versio": "current"}, {"couponSettings": {"rewardpoints": {"codePrefx": "X"}}}):
        response = org_client.admin("POST", "/seed", {"emporix": {"settings": [settings]}})

        assert response.status_code == 400
        assert "is not a known field; did you mean" in response.json()["detail"]
