"""Gift cards, product vouchers and category vouchers: how all three are stored, listed, read, and expire."""

from __future__ import annotations

from typing import NamedTuple

from promo_sandbox.rules import Call, Collection, Doc, Raw, Reply, encode, moment
from promo_sandbox.vendors.enfore import lists
from promo_sandbox.vendors.enfore.rules import rules

EXPIRABLE = ("ISSUED", "PARTIALLY_REDEEMED")


class VoucherKind(NamedTuple):
    """A kind of sales voucher."""

    collection: Collection
    event: str  # the callback that reports a change
    unknown: str  # the rejection for an unknown id


def _define_kind(name: str, event: str, expiry: str, unknown: str) -> VoucherKind:
    def indexes(doc: Doc, created: int) -> list[tuple[str, int]]:
        # Documented: ordered by issued_date_and_time, or by creation if a voucher has none.
        issued = doc.get("issued_date_and_time")
        return [(name, moment(issued) if issued else created)]

    def timers(doc: Doc) -> list[tuple[int, str]]:
        # Inferred: only a voucher with a balance expires; REDEEMED, CANCELED and DEACTIVATED do not change.
        expiration = doc.get("expiration_date_and_time")
        return [(moment(expiration), expiry)] if expiration and doc["status"] in EXPIRABLE else []

    def prepare(doc: Doc, call: Call) -> None:
        doc.setdefault("id", call.new_uuid())
        if name == "gift_cards":
            doc.setdefault("@type", "ExternalGiftCard" if "external_number" in doc else "InternalGiftCard")
        doc.setdefault("number", new_number(call, kind.collection))
        doc.setdefault("status", "ISSUED")

    def seeded(call: Call, doc: Doc) -> None:
        notify(call, kind, doc)

    collection = rules.collection(
        name, indexes=indexes, unique=("number", "external_number"), timers=timers, prepare=prepare, on_seeded=seeded
    )
    kind = VoucherKind(collection, event, unknown)

    @rules.on_timer(expiry)
    def expire(call: Call, id: str) -> None:
        """At `expiration_date_and_time`, a voucher with a balance becomes `EXPIRED`. Subscribers are notified."""
        voucher = call.get(collection, id)
        if voucher is not None:
            notify(call, kind, call.update(collection, voucher, status="EXPIRED"))

    return kind


def notify(call: Call, kind: VoucherKind, voucher: Doc) -> bytes | None:
    """Notify the subscribers of a new or changed voucher, and return its stored JSON, or None if it is not stored.

    Source: Promotions API 0.0.4, …SubscriptionCallback.
    """
    payload = {"org_id": call.tenant, "items": [voucher], "problems": []}
    stored = call.get_encoded(kind.collection, voucher["id"])
    call.emit(kind.event, payload, encode({**payload, "items": [Raw(stored)]}) if stored is not None else None)
    return stored


def new_number(call: Call, collection: Collection) -> str:
    """A number that enfore assigns, unique for its kind of voucher. Its format is inferred."""
    while True:
        number = str(call.new_number()).zfill(12)
        if not call.is_taken(collection, number, "number"):
            return number


GIFT_CARDS = _define_kind("gift_cards", "gift-card-changed", "expire-gift-card", "unknown-gift-card")
PRODUCT_VOUCHERS = _define_kind(
    "product_vouchers", "product-voucher-changed", "expire-product-voucher", "unknown-product-voucher"
)
CATEGORY_VOUCHERS = _define_kind(
    "category_vouchers", "category-voucher-changed", "expire-category-voucher", "unknown-category-voucher"
)


def list_vouchers(call: Call, kind: VoucherKind) -> Reply:
    """Vouchers in [from, to), ascending. A voucher must equal number and external_number (inferred: both)."""
    start, stop = lists.read_interval(call)
    filters = {field: call.query[field] for field in ("number", "external_number") if field in call.query}
    name = kind.collection.key.partition(".")[2]
    if not filters:
        return lists.reply_page(call, kind.collection, name, start=start, stop=stop)
    field, value = next(iter(filters.items()))
    voucher = call.find(kind.collection, field, value)
    if voucher is None or any(voucher.get(field) != value for field, value in filters.items()):
        return lists.reply_items(call, kind.collection, [])
    place = call.sort_number(kind.collection, voucher)
    is_on_page = start <= place < stop and call.query["offset"] == 0
    return lists.reply_items(call, kind.collection, [voucher] if is_on_page else [])


def get_voucher(call: Call, kind: VoucherKind, parameter: str) -> Reply:
    stored = call.get_encoded(kind.collection, call.path[parameter])
    if stored is None:
        noun = kind.unknown.partition("-")[2].replace("-", " ")
        call.reject(kind.unknown, f"There is no {noun} {call.path[parameter]}.")
    return call.reply(stored)


@rules.operation("getGiftCards")
def get_gift_cards(call: Call) -> Reply:
    return list_vouchers(call, GIFT_CARDS)


@rules.operation("getGiftCard")
def get_gift_card(call: Call) -> Reply:
    return get_voucher(call, GIFT_CARDS, "gift-card-id")


@rules.operation("getProductVouchers")
def get_product_vouchers(call: Call) -> Reply:
    return list_vouchers(call, PRODUCT_VOUCHERS)


@rules.operation("getProductVoucher")
def get_product_voucher(call: Call) -> Reply:
    return get_voucher(call, PRODUCT_VOUCHERS, "product-voucher-id")


@rules.operation("getCategoryVouchers")
def get_category_vouchers(call: Call) -> Reply:
    return list_vouchers(call, CATEGORY_VOUCHERS)


@rules.operation("getCategoryVoucher")
def get_category_voucher(call: Call) -> Reply:
    return get_voucher(call, CATEGORY_VOUCHERS, "category-voucher-id")
