"""The constraints on a coupon's fields. Each one that a coupon breaks gives the name of a rejection."""

from __future__ import annotations

from collections.abc import Iterator

from promo_sandbox.rules import Doc, moment


def broken_constraints(coupon: Doc) -> Iterator[str]:
    """Names of rejections. All are documented (Coupon Service API reference), except `validity-reversed`."""
    yield from _discount(coupon)
    yield from _customers(coupon)
    yield from _segments(coupon)
    yield from _categories(coupon)
    begin, end = coupon["restrictions"].get("validFrom"), coupon["restrictions"].get("validUntil")
    if begin is not None and end is not None and moment(end) < moment(begin):
        yield "validity-reversed"


def _discount(coupon: Doc) -> Iterator[str]:
    """The field of another discount type is accepted and ignored, because the tutorial sends it."""
    kind = coupon["discountType"]
    if kind == "PERCENT" and "discountPercentage" not in coupon:
        yield "percent-needs-percentage"
    if kind == "ABSOLUTE" and "discountAbsolute" not in coupon:
        yield "absolute-needs-amount"


def _customers(coupon: Doc) -> Iterator[str]:
    """An empty list and -1 mean no restriction. The tutorial sends both for coupons that are open to everyone."""
    if coupon["allowAnonymous"] and coupon["restrictions"].get("validFor"):
        yield "anonymous-with-customers"
    if coupon["allowAnonymous"] and coupon["maxRedemptionsPerCustomer"] != -1:
        yield "anonymous-with-customer-limit"


def _segments(coupon: Doc) -> Iterator[str]:
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


def _categories(coupon: Doc) -> Iterator[str]:
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
