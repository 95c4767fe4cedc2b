"""What Schemathesis tells of its run, event by event, counted for each operation. Reads its NDJSON report."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Collection
from typing import Any

from promo_sandbox.base.errors import SandboxError
from promo_sandbox.base.masking import Masks, without
from promo_sandbox.reports.results import FAILED, NEVER, PASSED, SKIPPED, Failure, Result, curl, shortened

Json = Any
Key = tuple[str, str]  # method, and template as the spec has it
_MAX_FAILURES = 20  # kinds for each operation
_SUCCESS = range(200, 300)
_REFUSED = (401, 403)
MISSING = 404  # what a URL that is not the server's says of everything
# An HTTP server passes over headers that it does not know, whatever a schema of all headers would say.
_UNKNOWN_HEADER = "in header - object with unexpected properties"
_NOTHING_TO_FOLLOW = "NoLinksFound"  # the operations that are tried have no links to each other
_FEW = 3  # requests that say nothing of a whole server


class Tally:
    """What is known of a document's operations; `finished` when Schemathesis has come to its end."""

    def __init__(
        self,
        group: str,
        operations: dict[Key, str],
        skipped: dict[Key, str],
        masks: Masks | None = None,
        secrets: Collection[str] = (),
    ) -> None:
        """skipped: those that are not asked for, and why. secrets: of the headers that are sent with every request."""
        self._masks, self._secrets = masks or Masks(), secrets
        self._group, self._operations, self._skipped = group, operations, skipped
        self._statuses: dict[Key, Counter[int]] = {key: Counter() for key in operations}
        self._failures: dict[Key, dict[tuple[str, str], Failure]] = {key: {} for key in operations}
        self._seconds: Counter[Key] = Counter()
        self._errors: dict[Key, str] = {}
        self.scenarios = 0
        self.finished = False
        self.fatal = ""

    @property
    def wanted(self) -> list[str]:
        """The operationIds to try."""
        return [name for key, name in self._operations.items() if key not in self._skipped]

    def read(self, line: str) -> None:
        """One event; a kind that is not known here is passed over. Raises `SandboxError` for one of another form."""
        try:
            for kind, event in json.loads(line).items():
                self._event(kind, event)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            reason = f"{type(error).__name__} {error}"
            raise SandboxError(f"this Schemathesis writes reports that cannot be read here: {reason}") from None

    def _event(self, kind: str, event: Json) -> None:
        match kind:
            case "ScenarioFinished":
                self._scenario(event)
            case "NonFatalError":
                self._error(event)
            case "FatalError":
                self.fatal = self._shown(_first(_said(event.get("exception"))))
            case "EngineFinished":
                self.finished = event.get("stop_reason") == "completed"

    def _scenario(self, event: Json) -> None:
        self.scenarios += 1
        recorder = event["recorder"]
        for id, interaction in recorder.get("interactions", {}).items():
            key = _key(recorder["cases"][id]["value"])
            if key not in self._operations:
                continue
            response = interaction.get("response")
            self._seconds[key] += 1000 * (response or {}).get("elapsed", 0)
            if response is not None:
                self._statuses[key][response["status_code"]] += 1
            for check in recorder.get("checks", {}).get(id, ()):
                if check["status"] == "failure":
                    self._fail(key, check, interaction["request"])

    def _fail(self, key: Key, check: Json, request: Json) -> None:
        said = check["failure_info"]["failure"]
        message = shortened(self._shown(said.get("message") or ""))
        if _UNKNOWN_HEADER in message:
            return
        kinds = self._failures[key]
        kind = (check["name"], _kind(message))
        if kind in kinds:
            kinds[kind] = kinds[kind]._replace(times=kinds[kind].times + 1)
        elif len(kinds) < _MAX_FAILURES:
            kinds[kind] = Failure(f"{check['name']}: {said['title']}", message, self._command(request))

    def _error(self, event: Json) -> None:
        if event.get("value", {}).get("type") == _NOTHING_TO_FOLLOW:
            return
        method, _, template = event.get("label", "").partition(" ")
        text = self._shown(_said(event.get("value"))) or "Schemathesis could not go on"
        if (method, template) in self._operations:
            self._errors.setdefault((method, template), text)
        elif not self.fatal:
            self.fatal = _first(text)

    def _command(self, request: Json) -> str:
        body = request.get("body")
        decoded = base64.b64decode(body["$base64"]) if isinstance(body, dict) and "$base64" in body else None
        headers = {name: ", ".join(values) for name, values in request.get("headers", {}).items()}
        return without(curl(request["method"], request["uri"], headers, decoded, self._masks), self._secrets)

    def _shown(self, text: str) -> str:
        """What Schemathesis says without secrets: it cites requests and replies."""
        return without(self._masks.sent(text), self._secrets)

    @property
    def refusal(self) -> int | None:
        """The status that every request was answered with, if it says that nothing was tested at all."""
        met: Counter[int] = sum(self._statuses.values(), Counter())
        if len(met) != 1:
            return None
        status, count = next(iter(met.items()))
        return status if status == MISSING or (status in _REFUSED and count >= _FEW) else None

    def results(self, ended: str) -> list[Result]:
        """One for each operation. ended: why the run came to no end, if it did not."""
        return [self._result(key, name, ended) for key, name in self._operations.items()]

    def _result(self, key: Key, name: str, ended: str) -> Result:
        if key in self._skipped:
            return Result(self._group, name, _place(key), SKIPPED, self._skipped[key])
        statuses, failures = self._statuses[key], tuple(self._failures[key].values())
        if key in self._errors:
            failures = (*failures, Failure("the operation could not be tested", shortened(self._errors[key])))
        seconds = self._seconds[key] / 1000
        if failures:
            return Result(self._group, name, _place(key), FAILED, _note(statuses), failures, seconds)
        if not statuses:
            reason = ended or "Schemathesis sent nothing"
            return Result(self._group, name, _place(key), SKIPPED, f"not tried: {reason}")
        return Result(self._group, name, _place(key), PASSED, _note(statuses), (), seconds, _succeeded(statuses))


def _note(statuses: Counter[int]) -> str:
    """`37 requests: 200 (20), 400 (17)`."""
    parts = ", ".join(f"{status} ({count})" for status, count in sorted(statuses.items()))
    requests = "1 request" if statuses.total() == 1 else f"{statuses.total()} requests"
    lacking = "" if _succeeded(statuses) else f"; {NEVER}"
    return f"{requests}{': ' if parts else ''}{parts}{lacking}"


def _succeeded(statuses: Counter[int]) -> bool:
    return any(status in _SUCCESS for status in statuses)


def _key(case: Json) -> Key:
    return case["method"].upper(), case["path"]


def _place(key: Key) -> str:
    return " ".join(key)


def _said(error: Json) -> str:
    """The message of an exception as it is written in an event, whatever its form."""
    if isinstance(error, dict):
        return next((str(error[name]) for name in ("message", "title", "value") if error.get(name)), json.dumps(error))
    return str(error or "")


def _kind(message: str) -> str:
    """What tells one way of failing a check from another: what of the request is invalid, or else the reason."""
    lines = message.split("\n")
    return next((line for line in lines if line.startswith("Invalid component")), lines[0])


def _first(text: str) -> str:
    """The sentence that says what is the matter, without the requests that Schemathesis lists after it."""
    return text.split("\n", maxsplit=1)[0].split(" Last requests", maxsplit=1)[0].rstrip(".")
