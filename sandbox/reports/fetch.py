"""Asks a running server for its coverage, by the standard library alone and past any proxy."""

from __future__ import annotations

import http.client
import json
from contextlib import closing
from typing import Any
from urllib.parse import SplitResult, urlencode, urlsplit

from sandbox.errors import SandboxError

_TIMEOUT = 30.0
_OK = 200
_UNAUTHORIZED = 401


def coverage(url: str, *, token: str | None, org: str | None, vendor: str | None) -> dict[str, Any]:
    """What `/__admin/coverage` answers. Raises `SandboxError` that says in a line why there is no answer."""
    base = _base(url)
    query = urlencode({name: value for name, value in (("org", org), ("vendor", vendor)) if value is not None})
    path = base.path.rstrip("/").removesuffix("/__admin") + "/__admin/coverage"
    status, body = _get(url, base, f"{path}?{query}" if query else path, token)
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if status == _OK and isinstance(answer, dict) and {"totals", "vendors"} <= answer.keys():
        return answer
    if not isinstance(answer, dict) or "detail" not in answer:
        raise SandboxError(f"{url} is no Promo Sandbox: it answered {status} to {path}")
    hint = " (--admin-token)" if status == _UNAUTHORIZED else ""
    raise SandboxError(f"{url} answered {status}: {answer['detail']}{hint}")


def _base(url: str) -> SplitResult:
    try:
        base = urlsplit(url)
        port = base.port
    except ValueError as error:
        raise SandboxError(f"--url {url!r}: {error}") from None
    if base.scheme not in ("http", "https") or not base.hostname or port == 0:
        raise SandboxError(f"--url {url!r} is not http://HOST:PORT")
    return base


def _get(url: str, base: SplitResult, target: str, token: str | None) -> tuple[int, bytes]:
    assert base.hostname is not None  # `_base` has seen to it
    kind = http.client.HTTPSConnection if base.scheme == "https" else http.client.HTTPConnection
    headers = {"Authorization": f"Bearer {token}".encode()} if token else {}
    try:
        with closing(kind(base.hostname, base.port, timeout=_TIMEOUT)) as connection:
            connection.request("GET", target, headers=headers)
            response = connection.getresponse()
            return response.status, response.read()
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise SandboxError(f"{url} does not answer: {reason}") from None
