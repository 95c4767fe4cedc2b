"""Runs Schemathesis in a process of its own, reads its events as they come, and ends it in any case.

It uses the command line, because the engine has no documented interface.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from promo_sandbox.base.errors import SandboxError
from promo_sandbox.base.masking import Masks
from promo_sandbox.base.messages import encode
from promo_sandbox.conformance import options
from promo_sandbox.conformance.verify.plain_spec import org_headers, plain
from promo_sandbox.conformance.verify.tally import Tally
from promo_sandbox.openapi.document import METHODS, Document

BOUNDARIES = "coverage"
PHASES = ("examples", BOUNDARIES, "fuzzing", "stateful")
# Not used, because a specification cannot decide them:
# positive_data_acceptance (which valid requests break a rule), use_after_free and ensure_resource_availability (what a
# rule uses up), unsupported_method and allow_header_conformance (the vendors do not say), missing_required_header and
# ignored_auth (which status; the cases of `parity` know it), object_level_authorization (there is one user).
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
)
_PATIENCE = 5.0  # seconds for Schemathesis to end after SIGTERM
_CHUNK = 1 << 16


class Plan(NamedTuple):
    """How to test every document."""

    url: str
    org: str
    headers: Mapping[str, str]
    examples: int  # for each operation and phase
    phases: tuple[str, ...]
    rate_limit: str | None
    seed: int
    until: float  # when to end, by `time.perf_counter`
    timeout: float  # seconds for a reply


def new_tally(document: Document, plan: Plan, skipped: Mapping[str, str]) -> Tally:
    """The empty tally of a document. skipped: operationIds to skip, with the reasons."""
    operations = {
        (method.upper(), template): raw["operationId"]
        for template, item in plain(document, plan.org)["paths"].items()
        for method, raw in item.items()
        if method in METHODS
    }
    masks = Masks([document.raw])
    left_out = {key: skipped[id] for key, id in operations.items() if id in skipped}
    return Tally(document.label, operations, left_out, masks, masks.find_secrets(plan.headers.items()))


def run(document: Document, plan: Plan, tally: Tally, folder: Path, progress: Callable[[], None]) -> str:
    """Test a document's operations. Returns the reason if the run ended early.

    folder: for temporary files. progress: called after each scenario. Raises `SandboxError` if Schemathesis fails.
    """
    (folder / "spec.json").write_bytes(encode(plain(document, plan.org)))
    (folder / "schemathesis.toml").write_text(_configuration(document, plan), encoding="utf-8")
    with _child(_command(document, plan, tally.wanted), folder) as (child, events):
        ended = _follow(events, tally, plan.until, progress)
        if ended:
            _stop(child)
        child.wait()
    if not ended and tally.fatal and tally.scenarios:
        return tally.fatal  # report what was found until then
    if not ended and (tally.fatal or not tally.finished):
        log_lines = (folder / "log").read_text(encoding="utf-8", errors="replace").split("\n")
        last = tally.fatal or next(
            (line for line in reversed(log_lines) if line.strip()), f"exit code {child.returncode}"
        )
        raise SandboxError(f"Schemathesis could not test {document.label}: {last}")
    return ended


def _command(document: Document, plan: Plan, wanted: list[str]) -> list[str]:
    return [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", "schemathesis.toml", "run", "spec.json"),
        *("--url", f"{plan.url}{document.base_path}", "--no-color", "--continue-on-failure", "--no-shrink"),
        *("--phases", ",".join(plan.phases), "--checks", ",".join(CHECKS), "--warnings", "off"),
        *("--max-examples", str(plan.examples), "--seed", str(plan.seed), "--request-timeout", str(plan.timeout)),
        *(part for id in wanted for part in ("--include-operation-id", id)),
        *(("--rate-limit", plan.rate_limit) if plan.rate_limit else ()),
        *("--report", "ndjson", "--report-ndjson-path"),
    ]


def _configuration(document: Document, plan: Plan) -> str:
    """Settings without a command-line option; and the headers, since a list of processes would show secrets."""
    queries = [source[6:] for source in document.org_sources if source.startswith("query.")]
    headers = {**dict.fromkeys(org_headers(document), plan.org), **plan.headers}
    lines = [
        "[generation]",
        'database = "none"',
        "with-security-parameters = false",  # `parity` has cases without credentials
        "[cache]",
        "enabled = false",
        "[phases.coverage]",
        "unexpected-methods = []",  # otherwise a read-only run would send DELETE
        "[headers]",
        *(f"{json.dumps(name)} = {json.dumps(value)}" for name, value in headers.items()),
        "[parameters]",
        *(f'"query.{name}" = {{dictionary = "org", probability = 1.0}}' for name in queries),
        "[dictionaries]",
        f"org = {{values = [{json.dumps(plan.org)}]}}",
    ]
    return "\n".join(lines)


@contextmanager
def _child(command: list[str], folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Start the process; yields it and the pipe of its events. Ends it afterwards."""
    reading, writing = os.pipe()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SCHEMATHESIS_")}
    environment["SCHEMATHESIS_HOOKS"] = "promo_sandbox.conformance.verify.parent_watch"
    try:
        with (folder / "log").open("wb") as log:
            child = subprocess.Popen(  # noqa: S603 - a command of our own
                [*command, f"/dev/fd/{writing}"],
                cwd=folder,
                env=environment,
                stdin=subprocess.PIPE,  # open until this process ends
                stdout=log,
                stderr=log,
                pass_fds=(writing,),
                start_new_session=True,  # an interrupt reaches this process only, which ends the child
            )
        os.close(writing)
        try:
            yield child, reading
        finally:
            _stop(child)
    finally:
        os.close(reading)


def _follow(events: int, tally: Tally, until: float, progress: Callable[[], None]) -> str:
    """Read events to the end. Returns the reason if the run ended early."""
    rest = b""
    try:
        with options.terminable():
            while (left := until - time.perf_counter()) > 0:
                if not select.select([events], [], [], left)[0]:
                    continue
                chunk = os.read(events, _CHUNK)
                if not chunk:
                    return ""
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    before = tally.scenarios
                    tally.read(line.decode())
                    if tally.scenarios > before:
                        progress()
    except KeyboardInterrupt:
        return options.INTERRUPTED
    return options.TIME_IS_UP


def _stop(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    if child.stdin is not None:
        child.stdin.close()
