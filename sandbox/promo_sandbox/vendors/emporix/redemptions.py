"""Operations on coupon redemptions: validate, redeem, list, read and delete."""

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
    acting_customer,
    complete_amount,
    find_coupon,
    has_expired,
    is_not_yet_valid,
    redemption_limit_reached,
    redemptions_by,
    redemptions_of,
    reject_all,
    to_money,
)
from promo_sandbox.vendors.emporix.rules import rules


@rules.operation("validateCoupon")
def validate_coupon(call: Call) -> Reply:
    """Documented: makes the checks of a redemption and stores nothing."""
    _checked_redemption(call)
    return call.reply()


@rules.operation("redeemCoupon")
def redeem_coupon(call: Call) -> Reply:
    """Inferred: the same order may redeem twice."""
    checked = _checked_redemption(call)
    redemption = call.add(REDEMPTIONS, {"id": call.new_hex(24), **checked, "redeemedAt": call.now_text})
    return call.reply({"id": redemption["id"]})


def _checked_redemption(call: Call) -> Doc:
    """The redemption that the body describes. Rejects the request if the coupon cannot be redeemed."""
    fields = call.fields
    customer = acting_customer(call, fields.pop("customerNumber", None))
    # Documented: the legal entity is in the body, or in a token that was issued for one.
    entity = fields.pop("legalEntityId", None) or (call.grant.claims.get("legal_entity") if call.grant else None)
    coupon = find_coupon(call)
    redemption = {"code": coupon["code"], **fields}
    if customer is not None:
        redemption["customerNumber"] = customer
    if entity is not None:
        redemption["legalEntityId"] = entity
    redemption |= {field: complete_amount(fields[field]) for field in ("orderTotal", "discount")}
    reject_all(call, list(_rejections(call, coupon, redemption)))
    return redemption


def _rejections(call: Call, coupon: Doc, redemption: Doc) -> Iterator[str]:
    """Names of all rejections that apply. Most conditions are documented; the bodies are inferred from clients."""
    customer, entity = redemption.get("customerNumber"), redemption.get("legalEntityId")
    if not _may_redeem(call, coupon, customer):
        yield "coupon-redemption-forbidden"
    if coupon["segmentRestricted"] and not _is_in_segment(call, coupon, customer):
        yield "coupon-segment-customer-not-assigned"
    if is_not_yet_valid(call, coupon):
        yield "coupon-not-active"
    if has_expired(call, coupon):
        yield "coupon-expired"
    if redemption_limit_reached(call, coupon) or _customer_limit_reached(call, coupon, customer, entity):
        yield "coupon-redemptions-exceeded"
    yield from _money_rejections(coupon, to_money(redemption["orderTotal"]), to_money(redemption["discount"]))


def _may_redeem(call: Call, coupon: Doc, customer: str | None) -> bool:
    """Documented: anonymous users need `allowAnonymous`; customers must be in `validFor` if it lists any.

    Inferred from the scopes of YaaS: a token without a redeem scope counts as anonymous.
    """
    allowed = coupon["restrictions"].get("validFor")
    if allowed and customer not in allowed:
        return False
    identified = customer is not None and (call.has_scope(REDEEM) or call.has_scope(ON_BEHALF))
    return identified or bool(coupon["allowAnonymous"])


def _is_in_segment(call: Call, coupon: Doc, customer: str | None) -> bool:
    segments = (call.get(SEGMENTS, id) for id in coupon["restrictions"].get("segments", ()))
    return any(segment is not None and customer in segment["customers"] for segment in segments)


def _customer_limit_reached(call: Call, coupon: Doc, customer: str | None, entity: str | None) -> bool:
    """Documented: the limit counts separately for each legal entity for which a customer acts.

    Inferred: redemptions without a legal entity count separately too.
    """
    limit = coupon["maxRedemptionsPerCustomer"]
    return customer is not None and 0 <= limit <= call.list_size(redemptions_by(coupon["code"], customer, entity))


def _money_rejections(coupon: Doc, order: Money, discount: Money) -> Iterator[str]:
    """Inferred: which currencies must match, and the largest discount. A smaller discount, even 0, is accepted."""
    kind, minimum = coupon["discountType"], to_money(coupon["restrictions"].get("minOrderValue"))
    absolute = to_money(coupon.get("discountAbsolute"))
    if (kind == "ABSOLUTE" and absolute.unit != order.unit) or (minimum.value > 0 and minimum.unit != order.unit):
        yield "coupon-currency-incorrect"
    if minimum.unit == order.unit and order.value < minimum.value:
        yield "coupon-order-total-too-low"
    if discount.unit != (absolute.unit if kind == "ABSOLUTE" else order.unit):
        yield "coupon-discount-currency-incorrect"
    elif discount.value > _max_discount(coupon, order, absolute, discount):
        yield "coupon-discount-amount-incorrect"


def _max_discount(coupon: Doc, order: Money, absolute: Money, discount: Money) -> Decimal:
    """Inferred: a percentage is rounded half up to the minor unit of the order's currency.

    The page's pairs of total and discount agree (299.30 and 29.93, 369.07 and 36.91). Free shipping has no maximum.
    """
    if coupon["discountType"] == "PERCENT":
        return order.percentage(coupon.get("discountPercentage", 0)).value
    return absolute.value if coupon["discountType"] == "ABSOLUTE" else discount.value


@rules.operation("listRedemptions")
def list_redemptions(call: Call) -> Reply:
    return lists.page(call, REDEMPTIONS, redemptions_of(find_coupon(call)["code"]))


@rules.operation("getRedemption")
def get_redemption(call: Call) -> Reply:
    """Documented: who may read which redemption. Inferred: an anonymous redemption belongs to no customer."""
    customer = acting_customer(call, call.query.get("customerNumber"))
    redemption = _find_redemption(call)
    if not call.has_scope(MANAGE) and (customer is None or redemption.get("customerNumber") != customer):
        call.reject("redemption-of-another")
    return call.reply(redemption)


@rules.operation("deleteRedemption")
def delete_redemption(call: Call) -> Reply:
    """Inferred from a remark of a client: after the deletion, the coupon can be redeemed once more."""
    call.delete(REDEMPTIONS, _find_redemption(call)["id"])
    return call.reply()


def _find_redemption(call: Call) -> Doc:
    """Inferred: a redemption of another coupon is not found."""
    code, id = find_coupon(call)["code"], call.path["id"]
    redemption = call.get(REDEMPTIONS, id)
    if redemption is None or redemption["code"] != code:
        call.reject("unknown-redemption", f"Redemption with id {id} not found.")
    return redemption
