"""Orgs, their clocks, and tokens for them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from promo_sandbox.admin.journal_json import occurrence_json
from promo_sandbox.admin.shared import Operations, clock_json
from promo_sandbox.base import clock
from promo_sandbox.base.messages import Reply, encode
from promo_sandbox.base.slices import Work
from promo_sandbox.engine.orgs import Org
from promo_sandbox.model.call import Call
from promo_sandbox.model.journal import Exchange, Occurrence
from promo_sandbox.model.rules import Rules
from promo_sandbox.model.state import Doc

_PIECE = 2000  # occurrences in one piece of a reply


class OrgOperations(Operations):
    def bind(self, rules: Rules) -> None:
        rules.operation("listOrgs")(self._list_orgs)
        rules.operation("getOrg")(self._get_org)
        rules.operation("forgetOrg")(self._forget_org)
        rules.operation("resetOrg")(self._reset_org)
        rules.operation("getClock")(self._get_clock)
        rules.operation("setClock")(self._set_clock)
        rules.operation("advanceClock")(self._advance_clock)
        rules.operation("issueToken")(self._issue_token)

    def _list_orgs(self, call: Call) -> Reply:
        after = call.query.get("after", "")
        later = (org for org in self.orgs if org.name > after)
        return call.reply(
            {"total": len(self.orgs), "orgs": [org_json(org) for org in islice(later, call.query["limit"])]}
        )

    def _get_org(self, call: Call) -> Reply:
        return self.reply_caught_up(call, self.existing_org(call), lambda org: call.reply(org_json(org)))

    def _forget_org(self, call: Call) -> Reply:
        self.orgs.delete(self.existing_org(call).name)
        return call.reply()

    def _reset_org(self, call: Call) -> Reply:
        return call.reply_later(self._reset_work(call))

    def _reset_work(self, call: Call) -> Work[Reply]:
        yield from self.orgs.reset(self.get_org(call, storing=False))
        return call.reply()

    def _get_clock(self, call: Call) -> Reply:
        return call.reply(clock_json(self.existing_org(call)))

    def _set_clock(self, call: Call) -> Reply:
        moment = self.parse_time(call, call.body["now"]) if "now" in call.body else None
        org = self.get_org(call, storing=False)
        return call.reply_later(self._set_clock_work(call, org, moment))

    def _set_clock_work(self, call: Call, org: Org, moment: int | None) -> Work[Reply]:
        yield from self.orgs.catch_up(org)
        before = org.clock.now()
        frozen = call.body.get("frozen", org.clock.frozen)
        if frozen:
            org.clock.freeze()  # first, so that the clock shows exactly the time that is set
        if moment is not None:
            if moment > before:
                yield from self.orgs.advance(org, moment, [])
            org.clock.set(moment)
        if not frozen:
            org.clock.run()
        yield from self.orgs.catch_up(org)
        self.orgs.set_clock(org, before)
        self.orgs.run_due_steps(org)
        return call.reply(clock_json(org))

    def _advance_clock(self, call: Call) -> Reply:
        return call.reply_later(self._advance_work(call))

    def _advance_work(self, call: Call) -> Work[Reply]:
        with self.new_org_on_success(call, storing=False) as org:
            yield from self.orgs.catch_up(org)  # so that the reply never lists what is already due
            moment = self._advance_to(call, org.clock.now())
        happened: list[Occurrence] = []
        encoded: list[bytes] = []
        for _ in self.orgs.advance(org, moment, happened):
            encoded += [encode(occurrence_json(occurrence)) for occurrence in happened]
            happened.clear()
            yield
        self.orgs.run_due_steps(org)
        content = {**clock_json(org), "happened": [occurrence_json(occurrence) for occurrence in happened]}
        if not encoded:
            return call.reply(content)
        encoded += map(encode, content["happened"])
        content["happened"] = []
        return call.reply_in_pieces(content, _pieces(encode(content), encoded))

    def _advance_to(self, call: Call, now: int) -> int:
        """The moment to which the clock advances."""
        if "to" in call.body:
            moment = self.parse_time(call, call.body["to"])
            if moment < now:
                call.reject(
                    "no-such-time", f"The clock shows {clock.text(now)} and cannot advance to an earlier time; set it."
                )
            return moment
        try:
            return clock.later(now, call.body["by"])
        except ValueError as error:
            call.reject("no-such-time", str(error))

    def _issue_token(self, call: Call) -> Reply:
        contract = self.contract(call, call.body["vendor"])
        org = self.get_org(call, storing=False)
        seconds = int(call.body.get("expires_in", 3600))
        vendor_call = Call(org.name, org.state, contract.rules, org.clock.now(), self.authenticator, contract)
        token = vendor_call.issue_token(
            tenant=call.body.get("tenant"),
            scopes=call.body.get("scopes"),
            customer=call.body.get("customer"),
            claims=call.body.get("claims"),
            seconds=seconds,
        )
        return call.reply({"access_token": token, "expires_in": seconds})


def _pieces(content: bytes, items: list[bytes]) -> Iterator[bytes]:
    """`content`, with the encoded items in its last, empty array."""
    yield content.removesuffix(b"]}")
    for first in range(0, len(items), _PIECE):
        yield (b"," if first else b"") + b",".join(items[first : first + _PIECE])
    yield b"]}"


def org_json(org: Org) -> Doc:
    """An org's time, and how many documents, requests and problems it has."""
    requests = unmatched = internal_errors = 0
    for entry in org.journal.entries():
        internal_errors += entry.internal_error is not None
        if isinstance(entry, Exchange):
            requests += 1
            unmatched += entry.operation is None
    run = org.scenario
    return {
        "name": org.name,
        **clock_json(org),
        "documents": org.state.count,
        "requests": requests,
        "unmatched": unmatched,
        "internal_errors": internal_errors,
        "unmet": len(run.unmet) if run is not None else 0,
        "unexpected": run.unexpected_count if run is not None else 0,
        "armed": org.state.armed_count,
    }
