"""Emporix's rules, as one object that the modules of this folder fill, and how Emporix words a refusal."""

from __future__ import annotations

from typing import Any

from promo_sandbox.rules import Doc, RejectionContext, Rules, Violation, moment_text

rules = Rules("emporix")
SETTINGS = rules.settings()

# Inferred: the pages show `invalid_header`, `invalid_query_parameter` and `missing_payload`; the rest is in that style.
_TYPES = {
    "required": "missing_value",
    "minimum": "out_of_range",
    "maximum": "out_of_range",
    "exclusiveMinimum": "out_of_range",
    "exclusiveMaximum": "out_of_range",
    "minLength": "out_of_range",
    "maxLength": "out_of_range",
    "minItems": "out_of_range",
    "maxItems": "out_of_range",
    "pattern": "invalid_format",
    "format": "invalid_format",
    "syntax": "invalid_format",
}
_TENANT = {"path.tenant", "header.Emporix-Tenant"}


@rules.error_body
def error_body(refusal: RejectionContext) -> Any:
    """The example, filled with what is known of this case where the example has a place for it.

    `message` (or else `Error`, `detail`) takes the detail, `details` the violations, `instance` and `path` the
    request's path, `timestamp` the moment; a fault of the gateway that names a path names the one that was called.
    Source: the error examples of the reward-points and coupon API references.
    """
    body: Any = refusal.rejection.value
    if not isinstance(body, dict):
        return body
    body = dict(body)
    if refusal.rejection.name == "missing-body":
        return body
    if refusal.violations and isinstance(body.get("details"), list):
        body["details"] = [_detail(violation) for violation in refusal.violations]
    elif refusal.violations and "Error" in body:
        body["Error"] = "; ".join(map(str, refusal.violations))
    member = next((name for name in ("message", "Error", "detail") if name in body), None)
    if refusal.detail and member:
        body[member] = refusal.detail
    for member in ("instance", "path"):
        if member in body:
            body[member] = refusal.path
    if "fault" in body:
        body["fault"] = _of_gateway(body["fault"], refusal.whole_path)
    if "timestamp" in body:
        body["timestamp"] = moment_text(refusal.at).replace("Z", "+00:00")
    return body


def _of_gateway(fault: Doc, path: str) -> Doc:
    before, url, _ = fault["faultstring"].partition(" and url: ")
    return {**fault, "faultstring": f"{before}{url}{path}"} if url else fault


def _detail(violation: Violation) -> Doc:
    """One problem of the request: a bean path, what is wrong there, and of what type that is."""
    location, _, field = violation.where.partition(".")
    if violation.where in _TENANT:
        # Documented wording, and documented as a header although current paths carry the tenant.
        message = "size must be between 3 and 16" if violation.kind != "pattern" else violation.message
        return {"field": "tenant", "message": message, "type": "invalid_header"}
    if location == "header":
        return {"field": field, "message": violation.message, "type": "invalid_header"}
    if location == "query":
        return {"field": field, "message": violation.message, "type": "invalid_query_parameter"}
    if violation.where == "body" and violation.kind == "required":
        return {"field": "", "message": "Empty payload was sent", "type": "missing_payload"}
    return {"field": field, "message": violation.message, "type": _TYPES.get(violation.kind, "invalid_value")}
