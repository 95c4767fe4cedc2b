"""Writes Markdown: tables, code, anchors, folded text."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; its cells are Markdown, and each becomes one line."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(' '.join(cell.split()) for cell in line)} |" for line in lines)


def code(text: str) -> str:
    """Code for a cell of a table, escaped so that it neither ends the cell nor is read as Markdown."""
    text = html.escape(text, quote=False)
    for character in "|*_`[]{}\\~":
        text = text.replace(character, f"&#{ord(character)};")
    return f"<code>{text}</code>"


def prose(text: str) -> str:
    """A text of a spec for a cell of a table; code between backticks stays code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:  # a backtick without its partner
        parts = [text]
    return "".join(code(part) if index % 2 else _escaped(part) for index, part in enumerate(parts))


def _escaped(text: str) -> str:
    return text.replace("<", "&lt;").replace("|", "&#124;")


def anchor(name: str, shown: str) -> str:
    """A target for links."""
    return f'<span id="{html.escape(name)}">{shown}</span>'


def folded(summary: str, inner: str) -> str:
    """Text that a reader opens with a click, in one line."""
    return f"<details><summary>{summary}</summary>{inner}</details>"


def block(language: str, text: str) -> str:
    return f"```{language}\n{text.rstrip()}\n```"
