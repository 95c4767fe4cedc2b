"""Work that many clients wait for: one piece in each turn of the event loop.

Otherwise one event could wake a thousand clients, and all other requests would wait until these are served.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter

SLICE = 500  # items that are processed before other work gets a turn
_REST = 4  # other work has priority for this many times the duration of a piece


class Turns:
    """One piece of work runs at a time; the next one starts in a later turn of the event loop."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def turn(self, *, rest: bool = True) -> AsyncIterator[None]:
        """With `rest`, all such work together takes at most a fifth of the time."""
        if self._loop is not (loop := asyncio.get_running_loop()):
            self._loop, self._lock = loop, asyncio.Lock()
        async with self._lock:
            started = perf_counter()
            yield
            await asyncio.sleep(_REST * (perf_counter() - started) if rest else 0)
