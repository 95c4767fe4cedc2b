"""Norce's tokens: how they are given and rejected, and what they open."""

from __future__ import annotations

import base64
import json
from datetime import datetime

import httpx2
import pytest

from tests.serving import Json, OrgClient
from tests.vendors.norce_support import (
    NOW,
    TOKEN,
    answered,
    ask,
    choose,
    inserted,
    neighbour,
    rejected,
    request_token,
    standing_still,
    updated,
)


@pytest.fixture
def slug(org_client: OrgClient) -> OrgClient:
    return standing_still(org_client)


def token_of(response: httpx2.Response) -> str:
    token: str = answered(response)["access_token"]
    return token


def payload(token: str) -> Json:
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def with_host(slug: OrgClient) -> dict[str, str]:
    return {"Host": f"{slug.org}.api-se.playground.norce.tech"}


# Giving


def test_a_token_is_a_bearer_for_an_hour(slug: OrgClient) -> None:
    said = answered(request_token(slug, scope="playground"))

    assert said.keys() == {"access_token", "expires_in", "token_type", "scope"}
    assert (said["expires_in"], said["token_type"], said["scope"]) == (3600, "Bearer", "playground")


def test_a_token_is_a_jwt_that_names_client_and_scope(slug: OrgClient) -> None:
    token = token_of(request_token(slug, scope="playground stage"))

    said = payload(token)
    assert said["exp"] - said["iat"] == 3600
    assert said["scope"] == ["playground", "stage"]
    assert said["claims"] == {"client": "integration"}
    header = json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "=="))
    assert header["typ"] == "at+jwt"


@pytest.mark.parametrize(
    ("scope", "granted"),
    [
        ("playground", "playground"),
        ("playground stage prod", "playground stage prod"),
        ("prod prod", "prod"),
        ("production", "production"),
        ("lab qa", "lab qa"),
        (None, "playground stage prod"),
        ("", "playground stage prod"),
    ],
)
def test_the_scope_names_environments(slug: OrgClient, scope: str | None, granted: str) -> None:
    assert answered(request_token(slug, scope=scope))["scope"] == granted


@pytest.mark.parametrize("scope", ["Playground", "playground nowhere", "norce.management"])
def test_a_scope_that_is_no_environment_is_rejected(slug: OrgClient, scope: str) -> None:
    body = rejected(slug, request_token(slug, scope=scope), 400, "invalid-scope")

    assert body == {"error": "invalid_scope"}


def test_an_unknown_client_is_rejected_with_400(slug: OrgClient) -> None:
    body = rejected(slug, request_token(slug, client_secret="invalid"), 400, "invalid-client")

    assert body == {"error": "invalid_client"}


def test_another_grant_type_is_rejected(slug: OrgClient) -> None:
    body = rejected(slug, request_token(slug, grant_type="password"), 400, "unsupported-grant-type")

    assert body == {"error": "unsupported_grant_type"}


@pytest.mark.parametrize("member", ["grant_type", "client_id", "client_secret"])
def test_a_request_without_a_member_is_rejected(slug: OrgClient, member: str) -> None:
    body = rejected(slug, request_token(slug, **{member: None}), 400, "invalid-request")

    assert body == {"error": "invalid_request"}


def test_a_request_that_is_no_form_is_rejected(slug: OrgClient) -> None:
    response = slug.request("POST", TOKEN, {"grant_type": "x"}, headers={"Sandbox-Org": slug.org})

    assert rejected(slug, response, 415, "unsupported-media-type") == {"error": "invalid_request"}


# The limit


def test_as_many_tokens_as_one_likes_unless_they_are_limited(slug: OrgClient) -> None:
    for _ in range(25):
        assert request_token(slug).status_code == 200


def test_tokens_are_limited_to_twenty_at_once_and_three_a_minute(slug: OrgClient) -> None:
    choose(slug, token_rate_limit=True)
    for _ in range(20):
        assert request_token(slug).status_code == 200
    assert rejected(slug, request_token(slug), 429, "too-many-requests") == {"error": "too_many_requests"}

    slug.advance("PT1M")

    statuses = [request_token(slug).status_code for _ in range(4)]
    assert statuses == [200, 200, 200, 429]


def test_rejected_requests_count_for_the_limit_too(slug: OrgClient) -> None:
    choose(slug, token_rate_limit=True)
    for _ in range(20):
        assert request_token(slug, client_secret="invalid").status_code == 400

    assert request_token(slug).status_code == 429


def test_the_limit_is_each_customers_own(slug: OrgClient) -> None:
    choose(slug, token_rate_limit=True)
    for _ in range(21):
        request_token(slug)

    assert request_token(neighbour(slug)).status_code == 200


# Opening


def test_a_token_opens_the_promotions_until_it_expires(slug: OrgClient) -> None:
    token = token_of(request_token(slug))
    slug.advance("PT3599S")
    assert ask(slug, "GET", bearer=token).status_code == 200

    slug.advance("PT1S")

    response = ask(slug, "GET", bearer=token)
    rejected(slug, response, 401, "expired-credentials")
    assert response.headers["www-authenticate"] == 'Bearer error="invalid_token"'


def test_a_token_of_a_host_is_that_customers(slug: OrgClient) -> None:
    token = token_of(request_token(slug, headers=with_host(slug)))
    inserted(slug, Name="Spring")

    response = slug.request(
        "GET", "/commerce/management/1.0/api/promotion", headers={"Authorization": f"Bearer {token}"}
    )

    assert [promotion["Name"] for promotion in answered(response)] == ["Spring"]


def test_a_token_of_another_customer_is_rejected(slug: OrgClient) -> None:
    token = token_of(request_token(neighbour(slug)))

    response = ask(slug, "GET", bearer=token)

    rejected(slug, response, 403, "foreign-credentials")


@pytest.mark.parametrize(("scope", "granted"), [("stage playground", ["stage", "playground"]), ("prod", ["prod"])])
def test_a_token_says_what_the_vendors_say(slug: OrgClient, scope: str, granted: list[str]) -> None:
    token = token_of(request_token(slug, scope=scope))

    assert json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "=="))["typ"] == "at+jwt"
    said = payload(token)
    now = int(datetime.fromisoformat(NOW).timestamp())
    assert (said["nbf"], said["exp"]) == (now, now + 3600)
    assert (said["client_id"], said["scope"], said["aud"]) == ("integration", granted, "Norce Management")
    assert said["iss"]
    assert ask(slug, "GET", bearer=token).status_code == 200


def test_a_token_of_another_customer_is_never_validated_by_this_ones_clock(slug: OrgClient) -> None:
    token = token_of(request_token(neighbour(slug)))
    slug.advance("P1Y")

    rejected(slug, ask(slug, "GET", bearer=token), 403, "foreign-credentials")


def test_without_a_host_the_client_names_the_customer(slug: OrgClient) -> None:
    token = token_of(request_token(slug, headers={}, client_id=slug.org))

    assert payload(token)["org"] == slug.org


def test_a_token_names_its_client_where_no_account_is_named(slug: OrgClient) -> None:
    token = token_of(request_token(slug))

    promotion = answered(ask(slug, "POST", "", {"Status": "Active"}, bearer=token))
    after = answered(ask(slug, "PUT", f"/{promotion['Id']}", {}, bearer=token))

    assert promotion["CreatedByName"] == "integration"
    assert (after["StoppedBy"], after["StoppedByName"], after["ChangedBy"]) == (0, "integration", "integration")


def test_an_integrators_way(slug: OrgClient) -> None:
    """A token, a promotion, a thousand codes, ten of them claimed, and the promotion stopped."""
    token = token_of(request_token(slug, headers=with_host(slug), scope="playground"))
    host = with_host(slug) | {"application-id": "5", "account-id": "7"}

    def go(method: str, path: str = "", body: Json = None) -> Json:
        return answered(ask(slug, method, path, body, bearer=token, headers=host))

    promotion = go(
        "POST",
        "",
        {
            "Name": "Spring",
            "Status": "Active",
            "AllowedUsageCount": 1000,
            "Requirements": [{"RequirementType": "UniqueDiscountCode"}],
            "Effects": [{"EffectType": "DiscountBasket", "IsDiscount": True, "Value": 20}],
        },
    )
    path = f"/{promotion['Id']}"
    many = [{"DiscountCode": f"SPRING-{number:04}"} for number in range(1000)]
    assert go("POST", f"{path}/unique-codes", many) == 1000
    claimed = [{**code, "IsClaimed": True, "ClaimedFromSource": "Till"} for code in many[:10]]
    assert go("PUT", f"{path}/unique-codes", claimed) == {}
    go("PUT", path, {**go("GET", path), "Status": "Inactive"})

    after = go("GET", path)
    assert (after["Status"], after["StoppedBy"], after["StoppedByName"]) == ("Inactive", 7, "Account 7")
    assert (after["UniqueDiscountCodeCount"], after["UniqueDiscountCodeUsedCount"]) == (1000, 10)
    assert sum(code["IsClaimed"] for code in go("GET", f"{path}/unique-codes")) == 10
    assert after["Requirements"][0]["Id"] == promotion["Requirements"][0]["Id"]


def test_an_update_keeps_who_made_a_promotion(slug: OrgClient) -> None:
    promotion = inserted(slug, account=3)

    assert updated(slug, promotion, account=4)["CreatedByName"] == "Account 3"
