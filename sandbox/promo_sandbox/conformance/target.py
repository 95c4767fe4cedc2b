"""The server under test, called with the standard library. It keeps no connection and validates no reply."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from contextlib import closing
from typing import NamedTuple
from urllib.parse import urlsplit

from promo_sandbox.base.errors import SandboxError

_MAX_BODY = 16 * 1_048_576  # bytes of an answer that are read


class ServerReply(NamedTuple):
    """A reply. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class NoReply(Exception):
    """The connection failed, was dropped, or timed out; the message says which."""


class Target:
    """The server at a URL, which may have a path. timeout: seconds to wait for data."""

    def __init__(self, url: str, timeout: float = 10.0) -> None:
        self.url = url.rstrip("/")
        self.timeout = timeout
        try:
            parts = urlsplit(self.url)
            port = parts.port
        except ValueError as error:
            raise SandboxError(f"the URL {url!r} cannot be read: {error}") from None
        bad = not self.url.isascii() or not self.url.isprintable() or " " in self.url
        if (
            parts.scheme not in ("http", "https")
            or not parts.hostname
            or port == 0
            or parts.query
            or parts.fragment
            or bad
        ):
            raise SandboxError(f"the URL {url!r} is not http://HOST[:PORT][/PREFIX] or https://…")
        if parts.username is not None:
            raise SandboxError("credentials in the URL are not sent; use --header 'Authorization: …'")
        self._host, self._port, self._secure, self._prefix = parts.hostname, port, parts.scheme == "https", parts.path

    def send(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None = None) -> ServerReply:
        """Send a request and return the reply, with any status. Raises `NoReply`."""
        connect = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        fields = {name: value.encode("latin-1", "replace") for name, value in headers.items()}
        try:
            with closing(connect(self._host, self._port, timeout=self.timeout)) as connection:
                connection.request(method, f"{self._prefix}{path}", body, fields)
                response = connection.getresponse()
                content = response.read(_MAX_BODY)
                received_fields: dict[str, list[str]] = {}
                for name, value in response.getheaders():
                    received_fields.setdefault(name.lower(), []).append(value)
                return ServerReply(
                    response.status, {name: ", ".join(received_fields[name]) for name in received_fields}, content
                )
        except TimeoutError:
            raise NoReply(f"no reply within {self.timeout:g} s") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise NoReply(getattr(error, "strerror", None) or str(error) or type(error).__name__) from None

    def probe(self) -> None:
        """Raises `SandboxError` if there is no server."""
        try:
            self.send("GET", "/", {})
        except NoReply as error:
            raise SandboxError(
                f"{self.url} does not answer: {error}; is that the URL, and does the server run?"
            ) from None
