"""Export an org as one document, and import it. An import is validated completely before it changes anything."""

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

EXPORT_FORMAT = 1  # increased when an older server cannot read the document


class ExportOperations(DocumentOperations):
    def bind(self, rules: Rules) -> None:
        rules.operation("exportOrg")(self._export)
        rules.operation("importOrg")(self._import)

    def _export(self, call: Call) -> Reply:
        org = self.existing_org(call)

        def wrap(documents: Doc) -> Doc:
            return {
                "promo_sandbox_export": EXPORT_FORMAT,
                "version": __version__,
                "exported": clock.text(Clock().now()),
                "org": {
                    "name": org.name,
                    "clock": {**clock_json(org), "real": org.clock.real},
                    "sequence": org.state.sequence,
                    "documents": documents,
                },
            }

        return call.reply_later(self.with_documents(call, org, wrap))

    def _import(self, call: Call) -> Reply:
        return call.reply_later(self._import_work(call))

    def _import_work(self, call: Call) -> Work[Reply]:
        exported = call.body["org"]
        moment = self.parse_time(call, exported["clock"]["now"])
        org = yield from self.restore_work(call, exported["documents"], int(exported["sequence"]))
        org.clock = Clock()
        if exported["clock"]["frozen"]:
            org.clock.freeze()  # first, so that the clock shows exactly the time that is set
        if not exported["clock"]["real"]:
            org.clock.set(moment)
        self.resume_time(org)
        return call.reply(org_json(org))
