"""The command line. Every option of `serve` is also a `SANDBOX_…` variable.

An operator's mistake prints one line to standard error and exits with 2.
"""

from __future__ import annotations

import errno
import gc
import io
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from promo_sandbox import __version__
from promo_sandbox.base.atomic_files import WRITE_ERRORS, write_file
from promo_sandbox.base.errors import SandboxError
from promo_sandbox.base.memory import parse_size
from promo_sandbox.base.printable import escaped
from promo_sandbox.cli.access_options import Access, access_options
from promo_sandbox.cli.callback_options import callback_options, listen_command, silence
from promo_sandbox.client.health import DEFAULT_URL, default_url, health
from promo_sandbox.conformance.parity.command import parity
from promo_sandbox.conformance.verify.command import verify
from promo_sandbox.reports.command import coverage

if TYPE_CHECKING:
    from promo_sandbox.base.config import CallbackConfig


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}, invoke_without_command=True
)
@click.version_option(__version__, prog_name="promo-sandbox")
@click.pass_context
def cli(context: click.Context) -> None:
    """A mock server for the promotion, voucher and loyalty APIs of commerce vendors."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help(), err=True)
        sys.exit(2)


@cli.command(
    epilog="Each option is also an environment variable: --max-body is SANDBOX_MAX_BODY. If both are given, the option "
    "is used."
)
@click.option("--host", default="127.0.0.1", show_default=True, envvar="SANDBOX_HOST", help="Listen on this address.")
@click.option(
    "--port",
    default=8080,
    show_default=True,
    envvar="SANDBOX_PORT",
    type=click.IntRange(0, 65535),
    help="Listen on this port; 0 picks a free one.",
)
@click.option(
    "--seed",
    envvar="SANDBOX_SEED",
    type=click.Path(path_type=Path),
    help="Store the orgs of this YAML or JSON file at the start: {org: {vendor: {collection: [object]}}}.",
)
@click.option(
    "--setting",
    "settings",
    multiple=True,
    envvar="SANDBOX_SETTINGS",
    metavar="VENDOR.NAME=VALUE",
    help="Give every org this setting. Repeatable; in SANDBOX_SETTINGS, separate settings with spaces.",
)
@click.option(
    "--scenarios",
    envvar="SANDBOX_SCENARIOS",
    type=click.Path(path_type=Path),
    help="Add the scenarios of this folder. The server checks them before it starts.",
)
@click.option(
    "--max-body",
    default=1_048_576,
    show_default=True,
    envvar="SANDBOX_MAX_BODY",
    type=click.IntRange(1),
    help="Accept request bodies of at most this many bytes.",
)
@click.option(
    "--max-orgs",
    default=100_000,
    show_default=True,
    envvar="SANDBOX_MAX_ORGS",
    type=click.IntRange(1),
    help="Keep at most this many orgs.",
)
@click.option(
    "--max-memory",
    envvar="SANDBOX_MAX_MEMORY",
    metavar="SIZE",
    help="Use at most this much memory, such as 512MiB. Near the limit, writes are rejected with 507. "
    "Default: three quarters of the memory of the machine, or of its control group.",
)
@click.option(
    "--journal-entries",
    default=1000,
    show_default=True,
    envvar="SANDBOX_JOURNAL_ENTRIES",
    type=click.IntRange(1),
    help="Keep this many exchanges for each org.",
)
@access_options
@callback_options
@click.option(
    "--log-level",
    default="warning",
    show_default=True,
    envvar="SANDBOX_LOG_LEVEL",
    type=click.Choice(["critical", "error", "warning", "info", "debug"]),
    help="Log messages of at least this level.",
)
def serve(
    *,
    host: str,
    port: int,
    seed: Path | None,
    settings: Sequence[str],
    scenarios: Path | None,
    max_body: int,
    max_orgs: int,
    max_memory: str | None,
    journal_entries: int,
    access: Access,
    callbacks: CallbackConfig,
    log_level: str,
) -> None:
    """Start the server; it runs until SIGINT or SIGTERM."""
    gc.disable()  # until the start is complete: objects made before then stay for good
    from promo_sandbox.base import sockets  # noqa: PLC0415 - `--help` should not wait for the engine
    from promo_sandbox.base.config import Config, read_seeds  # noqa: PLC0415 - `--help` should not wait for the engine
    from promo_sandbox.server import server  # noqa: PLC0415 - `--help` should not wait for the engine
    from promo_sandbox.server.app import App  # noqa: PLC0415 - `--help` should not wait for the engine

    app = App(
        Config(
            **access._asdict(),
            seeds=read_seeds(seed) if seed else {},
            settings=_settings(settings),
            scenarios=scenarios,
            max_body=max_body,
            max_orgs=max_orgs,
            max_memory=parse_size(max_memory) if max_memory else None,
            journal_limit=journal_entries,
            callbacks=callbacks,
        )
    )
    listeners = sockets.listen_all(host, port)
    for warning in access.warnings(*listeners[0].getsockname()[:2]):
        click.echo(f"promo-sandbox: {warning}", err=True)
    url = sockets.base_url(host, listeners)
    server.serve(app, listeners, log_level=log_level, started=lambda: click.echo(_table(_bases(app, url))))


@cli.command()
def check() -> None:
    """Check the bundled specs, rules and scenarios.

    Each spec must be valid OpenAPI 3.1 with supported keywords and valid examples. Each operation needs a rule. Rules
    may use only rejections that the spec names. Exits with 1 if there is a mistake.
    """
    from promo_sandbox.base.config import Config, data_folder  # noqa: PLC0415 - `--help` should not wait for the engine
    from promo_sandbox.cli.check import check_all, check_scenarios  # noqa: PLC0415 - `--help` should not wait for the engine
    from promo_sandbox.server.app import App  # noqa: PLC0415 - only this command needs it

    failed = False
    specs = list(check_all(data_folder("specs")))
    for name, summary, mistakes in chain(specs, check_scenarios(App(Config(specs=data_folder("specs"))).catalogue)):
        click.echo(escaped(f"{'FAILED' if mistakes else 'ok':6}  {name:28}  {summary}"))
        for mistake in mistakes:
            click.echo(escaped(f"        {mistake}"), err=True)
        failed = failed or bool(mistakes)
    if failed:
        sys.exit(1)


@cli.command()
@click.option("--vendor", help="List the operations of this vendor only.")
def routes(vendor: str | None) -> None:
    """List all operations with their paths and rejections.

    Prints a table: vendor, method, path, operationId and the names of the rejections.
    """
    from promo_sandbox.base.config import data_folder  # noqa: PLC0415 - `--help` should not wait for the engine
    from promo_sandbox.server.app import load_contracts  # noqa: PLC0415 - `--help` should not wait for the engine

    contracts = load_contracts(data_folder("specs"))
    vendors = [contract.vendor for contract in contracts]
    if vendor is not None and vendor not in vendors:
        raise SandboxError(f"there is no vendor {vendor}; the vendors are {', '.join(vendors)}")
    rows = [("vendor", "method", "path", "operationId", "rejections")]
    rows += [
        (
            contract.vendor,
            route.operation.method,
            route.operation.template,
            route.operation.id,
            " ".join(route.operation.rejections),
        )
        for contract in contracts
        if vendor in (None, contract.vendor)
        for route in contract.routes()
    ]
    click.echo(_table(rows))


def _server(command: Callable[..., None]) -> Callable[..., None]:
    """The options of a command that calls a running server."""
    token = click.option("--admin-token", envvar="SANDBOX_ADMIN_TOKEN", help="The server's admin token, if it has one.")
    url = click.option(
        "--url",
        default=default_url,
        show_default=DEFAULT_URL,
        envvar="SANDBOX_URL",
        metavar="URL",
        help="The server's URL.",
    )
    return url(token(command))


@cli.command()
@_server
@click.option("--org", help="Show requests to this org only. It need not exist yet.")
@click.option("--unmatched", is_flag=True, help="Show only requests that matched no operation.")
@click.option("--rejected", is_flag=True, help="Show only requests that were rejected.")
@click.option("--json", "as_json", is_flag=True, help="Print each exchange as one line of JSON.")
@click.option(
    "--color",
    default="auto",
    show_default=True,
    type=click.Choice(["auto", "always", "never"]),
    help="auto: use colours on a terminal, unless NO_COLOR is set.",
)
def tail(
    *, url: str, admin_token: str | None, org: str | None, unmatched: bool, rejected: bool, as_json: bool, color: str
) -> None:
    """Print each new request to a running server.

    Runs until you interrupt it, for example with Ctrl+C. If several filters are given, it shows the requests that match
    all of them.
    """
    from promo_sandbox.cli import tail as tailing  # noqa: PLC0415 - only this command needs an HTTP client
    from promo_sandbox.client.http import HttpTransport  # noqa: PLC0415 - only this command needs an HTTP client

    terminal = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    printer = tailing.Printer(as_json=as_json, coloured=color == "always" or (color == "auto" and terminal))
    try:
        filters = tailing.Filters(org, unmatched=unmatched, rejected=rejected)
        tailing.follow(HttpTransport(url, admin_token), filters, printer.write, printer.warn)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        silence()
        sys.exit(0)


@cli.command("export")
@_server
@click.argument("org")
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="Write to this file instead of standard output."
)
def export_org(*, url: str, admin_token: str | None, org: str, out: Path | None) -> None:
    """Write one org of a running server as a JSON document."""
    from promo_sandbox.client.http import HttpTransport, path_segment  # noqa: PLC0415 - as above

    document = HttpTransport(url, admin_token).request("GET", f"/orgs/{path_segment(org)}/export")
    if out is None:
        click.echo(escaped(document.decode("utf-8", "replace"), keep="\n"))
        return
    write_file(out, document + b"\n")


@cli.command("import")
@_server
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--org", help="Import under this name instead of the exported one.")
def import_org(*, url: str, admin_token: str | None, file: Path, org: str | None) -> None:
    """Import an exported org into a running server.

    It replaces the org of the same name.
    """
    from promo_sandbox.client.http import HttpTransport, path_segment, read_export  # noqa: PLC0415 - as above

    document, name = read_export(file)
    org = org or name
    if not org:
        raise SandboxError(f"{file} does not name its org; name it with --org")
    HttpTransport(url, admin_token).request("POST", f"/orgs/{path_segment(org)}/import", document)
    click.echo(f"imported {escaped(org)}")


cli.add_command(coverage)
cli.add_command(listen_command)
cli.add_command(verify)
cli.add_command(parity)
cli.add_command(health)


def _settings(given: Sequence[str]) -> tuple[tuple[str, str], ...]:
    for setting in given:
        if "=" not in setting:
            raise SandboxError(f"--setting {setting!r} is not VENDOR.NAME=VALUE")
    return tuple((setting.partition("=")[0], setting.partition("=")[2]) for setting in given)


def _bases(app: object, url: str) -> list[tuple[str, ...]]:
    from promo_sandbox.server.app import App  # noqa: PLC0415 - it is loaded by now

    assert isinstance(app, App)  # for the type checker
    documents = [
        document for contract in app.contracts for document in contract.documents if document.version_of is None
    ]
    return [
        ("vendor", "base URL for the client", "operations"),
        *((document.vendor, f"{url}{document.base_path}", str(len(document.operations))) for document in documents),
        ("admin", f"{url}/__admin", str(len(app.admin.document.operations))),
    ]


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def main() -> None:
    """The entry point. An operator's mistake prints one line and exits with 2."""
    if os.getpid() == 1:  # as the first process of a container, only signals with a handler arrive
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # so that any text can be written, in any locale
    try:
        cli(prog_name="promo-sandbox", standalone_mode=False)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.Abort:
        sys.exit(130)
    except (click.ClickException, SandboxError) as error:
        message = error.format_message() if isinstance(error, click.ClickException) else str(error)
        _fail(message)
    except OSError as error:  # errors of files and servers are handled where they occur
        if error.filename is not None or error.errno not in (*WRITE_ERRORS, errno.EBADF):
            raise
        silence()
        _fail(f"cannot write to standard output: {error.strerror}")


def _fail(message: str) -> NoReturn:
    with suppress(OSError):  # standard error is full, too
        click.echo(f"promo-sandbox: {escaped(' '.join(message.split()))}", err=True)
    sys.exit(2)
