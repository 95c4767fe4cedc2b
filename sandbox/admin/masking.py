"""What the journal does not repeat: credentials in headers, and long-lived secrets in a request's target and body.

Whoever is shown a journal, a HAR file or a terminal should not see the key of a real account that a client has sent
here by mistake. Tokens in replies are the sandbox's own and open nothing elsewhere; they stay readable.
"""

from __future__ import annotations

import re

_SCHEMES = {"authorization", "proxy-authorization"}
_KEYS = {"x-api-key", "api-key", "apikey", "x-auth-token"}
_NAMES = ("client_secret", "password", "access_token", "refresh_token")
_ANY = re.compile("|".join(_NAMES), re.IGNORECASE)
_MEMBER = re.compile(rf'("(?:{"|".join(_NAMES)})"\s*+:\s*+")(?:[^"\\]|\\.)*+', re.IGNORECASE | re.DOTALL)
_FIELD = re.compile(rf"((?:^|[?&])(?:{'|'.join(_NAMES)})=)[^&#\s]*+", re.IGNORECASE)
_COOKIE = re.compile(r"=[^;]*+")
_MASK = "***"


def header(name: str, value: str) -> str:
    """A header's value; of a secret one, what kind of secret it is."""
    name = name.lower()
    if name in _SCHEMES:
        scheme, space, _ = value.partition(" ")
        return f"{scheme} {_MASK}" if space else _MASK  # without a scheme it is the secret itself
    if name in _KEYS:
        return _MASK
    if name == "cookie":
        return _COOKIE.sub(f"={_MASK}", value)
    if name == "set-cookie":
        pair, semicolon, attributes = value.partition(";")
        return _COOKIE.sub(f"={_MASK}", pair) + semicolon + attributes
    return value


def sent(text: str) -> str:
    """A request's target or body, JSON or a form, also one that was cut."""
    if not _ANY.search(text):
        return text
    return _FIELD.sub(rf"\1{_MASK}", _MEMBER.sub(rf"\1{_MASK}", text))
