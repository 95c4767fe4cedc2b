"""YAML with JSON's types only: no dates, no `on` that means true, no octal numbers, no key twice.

Numbers with a fraction become `Decimal`, as they do on the wire. Knows nothing of what a document means.
"""

from __future__ import annotations

import re
from itertools import accumulate
from pathlib import Path
from typing import Any

from sandbox.errors import DocumentError

_MAX_DEPTH = 1000
MAX_DEPTH = 100  # of what is sent, as in JSON
MAX_VALUES = 1_000_000
_DEEP_BLOCK = re.compile(rf"^[ ?:-]{{{_MAX_DEPTH}}}", re.MULTILINE)
_BRACKET = re.compile(r"[\[\]{}]")


def parse(text: str, name: str) -> Any:
    """Read one document. Raises `DocumentError` with `name`, the line and the reason."""
    if _is_too_deep(text):
        raise DocumentError(name, None, f"is nested deeper than {_MAX_DEPTH} levels")
    from sandbox import yamlloader  # noqa: PLC0415 - with PyYAML, which most starts do without

    return yamlloader.load(text, name)


def parse_plain(text: str, name: str) -> Any:
    """The same for what somebody sent: nothing that JSON could not say, or that is small only as long as it is YAML.

    An alias stands for a copy of what it names; copies of copies, or of what they are in, could fill the memory.
    """
    found = parse(text, name)
    left = MAX_VALUES
    waiting = [(found, 1)]
    while waiting:
        value, depth = waiting.pop()
        left -= 1
        if depth > MAX_DEPTH or left < 0:
            limit = f"nested deeper than {MAX_DEPTH} levels" if left >= 0 else f"more than {MAX_VALUES} values"
            raise DocumentError(name, None, f"is {limit}")
        if isinstance(value, dict):
            waiting += [(inner, depth + 1) for pair in value.items() for inner in pair]
        elif isinstance(value, list):
            waiting += [(inner, depth + 1) for inner in value]
    return found


def _is_too_deep(text: str) -> bool:
    """The C loader recurses without an eye on the stack: what is too deep would end the process."""
    if _DEEP_BLOCK.search(text):
        return True
    if text.count("[") + text.count("{") <= _MAX_DEPTH:
        return False
    steps = (1 if bracket in "[{" else -1 for bracket in _BRACKET.findall(text))
    return max(accumulate(steps)) > _MAX_DEPTH


def read(path: Path, name: str | None = None) -> Any:
    """Read a file; a missing or unreadable one is a `DocumentError` too."""
    return parse(read_text(path), name or str(path))


def read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise DocumentError(str(path), None, error.strerror or str(error)) from None
    except UnicodeDecodeError:
        raise DocumentError(str(path), None, "is not UTF-8") from None


def line_of(text: str, path: tuple[str | int, ...]) -> int | None:
    """The line (from 1) on which the member at `path` stands, or that of its nearest parent that exists."""
    return lines_of(text, [path])[0]


def lines_of(text: str, paths: list[tuple[str | int, ...]]) -> list[int | None]:
    """The same for several members of a text, also of JSON; None where it is no YAML, as JSON with tabs in it."""
    from sandbox import yamlloader  # noqa: PLC0415 - as above

    return yamlloader.lines_of(text, paths)
