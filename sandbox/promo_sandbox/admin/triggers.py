"""Effects that are armed for the next calls of an operation, or the next events of a callback."""

from __future__ import annotations

from itertools import groupby

from promo_sandbox.admin.shared import Operations, hint
from promo_sandbox.base.document_errors import Flaws, InvalidDocument
from promo_sandbox.base.messages import Reply
from promo_sandbox.model.call import Call
from promo_sandbox.model.effects import Effects
from promo_sandbox.model.rules import Rules
from promo_sandbox.model.state import Doc, State

_MAX_ARMED = 1000  # in one org


class TriggerOperations(Operations):
    def bind(self, rules: Rules) -> None:
        rules.operation("armNext")(self._arm_next)
        rules.operation("listNext")(self._list_next)
        rules.operation("disarmNext")(self._disarm_next)

    def _arm_next(self, call: Call) -> Reply:
        org = self.orgs.find(self.org_name(call))  # a rejected request creates no org
        state, flaws = org.state if org else State(), Flaws()
        if "callback" in call.body:
            name, effects = self._for_callback(call, flaws)
        else:
            name, effects = self._for_operation(call, state, flaws)
        try:
            flaws.raise_if_any("trigger", "")
        except InvalidDocument as flawed:
            errors = [{"detail": flaw.detail, "pointer": flaw.pointer} for flaw in flawed.flaws]
            call.reject("unacceptable-answer", "; ".join(flawed.sentences())[:2000], errors=errors)
        times = int(call.body.get("times", 1))
        armed = state.armed_count
        if armed + times > _MAX_ARMED:
            call.reject("too-many-armed", f"The org has {armed} armed calls; the maximum is {_MAX_ARMED}. Disarm some.")
        state = self.get_org(call).state
        state.arm(name, [effects] * times)
        return call.reply(self._armed_json(state))

    def _for_operation(self, call: Call, state: State, flaws: Flaws) -> tuple[str, Effects]:
        operation, then = call.body["operation"], call.body["then"]
        routes = {route.operation.id: route for contract in self.contracts for route in contract.routes()}
        if operation not in routes:
            call.reject("unknown-operation", f"There is no operation {operation[:100]}{hint(operation, routes)}")
        route = routes[operation].contract.select_version(routes[operation], state)
        rejections, name = route.operation.rejections, then.get("reject")
        if name is not None and name not in rejections:
            call.reject("unknown-rejection", f"{operation} has no rejection {name[:100]}{hint(name, rejections)}")
        return operation, self.catalogue.reader.read_effects(then, route, flaws)

    def _for_callback(self, call: Call, flaws: Flaws) -> tuple[str, Effects]:
        callback = call.body["callback"]
        if callback not in self.callbacks:
            call.reject("unknown-callback", f"There is no callback {callback[:100]}{hint(callback, self.callbacks)}")
        return callback, self.catalogue.reader.read_event_effects(call.body["then"], flaws)

    def _list_next(self, call: Call) -> Reply:
        return call.reply(self._armed_json(self.existing_org(call).state))

    def _disarm_next(self, call: Call) -> Reply:
        self.existing_org(call).state.armed = None
        return call.reply()

    def _armed_json(self, state: State) -> Doc:
        """The armed effects in order; an effect that was armed for several calls at once is listed once."""
        groups = [
            (name, list(same)) for name, effects in (state.armed or {}).items() for _, same in groupby(effects, key=id)
        ]
        kinds = {name: "callback" if name in self.callbacks else "operation" for name, _ in groups}
        return {"armed": [{kinds[name]: name, "then": same[0].source, "times": len(same)} for name, same in groups]}
