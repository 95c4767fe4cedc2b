"""Tests of `sandbox.admin`."""
