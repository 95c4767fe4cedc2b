"""Scenarios: which there are, and how far an org has come in its own."""

from __future__ import annotations

from msgspec import to_builtins

from promo_sandbox.admin.shared import Operations
from promo_sandbox.admin.yaml_bodies import AT_ONCE
from promo_sandbox.base.document_errors import InvalidDocument
from promo_sandbox.base.messages import Reply
from promo_sandbox.base.slices import Work
from promo_sandbox.engine.orgs import Org
from promo_sandbox.model.call import Call
from promo_sandbox.model.rules import Rules
from promo_sandbox.model.state import Doc
from promo_sandbox.scenarios.run import Run, Step


class ScenarioOperations(Operations):
    def bind(self, rules: Rules) -> None:
        rules.operation("listScenarios")(self._list_scenarios)
        rules.operation("getScenarioSchema")(self._get_schema)
        rules.operation("putScenario")(self._put_scenario)
        rules.operation("getScenario")(self._get_scenario)
        rules.operation("endScenario")(self._end_scenario)

    def _list_scenarios(self, call: Call) -> Reply:
        return call.reply({"scenarios": [entry._asdict() for entry in self.library.entries()]})

    def _get_schema(self, call: Call) -> Reply:
        return call.reply(self.library.reader.schema)

    def _put_scenario(self, call: Call) -> Reply:
        return call.reply_later(self._putting_scenario(call))

    def _putting_scenario(self, call: Call) -> Work[Reply]:
        assert call.request is not None  # an operation of this API is always asked by a request
        try:
            with self.making(call) as org:
                if "name" in call.body:
                    yield from self._beginning_named(call, org, call.body)
                else:
                    # To find the lines takes as long as to read it all once more; so without the text no line is given.
                    numbered = len(call.request.body) <= AT_ONCE
                    text = call.request.body.decode("utf-8") if numbered else ""
                    yield from self.library.start_document(org, text, "scenario", call.body)
        except InvalidDocument as flawed:
            _refuse(call, flawed)
            raise
        assert org.scenario is not None  # it has just begun
        return call.reply(report_json(org.scenario))

    def _beginning_named(self, call: Call, org: Org, body: Doc) -> Work[None]:
        name = body["name"]
        if len(body) > 1:
            others = " and ".join(sorted(body.keys() - {"name"}))
            call.reject("invalid-request", f"A scenario has no name in its document, and a name no {others[:100]}.")
        if name not in self.library.names():
            near = self.library.similar_names(name[:200])
            hint = f"; did you mean {' or '.join(near)}?" if near else "."
            call.reject("unknown-scenario", f"There is no scenario {name[:100]}{hint}")
        yield from self.library.start(org, name)

    def _get_scenario(self, call: Call) -> Reply:
        org = self.known(call)
        self.orgs.run_due_steps(org)
        if org.scenario is None:
            call.reject("no-scenario", f"The org {org.name} has no scenario.")
        return call.reply(report_json(org.scenario))

    def _end_scenario(self, call: Call) -> Reply:
        self.known(call).scenario = None
        return call.reply()


def _refuse(call: Call, flawed: InvalidDocument) -> None:
    errors = [{"detail": flaw.detail, "pointer": flaw.pointer, "line": flaw.line} for flaw in flawed.flaws]
    call.reject("unacceptable-scenario", "; ".join(flawed.sentences())[:2000], errors=errors)


def report_json(run: Run) -> Doc:
    """How far an org has come."""
    return {
        "name": run.scenario.name,
        "summary": run.scenario.summary,
        "otherwise": "fail" if run.scenario.fails_otherwise else "rules",
        "current": run.current.number if run.current is not None else None,
        "steps": [_step_json(run, step) for step in run.scenario.steps],
        "unmet": run.unmet,
        "unexpected": to_builtins(run.unexpected),
        "unexpected_count": run.unexpected_count,
    }


def _step_json(run: Run, step: Step) -> Doc:
    taken, by = run.counts(step)
    return {
        "number": step.number,
        "operation": step.operation_text,
        "then": step.effects.source,
        "times": "any" if step.times is None else step.times,
        "taken": taken,
        "by": by,
        "done": step.number <= run.at,
    }
