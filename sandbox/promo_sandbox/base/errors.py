"""Errors of the operator: wrong options, files or documents. Errors of clients are rejections, not these exceptions."""

from __future__ import annotations


class SandboxError(Exception):
    """An option, a file or a document of the operator does not work. The message is one line with the cause."""


class DocumentError(SandboxError):
    """A document (spec, seed, scenario) is invalid: `file:line: reason`."""

    def __init__(self, file: str, line: int | None, reason: str) -> None:
        super().__init__(f"{file}:{line}: {reason}" if line else f"{file}: {reason}")
        self.file, self.line, self.reason = file, line, reason
