"""The orgs themselves, their clocks, and tokens for them."""

from __future__ import annotations

from itertools import islice

from sandbox import clock
from sandbox.admin.operations import Operations, clock_json
from sandbox.admin.writing import occurrence_json
from sandbox.call import Call
from sandbox.journal import Exchange
from sandbox.messages import Reply
from sandbox.orgs import Org
from sandbox.rules import Doc, Rules


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
        org = self.known(call)
        self.orgs.catch_up(org)
        return call.reply(org_json(org))

    def _forget_org(self, call: Call) -> Reply:
        self.orgs.forget(self.known(call).name)
        return call.reply()

    def _reset_org(self, call: Call) -> Reply:
        self.orgs.reset(self.made(call))
        return call.reply()

    def _get_clock(self, call: Call) -> Reply:
        return call.reply(clock_json(self.known(call)))

    def _set_clock(self, call: Call) -> Reply:
        moment = self.moment(call, call.body["now"]) if "now" in call.body else None
        org = self.made(call)
        self.orgs.catch_up(org)
        before = org.clock.now()
        frozen = call.body.get("frozen", org.clock.frozen)
        if frozen:
            org.clock.freeze()  # before it is set, so that it shows just that
        if moment is not None:
            if moment > before:
                self.orgs.pass_time(org, moment)  # before it is set: what is told on the way waits for `set_clock`
            org.clock.set(moment)
        if not frozen:
            org.clock.run()
        self.orgs.pass_time(org, org.clock.now())
        self.orgs.set_clock(org, before)
        self.orgs.play(org)
        return call.reply(clock_json(org))

    def _advance_clock(self, call: Call) -> Reply:
        with self.making(call) as org:
            self.orgs.catch_up(org)  # so that what is told is the same whether it came by itself a moment ago or not
            moment = self._end(call, org.clock.now())
        happened = self.orgs.advance(org, moment)
        self.orgs.play(org)
        return call.reply({**clock_json(org), "happened": [occurrence_json(occurrence) for occurrence in happened]})

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
        if vendor not in {contract.vendor for contract in self.contracts}:
            vendors = ", ".join(contract.vendor for contract in self.contracts)
            call.reject("unknown-vendor", f"There is no vendor {vendor[:100]}; there are {vendors}.")
        org = self.made(call)
        now, seconds = org.clock.now(), int(call.body.get("expires_in", 3600))
        org.state.sequence += 1
        token = self.gate.issue(
            org=org.name,
            vendor=vendor,
            tenant=call.body.get("tenant"),
            scopes=call.body.get("scopes"),
            customer=call.body.get("customer"),
            claims=call.body.get("claims"),
            issued=now,
            expires=now + seconds * clock.SECOND,
            number=org.state.sequence,
        )
        return call.reply({"access_token": token, "expires_in": seconds})


def org_json(org: Org) -> Doc:
    """What an org holds, and how much in it went another way than a test would want."""
    requests = unmatched = defects = 0
    for entry in org.journal.entries():
        defects += entry.defect is not None
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
        "defects": defects,
        "unspent": len(run.unspent) if run is not None else 0,
        "unexpected": run.unexpected_count if run is not None else 0,
        "armed": org.state.armed_count,
    }
