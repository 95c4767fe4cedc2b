"""The orgs themselves, their clocks, and tokens for them."""

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

_PIECE = 2000  # of what has happened, in a reply in pieces


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
        return self.caught_up(call, self.known(call), lambda org: call.reply(org_json(org)))

    def _forget_org(self, call: Call) -> Reply:
        self.orgs.delete(self.known(call).name)
        return call.reply()

    def _reset_org(self, call: Call) -> Reply:
        return call.reply_later(self._resetting(call))

    def _resetting(self, call: Call) -> Work[Reply]:
        yield from self.orgs.reset(self.made(call, storing=False))
        return call.reply()

    def _get_clock(self, call: Call) -> Reply:
        return call.reply(clock_json(self.known(call)))

    def _set_clock(self, call: Call) -> Reply:
        moment = self.moment(call, call.body["now"]) if "now" in call.body else None
        org = self.made(call, storing=False)
        return call.reply_later(self._setting(call, org, moment))

    def _setting(self, call: Call, org: Org, moment: int | None) -> Work[Reply]:
        yield from self.orgs.catch_up(org)
        before = org.clock.now()
        frozen = call.body.get("frozen", org.clock.frozen)
        if frozen:
            org.clock.freeze()  # before it is set, so that it shows just that
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
        return call.reply_later(self._advancing(call))

    def _advancing(self, call: Call) -> Work[Reply]:
        with self.making(call, storing=False) as org:
            yield from self.orgs.catch_up(org)  # so that it is the same whether that came by itself a moment ago or not
            moment = self._end(call, org.clock.now())
        happened: list[Occurrence] = []
        written: list[bytes] = []
        for _ in self.orgs.advance(org, moment, happened):
            written += [encode(occurrence_json(occurrence)) for occurrence in happened]
            happened.clear()
            yield
        self.orgs.run_due_steps(org)
        content = {**clock_json(org), "happened": [occurrence_json(occurrence) for occurrence in happened]}
        if not written:
            return call.reply(content)
        written += map(encode, content["happened"])
        content["happened"] = []
        return call.reply_in_pieces(content, _pieces(encode(content), written))

    def _end(self, call: Call, now: int) -> int:
        """The moment to advance to."""
        if "to" in call.body:
            moment = self.moment(call, call.body["to"])
            if moment < now:
                call.reject(
                    "no-such-time", f"The clock stands at {clock.text(now)} and cannot advance backwards; set it."
                )
            return moment
        try:
            return clock.later(now, call.body["by"])
        except ValueError as error:
            call.reject("no-such-time", str(error))

    def _issue_token(self, call: Call) -> Reply:
        vendor = call.body["vendor"]
        contract = next((contract for contract in self.contracts if contract.vendor == vendor), None)
        if contract is None:
            vendors = ", ".join(contract.vendor for contract in self.contracts)
            call.reject("unknown-vendor", f"There is no vendor {vendor[:100]}; there are {vendors}.")
        org = self.made(call, storing=False)
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


def _pieces(content: bytes, written: list[bytes]) -> Iterator[bytes]:
    """The content with what is written in its last member, an array that is empty."""
    yield content.removesuffix(b"]}")
    for first in range(0, len(written), _PIECE):
        yield (b"," if first else b"") + b",".join(written[first : first + _PIECE])
    yield b"]}"


def org_json(org: Org) -> Doc:
    """What an org holds, and how much in it went another way than a test would want."""
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
