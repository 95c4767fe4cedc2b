"""The exception by which a rule rejects a call."""

from __future__ import annotations

from typing import Any

from promo_sandbox.base.messages import Violation


class Rejected(Exception):
    """The call gets an error response: the example `name` that the spec declares for the operation."""

    def __init__(
        self,
        name: str,
        detail: str | None = None,
        fields: dict[str, Any] | None = None,
        violations: list[Violation] | None = None,
    ) -> None:
        super().__init__(name)
        self.name = name
        self.detail = detail
        self.fields = fields or {}
        self.violations = violations or []
        self.keep_changes = False  # whether the rule's changes stay stored
