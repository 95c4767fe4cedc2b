"""What an org was at a moment, to go back to. Documents are values, so a snapshot costs references, not documents.

The journal is no part of it: that something happened stays true. Who names and drops snapshots is not its business.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from promo_sandbox.base.clock import Clock
from promo_sandbox.model.state import State
from promo_sandbox.scenarios.run import Run


class World(Protocol):
    """An org, as far as it is kept."""

    state: State
    clock: Clock
    passed: int
    scenario: Run | None


class Snapshot(NamedTuple):
    """Nobody changes what it holds: an org that goes back to it takes copies."""

    at: int
    state: State
    clock: Clock
    passed: int
    scenario: Run | None

    @classmethod
    def of(cls, world: World) -> Snapshot:
        return cls(world.clock.now(), world.state.copy(), world.clock.copy(), world.passed, _copied(world.scenario))

    def restore(self, world: World) -> State:
        """Make it what it was, ids included; a clock that ran shows what it would show now. Gives its former state."""
        former = world.state
        world.state, world.clock, world.passed = self.state.copy(), self.clock.copy(), self.passed
        world.scenario = _copied(self.scenario)
        return former


def _copied(run: Run | None) -> Run | None:
    return None if run is None else run.copy()
