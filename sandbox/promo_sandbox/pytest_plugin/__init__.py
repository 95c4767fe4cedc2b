"""The pytest plugin `promo_sandbox`: a fresh org for each test, and what a test must not leave in it.

The server that it starts is `promo_sandbox.testing`. Start with `hooks`.
"""
