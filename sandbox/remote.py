"""A running server's `/__admin`, asked from the command line with the standard library; every failure is one line."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote, urlsplit

from sandbox.errors import SandboxError

FORM = 1  # of an exported document
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
        with self.asked(method, path, body) as response:
            try:
                return response.read()
            except (OSError, http.client.HTTPException) as error:
                raise self._unreachable(error) from None

    @contextmanager
    def asked(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Iterator[http.client.HTTPResponse]:
        """A success whose body is not read yet; to read it raises what sockets raise."""
        sent = {"Content-Type": "application/json"} if body is not None else {}
        if self._token:
            sent["Authorization"] = f"Bearer {self._token}"
        made = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        with closing(made(self._host, self._port, timeout=TIMEOUT)) as connection:
            try:
                connection.request(method, f"{self._base}/__admin{path}", body, sent | (headers or {}))
                response = connection.getresponse()
            except (OSError, http.client.HTTPException, UnicodeError) as error:
                raise self._unreachable(error) from None
            with response:
                if not HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES:
                    raise SandboxError(f"{self.url} refuses: {_said(response)}")
                yield response

    def _unreachable(self, error: Exception) -> Unreachable:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return Unreachable(f"there is no sandbox at {self.url}: {reason}")


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
    return "".join(f"%{byte:02X}" for byte in name.encode()) if name in (".", "..") else quote(name, safe="")


def _said(response: http.client.HTTPResponse) -> str:
    """What a problem says, or else the phrase of the status."""
    try:
        return str(json.loads(response.read())["detail"])
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return f"{response.status} {response.reason}"
