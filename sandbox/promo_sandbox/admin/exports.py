"""An org as one document, to be put into another server; checked whole on the way in."""

from __future__ import annotations

from promo_sandbox import __version__
from promo_sandbox.admin.documents import DocumentOperations
from promo_sandbox.admin.orgs import org_json
from promo_sandbox.admin.shared import clock_json
from promo_sandbox.base import clock
from promo_sandbox.base.clock import Clock
from promo_sandbox.base.messages import Reply
from promo_sandbox.base.slices import Work
from promo_sandbox.model.call import Call
from promo_sandbox.model.rules import Rules
from promo_sandbox.model.state import Doc

FORM = 1  # of the document; another number means that an older server cannot read it


class ExportOperations(DocumentOperations):
    def bind(self, rules: Rules) -> None:
        rules.operation("exportOrg")(self._export)
        rules.operation("importOrg")(self._import)

    def _export(self, call: Call) -> Reply:
        org = self.known(call)

        def around(documents: Doc) -> Doc:
            return {
                "promo_sandbox_export": FORM,
                "version": __version__,
                "exported": clock.text(Clock().now()),
                "org": {
                    "name": org.name,
                    "clock": {**clock_json(org), "real": org.clock.real},
                    "sequence": org.state.sequence,
                    "documents": documents,
                },
            }

        return call.reply_later(self.with_documents(call, org, around))

    def _import(self, call: Call) -> Reply:
        return call.reply_later(self._importing(call))

    def _importing(self, call: Call) -> Work[Reply]:
        given = call.body["org"]
        moment = self.moment(call, given["clock"]["now"])
        org = yield from self._restoring(call, given["documents"], int(given["sequence"]))
        org.clock = Clock()
        if given["clock"]["frozen"]:
            org.clock.freeze()  # before it is set, so that it shows just that
        if not given["clock"]["real"]:
            org.clock.set(moment)
        self._pass_no_time(org)
        return call.reply(org_json(org))
