"""All orgs: each is created on first use, has its own state and clock, and can be seeded.

`pipeline` runs the requests in an org.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from promo_sandbox.base import clock
from promo_sandbox.base.errors import SandboxError
from promo_sandbox.base.memory import Memory, NotEnoughMemory
from promo_sandbox.base.nearest_names import nearest
from promo_sandbox.base.slices import Work, run_to_end
from promo_sandbox.engine.org import Org, TooManyOrgs
from promo_sandbox.engine.seeding import Documents, InvalidObjects, SeedResult, Stored, restore_documents, store_seed
from promo_sandbox.engine.timers import MAX_BYTES_PER_RUN, Timers
from promo_sandbox.model.call import Call
from promo_sandbox.model.contract import Contract
from promo_sandbox.model.coverage import Counts, Coverage
from promo_sandbox.model.effects import DeliveryFault
from promo_sandbox.model.interfaces import TokenIssuer
from promo_sandbox.model.journal import Budget, Entry, Event, Exchange, Journal, Listener, Occurrence
from promo_sandbox.model.state import NEVER, Collection, State
from promo_sandbox.scenarios.run import Run, Scenario, Step
from promo_sandbox.webhooks.dispatch import Webhooks

__all__ = ["MAX_NAME", "InvalidObjects", "Org", "Orgs", "Seed", "TooManyOrgs"]

MAX_NAME = 256
_ORGS_PER_TICK = 500
_SEED_ATTEMPTS = 3  # in slices, while others write; the next attempt runs in one go
Seed = Mapping[str, Any]  # {vendor: {collection: [object]}}, not validated yet


class Orgs:
    """All orgs of a server."""

    def __init__(
        self,
        contracts: Iterable[Contract],
        issuer: TokenIssuer,
        *,
        limit: int,
        journal_limit: int,
        journal_bytes: int,
        webhooks: Webhooks | None = None,
        seeds: Mapping[str, Seed] | None = None,
        memory: Memory | None = None,
    ) -> None:
        self.memory = memory or Memory()
        self._contracts = {contract.vendor: contract for contract in contracts}
        self._collections = {
            collection.key: (contract, collection)
            for contract in self._contracts.values()
            for collection in contract.rules.collections.values()
        }
        self._issuer = issuer
        self._limit = limit
        self._journal_limit = journal_limit
        self._journal_budget = Budget(journal_bytes)
        self.coverage = Coverage()
        self.run_due_timers = Timers(self._collections, issuer, self.coverage, self._record).run_due
        self.webhooks = webhooks or Webhooks(self._contracts.values(), kept=journal_limit)
        self._orgs: dict[str, Org] = {}
        self._to_free: deque[Iterator[None]] = deque()
        self._round: Iterator[Org] = iter(())  # the next orgs for `tick`
        self._seeds = dict(seeds or {})
        for name in self._seeds:
            try:
                self.get(name)
            except InvalidObjects as error:
                raise SandboxError(f"the seed of the org {name!r} is invalid: {error}") from None
            except TooManyOrgs:
                raise SandboxError(f"{len(self._seeds)} orgs are seeded, but the limit is {limit}") from None

    def __iter__(self) -> Iterator[Org]:
        return iter(sorted(self._orgs.values(), key=lambda org: org.name))

    def __len__(self) -> int:
        return len(self._orgs)

    def get(self, name: str) -> Org:
        """The org of this name, created on first use. Raises `TooManyOrgs` and `NotEnoughMemory`."""
        org = self._orgs.get(name)
        if org is None:
            if len(self._orgs) >= self._limit:
                raise TooManyOrgs
            if self.memory.full:
                raise NotEnoughMemory
            org = Org(name, self._new_journal(name))
            run_to_end(self._seed_initially(org, self._seeds.get(name)))
            self._orgs[name] = org
            self.webhooks.run(org)
        return org

    def listen(self, listener: Listener | None) -> None:
        """Call the listener for each new entry of all journals. None removes it."""
        self._journal_budget.listener = listener

    def clear_journal(self, org: Org) -> None:
        self._to_free.append(org.journal.clear())

    def covered(self) -> Counts:
        """The parts of the contracts that the clients of all orgs have covered, deleted orgs included."""
        return self.coverage.total(org.covered for org in self._orgs.values())

    def reset_coverage(self, org: Org) -> None:
        """Reset the coverage of one org. The coverage of all orgs keeps its counts."""
        self.coverage.retain(org.covered)
        org.covered = None

    def clear_coverage(self) -> None:
        """Reset the coverage of each org and of all orgs together."""
        self.coverage.clear()
        for org in self._orgs.values():
            org.covered = None

    def find(self, name: str) -> Org | None:
        return self._orgs.get(name)

    def similar_names(self, name: str) -> list[str]:
        """Names of existing orgs that are similar to this one, to suggest in an error message."""
        return nearest(name, self._orgs, 3)

    def delete(self, name: str) -> bool:
        """Delete an org. Return whether it existed."""
        org = self._orgs.pop(name, None)
        if org is None:
            return False
        self.coverage.retain(org.covered)
        self._to_free.append(org.journal.clear())
        self.free_later(org.state)
        self._drop_snapshots(org)
        self.webhooks.close(org.outbox)
        return True

    def reset(self, org: Org) -> Work[None]:
        """Restore the org as it was on first use, with the operator's seed. If it has a scenario, restart that."""
        yield from self.restart(org, org.scenario.scenario if org.scenario is not None else None)

    def restart(self, org: Org, scenario: Scenario | None) -> Work[None]:
        """Reset an org and start a scenario in it, in slices. Raises `InvalidObjects`; then nothing has changed."""
        new = Org(org.name, self._new_journal(org.name))
        new.delivery_changes = org.delivery_changes
        try:
            yield from self._seed_initially(new, self._seeds.get(org.name))
            if scenario is not None:
                yield from self._start_scenario(new, scenario)
        except BaseException:  # re-raised
            self.free_later(new.state)
            self._to_free.append(new.journal.clear())
            self.webhooks.close(new.outbox)
            raise
        self.free_later(org.state)
        self._drop_snapshots(org)
        self._to_free.append(org.journal.clear())
        self.reset_coverage(org)
        self.webhooks.close(org.outbox)
        for name in ("clock", "journal", "outbox", "processed_until", "scenario", "state"):
            setattr(org, name, getattr(new, name))
        if self._orgs.get(org.name) is org:
            self.webhooks.run(org)

    @contextmanager
    def temporary(self) -> Iterator[Org]:
        """An org that only the caller sees, to validate a scenario in it."""
        org = Org("temporary", self._new_journal("temporary"))
        try:
            yield org
        finally:
            self.free_later(org.state)
            self._to_free.append(org.journal.clear())
            self.webhooks.close(org.outbox)

    def advance(self, org: Org, until: int, occurrences: list[Occurrence]) -> Iterator[None]:
        """Move the clock forward to a moment and run the timers on the way, each at its own moment. In slices.

        Between two slices the clock shows how far it has come. Occurrences are appended to the list. If the org's state
        is replaced, the advance ends early.
        """
        state = org.state
        org.collectors += (occurrences,)
        try:
            while org.state is state:
                self.run_due_timers(org, until)
                if state.next_due > until:
                    self._move_clock(org, until)
                    return
                self._move_clock(org, max(org.processed_until, org.clock.now()))
                yield
        finally:
            org.collectors = tuple(it for it in org.collectors if it is not occurrences)

    def catch_up(self, org: Org) -> Iterator[None]:
        """Process everything that is due, in slices, without waiting for the next tick."""
        self._process_due(org)
        while org.has_pending_work:
            yield
            self._process_due(org)

    def prepare_copy(self, org: Org) -> Iterator[None]:
        """Catch up, and prepare the org's state so that a copy is cheap. In slices."""
        yield from self.catch_up(org)
        while org.state.prepare_copy():
            yield
            yield from self.catch_up(org)

    def _process_due(self, org: Org) -> list[Occurrence]:
        if org.scenario is not None and org.scenario.next_due <= org.clock.now():
            self.run_due_steps(org)
        return self.run_due_timers(org, org.clock.now())

    def _move_clock(self, org: Org, moment: int) -> None:
        org.clock.set(moment)
        self.set_clock(org)

    def set_clock(self, org: Org, before: int = 0) -> None:
        """React to a new time of the org's clock, which showed `before`: attempt the deliveries that are due now."""
        if org.outbox is not None:
            self.webhooks.clock_was_set(org, max(before - org.clock.now(), 0))
            if self._orgs.get(org.name) is org:  # not a temporary org
                self.webhooks.run(org)

    def notify(self, org: Org, entry: Entry, delivery_fault: DeliveryFault | None = None, after: float = 0.0) -> None:
        """Notify the subscribers of an entry that is in the journal. after: seconds until its reply is sent."""
        if not org.initializing and self.webhooks.may_notify(org, entry):
            self.webhooks.notify(
                org, entry, live=self._orgs.get(org.name) is org, delivery_fault=delivery_fault, after=after
            )

    def run_due_steps(self, org: Org) -> None:
        """Run the steps of the org's scenario that need no call and are due."""
        run = org.scenario
        while run is not None and (step := run.take_step_without_call(org.clock.now())) is not None:
            self._run_step(org, step)
            run.restart_step_time(org.clock.now())

    def update_scenario(self, org: Org, exchange: Exchange) -> None:
        """Record an exchange in the scenario, once it is in the journal, and run the steps that follow."""
        if org.scenario is not None:
            org.scenario.record(exchange)
            if org.scenario.next_due <= exchange.at:
                self.run_due_steps(org)

    def free_later(self, state: State) -> None:
        """Free a state that no org uses any more, in slices."""
        self._to_free.append(state.dismantle())

    def tick(self) -> bool:
        """Process what is due in the next orgs of the round. Return whether anything happened: then call again soon."""
        size = 0
        for looked, org in enumerate(self._round, 1):
            size += self._process_if_due(org)
            if looked == _ORGS_PER_TICK or size >= MAX_BYTES_PER_RUN:
                break
        else:
            self._round = iter(list(self._orgs.values()))
        self.webhooks.tick()
        return size > 0

    def _process_if_due(self, org: Org) -> int:
        """Process what is due in an org. Return the size of the new journal entries in bytes."""
        wakes_at = org.scenario.next_due if org.scenario is not None else NEVER
        if min(org.state.next_due, wakes_at) > org.clock.now() or self._orgs.get(org.name) is not org:
            return 0
        return sum(occurrence.size for occurrence in self._process_due(org))

    def free_slice(self) -> bool:
        """Free a slice of the discarded objects. Return whether there is more."""
        if self._to_free and next(self._to_free[0], self) is self:
            self._to_free.popleft()
            if self.memory.full and not self._to_free:
                self.memory.release_free_memory()
        return bool(self._to_free)

    def seed(self, org: Org, seed: Seed) -> Stored:
        """Store objects without a vendor's call. Missing fields are filled in.

        An object with the id of a stored one replaces it. Raises `InvalidObjects`, and then nothing has changed.
        """
        return run_to_end(self._seed_now(org, seed))

    def seed_in_slices(self, org: Org, seed: Seed) -> Work[Stored]:
        """Seed in slices: store in a copy, which replaces the state unless another request has written meanwhile."""
        for _ in range(_SEED_ATTEMPTS):
            yield from self.prepare_copy(org)
            state, writes, now = org.state, org.state.write_count, org.clock.now()
            copied = state.copy()
            try:
                seeded = yield from store_seed(copied, self._contracts, self._call_factory(org, copied, now), seed)
            except BaseException:  # re-raised
                self.free_later(copied)
                raise
            if org.state is state and state.write_count == writes:
                copied.armed, org.state = state.armed, copied
                self.free_later(state)
                return self._record_seed(org, now, seeded)
            self.free_later(copied)
        return self.seed(org, seed)

    def _seed_now(self, org: Org, seed: Seed) -> Work[Stored]:
        now = org.clock.now()
        self.run_due_timers(org, now)
        seeded = yield from store_seed(org.state, self._contracts, self._call_factory(org, org.state, now), seed)
        return self._record_seed(org, now, seeded)

    def _record_seed(self, org: Org, now: int, seeded: SeedResult) -> Stored:
        occurrence = Occurrence(now, "seed")
        occurrence.set_events(seeded.events)
        self._record(org, occurrence)
        self.run_due_timers(org, now)
        return seeded.stored

    def _call_factory(self, org: Org, state: State, now: int) -> Callable[[Contract], Call]:
        return lambda contract: Call(org.name, state, contract.rules, now, self._issuer, contract)

    def collections_in_use(self, state: State) -> Iterator[tuple[str, str, Collection]]:
        """The collections that hold documents, as `(vendor, name, collection)`."""
        for contract, collection in self._collections.values():
            if state.records(collection):
                yield contract.vendor, collection.key.partition(".")[2], collection

    def restore_state(self, org: Org, documents: Documents, sequence: int) -> Work[None]:
        """Replace the state of an org, in slices. Raises `InvalidObjects`; then nothing has changed."""
        state = State()
        state.sequence = sequence
        yield from restore_documents(self._contracts, self._call_factory(org, state, org.clock.now()), documents)
        self.free_later(org.state)
        state.armed = org.state.armed
        org.state = state
        self.webhooks.state_restored(org)

    def _drop_snapshots(self, org: Org) -> None:
        for snapshot in org.snapshots.values():
            self.free_later(snapshot.state)
        org.snapshots = {}

    def _start_scenario(self, org: Org, scenario: Scenario) -> Work[None]:
        given = scenario.given
        if given.clock is not None:
            org.clock.freeze()
            org.clock.set(given.clock)
        yield from self._seed_initially(org, given.seed)
        org.scenario = Run(scenario, org.clock.now())
        self.run_due_steps(org)

    def _run_step(self, org: Org, step: Step) -> None:
        """Run a step that needs no call, with an entry of its own in the journal."""
        occurrence = Occurrence(org.clock.now(), f"scenario step {step.number}")
        org.state.begin()
        emission = step.effects.scripted_event
        if emission is not None:
            occurrence.set_events([Event(occurrence.at, emission.callback, emission.payload)])
        until = occurrence.at
        if step.effects.advance is not None:
            try:
                until = clock.later(until, step.effects.advance)
            except ValueError as error:
                occurrence.internal_error = str(error)
        self._record(org, occurrence, step.effects.delivery_fault)
        if until != occurrence.at:  # what exceeds the limit of one run happens before the next request
            self.run_due_timers(org, until)
            self._move_clock(org, until)

    def _new_journal(self, name: str) -> Journal:
        return Journal(self._journal_limit, self._journal_budget, name)

    def _seed_initially(self, org: Org, seed: Seed | None) -> Work[None]:
        """Store the first objects of an org. They send no webhooks."""
        if seed:
            org.initializing = True
            yield from self._seed_now(org, seed)
            org.initializing = False

    def _record(self, org: Org, occurrence: Occurrence, delivery_fault: DeliveryFault | None = None) -> None:
        occurrence.id = org.journal.next_id()
        occurrence.set_changes(org.state.changes)
        org.journal.add(occurrence)
        if occurrence.events or occurrence.changes:
            self.notify(org, occurrence, delivery_fault)
