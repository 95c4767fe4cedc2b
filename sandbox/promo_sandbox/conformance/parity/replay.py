"""Runs a case against a server: sends its requests and compares the replies."""

from __future__ import annotations

import contextlib
import re
import secrets
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode

from promo_sandbox.base.masking import Masks, remove_secrets
from promo_sandbox.base.messages import decode, encode
from promo_sandbox.client.http import path_segment
from promo_sandbox.conformance.parity.cases import Case, Step, filled
from promo_sandbox.conformance.target import NoReply, ServerReply, Target
from promo_sandbox.reports.results import FAILED, PASSED, Failure, Result, curl, shortened
from promo_sandbox.scenarios.conditions import ABSENT, is_operator, mismatch

Json = Any
_REJECTED = frozenset((401, 403))
_SUCCESS = range(200, 300)
_INDEX = re.compile(r"-?[0-9]{1,6}\Z")
_MAX_SHOWN = 400  # characters of an reply


class Sent(NamedTuple):
    """A request that is sent."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes | None


class Played(NamedTuple):
    """A case that ran: its result and the statuses of the replies, if any.

    credential_statuses: those of requests with the credentials of `--header` that should not be rejected for them.
    """

    result: Result
    statuses: tuple[int, ...]
    credential_statuses: tuple[int, ...]


class Run(NamedTuple):
    """The server under test, and what all cases share."""

    target: Target
    org: str
    headers: Mapping[str, str]
    variables: Mapping[str, str]  # they override those of the files
    masks: Masks


def play(case: Case, run: Run) -> Played:
    """Run one case."""
    fresh = secrets.token_hex(5)
    values: dict[str, Json] = {**case.variables, **run.variables, "org": run.org, "fresh": fresh}
    statuses: list[int] = []
    credential_statuses: list[int] = []
    begun = time.perf_counter()
    failure = None
    for number, step in enumerate(case.steps, 1):
        sent = _sent(_request(step, values), run.headers)
        where = "" if number == len(case.steps) else f"given, request {number}: "
        try:
            reply = run.target.send(*sent)
        except NoReply as error:
            failure = _failure(f"{where}no reply", [str(error)], sent, run, case)
            break
        statuses.append(reply.status)
        credential_statuses += [reply.status] if _uses_given_credentials(step) else []
        seen = _as_patterns_see(reply)
        mismatches = list(_mismatches(filled(step.expect, values), seen, run.masks)) or list(_take(step, seen, values))
        if mismatches:
            failure = _failure(f"{where}{mismatches[0]}", mismatches[1:], sent, run, case, reply)
            break
    seconds = time.perf_counter() - begun
    kind = "documented" if case.documented else "inferred"
    outcome, failures = (PASSED, ()) if failure is None else (FAILED, (failure,))
    result = Result(case.vendor, case.name, case.operation, outcome, f"{case.operation}, {kind}", failures, seconds)
    return Played(result, tuple(statuses), tuple(credential_statuses))


def _uses_given_credentials(step: Step) -> bool:
    """Whether a request uses the credentials of `--header` and does not expect 401 or 403."""
    own = "basic" in step.request or any(name.lower() == "authorization" for name in step.request.get("headers", {}))
    expected = step.expect.get("status", ())
    return not own and not _REJECTED.intersection([expected] if isinstance(expected, int) else expected)


def _request(step: Step, values: Mapping[str, Json]) -> dict[str, Json]:
    """The request with its variables filled in. In the path, each value is one segment."""
    path = filled(step.request["path"], {name: path_segment(str(value)) for name, value in values.items()})
    return {**filled(step.request, values), "path": path}


def _sent(request: Json, headers: Mapping[str, str]) -> Sent:
    """The request to send. A header of the case overrides one of `--header`; null removes it."""
    fields = {name.lower(): (name, value) for name, value in headers.items()}
    if "basic" in request:
        fields["authorization"] = ("Authorization", f"Basic {b64encode(request['basic'].encode()).decode()}")
    body: bytes | None = None
    if "body" in request:
        body = encode(request["body"])
        fields["content-type"] = ("Content-Type", "application/json")
    elif "form" in request:
        body = urlencode(request["form"]).encode()
        fields["content-type"] = ("Content-Type", "application/x-www-form-urlencoded")
    elif "text" in request:
        body = request["text"].encode()
        fields["content-type"] = ("Content-Type", "text/plain")
    fields |= {name.lower(): (name, value) for name, value in request.get("headers", {}).items()}
    sent: dict[str, str] = {}
    for name, value in fields.values():
        if value is not None:
            sent[name] = str(value)
    return Sent(request["method"], request["path"], sent, body)


def _as_patterns_see(reply: ServerReply) -> dict[str, Json]:
    """The reply as patterns match it: a body that is not JSON is a text, an empty one is absent."""
    body: Json = reply.body.decode("utf-8", "replace") if reply.body else ABSENT
    if "json" in reply.headers.get("content-type", "").lower():
        with contextlib.suppress(ValueError):
            body = decode(reply.body)
    return {"status": reply.status, "headers": dict(reply.headers), "body": body}


def _mismatches(expect: Json, seen: Mapping[str, Json], masks: Masks) -> Iterator[str]:
    """Each difference from the expected reply. Without a status, any 2xx is accepted."""
    statuses: Json = expect.get("status", _SUCCESS)
    if isinstance(statuses, int):
        statuses = [statuses]
    if seen["status"] not in statuses:
        expected = "a success" if statuses is _SUCCESS else " or ".join(map(str, statuses))
        yield f"status is {seen['status']}, not {expected}"
    headers = {str(name).lower(): pattern for name, pattern in expect.get("headers", {}).items()}
    media, pattern = seen["headers"].get("content-type"), headers.get("content-type")
    if media is not None and pattern is not None:
        lowered = pattern.lower() if isinstance(pattern, str) else pattern
        if mismatch(lowered, media.lower(), "") is None:  # media types are case-insensitive
            del headers["content-type"]
    yield from _differences(headers, seen["headers"], "headers", masks)
    if "body" in expect:
        yield from _differences(expect["body"], seen["body"], "body", masks)


def _differences(pattern: Json, value: Json, where: str, masks: Masks) -> Iterator[str]:
    """All differences; `mismatch` gives only the first."""
    if isinstance(pattern, dict) and isinstance(value, dict) and not is_operator(pattern):
        for name, part in pattern.items():
            yield from _differences(part, value.get(name, ABSENT), f"{where}.{name}", masks)
    elif isinstance(pattern, list) and isinstance(value, list) and len(pattern) == len(value):
        for at, part in enumerate(pattern):
            yield from _differences(part, value[at], f"{where}[{at}]", masks)
    else:
        reason = mismatch(pattern, value, where)
        if reason is not None:
            hidden = value is not ABSENT and masks.is_secret(where.rpartition(".")[2])
            yield f"{where} differs" if hidden else reason


def _take(step: Step, seen: Mapping[str, Json], values: dict[str, Json]) -> Iterator[str]:
    """Add the values that later steps use. A missing one is a difference."""
    for name, source in step.take.items():
        value: Json = seen
        for part in source.split("."):
            if isinstance(value, dict):
                value = value.get(part, ABSENT)
            elif isinstance(value, list) and _INDEX.match(part) and -len(value) <= int(part) < len(value):
                value = value[int(part)]
            else:
                value = ABSENT
        if value is ABSENT:
            yield f"{source} is missing"
        values[name] = value


def _shown(reply: ServerReply, masks: Masks) -> str:
    text = masks.mask_message(reply.body.decode("utf-8", "replace"))
    return f"the reply: {reply.status} {text[:_MAX_SHOWN]}{'…' if len(text) > _MAX_SHOWN else ''}".rstrip()


def _failure(
    title: str, lines: list[str], sent: Sent, run: Run, case: Case, reply: ServerReply | None = None
) -> Failure:
    """The failure without secrets of the request and the reply, which may belong to a real account."""
    masks, texts = run.masks, [sent.path, (sent.body or b"").decode("utf-8", "replace")]
    headers = [*sent.headers.items(), *run.headers.items()]
    if reply is not None:
        texts.append(reply.body.decode("utf-8", "replace"))
        headers += reply.headers.items()
        lines = [*lines, _shown(reply, masks)]
    given = [value for name, value in run.variables.items() if "secret" in name]
    hidden = masks.find_secrets(headers, *texts, given=given)
    command = curl(sent.method, f"{run.target.url}{sent.path}", sent.headers, sent.body, masks)
    message = remove_secrets("\n".join([*lines, case.source]), hidden)
    return Failure(remove_secrets(title, hidden), shortened(message), remove_secrets(command, hidden))
