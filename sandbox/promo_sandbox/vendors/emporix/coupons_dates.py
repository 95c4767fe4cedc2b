"""The timers of a coupon's dates. They only produce events; the status is computed when a coupon is read."""

from __future__ import annotations

from promo_sandbox.rules import Call, Doc, moment

START, EXPIRY = "start-coupon", "expire-coupon"
_EVENTS = {"validFrom": START, "validUntil": EXPIRY}


def timers(coupon: Doc) -> list[tuple[int, str]]:
    """Each date that was in the future when the coupon was stored becomes due once."""
    coming = coupon.get("coming")
    if not coming or coupon["deleted"]:
        return []
    dates = coupon["restrictions"]
    return [(_event_time(date, dates[date]), _EVENTS[date]) for date in coming if date in dates]


def with_upcoming_dates(call: Call, coupon: Doc) -> Doc:
    """The coupon with the names of its future dates in `coming`. A date in the past never becomes due."""
    dates = {date: text for date, text in coupon["restrictions"].items() if date in _EVENTS}
    if not dates:
        return {field: value for field, value in coupon.items() if field != "coming"}
    return {**coupon, "coming": [date for date, text in dates.items() if _event_time(date, text) > call.now]}


def _event_time(date: str, text: str) -> int:
    """The moment at which the event happens. At `validUntil` itself the coupon is still valid (`has_expired`)."""
    return moment(text) + (date == "validUntil")
