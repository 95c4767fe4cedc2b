"""enfore's rules, as one object that the modules of this folder fill, and how enfore words a refusal."""

from __future__ import annotations

from sandbox.rules import Doc, Rejection, Rules, Violation

rules = Rules("enfore")


@rules.word
def problem(rejection: Rejection, detail: str | None, violations: list[Violation]) -> Doc:
    """A Problem: type, title, detail and, if the rule names one, on_resource. Source: Promotions API 0.0.4, Problem."""
    example = rejection.value
    if violations:
        detail = "; ".join(map(str, violations))
    return {"type": example["type"], "title": example["title"], "detail": detail or example["detail"]}
