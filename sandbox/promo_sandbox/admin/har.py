"""Exchanges as a HAR 1.2 log (http://www.softwareishard.com/blog/har-12-spec/), for a browser's developer tools.

Data for which HAR has no field is in fields that begin with an underscore, as the format allows.
"""

from __future__ import annotations

import http
import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote, unquote_plus

from promo_sandbox import __version__
from promo_sandbox.admin.explanations import Explainer
from promo_sandbox.admin.journal_json import reply_text, request_text, violations_json
from promo_sandbox.base import clock
from promo_sandbox.base.masking import MASK, Masks
from promo_sandbox.model.journal import Exchange
from promo_sandbox.model.state import Doc

_PHRASES = {int(status): status.phrase for status in http.HTTPStatus}
_HOST = re.compile(r"(?:[A-Za-z0-9._~-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::(\d{1,5}))?", re.ASCII)
_MAX_PORT = 65_535
_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")  # a percent sign that encodes nothing
_UNKNOWN = -1  # HAR's value for an unknown size


def har(log_entries: list[Doc]) -> Doc:
    """A log with these entries."""
    return {
        "log": {
            "version": "1.2",
            "creator": {"name": "promo-sandbox", "version": __version__},
            "pages": [],  # always empty, but importers require it
            "entries": log_entries,
        }
    }


def entries(exchanges: Iterable[Exchange], explainer: Explainer) -> Iterator[Doc]:
    """The entries of these exchanges, in the same order."""
    return (_entry(exchange, explainer) for exchange in exchanges)


def _entry(exchange: Exchange, explainer: Explainer) -> Doc:
    delay = exchange.fault.delay if exchange.fault is not None else 0.0
    milliseconds = exchange.nanoseconds / 1_000_000 + delay * 1000  # as the client measured it
    return {
        "startedDateTime": clock.text(exchange.at),
        "time": milliseconds,
        "request": _request(exchange, explainer.masks),
        "response": _response(exchange, explainer.masks),
        "cache": {},
        "timings": {"send": 0, "wait": milliseconds, "receive": 0},
        "_sandbox": {
            "exchange": exchange.id,
            "vendor": exchange.vendor,
            "operation": exchange.operation,
            "rejection": exchange.rejection,
            "source": exchange.source,
            "violations": violations_json(exchange, explainer),
            "preference": exchange.preference,
            "internal_error": exchange.internal_error,
        },
    }


def _request(exchange: Exchange, masks: Masks) -> Doc:
    request = exchange.request
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers]
    target = masks.mask_message(request.target)
    entry: Doc = {
        "method": request.method,
        "url": _url(request.header(b"host") or "", target),
        "httpVersion": request.version,
        "cookies": _cookies([value for name, value in headers if name.lower() == "cookie"], ";"),
        "headers": _headers(headers, masks),
        "queryString": _query(target.partition("?")[2]),
        "headersSize": _UNKNOWN,
        "bodySize": exchange.body_size,
    }
    body = request_text(exchange, masks)
    if body is not None:
        entry["postData"] = {"mimeType": request.header(b"content-type") or "", "text": body}
    return entry


def _url(host: str, target: str) -> str:
    """The requested URL, made valid even if the client sent invalid characters."""
    found = _HOST.fullmatch(host)
    valid = found is not None and int(found[1] or 0) <= _MAX_PORT
    path = quote(_PERCENT.sub("%25", target), safe="/?:@!$&'()*+,;=%", encoding="latin-1")
    return f"http://{host if valid else 'localhost'}{path if path.startswith('/') else f'/{path}'}"


def _response(exchange: Exchange, masks: Masks) -> Doc:
    headers = [*([("content-type", exchange.reply_media)] if exchange.reply_media else []), *exchange.reply_headers]
    content: dict[str, Any] = {"size": exchange.reply_size, "mimeType": exchange.reply_media or "x-unknown"}
    body = reply_text(exchange)
    if body is not None:
        content["text"] = body
    return {
        "status": exchange.status,
        "statusText": _PHRASES.get(exchange.status, ""),
        "httpVersion": "HTTP/1.1",
        "cookies": _cookies([value.partition(";")[0] for name, value in headers if name.lower() == "set-cookie"], None),
        "headers": _headers(headers, masks),
        "content": content,
        "redirectURL": next((value for name, value in headers if name.lower() == "location"), ""),
        "headersSize": _UNKNOWN,
        "bodySize": exchange.reply_size,
    }


def _headers(headers: list[tuple[str, str]], masks: Masks) -> list[Doc]:
    return [{"name": name, "value": masks.mask_header(name, value)} for name, value in headers]


def _cookies(values: list[str], separator: str | None) -> list[Doc]:
    pairs = [pair for value in values for pair in (value.split(separator) if separator else [value])]
    names = [pair.partition("=")[0].strip() if "=" in pair else "" for pair in pairs if pair.strip()]
    return [{"name": name, "value": MASK} for name in names]  # a cookie without a name is only a value


def _query(query: str) -> list[Doc]:
    parts = [part.partition("=") for part in query.split("&") if part]
    return [{"name": unquote_plus(name), "value": unquote_plus(value)} for name, _, value in parts]
