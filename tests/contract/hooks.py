"""What Schemathesis does besides its own: counts, begins each scenario afresh, checks rejections against the spec.

The process of `st run` loads this, not that of the tests.
"""

from __future__ import annotations

import atexit
import json
import os
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import hypothesis
import schemathesis
from schemathesis.core.failures import Failure
from schemathesis.generation.stateful.state_machine import APIStateMachine
from schemathesis.openapi.checks import EnsureResourceAvailability, UseAfterFree
from schemathesis.specs.openapi.extra_data_source import VariantUsageTracker

from promo_sandbox.openapi.document import Document
from tests.contract.fuzzing import SETTINGS, Counts, Settings, admin_client, orgs, segment

Case = schemathesis.Case[Any]
Kind = tuple[int, str | None, str | None, str | None, str | None]

_settings = Settings(**json.loads(os.environ[SETTINGS]))
_admin = admin_client(_settings.admin.removesuffix("/__admin"), _settings.token)
# What every org holds before anything is sent.
_before = {org: _admin.get(f"/orgs/{segment(org)}/state").raise_for_status().content for org in orgs(_admin)}

_calls: Counter[tuple[str, str, int]] = Counter()
_scenarios: Counter[None] = Counter()

# What happened in the present scenario that checks which look for a DELETE and a POST of a resource cannot know:
_used_up: set[str] = set()  # drafts that became a program or a promotion
_USE_UP = {"createExternalLoyaltyProgram", "createExternalCouponPromotion"}
_made: set[str] = set()  # orgs that something below them made
_MAKE = {"resetOrg", "setClock", "advanceClock", "putState", "seedOrg", "issueToken", "importOrg", "takeSnapshot"}

# Schemathesis has Hypothesis climb towards more successes: a third of the cases, each like the one before, and larger.
hypothesis.target = lambda _, **__: None  # type: ignore[assignment]  # its result is not used


@atexit.register
def _write_counts() -> None:
    counts = Counts([(*key, count) for key, count in _calls.items()], _scenarios.total())
    Path(_settings.counts).write_text(json.dumps(counts._asdict()), encoding="utf-8")


@schemathesis.hook
def before_load_schema(_: Any, raw_schema: dict[str, Any]) -> None:
    """Some bodies that a schema cannot tell how to make; Schemathesis sends examples as they are, and variations."""
    for item in raw_schema["paths"].values():
        for operation in item.values():
            for number, body in enumerate(_settings.bodies.get(_operation_id(operation), ())):
                examples = operation["requestBody"]["content"]["application/json"]["examples"]
                examples[f"further-{number}"] = {"value": body}


@schemathesis.hook
def filter_path_parameters(_: Any, path_parameters: dict[str, Any] | None) -> bool:
    """Skip an id that is the last segment of another path: OpenAPI prefers a literal path to a template."""
    return (path_parameters or {}).get("id") not in ("stream", "count", "flush", "rewrites")


@schemathesis.hook
def after_call(context: Any, case: Case, response: Any) -> None:
    operation = _operation_id(context.operation.definition.raw)
    phase = case.meta.phase.name.value if case.meta else ""
    _calls[operation, phase, response.status_code] += 1
    if 200 <= response.status_code < 300:
        if operation in _USE_UP:
            _used_up.add(json.loads(response.request.body)["draft_id"])
        elif operation in _MAKE:
            _made.add(str(case.path_parameters["org"]))
        elif operation == "forgetOrg":
            _made.discard(str(case.path_parameters["org"]))


def _begin_afresh(machine: APIStateMachine) -> None:
    """Put every org back to how it was, and Schemathesis' memory of what it has drawn from the replies before.

    Hypothesis repeats a beginning of steps to try another end. If that is answered differently, it gives up without a
    word, long before all the scenarios have run. So the first scenario must not find what the phases before it left,
    nor any what another has done in the name of a stranger or without a token; and none must be given another resource
    than the one before, as Schemathesis prefers those that it has not given lately.
    """
    schema: Any = machine.schema
    if schema.analysis.extra_data_source is not None:
        VariantUsageTracker.__init__(schema.analysis.extra_data_source.usage_tracker)  # strategies hold on to it
    _used_up.clear()
    _made.clear()
    if _settings.alone:
        for org in orgs(_admin):  # with its scenario, its snapshots, and what is armed
            _admin.delete(f"/orgs/{segment(org)}").raise_for_status()
    for org, state in _before.items():
        _admin.put(
            f"/orgs/{segment(org)}/state", content=state, headers={"Content-Type": "application/json"}
        ).raise_for_status()


def _begun(machine: APIStateMachine, *arguments: Any) -> None:
    _scenarios[None] += 1
    _begin_afresh(machine)
    _make_machine(machine, *arguments)


# `st run` has a `setup` of its own and no hook before a scenario.
_make_machine = APIStateMachine.__init__
APIStateMachine.__init__ = _begun  # type: ignore[assignment, method-assign]  # it is put in its place on purpose


@schemathesis.hook
def filter_failure(_: Any, failure: Failure, case: Case, __: Any) -> bool:
    """A draft that is used up has gone though nothing deleted it; an org that was forgotten is made by its next use."""
    ids = set(map(str, case.path_parameters.values()))
    gone = isinstance(failure, EnsureResourceAvailability) and _used_up & ids
    back = isinstance(failure, UseAfterFree) and _made & ids
    return not (gone or back)


@schemathesis.check
def rejections_are_declared(_: Any, response: Any, case: Case) -> None:
    """A rejection is one of those that the spec declares by name for this operation, or outside all operations."""
    if response.status_code >= 400:
        said = _kind(response.status_code, response.json())
        operation = _operation_id(case.operation.definition.raw)
        assert said in _declared()[operation] | _declared()[""], f"{operation} declares no rejection {said}"


@schemathesis.check
def valid_requests_are_not_called_invalid(_: Any, response: Any, case: Case) -> None:
    """A request that fits the schema may break a rule, which has a name; it is never `invalid-request`."""
    if response.status_code == 400 and case.meta is not None and case.meta.generation.mode.is_positive:
        body = response.json()
        named = response.headers.get("sandbox-exchange")  # the calls of the admin API are in no journal
        if named:
            of_the_schema = _rejection(named[0], response) == "invalid-request"
        else:
            of_the_schema = body["title"] == "Bad request" and "errors" in body
        assert not of_the_schema, body


def _rejection(exchange: str, response: Any) -> str | None:
    """What the spec calls a rejection, as the journal has it; None if it was not in the org that all is asked of."""
    found = _admin.get(f"/orgs/{_settings.org}/requests/{exchange}")
    entry = found.json() if found.is_success else {"request": {}}
    same = entry["request"].get("target") == response.request.path_url
    return str(entry["rejection"]) if same else None


def _kind(status: int, body: Any) -> Kind:
    """What tells the kinds of rejection apart, in the forms that the vendors have for them; the rest is wording."""
    fault = body.get("fault", {}).get("detail", {})
    return status, body.get("type"), body.get("title"), body.get("ErrorCode"), fault.get("errorcode")


def _operation_id(operation: Any) -> str:
    return str(operation.get("operationId", "")) if isinstance(operation, dict) else ""


@cache
def _declared() -> dict[str, set[Kind]]:
    document = Document(Path(_settings.spec))
    found = {
        operation.id: {_kind(it.status, it.value) for it in operation.rejections.values()}
        for operation in document.operations
    }
    found[""] = {_kind(it.status, it.value) for it in document.transport_rejections.values()}
    return found
