"""Tests of `promo_sandbox.admin`."""
