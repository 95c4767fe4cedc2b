"""A running server's `/__admin`, asked with the standard library; every failure is one line.

The command line asks through it, and `promo_sandbox.client.client` for those who write Python.
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

FORM = 1  # of an exported document
TIMEOUT = 75.0  # seconds without a word; what waits for webhooks is silent for 60
_SECONDS_KEPT = 1.0  # that a connection waits for the next request; servers and what is between close theirs after 5
_MOST_KEPT = 8


class Unreachable(SandboxError):
    """There is no server, or it has gone."""


class Refused(SandboxError):
    """The server says no. `status`, `detail` and `errors` (`[{"detail", "pointer", "line"?}]`) are its problem's."""

    def __init__(self, message: str, status: int, detail: str, errors: list[dict[str, Any]]) -> None:
        super().__init__(message)
        self.status, self.detail, self.errors = status, detail, errors


class Remote:
    """The server at a URL. `names`: what the URL and the token are called where they were given.

    Threads may share it: each request has a connection to itself, one that another request has just done with or a new
    one. There is nothing to close: of all that a process has there are a few kept for a second.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        names: tuple[str, str] = ("--url", "--admin-token"),
        timeout: float = TIMEOUT,
    ) -> None:
        named, self._token_named = names
        self.url = url.rstrip("/").removesuffix("/__admin")
        try:
            parts = urlsplit(self.url)
            port = parts.port
        except ValueError as error:
            raise SandboxError(f"{named} {url!r}: {error}") from None
        if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
            raise SandboxError(f"{named} {url!r} is not http://HOST:PORT")
        self._host, self._port, self._timeout = parts.hostname, port, timeout
        self._secure, self._base = parts.scheme == "https", parts.path
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def ask(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> bytes:
        """The body of a success. Raises `SandboxError` with what the server says otherwise."""
        status, said = self.said(method, path, body, self._fields(body, headers))
        if not _is_success(status):
            raise self._refusal(status, said, path)
        return said

    def said(self, method: str, path: str, body: bytes | None, fields: dict[str, str]) -> tuple[int, bytes]:
        """Status and body of whatever is answered."""
        with self._exchanged(method, path, body, fields) as response:
            return response.status, self._read(response)

    @contextmanager
    def asked(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Iterator[http.client.HTTPResponse]:
        """A success whose body is not read yet; to read it raises what sockets raise."""
        with self._exchanged(method, path, body, self._fields(body, headers)) as response:
            if not _is_success(response.status):
                raise self._refusal(response.status, self._read(response), path)
            yield response

    def _fields(self, body: bytes | None, headers: dict[str, str] | None) -> dict[str, str]:
        kind = {"Content-Type": "application/json"} if body is not None else {}
        return {**self._headers, **kind, **(headers or {})}

    @contextmanager
    def _exchanged(
        self, method: str, path: str, body: bytes | None, fields: dict[str, str]
    ) -> Iterator[http.client.HTTPResponse]:
        with ExitStack() as opened:
            try:
                connection, response = self._sent(method, path, body, fields)
            except (OSError, http.client.HTTPException, ValueError) as error:
                raise self._unreachable(error) from None
            opened.callback(connection.close)
            opened.enter_context(response)
            yield response
            if response.isclosed() and connection.sock is not None and not self._secure:
                _keep(_Kept(self._host, self._port, connection, time.monotonic(), os.getpid()))
                opened.pop_all()

    def _sent(
        self, method: str, path: str, body: bytes | None, fields: dict[str, str]
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """The answer begun; sent once more where a kept connection was closed under our feet, if that does no harm."""
        kept = None if self._secure else _kept_for(self._host, self._port)
        made = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        connection = kept or made(self._host, self._port)
        try:
            connection.timeout = self._timeout
            if connection.sock is not None:
                connection.sock.settimeout(self._timeout)
            sent = {name: value.encode() for name, value in fields.items()}
            connection.request(method, f"{self._base}/__admin{path}", body, sent)
            return connection, connection.getresponse()
        except (ConnectionError, http.client.RemoteDisconnected):
            connection.close()
            if kept is None or method == "POST":
                raise
        except BaseException:
            connection.close()
            raise
        return self._sent(method, path, body, fields)

    def _read(self, response: http.client.HTTPResponse) -> bytes:
        try:
            return response.read()
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from None

    def _unreachable(self, error: Exception) -> Unreachable:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return Unreachable(f"{self.url} does not answer: {reason}")

    def _refusal(self, status: int, said: bytes, path: str) -> SandboxError:
        """What a problem says; anything else was not said by a sandbox."""
        try:
            problem = json.loads(said)
            detail = problem["detail"]
        except (ValueError, KeyError, TypeError):
            return self.stranger(status, path)
        hint = f" ({self._token_named})" if status == HTTPStatus.UNAUTHORIZED else ""
        message = f"{self.url} answered {status}: {detail}{hint}"
        return Refused(message, status, detail, problem.get("errors", []))

    def stranger(self, status: int, path: str) -> SandboxError:
        """What to say of an answer that no sandbox gives."""
        return SandboxError(f"{self.url} is no Promo Sandbox: it answered {status} to /__admin{path.partition('?')[0]}")


def _is_success(status: int) -> bool:
    return HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES


class _Kept(NamedTuple):
    """A connection that no request has, since when by the monotonic clock, and whose process it belongs to."""

    host: str
    port: int | None
    connection: http.client.HTTPConnection
    since: float
    process: int

    @property
    def usable(self) -> bool:
        return self.process == os.getpid() and time.monotonic() - self.since < _SECONDS_KEPT


_kept: deque[_Kept] = deque()  # oldest first; of the whole process, as its sockets are


def _keep(kept: _Kept) -> None:
    _kept.append(kept)
    with suppress(IndexError):  # another thread was quicker
        while len(_kept) > _MOST_KEPT or not _kept[0].usable:
            _kept.popleft().connection.close()


def _kept_for(host: str, port: int | None) -> http.client.HTTPConnection | None:
    """The newest to this server that it has not closed."""
    for kept in reversed(tuple(_kept)):
        if (kept.host, kept.port) == (host, port):
            try:
                _kept.remove(kept)
            except ValueError:  # another thread was quicker
                continue
            if kept.usable and _is_quiet(kept.connection.sock):
                return kept.connection
            kept.connection.close()
    return None


def _is_quiet(sock: socket.socket) -> bool:
    """Has the other side neither closed nor said anything that nobody has asked for? Leaves it without a timeout."""
    sock.setblocking(False)
    try:
        sock.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


@atexit.register
def _close_kept() -> None:
    while _kept:
        _kept.popleft().connection.close()


def exported(path: Path) -> tuple[bytes, str]:
    """A file that `export` wrote, and the name of its org. Raises `SandboxError` if it cannot be read here."""
    try:
        document = path.read_bytes()
    except OSError as error:
        raise SandboxError(f"cannot read {path}: {error.strerror}") from None
    try:
        said = json.loads(document)
        form = said["promo_sandbox_export"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise SandboxError(f"{path} is no export of an org") from None
    if form != FORM:
        raise SandboxError(f"{path} is an export of form {form}; this promo-sandbox reads form {FORM}")
    org = said.get("org")
    name = org.get("name") if isinstance(org, dict) else None
    return document, name if isinstance(name, str) else ""


def segment(name: str) -> str:
    """A name as a segment of a path."""
    if name in (".", ".."):
        return "".join(f"%{byte:02X}" for byte in name.encode())
    return quote(name, safe="", errors="surrogateescape")  # of the command line, in a locale that is not UTF-8
