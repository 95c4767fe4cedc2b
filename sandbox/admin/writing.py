"""The journal as JSON: what was kept as bytes and references, written down for whoever asks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sandbox import clock
from sandbox.journal import Entry, Exchange, Occurrence
from sandbox.messages import decode
from sandbox.state import Change, Record

_SECRET = {b"authorization", b"proxy-authorization"}


def exchange_json(exchange: Exchange) -> dict[str, Any]:
    request = exchange.request
    return {
        "id": exchange.id,
        "at": clock.text(exchange.at),
        "vendor": exchange.vendor,
        "operation": exchange.operation,
        "request": {
            "method": request.method,
            "target": request.target,
            "headers": [[name.decode("latin-1"), _shown(name, value)] for name, value in request.headers],
            "body": _text(request.body),
            "size": exchange.body_size,
        },
        "reply": {
            "status": exchange.status,
            "headers": [list(header) for header in exchange.reply_headers],
            "media": exchange.reply_media,
            "body": _text(exchange.reply_body),
            "size": exchange.reply_size,
        },
        "rejection": exchange.rejection,
        "source": exchange.source,
        "violations": [violation._asdict() for violation in exchange.violations],
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
    return None if record is None else decode(record[0])


def _text(body: bytes) -> str | None:
    return body.decode("utf-8", "replace") if body else None


def _shown(name: bytes, value: bytes) -> str:
    """A header's value, a secret one only by its scheme."""
    text = value.decode("latin-1")
    return f"{text.partition(' ')[0]} ***" if name in _SECRET else text
