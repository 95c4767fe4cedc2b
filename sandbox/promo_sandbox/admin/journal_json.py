"""The journal as JSON. It is encoded only when it is read, because the journal keeps bytes and references."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from promo_sandbox.admin.explanations import Explainer
from promo_sandbox.base import clock
from promo_sandbox.base.masking import MASK, Masks, remove_secrets
from promo_sandbox.base.messages import decode_trusted
from promo_sandbox.model.journal import Entry, Exchange, Occurrence
from promo_sandbox.model.state import Change, Record

_MAX_SEARCHED = 131_072  # bytes of an exchange's documents in which secrets are masked; further ones are masked whole


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
            "target": masks.mask_message(request.target),
            "headers": [
                [name.decode("latin-1"), masks.mask_header(name.decode("latin-1"), value.decode("latin-1"))]
                for name, value in request.headers
            ],
            "body": request_text(exchange, masks),
            "size": exchange.body_size,
        },
        "reply": {
            "status": exchange.status,
            "headers": [[name, masks.mask_header(name, value)] for name, value in exchange.reply_headers],
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
        "unexpected": remove_secrets(exchange.unexpected, secrets) if exchange.unexpected is not None else None,
        "fault": exchange.fault.json() if exchange.fault is not None else None,
        "internal_error": exchange.internal_error,
        "changes": list(_changes_json(exchange.changes, masks)),
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
        yield {
            "at": clock.text(event.at),
            "event": event.name,
            "payload": decode_trusted(event.payload),
            "cause": cause,
        }


def _changes_json(changes: list[Change], masks: Masks) -> Iterator[dict[str, Any]]:
    searched = 0  # bytes

    def shown(record: Record | None) -> Any:
        nonlocal searched
        if record is None or not masks.may_have_secrets(record.body):
            return None if record is None else decode_trusted(record.body)
        searched += len(record.body)
        return masks.mask_document(decode_trusted(record.body)) if searched <= _MAX_SEARCHED else {MASK: MASK}

    for change in changes:
        yield {
            "collection": change.collection.key,
            "id": change.id,
            "before": shown(change.before),
            "after": shown(change.after),
        }


def _secrets(exchange: Exchange, masks: Masks) -> list[str]:
    """The secrets in the request. A message about the request may contain them."""
    request = exchange.request
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers]
    return masks.find_secrets(headers, request.target, _text(request.body) or "")


def request_text(exchange: Exchange, masks: Masks) -> str | None:
    """The request's body, with secrets masked."""
    body = _text(exchange.request.body)
    return body if body is None else masks.mask_message(body)


def reply_text(exchange: Exchange) -> str | None:
    return _text(exchange.reply_body)


def violations_json(exchange: Exchange, explainer: Explainer) -> list[dict[str, Any]]:
    secrets = _secrets(exchange, explainer.masks) if exchange.violations else []
    return [
        {
            "where": violation.where,
            "message": remove_secrets(violation.message, secrets),
            "kind": violation.kind,
            "spec": explainer.spec(exchange, violation),
        }
        for violation in exchange.violations
    ]


def _text(body: bytes) -> str | None:
    return body.decode("utf-8", "replace") if body else None
