"""A scenario, and the progress of an org through it: which step takes a call, how often, in which exchanges.

`document` reads and checks scenarios. The engine applies the effects of a step.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec

from promo_sandbox.base import clock
from promo_sandbox.base.messages import Request
from promo_sandbox.model.effects import Effects
from promo_sandbox.model.journal import Exchange
from promo_sandbox.model.state import NEVER
from promo_sandbox.openapi.operation import Operation, Values
from promo_sandbox.scenarios.conditions import CallParts, Matcher

T = TypeVar("T")
MAX_KEPT = 100  # exchanges of each step, and unexpected calls


class Throttled(Exception):
    """The call exceeds the limit of a throttle; the next one is allowed in `seconds`."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"Try again in {seconds} s.")
        self.seconds = seconds


class UnexpectedCallError(Exception):
    """No step takes the call, and the scenario has `otherwise: fail`."""


class Step(NamedTuple):
    """A step. Without operations it takes no call: it happens when its turn comes."""

    number: int  # from 1
    operation_text: str | None  # as in the document
    operations: frozenset[str] | None
    parts: tuple[tuple[str, Matcher], ...]  # of `when`
    when: dict[str, Any]
    times: int | None  # None: any number
    duration: int | None  # nanoseconds by the org's clock
    effects: Effects


class Given(NamedTuple):
    """The initial clock and seed of an org."""

    clock: int | None
    seed: dict[str, Any]


class Scenario:
    """A valid scenario. Many orgs may run it."""

    def __init__(
        self,
        name: str | None,
        document: dict[str, Any],
        given: Given,
        steps: tuple[Step, ...],
        *,
        fails_otherwise: bool,
    ) -> None:
        self.name = name
        self.document = document
        self.given = given
        self.steps = steps
        self.fails_otherwise = fails_otherwise  # reject calls that no step takes
        self._indexes: dict[str, list[int]] = {}
        self._last = [0] * len(steps)  # for each step, the last one that may take the next call
        for index in reversed(range(len(steps))):
            may_skip = steps[index].times is None and index + 1 < len(steps)
            self._last[index] = self._last[index + 1] if may_skip else index

    @property
    def summary(self) -> str | None:
        return self.document.get("summary")

    def candidates(self, operation_id: str, current: int) -> Sequence[int]:
        """The indexes of the steps that may take a call: from the current one to the first that may not be skipped."""
        if current >= len(self.steps):
            return ()
        if self._last[current] == current:
            return (current,) if operation_id in (self.steps[current].operations or ()) else ()
        indexes = self._indexes.get(operation_id)
        if indexes is None:
            indexes = [index for index, step in enumerate(self.steps) if operation_id in (step.operations or ())]
            self._indexes[operation_id] = indexes
        first = bisect_left(indexes, current)
        return indexes[first : bisect_right(indexes, self._last[current], first)]


class UnexpectedCall(msgspec.Struct, frozen=True):
    """A call that no step took."""

    exchange: int
    operation: str | None
    why: str


class StepCounts(msgspec.Struct):
    """The calls of one step."""

    calls: int = 0
    exchanges: list[int] = []  # ids of the newest hundred
    window: tuple[int, int] | None = None  # of a throttle: the moment of its first call, and the number of calls


class Progress(msgspec.Struct, forbid_unknown_fields=True):
    """The progress of an org. Together with the scenario's document, it is the complete state of a run."""

    step_started: int  # moment
    current: int = 0  # index of the current step; the steps before it are done
    counts: dict[int, StepCounts] = {}  # by number of the step, if it took a call
    unexpected: list[UnexpectedCall] = []  # the newest hundred
    unexpected_count: int = 0


class Run:
    """An org's run of a scenario."""

    __slots__ = ("_progress", "next_due", "scenario")

    def __init__(self, scenario: Scenario, now: int) -> None:
        self.scenario = scenario
        self._progress = Progress(now)
        self.next_due = self._next_due()  # moment when a step is due without a call

    @classmethod
    def resumed(cls, scenario: Scenario, progress: Any) -> Run:
        """A run with the given progress. Raises `ValueError` if the progress does not fit the scenario."""
        run = cls(scenario, 0)
        run._progress = found = msgspec.convert(progress, Progress, str_keys=True)
        numbers = range(1, len(scenario.steps) + 1)
        if not 0 <= found.current <= len(scenario.steps) or any(number not in numbers for number in found.counts):
            raise ValueError("the progress names a step that the scenario does not have")
        run.next_due = run._next_due()
        return run

    @property
    def progress(self) -> Any:
        """The progress as a JSON value, for `resumed`."""
        return msgspec.to_builtins(self._progress, str_keys=True)

    def copy(self) -> Run:
        """A run of the same scenario with the same progress."""
        return Run.resumed(self.scenario, self.progress)

    @property
    def steps_done(self) -> int:
        """How many steps are done."""
        return self._progress.current

    @property
    def unexpected(self) -> list[UnexpectedCall]:
        return self._progress.unexpected

    @property
    def unexpected_count(self) -> int:
        return self._progress.unexpected_count

    @property
    def unmet(self) -> list[int]:
        """The numbers of the steps that are not done, without those with `times: any`, which are optional."""
        return [step.number for step in self.scenario.steps[self.steps_done :] if step.times is not None]

    @property
    def current(self) -> Step | None:
        """The current step; None if all are done."""
        return self.scenario.steps[self.steps_done] if self.steps_done < len(self.scenario.steps) else None

    def counts(self, step: Step) -> tuple[int, list[int]]:
        """How many calls a step took, and the ids of the newest hundred of their exchanges."""
        counts = self._progress.counts.get(step.number)
        return (counts.calls, counts.exchanges) if counts else (0, [])

    def take(self, operation: Operation, request: Request, values: Values, now: int) -> Step | None:
        """The step that takes this call. Raises `UnexpectedCallError` if none does and the scenario then fails."""
        if self.next_due <= now:
            self._skip_elapsed_steps(now)
        call = None
        for index in self.scenario.candidates(operation.id, self._progress.current):
            step = self.scenario.steps[index]
            call = call or CallParts(request, values)
            if not step.parts or call.match(step.parts):
                if index != self._progress.current:
                    self._enter(index, now)
                return self._taken(step, now)
        if self.scenario.fails_otherwise:
            raise UnexpectedCallError(self._unexpected_reason(operation, CallParts(request, values)))
        return None

    def _skip_elapsed_steps(self, now: int) -> None:
        """Leave each step whose duration or pause has passed."""
        while (step := self.current) is not None:
            duration = step.effects.pause if step.operations is None else step.duration
            if duration is None or now < self._progress.step_started + duration:
                return
            if step.operations is None:
                self._count(step)
            self._enter(self.steps_done + 1, self._progress.step_started + duration)

    def take_step_without_call(self, now: int) -> Step | None:
        """Take the current step if it needs no call; None otherwise."""
        self._skip_elapsed_steps(now)
        step = self.current
        if step is None or step.operations is not None or step.effects.pause is not None:
            return None
        self._count(step)
        self._enter(self.steps_done + 1, now)
        return step

    def restart_step_time(self, now: int) -> None:
        """Start the current step at this moment, after the effects of `take_step_without_call` have happened."""
        self._enter(self._progress.current, now)

    def record(self, exchange: Exchange) -> None:
        """Record the exchange of a call, once it has an id."""
        if exchange.step is not None:
            _append(self._progress.counts[exchange.step].exchanges, exchange.id)
        elif exchange.unexpected is not None:
            _append(self.unexpected, UnexpectedCall(exchange.id, exchange.operation, exchange.unexpected))
            self._progress.unexpected_count += 1

    def _enter(self, index: int, now: int) -> None:
        self._progress.current, self._progress.step_started = index, now
        self.next_due = self._next_due()

    def _next_due(self) -> int:
        step = self.current
        if step is None:
            return NEVER
        duration = step.duration if step.operations is not None else step.effects.pause or 0
        return NEVER if duration is None else self._progress.step_started + duration

    def _count(self, step: Step) -> StepCounts:
        counts = self._progress.counts.get(step.number)
        if counts is None:
            counts = self._progress.counts[step.number] = StepCounts()
        counts.calls += 1
        return counts

    def _taken(self, step: Step, now: int) -> Step:
        counts = self._count(step)
        if step.times == counts.calls:
            self._enter(self.steps_done + 1, now)
        return step

    def throttle(self, step: Step, now: int) -> None:
        """Count a call of a step with a throttle. Raises `Throttled` if it is one too many."""
        limit = step.effects.throttle
        assert limit is not None  # the caller checks it
        counts = self._progress.counts[step.number]
        start, calls = counts.window or (now, 0)
        if not start <= now < start + limit.per:  # the window is over, or the clock was set back
            start, calls = now, 0
        counts.window = start, calls + 1
        if calls >= limit.limit:
            raise Throttled(max(1, -(-(start + limit.per - now) // clock.SECOND)))

    def _unexpected_reason(self, operation: Operation, call: CallParts) -> str:
        step = self.current
        if step is None:
            return f"All steps are done, so no call of {operation.id} is expected."
        if step.operations is None:
            return f"Step {step.number} expects no call until its time has passed, not {operation.id}."
        if operation.id not in step.operations:
            return f"Step {step.number} expects {step.operation_text}, not {operation.id}."
        return f"Step {step.number} expects a different {operation.id}: {call.mismatch(step.when)}."


def _append(newest: list[T], item: T) -> None:
    newest.append(item)
    if len(newest) > MAX_KEPT:
        del newest[0]
