"""The journal as JSON: what was kept as bytes and references, written down for whoever asks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sandbox import clock
from sandbox.admin import masking
from sandbox.admin.explaining import Explainer
from sandbox.journal import Entry, Exchange, Occurrence
from sandbox.messages import decode
from sandbox.state import Change, Record


def exchange_json(org: str, exchange: Exchange, explainer: Explainer) -> dict[str, Any]:
    request = exchange.request
    return {
        "id": exchange.id,
        "org": org,
        "at": clock.text(exchange.at),
        "vendor": exchange.vendor,
        "operation": exchange.operation,
        "version": exchange.version,
        "request": {
            "method": request.method,
            "target": masking.sent(request.target),
            "headers": [
                [name.decode("latin-1"), masking.header(name.decode("latin-1"), value.decode("latin-1"))]
                for name, value in request.headers
            ],
            "body": request_text(exchange),
            "size": exchange.body_size,
        },
        "reply": {
            "status": exchange.status,
            "headers": [[name, masking.header(name, value)] for name, value in exchange.reply_headers],
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
        "unexpected": exchange.unexpected,
        "fault": exchange.fault.json() if exchange.fault is not None else None,
        "defect": exchange.defect,
        "changes": [_change_json(change) for change in exchange.changes],
        "events": list(entry_events(exchange)),
        "microseconds": exchange.nanoseconds // 1000,
    }


def occurrence_json(occurrence: Occurrence) -> dict[str, Any]:
    return {
        "at": clock.text(occurrence.at),
        "event": occurrence.name,
        "id": occurrence.document,
        "told": [event.name for event in occurrence.events],
        "defect": occurrence.defect,
    }


def entry_events(entry: Entry) -> Iterator[dict[str, Any]]:
    cause = entry.name if isinstance(entry, Occurrence) else str(entry.id)
    for event in entry.events:
        yield {"at": clock.text(event.at), "event": event.name, "payload": decode(event.payload), "cause": cause}


def _change_json(change: Change) -> dict[str, Any]:
    return {
        "collection": change.collection.key,
        "id": change.id,
        "before": _document(change.before),
        "after": _document(change.after),
    }


def _document(record: Record | None) -> Any:
    return None if record is None else decode(record.body)


def request_text(exchange: Exchange) -> str | None:
    """The request's body as it is shown."""
    body = _text(exchange.request.body)
    return body if body is None else masking.sent(body)


def reply_text(exchange: Exchange) -> str | None:
    return _text(exchange.reply_body)


def violations_json(exchange: Exchange, explainer: Explainer) -> list[dict[str, Any]]:
    return [
        {
            "where": violation.where,
            "message": violation.message,
            "kind": violation.kind,
            "spec": explainer.spec(exchange, violation),
        }
        for violation in exchange.violations
    ]


def _text(body: bytes) -> str | None:
    return body.decode("utf-8", "replace") if body else None
