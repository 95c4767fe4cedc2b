"""Text from outside, made fit for a terminal or a log: nothing in it moves the cursor, or hides or turns what follows.

Escaped is all that Python does not call printable: control characters (C1 too), marks of direction, line and paragraph
separators, surrogates, other invisible characters. The escapes are those of JSON, where they mean the same in a text.
"""

from __future__ import annotations

import logging
from types import TracebackType

_SysExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


def escaped(text: str, keep: str = "") -> str:
    """The text with `\\uXXXX` for what is not printable. keep: characters that stay, such as a newline."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() or letter in keep else _escape(letter) for letter in text)


def _escape(letter: str) -> str:
    units = letter.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


class EscapingFormatter(logging.Formatter):
    """Writes a record so that no text in it, nor in its traceback, does more than be read."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the library's name
        record.message = escaped(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: _SysExcInfo) -> str:  # noqa: N802 - the same
        return escaped(super().formatException(ei), keep="\n")
