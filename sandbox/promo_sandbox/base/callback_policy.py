"""The rules for callback URLs: which hosts may be called, and which rewrites lead elsewhere.

This module only checks texts and addresses. `promo_sandbox.webhooks.resolver` resolves names, and
`promo_sandbox.webhooks.sender` sends the requests.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import NamedTuple

from promo_sandbox.base.urls import (
    Address,
    ParsedUrl,
    is_local_name,
    is_loopback,
    is_public,
    parse_address,
    parse_authority,
    parse_host,
    parse_url,
)

_EXAMPLE_RECEIVER = "http://127.0.0.1:9000/"

Network = IPv4Network | IPv6Network


class NotAllowed(Exception):
    """The callback is not allowed. The reason is a sentence; it names the option that would allow the callback."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Rewrite(NamedTuple):
    """A URL that begins with `source` is called at `target` plus the rest of its path. Both are URLs."""

    source: str
    target: str


class Target(NamedTuple):
    """The URL that is called."""

    url: str  # normalised, ASCII only
    host: str  # a name or an address
    port: int
    trusted: bool  # a rewrite of the operator leads here: every address is allowed
    rewrite: Rewrite | None = None  # the rewrite that was applied


class _Rule(NamedTuple):
    """A rewrite with its parsed URLs."""

    rewrite: Rewrite
    source: ParsedUrl
    target: ParsedUrl


class _Entry(NamedTuple):
    """One `--callback-allow`: a name or a network, with one port or any port."""

    name: str  # `.example.com` means all names that end so
    network: Network | None
    port: int | None

    def admits_name(self, host: str, port: int) -> bool:
        named = host.endswith(self.name) if self.name.startswith(".") else host == self.name
        return self.network is None and named and self.port in (None, port)

    def admits_address(self, address: Address, port: int) -> bool:
        return self.network is not None and address in self.network and self.port in (None, port)


def parse_rewrite(text: str) -> Rewrite:
    """Parse `FROM=TO`, both http(s) URLs. Raises ValueError with one sentence."""
    parts = re.fullmatch(r"(.+?)=(https?://.*)", text, re.IGNORECASE | re.DOTALL)
    if parts is None:
        raise ValueError(f"{text!r} is not FROM=TO, such as https://shop.example/={_EXAMPLE_RECEIVER}")
    rewrite = Rewrite(parts[1], parts[2])
    _rule(rewrite)
    return rewrite


class Policy:
    """Which hosts may be called: loopback, the entries of `allow`, and the targets of the operator's `rewrites`."""

    def __init__(
        self, allow: Iterable[str] = (), rewrites: Iterable[Rewrite] = (), *, allow_http: bool = False
    ) -> None:
        """allow: names, `*.example.com`, addresses (all with an optional `:port`), and networks.

        Raises ValueError with one sentence for an invalid entry or rewrite.
        """
        self.allow_http = allow_http
        self.rewrites = tuple(rewrites)
        self._entries = tuple(_entry(text) for text in allow)
        self._rules = tuple(_rule(rewrite) for rewrite in self.rewrites)
        self._trusted = frozenset((rule.target.host, rule.target.port) for rule in self._rules)

    def target(self, url: str, rewrites_of_org: Iterable[Rewrite] = ()) -> Target:
        """The URL that is called for this URL: the rewrite with the longest matching source applies.

        A rewrite of the org goes before one of the operator. Addresses of a name are checked later, by
        `validate_address`. Raises NotAllowed.
        """
        try:
            parsed = parse_url(url)
            rules = [*map(_rule, rewrites_of_org), *self._rules]
        except ValueError as error:
            raise NotAllowed(f"{error}") from None
        matching = (rule for rule in rules if _matches(rule, parsed))
        rule = max(matching, key=lambda rule: len(rule.source.path), default=None)
        if rule is None:
            self._validate(parsed)
            return Target(parsed.url, parsed.host, parsed.port, trusted=False)
        rewritten = rule.target._replace(path=_rewritten_path(rule, parsed), query=parsed.query)
        trusted = rule in self._rules
        if not trusted:
            self._validate(rewritten)
        return Target(rewritten.url, rewritten.host, rewritten.port, trusted, rule.rewrite)

    def target_of_connection(self, host: str, port: int) -> Target:
        """The target of a connection to this host and port, for any URL. Raises NotAllowed."""
        try:
            parsed = ParsedUrl("http", parse_host(host), port, "/", "")
        except ValueError as error:
            raise NotAllowed(f"{error}") from None
        trusted = (parsed.host, port) in self._trusted
        if not trusted:
            self._validate(parsed)
        return Target(parsed.url, parsed.host, port, trusted)

    def validate_address(self, target: Target, address: str) -> None:
        """Check one address that the target's host resolves to. Raises NotAllowed."""
        try:
            parsed = ip_address(address)
        except ValueError:
            raise NotAllowed(f"{target.host} resolves to {address}, which is not an address") from None
        if target.trusted or self._admits_address(parsed, target.port):
            return
        if is_local_name(target.host) and is_loopback(parsed):
            return
        if self._admits_name(target.host, target.port) and is_public(parsed):
            return
        expected = "loopback" if is_local_name(target.host) else "public"
        without_zone = str(parsed).partition("%")[0]
        raise NotAllowed(
            f"{target.host} resolves to {address}, which is not a {expected} address; "
            f"to allow it, start the server with --callback-allow {without_zone}"
        )

    def validate_rewrite(self, rewrite: Rewrite) -> None:
        """Check an org's rewrite: it must lead to loopback or to an allowed host.

        Raises NotAllowed, or ValueError with one sentence if the rewrite is invalid.
        """
        target = _rule(rewrite).target
        try:
            self._validate(target)
        except NotAllowed:
            raise NotAllowed(
                "an org's rewrite must lead to loopback or to a host that the server allows, "
                f"not to {target.authority}; start the server with --callback-allow {target.authority}, "
                f"or --callback-rewrite {rewrite.source}={rewrite.target}"
            ) from None

    def allows_http(self, url: str) -> bool:
        """Whether this is an http URL on loopback and the operator allows such URLs for https-only vendors."""
        if not self.allow_http:
            return False
        try:
            parsed = parse_url(url)
        except ValueError:
            return False
        address = parse_address(parsed.host)
        return parsed.scheme == "http" and (is_local_name(parsed.host) if address is None else is_loopback(address))

    def _validate(self, parsed: ParsedUrl) -> None:
        address = parse_address(parsed.host)
        if address is None:
            allowed = is_local_name(parsed.host) or self._admits_name(parsed.host, parsed.port)
        else:
            allowed = is_loopback(address) or self._admits_address(address, parsed.port)
        if not allowed:
            raise NotAllowed(
                f"{parsed.authority} is not allowed; start the server with --callback-allow {parsed.authority}, "
                f"or --callback-rewrite {parsed.scheme}://{parsed.authority}/={_EXAMPLE_RECEIVER}"
            )

    def _admits_name(self, host: str, port: int) -> bool:
        return any(entry.admits_name(host, port) for entry in self._entries)

    def _admits_address(self, address: Address, port: int) -> bool:
        return any(entry.admits_address(address, port) for entry in self._entries)


@lru_cache(maxsize=1024)  # each delivery passes the rewrites of its org
def _rule(rewrite: Rewrite) -> _Rule:
    source, target = parse_url(rewrite.source), parse_url(rewrite.target)
    for url, parsed in zip(rewrite, (source, target), strict=True):
        if parsed.query or "?" in url or "#" in url:
            raise ValueError(f"{url!r} has a query or a fragment; a rewrite replaces only the beginning of a path")
    return _Rule(rewrite, source, target)


def _matches(rule: _Rule, url: ParsedUrl) -> bool:
    source = rule.source
    return source[:3] == url[:3] and f"{url.path}/".startswith(f"{source.path.rstrip('/')}/")


def _rewritten_path(rule: _Rule, url: ParsedUrl) -> str:
    """The target's path, followed by the part of the URL's path after the source's path."""
    source = rule.source.path
    rest = url.path[len(source.rstrip("/")) :]
    if not rest or (rest == "/" and source.endswith("/")):
        return rule.target.path
    return rule.target.path.rstrip("/") + rest


def _entry(text: str) -> _Entry:
    if "//" in text:
        raise ValueError(f"{text!r} is a URL; write only its host")
    if "%" in text:
        raise ValueError(f"{text!r} has a zone; leave out the % and everything after it")
    try:
        return _Entry("", ip_network(text.removeprefix("[").removesuffix("]")), None)
    except ValueError as error:
        if "/" in text:
            raise ValueError(f"{text!r} is not a host, *.DOMAIN, address or network: {error}") from None
    name = text.removeprefix("*.")
    host, port = parse_authority(name, text)
    address = parse_address(host)
    if address is not None and name == text:
        return _Entry("", ip_network(address), port)
    if address is not None:
        raise ValueError(f"{text!r} is not *.DOMAIN; write a network as 10.0.0.0/8")
    return _Entry(host if name == text else f".{host}", None, port)
