"""Gets the coverage report of a running server."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from promo_sandbox.client.http import HttpTransport


def coverage(url: str, *, token: str | None, org: str | None, vendor: str | None) -> dict[str, Any]:
    """The reply to `GET /__admin/coverage`. Raises `SandboxError` if there is none."""
    given = {name: value for name, value in (("org", org), ("vendor", vendor)) if value is not None}
    query = urlencode(given, errors="surrogateescape")  # the locale of the command line may not be UTF-8
    transport = HttpTransport(url, token)
    body = transport.request("GET", f"/coverage?{query}" if query else "/coverage")
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict) or not {"totals", "vendors"} <= answer.keys():
        raise transport.not_a_sandbox(HTTPStatus.OK, "/coverage")
    return answer
