"""YAML with the types of JSON only: no dates, no `on` for true, no octal numbers, no duplicate keys.

Numbers with a fraction become `Decimal`, as in JSON bodies. The content of documents is validated elsewhere.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from promo_sandbox.base.errors import DocumentError
from promo_sandbox.base.slices import Work, run_to_end

_MAX_DEPTH = 1000
MAX_DEPTH = 100  # of a request body, as in JSON
MAX_VALUES = 100_000  # of a request body; more would block other requests even after parsing


def parse(text: str, name: str) -> Any:
    """Parse one document. Raises `DocumentError` with `name`, the line and the reason."""
    return run_to_end(_load_in_slices(text, name, _MAX_DEPTH, sys.maxsize))


def parse_untrusted(text: str, name: str) -> Any:
    """Parse a document of a client, with limits for its depth and for the number of values, aliases expanded."""
    return run_to_end(parse_untrusted_in_slices(text, name))


def parse_untrusted_in_slices(text: str, name: str) -> Work[Any]:
    """`parse_untrusted` as work in slices, since a megabyte takes seconds."""
    return _load_in_slices(text, name, MAX_DEPTH, MAX_VALUES)


def _load_in_slices(text: str, name: str, max_depth: int, max_values: int) -> Work[Any]:
    from promo_sandbox.base import yaml_loader  # noqa: PLC0415 - imports PyYAML, which most starts do not need

    return yaml_loader.load_in_slices(text, name, max_depth, max_values)


def read(path: Path, name: str | None = None) -> Any:
    """Read and parse a file. Raises `DocumentError`, also for a missing or unreadable file."""
    return parse(read_text(path), name or str(path))


def read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise DocumentError(str(path), None, error.strerror or str(error)) from None
    except UnicodeDecodeError:
        raise DocumentError(str(path), None, "is not UTF-8") from None


def line_of(text: str, path: tuple[str | int, ...]) -> int | None:
    """The line (from 1) of the value at `path`, or of its nearest existing parent."""
    return lines_of(text, [path])[0]


def lines_of(text: str, paths: list[tuple[str | int, ...]]) -> list[int | None]:
    """The same for several values. All are None if the text is not YAML, such as JSON with tabs."""
    from promo_sandbox.base import yaml_loader  # noqa: PLC0415 - the same

    return yaml_loader.lines_of(text, paths)
