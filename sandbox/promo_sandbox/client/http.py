"""HTTP requests to the `/__admin` of a running server, with the standard library.

`HttpTransport` sends bytes and returns bytes. `promo_sandbox.client.calls` adds JSON and the version check.
"""

from __future__ import annotations

import atexit
import http.client
import json
import os
import socket
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

from promo_sandbox.base.errors import SandboxError

EXPORT_FORMAT = 1
TIMEOUT = 75.0  # seconds of silence; a request that waits for webhooks is silent for up to 60
_IDLE_SECONDS = 1.0  # how long an idle connection is kept; servers and proxies close theirs after 5
_MAX_IDLE = 8


class Unreachable(SandboxError):
    """The server does not answer."""


class Rejected(SandboxError):
    """The server answered with an error. It has the `status`, and the `detail` and `errors` of the problem document.

    Each item of `errors` is `{"detail", "pointer", "line"?}`.
    """

    def __init__(self, message: str, status: int, detail: str, errors: list[dict[str, Any]]) -> None:
        super().__init__(message)
        self.status, self.detail, self.errors = status, detail, errors


class HttpTransport:
    """Sends requests to the server at a URL. Threads may share it, and it needs no closing.

    Each request has a connection of its own: an idle one of this process, or a new one.
    `option_names` are the names of URL and token in error messages.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        option_names: tuple[str, str] = ("--url", "--admin-token"),
        timeout: float = TIMEOUT,
    ) -> None:
        url_name, self._token_name = option_names
        self.url = url.rstrip("/").removesuffix("/__admin")
        try:
            parts = urlsplit(self.url)
            port = parts.port
        except ValueError as error:
            raise SandboxError(f"{url_name} {url!r}: {error}") from None
        if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
            raise SandboxError(f"{url_name} {url!r} is not http://HOST:PORT")
        self._host, self._port, self._timeout = parts.hostname, port, timeout
        self._secure, self._base = parts.scheme == "https", parts.path
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> bytes:
        """The body of a success response. Raises `SandboxError` for any other response."""
        status, content = self.send(method, path, body, self._all_headers(body, headers))
        if not _is_success(status):
            raise self._rejection(status, content, path)
        return content

    def send(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> tuple[int, bytes]:
        """Status and body of any response. Raises `Unreachable` if there is none."""
        with self._exchange(method, path, body, headers) as response:
            return response.status, self._read(response)

    @contextmanager
    def stream(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Iterator[http.client.HTTPResponse]:
        """A success response whose body is not read yet. Reading it may raise `OSError` or `HTTPException`."""
        with self._exchange(method, path, body, self._all_headers(body, headers)) as response:
            if not _is_success(response.status):
                raise self._rejection(response.status, self._read(response), path)
            yield response

    def _all_headers(self, body: bytes | None, headers: dict[str, str] | None) -> dict[str, str]:
        content_type = {"Content-Type": "application/json"} if body is not None else {}
        return {**self._headers, **content_type, **(headers or {})}

    @contextmanager
    def _exchange(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> Iterator[http.client.HTTPResponse]:
        with ExitStack() as stack:
            try:
                connection, response = self._open(method, path, body, headers)
            except (OSError, http.client.HTTPException, ValueError) as error:
                raise self._unreachable(error) from None
            stack.callback(connection.close)
            stack.enter_context(response)
            yield response
            if response.isclosed() and connection.sock is not None and not self._secure:
                _keep(_IdleConnection(self._host, self._port, connection, time.monotonic(), os.getpid()))
                stack.pop_all()

    def _open(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """Send the request and read the head of the response.

        If the server closed an idle connection in the meantime, any request but a POST is sent again.
        """
        idle = None if self._secure else _idle_connection(self._host, self._port)
        connection_class = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        connection = idle or connection_class(self._host, self._port)
        try:
            connection.timeout = self._timeout
            if connection.sock is not None:
                connection.sock.settimeout(self._timeout)
            encoded = {name: value.encode() for name, value in headers.items()}
            connection.request(method, f"{self._base}/__admin{path}", body, encoded)
            return connection, connection.getresponse()
        except (ConnectionError, http.client.RemoteDisconnected):
            connection.close()
            if idle is None or method == "POST":
                raise
        except BaseException:
            connection.close()
            raise
        return self._open(method, path, body, headers)

    def _read(self, response: http.client.HTTPResponse) -> bytes:
        try:
            return response.read()
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from None

    def _unreachable(self, error: Exception) -> Unreachable:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return Unreachable(f"{self.url} does not answer: {reason}")

    def _rejection(self, status: int, content: bytes, path: str) -> SandboxError:
        """The error for a response that is not a success. Only a sandbox answers with a problem document."""
        try:
            problem = json.loads(content)
            detail = problem["detail"]
        except (ValueError, KeyError, TypeError):
            return self.not_a_sandbox(status, path)
        hint = f" ({self._token_name})" if status == HTTPStatus.UNAUTHORIZED else ""
        message = f"{self.url} answered {status}: {detail}{hint}"
        return Rejected(message, status, detail, problem.get("errors", []))

    def not_a_sandbox(self, status: int, path: str) -> SandboxError:
        """The error for a response that no sandbox sends."""
        path = path.partition("?")[0]
        return SandboxError(f"{self.url} is not a Promo Sandbox: it answered {status} to /__admin{path}")


def _is_success(status: int) -> bool:
    return HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES


class _IdleConnection(NamedTuple):
    """A connection that no request uses, since a time of the monotonic clock; `process` owns it."""

    host: str
    port: int | None
    connection: http.client.HTTPConnection
    since: float
    process: int

    @property
    def usable(self) -> bool:
        return self.process == os.getpid() and time.monotonic() - self.since < _IDLE_SECONDS


_idle: deque[_IdleConnection] = deque()  # of the whole process, oldest first


def _keep(idle: _IdleConnection) -> None:
    _idle.append(idle)
    with suppress(IndexError):  # another thread was quicker
        while len(_idle) > _MAX_IDLE or not _idle[0].usable:
            _idle.popleft().connection.close()


def _idle_connection(host: str, port: int | None) -> http.client.HTTPConnection | None:
    """The newest idle connection to this server that the server has not closed."""
    for idle in reversed(tuple(_idle)):
        if (idle.host, idle.port) == (host, port):
            try:
                _idle.remove(idle)
            except ValueError:  # another thread was quicker
                continue
            if idle.usable and _is_quiet(idle.connection.sock):
                return idle.connection
            idle.connection.close()
    return None


def _is_quiet(sock: socket.socket) -> bool:
    """Whether the server has neither closed the connection nor sent anything. Leaves the socket without a timeout."""
    sock.setblocking(False)
    try:
        sock.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


@atexit.register
def _close_idle() -> None:
    while _idle:
        _idle.popleft().connection.close()


def read_file(path: Path) -> bytes:
    """The content of a file. Raises `SandboxError` if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise SandboxError(f"cannot read {path}: {error.strerror}") from None


def read_export(path: Path) -> tuple[bytes, str]:
    """A file that `promo-sandbox export` wrote, and the name of its org. Raises `SandboxError` if it is not one."""
    content = read_file(path)
    try:
        document = json.loads(content)
        export_format = document["promo_sandbox_export"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise SandboxError(f"{path} is not an export of an org") from None
    if export_format != EXPORT_FORMAT:
        raise SandboxError(
            f"{path} has the export format {export_format}; this version of promo-sandbox reads {EXPORT_FORMAT}"
        )
    org = document.get("org")
    name = org.get("name") if isinstance(org, dict) else None
    return content, name if isinstance(name, str) else ""


def path_segment(name: str) -> str:
    """A name, percent-encoded as one segment of a path."""
    if name in (".", ".."):
        return "".join(f"%{byte:02X}" for byte in name.encode())
    return quote(name, safe="", errors="surrogateescape")  # of the command line, in a locale that is not UTF-8
