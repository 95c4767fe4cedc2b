"""Regular expressions of clients, matched in linear time by the engine of the JSON Schema library.

Python's own engine backtracks, so `^(a+)+$` can block the server. This engine takes time in proportion to the size of
the pattern times the length of the text. Both are limited here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import jsonschema_rs

MAX_PATTERN = 1000  # characters
MAX_TEXT = 2048  # characters that are searched
MAX_SIZES = 200_000  # total size of the patterns that are tried on one text; they take 40 ms at worst
_SIZES = (250, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000)


class Pattern(NamedTuple):
    matches: Callable[[str], bool]
    size: int  # upper bound of the compiled size in bytes


@lru_cache(maxsize=256)
def compile_regex(expression: str) -> Pattern:
    """Raises `ValueError` with a sentence if the expression is invalid, not supported or too large."""
    if len(expression) > MAX_PATTERN:
        raise ValueError(f"{expression[:50]!r}… has more than {MAX_PATTERN} characters")
    for size in _SIZES:
        options = jsonschema_rs.RegexOptions(size_limit=size)
        try:
            validator = jsonschema_rs.Draft202012Validator({"pattern": expression}, pattern_options=options)
        except jsonschema_rs.ValidationError:
            continue
        return Pattern(_search(validator), size)
    raise ValueError(f"{expression[:200]!r} is {_reason(expression)}")


def _reason(expression: str) -> str:
    try:
        re.compile(expression)
    except (re.error, RecursionError, OverflowError) as error:
        return f"not a regular expression: {error}"
    return (
        "not a supported regular expression; look-around, back references, \\A, \\Z and very large repetitions "
        "are not supported"
    )


def _search(validator: jsonschema_rs.Draft202012Validator) -> Callable[[str], bool]:
    is_valid = validator.is_valid
    return lambda text: is_valid(text[:MAX_TEXT])
