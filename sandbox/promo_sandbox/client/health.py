"""`promo-sandbox health`, for health checks of containers; and the default URL of all commands that need a server."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from http import HTTPStatus
from typing import TYPE_CHECKING

import click

from promo_sandbox.base.errors import SandboxError
from promo_sandbox.base.printable import escaped

if TYPE_CHECKING:
    from promo_sandbox.client.http import HttpTransport

_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - these are compared, nothing listens on them
_MAX_PORT = 65535
_PAUSE = 0.1  # seconds
DEFAULT_URL = "http://127.0.0.1:SANDBOX_PORT"  # `default_url` as the help shows it


def default_url() -> str:
    """The URL of the server at SANDBOX_HOST and SANDBOX_PORT. Raises `SandboxError` if they make no URL."""
    host = os.environ.get("SANDBOX_HOST") or "127.0.0.1"
    host = _LOOPBACK.get(host, host)
    port = os.environ.get("SANDBOX_PORT") or "8080"
    if not re.fullmatch("[1-9][0-9]{0,4}", port) or int(port) > _MAX_PORT:
        raise SandboxError(f"SANDBOX_PORT is {port[:20]}, which is not a port number; use --url")
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@click.command()
@click.option(
    "--url",
    default=default_url,
    show_default=DEFAULT_URL,
    envvar="SANDBOX_URL",
    metavar="URL",
    help="The server's URL.",
)
@click.option(
    "--timeout",
    default=2.0,
    show_default=True,
    type=click.FloatRange(0.01, 60),
    metavar="SECONDS",
    help="Wait at most this long for a reply.",
)
@click.option(
    "--wait",
    default=0.0,
    show_default=True,
    type=click.FloatRange(0, 3600),
    metavar="SECONDS",
    help="If the server does not answer, try again for this long.",
)
def health(*, url: str, timeout: float, wait: float) -> None:
    """Check whether a server answers.

    Exits with 0 if it answers, and with 1 if it does not. Needs no admin token.
    """
    from promo_sandbox.client.http import HttpTransport  # noqa: PLC0415 - so that `--help` is quick

    server = HttpTransport(url, timeout=timeout)
    end = time.perf_counter() + wait
    while problem := _problem(server):
        if time.perf_counter() >= end:
            click.echo(f"promo-sandbox: {escaped(' '.join(problem.split()))}", err=True)
            sys.exit(1)
        time.sleep(_PAUSE)
    click.echo(f"{escaped(server.url)} is healthy")


def _problem(server: HttpTransport) -> str:
    """Why the server is not healthy; empty if it is."""
    try:
        healthy = _status(server.request("GET", "/health")) == "healthy"
    except SandboxError as error:
        return str(error)
    return "" if healthy else str(server.not_a_sandbox(HTTPStatus.OK, "/health"))


def _status(content: bytes) -> object:
    try:
        response = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return response.get("status") if isinstance(response, dict) else None
