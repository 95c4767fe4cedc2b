"""Norce's `Rules`, which the modules of this folder fill, and the body of Norce's error responses."""

from __future__ import annotations

from typing import Any

from promo_sandbox.rules import RejectionContext, Rules, Violation

rules = Rules("norce")
SETTINGS = rules.settings()


@rules.error_body
def error_body(context: RejectionContext) -> Any:
    """The spec's example, with the violations by field, or else with the detail.

    Inferred: the framework usually lists violations in `ModelState`; RFC 9457 problems list them in `errors`.
    """
    example: Any = context.rejection.value
    if "error" in example:  # the identity server returns only a code
        return example
    with_message = "Message" in example
    if context.violations:
        errors = _messages_by_field(context.violations, context.path)
        return {**example, "ModelState" if with_message else "errors": errors}
    if context.detail:
        return {**example, "Message" if with_message else "detail": context.detail}
    return example


def _messages_by_field(violations: list[Violation], path: str) -> dict[str, list[str]]:
    """Fields of the body are named after the operation's argument, such as `promotion.Name`."""
    argument = "codes" if path.endswith("/unique-codes") else "promotion"
    messages: dict[str, list[str]] = {}
    for where, message, *_ in violations:
        field = argument + where.removeprefix("body") if where.startswith("body") else where.partition(".")[2]
        messages.setdefault(field, []).append(message)
    return messages
