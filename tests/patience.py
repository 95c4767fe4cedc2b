"""How long tests wait, so that they hold on a busy machine and are quick on an idle one."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

LONG = 50.0  # seconds; for what must come, and never waited out unless it does not. Less than the longest `?wait=60s`
PROGRAM = 600.0  # seconds; the same for a program that ends by itself
TICK = 0.002  # seconds by which a timer of the event loop may be early: it counts in whole milliseconds
_TURNS = 4
_ATTEMPTS = 10


def patiently(first: float, test: Callable[[float], None]) -> None:
    """Run a test that waits for a time limit to run out, with ever longer limits from the first one until it passes.

    On a busy machine nothing is under way yet when a short limit ends. A wrong program fails with every limit.
    """
    for turn in count(1):
        try:
            test(first * 4 ** (turn - 1))
        except (AssertionError, OSError):
            if turn == _TURNS:
                raise
        else:
            return


def shortest(limit: float, measured: Callable[[], float]) -> float:
    """The first time below the limit, or the least of several: a busy machine makes some long, a wrong program all."""
    times: list[float] = []
    while len(times) < _ATTEMPTS and min(times, default=limit) >= limit:
        times.append(measured())
    return min(times)
