"""Tests of `promo_sandbox.openapi`, one module for each of its modules."""
