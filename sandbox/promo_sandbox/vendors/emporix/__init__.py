"""Emporix: reward points, coupons, and the tokens and customers that they need."""

from promo_sandbox.vendors.emporix import (
    coupons,
    customers,
    identity,
    points,
    points_summaries,
    redeem_options,
    redemptions,
)
from promo_sandbox.vendors.emporix.rules import rules

__all__ = ["coupons", "customers", "identity", "points", "points_summaries", "redeem_options", "redemptions", "rules"]
