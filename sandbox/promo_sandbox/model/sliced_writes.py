"""Long work that writes, a unit of its own in each step: between two of them others write to the same state."""

from __future__ import annotations

from typing import TypeVar

from promo_sandbox.base.slices import Work
from promo_sandbox.model.state import Change, State

T = TypeVar("T")


def writing(state: State, work: Work[T], written: list[Change]) -> Work[T]:
    """The same work; the changes of its steps are added to those that are written."""
    state.writers += 1
    try:
        while True:
            state.begin()
            next(work)
            _gather(state, written)
            yield
    except StopIteration as ended:
        _gather(state, written)
        result: T = ended.value
        return result
    except Exception:  # a rule may break in any way; what it wrote before stays
        _gather(state, written)
        raise
    finally:
        state.writers -= 1


def _gather(state: State, written: list[Change]) -> None:
    """Add the changes of a step to those before, which are the request's if it has no more to do."""
    written += state.changes
    state.changes = written


def growth(change: Change) -> int:
    """How many bytes of documents more there are with it."""
    return len(change.after.body if change.after else b"") - len(change.before.body if change.before else b"")
