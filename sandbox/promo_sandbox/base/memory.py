"""The memory limit of the process: if too little is left, the server stores nothing more.

Usage is checked from time to time, not for each request. On systems without /proc there is no limit.
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
_MIN_LIMIT = 64 * _MEBIBYTE  # the server itself needs this
_UNLIMITED = 1 << 40
_RELEASE_INTERVAL = 1.0  # seconds between two attempts to return memory to the system
_MALLINFO_FIELDS, _FREE_FIELD = 10, 8  # of the struct that mallinfo2 returns: the number of fields; the free bytes
_PROCESS = Path("/proc/self")
_CGROUPS = Path("/sys/fs/cgroup")


class NotEnoughMemory(Exception):
    """There is not enough memory to store a document."""


class Memory:
    """The memory usage of the process, compared with its limits."""

    def __init__(self, limit: int | None = None) -> None:
        """limit: resident bytes; None: no limit except that of the address space, if there is one."""
        self.limit = limit
        self.full = False  # whether the server must store nothing more
        self._space = _address_space()
        # Bytes that must be free before the server stores again.
        self._reserve = min(limit or _UNLIMITED, self._space or _UNLIMITED) // 16
        self._page = os.sysconf("SC_PAGE_SIZE")
        self._released_at = 0.0

    @property
    def reason(self) -> str:
        """A sentence for a client whose document cannot be stored."""
        space_is_short = self._space is not None and not self._fits_space(self._reserve)
        if self.limit is not None and not (space_is_short and self._fits_resident(self._reserve)):
            limit = f"--max-memory ({self.limit // _MEBIBYTE} MiB)"
        else:
            limit = f"its address space ({(self._space or 0) // _MEBIBYTE} MiB)"
        return f"The sandbox holds nearly as much as {limit} admits. Delete or reset orgs, or drop snapshots."

    def check(self) -> None:
        """Update `full`."""
        self.full = not self.has_room(self._reserve if self.full else 0)
        if self.full and perf_counter() - self._released_at > _RELEASE_INTERVAL:
            self.release_free_memory()

    def release_free_memory(self) -> None:
        """Return freed memory to the system, since the C library would keep it."""
        self._released_at = perf_counter()
        trim = _c_function("malloc_trim")
        if trim is not None:
            trim(0)
        self.full = not self.has_room(self._reserve)

    def has_room(self, more: int) -> bool:
        """Whether this many more bytes are within the limits."""
        return self._fits_resident(more) and self._fits_space(more)

    def _fits_resident(self, more: int) -> bool:
        return self.limit is None or self._used(1) + more < self.limit - self.limit // 16

    def _fits_space(self, more: int) -> bool:
        """Whether the address space has room; free memory that the C library keeps counts as room."""
        if self._space is None:
            return True
        left = self._space - self._space // 4 - more - self._used(0)
        return left > 0 or left + _kept_free() > 0

    def _used(self, column: int) -> int:
        """Bytes. column of /proc/self/statm: 0 is the address space, 1 is resident memory."""
        try:
            return int((_PROCESS / "statm").read_bytes().split()[column]) * self._page
        except OSError:
            return 0


def parse_size(text: str) -> int:
    """The number of bytes of a text such as `512MiB`, `2g` or `1000000`. Raises `SandboxError`."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise SandboxError(f"{text!r} is not a size; write for example 512MiB or 2GiB")
    size = int(found[1]) * _UNITS[(found[2] or "").lower()]
    if size < _MIN_LIMIT:
        raise SandboxError(f"{text!r} is too little; the server needs at least {_MIN_LIMIT // _MEBIBYTE} MiB")
    return size


def default_limit() -> int:
    """Three quarters of the memory of the machine, or of the limit of this process's control group."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(min([machine, *_cgroup_limits()]) * 3 // 4, _MIN_LIMIT)


def _cgroup_limits() -> Iterator[int]:
    """The limits of the control groups of this process (cgroup v1 and v2)."""
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
    if text.isdigit():  # else `max`: no limit
        yield int(text)


def _address_space() -> int | None:
    """The limit that `ulimit -v` sets, in bytes."""
    try:
        import resource  # noqa: PLC0415 - Windows has none
    except ImportError:
        return None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def _kept_free() -> int:
    """Freed bytes that the C library keeps."""
    import ctypes  # noqa: PLC0415 - only where memory is short

    mallinfo = _c_function("mallinfo2")
    if mallinfo is None:
        return 0
    fields = [(f"field{index}", ctypes.c_size_t) for index in range(_MALLINFO_FIELDS)]
    mallinfo.restype = type("MallocInfo", (ctypes.Structure,), {"_fields_": fields})
    return int(getattr(mallinfo(), f"field{_FREE_FIELD}"))


def _c_function(name: str) -> Any:
    """A function of the C library; None if the library does not have it."""
    import ctypes  # noqa: PLC0415 - the same

    return getattr(ctypes.CDLL(None), name, None)
