"""Promo Sandbox: a mock server for the promotion, voucher and loyalty APIs of commerce vendors.

Public are `promo_sandbox.rules` for vendors' rules, `.client` for the admin API, and `.testing` for a server inside a
test's process. Everything else is private and may move. `docs/architecture.md` shows the rooms.
"""

__version__ = "0.1.0"
