"""Identifiers that look random but are reproducible: the same number always gives the same identifier.

Each org has its own counter, so the same requests give the same ids in every org.
"""

from __future__ import annotations

_DIGITS = 32
_MASK = (1 << 4 * _DIGITS) - 1
# Odd, so that different numbers give different ids. Apart from that, both values are arbitrary.
_STEP = 0x9E3779B97F4A7C15F39CC0605CEDC835
_START = 0x5851F42D4C957F2D14057B7EF767814F
_VERSION_4 = 0x4000_8000 << 48  # the bits of the version and of the variant (RFC 9562)
_FREE = _MASK ^ 0xF000_C000 << 48


def digest(number: int, digits: int = _DIGITS) -> str:
    """Up to 32 hexadecimal digits."""
    return (number * _STEP + _START & _MASK).to_bytes(16).hex()[:digits]


def uuid(number: int) -> str:
    """A version 4 UUID as text."""
    raw = (number * _STEP + _START & _FREE | _VERSION_4).to_bytes(16).hex()
    return f"{raw[:8]}-{raw[8:12]}-{raw[12:16]}-{raw[16:20]}-{raw[20:]}"
