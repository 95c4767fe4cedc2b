"""Protects `/__admin` from web pages: only programs may use it.

A browser sends the origin of a page (`Origin`, `Sec-Fetch-Site`). A page whose name resolves to this machine (DNS
rebinding) is recognised by its `Host`, which is neither an address nor a name of a local network.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable
from ipaddress import IPv6Address

from promo_sandbox.base.errors import SandboxError
from promo_sandbox.base.messages import Request
from promo_sandbox.base.urls import parse_address, parse_authority

# RFC 6761 (localhost, test), RFC 6762 (local), reserved by ICANN for private use (internal): not registrable.
_LOCAL_SUFFIXES = (".localhost", ".local", ".internal", ".test")
_BRACKETED = re.compile(r"\[([^\[\]]*)\](?::[0-9]{0,5})?")
_SAME_ORIGIN = (b"same-origin", b"none")  # `none`: the user typed the address, or opened a bookmark
_MAX_CACHED = 256  # hosts, of at most this many bytes:
_MAX_LENGTH = 300


class Guard:
    """Decides which requests are rejected."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        """`names` are those of `--admin-host`. Raises `SandboxError` for one that is not a host name."""
        self._named = frozenset(map(_name, names))
        self._names = self._named | {socket.gethostname().lower().removesuffix(".")}
        self._cache: dict[bytes, bool] = {}  # by `Host`

    def rejection(self, request: Request) -> str | None:
        """Why a request is rejected; None if it is not."""
        fields = request.fields
        host = fields.get(b"host")
        if host is not None and not self._is_own_host(host):
            name = ascii(_text(host)[:100])[1:-1]
            return f"The Host {name} is not a name of this server; start it with --admin-host NAME to allow a name."
        origins = [value for name, value in request.headers if name == b"origin"] if b"origin" in fields else ()
        origin = next((origin for origin in origins if not self._is_own_origin(origin, host)), None)
        if origin is not None:
            shown = ascii(_text(origin)[:100])[1:-1]
            return (
                f"A web page of {f'the origin {shown}' if shown else 'an unknown origin'} may not use the admin API; "
                "if the server is reached under that name, start it with --admin-host NAME."
            )
        if fields.get(b"sec-fetch-site", b"none") not in _SAME_ORIGIN:
            return (
                "A web page of another origin may not use the admin API or link to it; "
                "type the address instead, or start the server with --admin-host NAME."
            )
        return None

    def _is_own_host(self, host: bytes) -> bool:
        known = self._cache.get(host)
        if known is None:
            known = _is_local(_text(host), self._names)
            if len(host) <= _MAX_LENGTH:
                if len(self._cache) >= _MAX_CACHED:
                    self._cache.clear()
                self._cache[host] = known
        return known

    def _is_own_origin(self, origin: bytes, host: bytes | None) -> bool:
        """Whether the origin is the one that the request was sent to, or has a name of `--admin-host`."""
        scheme, separator, authority = origin.lower().partition(b"://")
        if not separator or scheme not in (b"http", b"https"):
            return False
        return (host is not None and authority == host.lower()) or _host(_text(authority)) in self._named


def _name(text: str) -> str:
    """Validate a name of `--admin-host`."""
    try:
        host, port = parse_authority(text, text)
    except ValueError as error:
        raise SandboxError(f"--admin-host: {error}") from None
    if port is not None:
        raise SandboxError(f"--admin-host: {text!r} has a port; write the name alone")
    return host


def _is_local(text: str, own_names: frozenset[str]) -> bool:
    """Whether this is a name of the server, an address, or a name that cannot exist on the Internet."""
    if text.startswith("["):
        found = _BRACKETED.fullmatch(text)
        return found is not None and _is_ipv6(found[1])
    host = _host(text)
    if host is None:
        return False
    local = "." not in host or host.endswith(_LOCAL_SUFFIXES)
    return local or host in own_names or parse_address(host) is not None


def _host(text: str) -> str | None:
    """The normalised host of `HOST[:PORT]`; None if it is invalid."""
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
