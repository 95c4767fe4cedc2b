"""Tokens of services, visitors and customers."""

from __future__ import annotations

import re

from promo_sandbox.rules import Call, Doc, Grant, Rejected, Reply, TokenTerms, Violation
from promo_sandbox.vendors.emporix.customers import CUSTOMERS, folded, legal_entities
from promo_sandbox.vendors.emporix.rules import rules

# Every scope of the coupon and the reward-points API: what a service gets that asks for none.
# Source: documented, the references of both (one writes `rewards`, then `reward`).
_SCOPES = (
    "coupon.coupon_manage",
    "coupon.coupon_read",
    "coupon.coupon_redeem",
    "coupon.coupon_redeem_on_behalf",
    "rewardspoints.rewardpoints_manage",
    "rewardspoints.rewardpoints_view",
)
# Documented: customer management, the example of validating a token, in its order.
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
_SERVICE = 14399
_ANONYMOUS = 3599
_CUSTOMER = 2591999
_REFRESH = 86399
_SECOND = 1_000_000_000  # in the unit of moments

_TENANT = re.compile(r"[a-z][a-z0-9]{2,15}", re.ASCII)


# Documents


def _logout_dues(doc: Doc) -> list[tuple[int, str]]:
    return [(doc["expires"] * _SECOND, "forget-logout")] if "expires" in doc else []


LOGOUTS = rules.collection("logouts", indexes=lambda _, created: [("logouts", created)], timers=_logout_dues)


@rules.on_timer("forget-logout")
def forget_logout(call: Call, id: str) -> None:
    """A token that was logged out expires, so that the logout need not be remembered any longer."""
    call.delete(LOGOUTS, id)


# Bearers


@rules.on_admission
def judge_bearer(call: Call) -> None:
    """Documented: a token that was logged out is invalid, and a request without a tenant. Inferred: refresh and SaaS
    tokens open nothing."""
    grant = call.grant
    assert grant is not None  # a request with credentials comes here, and nothing else
    assert call.operation is not None
    assert call.request is not None
    bearer = (call.request.header(b"authorization") or "").partition(" ")[2]
    if "kind" in grant.claims or _is_logged_out(call, bearer):
        call.reject("invalid-credentials")
    if not call.org_named:
        # Nothing tells the tenant, and whatever was booked would be found by nobody.
        where, ways = "header.Emporix-Tenant", "nor the token's scope (tenant=…), nor the header Emporix-Tenant"
        raise Rejected(
            "invalid-request", violations=[Violation(where, f"neither the path {ways} names a tenant", "required")]
        )
    if "invalid-tenant" in call.operation.rejections and not _TENANT.fullmatch(call.tenant):
        call.reject("invalid-tenant")


def _is_logged_out(call: Call, token: str) -> bool:
    return call.size("logouts") > 0 and call.get(LOGOUTS, _signature(token)) is not None


def _signature(token: str) -> str:
    """What tells a token from all others: its number may have been given out by another tenant, or before a reset."""
    return token.strip().rpartition(".")[2]


def _session(grant: Grant | None, call: Call) -> str:
    """Documented: the session of the anonymous token goes on. A bearer that carries none begins one."""
    return (grant.claims.get("session") if grant else None) or call.new_uuid()


def _scope(scopes: list[str], tenant: str | None) -> str:
    """Documented: the tenant comes last."""
    return " ".join([*scopes, f"tenant={tenant}"] if tenant else scopes)


@rules.on_token
def complete(call: Call, terms: TokenTerms) -> TokenTerms:
    """Documented: a customer's token has a session. One that the admin API issues begins one."""
    claims = terms.claims
    if terms.customer is None or "session" in claims or "kind" in claims:
        return terms
    return terms._replace(claims={**claims, "session": call.new_uuid()})


# Services


@rules.operation("requestToken")
def request_token(call: Call) -> Reply:
    """Documented: one grant type; the scopes that were asked for, or all of the client; no refresh token."""
    asked = call.body
    if asked["grant_type"] != "client_credentials":
        call.reject("unsupported-grant-type", f"Unsupported grant type : {asked['grant_type'][:100]}")
    if not call.knows_client(asked["client_id"], asked["client_secret"]):
        call.reject("invalid-client")
    words = list(dict.fromkeys(asked.get("scope", "").split()))
    named = [word.removeprefix("tenant=") for word in words if word.startswith("tenant=")]
    tenant: str | None = next(filter(None, named), call.headers.get("Emporix-Tenant"))
    if tenant is not None and not _TENANT.fullmatch(tenant):
        call.reject("invalid-scope", f"The tenant {tenant[:100]} cannot be one")
    scopes = [word for word in words if not word.startswith("tenant=")] or list(_SCOPES)
    # A token for no tenant has no clock to expire by, and is taken for every tenant.
    bound = call.org_named
    token = call.issue_token(tenant=tenant, scopes=scopes, seconds=_SERVICE if bound else None, any_org=not bound)
    return call.reply(
        {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": _SERVICE,
            "session_idle_time": 120,
            "refresh_token": "",
            "refresh_token_expires_in": 0,
            "scope": _scope(scopes, tenant),
        }
    )


# Visitors


@rules.operation("anonymousLogin")
def anonymous_login(call: Call) -> Reply:
    tenant = _visited(call)
    return _anonymous_token(call, tenant, call.new_uuid())


@rules.operation("anonymousRefresh")
def anonymous_refresh(call: Call) -> Reply:
    """Documented: the session stays; `anonymous_token`, the access token, is what was sent formerly."""
    tenant = _visited(call)
    token, former = call.query.get("refresh_token"), call.query.get("anonymous_token")
    if token is None and former is None:
        call.reject("missing-refresh-token")
    grant = _granted(call, token or former or "", tenant, kind=None if token is None else "refresh")
    if grant is None or grant.customer is not None or "session" not in grant.claims:
        call.reject("invalid-refresh-token")
    return _anonymous_token(call, tenant, grant.claims["session"])


def _visited(call: Call) -> str:
    """Documented: `tenant`; `hybris-tenant` is what the vendor's own storefront sends."""
    tenant: str | None = call.query.get("tenant", call.query.get("hybris-tenant"))
    if tenant is None:
        call.reject("missing-tenant")
    return tenant


def _anonymous_token(call: Call, tenant: str, session: str) -> Reply:
    """Documented: the only scope of an anonymous token is its tenant."""
    session_claim = {"session": session}
    return call.reply(
        {
            "access_token": call.issue_token(tenant=tenant, scopes=(), seconds=_ANONYMOUS, claims=session_claim),
            "token_type": "Bearer",
            "expires_in": _ANONYMOUS,
            "refresh_token": call.issue_token(
                tenant=tenant, scopes=(), seconds=_REFRESH, claims={**session_claim, "kind": "refresh"}
            ),
            "refresh_token_expires_in": _REFRESH,
            "sessionId": session,
            "scope": _scope([], tenant),
        }
    )


def _granted(call: Call, token: str, tenant: str, *, kind: str | None) -> Grant | None:
    """What a token of this kind, if it lives and is for the tenant, grants."""
    grant = call.read_token(token)
    fits = grant is not None and grant.claims.get("kind") == kind and grant.tenant in (None, tenant)
    return grant if fits and not _is_logged_out(call, token) else None


# Customers


@rules.operation("logIn")
def log_in(call: Call) -> Reply:
    """Documented: the bearer is an anonymous token, whose session goes on; the profile shows the last login."""
    customer = call.find(CUSTOMERS, "account", folded(call.body["email"]))
    if customer is None or customer.get("password") != call.body["password"]:
        call.reject("wrong-password")
    customer = call.update(CUSTOMERS, customer, lastLogin=call.now_text)
    session = _session(call.grant, call)
    saas = call.issue_token(
        tenant=call.tenant, scopes=(), customer=customer["id"], seconds=_CUSTOMER, claims={"kind": "saas"}
    )
    tokens = _customer_tokens(call, customer["id"], {"session": session})
    initial = "true" if customer.get("initialPassword") else "false"
    return call.reply({**tokens, "saas_token": saas, "saasToken": saas, "initialPassword": initial})


@rules.operation("refreshAuthToken")
def refresh_auth_token(call: Call) -> Reply:
    """Documented: same session; `legalEntityId` is embedded if the customer is assigned to it.

    Inferred: without one, the token keeps the one it has.
    """
    grant = _granted(call, call.query["refreshToken"], call.tenant, kind="refresh")
    if grant is None or grant.customer is None or _is_logged_out(call, grant.claims.get("access", "")):
        call.reject("invalid-refresh-token")
    named = call.query.get("legalEntityId")
    if named is not None and named not in legal_entities(call, grant.customer):
        call.reject("legal-entity-not-assigned", f"The customer is not assigned to the legal entity {named[:100]}.")
    claims = {"session": _session(grant, call)}
    legal_entity = named or grant.claims.get("legal_entity")
    if legal_entity is not None:
        claims["legal_entity"] = legal_entity
    return call.reply(_customer_tokens(call, grant.customer, claims))


def _customer_tokens(call: Call, customer: str, claims: dict[str, str]) -> Doc:
    """Both spellings, since clients read either. Source: documented, the camelCase one as deprecated."""
    access = call.issue_token(
        tenant=call.tenant, scopes=_CUSTOMER_SCOPES, customer=customer, seconds=_CUSTOMER, claims=claims
    )
    kind = {"kind": "refresh", "access": _signature(access)}
    refresh = call.issue_token(
        tenant=call.tenant, scopes=(), customer=customer, seconds=_REFRESH, claims={**claims, **kind}
    )
    return {
        "access_token": access,
        "expires_in": _CUSTOMER,
        "refresh_token": refresh,
        "refresh_token_expires_in": _REFRESH,
        "token_type": "Bearer",
        "session_id": claims["session"],
        "accessToken": access,
        "expiresIn": _CUSTOMER,
        "refreshToken": refresh,
        "refreshTokenExpiresIn": _REFRESH,
    }


@rules.operation("validateAuthToken")
def validate_auth_token(call: Call) -> Reply:
    """Documented: scope, session, mail address and legal entity of a customer's token."""
    grant = call.grant
    if grant is None or grant.customer is None:
        call.reject("not-logged-in")
    scopes = _CUSTOMER_SCOPES if grant.scopes is None else sorted(grant.scopes)
    content: Doc = {
        "token_type": "Bearer",
        "expires_in": _CUSTOMER if grant.expires is None else (grant.expires - call.now) // _SECOND,
        "scope": _scope(list(scopes), call.tenant),
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
    """Documented: the token is invalidated. Inferred: what is none, or has ended, needs no ending."""
    token = call.query["accessToken"]
    grant = _granted(call, token, call.tenant, kind=None)
    if grant is not None and grant.issued:
        until = {} if grant.expires is None else {"expires": grant.expires // _SECOND}
        call.add(LOGOUTS, {"id": _signature(token), **until})
    return call.reply()
