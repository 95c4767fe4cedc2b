"""Tokens of organisations: in one step with the application's secret, or in the older flow with a login token."""

from __future__ import annotations

from promo_sandbox.rules import Call, Reply, TokenTerms
from promo_sandbox.vendors.enfore.rules import rules

_LIFETIME = 3600  # seconds; inferred, because enfore publishes no lifetime


@rules.on_token
def add_audience(_: Call, terms: TokenTerms) -> TokenTerms:
    """Documented: an organisation's token is for the Promotions API; only a login token is for the Auth API."""
    return terms if terms.audience else terms._replace(audience="/promotions")


@rules.operation("authorize")
def authorize(call: Call) -> Reply:
    """Documented: the token is valid for this organisation only."""
    token = call.issue_token(tenant=call.tenant, seconds=_LIFETIME)
    return call.reply({"accessToken": token})


@rules.operation("login")
def login(call: Call) -> Reply:
    """Documented (2020): only `authorize` accepts this token. It is for no organisation, so no clock can expire it."""
    return call.reply({"accessToken": call.issue_token(tenant=None, seconds=None, audience="/auth", any_org=True)})
