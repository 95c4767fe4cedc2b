"""From a call to its reply: authorise, validate, apply `Prefer` and the scenario, run the rule, check the reply.

A rejection has the form of the vendor's errors. An internal error of the sandbox never has that form. `pipeline` finds
the org and the route.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from promo_sandbox.base.field_values import parse_prefer
from promo_sandbox.base.memory import Memory
from promo_sandbox.base.messages import Reply, Request, Violation
from promo_sandbox.base.nearest_names import nearest
from promo_sandbox.base.slices import Work
from promo_sandbox.model.auth import Grant, rejection_headers
from promo_sandbox.model.call import Call
from promo_sandbox.model.contract import INVALID_REQUEST, MISSING_BODY, Contract, OffContract, Route
from promo_sandbox.model.effects import Effects, Fault
from promo_sandbox.model.journal import MAX_BODY, Exchange
from promo_sandbox.model.rejected import Rejected
from promo_sandbox.model.rules import RejectionContext
from promo_sandbox.openapi.document import Document
from promo_sandbox.openapi.operation import PROBLEM, Operation, Rejection, UnreadableBody, validate_response
from promo_sandbox.scenarios.run import Run, Throttled, UnexpectedCallError

Admit = Callable[["Route", Request, Call], "Grant | str"]

_WAIT = re.compile(r"\d{1,4}(?:\.\d{1,3})?", re.ASCII)
_THROTTLED = 429
OUT_OF_MEMORY = "Not enough memory"  # the title of a problem
_MAX_WAIT = 300  # seconds


class InvalidPreference(Exception):
    """The operation does not declare what `Prefer` names."""


class ScriptedReply(Exception):
    """A scenario's step or an armed effect answers with this reply; the rule does not run."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


def execute(
    route: Route,
    request: Request,
    call: Call,
    path: dict[str, str],
    admit: Admit,
    exchange: Exchange,
    run: Run | None = None,
) -> Reply:
    """The reply to a request that has a route. The state changes only if the rule succeeds."""
    call.operation, call.request = route.operation, request
    call.state.begin()
    try:
        reply = _checked_reply(route, request, call, path, admit, exchange, run)
    except Exception as raised:  # a rule may raise anything
        reply = _error_reply(raised, route, call, exchange)
    if exchange.fault is not None and exchange.internal_error is None and reply.work is None:
        exchange.fault.apply(reply)  # an internal error is sent unchanged
    return reply


def _run_work(waiting: Reply, work: Work[Reply], route: Route, call: Call, exchange: Exchange) -> Work[Reply]:
    """Run the work of a reply, then check and record its result as for any other reply."""
    try:
        reply = yield from work
        _check_reply(route, reply)
    except Exception as raised:  # as above
        call.state.begin()  # other requests have written meanwhile: their changes are not rolled back
        reply = _error_reply(raised, route, call, exchange)
    if call.written is not None:
        exchange.set_later_changes(call.written)
    if isinstance(reply.stream, Iterator):
        reply.stream = _recorded(reply.stream, exchange)
    reply.headers = (*reply.headers, *waiting.headers)
    exchange.update_reply(reply)
    if exchange.fault is not None and exchange.internal_error is None:
        exchange.fault.apply(reply)
    return reply


def _check_reply(route: Route, reply: Reply) -> None:
    """Validate a reply against the contract."""
    flaws = route.operation.validate_reply(reply)
    if flaws:
        raise OffContract(_joined(flaws))


def _error_reply(raised: Exception, route: Route, call: Call, exchange: Exchange) -> Reply:
    """The reply if the rule failed, or did not run."""
    try:
        if isinstance(raised, Rejected):
            return _rejection_reply(route, raised, call, exchange)
        call.state.roll_back()  # the admission may have written before the request was found unreadable
        if isinstance(raised, UnreadableBody):
            reply = transport_error(route.document, route.contract, raised.status, str(raised), exchange, raised.title)
            reply.headers += raised.headers
            return reply
        if isinstance(raised, InvalidPreference):
            exchange.violations = [Violation("header.Prefer", str(raised), "enum")]
            return problem(400, "No such preference", str(raised))
        if isinstance(raised, ScriptedReply | Throttled | UnexpectedCallError):
            return _script_reply(route, raised, exchange)
    except Exception as error:  # the rule that writes error bodies may raise anything, too
        raised = error
    call.state.roll_back()
    return _internal_error(raised, exchange)


def _checked_reply(
    route: Route,
    request: Request,
    call: Call,
    path: dict[str, str],
    admit: Admit,
    exchange: Exchange,
    run: Run | None,
) -> Reply:
    """The rule's reply, after it and its events were validated against the contract."""
    reply = _process(route, request, call, path, admit, exchange, run)
    transmission = reply.transmission
    if transmission is not None and transmission.work is not None:
        exchange.size += MAX_BODY if call.written is None else 2 * MAX_BODY
        transmission.work = _run_work(reply, transmission.work, route, call, exchange)
        return reply
    flaws = route.operation.validate_reply(reply)
    if flaws:
        raise OffContract(_joined(flaws))
    if call.events:
        exchange.set_events(route.contract.validated_events(call))
    exchange.set_changes(call.state.changes)
    if transmission is not None and isinstance(reply.stream, Iterator):
        exchange.size += MAX_BODY
        reply.stream = _recorded(reply.stream, exchange)
    return reply


def _recorded(pieces: Iterator[bytes], exchange: Exchange) -> Iterator[bytes]:
    """Pass the pieces on, and record in the journal the first bytes, the size and an internal error."""
    try:
        for piece in pieces:
            exchange.reply_body += piece[: MAX_BODY - len(exchange.reply_body)]
            exchange.reply_size += len(piece)
            yield piece
    except Exception as error:  # a rule makes the pieces, and may raise anything
        exchange.internal_error = f"{type(error).__name__}: {error}"
        raise


def _process(
    route: Route,
    request: Request,
    call: Call,
    path: dict[str, str],
    admit: Admit,
    exchange: Exchange,
    run: Run | None,
) -> Reply:
    operation = route.operation
    if operation.security:
        grant = admit(route, request, call)
        if isinstance(grant, str):
            raise Rejected(grant)
        call.grant = grant
        if call.named_tenant is None and grant.tenant:
            call.tenant = grant.tenant
        if route.contract.rules.admission_rule is not None:
            route.contract.rules.admission_rule(call)
    call.values, violations = operation.read(request, path)
    if violations:
        raise Rejected(_invalid_request_name(operation, violations), violations=violations)
    prefer = request.fields.get(b"prefer")
    if prefer is not None:
        reply = _preferred_reply(operation, prefer.decode("latin-1"), exchange)
        if reply is not None:
            return reply
    if run is not None or call.state.armed:
        _apply_scenario(run, route, request, call, exchange)
    return route.rule(call)


def _apply_scenario(run: Run | None, route: Route, request: Request, call: Call, exchange: Exchange) -> None:
    """Apply the effects that are armed for the operation; otherwise those of the scenario's step that matches."""
    effects = call.state.take_armed(route.operation.id) if call.state.armed else None
    if effects is not None:
        exchange.preference = f"next: {effects}"
        _apply_effects(effects, exchange)
        return
    assert call.values is not None  # the request was validated before
    step = run.take(route.operation, request, call.values, call.now) if run is not None else None
    if run is None or step is None:
        return
    exchange.step = step.number
    _apply_effects(step.effects, exchange)
    if step.effects.throttle is not None:
        run.throttle(step, call.now)


def _apply_effects(effects: Effects, exchange: Exchange) -> None:
    """Note the faults for the reply and its webhooks, and raise the scripted answer if there is one."""
    if effects.fault is not None:
        exchange.fault = effects.fault if exchange.fault is None else exchange.fault + effects.fault
    exchange.delivery_fault = effects.delivery_fault
    if effects.reject is not None:
        raise Rejected(effects.reject)
    if effects.scripted_reply is not None:
        raise ScriptedReply(effects.scripted_reply.reply())
    if effects.drops_before_rule:
        raise ScriptedReply(Reply(0))


def _script_reply(route: Route, raised: ScriptedReply | Throttled | UnexpectedCallError, exchange: Exchange) -> Reply:
    """The reply of the scenario instead of the rule's."""
    if isinstance(raised, ScriptedReply):
        return raised.reply
    if isinstance(raised, UnexpectedCallError):
        exchange.unexpected = str(raised)
        return problem(500, "Unexpected call", exchange.unexpected)
    rejection = next((it for it in route.operation.rejections.values() if it.status == _THROTTLED), None)
    if rejection is None:
        reply = transport_error(route.document, route.contract, _THROTTLED, str(raised), exchange, "Too many requests")
    else:
        reply = _reply_from_spec(
            route.contract, route.document, rejection, Rejected(rejection.name, str(raised)), exchange
        )
    others = tuple(header for header in reply.headers if header[0].lower() != "retry-after")
    reply.headers = (*others, ("retry-after", str(raised.seconds)))
    return reply


def _invalid_request_name(operation: Operation, violations: list[Violation]) -> str:
    """The name of the rejection. Some vendors declare a separate one for a missing body."""
    empty = MISSING_BODY in operation.rejections and ("body", "required") in {(v.where, v.kind) for v in violations}
    return MISSING_BODY if empty else INVALID_REQUEST


def _preferred_reply(operation: Operation, prefer: str, exchange: Exchange) -> Reply | None:
    """The reply for `Prefer: code=…` or `example=…` (RFC 7240). `wait` delays the reply; others are ignored."""
    preferred = parse_prefer(prefer)
    wait = preferred.get("wait")
    if wait is not None:
        if not _WAIT.fullmatch(wait) or float(wait) > _MAX_WAIT:
            raise InvalidPreference(f"wait={wait[:50]} is not a number of seconds up to {_MAX_WAIT}.")
        exchange.fault = Fault(delay=float(wait), preferred=f"wait={wait}")
    selection = {name: value for name, value in preferred.items() if name in ("code", "example")}
    code, name = selection.get("code"), selection.get("example")
    if not selection:
        return None
    for status, response in operation.responses.items():
        if code not in (None, str(status)) or (name is not None and name not in response.examples):
            continue
        if response.content and not response.examples:
            continue  # no example to send
        chosen = name or next(iter(response.examples), "")
        media, example = response.examples.get(chosen, (None, {"value": None}))
        exchange.preference = prefer
        headers = response.headers
        if rejection := operation.rejections.get(chosen):
            exchange.rejection, exchange.source = rejection.name, rejection.source
            headers = rejection_headers(rejection, exchange.request)
        applied = ", ".join(f"{key}={value}" for key, value in selection.items())
        return Reply(status, example["value"], media, (*headers, ("preference-applied", applied)))
    names = [name for response in operation.responses.values() for name in response.examples]
    near = nearest(name or "", names)
    hint = f" Did you mean example={near[0]}?" if near else ""
    statuses = ", ".join(map(str, operation.responses))
    raise InvalidPreference(f"{operation.id} has the codes {statuses} and the examples {', '.join(names)}.{hint}")


def _rejection_reply(route: Route, rejected: Rejected, call: Call, exchange: Exchange) -> Reply:
    if not rejected.keep_changes:
        call.state.roll_back()
    rejection = route.operation.rejections.get(rejected.name)
    if rejection is None:
        raise OffContract(f"{route.operation.id} declares no rejection {rejected.name}")
    reply = _reply_from_spec(route.contract, route.document, rejection, rejected, exchange)
    _check_reply(route, reply)
    if rejected.keep_changes:
        exchange.set_events(route.contract.validated_events(call))
        exchange.set_changes(call.state.changes)
    return reply


def _reply_from_spec(
    contract: Contract, document: Document, rejection: Rejection, rejected: Rejected, exchange: Exchange
) -> Reply:
    exchange.rejection, exchange.source = rejection.name, rejection.source
    exchange.violations = rejected.violations
    path = exchange.request.path
    relative_path = path.removeprefix(document.base_path)
    context = RejectionContext(rejection, rejected.detail, rejected.violations, relative_path, exchange.at, path)
    content = contract.rules.write_error_body(context)
    if rejected.fields:
        content = {**content, **rejected.fields}
    return Reply(rejection.status, content, rejection.media, rejection_headers(rejection, exchange.request))


def unmatched_reply(
    request: Request, contract: Contract | None, document: Document | None, allow: tuple[str, ...], exchange: Exchange
) -> Reply:
    """404 or 405, in the form of the vendor whose paths are most similar, if there is one."""
    path = request.path[:200]
    if path == "*" and request.method == "OPTIONS":  # RFC 9110 9.3.7: a ping of the server as a whole
        return Reply(204)
    if allow and document is not None and document.cors and _is_preflight(request):
        return _preflight(request, allow)
    if allow:
        status, detail = 405, f"{path} has {', '.join(allow)}, not {request.method[:20]}."
    else:
        status, detail = 404, f"There is no {path}."
    if contract is None or document is None:
        reply = problem(status, "Method not allowed" if allow else "Not found", detail)
    else:
        try:
            reply = transport_error(document, contract, status, detail, exchange)
        except Exception as error:  # a rule writes the body, and may raise anything
            return _internal_error(error, exchange)
    reply.headers = (("allow", ", ".join(allow)),) if allow else ()
    return reply


def _is_preflight(request: Request) -> bool:
    return request.method == "OPTIONS" and b"access-control-request-method" in request.fields


def _preflight(request: Request, allow: tuple[str, ...]) -> Reply:
    """The reply to a CORS preflight (Fetch Standard). The other CORS headers are in every reply."""
    headers = request.header(b"access-control-request-headers") or "*"
    return Reply(
        204,
        headers=(
            ("access-control-allow-methods", ", ".join(allow)),
            ("access-control-allow-headers", headers),
            ("access-control-max-age", "600"),
        ),
    )


def transport_error(
    document: Document,
    contract: Contract,
    status: int,
    detail: str,
    exchange: Exchange,
    title: str = "Rejected before any operation",
) -> Reply:
    """An error response that no operation declares, in the vendor's form if its spec has one."""
    rejection = document.transport_rejections.get(status)
    if rejection is None:
        return problem(status, title, detail)
    reply = _reply_from_spec(contract, document, rejection, Rejected(rejection.name, detail), exchange)
    flaws = validate_response(document.transport[status], reply)
    return _internal_error(OffContract(_joined(flaws)), exchange) if flaws else reply


def problem(status: int, title: str, detail: str) -> Reply:
    """An error response of the sandbox itself, as RFC 9457 has it."""
    content: dict[str, Any] = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return Reply(status, content, PROBLEM)


def out_of_memory(memory: Memory) -> Reply:
    """507: storing this would exceed --max-memory."""
    return problem(507, OUT_OF_MEMORY, memory.reason)


def _internal_error(error: Exception, exchange: Exchange) -> Reply:
    exchange.internal_error = f"{type(error).__name__}: {error}"
    exchange.changes, exchange.events = [], []
    return problem(500, "Internal error of the sandbox", exchange.internal_error[:1000])


def _joined(flaws: list[Violation]) -> str:
    return "; ".join(map(str, flaws))
