"""A running server's `/__admin`, asked from the command line with the standard library; every failure is one line."""

from __future__ import annotations

import http.client
import json
from http import HTTPStatus
from urllib.parse import quote, urlsplit

from sandbox.errors import SandboxError

TIMEOUT = 60.0  # seconds without a word


class Unreachable(SandboxError):
    """There is no server, or it has gone."""


class Remote:
    """The server at a URL."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url = url.rstrip("/").removesuffix("/__admin")
        parts = urlsplit(self.url)
        try:
            port = parts.port
        except ValueError:
            raise SandboxError(f"--url {url!r} has no such port") from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SandboxError(f"--url {url!r} is not http://HOST:PORT")
        self._host, self._port = parts.hostname, port
        self._secure, self._base = parts.scheme == "https", parts.path
        self._token = token

    def ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """The body of a success. Raises `SandboxError` with what the server says otherwise."""
        response = self.open(method, path, body)
        try:
            return response.read()
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from None

    def open(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> http.client.HTTPResponse:
        """A success whose body is not read yet; reading it raises what sockets raise."""
        sent = {"Content-Type": "application/json"} if body is not None else {}
        if self._token:
            sent["Authorization"] = f"Bearer {self._token}"
        made = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        connection = made(self._host, self._port, timeout=TIMEOUT)
        try:
            connection.request(method, f"{self._base}/__admin{path}", body, sent | (headers or {}))
            response = connection.getresponse()
            if HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES:
                return response
            said = response.read()
        except (OSError, http.client.HTTPException, UnicodeError) as error:
            connection.close()
            raise self._unreachable(error) from None
        raise SandboxError(f"{self.url} refuses: {_said(said) or response.reason}")

    def _unreachable(self, error: Exception) -> Unreachable:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return Unreachable(f"there is no sandbox at {self.url}: {reason}")


def segment(name: str) -> str:
    """A name as a segment of a path."""
    return "".join(f"%{byte:02X}" for byte in name.encode()) if name in (".", "..") else quote(name, safe="")


def _said(body: bytes) -> str:
    """What a problem says, with the places of what is wrong."""
    try:
        said = json.loads(body)
        return str(said["detail"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode("utf-8", "replace")
