"""Escapes text of clients for terminals and logs, so that it cannot move the cursor, or hide or reorder other text.

Every character that Python calls not printable is escaped as in JSON: control characters (also C1), direction marks,
line and paragraph separators, surrogates and other invisible characters.
"""

from __future__ import annotations

import logging
from types import TracebackType

_SysExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


def escaped(text: str, keep: str = "") -> str:
    """The text with `\\uXXXX` for each character that is not printable. keep: characters that are not escaped."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() or letter in keep else _escape(letter) for letter in text)


def _escape(letter: str) -> str:
    units = letter.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


class EscapingFormatter(logging.Formatter):
    """Escapes the message and the traceback of a log record."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the library's name
        record.message = escaped(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: _SysExcInfo) -> str:  # noqa: N802 - the same
        return escaped(super().formatException(ei), keep="\n")
