"""enfore's rules, as one object that the modules of this folder fill, and how enfore words a refusal."""

from __future__ import annotations

from promo_sandbox.rules import Doc, RejectionContext, Rules

rules = Rules("enfore")


@rules.error_body
def problem(refusal: RejectionContext) -> Doc:
    """A Problem: type, title, detail and, if the rule names one, on_resource. Source: Promotions API 0.0.4, Problem."""
    example, detail = refusal.rejection.value, refusal.detail
    if refusal.violations:
        detail = "; ".join(map(str, refusal.violations))
    return {"type": example["type"], "title": example["title"], "detail": detail or example["detail"]}
