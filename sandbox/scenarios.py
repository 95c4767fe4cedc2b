"""A scenario, and one org's way through it: which step a call takes, how often, by which exchanges.

How a scenario is read and checked is the business of `scenario_document`; what its steps do is done by others.
"""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

from sandbox import clock
from sandbox.journal import Exchange
from sandbox.matching import ABSENT, Fits, why_not
from sandbox.messages import Request
from sandbox.openapi.operation import Operation, Values
from sandbox.openapi.parameters import pairs
from sandbox.then import Then

MAX_KEPT = 100  # exchanges told of each step, and unexpected ones


class Throttled(Exception):
    """The call is one too many; `seconds` until the next may come."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"Try again in {seconds} s.")
        self.seconds = seconds


class Unexpected(Exception):
    """No step takes the call, and the scenario says that it then fails."""


class Step(NamedTuple):
    """One step. Without operations it waits for no call."""

    number: int  # from 1
    shown: str | None  # the operation as it was written
    operations: frozenset[str] | None
    parts: tuple[tuple[str, Fits], ...]  # of `when`
    when: dict[str, Any]
    times: int | None  # None: any number
    lasts: int | None  # nanoseconds by the org's clock
    then: Then


class Given(NamedTuple):
    """What an org begins with."""

    clock: int | None
    seed: dict[str, Any]


class Scenario(NamedTuple):
    """A script that was read and checked; many orgs may run it."""

    name: str | None  # if it has one
    document: dict[str, Any]
    given: Given
    steps: tuple[Step, ...]
    fails: bool  # a call that no step takes is refused

    @property
    def summary(self) -> str | None:
        return self.document.get("summary")


class Unexpectedness(NamedTuple):
    """A call that no step took."""

    exchange: int
    operation: str | None
    why: str


class _Counts:
    """What happened with one step."""

    __slots__ = ("by", "taken", "window")

    def __init__(self) -> None:
        self.taken = 0
        self.by: deque[int] = deque(maxlen=MAX_KEPT)
        self.window: tuple[int, int] | None = None  # of a throttle: when it began, the calls in it

    def copy(self) -> _Counts:
        copy = _Counts()
        copy.taken, copy.by, copy.window = self.taken, self.by.copy(), self.window
        return copy


class Run:
    """One org's way through a scenario."""

    __slots__ = ("_counts", "_entered", "at", "scenario", "unexpected", "unexpected_count")

    def __init__(self, scenario: Scenario, now: int) -> None:
        self.scenario = scenario
        self.at = 0  # steps before this one are spent
        self._entered = now  # when the current step became that
        self._counts: dict[int, _Counts] = {}  # by number; a step that nothing took has none
        self.unexpected: deque[Unexpectedness] = deque(maxlen=MAX_KEPT)
        self.unexpected_count = 0

    @property
    def unspent(self) -> list[int]:
        """The numbers of the steps that are still owed calls; one that takes any number of them is owed none."""
        return [step.number for step in self.scenario.steps[self.at :] if step.times is not None]

    @property
    def current(self) -> Step | None:
        """The step that is awaited; None when all are spent."""
        return self.scenario.steps[self.at] if self.at < len(self.scenario.steps) else None

    def counts(self, step: Step) -> tuple[int, list[int]]:
        """How often a step was taken, and by which exchanges, at most the newest hundred."""
        counts = self._counts.get(step.number)
        return (counts.taken, list(counts.by)) if counts else (0, [])

    def take(self, operation: Operation, request: Request, values: Values, now: int) -> Step | None:
        """The step that this call takes. Raises `Throttled`, and `Unexpected` where the scenario wants that."""
        self.wake(now)
        steps, at, said = self.scenario.steps, self.at, _Said(request, values)
        while at < len(steps):
            step = steps[at]
            if step.operations is not None and operation.id in step.operations and said.fits(step):
                if at != self.at:
                    self._enter(at, now)
                return self._taken(step, now)
            if step.times is not None or step.operations is None:
                break  # it is awaited until it is spent
            at += 1
        if self.scenario.fails:
            raise Unexpected(self._why_not(operation, said))
        return None

    def wake(self, now: int) -> None:
        """Leave behind what lasts a certain time only, once that has passed."""
        while (step := self.current) is not None:
            lasts = step.then.pause if step.operations is None else step.lasts
            if lasts is None or now < self._entered + lasts:
                return
            if step.operations is None:
                self._count(step)
            self._enter(self.at + 1, self._entered + lasts)

    def due(self, now: int) -> Step | None:
        """Take the next step that waits for no call, if it is its turn."""
        self.wake(now)
        step = self.current
        if step is None or step.operations is not None or step.then.pause is not None:
            return None
        self._count(step)
        self._enter(self.at + 1, now)
        return step

    def told(self, exchange: Exchange) -> None:
        """What came of a call, now that its exchange has an id."""
        if exchange.step is not None:
            self._counts[exchange.step].by.append(exchange.id)
        elif exchange.unexpected is not None:
            self.unexpected.append(Unexpectedness(exchange.id, exchange.operation, exchange.unexpected))
            self.unexpected_count += 1

    def copy(self) -> Run:
        """The same place in the same scenario, to come back to."""
        copy = Run(self.scenario, self._entered)
        copy.at = self.at
        copy._counts = {number: counts.copy() for number, counts in self._counts.items()}
        copy.unexpected, copy.unexpected_count = self.unexpected.copy(), self.unexpected_count
        return copy

    def _enter(self, at: int, now: int) -> None:
        self.at, self._entered = at, now

    def _count(self, step: Step) -> _Counts:
        counts = self._counts.get(step.number)
        if counts is None:
            counts = self._counts[step.number] = _Counts()
        counts.taken += 1
        return counts

    def _taken(self, step: Step, now: int) -> Step:
        counts = self._count(step)
        if step.times == counts.taken:
            self._enter(self.at + 1, now)
        return step

    def throttle(self, step: Step, now: int) -> None:
        """Count a call of a step that limits them. Raises `Throttled`."""
        limit = step.then.throttle
        assert limit is not None  # that is asked before
        counts = self._counts[step.number]
        began, calls = counts.window or (now, 0)
        if not began <= now < began + limit.per:  # over, or the clock was set back
            began, calls = now, 0
        counts.window = began, calls + 1
        if calls >= limit.limit:
            raise Throttled(max(1, -(-(began + limit.per - now) // clock.SECOND)))

    def _why_not(self, operation: Operation, said: _Said) -> str:
        step = self.current
        if step is None:
            return f"All steps are spent; {operation.id} was not awaited."
        awaited = f"Step {step.number} awaits"
        if step.operations is None:
            return f"{awaited} that time passes, no call; {operation.id} came."
        if operation.id not in step.operations:
            return f"{awaited} {step.shown}; {operation.id} came."
        return f"{awaited} another {operation.id}: {said.why_not(step)}."


class _Said:
    """What a call says, part by part, looked at only when a step asks."""

    __slots__ = ("_query", "_request", "_values")

    def __init__(self, request: Request, values: Values) -> None:
        self._request = request
        self._values = values
        self._query: dict[str, Any] | None = None

    def fits(self, step: Step) -> bool:
        return all(fits(self._part(name)) for name, fits in step.parts)

    def why_not(self, step: Step) -> str | None:
        found = (why_not(pattern, self._part(name), name) for name, pattern in step.when.items())
        return next((reason for reason in found if reason is not None), None)

    def _part(self, name: str) -> Any:
        if name == "body":
            return self._values.body if self._request.body else ABSENT
        if name == "path":
            return self._values.path
        if name == "headers":
            return {field.decode("latin-1"): value.decode("latin-1") for field, value in self._request.fields.items()}
        if self._query is None:
            given = pairs(self._request.query, [])
            self._query = {name: texts[0] if len(texts) == 1 else texts for name, texts in given.items()}
        return self._query
