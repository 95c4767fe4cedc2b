"""Trouble for the next calls of an operation."""

from __future__ import annotations

from sandbox.admin.operations import Operations, near
from sandbox.call import Call
from sandbox.messages import Reply
from sandbox.rules import Doc, Rules
from sandbox.state import State


class TriggerOperations(Operations):
    def bind(self, rules: Rules) -> None:
        rules.operation("armNext")(self._arm_next)
        rules.operation("listNext")(self._list_next)
        rules.operation("disarmNext")(self._disarm_next)

    def _arm_next(self, call: Call) -> Reply:
        wanted, name = call.body["operation"], call.body["then"]["reject"]
        routes = {route.operation.id: route for contract in self.contracts for route in contract.routes()}
        if wanted not in routes:
            call.reject("unknown-operation", f"There is no operation {wanted[:100]}{near(wanted, routes)}")
        org = self.orgs.known(self.name(call))  # what is refused makes no org
        state = org.state if org else State()
        known = routes[wanted].contract.in_force(routes[wanted], state).operation.rejections
        if name not in known:
            call.reject("unknown-rejection", f"{wanted} is never refused as {name[:100]}{near(name, known)}")
        state = self.made(call).state
        state.arm(wanted, [name] * int(call.body.get("times", 1)))
        return call.reply(_armed_json(state))

    def _list_next(self, call: Call) -> Reply:
        return call.reply(_armed_json(self.known(call).state))

    def _disarm_next(self, call: Call) -> Reply:
        self.known(call).state.armed = None
        return call.reply()


def _armed_json(state: State) -> Doc:
    armed = state.armed or {}
    return {"armed": [{"operation": operation, "reject": name} for operation, names in armed.items() for name in names]}
