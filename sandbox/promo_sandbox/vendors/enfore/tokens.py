"""Tokens: an application's secret for an organisation's token, directly or in the older two steps."""

from __future__ import annotations

from promo_sandbox.rules import Call, Reply, TokenTerms
from promo_sandbox.vendors.enfore.rules import rules

_LIFETIME = 3600  # seconds; the vendor publishes none


@rules.on_token
def complete(_: Call, terms: TokenTerms) -> TokenTerms:
    """Documented: an organisation's token opens its data, and only a login token is taken for another token."""
    return terms if terms.audience else terms._replace(audience="/promotions")


@rules.operation("authorize")
def authorize(call: Call) -> Reply:
    """Documented: the token is valid for this organisation only."""
    token = call.issue_token(tenant=call.tenant, seconds=_LIFETIME)
    return call.reply({"accessToken": token})


@rules.operation("login")
def login(call: Call) -> Reply:
    """Documented (2020): a token that only `authorize` takes, for whichever organisation. So it has no clock to expire
    by."""
    return call.reply({"accessToken": call.issue_token(tenant=None, seconds=None, audience="/auth", any_org=True)})
