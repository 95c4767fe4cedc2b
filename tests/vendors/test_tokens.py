"""A token is the same whether the vendor's own operation or the admin API issued it."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx2
import pytest

from tests.serving import Json, OrgClient
from tests.vendors import emporix_identity_support as emporix
from tests.vendors import enfore_support as enfore
from tests.vendors import norce_support as norce


def payload(token: str) -> Json:
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def of_admin(org_client: OrgClient, vendor: str, **terms: Any) -> Json:
    """What a token from the admin API says."""
    issued = org_client.admin("POST", "/tokens", {"vendor": vendor, **terms})
    assert issued.status_code == 201, issued.text
    return payload(issued.json()["access_token"])


def same(one: Json, other: Json) -> None:
    """Two tokens say the same in the same order, except for their numbers."""
    assert one.pop("jti") != other.pop("jti")
    assert list(one.items()) == list(other.items())


@pytest.fixture
def standing(org_client: OrgClient) -> OrgClient:
    return emporix.as_tenant(org_client)


def authorized(org_client: OrgClient) -> str:
    response = org_client.http.get(
        f"{org_client.url}/auth/authorize/{org_client.org}", headers={"Authorization": enfore.basic("till", "secret")}
    )
    assert response.status_code == 200, response.text
    token: str = response.json()["accessToken"]
    return token


def test_a_token_of_norce_is_the_same_from_both_doors(standing: OrgClient) -> None:
    own = norce.answered(norce.request_token(standing, scope="playground stage"))["access_token"]

    issued = of_admin(standing, "norce", scopes=["playground", "stage"], claims={"client": "integration"})

    same(payload(own), issued)
    assert (issued["aud"], issued["client_id"], issued["scope"]) == (
        "Norce Management",
        "integration",
        ["playground", "stage"],
    )


def test_a_token_of_norce_that_names_nothing_has_all_that_the_vendors_have(standing: OrgClient) -> None:
    own = payload(norce.answered(norce.request_token(standing))["access_token"])

    issued = of_admin(standing, "norce")

    assert own.keys() - issued.keys() == {"claims"}
    assert (issued["nbf"], issued["aud"], issued["client_id"]) == (own["nbf"], own["aud"], "sandbox")
    assert issued["scope"] == own["scope"] == ["playground", "stage", "prod"]


def test_a_token_of_enfore_is_the_same_from_both_doors(standing: OrgClient) -> None:
    same(payload(authorized(standing)), of_admin(standing, "enfore", tenant=standing.org))


def test_a_token_of_enfore_from_the_admin_api_is_no_login_token(standing: OrgClient) -> None:
    token = enfore.issue_token(standing)

    def use(path: str) -> httpx2.Response:
        return standing.http.get(standing.url + path, headers={"Authorization": f"Bearer {token}"})

    assert use(enfore.cards(standing) + enfore.EVER).status_code == 200
    response = use(f"/auth/authorize/{standing.org}")
    enfore.assert_rejected(standing, response, 401, "invalid-credentials")


def test_a_service_token_of_emporix_is_the_same_from_both_doors(standing: OrgClient) -> None:
    own = emporix.request_token(standing, scope=f"tenant={standing.org} coupon.coupon_read").json()["access_token"]

    same(
        payload(own),
        of_admin(standing, "emporix", tenant=standing.org, scopes=["coupon.coupon_read"], expires_in=14399),
    )


def test_a_customer_token_of_emporix_is_the_same_from_both_doors(standing: OrgClient) -> None:
    emporix.sign_up(standing)
    own = payload(emporix.log_in(standing).json()["access_token"])

    issued = of_admin(
        standing,
        "emporix",
        tenant=standing.org,
        customer=own["sub"],
        scopes=own["scope"].split(),
        claims=own["claims"],
        expires_in=2591999,
    )

    same(own, issued)


def test_a_customer_token_of_emporix_from_the_admin_api_has_a_session(standing: OrgClient) -> None:
    issued = standing.admin("POST", "/tokens", {"vendor": "emporix", "tenant": standing.org, "customer": "C1"}).json()

    said = emporix.validate(standing, issued["access_token"]).json()

    assert said["sessionId"] == payload(issued["access_token"])["claims"]["session"]
