"""A scenario, and one org's way through it: which step a call takes, how often, by which exchanges.

How a scenario is read and checked is the business of `scenario_document`; what its steps do is done by others.
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
MAX_KEPT = 100  # exchanges told of each step, and unexpected ones


class Throttled(Exception):
    """The call is one too many; `seconds` until the next may come."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"Try again in {seconds} s.")
        self.seconds = seconds


class UnexpectedCallError(Exception):
    """No step takes the call, and the scenario says that it then fails."""


class Step(NamedTuple):
    """One step. Without operations it waits for no call."""

    number: int  # from 1
    operation_text: str | None  # the operation as it was written
    operations: frozenset[str] | None
    parts: tuple[tuple[str, Matcher], ...]  # of `when`
    when: dict[str, Any]
    times: int | None  # None: any number
    duration: int | None  # nanoseconds by the org's clock
    effects: Effects


class Given(NamedTuple):
    """What an org begins with."""

    clock: int | None
    seed: dict[str, Any]


class Scenario:
    """A script that was read and checked; many orgs may run it."""

    def __init__(
        self,
        name: str | None,
        document: dict[str, Any],
        given: Given,
        steps: tuple[Step, ...],
        *,
        fails_otherwise: bool,
    ) -> None:
        self.name = name  # if it has one
        self.document = document
        self.given = given
        self.steps = steps
        self.fails_otherwise = fails_otherwise  # a call that no step takes is refused
        self._indexes: dict[str, list[int]] = {}
        self._last = [0] * len(steps)  # for each place the last one that a call may take from there
        for at in reversed(range(len(steps))):
            goes_on = steps[at].times is None and at + 1 < len(steps)
            self._last[at] = self._last[at + 1] if goes_on else at

    @property
    def summary(self) -> str | None:
        return self.document.get("summary")

    def candidates(self, operation_id: str, at: int) -> Sequence[int]:
        """The places from this one on whose steps name an operation, up to the first that must be spent."""
        if at >= len(self.steps):
            return ()
        if self._last[at] == at:
            return (at,) if operation_id in (self.steps[at].operations or ()) else ()
        indexes = self._indexes.get(operation_id)
        if indexes is None:
            indexes = [place for place, step in enumerate(self.steps) if operation_id in (step.operations or ())]
            self._indexes[operation_id] = indexes
        first = bisect_left(indexes, at)
        return indexes[first : bisect_right(indexes, self._last[at], first)]


class UnexpectedCall(msgspec.Struct, frozen=True):
    """A call that no step took."""

    exchange: int
    operation: str | None
    why: str


class Counts(msgspec.Struct):
    """What happened with one step."""

    taken: int = 0
    by: list[int] = []  # exchanges, at most the newest hundred
    window: tuple[int, int] | None = None  # of a throttle: the moment it began, the calls in it


class Progress(msgspec.Struct, forbid_unknown_fields=True):
    """How far an org has come; with the scenario's document it is all that a run is."""

    entered: int  # the moment when the current step became that
    at: int = 0  # steps before this one are spent
    counts: dict[int, Counts] = {}  # by number; a step that nothing took has none
    unexpected: list[UnexpectedCall] = []  # at most the newest hundred
    unexpected_count: int = 0


class Run:
    """One org's way through a scenario."""

    __slots__ = ("_progress", "next_due", "scenario")

    def __init__(self, scenario: Scenario, now: int) -> None:
        self.scenario = scenario
        self._progress = Progress(now)
        self.next_due = self._next_due()  # when something is to be done without a call

    @classmethod
    def resumed(cls, scenario: Scenario, progress: Any) -> Run:
        """A run that has come as far as `progress` says. Raises `ValueError` if no run of this scenario can have."""
        run = cls(scenario, 0)
        run._progress = found = msgspec.convert(progress, Progress, str_keys=True)
        numbers = range(1, len(scenario.steps) + 1)
        if not 0 <= found.at <= len(scenario.steps) or any(number not in numbers for number in found.counts):
            raise ValueError("the scenario has no such step")
        run.next_due = run._next_due()
        return run

    @property
    def progress(self) -> Any:
        """How far it has come, as JSON that `resumed` takes."""
        return msgspec.to_builtins(self._progress, str_keys=True)

    def copy(self) -> Run:
        """The same place in the same scenario, to come back to."""
        return Run.resumed(self.scenario, self.progress)

    @property
    def at(self) -> int:
        """How many steps are spent."""
        return self._progress.at

    @property
    def unexpected(self) -> list[UnexpectedCall]:
        return self._progress.unexpected

    @property
    def unexpected_count(self) -> int:
        return self._progress.unexpected_count

    @property
    def unmet(self) -> list[int]:
        """The numbers of the steps that are still owed calls; one that takes any number of them is owed none."""
        return [step.number for step in self.scenario.steps[self.at :] if step.times is not None]

    @property
    def current(self) -> Step | None:
        """The step that is awaited; None when all are spent."""
        return self.scenario.steps[self.at] if self.at < len(self.scenario.steps) else None

    def counts(self, step: Step) -> tuple[int, list[int]]:
        """How often a step was taken, and by which exchanges, at most the newest hundred."""
        counts = self._progress.counts.get(step.number)
        return (counts.taken, counts.by) if counts else (0, [])

    def take(self, operation: Operation, request: Request, values: Values, now: int) -> Step | None:
        """The step that takes this call. Raises `UnexpectedCallError` if none does and the scenario then fails."""
        if self.next_due <= now:
            self._skip_elapsed_steps(now)
        said = None
        for at in self.scenario.candidates(operation.id, self._progress.at):
            step = self.scenario.steps[at]
            said = said or CallParts(request, values)
            if not step.parts or said.fits(step.parts):
                if at != self._progress.at:
                    self._enter(at, now)
                return self._taken(step, now)
        if self.scenario.fails_otherwise:
            raise UnexpectedCallError(self._unexpected_reason(operation, CallParts(request, values)))
        return None

    def _skip_elapsed_steps(self, now: int) -> None:
        """Leave behind what lasts a certain time only, once that has passed."""
        while (step := self.current) is not None:
            lasts = step.effects.pause if step.operations is None else step.duration
            if lasts is None or now < self._progress.entered + lasts:
                return
            if step.operations is None:
                self._count(step)
            self._enter(self.at + 1, self._progress.entered + lasts)

    def take_timed_step(self, now: int) -> Step | None:
        """Take the next step that waits for no call, if it is its turn."""
        self._skip_elapsed_steps(now)
        step = self.current
        if step is None or step.operations is not None or step.effects.pause is not None:
            return None
        self._count(step)
        self._enter(self.at + 1, now)
        return step

    def restart_step_time(self, now: int) -> None:
        """What `due` gave is done, and this the moment from which the next step counts its time."""
        self._enter(self._progress.at, now)

    def record(self, exchange: Exchange) -> None:
        """What came of a call, now that its exchange has an id."""
        if exchange.step is not None:
            _keep(self._progress.counts[exchange.step].by, exchange.id)
        elif exchange.unexpected is not None:
            _keep(self.unexpected, UnexpectedCall(exchange.id, exchange.operation, exchange.unexpected))
            self._progress.unexpected_count += 1

    def _enter(self, at: int, now: int) -> None:
        self._progress.at, self._progress.entered = at, now
        self.next_due = self._next_due()

    def _next_due(self) -> int:
        step = self.current
        if step is None:
            return NEVER
        lasts = step.duration if step.operations is not None else step.effects.pause or 0
        return NEVER if lasts is None else self._progress.entered + lasts

    def _count(self, step: Step) -> Counts:
        counts = self._progress.counts.get(step.number)
        if counts is None:
            counts = self._progress.counts[step.number] = Counts()
        counts.taken += 1
        return counts

    def _taken(self, step: Step, now: int) -> Step:
        counts = self._count(step)
        if step.times == counts.taken:
            self._enter(self.at + 1, now)
        return step

    def throttle(self, step: Step, now: int) -> None:
        """Count a call of a step with a throttle. Raises `Throttled` if it is one too many."""
        limit = step.effects.throttle
        assert limit is not None  # that is asked before
        counts = self._progress.counts[step.number]
        began, calls = counts.window or (now, 0)
        if not began <= now < began + limit.per:  # over, or the clock was set back
            began, calls = now, 0
        counts.window = began, calls + 1
        if calls >= limit.limit:
            raise Throttled(max(1, -(-(began + limit.per - now) // clock.SECOND)))

    def _unexpected_reason(self, operation: Operation, said: CallParts) -> str:
        step = self.current
        if step is None:
            return f"All steps are spent; {operation.id} was not awaited."
        awaited = f"Step {step.number} awaits"
        if step.operations is None:
            return f"{awaited} that time passes, no call; {operation.id} came."
        if operation.id not in step.operations:
            return f"{awaited} {step.operation_text}; {operation.id} came."
        return f"{awaited} another {operation.id}: {said.mismatch(step.when)}."


def _keep(newest: list[T], one: T) -> None:
    newest.append(one)
    if len(newest) > MAX_KEPT:
        del newest[0]
