"""Specs as they were parsed before: kept beside them as JSON, as Python keeps its compiled modules, in `__pycache__`.

Where nothing can be written, or Python is told to write nothing, they are parsed each time. Knows nothing of specs.
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

_FORM = b"promo-sandbox 1"  # of what is kept


def parse(path: Path, text: str, name: str) -> Any:
    """What `yamlfile.parse` makes of the text of a file."""
    digest = blake2b(text.encode(), digest_size=16, person=_FORM).hexdigest().encode()
    kept = path.parent / "__pycache__" / f"{path.name}.json"
    with suppress(OSError, ValueError, ArithmeticError, RecursionError, msgspec.MsgspecError):
        before, _, document = kept.read_bytes().partition(b"\n")
        if before == digest:
            return decode_trusted(document)
    document = yaml_file.parse(text, name)
    if not sys.dont_write_bytecode:
        with suppress(OSError):
            _keep(kept, digest + b"\n" + encode(document))
    return document


def _keep(path: Path, content: bytes) -> None:
    """Whole or not at all, whoever else is writing it and whenever this one is killed."""
    path.parent.mkdir(exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        unfinished.write_bytes(content)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
