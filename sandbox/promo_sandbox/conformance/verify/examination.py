"""Tests a server against the specifications, one document after the other, and collects the results."""

from __future__ import annotations

import importlib.util
import secrets
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from promo_sandbox.base.config import data_folder
from promo_sandbox.base.errors import SandboxError
from promo_sandbox.conformance import options
from promo_sandbox.conformance.target import Target
from promo_sandbox.conformance.verify import schemathesis_run as running
from promo_sandbox.conformance.verify.schemathesis_run import BOUNDARIES, PHASES, Plan
from promo_sandbox.conformance.verify.tally import MISSING, Tally
from promo_sandbox.openapi.document import Document
from promo_sandbox.reports.results import NOT_ASKED, Results

NEEDED = "schemathesis>=4.32,<5"  # as in the extra `verify`, which needs our package from an index
_READING = ("GET", "HEAD")
_MAX_SEED = 2**32
_ONCE_EACH = 3  # phases that test each operation separately


class Effort(NamedTuple):
    """What to send, and how much."""

    org: str
    headers: Mapping[str, str]
    examples: int  # for each operation and phase
    max_time: float  # seconds
    boundaries: bool
    rate_limit: str | None
    seed: int | None  # None: a new one


def require() -> None:
    """Raises `SandboxError` if Schemathesis is not installed."""
    try:
        found = importlib.util.find_spec("schemathesis")
    except ValueError:  # its import is blocked
        found = None
    if found is None:
        raise SandboxError(f"verify needs Schemathesis; install it with: pip install '{NEEDED}'")


def examine(
    target: Target,
    vendors: Sequence[str],
    *,
    settings: Sequence[str],
    operations: Sequence[str],
    allow_writes: bool,
    effort: Effort,
) -> Results:
    """Run the tests. Raises `SandboxError` if they cannot run."""
    documents = _documents(vendors, settings)
    options.validate(operations, [it.id for document in documents for it in document.operations], "operation")
    seed = secrets.randbelow(_MAX_SEED) if effort.seed is None else effort.seed
    skipped = {document.label: _skipped(document, operations, allow_writes=allow_writes) for document in documents}
    options.require_any(it for each in documents for it in each.operations if it.id not in skipped[each.label])
    target.probe()
    begun = time.perf_counter()
    plan = Plan(
        target.url,
        effort.org,
        effort.headers,
        effort.examples,
        PHASES if effort.boundaries else tuple(phase for phase in PHASES if phase != BOUNDARIES),
        effort.rate_limit,
        seed,
        begun + effort.max_time,
        target.timeout,
    )
    tallies = [(document, running.new_tally(document, plan, skipped[document.label])) for document in documents]
    ended = _run(tallies, plan)
    found = [result for _, tally in tallies for result in tally.results(ended)]
    title = f"{target.url} tested against the specs of {', '.join(vendors)}: org {effort.org}, seed {seed}"
    return Results(title, found, time.perf_counter() - begun, ended)


def _documents(vendors: Sequence[str], settings: Sequence[str]) -> list[Document]:
    """The specifications of the vendors, in the versions that the settings choose."""
    wanted = dict(setting.partition("=")[::2] for setting in settings)
    found, known = [], {}
    for path in sorted(path for vendor in vendors for path in (data_folder("specs") / vendor).glob("*.yaml")):
        versions = Document.load(path)
        name = f"{versions[0].vendor}.{versions[0].setting}"
        known[name] = [str(document.version) for document in versions]
        version = wanted.get(name, versions[0].version) if versions[0].setting else versions[0].version
        found += [document for document in versions if document.version == version]
    known = {name: versions for name, versions in known.items() if not name.endswith(".None")}
    options.validate(wanted, known, "setting that chooses a version,")
    for name, version in wanted.items():
        options.validate([version], known[name], f"version of {name}")
    return found


def _skipped(document: Document, operations: Sequence[str], *, allow_writes: bool) -> dict[str, str]:
    """The operations to skip, with the reasons."""
    found = {}
    for operation in document.operations:
        if operations and operation.id not in operations:
            found[operation.id] = NOT_ASKED
        elif operation.method not in _READING and not allow_writes:
            found[operation.id] = "it writes; allow it with --allow-writes"
    return found


def _run(tallies: list[tuple[Document, Tally]], plan: Plan) -> str:
    """Test all documents. Returns the reason if the run ended early."""
    tested = [(document, tally) for document, tally in tallies if tally.wanted]
    steps = [len(tally.wanted) * _ONCE_EACH + plan.examples for _, tally in tested]  # an estimate
    ended = ""
    with options.bar(sum(steps), "verify") as advance:
        for (document, tally), count in zip(tested, steps, strict=True):
            if ended:
                break
            with tempfile.TemporaryDirectory(prefix="promo-sandbox-") as folder:
                ended = running.run(document, plan, tally, Path(folder), partial(advance, 1))
            advance(count - tally.scenarios)
            if tally.only_status and not ended:
                raise _untested(document, plan, tally.only_status)
    return ended


def _untested(document: Document, plan: Plan, status: int) -> SandboxError:
    """The error for a document of which every request got the same status, so that nothing was tested."""
    doubt = (
        f"does the org {plan.org} have data?"
        if status == MISSING
        else f"does --header give credentials for the org {plan.org}?"
    )
    return SandboxError(
        f"{document.label} could not be tested: {plan.url}{document.base_path} replied to every request with {status}; "
        f"is that the URL, and {doubt}"
    )
