"""Tokens of OAuth accounts."""

from __future__ import annotations

from promo_sandbox.rules import Call, Reply, TokenTerms, moment, moment_text
from promo_sandbox.vendors.norce.rules import rules

_SECONDS = 3600  # documented
# Documented: what a scope names; older pages have the second half.
_ENVIRONMENTS = ("playground", "stage", "prod")
_FORMER = ("production", "lab", "qa")
_SANDBOX = "sandbox"
_SECOND = 1_000_000_000  # in the unit of moments
# Documented: three a minute, twenty at once.
_INTERVAL = 20 * _SECOND
_AT_ONCE = 20
_ONLY = "token_requests"

TOKEN_REQUESTS = rules.collection("token_requests", indexes=lambda _, created: [("token_requests", created)])


@rules.operation("norceConnectToken")
def connect_token(call: Call) -> Reply:
    """Documented: client credentials, environments as scope, an hour. Inferred: without a scope, every environment.

    A refused request counts for the limit too, so what notes it is kept.
    """
    _count(call)
    asked = call.body
    if asked["grant_type"] != "client_credentials":
        call.reject_and_keep("unsupported-grant-type")
    if not call.knows_client(asked["client_id"], asked["client_secret"]):
        call.reject_and_keep("invalid-client")
    scopes = list(dict.fromkeys(asked.get("scope", "").split())) or list(_ENVIRONMENTS)
    if any(scope not in _ENVIRONMENTS + _FORMER for scope in scopes):
        call.reject_and_keep("invalid-scope")
    client = {"client": asked["client_id"]}
    token = call.issue_token(tenant=None, scopes=scopes, seconds=_SECONDS, claims=client)
    return call.reply(
        {"access_token": token, "expires_in": _SECONDS, "token_type": "Bearer", "scope": " ".join(scopes)}
    )


@rules.on_token
def complete(call: Call, terms: TokenTerms) -> TokenTerms:
    """Documented: these fields. Inferred: the audience, by the name that the resource has where accounts are made.

    A token from the admin API may name no client and no scope: its client is the sandbox, its scope every environment.
    """
    shown = {
        "nbf": call.now // _SECOND,
        "aud": "Norce Management",
        "client_id": terms.claims.get("client", _SANDBOX),
        "scope": list(_ENVIRONMENTS if terms.scopes is None else terms.scopes),
    }
    return terms._replace(shown=shown)


def _count(call: Call) -> None:
    """Each request takes twenty seconds of a store of twenty times as many, which fills as time passes."""
    if not call.settings["token_rate_limit"]:
        return
    stored = call.get(TOKEN_REQUESTS, _ONLY)
    spent = max(call.now, moment(stored["spent_until"]) if stored else 0)
    if spent - call.now > (_AT_ONCE - 1) * _INTERVAL:
        call.reject("too-many-requests")
    call.replace(TOKEN_REQUESTS, {"id": _ONLY, "spent_until": moment_text(spent + _INTERVAL)})
