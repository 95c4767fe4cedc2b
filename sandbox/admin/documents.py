"""What an org stores: seeded, read and put back whole."""

from __future__ import annotations

from sandbox import clock
from sandbox.admin.operations import Operations, clock_json, errors_json
from sandbox.call import Call
from sandbox.messages import Reply
from sandbox.orgs import Org
from sandbox.rules import Doc, Rules
from sandbox.storing import Unacceptable


class DocumentOperations(Operations):
    def bind(self, rules: Rules) -> None:
        rules.operation("getState")(self._get_state)
        rules.operation("putState")(self._put_state)
        rules.operation("seedOrg")(self._seed)

    def _get_state(self, call: Call) -> Reply:
        org = self.known(call)
        self.orgs.catch_up(org)
        return call.reply(self._state_json(org))

    def _put_state(self, call: Call) -> Reply:
        moment = self.moment(call, call.body["now"]) if "now" in call.body else None
        org = self._restored(call, call.body["documents"], int(call.body.get("sequence", 0)))
        if call.body.get("frozen"):
            org.clock.freeze()  # before it is set, so that it shows just that
        if moment is not None:
            org.clock.set(moment)
        if call.body.get("frozen") is False:
            org.clock.run()
        self._pass_no_time(org)
        return call.reply(self._state_json(org))

    def _restored(self, call: Call, given: Doc, sequence: int) -> Org:
        """The org, with these documents in place of its own."""
        documents = self._documents(call, given)
        try:
            with self.making(call) as org:
                self.orgs.restore(org, documents, sequence)
        except Unacceptable as unacceptable:
            self._refuse_documents(call, unacceptable)
            raise
        return org

    def _pass_no_time(self, org: Org) -> None:
        """Have nothing happen but what was over already when it was stored; that happens now."""
        org.passed = org.clock.now()
        self.orgs.pass_time(org, org.passed)

    def _seed(self, call: Call) -> Reply:
        try:
            with self.making(call) as org:
                return call.reply(self.orgs.seed(org, call.body))
        except Unacceptable as unacceptable:
            self._refuse_documents(call, unacceptable)
            raise

    def _documents(self, call: Call, given: Doc) -> dict[str, dict[str, list[tuple[Doc, int | None, int | None]]]]:
        return {
            vendor: {name: [self._entry(call, entry) for entry in entries] for name, entries in collections.items()}
            for vendor, collections in given.items()
        }

    def _entry(self, call: Call, entry: Doc) -> tuple[Doc, int | None, int | None]:
        created = self.moment(call, entry["created"]) if "created" in entry else None
        return entry["document"], created, int(entry["place"]) if "place" in entry else None

    def _refuse_documents(self, call: Call, unacceptable: Unacceptable) -> None:
        violations = unacceptable.violations
        call.reject("unacceptable-documents", str(unacceptable), errors=errors_json(violations))

    def _state_json(self, org: Org) -> Doc:
        documents = {
            vendor: {
                name: [
                    {"document": doc, "created": clock.text(created), "place": place} for doc, created, place in entries
                ]
                for name, entries in collections.items()
            }
            for vendor, collections in self.orgs.documents(org).items()
        }
        return {**clock_json(org), "sequence": org.state.sequence, "documents": documents}
