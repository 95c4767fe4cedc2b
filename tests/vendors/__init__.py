"""Tests of vendors' rules, through HTTP."""
