"""What falls due in an org happens: each entry at its own instant, in their order, no more at once than is quick.

Which org it is, and who is told of it, is the business of `promo_sandbox.engine.orgs`.
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

AT_ONCE = 250_000  # bytes of what happens in one go, as the journal counts them


class Agenda:
    """Runs the rules for what falls due, in whichever org."""

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

    def pass_time(self, org: Org, until: int) -> list[Occurrence]:
        """Run what falls due up to a moment, or as much of it as is quick; the org is behind then.

        What was overdue already when it was stored happens now, not before it existed. While a request still writes in
        steps nothing happens, as what falls due must not see half of it.
        """
        happened: list[Occurrence] = []
        if org.state.active_writers:
            return happened
        left = AT_ONCE
        while left > 0 and (due := org.state.pop_timer(until)) is not None:
            occurrence = self._happen(org, due, max(due[0], min(org.passed, until)))
            left -= occurrence.size
            happened.append(occurrence)
        for witness in org.witnesses:
            witness.extend(happened)
        org.passed = until if org.state.next_due > until else happened[-1].at
        return happened

    def _happen(self, org: Org, due: Timer, at: int) -> Occurrence:
        _, _, event, key, id = due
        contract, _ = self._collections[key]
        occurrence = Occurrence(at, event, id)
        call = Call(org.name, org.state, contract.rules, at, self._issuer, contract)
        org.state.begin()
        try:
            contract.rules.timer_rules[event](call, id)
            occurrence.set_events(contract.validated_events(call))
        except Exception as error:  # a rule may break in any way; the other entries happen all the same
            org.state.roll_back()
            org.state.drop_timer(due)  # what it had written may have taken the entry's cause away, and that is back
            occurrence.internal_error = f"{type(error).__name__}: {error}"
        org.met = self._coverage.count_events(org.met, contract.vendor, occurrence.events)
        self._record(org, occurrence)
        return occurrence
