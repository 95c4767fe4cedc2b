"""`promo-sandbox tail`: prints each exchange of a running server as one line, with its errors below.

`client.http` makes the connection.
"""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, NamedTuple
from urllib.parse import urlencode

import click

from promo_sandbox.base.atomic_files import WRITE_ERRORS
from promo_sandbox.base.printable import escaped
from promo_sandbox.client.http import HttpTransport, Unreachable

_MOST_NEAR = 2  # operations shown below a request that matched none
_ORG, _METHOD = 12, 6  # columns, at least
_COLOURS = {2: "green", 3: "cyan", 4: "yellow", 5: "red"}


class Filters(NamedTuple):
    """Which exchanges to print."""

    org: str | None = None
    unmatched: bool = False
    rejected: bool = False


class Event(NamedTuple):
    """A server-sent event; `data` is its text."""

    name: str
    data: str


class _Position:
    """How far a client has read a stream, over several connections."""

    def __init__(self) -> None:
        self.last: str | None = None
        self.retry = 1.0  # seconds
        self.connected = False  # ever


def follow(
    transport: HttpTransport, filters: Filters, write: Callable[[Event], None], warn: Callable[[str], None]
) -> None:
    """Write every event until interrupted, also after a restart. Raises `SandboxError` if there is no server."""
    position, gone = _Position(), False
    while True:
        try:
            with _open(transport, filters, position) as response:
                position.connected, gone = True, False
                for event in _events(response, position):
                    write(event)
        except Unreachable:
            if not position.connected:
                raise
        except (http.client.HTTPException, OSError) as error:
            if isinstance(error, BrokenPipeError) or getattr(error, "errno", None) in WRITE_ERRORS:
                raise  # our own output is closed or full
        if not gone:
            warn(f"lost the connection to {transport.url}; waiting for the server")
            gone = True
        time.sleep(position.retry)


def _open(
    transport: HttpTransport, filters: Filters, position: _Position
) -> AbstractContextManager[http.client.HTTPResponse]:
    filled = {"org": filters.org, "unmatched": filters.unmatched, "rejected": filters.rejected}
    given = {name: value if isinstance(value, str) else "true" for name, value in filled.items() if value}
    query = urlencode(given, errors="surrogateescape")
    headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": position.last} if position.last else {})
    return transport.stream("GET", f"/requests/stream?{query}" if query else "/requests/stream", headers=headers)


def _events(response: http.client.HTTPResponse, position: _Position) -> Iterator[Event]:
    """The events of a connection until it ends. Raises the errors of sockets."""
    fields: dict[str, str] = {}
    while line := response.readline():
        name, _, value = line.decode("utf-8", "replace").rstrip("\r\n").partition(":")
        value = value.removeprefix(" ")
        if name:
            fields[name] = value
            continue
        if fields.get("retry", "").isdigit():
            position.retry = int(fields["retry"]) / 1000
        if "data" in fields:
            yield Event(fields.get("event", "message"), fields["data"])
        if "id" in fields:
            position.last = fields["id"]  # only after it was written
        fields = {}


class Printer:
    """Writes events to standard output, as readable lines or as JSON."""

    def __init__(self, *, as_json: bool, coloured: bool) -> None:
        self._as_json = as_json
        self._coloured = coloured

    def write(self, event: Event) -> None:
        if event.name == "dropped":
            self.warn(f"{json.loads(event.data)['dropped']} exchanges were dropped")
        elif self._as_json:
            click.echo(escaped(event.data).encode())  # JSON is UTF-8, whatever the locale
        else:
            for line in self.lines(json.loads(event.data)):
                click.echo(line, color=True)

    def warn(self, text: str) -> None:
        click.echo(f"promo-sandbox: {escaped(text)}", err=True)

    def lines(self, exchange: dict[str, Any]) -> list[str]:
        """One line about the exchange, and below it one for each error."""
        status = exchange["reply"]["status"]
        colour = _COLOURS.get(status // 100, "magenta")
        parts = [
            self._styled(escaped(f"{exchange['at'][:10]} {exchange['at'][11:23]}"), dim=True),
            f"{escaped(exchange['org']):{_ORG}}",
            self._styled(f"{escaped(exchange['request']['method']):{_METHOD}}", bold=True),
            self._styled(str(status), fg=colour),
            escaped(exchange["request"]["target"]),
            self._styled(
                escaped(exchange["operation"] or "unmatched"), fg=None if exchange["operation"] else "magenta"
            ),
        ]
        if exchange["rejection"]:
            parts.append(self._styled(escaped(exchange["rejection"]), fg=colour, bold=True))
        if exchange["step"] is not None:
            parts.append(self._styled(escaped(f"step {exchange['step']}"), fg="blue"))
        parts += [self._styled(fault, fg="magenta") for fault in _faults(exchange["fault"] or {})]
        parts.append(self._styled(f"{exchange['microseconds'] / 1000:.1f} ms", dim=True))
        return ["  ".join(parts), *(f"    {line}" for line in self._errors(exchange))]

    def _errors(self, exchange: dict[str, Any]) -> Iterator[str]:
        if exchange["internal_error"]:
            yield self._styled(f"internal error: {escaped(exchange['internal_error'])}", fg="red", bold=True)
        if exchange["unexpected"]:
            yield self._styled(f"unexpected: {escaped(exchange['unexpected'])}", fg="red")
        for violation in exchange["violations"]:
            place = self._styled(escaped(violation["spec"] or ""), dim=True)
            yield f"{escaped(violation['where'])}: {escaped(violation['message'])}  {place}".rstrip()
        for near in exchange["nearest"][:_MOST_NEAR]:
            yield escaped(f"near {near['operation']}, {near['method']} {near['path']}: {near['why']}")

    def _styled(self, text: str, **style: Any) -> str:
        return click.style(text, **style) if self._coloured else text


def _faults(fault: dict[str, Any]) -> Iterator[str]:
    """The faults that were applied to the reply."""
    if fault.get("delay"):
        yield f"{fault['delay']:g} s late"
    if fault.get("cut"):
        yield escaped(f"cut {fault['cut']}")
    if fault.get("corrupt"):
        yield "corrupt"
