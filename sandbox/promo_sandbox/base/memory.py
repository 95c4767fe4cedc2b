"""How much memory this process may take, and whether so little is left that nothing more is stored.

It is looked at now and then, never for each request. On systems without /proc nothing is known, and nothing refused.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

from promo_sandbox.base.errors import SandboxError

_MEBIBYTE = 1_048_576
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}
_SIZE = re.compile(r"(\d{1,15})\s*([kmg]i?)?b?", re.IGNORECASE | re.ASCII)
_LEAST = 64 * _MEBIBYTE  # what the server itself needs
_PLENTY = 1 << 40
_PATIENCE = 1.0  # seconds between attempts to give memory back
_MALLINFO, _FREE = 10, 8  # numbers that mallinfo2 gives, and which of them is what is free
_PROCESS = Path("/proc/self")
_CGROUPS = Path("/sys/fs/cgroup")


class NotEnoughMemory(Exception):
    """What would be stored has no room."""


class Memory:
    """What the process takes, against the limits that it has."""

    def __init__(self, limit: int | None = None) -> None:
        """limit: bytes that may be resident; None: no limit but that of the address space, if it has one."""
        self.limit = limit
        self.full = False  # nothing more is to be stored
        self._space = _address_space()
        self._again = min(limit or _PLENTY, self._space or _PLENTY) // 16  # bytes that must be free to store again
        self._page = os.sysconf("SC_PAGE_SIZE")
        self._given_back = 0.0

    @property
    def reason(self) -> str:
        """For whoever cannot store something."""
        in_space = self._space is not None and not self._fits_space(self._again)
        if self.limit is not None and not (in_space and self._fits_resident(self._again)):
            most = f"--max-memory ({self.limit // _MEBIBYTE} MiB)"
        else:
            most = f"its address space ({(self._space or 0) // _MEBIBYTE} MiB)"
        return f"The sandbox holds nearly as much as {most} admits. Delete or reset orgs, or drop snapshots."

    def check(self) -> None:
        """See how it stands."""
        self.full = not self.has_room(self._again if self.full else 0)
        if self.full and perf_counter() - self._given_back > _PATIENCE:
            self.release_free_memory()

    def release_free_memory(self) -> None:
        """Return to the system what was freed; the C library keeps it otherwise."""
        self._given_back = perf_counter()
        trim = _of_c_library("malloc_trim")
        if trim is not None:
            trim(0)
        self.full = not self.has_room(self._again)

    def has_room(self, more: int) -> bool:
        """Whether so many bytes more would leave some."""
        return self._fits_resident(more) and self._fits_space(more)

    def _fits_resident(self, more: int) -> bool:
        return self.limit is None or self._taken(1) + more < self.limit - self.limit // 16

    def _fits_space(self, more: int) -> bool:
        """The address space has room, also in what the C library has taken and does not use."""
        if self._space is None:
            return True
        left = self._space - self._space // 4 - more - self._taken(0)
        return left > 0 or left + _unused() > 0

    def _taken(self, column: int) -> int:
        try:
            return int((_PROCESS / "statm").read_bytes().split()[column]) * self._page
        except OSError:
            return 0


def parse_size(text: str) -> int:
    """Bytes, of a text such as `512MiB`, `2g` or `1000000`. Raises `SandboxError`."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise SandboxError(f"{text!r} is no size; write 512MiB or 2GiB, for example")
    number = int(found[1]) * _UNITS[(found[2] or "").lower()]
    if number < _LEAST:
        raise SandboxError(f"{text!r} is too little; the server needs at least {_LEAST // _MEBIBYTE} MiB")
    return number


def default_limit() -> int:
    """Three quarters of what the machine has, or the control group of this process."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(min([machine, *_groups()]) * 3 // 4, _LEAST)


def _groups() -> Iterator[int]:
    """The limits of the control groups that this process is in, of both versions."""
    try:
        lines = (_PROCESS / "cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers in ("", "memory"):
            top = _CGROUPS / controllers
            here = top / path.lstrip("/")
            for folder in (here, *here.parents):
                if folder.is_relative_to(top):
                    yield from _limit(folder / ("memory.limit_in_bytes" if controllers else "memory.max"))


def _limit(file: Path) -> Iterator[int]:
    try:
        text = file.read_text(encoding="ascii").strip()
    except OSError:
        return
    if text.isdigit():  # `max` is none
        yield int(text)


def _address_space() -> int | None:
    """What `ulimit -v` admits."""
    try:
        import resource  # noqa: PLC0415 - Windows has none
    except ImportError:
        return None
    most = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if most == resource.RLIM_INFINITY else most


def _unused() -> int:
    """Bytes that were freed and that the C library keeps."""
    import ctypes  # noqa: PLC0415 - only where memory is short

    told = _of_c_library("mallinfo2")
    if told is None:
        return 0
    fields = [(f"number{place}", ctypes.c_size_t) for place in range(_MALLINFO)]
    told.restype = type("MallocInfo", (ctypes.Structure,), {"_fields_": fields})
    return int(getattr(told(), f"number{_FREE}"))


def _of_c_library(name: str) -> Any:
    """A function of the C library, if it has it."""
    import ctypes  # noqa: PLC0415 - the same

    return getattr(ctypes.CDLL(None), name, None)
