"""What an org stores: seeded, read and put back whole."""

from __future__ import annotations

from sandbox import clock
from sandbox.admin.operations import Operations, clock_json, errors_json
from sandbox.call import Call
from sandbox.messages import Reply
from sandbox.orgs import Org, Unacceptable
from sandbox.rules import Doc, Rules


class DocumentOperations(Operations):
    def bind(self, rules: Rules) -> None:
        rules.operation("getState")(self._get_state)
        rules.operation("putState")(self._put_state)
        rules.operation("seedOrg")(self._seed)

    def _get_state(self, call: Call) -> Reply:
        org = self.known(call)
        self.orgs.pass_time(org, org.clock.now())
        return call.reply(self._state_json(org))

    def _put_state(self, call: Call) -> Reply:
        org = self.made(call)
        moment = self.moment(call, call.body["now"]) if "now" in call.body else None
        documents = self._documents(call, call.body["documents"])
        try:
            self.orgs.restore(org, documents, int(call.body.get("sequence", 0)))
        except Unacceptable as unacceptable:
            self._refuse_documents(call, unacceptable)
        if moment is not None:
            org.clock.set(moment)
        if "frozen" in call.body:
            (org.clock.freeze if call.body["frozen"] else org.clock.run)()
        org.passed = org.clock.now()
        return call.reply(self._state_json(org))

    def _seed(self, call: Call) -> Reply:
        try:
            return call.reply(self.orgs.seed(self.made(call), call.body))
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
