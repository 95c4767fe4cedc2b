"""The orgs: each a world of its own, made on first use, in which time passes and seeds are sown.

What a request does in an org is the pipeline's business.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from promo_sandbox.base import clock
from promo_sandbox.base.errors import SandboxError
from promo_sandbox.base.memory import Memory, NotEnoughMemory
from promo_sandbox.base.nearest_names import nearest
from promo_sandbox.base.slices import Work, run_to_end
from promo_sandbox.engine.agenda import AT_ONCE, Agenda
from promo_sandbox.engine.org import Org, TooManyOrgs
from promo_sandbox.engine.seeding import Documents, Sown, Stored, Unacceptable, restored, sown
from promo_sandbox.model.call import Call
from promo_sandbox.model.contract import Contract
from promo_sandbox.model.coverage import Counts, Coverage
from promo_sandbox.model.effects import DeliveryFault
from promo_sandbox.model.interfaces import TokenIssuer
from promo_sandbox.model.journal import Budget, Entry, Event, Exchange, Journal, Listener, Occurrence
from promo_sandbox.model.state import NEVER, Collection, State
from promo_sandbox.scenarios.run import Run, Scenario, Step
from promo_sandbox.webhooks.dispatch import Webhooks

__all__ = ["MAX_NAME", "Org", "Orgs", "Seed", "TooManyOrgs", "Unacceptable"]

MAX_NAME = 256
_TICKED = 500  # orgs that are looked at in one go
_TRIES = 3  # to seed a copy while others write
Seed = Mapping[str, Any]  # {vendor: {collection: [object]}}, not judged yet


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
        self._agenda = Agenda(self._collections, issuer, self.coverage, self._record)
        self.webhooks = webhooks or Webhooks(self._contracts.values(), kept=journal_limit)
        self._orgs: dict[str, Org] = {}
        self._discarded: deque[Iterator[None]] = deque()
        self._round: Iterator[Org] = iter(())  # those that `tick` has not come to yet
        self._seeds = dict(seeds or {})
        for name in self._seeds:
            try:
                self.get(name)
            except Unacceptable as error:
                raise SandboxError(f"the seed of the org {name!r} is refused: {error}") from None
            except TooManyOrgs:
                raise SandboxError(f"{len(self._seeds)} orgs are seeded, but there may only be {limit}") from None

    def __iter__(self) -> Iterator[Org]:
        return iter(sorted(self._orgs.values(), key=lambda org: org.name))

    def __len__(self) -> int:
        return len(self._orgs)

    def get(self, name: str) -> Org:
        """The org of this name, made on first use. Raises `TooManyOrgs` and `NotEnoughMemory`."""
        org = self._orgs.get(name)
        if org is None:
            if len(self._orgs) >= self._limit:
                raise TooManyOrgs
            if self.memory.full:
                raise NotEnoughMemory
            org = Org(name, self._new_journal(name))
            run_to_end(self._planting(org, self._seeds.get(name)))
            self._orgs[name] = org
            self.webhooks.run(org)
        return org

    def listen(self, listener: Listener | None) -> None:
        """Have one listener told of every entry of every journal, from now on; None ends that."""
        self._journal_budget.listener = listener

    def clear_journal(self, org: Org) -> None:
        self._discarded.append(org.journal.clear())

    def met(self) -> Counts:
        """What of the contracts the clients of all orgs have met, also of those that are gone."""
        return self.coverage.total(org.met for org in self._orgs.values())

    def forget_coverage(self, org: Org) -> None:
        """Begin counting anew in an org; what it has met stays in the count of all."""
        self.coverage.retain(org.met)
        org.met = None

    def clear_coverage(self) -> None:
        """Begin counting anew, in all and in every org."""
        self.coverage.clear()
        for org in self._orgs.values():
            org.met = None

    def known(self, name: str) -> Org | None:
        return self._orgs.get(name)

    def near(self, name: str) -> list[str]:
        """Names of existing orgs that look like this one, for a message to somebody who mistyped."""
        return nearest(name, self._orgs, 3)

    def forget(self, name: str) -> bool:
        """Whether there was such an org."""
        org = self._orgs.pop(name, None)
        if org is None:
            return False
        self.coverage.retain(org.met)
        self._discarded.append(org.journal.clear())
        self.discard(org.state)
        self._drop_snapshots(org)
        self.webhooks.close(org.outbox)
        return True

    def resetting(self, org: Org) -> Work[None]:
        """As on first use: as seeded by the operator, in real time, with ids from the start; or a scenario anew."""
        yield from self.beginning(org, org.scenario.scenario if org.scenario is not None else None)

    def beginning(self, org: Org, scenario: Scenario | None) -> Work[None]:
        """Reset an org and have it begin a scenario, in slices. Raises `Unacceptable`; then nothing has changed."""
        fresh = Org(org.name, self._new_journal(org.name))
        fresh.news = org.news
        try:
            yield from self._planting(fresh, self._seeds.get(org.name))
            if scenario is not None:
                yield from self._giving(fresh, scenario)
        except BaseException:  # whatever it was goes on after this
            self.discard(fresh.state)
            self._discarded.append(fresh.journal.clear())
            self.webhooks.close(fresh.outbox)
            raise
        self.discard(org.state)
        self._drop_snapshots(org)
        self._discarded.append(org.journal.clear())
        self.forget_coverage(org)
        self.webhooks.close(org.outbox)
        for name in ("clock", "journal", "outbox", "passed", "scenario", "state"):
            setattr(org, name, getattr(fresh, name))
        if self._orgs.get(org.name) is org:
            self.webhooks.run(org)

    def rehearse(self, scenario: Scenario) -> None:
        """Begin a scenario in an org that nobody sees. Raises `Unacceptable`."""
        org = Org("rehearsal", self._new_journal("rehearsal"))
        run_to_end(self.beginning(org, scenario))
        self.discard(org.state)
        self._discarded.append(org.journal.clear())
        self.webhooks.close(org.outbox)

    def advance(self, org: Org, until: int, happened: list[Occurrence]) -> Iterator[None]:
        """Have the clock go forward to a moment, and what falls due on the way happen, each at its own instant.

        In slices, between which the clock shows how far it has come. What has happened is added to the list. It ends
        early where another state is put in the place of the org's.
        """
        state = org.state
        org.witnesses += (happened,)
        try:
            while org.state is state:
                self.pass_time(org, until)
                if state.next_due > until:
                    self._reach(org, until)
                    return
                self._reach(org, max(org.passed, org.clock.now()))
                yield
        finally:
            org.witnesses = tuple(it for it in org.witnesses if it is not happened)

    def catch_up(self, org: Org) -> Iterator[None]:
        """Let what has fallen due until now happen, as it does by itself within a moment; in slices."""
        self._go_on(org)
        while org.behind:
            yield
            self._go_on(org)

    def get_copyable(self, org: Org) -> Iterator[None]:
        """The same, and afterwards a copy of the org's state takes a moment; in slices."""
        yield from self.catch_up(org)
        while org.state.prepare_copy():
            yield
            yield from self.catch_up(org)

    def _go_on(self, org: Org) -> list[Occurrence]:
        if org.scenario is not None and org.scenario.next_due <= org.clock.now():
            self.play(org)
        return self.pass_time(org, org.clock.now())

    def _reach(self, org: Org, moment: int) -> None:
        org.clock.set(moment)
        self.set_clock(org)

    def set_clock(self, org: Org, before: int = 0) -> None:
        """An org's clock was set, which showed `before`: what was due until now is attempted as at its own moment."""
        if org.outbox is not None:
            self.webhooks.jump(org, max(before - org.clock.now(), 0))
            if self._orgs.get(org.name) is org:  # nobody only rehearses
                self.webhooks.run(org)

    def tell(self, org: Org, entry: Entry, delivery_fault: DeliveryFault | None = None, after: float = 0.0) -> None:
        """Have subscribers told of an entry that is in the journal. after: seconds until its reply is sent."""
        if not org.begins and self.webhooks.concerns(org, entry):
            self.webhooks.told(
                org, entry, live=self._orgs.get(org.name) is org, delivery_fault=delivery_fault, after=after
            )

    def play(self, org: Org) -> None:
        """Do the steps of an org's scenario that wait for no call and whose turn it is."""
        run = org.scenario
        while run is not None and (step := run.take_timed_step(org.clock.now())) is not None:
            self._do(org, step)
            run.restart_step_time(org.clock.now())

    def follow(self, org: Org, exchange: Exchange) -> None:
        """Let an exchange that is in the journal have its consequences in the scenario."""
        if org.scenario is not None:
            org.scenario.record(exchange)
            if org.scenario.next_due <= exchange.at:
                self.play(org)

    def discard(self, state: State) -> None:
        """Free, in slices, what no org has any more."""
        self._discarded.append(state.dismantle())

    def tick(self) -> bool:
        """Let what has fallen due happen where nobody asks: in some of the orgs, the next time in others.

        Whether more has fallen due than one tick has time for.
        """
        happened = 0
        for looked, org in enumerate(self._round, 1):
            happened += self._wake(org)
            if looked == _TICKED or happened >= AT_ONCE:
                break
        else:
            self._round = iter(list(self._orgs.values()))
        self.webhooks.tick()
        return happened > 0

    def _wake(self, org: Org) -> int:
        """Let what has fallen due in an org happen; how many bytes that was, as the journal counts them."""
        wakes_at = org.scenario.next_due if org.scenario is not None else NEVER
        if min(org.state.next_due, wakes_at) > org.clock.now() or self._orgs.get(org.name) is not org:
            return 0
        return sum(occurrence.size for occurrence in self._go_on(org))

    def sweep(self) -> bool:
        """Free a slice of what was forgotten; whether there is more."""
        if self._discarded and next(self._discarded[0], self) is self:
            self._discarded.popleft()
            if self.memory.full and not self._discarded:
                self.memory.release_free_memory()
        return bool(self._discarded)

    def pass_time(self, org: Org, until: int) -> list[Occurrence]:
        """Run what falls due up to a moment, or as much of it as is quick; see `Agenda.pass_time`."""
        return self._agenda.pass_time(org, until)

    def seed(self, org: Org, seed: Seed) -> Stored:
        """Store objects as if they had always been there; what they leave out is filled in.

        An object with an id that exists replaces it. Raises `Unacceptable`, and then nothing has changed.
        """
        return run_to_end(self._sowing(org, seed))

    def seeding(self, org: Org, seed: Seed) -> Work[Stored]:
        """The same in slices: stored in a copy, which takes the place of the state if nobody wrote there meanwhile."""
        for _ in range(_TRIES):
            yield from self.get_copyable(org)
            state, writes, now = org.state, org.state.write_count, org.clock.now()
            copied = state.copy()
            try:
                made = yield from sown(copied, self._contracts, self._called(org, copied, now), seed)
            except BaseException:  # whatever it was goes on after this
                self.discard(copied)
                raise
            if org.state is state and state.write_count == writes:
                copied.armed, org.state = state.armed, copied
                self.discard(state)
                return self._seeded(org, now, made)
            self.discard(copied)
        return self.seed(org, seed)

    def _sowing(self, org: Org, seed: Seed) -> Work[Stored]:
        now = org.clock.now()
        self.pass_time(org, now)
        made = yield from sown(org.state, self._contracts, self._called(org, org.state, now), seed)
        return self._seeded(org, now, made)

    def _seeded(self, org: Org, now: int, made: Sown) -> Stored:
        occurrence = Occurrence(now, "seed")
        occurrence.set_events(made.events)
        self._record(org, occurrence)
        self.pass_time(org, now)
        return made.stored

    def _called(self, org: Org, state: State, now: int) -> Callable[[Contract], Call]:
        return lambda contract: Call(org.name, state, contract.rules, now, self._issuer, contract)

    def kinds(self, state: State) -> Iterator[tuple[str, str, Collection]]:
        """The collections in which something is stored: vendor, name, collection."""
        for contract, collection in self._collections.values():
            if state.records(collection):
                yield contract.vendor, collection.key.partition(".")[2], collection

    def restoring(self, org: Org, documents: Documents, sequence: int) -> Work[None]:
        """Put a whole state in place of the present one, in slices. Raises `Unacceptable`; then nothing has changed."""
        state = State()
        state.sequence = sequence
        yield from restored(self._contracts, self._called(org, state, org.clock.now()), documents)
        self.discard(org.state)
        state.armed = org.state.armed
        org.state = state
        self.webhooks.restored(org)

    def _drop_snapshots(self, org: Org) -> None:
        for snapshot in org.snapshots.values():
            self.discard(snapshot.state)
        org.snapshots = {}

    def _giving(self, org: Org, scenario: Scenario) -> Work[None]:
        given = scenario.given
        if given.clock is not None:
            org.clock.freeze()
            org.clock.set(given.clock)
        yield from self._planting(org, given.seed)
        org.scenario = Run(scenario, org.clock.now())
        self.play(org)

    def _do(self, org: Org, step: Step) -> None:
        """A step without a call, in the journal as what it is the cause of."""
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
        self._record(org, occurrence, step.effects.webhook)
        if until != occurrence.at:  # what falls due then and is too much for now happens before the next request
            self.pass_time(org, until)
            self._reach(org, until)

    def _new_journal(self, name: str) -> Journal:
        return Journal(self._journal_limit, self._journal_budget, name)

    def _planting(self, org: Org, seed: Seed | None) -> Work[None]:
        """Seed what an org begins with: it was always there, so it is news to nobody."""
        if seed:
            org.begins = True
            yield from self._sowing(org, seed)
            org.begins = False

    def _record(self, org: Org, occurrence: Occurrence, delivery_fault: DeliveryFault | None = None) -> None:
        occurrence.id = org.journal.next_id()
        occurrence.set_changes(org.state.changes)
        org.journal.add(occurrence)
        if occurrence.events or occurrence.changes:
            self.tell(org, occurrence, delivery_fault)
