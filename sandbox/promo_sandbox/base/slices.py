"""Long work in slices of a few milliseconds, so that other requests can run in between.

Work is a generator. It yields often, for example after each document, and returns its result. Other requests write
between two slices. So work reads only references from before its first `yield`, and writes only into new objects.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from time import perf_counter, thread_time
from typing import TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")
Work = Generator[None, None, T]

SLICE = 0.004  # seconds

_locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()


class Unfinished(Exception):
    """There is more work to do."""


class Slice:
    """A short period of processor time, so that a busy machine does not make slices smaller."""

    __slots__ = ("_cpu_end", "_earliest_end")

    def __init__(self, seconds: float = SLICE) -> None:
        self._cpu_end = thread_time() + seconds
        self._earliest_end = perf_counter() + seconds  # this clock is much cheaper to read

    def over(self) -> bool:
        return perf_counter() > self._earliest_end and thread_time() > self._cpu_end


def run_slice(work: Work[T], seconds: float = SLICE) -> T:
    """Do one slice of the work. Returns the result if the work is complete, else raises `Unfinished`."""
    over = Slice(seconds).over
    try:
        next(work)
        while not over():
            next(work)
    except StopIteration as ended:
        result: T = ended.value
        return result
    raise Unfinished


def run_to_end(work: Work[T]) -> T:
    """Do all of the work now. Only for code that blocks no other request."""
    while True:
        try:
            return run_slice(work)
        except Unfinished:
            pass


async def finish(work: Work[T]) -> T:
    """Do all of the work. Each turn of the event loop does one slice, even if many tasks have work."""
    lock = slice_lock()
    while True:
        async with lock:
            try:
                return run_slice(work)
            except Unfinished:
                await asyncio.sleep(0)


def slice_lock() -> asyncio.Lock:
    """The lock of the running event loop: its holder does one slice in this turn, and the other tasks wait."""
    loop = asyncio.get_running_loop()
    if loop not in _locks:
        _locks[loop] = asyncio.Lock()
    return _locks[loop]
