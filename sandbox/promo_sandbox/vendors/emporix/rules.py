"""The `Rules` object that the modules of this folder add to, and the bodies of Emporix's error responses."""

from __future__ import annotations

from typing import Any

from promo_sandbox.rules import Doc, RejectionContext, Rules, Violation, moment_text

rules = Rules("emporix")
SETTINGS = rules.settings()

# Inferred: the pages show `invalid_header`, `invalid_query_parameter` and `missing_payload`; these names follow them.
_DETAIL_TYPES = {
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
_TENANT_PARAMETERS = {"path.tenant", "header.Emporix-Tenant"}


@rules.error_body
def error_body(context: RejectionContext) -> Any:
    """The spec's example with the values of this request. Only fields that the example has are set.

    `message` (else `Error` or `detail`) gets the detail, and `details` gets the violations. `instance`, `path` and the
    URL in a gateway's fault get the request's path; `timestamp` gets the moment.
    Source: the error examples of the reward-points and coupon API references.
    """
    body: Any = context.rejection.value
    if not isinstance(body, dict):
        return body
    body = dict(body)
    if context.rejection.name == "missing-body":
        return body
    if context.violations and isinstance(body.get("details"), list):
        body["details"] = [_detail(violation) for violation in context.violations]
    elif context.violations and "Error" in body:
        body["Error"] = "; ".join(map(str, context.violations))
    field = next((name for name in ("message", "Error", "detail") if name in body), None)
    if context.detail and field:
        body[field] = context.detail
    for field in ("instance", "path"):
        if field in body:
            body[field] = context.path
    if "fault" in body:
        body["fault"] = _gateway_fault(body["fault"], context.full_path)
    if "timestamp" in body:
        body["timestamp"] = moment_text(context.now).replace("Z", "+00:00")
    return body


def _gateway_fault(fault: Doc, path: str) -> Doc:
    prefix, url, _ = fault["faultstring"].partition(" and url: ")
    return {**fault, "faultstring": f"{prefix}{url}{path}"} if url else fault


def _detail(violation: Violation) -> Doc:
    """One item of `details`: the path of the field, the message and the type."""
    location, _, field = violation.where.partition(".")
    if violation.where in _TENANT_PARAMETERS:
        # Documented: this message, and the type for a header, although the tenant is in the current paths.
        message = "size must be between 3 and 16" if violation.kind != "pattern" else violation.message
        return {"field": "tenant", "message": message, "type": "invalid_header"}
    if location == "header":
        return {"field": field, "message": violation.message, "type": "invalid_header"}
    if location == "query":
        return {"field": field, "message": violation.message, "type": "invalid_query_parameter"}
    if violation.where == "body" and violation.kind == "required":
        return {"field": "", "message": "Empty payload was sent", "type": "missing_payload"}
    return {"field": field, "message": violation.message, "type": _DETAIL_TYPES.get(violation.kind, "invalid_value")}
