"""The command `promo-sandbox parity`: its options, and the run over all cases."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from promo_sandbox.base.atomic_files import check_writable
from promo_sandbox.base.config import data_folder
from promo_sandbox.base.errors import SandboxError
from promo_sandbox.base.masking import Masks
from promo_sandbox.conformance import options
from promo_sandbox.reports.results import SKIPPED, Result, Results

if TYPE_CHECKING:
    from promo_sandbox.conformance.parity.cases import Case
    from promo_sandbox.conformance.parity.replay import Played, Run
    from promo_sandbox.conformance.target import Target

_REJECTED = frozenset((401, 403))
_FEW = 3  # this many errors may have another cause than wrong credentials
_PATIENCE = 3  # successive cases without a reply, after which the run ends


@click.command()
@options.options
@click.option(
    "--variable",
    "variables",
    multiple=True,
    metavar="NAME=VALUE",
    help="The value of ${NAME} in the cases, such as a client's id.",
)
@click.option(
    "--cases",
    type=click.Path(path_type=Path, file_okay=False),
    help="Use the cases of this folder instead of the bundled ones.",
)
def parity(
    *,
    url: str,
    vendors: Sequence[str],
    org: str,
    headers: Sequence[str],
    allow_writes: bool,
    operations: Sequence[str],
    form: str,
    out: Path | None,
    timeout: float,
    variables: Sequence[str],
    cases: Path | None,
) -> None:
    """Compare a server with cases from the vendors' pages.

    Compares each reply of the server at URL. Exits with 1 if one differs, and with 2 if no test was possible.
    """
    from promo_sandbox.conformance.parity.replay import Run  # noqa: PLC0415 - as below
    from promo_sandbox.conformance.target import Target  # noqa: PLC0415 - other commands need no HTTP client

    target = Target(url, timeout)
    wanted = options.vendors_of(vendors)
    found, masks = _load(cases or data_folder("parity"), wanted, operations)
    options.require_any(case for case in found if allow_writes or not case.writes)
    values = _variables(variables, found)
    sent = options.headers_of(headers)
    if out is not None:
        check_writable(out)
    target.probe()
    begun = time.perf_counter()
    run = Run(target, options.org_of(org), sent, values, masks)
    results, tested, ended = _play(found, run, allow_writes=allow_writes)
    hint = "" if ended else _validate_access(tested, target, org, sent)
    title = f"{target.url} compared with the documentation of {', '.join(wanted)}: org {org}"
    options.conclude(Results(title, results, time.perf_counter() - begun, ended), form, out, hint)


def _load(folder: Path, vendors: Sequence[str], operations: Sequence[str]) -> tuple[list[Case], Masks]:
    """The selected cases, and the masks of their secrets."""
    from promo_sandbox.conformance.parity import cases  # noqa: PLC0415 - `--help` should not wait for the engine

    specs = {vendor: cases.specs(data_folder("specs") / vendor) for vendor in options.vendors_of(())}
    known = {vendor: cases.operations(written) for vendor, written in specs.items()}
    options.validate(operations, [id for ids in known.values() for id in ids], "operation")
    found = [case for case in cases.load(folder, known) if case.vendor in vendors]
    found = [case for case in found if not operations or case.operation in operations]
    if not found:
        about = f" about {', '.join(operations)}" if operations else ""
        raise SandboxError(f"there are no cases of {', '.join(vendors)}{about}")
    return found, Masks(spec for written in specs.values() for spec in written)


def _variables(given: Sequence[str], cases: Sequence[Case]) -> dict[str, str]:
    values = dict(text.partition("=")[::2] for text in given)
    options.validate(values, {name for case in cases for name in case.variables}, "variable of a case")
    return values


def _play(
    cases: Sequence[Case],
    run: Run,
    *,
    allow_writes: bool,
) -> tuple[list[Result], list[Played], str]:
    """The result of each case, the cases that ran, and the reason if the run ended early."""
    from promo_sandbox.conformance.parity.replay import play  # noqa: PLC0415 - as above

    results: list[Result] = []
    tested: list[Played] = []
    silent = 0
    ended = ""
    try:
        with options.terminable(), options.bar(len(cases), "parity") as advance:
            for case in cases:
                advance(1)
                if case.writes and not allow_writes:
                    results.append(_skipped(case, "it writes; allow it with --allow-writes"))
                    continue
                played = play(case, run)
                results.append(played.result)
                tested.append(played)
                silent = 0 if played.statuses else silent + 1
                if silent == _PATIENCE:
                    ended = "the server stopped replying"
                    break
    except KeyboardInterrupt:
        ended = options.INTERRUPTED
    results += [_skipped(case, f"not tested: {ended}") for case in cases[len(results) :]]
    return results, tested, ended


def _skipped(case: Case, note: str) -> Result:
    return Result(case.vendor, case.name, case.operation, SKIPPED, note)


def _is_rejected(played: Played) -> bool:
    return not _REJECTED.isdisjoint(played.credential_statuses)


def _validate_access(tested: Sequence[Played], target: Target, org: str, headers: Mapping[str, str]) -> str:
    """A hint if cases were rejected for missing credentials.

    Raises `SandboxError` if a vendor rejected every such case, because then nothing about its rules was tested.
    """
    enough = _FEW if any(name.lower() == "authorization" for name in headers) else 1
    give = f"give credentials for the org {org} with --header 'Authorization: Bearer …'"
    by_vendor: dict[str, list[int]] = {}
    for played in tested:
        by_vendor.setdefault(played.result.group, []).extend(played.credential_statuses)
    for vendor, statuses in by_vendor.items():
        if len(statuses) >= enough and _REJECTED.issuperset(statuses):
            raise SandboxError(
                f"{vendor} could not be tested: {target.url} rejected every request that needs credentials; {give}"
            )
    count = sum(map(_is_rejected, tested))
    cases = "1 case was" if count == 1 else f"{count} cases were"
    return f"{cases} rejected with 401 or 403; {give}" if count >= enough else ""
