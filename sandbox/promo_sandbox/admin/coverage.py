"""The coverage of the contracts, of one org or of all, including deleted ones."""

from __future__ import annotations

from promo_sandbox.admin.shared import Operations
from promo_sandbox.base.messages import Reply
from promo_sandbox.model.call import Call
from promo_sandbox.model.coverage import report
from promo_sandbox.model.rules import Rules


class CoverageOperations(Operations):
    def bind(self, rules: Rules) -> None:
        rules.operation("getCoverage")(self._get_coverage)
        rules.operation("clearCoverage")(self._clear_coverage)

    def _get_coverage(self, call: Call) -> Reply:
        vendor, name = call.query.get("vendor"), call.query.get("org")
        contracts = self.contracts if vendor is None else [self.contract(call, vendor)]
        counts = self.orgs.covered() if name is None else self.existing_org(call, name).covered
        return call.reply({"org": name, **report(contracts, counts)})

    def _clear_coverage(self, call: Call) -> Reply:
        if "org" in call.query:
            self.orgs.reset_coverage(self.existing_org(call, call.query["org"]))
        else:
            self.orgs.clear_coverage()
        return call.reply()
