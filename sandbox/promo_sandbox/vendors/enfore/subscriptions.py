"""Subscriptions: nine operations, each on a current and a former path, over one collection. `webhooks` delivers."""

from __future__ import annotations

from urllib.parse import urlsplit

from promo_sandbox.rules import Call, Doc, Reply
from promo_sandbox.vendors.enfore.rules import rules
from promo_sandbox.vendors.enfore.vouchers import CATEGORY_VOUCHERS, GIFT_CARDS, PRODUCT_VOUCHERS

_EVENT_BY_OPERATION = {
    f"{action}{noun}{suffix}{path_version}": kind.event
    for kind, singular, plural in (
        (GIFT_CARDS, "GiftCard", "GiftCards"),
        (PRODUCT_VOUCHERS, "ProductVoucher", "ProductVouchers"),
        (CATEGORY_VOUCHERS, "CategoryVoucher", "CategoryVouchers"),
    )
    for action, noun, suffix in (
        ("get", singular, "Subscriptions"),
        ("subscribeTo", plural, ""),
        ("unsubscribeTo", plural, ""),
    )
    for path_version in ("", "Deprecated")
}


def _indexes(doc: Doc, created: int) -> list[tuple[str, int]]:
    return [(_index(doc["event"]), created)]


def _prepare(doc: Doc, call: Call) -> None:
    doc.setdefault("id", call.new_uuid())
    doc.setdefault("org_id", call.tenant)
    doc["registration"] = _registration(doc.get("event"), doc.get("callback_url"))


SUBSCRIPTIONS = rules.collection("subscriptions", indexes=_indexes, unique=("registration",), prepare=_prepare)


def _index(event: str) -> str:
    return f"subscriptions/{event}"


rules.subscribers(SUBSCRIPTIONS, list_name=_index, url_field="callback_url", https_only=True)


def _registration(event: object, callback_url: object) -> str:
    """The identity of a subscription in its org: event and URL."""
    return f"{event} {callback_url}"


def _event(call: Call) -> str:
    assert call.operation is not None  # only requests come here
    return _EVENT_BY_OPERATION[call.operation.id]


@rules.operation(*(name for name in _EVENT_BY_OPERATION if name.startswith("get")))
def get_subscriptions(call: Call) -> Reply:
    """Documented: all active subscriptions."""
    subscriptions = (_content(doc) for _, doc in call.list_view(_index(_event(call))))
    return call.reply_all(subscriptions, within=lambda items: {"items": items, "problems": []})


@rules.operation(*(name for name in _EVENT_BY_OPERATION if name.startswith("subscribe")))
def subscribe(call: Call) -> Reply:
    """Documented: https only; 201 also for an existing subscription, which keeps its id (sibling ERP API)."""
    url, event = call.body["callback_url"], _event(call)
    parts = urlsplit(url)
    if parts.scheme != "https" and not call.admits_http(url):
        call.reject("callback-not-https", f"The callback_url {url[:200]} is not an https URL.")
    if not parts.hostname:
        call.reject("invalid-request", f"The callback_url {url[:200]} names no host.")
    existing = call.find(SUBSCRIPTIONS, "registration", _registration(event, url))
    subscription = existing or call.add(
        SUBSCRIPTIONS,
        {
            "id": call.new_uuid(),
            "callback_url": url,
            "org_id": call.tenant,
            "event": event,
            "registration": _registration(event, url),
        },
    )
    return call.reply(_content(subscription))


@rules.operation(*(name for name in _EVENT_BY_OPERATION if name.startswith("unsubscribe")))
def unsubscribe(call: Call) -> Reply:
    id = call.path["subscription-id"]
    subscription = call.get(SUBSCRIPTIONS, id)
    if subscription is None or subscription["event"] != _event(call):
        call.reject("unknown-subscription", f"There is no subscription {id}.")
    call.delete(SUBSCRIPTIONS, id)
    return call.reply()


def _content(subscription: Doc) -> Doc:
    return {"id": subscription["id"], "callback_url": subscription["callback_url"]}
