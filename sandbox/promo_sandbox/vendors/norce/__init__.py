"""Norce: promotions, their unique codes, and access tokens."""

from promo_sandbox.vendors.norce import identity, promotions, unique_codes
from promo_sandbox.vendors.norce.rules import rules

__all__ = ["identity", "promotions", "rules", "unique_codes"]
