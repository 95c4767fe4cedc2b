"""A storefront in JavaScript, which knows only Emporix's documentation, serves a customer from signup to logout."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.patience import PROGRAM
from tests.serving import Json, OrgClient

STOREFRONT = Path(__file__).parent / "storefront.mjs"
NODE = shutil.which("node")

pytestmark = pytest.mark.skipif(NODE is None, reason="there is no node on this machine")


@pytest.fixture
def tenant(org_client: OrgClient) -> OrgClient:
    """The org under a name that a tenant may have."""
    org_client.org = org_client.org.replace("-", "")
    return org_client


def visit(tenant: OrgClient, manner: str) -> Json:
    """What the storefront reports."""
    assert NODE is not None
    command = [NODE, str(STOREFRONT), tenant.url, tenant.org, manner]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PROGRAM, check=False)  # noqa: S603 - our own
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def journalled(tenant: OrgClient) -> list[str]:
    requests = tenant.admin("GET", "/requests?limit=100").json()["requests"]
    assert [request["internal_error"] for request in requests if request["internal_error"]] == []
    return [request["operation"] for request in reversed(requests)]


@pytest.mark.parametrize(
    ("manner", "version"), [("sdk", "current"), ("showcase", "2021")], ids=["as-the-sdk", "as-the-showcase"]
)
def test_a_storefront_serves_a_customer_from_signup_to_logout(tenant: OrgClient, manner: str, version: str) -> None:
    tenant.seed("emporix", settings=[{"reward_points_version": version}])

    seen = visit(tenant, manner)

    assert len(seen["customerNumber"]) == 8
    assert seen["rejection"]["status"] == 400
    assert seen["rejection"]["type"] == "business_error"
    assert [detail["type"] for detail in seen["rejection"]["details"]] == ["coupon_redemptions_exceeded"]
    assert seen["afterwards"]["fault"]["detail"]["errorcode"] == "oauth.v2.InvalidAccessToken"
    assert {"signUp", "logIn", "getMe", "logOut", "requestToken", "anonymousLogin"} <= set(journalled(tenant))


def test_what_the_storefront_did_is_in_the_state(tenant: OrgClient) -> None:
    seen = visit(tenant, "showcase")

    documents = tenant.state()["emporix"]
    assert [entry["document"]["id"] for entry in documents["customers"]] == [seen["customerNumber"]]
    assert [entry["document"]["id"] for entry in documents["coupon_redemptions"]] == [seen["redemption"]]
    assert len(documents["logouts"]) == 1
