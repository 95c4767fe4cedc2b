"""How an application gets enfore's organisation token, and what opens the promotions and what does not."""

from __future__ import annotations

import httpx2
import pytest

from promo_sandbox.base.config import Config
from tests.serving import OrgClient, running
from tests.vendors.enfore_support import EVER, NOW, assert_rejected, basic, cards, issue_token, neighbour

SHOP = basic("shop", "secret")
HOUR = "PT1H"


@pytest.fixture(autouse=True)
def _frozen(org_client: OrgClient) -> None:
    org_client.freeze(NOW)


def send(org_client: OrgClient, path: str, authorization: str | None) -> httpx2.Response:
    """`/auth/login` names no org, so the sandbox's own header says which clock is meant."""
    headers = {"Sandbox-Org": org_client.org}
    if authorization is not None:
        headers["Authorization"] = authorization
    return org_client.http.get(org_client.url + path, headers=headers)


def authorize(org_client: OrgClient, authorization: str | None = SHOP) -> httpx2.Response:
    return send(org_client, f"/auth/authorize/{org_client.org}", authorization)


def login(org_client: OrgClient, authorization: str | None = SHOP) -> httpx2.Response:
    return send(org_client, "/auth/login", authorization)


def token(response: httpx2.Response) -> str:
    assert response.status_code == 200, response.text
    body = response.json()
    assert body.keys() == {"accessToken"}
    return f"Bearer {body['accessToken']}"


def use(org_client: OrgClient, authorization: str | None) -> httpx2.Response:
    return send(org_client, cards(org_client) + EVER, authorization)


# Getting a token


def test_an_application_gets_an_organisation_token_for_its_secret(org_client: OrgClient) -> None:
    assert use(org_client, token(authorize(org_client))).status_code == 200


def test_in_the_older_flow_a_login_token_gets_the_organisation_token(org_client: OrgClient) -> None:
    organisation_token = token(authorize(org_client, token(login(org_client))))

    assert use(org_client, organisation_token).status_code == 200


def test_a_login_token_gets_the_token_of_any_organisation(org_client: OrgClient) -> None:
    other = neighbour(org_client)

    assert use(other, token(authorize(other, token(login(org_client))))).status_code == 200


def test_a_new_token_leaves_those_before_it_valid(org_client: OrgClient) -> None:
    first, second = token(authorize(org_client)), token(authorize(org_client))

    assert first != second
    assert use(org_client, first).status_code == use(org_client, second).status_code == 200


def test_a_client_may_say_that_it_sends_json_when_it_authorizes(org_client: OrgClient) -> None:
    headers = {"Authorization": SHOP, "Content-Type": "application/json", "Accept": "*/*"}

    assert org_client.http.get(f"{org_client.url}/auth/authorize/{org_client.org}", headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("authorization", "name"),
    [
        (None, "missing-credentials"),
        (basic("shop", "invalid"), "invalid-credentials"),
        (basic("", "secret"), "invalid-credentials"),
        ("Basic !", "invalid-credentials"),
        ("Basic c2hvcA==", "invalid-credentials"),
        ("Digest x", "invalid-credentials"),
        ("Bearer invalid", "invalid-credentials"),
        ("Bearer expired", "expired-credentials"),
        ("Bearer sandbox;tenant=another", "foreign-credentials"),
    ],
)
def test_what_does_not_authorize_is_401(org_client: OrgClient, authorization: str | None, name: str) -> None:
    response = authorize(org_client, authorization)

    assert_rejected(org_client, response, 401, name)
    assert response.headers["www-authenticate"].startswith("Basic")


@pytest.mark.parametrize(
    ("authorization", "name"),
    [
        (None, "missing-credentials"),
        (basic("shop", "invalid"), "invalid-credentials"),
        ("Bearer any", "invalid-credentials"),
    ],
)
def test_what_does_not_log_in_is_401(org_client: OrgClient, authorization: str | None, name: str) -> None:
    assert_rejected(org_client, login(org_client, authorization), 401, name)


def test_an_organisation_token_does_not_get_another_one(org_client: OrgClient) -> None:
    assert_rejected(org_client, authorize(org_client, token(authorize(org_client))), 401, "invalid-credentials")


@pytest.mark.parametrize("now", ["1970-01-01T00:00:00Z", "2030-01-01T00:00:00Z", "9999-01-01T00:00:00Z"])
def test_the_two_steps_lead_to_a_token_whatever_the_clock_of_the_organisation_says(
    org_client: OrgClient, now: str
) -> None:
    first = org_client.http.get(
        f"{org_client.url}/auth/login", headers={"Authorization": SHOP}
    )  # names no organisation
    org_client.freeze(now)

    assert use(org_client, token(authorize(org_client, token(first)))).status_code == 200


def test_a_login_token_has_no_clock_to_expire_by(org_client: OrgClient) -> None:
    login_token = token(login(org_client))
    org_client.advance("P10Y")

    assert use(org_client, token(authorize(org_client, login_token))).status_code == 200


# Using it


@pytest.mark.parametrize(
    ("authorization", "name"),
    [
        (None, "missing-credentials"),
        ("", "missing-credentials"),
        ("Bearer", "invalid-credentials"),
        ("Bearer invalid-token", "invalid-credentials"),
        (SHOP, "invalid-credentials"),
        ("Bearer expired-token", "expired-credentials"),
        ("Bearer sandbox;tenant=another", "foreign-credentials"),
    ],
)
def test_what_does_not_open_the_promotions_is_403_and_never_401(
    org_client: OrgClient, authorization: str | None, name: str
) -> None:
    response = use(org_client, authorization)

    assert_rejected(org_client, response, 403, name)
    assert "www-authenticate" not in response.headers


def test_a_login_token_does_not_open_the_promotions(org_client: OrgClient) -> None:
    assert_rejected(org_client, use(org_client, token(login(org_client))), 403, "invalid-credentials")


def test_a_token_opens_its_own_organisation_only(org_client: OrgClient) -> None:
    other = neighbour(org_client)

    response = use(org_client, token(authorize(other)))

    assert_rejected(org_client, response, 403, "foreign-credentials")


def test_a_token_expires_by_the_clock_of_its_organisation(org_client: OrgClient) -> None:
    organisation_token = token(authorize(org_client))
    org_client.advance("PT59M59S")
    assert use(org_client, organisation_token).status_code == 200

    org_client.advance("PT1S")

    assert_rejected(org_client, use(org_client, organisation_token), 403, "expired-credentials")
    assert use(org_client, token(authorize(org_client))).status_code == 200


def test_a_token_that_names_another_organisation_is_held_to_it(org_client: OrgClient) -> None:
    assert use(org_client, f"Bearer {issue_token(org_client)}").status_code == 200

    response = use(org_client, f"Bearer {issue_token(org_client, tenant='another')}")

    assert_rejected(org_client, response, 403, "foreign-credentials")


def test_a_token_that_was_tampered_with_is_a_strangers_which_opens_everything_unless_strict(
    org_client: OrgClient,
) -> None:
    signed, _, signature = issue_token(org_client, tenant="another").rpartition(".")

    assert use(org_client, f"Bearer {signed}.x{signature[1:]}").status_code == 200


def test_the_scheme_is_the_same_in_any_case(org_client: OrgClient) -> None:
    assert use(org_client, token(authorize(org_client)).replace("Bearer", "bearer")).status_code == 200


# Strictly


def test_in_strict_mode_only_configured_applications_and_issued_tokens_are_taken(http: httpx2.Client) -> None:
    with running(Config(strict=True, clients={"shop": "secret"})) as (_, url):
        org_client = OrgClient(url, "strict", http)
        org_client.freeze(NOW)

        assert_rejected(org_client, authorize(org_client, basic("shop", "guess")), 401, "invalid-credentials")
        assert_rejected(org_client, login(org_client, basic("thief", "secret")), 401, "invalid-credentials")
        assert_rejected(org_client, use(org_client, "Bearer any"), 403, "invalid-credentials")
        assert_rejected(org_client, use(org_client, "Bearer sandbox;tenant=strict"), 403, "invalid-credentials")
        assert use(org_client, token(authorize(org_client))).status_code == 200
        assert use(org_client, token(authorize(org_client, token(login(org_client))))).status_code == 200
