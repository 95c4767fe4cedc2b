"""`promo-sandbox parity`: its options, and one case after the other. What does the work is imported when it runs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from promo_sandbox.base.atomic_files import prepare
from promo_sandbox.base.config import files
from promo_sandbox.base.errors import SandboxError
from promo_sandbox.base.masking import Masks
from promo_sandbox.conformance import options
from promo_sandbox.reports.results import SKIPPED, Result, Results

if TYPE_CHECKING:
    from promo_sandbox.conformance.parity.cases import Case
    from promo_sandbox.conformance.parity.replay import Asked, Played
    from promo_sandbox.conformance.target import Target

_REFUSED = frozenset((401, 403))
_FEW = 3  # refusals that say nothing of the credentials that were given
_PATIENCE = 3  # cases in a row that nobody answers


@click.command()
@options.options
@click.option(
    "--variable",
    "variables",
    multiple=True,
    metavar="NAME=VALUE",
    help="What the cases call ${NAME}, such as a client's id.",
)
@click.option(
    "--cases", type=click.Path(path_type=Path, file_okay=False), help="A folder of cases in place of the bundled ones."
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
    """Ask the server at URL what the vendors' pages say, case by case.

    Exits with 1 if an answer differs, and with 2 if that could not be found out.
    """
    from promo_sandbox.conformance.parity.replay import Asked  # noqa: PLC0415 - as below
    from promo_sandbox.conformance.target import Target  # noqa: PLC0415 - no other command waits for an HTTP client

    provider = Target(url, timeout)
    wanted = options.chosen(vendors)
    found, masks = _load(cases or files("parity"), wanted, operations)
    options.require_any(case for case in found if allow_writes or not case.writes)
    values = _variables(variables, found)
    sent = options.fields(headers)
    if out is not None:
        prepare(out)
    provider.probe()
    begun = time.perf_counter()
    asked = Asked(provider, options.named(org), sent, values, masks)
    results, tried, ended = _play(found, asked, allow_writes=allow_writes)
    hint = "" if ended else _validate_access(tried, provider, org, sent)
    title = f"{provider.url} asked what the pages of {', '.join(wanted)} say: org {org}"
    options.conclude(Results(title, results, time.perf_counter() - begun, ended), form, out, hint)


def _load(folder: Path, vendors: Sequence[str], operations: Sequence[str]) -> tuple[list[Case], Masks]:
    """The cases that are wanted, and what must not be shown of them."""
    from promo_sandbox.conformance.parity import cases  # noqa: PLC0415 - `--help` should not wait for the engine

    specs = {vendor: cases.specs(files("specs") / vendor) for vendor in options.chosen(())}
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
    asked: Asked,
    *,
    allow_writes: bool,
) -> tuple[list[Result], list[Played], str]:
    """A result on each case, what was played, and why that ended early if it did."""
    from promo_sandbox.conformance.parity.replay import play  # noqa: PLC0415 - as above

    results: list[Result] = []
    tried: list[Played] = []
    silent = 0
    ended = ""
    try:
        with options.terminable(), options.bar(len(cases), "parity") as go_on:
            for case in cases:
                go_on(1)
                if case.writes and not allow_writes:
                    results.append(_skipped(case, "it writes; --allow-writes would try it"))
                    continue
                played = play(case, asked)
                results.append(played.result)
                tried.append(played)
                silent = 0 if played.statuses else silent + 1
                if silent == _PATIENCE:
                    ended = "the server no longer answers"
                    break
    except KeyboardInterrupt:
        ended = options.INTERRUPTED
    results += [_skipped(case, f"not tried: {ended}") for case in cases[len(results) :]]
    return results, tried, ended


def _skipped(case: Case, note: str) -> Result:
    return Result(case.vendor, case.name, case.operation, SKIPPED, note)


def _refused(played: Played) -> bool:
    return not _REFUSED.isdisjoint(played.entrance)


def _validate_access(tried: Sequence[Played], provider: Target, org: str, headers: Mapping[str, str]) -> str:
    """A hint if cases were refused for want of credentials.

    Raises `SandboxError` for a vendor who refused all that depends on them: that says nothing of its rules.
    """
    enough = _FEW if any(name.lower() == "authorization" for name in headers) else 1
    give = f"give credentials for the org {org} with --header 'Authorization: Bearer …'"
    entrances: dict[str, list[int]] = {}
    for played in tried:
        entrances.setdefault(played.result.group, []).extend(played.entrance)
    for vendor, statuses in entrances.items():
        if len(statuses) >= enough and _REFUSED.issuperset(statuses):
            raise SandboxError(
                f"{vendor} could not be tested: {provider.url} refused every request that needs credentials; {give}"
            )
    count = sum(map(_refused, tried))
    cases = "1 case was" if count == 1 else f"{count} cases were"
    return f"{cases} refused with 401 or 403; {give}" if count >= enough else ""
