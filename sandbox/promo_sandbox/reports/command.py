"""The command `promo-sandbox coverage` and its options."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from promo_sandbox.base.atomic_files import write_file
from promo_sandbox.client.health import DEFAULT_URL, default_url

FORMATS = ("text", "json", "markdown", "junit", "html")


@click.command()
@click.option(
    "--url",
    default=default_url,
    show_default=DEFAULT_URL,
    envvar="SANDBOX_URL",
    metavar="URL",
    help="The server's URL.",
)
@click.option("--admin-token", envvar="SANDBOX_ADMIN_TOKEN", help="The server's admin token, if it has one.")
@click.option("--org", help="Report on this org only. Default: all orgs together, including deleted ones.")
@click.option("--vendor", help="Report on this vendor only.")
@click.option(
    "--fail-under",
    type=click.FloatRange(0, 100),
    metavar="PERCENT",
    help="Exit with 1 if less than this share of operations, statuses, rejections and callbacks is covered.",
)
@click.option(
    "--format", "form", default="text", show_default=True, type=click.Choice(FORMATS), help="Format of the report."
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the report to this file.")
@click.option(
    "--missing/--all",
    "missing",
    default=True,
    show_default=True,
    help="In text and Markdown: show only what is not covered, or everything with counts.",
)
def coverage(
    *,
    url: str,
    admin_token: str | None,
    org: str | None,
    vendor: str | None,
    fail_under: float | None,
    form: str,
    out: Path | None,
    missing: bool,
) -> None:
    """Report which parts of the contracts clients have used.

    The parts are operations, documented statuses, rejections and callbacks.
    """
    from promo_sandbox.reports import coverage_writer, fetch, figures  # noqa: PLC0415 - only this command needs them

    report = fetch.coverage(url, token=admin_token or None, org=org, vendor=vendor)
    written = coverage_writer.write(form, report, missing=missing)
    if out is None:
        click.echo(written if form == "text" else written.encode(), nl=False)
    else:
        write_file(out, written.encode())
        click.echo(f"{figures.summary(report['totals'])}; see {out}")
    if fail_under is not None and not figures.reaches(report["totals"], fail_under):
        click.echo(f"promo-sandbox: {figures.summary(report['totals'])}, and --fail-under is {fail_under:g}", err=True)
        sys.exit(1)
