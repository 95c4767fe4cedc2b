"""Caches parsed YAML files as JSON in `__pycache__` beside them, as Python does with compiled modules.

If the folder is read-only, or Python must not write bytecode, each start parses the files again.
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec

from promo_sandbox.base import yaml_file
from promo_sandbox.base.messages import decode_trusted, encode

_FORMAT = b"promo-sandbox 1"  # the version of the cache's format


def parse(path: Path, text: str, name: str) -> Any:
    """The result of `yaml_file.parse` for the text of a file."""
    digest = blake2b(text.encode(), digest_size=16, person=_FORMAT).hexdigest().encode()
    cache = path.parent / "__pycache__" / f"{path.name}.json"
    with suppress(OSError, ValueError, ArithmeticError, RecursionError, msgspec.MsgspecError):
        cached_digest, _, document = cache.read_bytes().partition(b"\n")
        if cached_digest == digest:
            return decode_trusted(document)
    document = yaml_file.parse(text, name)
    if not sys.dont_write_bytecode:
        with suppress(OSError):
            _write(cache, digest + b"\n" + encode(document))
    return document


def _write(path: Path, content: bytes) -> None:
    """Write atomically, since other processes may write the same file or be killed."""
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
