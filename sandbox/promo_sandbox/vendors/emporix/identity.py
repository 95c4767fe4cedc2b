"""Operations on the tokens of services, visitors and customers, and the checks of a bearer token."""

from __future__ import annotations

import re

from promo_sandbox.rules import Call, Doc, Grant, Rejected, Reply, TokenTerms, Violation
from promo_sandbox.vendors.emporix.customers import CUSTOMERS, legal_entities, normalize_email
from promo_sandbox.vendors.emporix.rules import rules

# Every scope of the coupon and reward-points APIs. A service that requests no scope gets all of them.
# Source: documented, the references of both APIs (one writes `rewards`, then `reward`).
_SERVICE_SCOPES = (
    "coupon.coupon_manage",
    "coupon.coupon_read",
    "coupon.coupon_redeem",
    "coupon.coupon_redeem_on_behalf",
    "rewardspoints.rewardpoints_manage",
    "rewardspoints.rewardpoints_view",
)
# Documented: customer management, the example of validating a token, in that order.
_CUSTOMER_SCOPES = (
    "approval.approval_read_own",
    "customermanagement.legalentity_read_own",
    "customer.customer_read_own",
    "quote.quote_read_own",
    "returns.returns_read_own",
    "iam.scope_read_own",
    "iam.user_read_own",
    "customersegment.segment_read_own",
    "iam.group_read_own",
    "order.order_readascustomer",
    "coupon.coupon_redeem",
    "customer.customerprofile_edit",
    "quote.quote_manage_own",
    "returns.returns_manage_own",
    "customer.customer_manage_own",
    "approval.approval_manage_own",
    "order.order_updateascustomer",
    "iam.assignment_delete_own",
    "customer.consent_view",
    "customer.customerprofile_view",
    "order.history_view",
    "iam.assignment_create_own",
    "customer.consent_manage",
)

# Lifetimes in seconds. Source: documented, the examples of each token.
_SERVICE_TTL = 14399
_ANONYMOUS_TTL = 3599
_CUSTOMER_TTL = 2591999
_REFRESH_TTL = 86399
_NANOSECONDS = 1_000_000_000  # of a second

_TENANT = re.compile(r"[a-z][a-z0-9]{2,15}", re.ASCII)


# Documents


def _logout_timers(doc: Doc) -> list[tuple[int, str]]:
    return [(doc["expires"] * _NANOSECONDS, "forget-logout")] if "expires" in doc else []


LOGOUTS = rules.collection("logouts", indexes=lambda _, created: [("logouts", created)], timers=_logout_timers)


@rules.on_timer("forget-logout")
def forget_logout(call: Call, id: str) -> None:
    """Deletes the record of a logout, because the token of that logout has expired."""
    call.delete(LOGOUTS, id)


# Bearers


@rules.on_admission
def check_bearer(call: Call) -> None:
    """Documented: a token after logout is invalid, and so is a request without a tenant.

    Inferred: refresh tokens and SaaS tokens are not accepted as bearer tokens.
    """
    grant = call.grant
    assert grant is not None  # called only for requests with credentials
    assert call.operation is not None
    assert call.request is not None
    bearer = (call.request.header(b"authorization") or "").partition(" ")[2]
    if "kind" in grant.claims or _is_logged_out(call, bearer):
        call.reject("invalid-credentials")
    if not call.org_named:
        # Without a tenant, the client could not find the documents that it creates.
        where, ways = "header.Emporix-Tenant", "nor the token's scope (tenant=…), nor the header Emporix-Tenant"
        raise Rejected(
            "invalid-request", violations=[Violation(where, f"neither the path {ways} names a tenant", "required")]
        )
    if "invalid-tenant" in call.operation.rejections and not _TENANT.fullmatch(call.tenant):
        call.reject("invalid-tenant")


def _is_logged_out(call: Call, token: str) -> bool:
    return call.list_size("logouts") > 0 and call.get(LOGOUTS, _signature(token)) is not None


def _signature(token: str) -> str:
    """The signature identifies a token. Its number may exist in another tenant too, or be used again after a reset."""
    return token.strip().rpartition(".")[2]


def _session_of(grant: Grant | None, call: Call) -> str:
    """Documented: the session of the anonymous token continues. A token without a session starts one."""
    return (grant.claims.get("session") if grant else None) or call.new_uuid()


def _scope_text(scopes: list[str], tenant: str | None) -> str:
    """Documented: the tenant is last."""
    return " ".join([*scopes, f"tenant={tenant}"] if tenant else scopes)


@rules.on_token
def add_session(call: Call, terms: TokenTerms) -> TokenTerms:
    """Documented: a customer's token has a session. A token that the admin API issues starts one."""
    claims = terms.claims
    if terms.customer is None or "session" in claims or "kind" in claims:
        return terms
    return terms._replace(claims={**claims, "session": call.new_uuid()})


# Services


@rules.operation("requestToken")
def request_token(call: Call) -> Reply:
    """Documented: one grant type, no refresh token, and the requested scopes or else all of the client."""
    body = call.body
    if body["grant_type"] != "client_credentials":
        call.reject("unsupported-grant-type", f"Unsupported grant type : {body['grant_type'][:100]}")
    if not call.knows_client(body["client_id"], body["client_secret"]):
        call.reject("invalid-client")
    words = list(dict.fromkeys(body.get("scope", "").split()))
    requested = [word.removeprefix("tenant=") for word in words if word.startswith("tenant=")]
    tenant: str | None = next(filter(None, requested), call.headers.get("Emporix-Tenant"))
    if tenant is not None and not _TENANT.fullmatch(tenant):
        call.reject("invalid-scope", f"The tenant {tenant[:100]} cannot be one")
    scopes = [word for word in words if not word.startswith("tenant=")] or list(_SERVICE_SCOPES)
    # A token without a tenant is accepted for every tenant. It has no org's clock, so it never expires.
    seconds = _SERVICE_TTL if call.org_named else None
    token = call.issue_token(tenant=tenant, scopes=scopes, seconds=seconds, any_org=not call.org_named)
    return call.reply(
        {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": _SERVICE_TTL,
            "session_idle_time": 120,
            "refresh_token": "",
            "refresh_token_expires_in": 0,
            "scope": _scope_text(scopes, tenant),
        }
    )


# Visitors


@rules.operation("anonymousLogin")
def anonymous_login(call: Call) -> Reply:
    tenant = _tenant_of_query(call)
    return _anonymous_token(call, tenant, call.new_uuid())


@rules.operation("anonymousRefresh")
def anonymous_refresh(call: Call) -> Reply:
    """Documented: the session stays. Older clients send the access token, in `anonymous_token`."""
    tenant = _tenant_of_query(call)
    token, access_token = call.query.get("refresh_token"), call.query.get("anonymous_token")
    if token is None and access_token is None:
        call.reject("missing-refresh-token")
    grant = _read_valid_token(call, token or access_token or "", tenant, kind=None if token is None else "refresh")
    if grant is None or grant.customer is not None or "session" not in grant.claims:
        call.reject("invalid-refresh-token")
    return _anonymous_token(call, tenant, grant.claims["session"])


def _tenant_of_query(call: Call) -> str:
    """Documented: `tenant`. The vendor's own storefront sends `hybris-tenant`."""
    tenant: str | None = call.query.get("tenant", call.query.get("hybris-tenant"))
    if tenant is None:
        call.reject("missing-tenant")
    return tenant


def _anonymous_token(call: Call, tenant: str, session: str) -> Reply:
    """Documented: the only scope of an anonymous token is its tenant."""
    session_claim = {"session": session}
    return call.reply(
        {
            "access_token": call.issue_token(tenant=tenant, scopes=(), seconds=_ANONYMOUS_TTL, claims=session_claim),
            "token_type": "Bearer",
            "expires_in": _ANONYMOUS_TTL,
            "refresh_token": call.issue_token(
                tenant=tenant, scopes=(), seconds=_REFRESH_TTL, claims={**session_claim, "kind": "refresh"}
            ),
            "refresh_token_expires_in": _REFRESH_TTL,
            "sessionId": session,
            "scope": _scope_text([], tenant),
        }
    )


def _read_valid_token(call: Call, token: str, tenant: str, *, kind: str | None) -> Grant | None:
    """The grant of a valid token of this kind and tenant, otherwise None."""
    grant = call.read_token(token)
    fits = grant is not None and grant.claims.get("kind") == kind and grant.tenant in (None, tenant)
    return grant if fits and not _is_logged_out(call, token) else None


# Customers


@rules.operation("logIn")
def log_in(call: Call) -> Reply:
    """Documented: the session of the anonymous bearer token continues; the profile shows the last login."""
    customer = call.find(CUSTOMERS, "account", normalize_email(call.body["email"]))
    if customer is None or customer.get("password") != call.body["password"]:
        call.reject("wrong-password")
    customer = call.update(CUSTOMERS, customer, lastLogin=call.now_text)
    session = _session_of(call.grant, call)
    saas = call.issue_token(
        tenant=call.tenant, scopes=(), customer=customer["id"], seconds=_CUSTOMER_TTL, claims={"kind": "saas"}
    )
    tokens = _customer_tokens(call, customer["id"], {"session": session})
    initial = "true" if customer.get("initialPassword") else "false"
    return call.reply({**tokens, "saas_token": saas, "saasToken": saas, "initialPassword": initial})


@rules.operation("refreshAuthToken")
def refresh_auth_token(call: Call) -> Reply:
    """Documented: the session stays; the new token names `legalEntityId` if the customer is assigned to it.

    Inferred: without `legalEntityId`, the new token has the legal entity of the refresh token.
    """
    grant = _read_valid_token(call, call.query["refreshToken"], call.tenant, kind="refresh")
    if grant is None or grant.customer is None or _is_logged_out(call, grant.claims.get("access", "")):
        call.reject("invalid-refresh-token")
    requested = call.query.get("legalEntityId")
    if requested is not None and requested not in legal_entities(call, grant.customer):
        call.reject("legal-entity-not-assigned", f"The customer is not assigned to the legal entity {requested[:100]}.")
    claims = {"session": _session_of(grant, call)}
    legal_entity = requested or grant.claims.get("legal_entity")
    if legal_entity is not None:
        claims["legal_entity"] = legal_entity
    return call.reply(_customer_tokens(call, grant.customer, claims))


def _customer_tokens(call: Call, customer: str, claims: dict[str, str]) -> Doc:
    """The fields in both spellings, because clients read either. Source: documented, camelCase as deprecated."""
    access = call.issue_token(
        tenant=call.tenant, scopes=_CUSTOMER_SCOPES, customer=customer, seconds=_CUSTOMER_TTL, claims=claims
    )
    kind = {"kind": "refresh", "access": _signature(access)}
    refresh = call.issue_token(
        tenant=call.tenant, scopes=(), customer=customer, seconds=_REFRESH_TTL, claims={**claims, **kind}
    )
    return {
        "access_token": access,
        "expires_in": _CUSTOMER_TTL,
        "refresh_token": refresh,
        "refresh_token_expires_in": _REFRESH_TTL,
        "token_type": "Bearer",
        "session_id": claims["session"],
        "accessToken": access,
        "expiresIn": _CUSTOMER_TTL,
        "refreshToken": refresh,
        "refreshTokenExpiresIn": _REFRESH_TTL,
    }


@rules.operation("validateAuthToken")
def validate_auth_token(call: Call) -> Reply:
    """Documented: the scopes, session, mail address and legal entity of a customer's token."""
    grant = call.grant
    if grant is None or grant.customer is None:
        call.reject("not-logged-in")
    scopes = _CUSTOMER_SCOPES if grant.scopes is None else sorted(grant.scopes)
    content: Doc = {
        "token_type": "Bearer",
        "expires_in": _CUSTOMER_TTL if grant.expires is None else (grant.expires - call.now) // _NANOSECONDS,
        "scope": _scope_text(list(scopes), call.tenant),
    }
    customer = call.get(CUSTOMERS, grant.customer)
    if customer is not None:
        content["email"] = customer["email"]
    if "session" in grant.claims:
        content["sessionId"] = grant.claims["session"]
    if "legal_entity" in grant.claims:
        content["legalEntityId"] = grant.claims["legal_entity"]
    return call.reply(content)


@rules.operation("logOut")
def log_out(call: Call) -> Reply:
    """Documented: the token becomes invalid. Inferred: an unknown or expired token is ignored."""
    token = call.query["accessToken"]
    grant = _read_valid_token(call, token, call.tenant, kind=None)
    if grant is not None and grant.issued:
        until = {} if grant.expires is None else {"expires": grant.expires // _NANOSECONDS}
        call.add(LOGOUTS, {"id": _signature(token), **until})
    return call.reply()
