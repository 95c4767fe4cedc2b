"""Tests any server against the specifications: `verify` with generated requests, `parity` with written cases.

What a report looks like is in `reports`. Start with `options`, which both commands share.
"""
