"""`promo-sandbox verify`: its options. What does the work is imported when it runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from promo_sandbox.base.atomic_files import prepare
from promo_sandbox.conformance import options


@click.command()
@options.options
@click.option("--setting", "settings", multiple=True, metavar="VENDOR.NAME=VALUE", help="Which version, as in serve.")
@click.option(
    "--examples", default=25, show_default=True, type=click.IntRange(1), help="Requests for each operation and phase."
)
@click.option(
    "--max-time", default=900.0, show_default=True, type=click.FloatRange(1), help="Seconds for everything together."
)
@click.option(
    "--boundaries/--no-boundaries",
    default=True,
    show_default=True,
    help="Also each limit of each schema, and what lies beyond it: some 40 requests for each operation.",
)
@click.option("--rate-limit", metavar="N/UNIT", help="Requests at most, such as 10/s or 100/m.")
@click.option("--seed", type=click.IntRange(0), help="Repeats a run; the report of each says its own.")
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
    """Hold the server at URL to our specs: generated requests, every reply judged.

    Exits with 1 if the server breaks the contract, and with 2 if that could not be found out.
    """
    from promo_sandbox.conformance.target import Target  # noqa: PLC0415 - no other command waits for an HTTP client
    from promo_sandbox.conformance.verify import examination  # noqa: PLC0415 - `--help` should not wait for the engine

    examination.require()
    headers_sent = options.fields(headers)
    if out is not None:
        prepare(out)
    report = examination.examine(
        Target(url, timeout),
        options.chosen(vendors),
        settings=settings,
        operations=operations,
        allow_writes=allow_writes,
        effort=examination.Effort(
            options.named(org), headers_sent, examples, max_time, boundaries, options.rate(rate_limit), seed
        ),
    )
    options.conclude(report, form, out)
