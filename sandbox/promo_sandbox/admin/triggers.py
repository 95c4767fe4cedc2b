"""Trouble for the next calls of an operation."""

from __future__ import annotations

from itertools import groupby

from promo_sandbox.admin.shared import Operations, near
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
        org = self.orgs.find(self.name(call))  # what is refused makes no org
        state, flaws = org.state if org else State(), Flaws()
        if "callback" in call.body:
            wanted, then = self._for_events(call, flaws)
        else:
            wanted, then = self._for_calls(call, state, flaws)
        try:
            flaws.raise_if_any("trigger", "")
        except InvalidDocument as flawed:
            errors = [{"detail": flaw.detail, "pointer": flaw.pointer} for flaw in flawed.flaws]
            call.reject("unacceptable-answer", "; ".join(flawed.sentences())[:2000], errors=errors)
        times = int(call.body.get("times", 1))
        waiting = state.armed_count
        if waiting + times > _MAX_ARMED:
            call.reject("too-many-armed", f"{waiting} calls are armed already; there may be {_MAX_ARMED} in an org.")
        state = self.made(call).state
        state.arm(wanted, [then] * times)
        return call.reply(self._armed_json(state))

    def _for_calls(self, call: Call, state: State, flaws: Flaws) -> tuple[str, Effects]:
        wanted, raw = call.body["operation"], call.body["then"]
        routes = {route.operation.id: route for contract in self.contracts for route in contract.routes()}
        if wanted not in routes:
            call.reject("unknown-operation", f"There is no operation {wanted[:100]}{near(wanted, routes)}")
        route = routes[wanted].contract.select_version(routes[wanted], state)
        known, name = route.operation.rejections, raw.get("reject")
        if name is not None and name not in known:
            call.reject("unknown-rejection", f"{wanted} is never refused as {name[:100]}{near(name, known)}")
        return wanted, self.library.reader.read_effects(raw, route, flaws)

    def _for_events(self, call: Call, flaws: Flaws) -> tuple[str, Effects]:
        wanted = call.body["callback"]
        if wanted not in self.callbacks:
            call.reject("unknown-callback", f"There is no callback {wanted[:100]}{near(wanted, self.callbacks)}")
        return wanted, self.library.reader.read_event_effects(call.body["then"], flaws)

    def _list_next(self, call: Call) -> Reply:
        return call.reply(self._armed_json(self.known(call).state))

    def _disarm_next(self, call: Call) -> Reply:
        self.known(call).state.armed = None
        return call.reply()

    def _armed_json(self, state: State) -> Doc:
        """In the order in which each operation meets it; what was armed at once for several calls stands there once."""
        groups = [
            (name, list(same)) for name, thens in (state.armed or {}).items() for _, same in groupby(thens, key=id)
        ]
        kinds = {name: "callback" if name in self.callbacks else "operation" for name, _ in groups}
        return {"armed": [{kinds[it]: it, "then": same[0].source, "times": len(same)} for it, same in groups]}
