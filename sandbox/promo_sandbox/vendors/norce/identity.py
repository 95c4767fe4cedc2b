"""Access tokens for OAuth accounts."""

from __future__ import annotations

from promo_sandbox.rules import Call, Reply, TokenTerms, moment, moment_text
from promo_sandbox.vendors.norce.rules import rules

_LIFETIME = 3600  # seconds; documented
# Documented: a scope is an environment. Older pages use the former names.
_ENVIRONMENTS = ("playground", "stage", "prod")
_FORMER_ENVIRONMENTS = ("production", "lab", "qa")
_SANDBOX_CLIENT = "sandbox"
_SECOND = 1_000_000_000  # nanoseconds, the unit of moments
# Documented: three requests a minute, twenty at once.
_INTERVAL = 20 * _SECOND
_BURST = 20
_RATE_LIMIT_ID = "token_requests"

TOKEN_REQUESTS = rules.collection("token_requests", indexes=lambda _, created: [("token_requests", created)])


@rules.operation("norceConnectToken")
def connect_token(call: Call) -> Reply:
    """Documented: client credentials, environments as scope, an hour. Inferred: without a scope, every environment.

    A rejected request counts towards the rate limit too, so its write is kept.
    """
    _count_request(call)
    form = call.body
    if form["grant_type"] != "client_credentials":
        call.reject_and_keep("unsupported-grant-type")
    if not call.knows_client(form["client_id"], form["client_secret"]):
        call.reject_and_keep("invalid-client")
    scopes = list(dict.fromkeys(form.get("scope", "").split())) or list(_ENVIRONMENTS)
    if any(scope not in _ENVIRONMENTS + _FORMER_ENVIRONMENTS for scope in scopes):
        call.reject_and_keep("invalid-scope")
    client = {"client": form["client_id"]}
    token = call.issue_token(tenant=None, scopes=scopes, seconds=_LIFETIME, claims=client)
    return call.reply(
        {"access_token": token, "expires_in": _LIFETIME, "token_type": "Bearer", "scope": " ".join(scopes)}
    )


@rules.on_token
def add_vendor_claims(call: Call, terms: TokenTerms) -> TokenTerms:
    """Documented: the names of these claims. Inferred: the audience is the resource's name where accounts are made.

    A token from the admin API may name no client and no scope. Its client is then the sandbox, its scope every
    environment.
    """
    shown = {
        "nbf": call.now // _SECOND,
        "aud": "Norce Management",
        "client_id": terms.claims.get("client", _SANDBOX_CLIENT),
        "scope": list(_ENVIRONMENTS if terms.scopes is None else terms.scopes),
    }
    return terms._replace(extra_fields=shown)


def _count_request(call: Call) -> None:
    """A leaky bucket: each request adds twenty seconds, and the bucket holds twenty requests."""
    if not call.settings["token_rate_limit"]:
        return
    stored = call.get(TOKEN_REQUESTS, _RATE_LIMIT_ID)
    spent_until = max(call.now, moment(stored["spent_until"]) if stored else 0)
    if spent_until - call.now > (_BURST - 1) * _INTERVAL:
        call.reject("too-many-requests")
    call.replace(TOKEN_REQUESTS, {"id": _RATE_LIMIT_ID, "spent_until": moment_text(spent_until + _INTERVAL)})
