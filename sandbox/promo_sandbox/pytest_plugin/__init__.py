"""The pytest plugin `promo_sandbox`: a new org for each test, which must have no problems when the test ends.

`promo_sandbox.testing` starts the server. Start with `hooks`.
"""
