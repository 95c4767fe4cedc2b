"""Parses and normalises http(s) URLs, and rejects those that parsers understand differently.

`promo_sandbox.base.callback_policy` decides which of them may be called.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

MAX_URL = 8192  # characters
_PORTS = {"http": 80, "https": 443}
_AMBIGUOUS = re.compile(r"[\x00-\x20\x7f\\\ud800-\udfff]")  # URL parsers treat these characters differently
_AUTHORITY = re.compile(r"(\[[^\[\]]*\]|[^\[\]:]*)(?::([0-9]{0,5}))?")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")  # some parsers take a name that ends in a number as an IPv4 address
_MAX_NAME = 253
_MAX_PORT = 65_535
_MAX_QUOTED = 200  # characters of a URL that an error message shows
_LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
_UNICAST = ip_network("2000::/3")  # IPv6 global unicast
_TUNNELS = (ip_network("2001::/32"), ip_network("2002::/16"))  # Teredo, 6to4: they contain an IPv4 address

Address = IPv4Address | IPv6Address


class ParsedUrl(NamedTuple):
    """The parts of a URL, normalised."""

    scheme: str
    host: str
    port: int
    path: str
    query: str  # with the question mark, or empty

    @property
    def authority(self) -> str:
        """The host, and the port if it is not the default of the scheme."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}{self.query}"


def parse_url(url: str) -> ParsedUrl:
    """Parse a URL. Like all parsers here, it raises ValueError with one sentence."""
    if len(url) > MAX_URL:
        raise ValueError(f"a URL must have at most {MAX_URL} characters, not {len(url)}")
    quoted = f"{url[:_MAX_QUOTED]!r}"
    if _AMBIGUOUS.search(url):
        raise ValueError(f"{quoted} is not a URL: it has a space, a backslash or a control character")
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise ValueError(f"{quoted} is not a URL: {error}") from None
    if parts.scheme not in _PORTS or not parts.netloc:
        raise ValueError(f"{quoted} is not http://HOST/… or https://HOST/…")
    if "@" in parts.netloc:
        raise ValueError("a URL must not have a user; leave out everything before the @")
    host, port = parse_authority(parts.netloc, url[:_MAX_QUOTED])
    query = quote(f"?{parts.query}", safe="?/%:@!$&'()*+,;=~") if parts.query else ""
    return ParsedUrl(
        parts.scheme, host, _PORTS[parts.scheme] if port is None else port, _normalise_path(parts.path), query
    )


def parse_authority(text: str, whole: str) -> tuple[str, int | None]:
    """The host and the port of `HOST` or `HOST:PORT`. whole: the text for error messages."""
    parts = _AUTHORITY.fullmatch(text)
    if parts is None or not parts[1]:
        raise ValueError(f"{whole!r} has no host, or its port is not a number")
    port = int(parts[2]) if parts[2] else None
    if port is not None and not 0 < port <= _MAX_PORT:
        raise ValueError(f"{whole!r} has a port outside 1 to 65535")
    return parse_host(parts[1]), port


def parse_host(text: str) -> str:
    """Normalise a name or an address. Unusual notations of addresses are errors, since parsers disagree about them."""
    if text.startswith("[") or ":" in text:
        return _ipv6(text.removeprefix("[").removesuffix("]"))
    if len(text) > _MAX_NAME + 1:
        raise ValueError(f"a host name must have at most {_MAX_NAME} characters, not {len(text)}")
    name = (text if text.isascii() else _idna_encode(text)).lower().removesuffix(".")
    labels = name.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        try:
            return str(IPv4Address(name))
        except ValueError:
            raise ValueError(f"{text!r} is not a host; write an IPv4 address as four decimal numbers") from None
    if len(name) > _MAX_NAME or not all(map(_LABEL.fullmatch, labels)):
        raise ValueError(f"{text!r} is not a host name")
    return name


def _ipv6(text: str) -> str:
    try:
        address = IPv6Address(text)
    except ValueError:
        raise ValueError(f"{text!r} is not an IPv6 address") from None
    if address.scope_id is not None:
        raise ValueError(
            f"{text!r} has a zone, which a callback must not have; leave out the % and everything after it"
        )
    if address.ipv4_mapped is not None:
        raise ValueError(f"{text!r} is an IPv4 address; write it as {address.ipv4_mapped}")
    return str(address)


def _idna_encode(name: str) -> str:
    import idna  # noqa: PLC0415 - its tables are large, and few names need them

    try:
        return idna.encode(name, uts46=True).decode()
    except UnicodeError as error:
        raise ValueError(f"{name!r} is not a host name: {error}") from None


def _normalise_path(path: str) -> str:
    """Percent-encode a path and remove `.` and `..`, so that no path leads out of a rewrite's source."""
    kept: list[str] = []
    segments = path.split("/")[1:] or [""]
    for segment in segments:
        decoded = unquote(segment)
        if decoded == "..":
            del kept[-1:]
        elif decoded != ".":
            kept.append(segment)
    if unquote(segments[-1]) in (".", ".."):
        kept.append("")
    return quote("/" + "/".join(kept), safe="/%:@!$&'()*+,;=~")


def parse_address(host: str) -> Address | None:
    """The address of a normalised host; None if the host is a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def is_local_name(host: str) -> bool:
    """Whether this name means the local machine everywhere (RFC 6761)."""
    return host == "localhost" or host.endswith(".localhost")


def is_loopback(address: Address) -> bool:
    return any(address in network for network in _LOOPBACK)


def is_public(address: Address) -> bool:
    """Whether this is the address of one host in the Internet, and not a tunnel to another address."""
    if address.is_multicast or not address.is_global:
        return False
    return isinstance(address, IPv4Address) or (
        address in _UNICAST and not any(address in network for network in _TUNNELS)
    )
