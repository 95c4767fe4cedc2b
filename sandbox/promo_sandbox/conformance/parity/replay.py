"""A case played against a server: its requests sent one after the other, and how the answers differ."""

from __future__ import annotations

import contextlib
import re
import secrets
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode

from promo_sandbox.base.masking import Masks, without
from promo_sandbox.base.messages import decode, encode
from promo_sandbox.client.http import segment
from promo_sandbox.conformance.parity.cases import Case, Step, filled
from promo_sandbox.conformance.target import Answer, NoAnswer, Target
from promo_sandbox.reports.results import FAILED, PASSED, Failure, Result, curl, shortened
from promo_sandbox.scenarios.conditions import ABSENT, is_operator, why_not

Json = Any
_REFUSED = frozenset((401, 403))
_SUCCESS = range(200, 300)
_INDEX = re.compile(r"-?[0-9]{1,6}\Z")
_MAX_SHOWN = 400  # characters of an answer


class Sent(NamedTuple):
    """A request as it goes out."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes | None


class Played(NamedTuple):
    """What became of a case, and the statuses that it met; none where nobody answered.

    entrance: those of the requests that depend on the credentials of `--header`, and should not be refused for them.
    """

    result: Result
    statuses: tuple[int, ...]
    entrance: tuple[int, ...]


class Asked(NamedTuple):
    """A server that cases are sent to, and what is the same for all of them."""

    provider: Target
    org: str
    headers: Mapping[str, str]
    variables: Mapping[str, str]  # in place of those that the cases' files declare
    masks: Masks


def play(case: Case, asked: Asked) -> Played:
    """Send a case's requests."""
    fresh = secrets.token_hex(5)
    values: dict[str, Json] = {**case.variables, **asked.variables, "org": asked.org, "fresh": fresh}
    statuses: list[int] = []
    entrance: list[int] = []
    begun = time.perf_counter()
    failure = None
    for number, step in enumerate(case.steps, 1):
        sent = _sent(_request(step, values), asked.headers)
        where = "" if number == len(case.steps) else f"given, request {number}: "
        try:
            answer = asked.provider.send(*sent)
        except NoAnswer as error:
            failure = _failure(f"{where}no answer", [str(error)], sent, asked, case)
            break
        statuses.append(answer.status)
        entrance += [answer.status] if _enters(step) else []
        found = _found(answer)
        wrong = list(_wrong(filled(step.expect, values), found, asked.masks)) or list(_take(step, found, values))
        if wrong:
            failure = _failure(f"{where}{wrong[0]}", wrong[1:], sent, asked, case, answer)
            break
    seconds = time.perf_counter() - begun
    kind = "documented" if case.documented else "inferred"
    outcome, failures = (PASSED, ()) if failure is None else (FAILED, (failure,))
    result = Result(case.vendor, case.name, case.operation, outcome, f"{case.operation}, {kind}", failures, seconds)
    return Played(result, tuple(statuses), tuple(entrance))


def _enters(step: Step) -> bool:
    """Whether a request has no credentials of its own, null being one kind of them, and is not sent to be refused."""
    own = "basic" in step.request or any(name.lower() == "authorization" for name in step.request.get("headers", {}))
    expected = step.expect.get("status", ())
    return not own and not _REFUSED.intersection([expected] if isinstance(expected, int) else expected)


def _request(step: Step, values: Mapping[str, Json]) -> dict[str, Json]:
    """A step's request with its values, which are one segment each where they stand in the path."""
    path = filled(step.request["path"], {name: segment(str(value)) for name, value in values.items()})
    return {**filled(step.request, values), "path": path}


def _sent(request: Json, headers: Mapping[str, str]) -> Sent:
    """A header of the case takes the place of one that is sent with every request; null leaves it out."""
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


def _found(answer: Answer) -> dict[str, Json]:
    """An answer as patterns see it: a body that is no JSON is a text, an empty one is absent."""
    body: Json = answer.body.decode("utf-8", "replace") if answer.body else ABSENT
    if "json" in answer.headers.get("content-type", "").lower():
        with contextlib.suppress(ValueError):
            body = decode(answer.body)
    return {"status": answer.status, "headers": dict(answer.headers), "body": body}


def _wrong(expect: Json, found: Mapping[str, Json], masks: Masks) -> Iterator[str]:
    """Each way in which an answer is not what was expected; any success will do where no status is said."""
    wanted: Json = expect.get("status", _SUCCESS)
    if isinstance(wanted, int):
        wanted = [wanted]
    if found["status"] not in wanted:
        said = "a success" if wanted is _SUCCESS else " or ".join(map(str, wanted))
        yield f"status is {found['status']}, not {said}"
    headers = {str(name).lower(): pattern for name, pattern in expect.get("headers", {}).items()}
    media, pattern = found["headers"].get("content-type"), headers.get("content-type")
    if media is not None and pattern is not None:
        lowered = pattern.lower() if isinstance(pattern, str) else pattern
        if why_not(lowered, media.lower(), "") is None:  # media types are the same in any letters
            del headers["content-type"]
    yield from _differences(headers, found["headers"], "headers", masks)
    if "body" in expect:
        yield from _differences(expect["body"], found["body"], "body", masks)


def _differences(pattern: Json, value: Json, where: str, masks: Masks) -> Iterator[str]:
    """Where `why_not` tells the first difference, all of them."""
    if isinstance(pattern, dict) and isinstance(value, dict) and not is_operator(pattern):
        for name, part in pattern.items():
            yield from _differences(part, value.get(name, ABSENT), f"{where}.{name}", masks)
    elif isinstance(pattern, list) and isinstance(value, list) and len(pattern) == len(value):
        for at, part in enumerate(pattern):
            yield from _differences(part, value[at], f"{where}[{at}]", masks)
    else:
        reason = why_not(pattern, value, where)
        if reason is not None:
            hidden = value is not ABSENT and masks.hides(where.rpartition(".")[2])
            yield f"{where} is another one" if hidden else reason


def _take(step: Step, found: Mapping[str, Json], values: dict[str, Json]) -> Iterator[str]:
    """Put what later steps use with the values; what is not there is a difference too."""
    for name, source in step.take.items():
        value: Json = found
        for part in source.split("."):
            if isinstance(value, dict):
                value = value.get(part, ABSENT)
            elif isinstance(value, list) and _INDEX.match(part) and -len(value) <= int(part) < len(value):
                value = value[int(part)]
            else:
                value = ABSENT
        if value is ABSENT:
            yield f"{source} is not there"
        values[name] = value


def _shown(answer: Answer, masks: Masks) -> str:
    text = masks.sent(answer.body.decode("utf-8", "replace"))
    return f"the answer: {answer.status} {text[:_MAX_SHOWN]}{'…' if len(text) > _MAX_SHOWN else ''}".rstrip()


def _failure(
    title: str, lines: list[str], sent: Sent, asked: Asked, case: Case, answer: Answer | None = None
) -> Failure:
    """A failure without the secrets of request and answer, which may be those of a real account."""
    masks, texts = asked.masks, [sent.path, (sent.body or b"").decode("utf-8", "replace")]
    headers = [*sent.headers.items(), *asked.headers.items()]
    if answer is not None:
        texts.append(answer.body.decode("utf-8", "replace"))
        headers += answer.headers.items()
        lines = [*lines, _shown(answer, masks)]
    given = [value for name, value in asked.variables.items() if "secret" in name]
    hidden = masks.secrets(headers, *texts, given=given)
    command = curl(sent.method, f"{asked.provider.url}{sent.path}", sent.headers, sent.body, masks)
    message = without("\n".join([*lines, case.source]), hidden)
    return Failure(without(title, hidden), shortened(message), without(command, hidden))
