"""The http(s) URLs that may be called, read into one spelling; what could be read in two ways is refused.

Names and addresses as such: what of them is called, `promo_sandbox.base.callback_policy` says.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

MAX_URL = 8192  # characters
_PORTS = {"http": 80, "https": 443}
_UNFIT = re.compile(r"[\x00-\x20\x7f\\\ud800-\udfff]")  # what parsers of URLs disagree about
_AUTHORITY = re.compile(r"(\[[^\[\]]*\]|[^\[\]:]*)(?::([0-9]{0,5}))?")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")  # a name that ends in one is an IPv4 address to some
_MAX_NAME = 253
_MAX_PORT = 65_535
_CITED = 200  # characters of a text in a sentence about it
_LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
_UNICAST = ip_network("2000::/3")  # all that is given out of IPv6 to be reached from everywhere
_CARRIERS = (ip_network("2001::/32"), ip_network("2002::/16"))  # Teredo, 6to4: an IPv4 address in disguise

Address = IPv4Address | IPv6Address


class ParsedUrl(NamedTuple):
    """A URL taken apart; of everything there is one spelling."""

    scheme: str
    host: str
    port: int
    path: str
    query: str  # with its question mark, or empty

    @property
    def authority(self) -> str:
        """The host as an option takes it, with the port if it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}{self.query}"


def parse_url(url: str) -> ParsedUrl:
    """A URL's parts. Raises ValueError with one sentence, as all of these do."""
    if len(url) > MAX_URL:
        raise ValueError(f"a URL of {len(url)} characters is not called; {MAX_URL} are the most")
    cited = f"{url[:_CITED]!r}"
    if _UNFIT.search(url):
        raise ValueError(f"{cited} is no URL: it has a space, a backslash or a control character in it")
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise ValueError(f"{cited} is no URL: {error}") from None
    if parts.scheme not in _PORTS or not parts.netloc:
        raise ValueError(f"{cited} is not http://HOST/… or https://HOST/…")
    if "@" in parts.netloc:
        raise ValueError("a URL with a user in it is not called; leave out what is before the @")
    host, port = parse_authority(parts.netloc, url[:_CITED])
    query = quote(f"?{parts.query}", safe="?/%:@!$&'()*+,;=~") if parts.query else ""
    return ParsedUrl(parts.scheme, host, _PORTS[parts.scheme] if port is None else port, _plain_path(parts.path), query)


def parse_authority(text: str, whole: str) -> tuple[str, int | None]:
    """Host and port of `HOST` or `HOST:PORT`; `whole` is cited in sentences."""
    parts = _AUTHORITY.fullmatch(text)
    if parts is None or not parts[1]:
        raise ValueError(f"{whole!r} has no host, or a port that is no number")
    port = int(parts[2]) if parts[2] else None
    if port is not None and not 0 < port <= _MAX_PORT:
        raise ValueError(f"{whole!r} has a port that is not between 1 and 65535")
    return parse_host(parts[1]), port


def parse_host(text: str) -> str:
    """A name or an address in its one spelling; an address in any other is refused, as it may be read in two ways."""
    if text.startswith("[") or ":" in text:
        return _ipv6(text.removeprefix("[").removesuffix("]"))
    if len(text) > _MAX_NAME + 1:
        raise ValueError(f"a host name of {len(text)} characters is not called; {_MAX_NAME} are the most")
    name = (text if text.isascii() else _ascii(text)).lower().removesuffix(".")
    labels = name.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        try:
            return str(IPv4Address(name))
        except ValueError:
            raise ValueError(f"{text!r} is no host; write an IPv4 address as four decimal numbers") from None
    if len(name) > _MAX_NAME or not all(map(_LABEL.fullmatch, labels)):
        raise ValueError(f"{text!r} is no host name")
    return name


def _ipv6(text: str) -> str:
    try:
        address = IPv6Address(text)
    except ValueError:
        raise ValueError(f"{text!r} is no IPv6 address") from None
    if address.scope_id is not None:
        raise ValueError(f"{text!r} names a zone, which no callback may; leave out what is from the % on")
    if address.ipv4_mapped is not None:
        raise ValueError(f"{text!r} is an IPv4 address; write it as {address.ipv4_mapped}")
    return str(address)


def _ascii(name: str) -> str:
    import idna  # noqa: PLC0415 - its tables are large, and few names need them

    try:
        return idna.encode(name, uts46=True).decode()
    except UnicodeError as error:
        raise ValueError(f"{name!r} is no host name: {error}") from None


def _plain_path(path: str) -> str:
    """Encoded, and without `.` and `..`, so that no path leaves the one that it begins with."""
    kept: list[str] = []
    segments = path.split("/")[1:] or [""]
    for segment in segments:
        meant = unquote(segment)
        if meant == "..":
            del kept[-1:]
        elif meant != ".":
            kept.append(segment)
    if unquote(segments[-1]) in (".", ".."):
        kept.append("")
    return quote("/" + "/".join(kept), safe="/%:@!$&'()*+,;=~")


def parse_address(host: str) -> Address | None:
    """Of a host in its one spelling; no name is left that could be read as one."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def is_local_name(host: str) -> bool:
    """Is this a name that means this machine wherever it is said (RFC 6761)?"""
    return host == "localhost" or host.endswith(".localhost")


def is_loopback(address: Address) -> bool:
    return any(address in network for network in _LOOPBACK)


def is_public(address: Address) -> bool:
    """Is this one host of the open Internet, and surely no other address in disguise?"""
    if address.is_multicast or not address.is_global:
        return False
    return isinstance(address, IPv4Address) or (
        address in _UNICAST and not any(address in network for network in _CARRIERS)
    )
