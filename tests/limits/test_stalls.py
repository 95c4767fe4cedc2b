"""No single request keeps others waiting: each row is an attack on a server in a process of its own.

The bounds are generous, since machines are shared; `bench/stalls.py` has the figures. What was too slow is repeated: of
three strikes one must show that the server can.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.command import serving
from tests.limits.attack import Attack, Outcome, Target, outcome
from tests.limits.rows import ROWS

MOST_WAIT = 0.25  # seconds; the rule is 0.05 on a quiet machine
MOST_CPU = 8.0  # seconds, in slices
_STRIKES = 3


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    with serving("--max-orgs", "30000") as served:
        yield Target(served.port, served.process.pid)


@pytest.mark.parametrize("attack", ROWS, ids=lambda attack: attack.name)
def test_others_are_answered_meanwhile(target: Target, attack: Attack) -> None:
    if attack.prepare is not None:
        attack.prepare(target)

    best = _best(target, attack)

    assert attack.status in (None, best.status)
    assert best.worst_wait < MOST_WAIT
    assert best.cpu < MOST_CPU


def _best(target: Target, attack: Attack) -> Outcome:
    best: Outcome | None = None
    for _ in range(_STRIKES):
        found = outcome(target, attack)
        if best is None or found.worst_wait < best.worst_wait:
            best = found
        if best.worst_wait < MOST_WAIT:
            break
    assert best is not None
    return best
