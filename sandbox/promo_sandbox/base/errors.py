"""The mistakes of whoever runs the sandbox. What a client does wrong is a rejection, not one of these."""

from __future__ import annotations


class SandboxError(Exception):
    """Something the operator gave us does not work; the message is one line that says what and where."""


class DocumentError(SandboxError):
    """A document (spec, seed, scenario) is broken: `file:line: reason`."""

    def __init__(self, file: str, line: int | None, reason: str) -> None:
        super().__init__(f"{file}:{line}: {reason}" if line else f"{file}: {reason}")
        self.file, self.line, self.reason = file, line, reason
