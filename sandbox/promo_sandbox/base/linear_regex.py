"""Regular expressions from outside: searched for in linear time, by the engine that JSON Schemas are compiled with.

Python's own engine backtracks: `^(a+)+$` occupies it for as long as somebody likes. This one follows all ways at once,
so the time is that of the pattern's size times that of the text, and both have a limit here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import jsonschema_rs

MAX_PATTERN = 1000  # characters
MAX_TEXT = 2048  # characters that are searched
MAX_SIZES = 200_000  # of the patterns that one text may be held against, together: then that takes some 40 ms at worst
_SIZES = (250, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000)
_REMEMBERED = 256


class Pattern(NamedTuple):
    matches: Callable[[str], bool]
    size: int  # bytes that it takes compiled, at most


@lru_cache(maxsize=_REMEMBERED)
def compile_pattern(expression: str) -> Pattern:
    """Raises `ValueError` with a sentence for what is no pattern, not supported, or too large."""
    if len(expression) > MAX_PATTERN:
        raise ValueError(f"{expression[:50]!r}… has more than {MAX_PATTERN} characters")
    for size in _SIZES:
        options = jsonschema_rs.RegexOptions(size_limit=size)
        try:
            validator = jsonschema_rs.Draft202012Validator({"pattern": expression}, pattern_options=options)
        except jsonschema_rs.ValidationError:
            continue
        return Pattern(_search(validator), size)
    raise ValueError(f"{expression[:200]!r} is {_why_not(expression)}")


def _why_not(expression: str) -> str:
    try:
        re.compile(expression)
    except (re.error, RecursionError, OverflowError) as error:
        return f"no regular expression: {error}"
    return (
        "no regular expression that is supported; look-around, back references, \\A and \\Z are not, nor are "
        "repetitions that are very large when they are written out"
    )


def _search(validator: jsonschema_rs.Draft202012Validator) -> Callable[[str], bool]:
    is_valid = validator.is_valid
    return lambda text: is_valid(text[:MAX_TEXT])
