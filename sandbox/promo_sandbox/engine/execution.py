"""From a call to its reply: authorise, validate, prefer, handle, check; and every way in which that can fail.

A rejection looks exactly like the vendor's. A defect, our own failure, never does. Which org and which route a request
belongs to is known before.
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
FULL = "Not enough memory"  # the title of a problem
_MAX_WAIT = 300  # seconds


class Unpreferable(Exception):
    """A `Prefer` that names nothing the operation declares."""


class Scripted(Exception):
    """No rule answers, but this reply as it stands."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


def answer(
    route: Route,
    request: Request,
    call: Call,
    path: dict[str, str],
    admit: Admit,
    exchange: Exchange,
    script: Run | None = None,
) -> Reply:
    """The reply to a request that has a route. Whatever it is, the state is as before unless the rule succeeded."""
    call.operation, call.request = route.operation, request
    call.state.begin()
    try:
        reply = _succeeded(route, request, call, path, admit, exchange, script)
    except Exception as raised:  # a rule may break in any way, and each is a defect
        reply = _failed(raised, route, call, exchange)
    if exchange.fault is not None and exchange.internal_error is None and reply.work is None:
        exchange.fault.apply(reply)  # a defect of ours is never disguised
    return reply


def _worked(waiting: Reply, work: Work[Reply], route: Route, call: Call, exchange: Exchange) -> Work[Reply]:
    """The work that a reply waits for, and then what is done with any reply; the journal has it from then on."""
    try:
        reply = yield from work
        _hold(route, reply)
    except Exception as raised:  # as above
        call.state.begin()  # what others wrote stays
        reply = _failed(raised, route, call, exchange)
    if call.written is not None:
        exchange.set_later_changes(call.written)
    if isinstance(reply.stream, Iterator):
        reply.stream = _followed(reply.stream, exchange)
    reply.headers = (*reply.headers, *waiting.headers)
    exchange.update_reply(reply)
    if exchange.fault is not None and exchange.internal_error is None:
        exchange.fault.apply(reply)
    return reply


def _hold(route: Route, reply: Reply) -> None:
    """Hold a reply to the contract."""
    flaws = route.operation.validate_reply(reply)
    if flaws:
        raise OffContract(_sentence(flaws))


def _failed(raised: Exception, route: Route, call: Call, exchange: Exchange) -> Reply:
    """The reply where the rule did not succeed, or was not even asked."""
    try:
        if isinstance(raised, Rejected):
            return _refused(route, raised, call, exchange)
        call.state.roll_back()  # for one that is unreadable, what the admission may have written
        if isinstance(raised, UnreadableBody):
            reply = transport(route.document, route.contract, raised.status, str(raised), exchange, raised.title)
            reply.headers += raised.headers
            return reply
        if isinstance(raised, Unpreferable):
            exchange.violations = [Violation("header.Prefer", str(raised), "enum")]
            return problem(400, "No such preference", str(raised))
        if isinstance(raised, Scripted | Throttled | UnexpectedCallError):
            return _scripted(route, raised, exchange)
    except Exception as error:  # a wording breaks in any way too
        raised = error
    call.state.roll_back()
    return _internal_error(raised, exchange)


def _succeeded(
    route: Route,
    request: Request,
    call: Call,
    path: dict[str, str],
    admit: Admit,
    exchange: Exchange,
    script: Run | None,
) -> Reply:
    """The rule's reply, once it and its events were found to keep the contract."""
    reply = _handled(route, request, call, path, admit, exchange, script)
    transmission = reply.transmission
    if transmission is not None and transmission.work is not None:
        exchange.size += MAX_BODY if call.written is None else 2 * MAX_BODY
        transmission.work = _worked(reply, transmission.work, route, call, exchange)
        return reply
    flaws = route.operation.validate_reply(reply)
    if flaws:
        raise OffContract(_sentence(flaws))
    if call.events:
        exchange.set_events(route.contract.validated_events(call))
    exchange.set_changes(call.state.changes)
    if transmission is not None and isinstance(reply.stream, Iterator):
        exchange.size += MAX_BODY
        reply.stream = _followed(reply.stream, exchange)
    return reply


def _followed(pieces: Iterator[bytes], exchange: Exchange) -> Iterator[bytes]:
    """The same pieces; the journal has the first of them, how long they were together, and what went wrong."""
    try:
        for piece in pieces:
            exchange.reply_body += piece[: MAX_BODY - len(exchange.reply_body)]
            exchange.reply_size += len(piece)
            yield piece
    except Exception as error:  # a rule makes the pieces, and may break in any way
        exchange.internal_error = f"{type(error).__name__}: {error}"
        raise


def _handled(
    route: Route,
    request: Request,
    call: Call,
    path: dict[str, str],
    admit: Admit,
    exchange: Exchange,
    script: Run | None,
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
        raise Rejected(_reading_failed(operation, violations), violations=violations)
    prefer = request.fields.get(b"prefer")
    if prefer is not None:
        reply = _preferred(operation, prefer.decode("latin-1"), exchange)
        if reply is not None:
            return reply
    if script is not None or call.state.armed:
        _follow(script, route, request, call, exchange)
    return route.rule(call)


def _follow(script: Run | None, route: Route, request: Request, call: Call, exchange: Exchange) -> None:
    """Have the call meet what is armed for it, or else take the scenario's step, if one awaits it."""
    then = call.state.take_armed(route.operation.id) if call.state.armed else None
    if then is not None:
        exchange.preference = f"next: {then}"
        _meet(then, exchange)
        return
    assert call.values is not None  # it was judged before
    step = script.take(route.operation, request, call.values, call.now) if script is not None else None
    if script is None or step is None:
        return
    exchange.step = step.number
    _meet(step.effects, exchange)
    if step.effects.throttle is not None:
        script.throttle(step, call.now)


def _meet(then: Effects, exchange: Exchange) -> None:
    """What is to happen instead of the rule, or to its reply."""
    if then.fault is not None:
        exchange.fault = then.fault if exchange.fault is None else exchange.fault + then.fault
    exchange.delivery_fault = then.webhook
    if then.reject is not None:
        raise Rejected(then.reject)
    if then.scripted_reply is not None:
        raise Scripted(then.scripted_reply.reply())
    if then.drops_before_rule:
        raise Scripted(Reply(0))


def _scripted(route: Route, scripted: Scripted | Throttled | UnexpectedCallError, exchange: Exchange) -> Reply:
    """What a script says instead of the rule."""
    if isinstance(scripted, Scripted):
        return scripted.reply
    if isinstance(scripted, UnexpectedCallError):
        exchange.unexpected = str(scripted)
        return problem(500, "Unexpected call", exchange.unexpected)
    rejection = next((it for it in route.operation.rejections.values() if it.status == _THROTTLED), None)
    if rejection is None:
        reply = transport(route.document, route.contract, _THROTTLED, str(scripted), exchange, "Too many requests")
    else:
        reply = _worded(route.contract, route.document, rejection, Rejected(rejection.name, str(scripted)), exchange)
    others = tuple(header for header in reply.headers if header[0].lower() != "retry-after")
    reply.headers = (*others, ("retry-after", str(scripted.seconds)))
    return reply


def _reading_failed(operation: Operation, violations: list[Violation]) -> str:
    """Some vendors have a refusal of its own for a body that is not there."""
    empty = MISSING_BODY in operation.rejections and ("body", "required") in {(v.where, v.kind) for v in violations}
    return MISSING_BODY if empty else INVALID_REQUEST


def _preferred(operation: Operation, prefer: str, exchange: Exchange) -> Reply | None:
    """The reply that `Prefer: code=…` or `Prefer: example=…` (RFC 7240) asks for; other preferences are not ours."""
    preferred = parse_prefer(prefer)
    wait = preferred.get("wait")
    if wait is not None:
        if not _WAIT.fullmatch(wait) or float(wait) > _MAX_WAIT:
            raise Unpreferable(f"wait={wait[:50]} is no number of seconds up to {_MAX_WAIT}.")
        exchange.fault = Fault(delay=float(wait), preferred=f"wait={wait}")
    wanted = {name: value for name, value in preferred.items() if name in ("code", "example")}
    code, name = wanted.get("code"), wanted.get("example")
    if not wanted:
        return None
    for status, response in operation.responses.items():
        if code not in (None, str(status)) or (name is not None and name not in response.examples):
            continue
        if response.content and not response.examples:
            continue  # there is nothing to answer with
        chosen = name or next(iter(response.examples), "")
        media, example = response.examples.get(chosen, (None, {"value": None}))
        exchange.preference = prefer
        headers = response.headers
        if rejection := operation.rejections.get(chosen):
            exchange.rejection, exchange.source = rejection.name, rejection.source
            headers = rejection_headers(rejection, exchange.request)
        applied = ", ".join(f"{key}={value}" for key, value in wanted.items())
        return Reply(status, example["value"], media, (*headers, ("preference-applied", applied)))
    names = [name for response in operation.responses.values() for name in response.examples]
    near = nearest(name or "", names)
    hint = f" Did you mean example={near[0]}?" if near else ""
    statuses = ", ".join(map(str, operation.responses))
    raise Unpreferable(f"{operation.id} has the codes {statuses} and the examples {', '.join(names)}.{hint}")


def _refused(route: Route, rejected: Rejected, call: Call, exchange: Exchange) -> Reply:
    if not rejected.keep_changes:
        call.state.roll_back()
    rejection = route.operation.rejections.get(rejected.name)
    if rejection is None:
        raise OffContract(f"{route.operation.id} declares no rejection {rejected.name}")
    reply = _worded(route.contract, route.document, rejection, rejected, exchange)
    _hold(route, reply)
    if rejected.keep_changes:
        exchange.set_events(route.contract.validated_events(call))
        exchange.set_changes(call.state.changes)
    return reply


def _worded(
    contract: Contract, document: Document, rejection: Rejection, rejected: Rejected, exchange: Exchange
) -> Reply:
    exchange.rejection, exchange.source = rejection.name, rejection.source
    exchange.violations = rejected.violations
    path = exchange.request.path
    below = path.removeprefix(document.base_path)
    refusal = RejectionContext(rejection, rejected.detail, rejected.violations, below, exchange.at, path)
    content = contract.rules.write_error_body(refusal)
    if rejected.fields:
        content = {**content, **rejected.fields}
    return Reply(rejection.status, content, rejection.media, rejection_headers(rejection, exchange.request))


def unmatched(
    request: Request, contract: Contract | None, document: Document | None, allow: tuple[str, ...], exchange: Exchange
) -> Reply:
    """404 or 405, in the words of the vendor whose paths are nearest, if any is near."""
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
            reply = transport(document, contract, status, detail, exchange)
        except Exception as error:  # the vendor's wording is a rule too
            return _internal_error(error, exchange)
    reply.headers = (("allow", ", ".join(allow)),) if allow else ()
    return reply


def _is_preflight(request: Request) -> bool:
    return request.method == "OPTIONS" and b"access-control-request-method" in request.fields


def _preflight(request: Request, allow: tuple[str, ...]) -> Reply:
    """A browser asks beforehand (Fetch Standard, CORS-preflight); the other headers it hears with every reply."""
    headers = request.header(b"access-control-request-headers") or "*"
    return Reply(
        204,
        headers=(
            ("access-control-allow-methods", ", ".join(allow)),
            ("access-control-allow-headers", headers),
            ("access-control-max-age", "600"),
        ),
    )


def transport(
    document: Document,
    contract: Contract,
    status: int,
    detail: str,
    exchange: Exchange,
    title: str = "Refused before any operation",
) -> Reply:
    """An answer outside the operations' own lists, in the vendor's form where its spec has one."""
    rejection = document.transport_rejections.get(status)
    if rejection is None:
        return problem(status, title, detail)
    reply = _worded(contract, document, rejection, Rejected(rejection.name, detail), exchange)
    flaws = validate_response(document.transport[status], reply)
    return _internal_error(OffContract(_sentence(flaws)), exchange) if flaws else reply


def problem(status: int, title: str, detail: str) -> Reply:
    """An answer that no vendor gives: RFC 9457, plainly the sandbox's own."""
    content: dict[str, Any] = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return Reply(status, content, PROBLEM)


def no_room(memory: Memory) -> Reply:
    """What would be stored is not, as --max-memory would be reached."""
    return problem(507, FULL, memory.reason)


def _internal_error(error: Exception, exchange: Exchange) -> Reply:
    exchange.internal_error = f"{type(error).__name__}: {error}"
    exchange.changes, exchange.events = [], []
    return problem(500, "Defect of the sandbox", exchange.internal_error[:1000])


def _sentence(flaws: list[Violation]) -> str:
    return "; ".join(map(str, flaws))
