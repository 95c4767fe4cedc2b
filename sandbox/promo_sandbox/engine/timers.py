"""Runs the due timers of an org in order, each at its own moment, and a limited amount at a time.

`promo_sandbox.engine.orgs` chooses the org and notifies its subscribers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from promo_sandbox.engine.org import Org
from promo_sandbox.model.call import Call
from promo_sandbox.model.contract import Contract
from promo_sandbox.model.coverage import Coverage
from promo_sandbox.model.interfaces import TokenIssuer
from promo_sandbox.model.journal import Occurrence
from promo_sandbox.model.state import Collection, Timer

MAX_BYTES_PER_RUN = 250_000  # of journal entries, by their `size`


class Timers:
    """Runs the rules of due timers, for all orgs."""

    def __init__(
        self,
        collections: Mapping[str, tuple[Contract, Collection]],
        issuer: TokenIssuer,
        coverage: Coverage,
        record: Callable[[Org, Occurrence], None],
    ) -> None:
        self._collections = collections
        self._issuer = issuer
        self._coverage = coverage
        self._record = record

    def run_due(self, org: Org, until: int) -> list[Occurrence]:
        """Run the timers that are due by `until`. If they exceed the limit, the rest stays due.

        A timer that was already overdue when its document was stored runs now, not before the document existed.
        Nothing runs while a request writes in steps: a timer must not see half of its changes.
        """
        occurrences: list[Occurrence] = []
        if org.state.active_writers:
            return occurrences
        left = MAX_BYTES_PER_RUN
        while left > 0 and (due := org.state.pop_timer(until)) is not None:
            occurrence = self._run_timer(org, due, max(due[0], min(org.processed_until, until)))
            left -= occurrence.size
            occurrences.append(occurrence)
        for collector in org.collectors:
            collector.extend(occurrences)
        org.processed_until = until if org.state.next_due > until else occurrences[-1].at
        return occurrences

    def _run_timer(self, org: Org, due: Timer, at: int) -> Occurrence:
        _, _, event, key, id = due
        contract, _ = self._collections[key]
        occurrence = Occurrence(at, event, id)
        call = Call(org.name, org.state, contract.rules, at, self._issuer, contract)
        org.state.begin()
        try:
            contract.rules.timer_rules[event](call, id)
            occurrence.set_events(contract.validated_events(call))
        except Exception as error:  # a rule may raise anything; the other timers still run
            org.state.roll_back()
            org.state.drop_timer(due)  # the rule may have removed the timer, and the roll-back restored it
            occurrence.internal_error = f"{type(error).__name__}: {error}"
        org.covered = self._coverage.count_events(org.covered, contract.vendor, occurrence.events)
        self._record(org, occurrence)
        return occurrence
