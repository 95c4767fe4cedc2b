"""Tests of `promo_sandbox.openapi`, a module each."""
