"""What of the contracts clients have met, of one org or of all there ever were."""

from __future__ import annotations

from promo_sandbox.admin.shared import Operations, near
from promo_sandbox.base.messages import Reply
from promo_sandbox.model.call import Call
from promo_sandbox.model.contract import Contract
from promo_sandbox.model.coverage import report
from promo_sandbox.model.rules import Rules


class CoverageOperations(Operations):
    def bind(self, rules: Rules) -> None:
        rules.operation("getCoverage")(self._get_coverage)
        rules.operation("clearCoverage")(self._clear_coverage)

    def _get_coverage(self, call: Call) -> Reply:
        contracts, name = self._wanted(call), call.query.get("org")
        counts = self.orgs.covered() if name is None else self.called(call, name).covered
        return call.reply({"org": name, **report(contracts, counts)})

    def _clear_coverage(self, call: Call) -> Reply:
        if "org" in call.query:
            self.orgs.reset_coverage(self.called(call, call.query["org"]))
        else:
            self.orgs.clear_coverage()
        return call.reply()

    def _wanted(self, call: Call) -> list[Contract]:
        vendor = call.query.get("vendor")
        if vendor is None:
            return self.contracts
        known = {contract.vendor: contract for contract in self.contracts}
        if vendor not in known:
            hint = near(vendor, known)
            there_are = f"; there are {', '.join(known)}." if hint == "." else hint
            call.reject("unknown-vendor", f"There is no vendor {vendor[:100]}{there_are}")
        return [known[vendor]]
