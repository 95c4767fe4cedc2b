"""Tests of `sandbox.openapi`, a module each."""
