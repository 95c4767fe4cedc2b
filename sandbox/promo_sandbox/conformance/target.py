"""Somebody else's server, asked with the standard library. Keeps no connection and judges no answer."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from contextlib import closing
from typing import NamedTuple
from urllib.parse import urlsplit

from promo_sandbox.base.errors import SandboxError

_MAX_BODY = 16 * 1_048_576  # bytes of an answer that are read


class Answer(NamedTuple):
    """What a server answered; the names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class NoAnswer(Exception):
    """The connection was refused, lost or silent for too long; the message says which."""


class Target:
    """The server at a URL, which may have a path. timeout: seconds without a word."""

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
            raise SandboxError("credentials in the URL are not sent; give --header 'Authorization: …'")
        self._host, self._port, self._secure, self._prefix = parts.hostname, port, parts.scheme == "https", parts.path

    def send(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None = None) -> Answer:
        """The answer to a request, whatever its status. Raises `NoAnswer`."""
        made = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        fields = {name: value.encode("latin-1", "replace") for name, value in headers.items()}
        try:
            with closing(made(self._host, self._port, timeout=self.timeout)) as connection:
                connection.request(method, f"{self._prefix}{path}", body, fields)
                response = connection.getresponse()
                received = response.read(_MAX_BODY)
                fields_said: dict[str, list[str]] = {}
                for name, value in response.getheaders():
                    fields_said.setdefault(name.lower(), []).append(value)
                return Answer(response.status, {name: ", ".join(fields_said[name]) for name in fields_said}, received)
        except TimeoutError:
            raise NoAnswer(f"nothing came within {self.timeout:g} s") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise NoAnswer(getattr(error, "strerror", None) or str(error) or type(error).__name__) from None

    def probe(self) -> None:
        """Raises `SandboxError` if nobody answers there at all."""
        try:
            self.send("GET", "/", {})
        except NoAnswer as error:
            raise SandboxError(
                f"{self.url} does not answer: {error}; is that the URL, and does the server run?"
            ) from None
