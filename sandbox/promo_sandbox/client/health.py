"""`promo-sandbox health`: whether a server answers, for health checks of containers; and which server is meant."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from typing import TYPE_CHECKING

import click

from promo_sandbox.base.errors import SandboxError
from promo_sandbox.base.printable import escaped

if TYPE_CHECKING:
    from promo_sandbox.client.http import Remote

_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where a server listens that is reached at the other
_LAST_PORT = 65535
_PAUSE = 0.1  # seconds
URL = "http://127.0.0.1:SANDBOX_PORT"  # as the help shows `here`


def here() -> str:
    """The URL of the server that SANDBOX_HOST and SANDBOX_PORT are set for. Raises `SandboxError` if there is none."""
    host = os.environ.get("SANDBOX_HOST") or "127.0.0.1"
    host = _ANYWHERE.get(host, host)
    port = os.environ.get("SANDBOX_PORT") or "8080"
    if not re.fullmatch("[1-9][0-9]{0,4}", port) or int(port) > _LAST_PORT:
        raise SandboxError(f"SANDBOX_PORT is {port[:20]}, which is no port to ask; give --url")
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@click.command()
@click.option("--url", default=here, show_default=URL, envvar="SANDBOX_URL", metavar="URL", help="Where it runs.")
@click.option(
    "--timeout",
    default=2.0,
    show_default=True,
    type=click.FloatRange(0.01, 60),
    metavar="SECONDS",
    help="How long it may say nothing.",
)
@click.option(
    "--wait",
    default=0.0,
    show_default=True,
    type=click.FloatRange(0, 3600),
    metavar="SECONDS",
    help="Ask again for so long until it does.",
)
def health(*, url: str, timeout: float, wait: float) -> None:
    """Tell whether a server answers: exit code 0 if it does, 1 if not. It needs no admin token."""
    from promo_sandbox.client.http import Remote  # noqa: PLC0415 - `--help` should not wait for an HTTP client

    server = Remote(url, timeout=timeout)
    end = time.perf_counter() + wait
    while problem := _problem(server):
        if time.perf_counter() >= end:
            click.echo(f"promo-sandbox: {escaped(' '.join(problem.split()))}", err=True)
            sys.exit(1)
        time.sleep(_PAUSE)
    click.echo(f"{escaped(server.url)} is healthy")


def _problem(server: Remote) -> str:
    """Why it is not healthy, or nothing."""
    try:
        healthy = _status(server.ask("GET", "/health")) == "healthy"
    except SandboxError as error:
        return str(error)
    return "" if healthy else f"{server.url} is no Promo Sandbox: /__admin/health is not its own"


def _status(answer: bytes) -> object:
    try:
        said = json.loads(answer)
    except (ValueError, RecursionError):
        return None
    return said.get("status") if isinstance(said, dict) else None
