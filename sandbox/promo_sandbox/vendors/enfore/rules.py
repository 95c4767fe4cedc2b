"""enfore's `Rules`, which the modules of this folder fill, and the body of enfore's error responses."""

from __future__ import annotations

from promo_sandbox.rules import Doc, RejectionContext, Rules

rules = Rules("enfore")


@rules.error_body
def problem(context: RejectionContext) -> Doc:
    """A Problem: type, title, detail and, if the rule names one, on_resource. Source: Promotions API 0.0.4, Problem."""
    example, detail = context.rejection.value, context.detail
    if context.violations:
        detail = "; ".join(map(str, context.violations))
    return {"type": example["type"], "title": example["title"], "detail": detail or example["detail"]}
