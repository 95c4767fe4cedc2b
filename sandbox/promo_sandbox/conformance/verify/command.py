"""The command `promo-sandbox verify` and its options."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from promo_sandbox.base.atomic_files import check_writable
from promo_sandbox.conformance import options


@click.command()
@options.options
@click.option(
    "--setting",
    "settings",
    multiple=True,
    metavar="VENDOR.NAME=VALUE",
    help="Choose a version of a contract, as in serve.",
)
@click.option(
    "--examples",
    default=25,
    show_default=True,
    type=click.IntRange(1),
    help="Send this many requests for each operation and phase.",
)
@click.option(
    "--max-time",
    default=900.0,
    show_default=True,
    type=click.FloatRange(1),
    help="End the run after this many seconds.",
)
@click.option(
    "--boundaries/--no-boundaries",
    default=True,
    show_default=True,
    help="Also test each limit of each schema from both sides: about 40 more requests for each operation.",
)
@click.option("--rate-limit", metavar="N/UNIT", help="Send at most this many requests, such as 10/s or 100/m.")
@click.option("--seed", type=click.IntRange(0), help="Repeat the run with this seed. Each report states its seed.")
def verify(
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
    settings: Sequence[str],
    examples: int,
    max_time: float,
    boundaries: bool,
    rate_limit: str | None,
    seed: int | None,
) -> None:
    """Test a server with requests generated from the specs.

    Validates each reply of the server at URL. Exits with 1 if one breaks the contract, with 2 if no test was possible.
    """
    from promo_sandbox.conformance.target import Target  # noqa: PLC0415 - other commands need no HTTP client
    from promo_sandbox.conformance.verify import examination  # noqa: PLC0415 - `--help` should not wait for the engine

    examination.require()
    headers_sent = options.headers_of(headers)
    if out is not None:
        check_writable(out)
    report = examination.examine(
        Target(url, timeout),
        options.vendors_of(vendors),
        settings=settings,
        operations=operations,
        allow_writes=allow_writes,
        effort=examination.Effort(
            options.org_of(org), headers_sent, examples, max_time, boundaries, options.rate(rate_limit), seed
        ),
    )
    options.conclude(report, form, out)
