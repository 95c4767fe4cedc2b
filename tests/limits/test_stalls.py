"""No single request keeps others waiting: each row is an attack on a server in a process of its own.

A bystander's wait counts in processor time of the server, so a busy machine makes none longer. The figures by the
clock are those of `bench/stalls.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.command import serving
from tests.limits.attack import Attack, Target, outcome
from tests.limits.rows import ROWS

MOST_WORK = 0.25  # seconds of the server during one wait; the rule is 0.05 on a machine of its own
MOST_CPU = 8.0  # seconds, in slices


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    with serving("--max-orgs", "30000") as served:
        yield Target(served.port, served.process.pid)


@pytest.mark.parametrize("attack", ROWS, ids=lambda attack: attack.name)
def test_others_are_answered_meanwhile(target: Target, attack: Attack) -> None:
    if attack.prepare is not None:
        attack.prepare(target)

    found = outcome(target, attack)

    assert attack.status in (None, found.status)
    assert found.worst_work < MOST_WORK
    assert found.cpu < MOST_CPU
