"""What `verify` and `parity` have in common on the command line: options, the bar, the report, the exit code."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from promo_sandbox.base.atomic_files import save
from promo_sandbox.base.config import files
from promo_sandbox.base.document_errors import quoted, unknown
from promo_sandbox.base.errors import SandboxError
from promo_sandbox.base.printable import escaped
from promo_sandbox.reports import results_writer
from promo_sandbox.reports.results import Results

_OWN = "sandbox"  # the folder of the admin API's spec among those of the vendors
_TOKEN = set("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")  # RFC 9110
_EXIT_INTERRUPTED = 130
INTERRUPTED, TIME_IS_UP = "interrupted", "the time was up"  # why a run ended early
Command = Callable[..., None]


def options(command: Command) -> Command:
    """The argument and the options that both commands have."""
    for option in reversed(
        [
            click.argument("url"),
            click.option("--vendor", "vendors", multiple=True, help="Only this vendor's contract; may be repeated."),
            click.option("--org", default="acme", show_default=True, help="The org that everything is asked of."),
            click.option(
                "--header",
                "headers",
                multiple=True,
                metavar="'NAME: VALUE'",
                help="Sent with every request, such as credentials; may be repeated.",
            ),
            click.option("--allow-writes", is_flag=True, help="Send more than GET: it creates, changes and deletes."),
            click.option("--operation", "operations", multiple=True, help="Only this operationId; may be repeated."),
            click.option(
                "--report", "form", default="text", show_default=True, type=click.Choice(results_writer.FORMS)
            ),
            click.option(
                "--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the report to this file."
            ),
            click.option(
                "--timeout",
                default=10.0,
                show_default=True,
                type=click.FloatRange(0, min_open=True),
                help="Seconds to wait for a reply.",
            ),
        ]
    ):
        command = option(command)
    return command


def chosen(asked: Sequence[str]) -> list[str]:
    """The vendors asked for, or all there are. Raises `SandboxError` for one that there is not."""
    known = sorted(path.name for path in files("specs").iterdir() if path.is_dir() and path.name != _OWN)
    validate(asked, known, "vendor")
    return [name for name in known if name in asked or not asked]


def validate(asked: Iterable[str], known: Iterable[str], kind: str) -> None:
    """Raises `SandboxError` for a name that is not known."""
    names = list(known)
    for name in asked:
        if name not in names:
            raise SandboxError(f"there is no {kind} {quoted(name)}{unknown(name, names)}")


def fields(given: Sequence[str]) -> dict[str, str]:
    """The headers that were given."""
    found = {}
    for header in given:
        name, colon, value = header.partition(":")
        if not colon or not name or not set(name) <= _TOKEN or not _plain(value.strip()):
            raise SandboxError(f"--header {quoted(name)!r} is not 'NAME: VALUE'")
        found[name] = value.strip()
    return found


def named(org: str) -> str:
    """The org's name, which must be fit for a header."""
    if not org.strip() or not _plain(org):
        raise SandboxError(f"--org {quoted(org)!r} is no name of an org: it takes printable ASCII")
    return org


def _plain(text: str) -> bool:
    return text.isascii() and text.isprintable()


def rate(given: str | None) -> str | None:
    """A limit on requests as Schemathesis takes it."""
    if given is not None and not re.fullmatch(r"[1-9][0-9]{0,5}/[smhd]", given):
        raise SandboxError(f"--rate-limit {quoted(given)!r} is not N/s, N/m, N/h or N/d")
    return given


def require_any(asked: Iterable[object]) -> None:
    """Raises `SandboxError` if nothing is left to be asked without `--allow-writes`: that would pass for a success."""
    if not list(asked):
        raise SandboxError("nothing was asked, since all that is wanted writes; --allow-writes would ask it")


@contextmanager
def bar(length: int, label: str) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal; it is told by how much to go on."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    with click.progressbar(length=max(length, 1), label=label, file=sys.stderr) as shown:
        yield shown.update


@contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM, as CI services cancel a job, is an interrupt."""

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
    """Write the report, and the hint on standard error.

    Ends with 1 if anything failed, with 130 or 2 if that was not found out or nothing was.
    """
    written = results_writer.write(form, report)
    if out is None:
        click.echo(written if form == "text" else written.encode(), nl=False)
    else:
        save(out, written.encode())
        click.echo(escaped(f"{report.summary()}; see {out}"))
    if hint:
        click.echo(f"promo-sandbox: {escaped(hint)}", err=True)
    if report.failed:
        sys.exit(1)
    if report.ended == INTERRUPTED:
        sys.exit(_EXIT_INTERRUPTED)
    if not report.tried:
        reason = escaped(f"{report.ended and ': '}{report.ended}")
        click.echo(f"promo-sandbox: nothing was found out{reason}", err=True)
    if report.ended not in ("", TIME_IS_UP) or not report.tried:
        sys.exit(2)
