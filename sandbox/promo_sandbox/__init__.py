"""Promo Sandbox: a mock server for the promotion, voucher and loyalty APIs of commerce vendors.

Public modules: `promo_sandbox.rules` for the rules of vendors, `.client` for the admin API, and `.testing` for a
server inside a test's process. All other modules are private and may move; see `docs/architecture.md`.
"""

__version__ = "0.1.0"
