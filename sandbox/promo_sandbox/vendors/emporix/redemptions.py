"""Redemptions: whether a coupon can be redeemed, booking that, reading it and taking it back."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from promo_sandbox.rules import Call, Doc, Money, Reply
from promo_sandbox.vendors.emporix import lists
from promo_sandbox.vendors.emporix.coupons_storage import (
    MANAGE,
    ON_BEHALF,
    REDEEM,
    REDEMPTIONS,
    SEGMENTS,
    amount_of,
    begins_later,
    customer_of,
    find,
    has_ended,
    redeemed_too_often,
    redemptions_by,
    redemptions_of,
    refuse,
    whole,
)
from promo_sandbox.vendors.emporix.rules import rules


@rules.operation("validateCoupon")
def validate_coupon(call: Call) -> Reply:
    """Documented: all checks of a redemption, and nothing is booked."""
    _validated(call)
    return call.reply()


@rules.operation("redeemCoupon")
def redeem_coupon(call: Call) -> Reply:
    """Inferred: the same order may redeem twice."""
    asked = _validated(call)
    redemption = call.add(REDEMPTIONS, {"id": call.new_hex(24), **asked, "redeemedAt": call.now_text})
    return call.reply({"id": redemption["id"]})


def _validated(call: Call) -> Doc:
    """The redemption that is asked for, if nothing speaks against it."""
    given = call.members
    customer = customer_of(call, given.pop("customerNumber", None))
    # Documented: the legal entity is in the token, if it was issued for one, or in the body.
    entity = given.pop("legalEntityId", None) or (call.grant.claims.get("legal_entity") if call.grant else None)
    coupon = find(call)
    redemption = {"code": coupon["code"], **given}
    if customer is not None:
        redemption["customerNumber"] = customer
    if entity is not None:
        redemption["legalEntityId"] = entity
    redemption |= {member: whole(given[member]) for member in ("orderTotal", "discount")}
    refuse(call, list(_objections(call, coupon, redemption)))
    return redemption


def _objections(call: Call, coupon: Doc, redemption: Doc) -> Iterator[str]:
    """All that speaks against it. That it is refused: mostly documented; how: inferred from clients."""
    customer, entity = redemption.get("customerNumber"), redemption.get("legalEntityId")
    if not _may_redeem(call, coupon, customer):
        yield "coupon-redemption-forbidden"
    if coupon["segmentRestricted"] and not _belongs(call, coupon, customer):
        yield "coupon-segment-customer-not-assigned"
    if begins_later(call, coupon):
        yield "coupon-not-active"
    if has_ended(call, coupon):
        yield "coupon-expired"
    if redeemed_too_often(call, coupon) or _redeemed_too_often_by(call, coupon, customer, entity):
        yield "coupon-redemptions-exceeded"
    yield from _money_objections(coupon, amount_of(redemption["orderTotal"]), amount_of(redemption["discount"]))


def _may_redeem(call: Call, coupon: Doc, customer: str | None) -> bool:
    """Documented: anonymous users only what is open to them, others only what is for all or for them.

    Inferred from what YaaS said of the scopes: who has neither of the two to redeem is as good as anonymous.
    """
    chosen = coupon["restrictions"].get("validFor")
    if chosen and customer not in chosen:
        return False
    known = customer is not None and (call.has_scope(REDEEM) or call.has_scope(ON_BEHALF))
    return known or bool(coupon["allowAnonymous"])


def _belongs(call: Call, coupon: Doc, customer: str | None) -> bool:
    segments = (call.get(SEGMENTS, id) for id in coupon["restrictions"].get("segments", ()))
    return any(segment is not None and customer in segment["customers"] for segment in segments)


def _redeemed_too_often_by(call: Call, coupon: Doc, customer: str | None, entity: str | None) -> bool:
    """Documented: each legal entity for which a customer acts has its own allowance. Inferred: so has none of them."""
    limit = coupon["maxRedemptionsPerCustomer"]
    return customer is not None and 0 <= limit <= call.size(redemptions_by(coupon["code"], customer, entity))


def _money_objections(coupon: Doc, order: Money, discount: Money) -> Iterator[str]:
    """Inferred: which currencies must be the same, and how much is granted; to take less, even nothing, is fine."""
    kind, least = coupon["discountType"], amount_of(coupon["restrictions"].get("minOrderValue"))
    absolute = amount_of(coupon.get("discountAbsolute"))
    if (kind == "ABSOLUTE" and absolute.unit != order.unit) or (least.value > 0 and least.unit != order.unit):
        yield "coupon-currency-incorrect"
    if least.unit == order.unit and order.value < least.value:
        yield "coupon-order-total-too-low"
    if discount.unit != (absolute.unit if kind == "ABSOLUTE" else order.unit):
        yield "coupon-discount-currency-incorrect"
    elif discount.value > _granted(coupon, order, absolute, discount):
        yield "coupon-discount-amount-incorrect"


def _granted(coupon: Doc, order: Money, absolute: Money, discount: Money) -> Decimal:
    """Inferred: a percentage is rounded half up to the minor unit of the order's currency, as the page's pairs are
    (299.30 and 29.93, 369.07 and 36.91); free shipping takes off whatever it costs.
    """
    if coupon["discountType"] == "PERCENT":
        return order.percentage(coupon.get("discountPercentage", 0)).value
    return absolute.value if coupon["discountType"] == "ABSOLUTE" else discount.value


@rules.operation("listRedemptions")
def list_redemptions(call: Call) -> Reply:
    return lists.page(call, REDEMPTIONS, redemptions_of(find(call)["code"]))


@rules.operation("getRedemption")
def get_redemption(call: Call) -> Reply:
    """Documented: who may read which. Inferred: an anonymous redemption is nobody's own."""
    customer = customer_of(call, call.query.get("customerNumber"))
    redemption = _redemption(call)
    if not call.has_scope(MANAGE) and (customer is None or redemption.get("customerNumber") != customer):
        call.reject("redemption-of-another")
    return call.reply(redemption)


@rules.operation("deleteRedemption")
def delete_redemption(call: Call) -> Reply:
    """Inferred from a client's remark: the use is given back."""
    call.delete(REDEMPTIONS, _redemption(call)["id"])
    return call.reply()


def _redemption(call: Call) -> Doc:
    """Inferred: under another coupon a redemption is not found."""
    code, id = find(call)["code"], call.path["id"]
    redemption = call.get(REDEMPTIONS, id)
    if redemption is None or redemption["code"] != code:
        call.reject("unknown-redemption", f"Redemption with id {id} not found.")
    return redemption
