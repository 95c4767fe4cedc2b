"""YAML with JSON's types only: no dates, no `on` that means true, no octal numbers, no key twice.

Numbers with a fraction become `Decimal`, as they do on the wire. Knows nothing of what a document means.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from promo_sandbox.base.errors import DocumentError
from promo_sandbox.base.slices import Work

_MAX_DEPTH = 1000
MAX_DEPTH = 100  # of what is sent, as in JSON
MAX_VALUES = 100_000  # more would keep others waiting even after they were read


def parse(text: str, name: str) -> Any:
    """Read one document. Raises `DocumentError` with `name`, the line and the reason."""
    return _whole(_load_in_slices(text, name, _MAX_DEPTH, sys.maxsize))


def parse_untrusted(text: str, name: str) -> Any:
    """The same for what somebody sent: nothing that JSON could not say, or that is small only as long as it is YAML."""
    return _whole(parse_untrusted_in_slices(text, name))


def parse_untrusted_in_slices(text: str, name: str) -> Work[Any]:
    """The same as work in slices: a megabyte takes seconds."""
    return _load_in_slices(text, name, MAX_DEPTH, MAX_VALUES)


def _load_in_slices(text: str, name: str, max_depth: int, max_values: int) -> Work[Any]:
    from promo_sandbox.base import yaml_loader  # noqa: PLC0415 - with PyYAML, which most starts do without

    return yaml_loader.load_in_slices(text, name, max_depth, max_values)


def _whole(work: Work[Any]) -> Any:
    while True:
        try:
            next(work)
        except StopIteration as ended:
            return ended.value


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
    from promo_sandbox.base import yaml_loader  # noqa: PLC0415 - as above

    return yaml_loader.lines_of(text, paths)
