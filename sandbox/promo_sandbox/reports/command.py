"""`promo-sandbox coverage`: its options. What does the work is imported when it runs."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from promo_sandbox.base.atomic_files import save
from promo_sandbox.client.health import URL, here

FORMATS = ("text", "json", "markdown", "junit", "html")


@click.command()
@click.option("--url", default=here, show_default=URL, envvar="SANDBOX_URL", help="The server to ask.")
@click.option("--admin-token", envvar="SANDBOX_ADMIN_TOKEN", help="What the server's --admin-token is, if it has one.")
@click.option("--org", help="Only what this org has met; otherwise all orgs together, those that are gone too.")
@click.option("--vendor", help="Only this vendor's contract.")
@click.option(
    "--fail-under",
    type=click.FloatRange(0, 100),
    metavar="PERCENT",
    help="Exit with 1 if less of operations, statuses, rejections and callbacks together was met.",
)
@click.option("--format", "form", default="text", show_default=True, type=click.Choice(FORMATS))
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write it to this file.")
@click.option(
    "--missing/--all",
    "missing",
    default=True,
    show_default=True,
    help="In text and markdown: what was never met, or everything with how often.",
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
    """Tell what of the contracts clients have met: operations, statuses, rejections, callbacks."""
    from promo_sandbox.reports import fetch, figures, writers  # noqa: PLC0415 - only this command needs them

    report = fetch.coverage(url, token=admin_token or None, org=org, vendor=vendor)
    written = writers.write(form, report, missing=missing)
    if out is None:
        click.echo(written if form == "text" else written.encode(), nl=False)
    else:
        save(out, written.encode())
        click.echo(f"{figures.summary(report['totals'])}; see {out}")
    if fail_under is not None and not figures.reaches(report["totals"], fail_under):
        click.echo(f"promo-sandbox: {figures.summary(report['totals'])}, and --fail-under is {fail_under:g}", err=True)
        sys.exit(1)
