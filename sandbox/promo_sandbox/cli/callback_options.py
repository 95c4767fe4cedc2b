"""The options of `serve` on callbacks, and the command `listen`, which receives them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import click

from promo_sandbox.base.errors import SandboxError

_YEAR = 31_536_000.0  # seconds


def _seconds(context: click.Context, parameter: click.Parameter, value: float) -> float:
    del context
    if not 0 < value <= _YEAR:  # NaN fails both
        raise click.BadParameter("it must be above 0 and at most one year.", param=parameter)
    return value


_OPTIONS = (
    click.option(
        "--callback-rewrite",
        "rewrites",
        multiple=True,
        envvar="SANDBOX_CALLBACK_REWRITE",
        metavar="FROM=TO",
        help="Send callbacks for URLs that begin with FROM to TO, such as https://shop.example/=http://127.0.0.1:9000/."
        " Repeatable; in SANDBOX_CALLBACK_REWRITE, separate rewrites with spaces.",
    ),
    click.option(
        "--callback-allow",
        "allow",
        multiple=True,
        envvar="SANDBOX_CALLBACK_ALLOW",
        metavar="HOST",
        help="Allow callbacks to this name, *.DOMAIN, address or network, in addition to loopback. A name or address "
        "may have a :PORT. Repeatable; in SANDBOX_CALLBACK_ALLOW, separate hosts with spaces.",
    ),
    click.option(
        "--callback-ca",
        "ca",
        envvar="SANDBOX_CALLBACK_CA",
        type=click.Path(path_type=Path),
        help="Trust the certificates of this PEM file in https callbacks, in addition to those of the system.",
    ),
    click.option(
        "--allow-http-callbacks",
        "allow_http",
        is_flag=True,
        envvar="SANDBOX_ALLOW_HTTP_CALLBACKS",
        help="Allow callbacks to loopback over plain http, even if the vendor requires https.",
    ),
    click.option(
        "--callback-timeout",
        "timeout",
        default=5.0,
        show_default=True,
        envvar="SANDBOX_CALLBACK_TIMEOUT",
        callback=_seconds,
        metavar="SECONDS",
        help="Wait at most this long for the answer to a callback.",
    ),
    click.option(
        "--callback-attempts",
        "attempts",
        default=0,
        show_default=True,
        envvar="SANDBOX_CALLBACK_ATTEMPTS",
        type=click.IntRange(0),
        help="Make at most this many attempts for each delivery. 0: try until the subscription is deleted.",
    ),
    click.option(
        "--callback-longest-retry",
        "longest_retry",
        default=3600.0,
        show_default=True,
        envvar="SANDBOX_CALLBACK_LONGEST_RETRY",
        callback=_seconds,
        metavar="SECONDS",
        help="Wait at most this long between attempts. The first pause is 1 s, and each later pause is twice as long. "
        "Pauses follow the org's clock.",
    ),
)


def callback_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add these options to a command, which gets them as one argument `callbacks`, a `CallbackConfig`."""

    @wraps(command)
    def collected(
        *,
        rewrites: Sequence[str],
        allow: Sequence[str],
        ca: Path | None,
        allow_http: bool,
        timeout: float,
        attempts: int,
        longest_retry: float,
        **others: Any,
    ) -> None:
        from promo_sandbox.base.callback_policy import Policy, parse_rewrite  # noqa: PLC0415 - `--help` should not wait for it
        from promo_sandbox.base.config import CallbackConfig, check_ca_file  # noqa: PLC0415 - `--help` should not wait for it

        try:
            parsed = [parse_rewrite(rewrite) for rewrite in rewrites]
        except ValueError as error:
            raise SandboxError(f"--callback-rewrite: {error}") from None
        try:
            policy = Policy(allow, parsed, allow_http=allow_http)
        except ValueError as error:
            raise SandboxError(f"--callback-allow: {error}") from None
        if ca is not None:
            check_ca_file(ca)
        command(callbacks=CallbackConfig(policy, ca, timeout, attempts, longest_retry), **others)

    for option in reversed(_OPTIONS):
        collected = option(collected)
    return collected


@click.command("listen")
@click.option("--host", default="127.0.0.1", show_default=True, help="Listen on this address.")
@click.option(
    "--port",
    default=9000,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Listen on this port; 0 picks a free one.",
)
@click.option(
    "--status",
    default=202,
    show_default=True,
    type=click.IntRange(200, 599),
    help="Answer callbacks with this status.",
)
@click.option("--times", type=click.IntRange(1), metavar="N", help="Use --status for the first N callbacks, then 202.")
@click.option(
    "--delay", type=click.FloatRange(0, 3600), default=0.0, metavar="SECONDS", help="Wait this long before each answer."
)
@click.option("--tls-cert", type=click.Path(path_type=Path), help="Listen for https with this PEM certificate.")
@click.option(
    "--tls-key", type=click.Path(path_type=Path), help="The certificate's key, unless it is in the same file."
)
@click.option("--json", "as_json", is_flag=True, help="Print each callback as one line of JSON.")
@click.option(
    "--color",
    default="auto",
    show_default=True,
    type=click.Choice(["auto", "always", "never"]),
    help="auto: use colours on a terminal, unless NO_COLOR is set.",
)
def listen_command(
    *,
    host: str,
    port: int,
    status: int,
    times: int | None,
    delay: float,
    tls_cert: Path | None,
    tls_key: Path | None,
    as_json: bool,
    color: str,
) -> None:
    """Receive callbacks and print them, until interrupted."""
    from promo_sandbox.webhooks import listener  # noqa: PLC0415 - only this command needs a web server

    if tls_key is not None and tls_cert is None:
        raise SandboxError("--tls-key needs --tls-cert")
    terminal = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    printer = listener.CallbackPrinter(as_json=as_json, coloured=color == "always" or (color == "auto" and terminal))
    certificate = listener.Certificate(tls_cert, tls_key) if tls_cert else None
    answers = listener.StatusSequence(status, times, delay)
    try:
        listener.listen(host, port, certificate, answers, printer, lambda line: click.echo(line, err=as_json))
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        silence()
        sys.exit(0)


def silence() -> None:
    """Discard further output: the reader has closed the pipe, and Python would report an error at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
