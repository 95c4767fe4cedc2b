"""Turns in which work is done that many clients wait for: one piece in each turn of the event loop.

A thousand clients that one event wakes would else be served in one turn, and everybody else would wait for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter

SLICE = 500  # small steps, of a piece of work that is long itself, between which others have their turn
_REST = 4  # times as long as a piece took, other work has priority


class Turns:
    """Whoever has a turn works alone; the next one comes in a later turn of the event loop."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def turn(self, *, rest: bool = True) -> AsyncIterator[None]:
        """rest: all such work together takes a fifth of the time at most."""
        if self._loop is not (loop := asyncio.get_running_loop()):
            self._loop, self._lock = loop, asyncio.Lock()
        async with self._lock:
            started = perf_counter()
            yield
            await asyncio.sleep(_REST * (perf_counter() - started) if rest else 0)
