"""Norce's rules, as one object that the modules of this folder fill, and how Norce words a refusal."""

from __future__ import annotations

from typing import Any

from promo_sandbox.rules import RejectionContext, Rules, Violation

rules = Rules("norce")
SETTINGS = rules.settings()


@rules.error_body
def error_body(refusal: RejectionContext) -> Any:
    """The example, with what is wrong by the member it is about, or else with the detail.

    Inferred: `ModelState` is the framework's usual form; where refusals are problems (RFC 9457), `errors` is.
    """
    body: Any = refusal.rejection.value
    if "error" in body:  # of the identity server, which tells no more than a code
        return body
    with_message = "Message" in body
    if refusal.violations:
        errors = _by_member(refusal.violations, refusal.path)
        return {**body, "ModelState" if with_message else "errors": errors}
    if refusal.detail:
        return {**body, "Message" if with_message else "detail": refusal.detail}
    return body


def _by_member(violations: list[Violation], path: str) -> dict[str, list[str]]:
    """What is in a body stands below the name of what the operation takes, as `promotion.Name`."""
    body = "codes" if path.endswith("/unique-codes") else "promotion"
    found: dict[str, list[str]] = {}
    for where, message, *_ in violations:
        member = body + where.removeprefix("body") if where.startswith("body") else where.partition(".")[2]
        found.setdefault(member, []).append(message)
    return found
