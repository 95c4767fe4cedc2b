"""Which requests may reach `/__admin`: those of the operator's programs, and none that a web page causes.

A browser says where a page comes from (`Origin`, `Sec-Fetch-Site`). A page whose name was made to resolve to this
machine (DNS rebinding) is known by its `Host`: that is no address, and no name which only a local network has.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable
from ipaddress import IPv6Address

from promo_sandbox.base.errors import SandboxError
from promo_sandbox.base.messages import Request
from promo_sandbox.base.urls import parse_address, parse_authority

# RFC 6761 (localhost, test), RFC 6762 (local), reserved by ICANN for private use (internal): nobody can register these.
_LOCAL_SUFFIXES = (".localhost", ".local", ".internal", ".test")
_BRACKETED = re.compile(r"\[([^\[\]]*)\](?::[0-9]{0,5})?")
_SAME = (b"same-origin", b"none")  # `none`: the user typed the address, or opened a bookmark
_REMEMBERED = 256  # hosts, of at most this many bytes:
_LONGEST = 300


class Guard:
    """Says which requests are refused, and why."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        """names: those of `--admin-host`, beside the server's own. Raises `SandboxError` for what is no host name."""
        self._named = frozenset(map(_name, names))
        self._names = self._named | {socket.gethostname().lower().removesuffix(".")}
        self._known: dict[bytes, bool] = {}  # whether a `Host` is ours

    def refusal(self, request: Request) -> str | None:
        """Why a request is refused, in one sentence; None for one that is not."""
        fields = request.fields
        host = fields.get(b"host")
        if host is not None and not self._is_ours(host):
            name = ascii(_text(host)[:100])[1:-1]
            return f"The Host {name} is not a name of this server; start it with --admin-host NAME to allow a name."
        origins = [value for name, value in request.headers if name == b"origin"] if b"origin" in fields else ()
        origin = next((origin for origin in origins if not self._is_same(origin, host)), None)
        if origin is not None:
            shown = ascii(_text(origin)[:100])[1:-1]
            return (
                f"A page of the origin {shown or 'that is not named'} may not use the admin API; "
                "start the server with --admin-host NAME if it is reached under that name."
            )
        if fields.get(b"sec-fetch-site", b"none") not in _SAME:
            return (
                "A page of another origin may not use the admin API, nor link to it; "
                "type the address instead, or see --admin-host."
            )
        return None

    def _is_ours(self, host: bytes) -> bool:
        known = self._known.get(host)
        if known is None:
            known = _is_local(_text(host), self._names)
            if len(host) <= _LONGEST:
                if len(self._known) >= _REMEMBERED:
                    self._known.clear()
                self._known[host] = known
        return known

    def _is_same(self, origin: bytes, host: bytes | None) -> bool:
        """Is it the origin that the request was sent to, or one of a name that the operator gave?"""
        scheme, separator, authority = origin.lower().partition(b"://")
        if not separator or scheme not in (b"http", b"https"):
            return False
        return (host is not None and authority == host.lower()) or _host(_text(authority)) in self._named


def _name(text: str) -> str:
    """A name as `--admin-host` has it."""
    try:
        host, port = parse_authority(text, text)
    except ValueError as error:
        raise SandboxError(f"--admin-host: {error}") from None
    if port is not None:
        raise SandboxError(f"--admin-host: {text!r} has a port; write the name alone")
    return host


def _is_local(text: str, names: frozenset[str]) -> bool:
    """Is this a name of the server, an address, or a name that the Internet does not have?"""
    if text.startswith("["):
        found = _BRACKETED.fullmatch(text)
        return found is not None and _is_ipv6(found[1])
    host = _host(text)
    if host is None:
        return False
    local = "." not in host or host.endswith(_LOCAL_SUFFIXES)
    return local or host in names or parse_address(host) is not None


def _host(text: str) -> str | None:
    """The host of `HOST[:PORT]` in its one spelling; None if it is none."""
    try:
        return parse_authority(text, text)[0]
    except ValueError:
        return None


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")
