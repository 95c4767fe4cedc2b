"""Norce: promotions, their unique codes, and the tokens that they need."""

from sandbox.vendors.norce import identity, promotions, unique_codes
from sandbox.vendors.norce.rules import rules

__all__ = ["identity", "promotions", "rules", "unique_codes"]
