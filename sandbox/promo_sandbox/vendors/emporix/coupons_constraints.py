"""What a coupon can be: every rule of a sound coupon, as the name of the rejection for what breaks it."""

from __future__ import annotations

from collections.abc import Iterator

from promo_sandbox.rules import Doc, moment


def flaws(coupon: Doc) -> Iterator[str]:
    """All that is wrong with it. Documented, each (Coupon Service API reference), but for the reversed validity."""
    yield from _of_discount(coupon)
    yield from _of_customers(coupon)
    yield from _of_segments(coupon)
    yield from _of_categories(coupon)
    begin, end = coupon["restrictions"].get("validFrom"), coupon["restrictions"].get("validUntil")
    if begin is not None and end is not None and moment(end) < moment(begin):
        yield "validity-reversed"


def _of_discount(coupon: Doc) -> Iterator[str]:
    """The member of another type may be there and means nothing: the tutorial sends it."""
    kind = coupon["discountType"]
    if kind == "PERCENT" and "discountPercentage" not in coupon:
        yield "percent-needs-percentage"
    if kind == "ABSOLUTE" and "discountAbsolute" not in coupon:
        yield "absolute-needs-amount"


def _of_customers(coupon: Doc) -> Iterator[str]:
    """An empty list and -1 say nothing: the tutorial sends both with coupons that are open to all."""
    if coupon["allowAnonymous"] and coupon["restrictions"].get("validFor"):
        yield "anonymous-with-customers"
    if coupon["allowAnonymous"] and coupon["maxRedemptionsPerCustomer"] != -1:
        yield "anonymous-with-customer-limit"


def _of_segments(coupon: Doc) -> Iterator[str]:
    segments = coupon["restrictions"].get("segments")
    if not coupon["segmentRestricted"]:
        if segments:
            yield "segments-without-flag"
        return
    if not segments:
        yield "segments-missing"
    if coupon["categoryRestricted"]:
        yield "segments-with-categories"
    if coupon["restrictions"].get("validFor"):
        yield "segments-with-customers"


def _of_categories(coupon: Doc) -> Iterator[str]:
    included = coupon["restrictions"].get("includedCategories", [])
    excluded = coupon["restrictions"].get("excludedCategories", [])
    if not coupon["categoryRestricted"]:
        if included or excluded:
            yield "categories-without-flag"
        return
    if not included:
        yield "categories-missing"
    if not set(included).isdisjoint(excluded):
        yield "categories-overlap"
    if coupon["discountType"] == "FREE_SHIPPING":
        yield "free-shipping-with-categories"
