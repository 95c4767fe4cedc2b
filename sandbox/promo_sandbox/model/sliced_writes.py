"""Long work that writes in steps. Each step is a unit of work; between two steps, others may write to the state."""

from __future__ import annotations

from typing import TypeVar

from promo_sandbox.base.slices import Work
from promo_sandbox.model.state import Change, State

T = TypeVar("T")


def write_in_steps(state: State, work: Work[T], written: list[Change]) -> Work[T]:
    """The same work, which also adds the changes of each step to `written`."""
    state.active_writers += 1
    try:
        while True:
            state.begin()
            next(work)
            _collect_changes(state, written)
            yield
    except StopIteration as ended:
        _collect_changes(state, written)
        result: T = ended.value
        return result
    except Exception:  # a rule may fail in any way; its earlier changes stay
        _collect_changes(state, written)
        raise
    finally:
        state.active_writers -= 1


def _collect_changes(state: State, written: list[Change]) -> None:
    """Add the changes of a step to those of the steps before."""
    written += state.changes
    state.changes = written


def growth(change: Change) -> int:
    """By how many bytes a change makes the stored documents larger."""
    return len(change.after.body if change.after else b"") - len(change.before.body if change.before else b"")
