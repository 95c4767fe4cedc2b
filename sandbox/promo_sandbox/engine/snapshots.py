"""Snapshots of an org. Documents are values, so a snapshot holds references, not copies of documents.

The journal is not part of a snapshot: a restore does not remove entries. `admin.snapshots` names and deletes them.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from promo_sandbox.base.clock import Clock
from promo_sandbox.model.state import State
from promo_sandbox.scenarios.run import Run


class Restorable(Protocol):
    """The parts of an org that a snapshot holds."""

    state: State
    clock: Clock
    processed_until: int
    scenario: Run | None


class Snapshot(NamedTuple):
    """Immutable: a restored org works on copies."""

    at: int
    state: State
    clock: Clock
    processed_until: int
    scenario: Run | None

    @classmethod
    def of(cls, org: Restorable) -> Snapshot:
        return cls(org.clock.now(), org.state.copy(), org.clock.copy(), org.processed_until, _copy_of(org.scenario))

    def restore(self, org: Restorable) -> State:
        """Restore the org, including its sequence of ids, and return its previous state.

        A running clock shows the time that it would show now.
        """
        previous = org.state
        org.state, org.clock, org.processed_until = self.state.copy(), self.clock.copy(), self.processed_until
        org.scenario = _copy_of(self.scenario)
        return previous


def _copy_of(run: Run | None) -> Run | None:
    return None if run is None else run.copy()
