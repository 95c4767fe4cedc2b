"""The named scenarios, and the scenario of an org with its progress."""

from __future__ import annotations

from msgspec import to_builtins

from promo_sandbox.admin.shared import Operations, did_you_mean
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
        return call.reply({"scenarios": [entry._asdict() for entry in self.catalogue.entries()]})

    def _get_schema(self, call: Call) -> Reply:
        return call.reply(self.catalogue.reader.schema)

    def _put_scenario(self, call: Call) -> Reply:
        return call.reply_later(self._put_scenario_work(call))

    def _put_scenario_work(self, call: Call) -> Work[Reply]:
        assert call.request is not None  # the admin API has no internal calls
        try:
            with self.new_org_on_success(call) as org:
                if "name" in call.body:
                    yield from self._start_named(call, org, call.body)
                else:
                    # Line numbers need the text, and take as long as parsing it again; so long texts get none.
                    text = call.request.body.decode("utf-8") if len(call.request.body) <= AT_ONCE else ""
                    yield from self.catalogue.start_document(org, text, "scenario", call.body)
        except InvalidDocument as flawed:
            _reject(call, flawed)
            raise
        assert org.scenario is not None  # it was started above
        return call.reply(progress_json(org.scenario))

    def _start_named(self, call: Call, org: Org, body: Doc) -> Work[None]:
        name = body["name"]
        if len(body) > 1:
            others = " and ".join(sorted(body.keys() - {"name"}))
            call.reject(
                "invalid-request",
                f"Send a name or a scenario, not both: a scenario has no field name, and a name no {others[:100]}.",
            )
        if name not in self.catalogue.names():
            near = self.catalogue.similar_names(name[:200])
            call.reject("unknown-scenario", f"There is no scenario {name[:100]}{did_you_mean(near)}")
        yield from self.catalogue.start(org, name)

    def _get_scenario(self, call: Call) -> Reply:
        org = self.existing_org(call)
        self.orgs.run_due_steps(org)
        if org.scenario is None:
            call.reject("no-scenario", f"The org {org.name} has no scenario.")
        return call.reply(progress_json(org.scenario))

    def _end_scenario(self, call: Call) -> Reply:
        self.existing_org(call).scenario = None
        return call.reply()


def _reject(call: Call, flawed: InvalidDocument) -> None:
    errors = [{"detail": flaw.detail, "pointer": flaw.pointer, "line": flaw.line} for flaw in flawed.flaws]
    call.reject("unacceptable-scenario", "; ".join(flawed.sentences())[:2000], errors=errors)


def progress_json(run: Run) -> Doc:
    """The progress of an org in its scenario."""
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
        "done": step.number <= run.steps_done,
    }
