"""A receiver of callbacks for demos and debugging: prints each one, answers with a chosen status, stores nothing."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click
import msgspec
import uvicorn

from promo_sandbox.base import clock
from promo_sandbox.base.errors import SandboxError
from promo_sandbox.base.messages import decode
from promo_sandbox.base.printable import escaped
from promo_sandbox.base.sockets import listen_all

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

MAX_BODY = 10 * 1_048_576  # bytes
_MAX_TEXT = 4096  # characters of a body that is not JSON
_TOKEN = re.compile(r'("(?:[^"\\]|\\.)*")(\s*:)?|(-?\d[\d.eE+-]*)|(true|false|null)')
_COLOURS = {2: "green", 3: "cyan", 4: "yellow", 5: "red"}
_NO_BODY = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)


class Certificate(NamedTuple):
    """PEM files of the receiver's certificate and its key. One file may hold both."""

    cert: Path
    key: Path | None


class ReceivedCallback(NamedTuple):
    """A callback, its time, and the status of the answer. `body` is None if it was too large."""

    at: str
    method: str
    target: str
    headers: dict[str, str]
    body: bytes | None
    status: int


class StatusSequence:
    """The status of each answer: `status` for the first `times` callbacks, then 202. If `times` is None: `status`."""

    def __init__(self, status: int = HTTPStatus.ACCEPTED, times: int | None = None, delay: float = 0) -> None:
        self.delay = delay  # seconds
        self._status, self._left = int(status), times

    def next(self) -> int:
        if self._left is None:
            return self._status
        self._left -= 1
        return self._status if self._left >= 0 else int(HTTPStatus.ACCEPTED)


class ListenerApp:
    """The receiver as an ASGI app. It calls `on_write_error` if its output cannot be written."""

    def __init__(
        self,
        answers: StatusSequence,
        write: Callable[[ReceivedCallback], None],
        on_write_error: Callable[[OSError], None],
    ) -> None:
        self._answers, self._write, self._on_write_error = answers, write, on_write_error
        self._clock = clock.Clock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Receive one callback. The server sends no other ASGI scopes."""
        headers = _headers(scope)
        try:
            body = await _body(receive, headers)
        except ConnectionError:
            return  # the client has closed the connection
        status = self._answers.next() if body is not None else int(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        target = scope["raw_path"].decode("latin-1")
        if scope["query_string"]:
            target += f"?{scope['query_string'].decode('latin-1')}"
        at = clock.text(self._clock.now())
        try:
            self._write(ReceivedCallback(at, scope["method"], target, headers, body, status))
        except OSError as error:
            self._on_write_error(error)
        if body is not None and self._answers.delay:
            await asyncio.sleep(self._answers.delay)
        sent = [] if status in _NO_BODY else [(b"content-length", b"0")]
        if body is None:
            sent.append((b"connection", b"close"))  # the rest of it is not read
        await send({"type": "http.response.start", "status": status, "headers": sent})
        await send({"type": "http.response.body", "body": b""})


class CallbackPrinter:
    """Writes callbacks to standard output, as text or as JSON."""

    def __init__(self, *, as_json: bool, coloured: bool) -> None:
        self._as_json = as_json
        self._coloured = coloured

    def write(self, callback: ReceivedCallback) -> None:
        if self._as_json:
            click.echo(_as_json(callback).encode())  # JSON is UTF-8, whatever the locale
        else:
            click.echo("".join(f"{line}\n" for line in self.lines(callback)), nl=False, color=True)

    def lines(self, callback: ReceivedCallback) -> Iterator[str]:
        """The callback in one line, then its payload."""
        body, status = callback.body, callback.status
        colour = _COLOURS.get(status // 100)
        parts = [
            self._styled(f"{callback.at[:10]} {callback.at[11:23]}", dim=True),
            self._styled(escaped(callback.method), bold=True),
            escaped(callback.target),
            f"{len(body):,} bytes" if body is not None else f"more than {MAX_BODY:,} bytes",
            self._styled(str(status), fg=colour),
        ]
        if (delivery := callback.headers.get("sandbox-delivery")) is not None:
            parts.append(f"delivery {escaped(delivery)}")
        yield "  ".join(parts)
        if body:
            yield from (f"    {line}" for line in self._payload(body))

    def _payload(self, body: bytes) -> Iterator[str]:
        try:
            decode(body)
        except ValueError as error:
            text = body.decode("utf-8", "replace")
            yield self._styled(escaped(f"not shown as JSON: {error}"), fg="yellow")
            yield from map(escaped, text[:_MAX_TEXT].splitlines())
            if len(text) > _MAX_TEXT:
                yield self._styled(f"and {len(text) - _MAX_TEXT:,} more characters", dim=True)
            return
        for line in msgspec.json.format(body, indent=2).decode().split("\n"):
            yield _TOKEN.sub(self._token, escaped(line)) if self._coloured else escaped(line)

    def _token(self, found: re.Match[str]) -> str:
        text, colon, number, _ = found.groups()
        if text is not None:
            return click.style(text, fg="cyan" if colon else "green") + (colon or "")
        return click.style(found[0], fg="yellow" if number else "magenta")

    def _styled(self, text: str, **style: Any) -> str:
        return click.style(text, **style) if self._coloured else text


def listen(
    host: str,
    port: int,
    certificate: Certificate | None,
    answers: StatusSequence,
    printer: CallbackPrinter,
    announce: Callable[[str], None],
) -> None:
    """Receive callbacks until KeyboardInterrupt, or until the output cannot be written (OSError).

    Port 0 picks a free port; `announce` gets the URL as text. Raises `SandboxError` if it cannot start.
    """
    if certificate is not None:
        _validate(certificate)
    listeners = listen_all(host, port)
    shown = f"[{host}]" if ":" in host else host
    url = f"{'https' if certificate else 'http'}://{shown}:{listeners[0].getsockname()[1]}/"
    trusted = f" --callback-ca {certificate.cert}" if certificate else ""
    announce(f"listening on {url}; start the server with --callback-rewrite https://shop.example/={url}{trusted}")
    write_errors: list[OSError] = []

    def on_write_error(error: OSError) -> None:
        write_errors.append(error)
        server.should_exit = True

    settings = uvicorn.Config(
        ListenerApp(answers, printer.write, on_write_error),
        http="h11",  # it limits the size of headers
        ws="none",
        lifespan="off",
        log_level="critical",
        server_header=False,
        timeout_graceful_shutdown=1,
        ssl_certfile=certificate.cert if certificate else None,
        ssl_keyfile=certificate.key if certificate else None,
    )
    server = uvicorn.Server(settings)
    server.run(sockets=listeners)
    if write_errors:
        raise write_errors[0]


def _validate(certificate: Certificate) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(*certificate, password=lambda: "")
    except ssl.SSLError:
        given = " and ".join(str(path) for path in certificate if path)
        raise SandboxError(f"{given} must be a certificate and its key in PEM without a pass phrase") from None
    except OSError as error:
        given = " or ".join(str(path) for path in certificate if path)
        raise SandboxError(f"cannot read {given}: {error.strerror}") from None


def _headers(scope: Scope) -> dict[str, str]:
    """The headers by lower-case name. The values of a repeated name are joined."""
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers


async def _body(receive: Receive, headers: dict[str, str]) -> bytes | None:
    """The body, or None if it is too large. Raises ConnectionError if the client disconnects before the end."""
    if int(headers.get("content-length", 0)) > MAX_BODY:
        return None
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > MAX_BODY:
            return None
    return bytes(body)


def _as_json(callback: ReceivedCallback) -> str:
    """`{at, method, target, status, headers, body}`, with `text` instead of `body` if the body is not JSON."""
    fields: dict[str, Any] = {
        "at": callback.at,
        "method": callback.method,
        "target": callback.target,
        "status": callback.status,
        "headers": callback.headers,
    }
    if callback.body:
        try:
            decode(callback.body)
            fields["body"] = msgspec.Raw(msgspec.json.format(callback.body, indent=-1))
        except ValueError:
            fields["text"] = callback.body.decode("utf-8", "replace")
    return escaped(msgspec.json.encode(fields).decode())
