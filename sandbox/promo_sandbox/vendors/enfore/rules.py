"""enfore's rules, as one object that the modules of this folder fill, and how enfore words a refusal."""

from __future__ import annotations

from promo_sandbox.rules import Doc, Refusal, Rules

rules = Rules("enfore")


@rules.word
def problem(refusal: Refusal) -> Doc:
    """A Problem: type, title, detail and, if the rule names one, on_resource. Source: Promotions API 0.0.4, Problem."""
    example, detail = refusal.rejection.value, refusal.detail
    if refusal.violations:
        detail = "; ".join(map(str, refusal.violations))
    return {"type": example["type"], "title": example["title"], "detail": detail or example["detail"]}
