"""Long work in slices: what takes more than a few milliseconds gives others their turn in between.

Work is a generator. It yields often, after each document or so, and returns its result. Others write
in between: it reads references that it took before its first `yield`, and writes only into what nobody else has.
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

_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()


class Unfinished(Exception):
    """There is more work to do."""


class Slice:
    """A short time for which somebody may work, by our own processor time: a busy machine makes no work longer."""

    __slots__ = ("_until", "_until_at_least")

    def __init__(self, seconds: float = SLICE) -> None:
        self._until = thread_time() + seconds
        self._until_at_least = perf_counter() + seconds  # a clock that costs much less to read

    def over(self) -> bool:
        return perf_counter() > self._until_at_least and thread_time() > self._until


def run_slice(work: Work[T], seconds: float = SLICE) -> T:
    """Do a slice of the work. Its result, if that was the last; else raises `Unfinished`."""
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
    """Do all of the work now, where nobody else waits for a turn."""
    while True:
        try:
            return run_slice(work)
        except Unfinished:
            pass


async def finish(work: Work[T]) -> T:
    """Do the work to its end, one slice in a turn of the event loop, however many are working at the same time."""
    turn = slice_lock()
    while True:
        async with turn:
            try:
                return run_slice(work)
            except Unfinished:
                await asyncio.sleep(0)


def slice_lock() -> asyncio.Lock:
    """Whoever holds it has this turn of the running event loop for a slice of long work; the others wait in a queue."""
    loop = asyncio.get_running_loop()
    if loop not in _turns:
        _turns[loop] = asyncio.Lock()
    return _turns[loop]
