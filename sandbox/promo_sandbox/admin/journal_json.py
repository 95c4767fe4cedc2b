"""The journal as JSON: what was kept as bytes and references, written down for whoever asks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from promo_sandbox.admin.explanations import Explainer
from promo_sandbox.base import clock
from promo_sandbox.base.masking import Masks, without
from promo_sandbox.base.messages import decode
from promo_sandbox.model.journal import Entry, Exchange, Occurrence
from promo_sandbox.model.state import Change, Record


def exchange_json(org: str, exchange: Exchange, explainer: Explainer) -> dict[str, Any]:
    request, masks = exchange.request, explainer.masks
    secrets = _secrets(exchange, masks) if exchange.unexpected is not None else []
    return {
        "id": exchange.id,
        "org": org,
        "at": clock.text(exchange.at),
        "vendor": exchange.vendor,
        "operation": exchange.operation,
        "version": exchange.version,
        "request": {
            "method": request.method,
            "target": masks.sent(request.target),
            "headers": [
                [name.decode("latin-1"), masks.header(name.decode("latin-1"), value.decode("latin-1"))]
                for name, value in request.headers
            ],
            "body": request_text(exchange, masks),
            "size": exchange.body_size,
        },
        "reply": {
            "status": exchange.status,
            "headers": [[name, masks.header(name, value)] for name, value in exchange.reply_headers],
            "media": exchange.reply_media,
            "body": reply_text(exchange),
            "size": exchange.reply_size,
        },
        "rejection": exchange.rejection,
        "source": exchange.source,
        "violations": violations_json(exchange, explainer),
        "nearest": explainer.nearest(exchange),
        "preference": exchange.preference,
        "step": exchange.step,
        "unexpected": without(exchange.unexpected, secrets) if exchange.unexpected is not None else None,
        "fault": exchange.fault.json() if exchange.fault is not None else None,
        "internal_error": exchange.internal_error,
        "changes": [_change_json(change, masks) for change in exchange.changes],
        "events": list(entry_events(exchange)),
        "microseconds": exchange.nanoseconds // 1000,
    }


def occurrence_json(occurrence: Occurrence) -> dict[str, Any]:
    return {
        "at": clock.text(occurrence.at),
        "event": occurrence.name,
        "id": occurrence.document,
        "notified": [event.name for event in occurrence.events],
        "internal_error": occurrence.internal_error,
    }


def entry_events(entry: Entry) -> Iterator[dict[str, Any]]:
    cause = entry.name if isinstance(entry, Occurrence) else str(entry.id)
    for event in entry.events:
        yield {"at": clock.text(event.at), "event": event.name, "payload": decode(event.payload), "cause": cause}


def _change_json(change: Change, masks: Masks) -> dict[str, Any]:
    return {
        "collection": change.collection.key,
        "id": change.id,
        "before": _document(change.before, masks),
        "after": _document(change.after, masks),
    }


def _document(record: Record | None, masks: Masks) -> Any:
    return None if record is None else masks.document(decode(record.body))


def _secrets(exchange: Exchange, masks: Masks) -> list[str]:
    """Those that the request holds: a sentence about it may cite them."""
    request = exchange.request
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers]
    return masks.secrets(headers, request.target, _text(request.body) or "")


def request_text(exchange: Exchange, masks: Masks) -> str | None:
    """The request's body as it is shown."""
    body = _text(exchange.request.body)
    return body if body is None else masks.sent(body)


def reply_text(exchange: Exchange) -> str | None:
    return _text(exchange.reply_body)


def violations_json(exchange: Exchange, explainer: Explainer) -> list[dict[str, Any]]:
    secrets = _secrets(exchange, explainer.masks) if exchange.violations else []
    return [
        {
            "where": violation.where,
            "message": without(violation.message, secrets),
            "kind": violation.kind,
            "spec": explainer.spec(exchange, violation),
        }
        for violation in exchange.violations
    ]


def _text(body: bytes) -> str | None:
    return body.decode("utf-8", "replace") if body else None
