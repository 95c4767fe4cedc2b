"""Reads the NDJSON report of Schemathesis and counts its events for each operation."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Collection
from typing import Any

from promo_sandbox.base.errors import SandboxError
from promo_sandbox.base.masking import Masks, remove_secrets
from promo_sandbox.reports.results import FAILED, NEVER, PASSED, SKIPPED, Failure, Result, curl, shortened

Json = Any
Key = tuple[str, str]  # method and path template
_MAX_FAILURES = 20  # kinds for each operation
_SUCCESS = range(200, 300)
_REJECTED = (401, 403)
MISSING = 404  # every reply of a wrong URL
# HTTP servers ignore unknown headers, also where a schema of all headers forbids them.
_UNKNOWN_HEADER = "in header - object with unexpected properties"
_NOTHING_TO_FOLLOW = "NoLinksFound"  # the tested operations have no links to each other
_FEW = 3  # this many errors may have another cause than wrong credentials


class Tally:
    """Counts and failures of a document's operations. `finished` is true after the last event."""

    def __init__(
        self,
        group: str,
        operations: dict[Key, str],
        skipped: dict[Key, str],
        masks: Masks | None = None,
        secrets: Collection[str] = (),
    ) -> None:
        """skipped: operations to skip, with the reasons. secrets: of the headers of every request."""
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
        """The operationIds to test."""
        return [name for key, name in self._operations.items() if key not in self._skipped]

    def read(self, line: str) -> None:
        """Read one event. Unknown kinds are ignored. Raises `SandboxError` for an event of an unknown form."""
        try:
            for kind, event in json.loads(line).items():
                self._event(kind, event)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            reason = f"{type(error).__name__} {error}"
            raise SandboxError(f"cannot read the report of this version of Schemathesis: {reason}") from None

    def _event(self, kind: str, event: Json) -> None:
        match kind:
            case "ScenarioFinished":
                self._scenario(event)
            case "NonFatalError":
                self._error(event)
            case "FatalError":
                self.fatal = self._shown(_first(_message(event.get("exception"))))
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
        failure = check["failure_info"]["failure"]
        message = shortened(self._shown(failure.get("message") or ""))
        if _UNKNOWN_HEADER in message:
            return
        kinds = self._failures[key]
        kind = (check["name"], _kind(message))
        if kind in kinds:
            kinds[kind] = kinds[kind]._replace(times=kinds[kind].times + 1)
        elif len(kinds) < _MAX_FAILURES:
            kinds[kind] = Failure(f"{check['name']}: {failure['title']}", message, self._command(request))

    def _error(self, event: Json) -> None:
        if event.get("value", {}).get("type") == _NOTHING_TO_FOLLOW:
            return
        method, _, template = event.get("label", "").partition(" ")
        text = self._shown(_message(event.get("value"))) or "Schemathesis stopped"
        if (method, template) in self._operations:
            self._errors.setdefault((method, template), text)
        elif not self.fatal:
            self.fatal = _first(text)

    def _command(self, request: Json) -> str:
        body = request.get("body")
        decoded = base64.b64decode(body["$base64"]) if isinstance(body, dict) and "$base64" in body else None
        headers = {name: ", ".join(values) for name, values in request.get("headers", {}).items()}
        return remove_secrets(curl(request["method"], request["uri"], headers, decoded, self._masks), self._secrets)

    def _shown(self, text: str) -> str:
        """A text of Schemathesis without secrets: it quotes requests and replies."""
        return remove_secrets(self._masks.mask_message(text), self._secrets)

    @property
    def only_status(self) -> int | None:
        """The only status of all replies, if it shows that nothing was tested."""
        counts: Counter[int] = sum(self._statuses.values(), Counter())
        if len(counts) != 1:
            return None
        status, count = next(iter(counts.items()))
        return status if status == MISSING or (status in _REJECTED and count >= _FEW) else None

    def results(self, ended: str) -> list[Result]:
        """The result of each operation. ended: the reason if the run ended early."""
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
            return Result(self._group, name, _place(key), SKIPPED, f"not tested: {reason}")
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


def _message(error: Json) -> str:
    """The message of an exception in an event, which has several forms."""
    if isinstance(error, dict):
        return next((str(error[name]) for name in ("message", "title", "value") if error.get(name)), json.dumps(error))
    return str(error or "")


def _kind(message: str) -> str:
    """The kind of a failure: the invalid part of the request, or the first line of the message."""
    lines = message.split("\n")
    return next((line for line in lines if line.startswith("Invalid component")), lines[0])


def _first(text: str) -> str:
    """The first sentence, without the requests that Schemathesis lists after it."""
    return text.split("\n", maxsplit=1)[0].split(" Last requests", maxsplit=1)[0].rstrip(".")
