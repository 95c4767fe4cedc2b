"""What the tests of Emporix's tokens and customers share: short ways to get tokens, and to be rejected."""

from __future__ import annotations

from urllib.parse import urlencode

import httpx2

from tests.serving import Json, OrgClient

NOW = "2030-01-01T12:00:00.000Z"
PASSWORD = "geheim-genug"
SECRET = {"grant_type": "client_credentials", "client_id": "backoffice", "client_secret": "geheim"}

ALL_SCOPES = (
    "coupon.coupon_manage coupon.coupon_read coupon.coupon_redeem coupon.coupon_redeem_on_behalf"
    " rewardspoints.rewardpoints_manage rewardspoints.rewardpoints_view"
)
CUSTOMER_SCOPES = {
    "approval.approval_manage_own",
    "approval.approval_read_own",
    "coupon.coupon_redeem",
    "customer.consent_manage",
    "customer.consent_view",
    "customer.customer_manage_own",
    "customer.customer_read_own",
    "customer.customerprofile_edit",
    "customer.customerprofile_view",
    "customermanagement.legalentity_read_own",
    "customersegment.segment_read_own",
    "iam.assignment_create_own",
    "iam.assignment_delete_own",
    "iam.group_read_own",
    "iam.scope_read_own",
    "iam.user_read_own",
    "order.history_view",
    "order.order_readascustomer",
    "order.order_updateascustomer",
    "quote.quote_manage_own",
    "quote.quote_read_own",
    "returns.returns_manage_own",
    "returns.returns_read_own",
}
INVALID_TOKEN = {
    "fault": {"faultstring": "Invalid access token", "detail": {"errorcode": "oauth.v2.InvalidAccessToken"}}
}
EXPIRED_TOKEN = {
    "fault": {
        "faultstring": "Access Token expired",
        "detail": {"errorcode": "keymanagement.service.access_token_expired"},
    }
}


def as_tenant(org_client: OrgClient) -> OrgClient:
    """The org under a name that a tenant may have, at a time that stands still."""
    org_client.org = org_client.org.replace("-", "")
    org_client.freeze(NOW)
    return org_client


def neighbour(tenant: OrgClient) -> OrgClient:
    """Another tenant, whose clock stands at `NOW` too."""
    return as_tenant(OrgClient(tenant.url, f"{tenant.org}-x", tenant.http))


# Requests


def get(
    tenant: OrgClient,
    path: str,
    bearer: str | None = "any",
    *,
    headers: dict[str, str] | None = None,
    query: dict[str, str] | None = None,
) -> httpx2.Response:
    sent = ({"Authorization": f"Bearer {bearer}"} if bearer else {}) | (headers or {})
    return tenant.http.get(f"{tenant.url}{path}", params=query, headers=sent)


def request_token(tenant: OrgClient, headers: dict[str, str] | None = None, **form: str | None) -> httpx2.Response:
    """POST /oauth/token; a member of the form given as None is left out."""
    sent = {name: value for name, value in {**SECRET, **form}.items() if value is not None}
    return tenant.http.post(
        f"{tenant.url}/oauth/token",
        content=urlencode(sent),
        headers={"Content-Type": "application/x-www-form-urlencoded", **(headers or {})},
    )


def anonymous_login(tenant: OrgClient, /, **query: str) -> httpx2.Response:
    query = query or {"tenant": tenant.org, "client_id": "storefront"}
    return tenant.http.get(f"{tenant.url}/customerlogin/auth/anonymous/login", params=query)


def anonymous_refresh(tenant: OrgClient, /, **query: str) -> httpx2.Response:
    query = {"tenant": tenant.org, "client_id": "storefront", **query}
    return tenant.http.get(f"{tenant.url}/customerlogin/auth/anonymous/refresh", params=query)


def post(tenant: OrgClient, operation: str, body: Json, bearer: str = "any") -> httpx2.Response:
    return tenant.request(
        "POST", f"/customer/{tenant.org}/{operation}", body, headers={"Authorization": f"Bearer {bearer}"}
    )


def sign_up(tenant: OrgClient, email: str = "ada@example.com", bearer: str = "any", **members: Json) -> httpx2.Response:
    return post(tenant, "signup", {"email": email, "password": PASSWORD, **members}, bearer)


def log_in(
    tenant: OrgClient, email: str = "ada@example.com", password: str = PASSWORD, bearer: str = "any"
) -> httpx2.Response:
    return post(tenant, "login", {"email": email, "password": password}, bearer)


def refresh(tenant: OrgClient, refresh_token: str, bearer: str = "any", **query: str) -> httpx2.Response:
    query = {"refreshToken": refresh_token, **query}
    return get(tenant, f"/customer/{tenant.org}/refreshauthtoken", bearer, query=query)


def validate(tenant: OrgClient, bearer: str) -> httpx2.Response:
    return get(tenant, f"/customer/{tenant.org}/validateauthtoken", bearer)


def me(tenant: OrgClient, bearer: str, **query: str) -> httpx2.Response:
    return get(tenant, f"/customer/{tenant.org}/me", bearer, query=query)


def log_out(tenant: OrgClient, access_token: str, bearer: str = "any") -> httpx2.Response:
    return get(tenant, f"/customer/{tenant.org}/logout", bearer, query={"accessToken": access_token})


def list_coupons(tenant: OrgClient, bearer: str) -> httpx2.Response:
    """A request that asks for a scope."""
    return get(tenant, f"/coupon/{tenant.org}/coupons", bearer)


# Steps that succeed


def answered(response: httpx2.Response, status: int = 200) -> Json:
    assert response.status_code == status, response.text
    return response.json()


def visitor(tenant: OrgClient) -> Json:
    return answered(anonymous_login(tenant))


def customer(tenant: OrgClient, email: str = "ada@example.com") -> Json:
    """A new customer's login, and the customer's number as `number`."""
    number = answered(sign_up(tenant, email), 201)["id"]
    return {**answered(log_in(tenant, email)), "number": number}


def rejected(tenant: OrgClient, response: httpx2.Response, status: int, name: str) -> Json:
    """The newest answer is this rejection, and nothing came of it; the body."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    exchange = tenant.last()
    assert exchange["rejection"] == name
    assert (exchange["internal_error"], exchange["changes"], exchange["events"]) == (None, [], [])
    return response.json()
