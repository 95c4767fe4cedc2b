"""What a coupon's dates bring about, and when: nothing but the telling, as its status is worked out when it is read."""

from __future__ import annotations

from promo_sandbox.rules import Call, Doc, moment

START, EXPIRY = "start-coupon", "expire-coupon"
_EVENTS = {"validFrom": START, "validUntil": EXPIRY}


def timers(coupon: Doc) -> list[tuple[int, str]]:
    """Each of its dates that was still to come falls due once."""
    coming = coupon.get("coming")
    if not coming or coupon["deleted"]:
        return []
    dates = coupon["restrictions"]
    return [(_due(date, dates[date]), _EVENTS[date]) for date in coming if date in dates]


def dated(call: Call, coupon: Doc) -> Doc:
    """With those of its dates that are still to come: what was over when it was stored does not fall due."""
    dates = {date: text for date, text in coupon["restrictions"].items() if date in _EVENTS}
    if not dates:
        return {member: value for member, value in coupon.items() if member != "coming"}
    return {**coupon, "coming": [date for date, text in dates.items() if _due(date, text) > call.now]}


def _due(date: str, text: str) -> int:
    """The moment at which a date makes a difference. The last one still counts, see `coupons_storage.has_ended`."""
    return moment(text) + (date == "validUntil")
