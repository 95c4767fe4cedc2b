"""Markdown written by a program: tables, code, anchors. Knows nothing of what stands in them."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells are Markdown in one line."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(' '.join(cell.split()) for cell in line)} |" for line in lines)


def code(text: str) -> str:
    """Code that may stand in a table: no bar in it ends the cell, and nothing in it is Markdown."""
    escaped = html.escape(text, quote=False)
    for character in "|*_`[]{}\\~":
        escaped = escaped.replace(character, f"&#{ord(character)};")
    return f"<code>{escaped}</code>"


def prose(text: str) -> str:
    """A text of a spec as it stands in a table: code in it stays code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:  # a backtick that closes nothing
        parts = [text]
    return "".join(code(part) if at % 2 else _plain(part) for at, part in enumerate(parts))


def _plain(text: str) -> str:
    return text.replace("<", "&lt;").replace("|", "&#124;")


def anchor(name: str, shown: str) -> str:
    """Something that others link to."""
    return f'<span id="{html.escape(name)}">{shown}</span>'


def folded(summary: str, inner: str) -> str:
    """What is shown when a reader asks for it, in one line."""
    return f"<details><summary>{summary}</summary>{inner}</details>"


def block(language: str, text: str) -> str:
    return f"```{language}\n{text.rstrip()}\n```"
