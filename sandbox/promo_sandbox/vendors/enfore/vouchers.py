"""What gift cards, product vouchers and category vouchers share: how they are stored, listed, read, and expire."""

from __future__ import annotations

from typing import NamedTuple

from promo_sandbox.rules import Call, Collection, Doc, Raw, Reply, encoded, moment
from promo_sandbox.vendors.enfore import lists
from promo_sandbox.vendors.enfore.rules import rules

EXPIRABLE = ("ISSUED", "PARTIALLY_REDEEMED")


class Kind(NamedTuple):
    """A kind of sales voucher."""

    collection: Collection
    event: str  # the callback that tells of a change
    unknown: str  # the rejection for an id that is none


def _declare(name: str, event: str, expiry: str, unknown: str) -> Kind:
    def indexes(doc: Doc, created: int) -> list[tuple[str, int]]:
        # Documented: ordered by issued_date_and_time, or by the import into the system where there is none.
        issued = doc.get("issued_date_and_time")
        return [(name, moment(issued) if issued else created)]

    def timers(doc: Doc) -> list[tuple[int, str]]:
        # Inferred: a voucher that still has a balance expires; REDEEMED, CANCELED and DEACTIVATED stay.
        expiration = doc.get("expiration_date_and_time")
        return [(moment(expiration), expiry)] if expiration and doc["status"] in EXPIRABLE else []

    def prepare(doc: Doc, call: Call) -> None:
        doc.setdefault("id", call.new_uuid())
        if name == "gift_cards":
            doc.setdefault("@type", "ExternalGiftCard" if "external_number" in doc else "InternalGiftCard")
        doc.setdefault("number", new_number(call, kind.collection))
        doc.setdefault("status", "ISSUED")

    def seeded(call: Call, doc: Doc) -> None:
        tell(call, kind, doc)

    collection = rules.collection(
        name, indexes=indexes, unique=("number", "external_number"), timers=timers, prepare=prepare, seeded=seeded
    )
    kind = Kind(collection, event, unknown)

    @rules.on_timer(expiry)
    def expire(call: Call, id: str) -> None:
        """At `expiration_date_and_time`, what still has something left becomes `EXPIRED`; subscribers hear of it."""
        voucher = call.get(collection, id)
        if voucher is not None:
            tell(call, kind, call.update(collection, voucher, status="EXPIRED"))

    return kind


def tell(call: Call, kind: Kind, voucher: Doc) -> bytes | None:
    """Tell the subscribers of a new or changed voucher, which is returned as it is stored, if it is.

    Source: Promotions API 0.0.4, …SubscriptionCallback.
    """
    payload = {"org_id": call.tenant, "items": [voucher], "problems": []}
    stored = call.get_encoded(kind.collection, voucher["id"])
    call.emit(kind.event, payload, encoded({**payload, "items": [Raw(stored)]}) if stored is not None else None)
    return stored


def new_number(call: Call, collection: Collection) -> str:
    """A number that enfore assigns: unique among those of its kind. Its form is inferred."""
    while True:
        number = str(call.new_number()).zfill(12)
        if not call.is_taken(collection, number, "number"):
            return number


GIFT_CARDS = _declare("gift_cards", "gift-card-changed", "expire-gift-card", "unknown-gift-card")
PRODUCT_VOUCHERS = _declare(
    "product_vouchers", "product-voucher-changed", "expire-product-voucher", "unknown-product-voucher"
)
CATEGORY_VOUCHERS = _declare(
    "category_vouchers", "category-voucher-changed", "expire-category-voucher", "unknown-category-voucher"
)


def voucher_list(call: Call, kind: Kind) -> Reply:
    """Ascending in [from, to); number and external_number narrow it further, both exactly (the "and" is inferred)."""
    start, stop = lists.interval(call)
    wanted = {member: call.query[member] for member in ("number", "external_number") if member in call.query}
    name = kind.collection.key.partition(".")[2]
    if not wanted:
        return lists.page(call, kind.collection, name, start=start, stop=stop)
    member, value = next(iter(wanted.items()))
    voucher = call.find(kind.collection, member, value)
    if voucher is None or any(voucher.get(member) != value for member, value in wanted.items()):
        return lists.reply(call, kind.collection, [])
    place = call.place(kind.collection, voucher)
    return lists.reply(call, kind.collection, [voucher] if start <= place < stop and call.query["offset"] == 0 else [])


def voucher(call: Call, kind: Kind, parameter: str) -> Reply:
    found = call.get_encoded(kind.collection, call.path[parameter])
    if found is None:
        noun = kind.unknown.partition("-")[2].replace("-", " ")
        call.reject(kind.unknown, f"There is no {noun} {call.path[parameter]}.")
    return call.reply(found)


@rules.operation("getGiftCards")
def get_gift_cards(call: Call) -> Reply:
    return voucher_list(call, GIFT_CARDS)


@rules.operation("getGiftCard")
def get_gift_card(call: Call) -> Reply:
    return voucher(call, GIFT_CARDS, "gift-card-id")


@rules.operation("getProductVouchers")
def get_product_vouchers(call: Call) -> Reply:
    return voucher_list(call, PRODUCT_VOUCHERS)


@rules.operation("getProductVoucher")
def get_product_voucher(call: Call) -> Reply:
    return voucher(call, PRODUCT_VOUCHERS, "product-voucher-id")


@rules.operation("getCategoryVouchers")
def get_category_vouchers(call: Call) -> Reply:
    return voucher_list(call, CATEGORY_VOUCHERS)


@rules.operation("getCategoryVoucher")
def get_category_voucher(call: Call) -> Reply:
    return voucher(call, CATEGORY_VOUCHERS, "category-voucher-id")
