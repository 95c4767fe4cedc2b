"""What the commands `verify` and `parity` share: options, progress bar, report, exit code."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from promo_sandbox.base.atomic_files import write_file
from promo_sandbox.base.config import data_folder
from promo_sandbox.base.document_errors import shortened, suggestion
from promo_sandbox.base.errors import SandboxError
from promo_sandbox.base.printable import escaped
from promo_sandbox.reports import results_writer
from promo_sandbox.reports.results import Results

_OWN = "sandbox"  # the folder of the admin API's spec, which is no vendor
_TOKEN = set("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")  # RFC 9110
_EXIT_INTERRUPTED = 130
INTERRUPTED, TIME_IS_UP = "interrupted", "the time was up"  # why a run ended early
Command = Callable[..., None]


def options(command: Command) -> Command:
    """Add the argument and the options of both commands."""
    for option in reversed(
        [
            click.argument("url"),
            click.option("--vendor", "vendors", multiple=True, help="Test this vendor only. Repeatable."),
            click.option("--org", default="acme", show_default=True, help="Send every request to this org."),
            click.option(
                "--header",
                "headers",
                multiple=True,
                metavar="'NAME: VALUE'",
                help="Send this header, such as credentials, with every request. Repeatable.",
            ),
            click.option(
                "--allow-writes", is_flag=True, help="Also send methods other than GET. They change or delete data."
            ),
            click.option("--operation", "operations", multiple=True, help="Test this operationId only. Repeatable."),
            click.option(
                "--report",
                "form",
                default="text",
                show_default=True,
                type=click.Choice(results_writer.FORMS),
                help="Format of the report.",
            ),
            click.option(
                "--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the report to this file."
            ),
            click.option(
                "--timeout",
                default=10.0,
                show_default=True,
                type=click.FloatRange(0, min_open=True),
                help="Wait at most this many seconds for a reply.",
            ),
        ]
    ):
        command = option(command)
    return command


def vendors_of(names: Sequence[str]) -> list[str]:
    """These vendors, or all if none is named. Raises `SandboxError` for an unknown one."""
    known = sorted(path.name for path in data_folder("specs").iterdir() if path.is_dir() and path.name != _OWN)
    validate(names, known, "vendor")
    return [name for name in known if name in names or not names]


def validate(names: Iterable[str], known: Iterable[str], kind: str) -> None:
    """Raises `SandboxError` for a name that is not known."""
    all_known = list(known)
    for name in names:
        if name not in all_known:
            raise SandboxError(f"there is no {kind} {shortened(name)}{suggestion(name, all_known)}")


def headers_of(given: Sequence[str]) -> dict[str, str]:
    """The headers of `--header` by their names."""
    found = {}
    for header in given:
        name, colon, value = header.partition(":")
        if not colon or not name or not set(name) <= _TOKEN or not _plain(value.strip()):
            raise SandboxError(f"--header {shortened(name)!r} is not 'NAME: VALUE'")
        found[name] = value.strip()
    return found


def org_of(org: str) -> str:
    """The name of `--org`, which must be valid in a header."""
    if not org.strip() or not _plain(org):
        raise SandboxError(f"--org {shortened(org)!r} is not a valid org name; use printable ASCII characters")
    return org


def _plain(text: str) -> bool:
    return text.isascii() and text.isprintable()


def rate(given: str | None) -> str | None:
    """The value of `--rate-limit`, in the form that Schemathesis expects."""
    if given is not None and not re.fullmatch(r"[1-9][0-9]{0,5}/[smhd]", given):
        raise SandboxError(f"--rate-limit {shortened(given)!r} is not N/s, N/m, N/h or N/d")
    return given


def require_any(tests: Iterable[object]) -> None:
    """Raises `SandboxError` if nothing is left to test: the exit code 0 would look like a success."""
    if not list(tests):
        raise SandboxError("nothing to test: everything selected writes; allow it with --allow-writes")


@contextmanager
def bar(length: int, label: str) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal. The returned function advances it."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    with click.progressbar(length=max(length, 1), label=label, file=sys.stderr) as shown:
        yield shown.update


@contextmanager
def terminable() -> Iterator[None]:
    """Treat SIGTERM as an interrupt: CI services cancel jobs with it."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # in a thread that is not the main one
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def conclude(report: Results, form: str, out: Path | None, hint: str = "") -> None:
    """Write the report, and the hint to standard error.

    Exits with 1 if a test failed, with 130 after an interrupt, and with 2 if the run ended early or tested nothing.
    """
    written = results_writer.write(form, report)
    if out is None:
        click.echo(written if form == "text" else written.encode(), nl=False)
    else:
        write_file(out, written.encode())
        click.echo(escaped(f"{report.summary()}; see {out}"))
    if hint:
        click.echo(f"promo-sandbox: {escaped(hint)}", err=True)
    if report.failed:
        sys.exit(1)
    if report.ended == INTERRUPTED:
        sys.exit(_EXIT_INTERRUPTED)
    if not report.tried:
        reason = escaped(f"{report.ended and ': '}{report.ended}")
        click.echo(f"promo-sandbox: nothing was tested{reason}", err=True)
    if report.ended not in ("", TIME_IS_UP) or not report.tried:
        sys.exit(2)
