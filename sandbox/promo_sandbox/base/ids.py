"""Identifiers that look random and are not: the same place in a sequence gives the same one every time.

Every org counts for itself, so the same script gives the same ids in any org.
"""

from __future__ import annotations

_DIGITS = 32
_MASK = (1 << 4 * _DIGITS) - 1
# Odd, so that no two places share a number; otherwise only chosen to look like nothing.
_STEP = 0x9E3779B97F4A7C15F39CC0605CEDC835
_START = 0x5851F42D4C957F2D14057B7EF767814F
_VERSION_4 = 0x4000_8000 << 48  # and the variant of RFC 9562; where these bits are, a UUID has no others
_FREE = _MASK ^ 0xF000_C000 << 48


def digest(place: int, digits: int = _DIGITS) -> str:
    """Up to 32 hexadecimal digits."""
    return (place * _STEP + _START & _MASK).to_bytes(16).hex()[:digits]


def uuid(place: int) -> str:
    """A version 4 UUID in its usual writing."""
    raw = (place * _STEP + _START & _FREE | _VERSION_4).to_bytes(16).hex()
    return f"{raw[:8]}-{raw[8:12]}-{raw[12:16]}-{raw[16:20]}-{raw[20:]}"
