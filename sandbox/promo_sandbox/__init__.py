"""Promo Sandbox: a stand-in for the promotion, voucher and loyalty APIs of commerce vendors."""

__version__ = "0.1.0"
