"""enfore: gift cards, product and category vouchers, loyalty programs, coupon promotions, and organisation tokens."""

from promo_sandbox.vendors.enfore import gift_cards, promotions, subscriptions, tokens, vouchers
from promo_sandbox.vendors.enfore.rules import rules

__all__ = ["gift_cards", "promotions", "rules", "subscriptions", "tokens", "vouchers"]
