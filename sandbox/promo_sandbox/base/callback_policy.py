"""Where a callback really goes, and whether it may: rewrites, what the operator allows, addresses.

Judges texts and addresses only; `promo_sandbox.webhooks.resolver` asks for names, and who delivers makes the calls.
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

_RECEIVER = "http://127.0.0.1:9000/"  # as an example

Network = IPv4Network | IPv6Network


class NotAllowed(Exception):
    """A callback must not go there; the reason is a sentence that names the option that would allow it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Rewrite(NamedTuple):
    """Calls to what begins with `source` go to `target` and what follows; both are URLs."""

    source: str
    target: str


class Target(NamedTuple):
    """Where a call goes: the URL in one spelling, ASCII only; its host (a name or an address) and port."""

    url: str
    host: str
    port: int
    trusted: bool  # the operator's rewrite led here: whatever address it resolves to
    rewrite: Rewrite | None = None  # that led here


class _Rule(NamedTuple):
    """A rewrite, compiled."""

    rewrite: Rewrite
    source: ParsedUrl
    target: ParsedUrl


class _Entry(NamedTuple):
    """One `--callback-allow`: a name, `.example.com` for all that end so, or a network; for one port or all."""

    name: str
    network: Network | None
    port: int | None

    def admits_name(self, host: str, port: int) -> bool:
        named = host.endswith(self.name) if self.name.startswith(".") else host == self.name
        return self.network is None and named and self.port in (None, port)

    def admits_address(self, address: Address, port: int) -> bool:
        return self.network is not None and address in self.network and self.port in (None, port)


def parse_rewrite(text: str) -> Rewrite:
    """`SOURCE=TARGET`, both http(s) URLs. Raises ValueError with one sentence."""
    parts = re.fullmatch(r"(.+?)=(https?://.*)", text, re.IGNORECASE | re.DOTALL)
    if parts is None:
        raise ValueError(f"{text!r} is not FROM=TO, such as https://shop.example/={_RECEIVER}")
    rewrite = Rewrite(parts[1], parts[2])
    _rule(rewrite)
    return rewrite


class Policy:
    """What may be called: loopback, what `allow` lists, and where the operator's `rewrites` lead."""

    def __init__(
        self, allow: Iterable[str] = (), rewrites: Iterable[Rewrite] = (), *, allow_http: bool = False
    ) -> None:
        """Entries of allow: a name, `*.example.com`, an address, each with or without `:port`, or a network.

        Raises ValueError with one sentence for an entry or a rewrite that cannot be read.
        """
        self.allow_http = allow_http
        self.rewrites = tuple(rewrites)
        self._entries = tuple(_entry(text) for text in allow)
        self._rules = tuple(_rule(rewrite) for rewrite in self.rewrites)
        self._trusted = frozenset((rule.target.host, rule.target.port) for rule in self._rules)

    def target(self, url: str, rewrites_of_org: Iterable[Rewrite] = ()) -> Target:
        """Where a call of this URL goes: the longest source that fits leads on, an org's before the operator's.

        A name is only judged; its addresses are `judge_address`'s. Raises NotAllowed.
        """
        try:
            place = parse_url(url)
            rules = [*map(_rule, rewrites_of_org), *self._rules]
        except ValueError as error:
            raise NotAllowed(f"{error}") from None
        rule = max((rule for rule in rules if _fits(rule, place)), key=lambda rule: len(rule.source.path), default=None)
        if rule is None:
            self._validate(place)
            return Target(place.url, place.host, place.port, trusted=False)
        led = rule.target._replace(path=_path(rule, place), query=place.query)
        trusted = rule in self._rules
        if not trusted:
            self._validate(led)
        return Target(led.url, led.host, led.port, trusted, rule.rewrite)

    def target_of_connection(self, host: str, port: int) -> Target:
        """What a connection to this host and port is held to, whichever URL wants it. Raises NotAllowed."""
        try:
            place = ParsedUrl("http", parse_host(host), port, "/", "")
        except ValueError as error:
            raise NotAllowed(f"{error}") from None
        trusted = (place.host, port) in self._trusted
        if not trusted:
            self._validate(place)
        return Target(place.url, place.host, port, trusted)

    def validate_address(self, target: Target, address: str) -> None:
        """May this address of the target be called? Raises NotAllowed."""
        try:
            found = ip_address(address)
        except ValueError:
            raise NotAllowed(f"{target.host} resolves to {address}, which is no address") from None
        if target.trusted or self._admits(found, target.port):
            return
        if is_local_name(target.host) and is_loopback(found):
            return
        if self._admits_name(target.host, target.port) and is_public(found):
            return
        why = "not a loopback address" if is_local_name(target.host) else "not a public address"
        named = str(found).partition("%")[0]
        raise NotAllowed(
            f"{target.host} resolves to {address}, {why}, and is not called there; start with --callback-allow {named}"
        )

    def validate_rewrite(self, rewrite: Rewrite) -> None:
        """May an org have this rewrite? Only to loopback and to what is allowed.

        Raises NotAllowed, or ValueError with one sentence if it cannot be read.
        """
        place = _rule(rewrite).target
        try:
            self._validate(place)
        except NotAllowed:
            raise NotAllowed(
                "an org's rewrite must lead to loopback or to a host that the server allows, "
                f"not to {place.authority}; start the server with --callback-allow {place.authority}, "
                f"or --callback-rewrite {rewrite.source}={rewrite.target}"
            ) from None

    def allows_http(self, url: str) -> bool:
        """Is this a plain http URL on loopback, and did the operator say that such are admitted?"""
        if not self.allow_http:
            return False
        try:
            place = parse_url(url)
        except ValueError:
            return False
        address = parse_address(place.host)
        return place.scheme == "http" and (is_local_name(place.host) if address is None else is_loopback(address))

    def _validate(self, place: ParsedUrl) -> None:
        address = parse_address(place.host)
        if address is None:
            allowed = is_local_name(place.host) or self._admits_name(place.host, place.port)
        else:
            allowed = is_loopback(address) or self._admits(address, place.port)
        if not allowed:
            raise NotAllowed(
                f"{place.authority} is not called; start with --callback-allow {place.authority}, "
                f"or --callback-rewrite {place.scheme}://{place.authority}/={_RECEIVER}"
            )

    def _admits_name(self, host: str, port: int) -> bool:
        return any(entry.admits_name(host, port) for entry in self._entries)

    def _admits(self, address: Address, port: int) -> bool:
        return any(entry.admits_address(address, port) for entry in self._entries)


@lru_cache(maxsize=1024)  # an org's are given anew with every call
def _rule(rewrite: Rewrite) -> _Rule:
    source, target = parse_url(rewrite.source), parse_url(rewrite.target)
    for url, place in zip(rewrite, (source, target), strict=True):
        if place.query or "?" in url or "#" in url:
            raise ValueError(f"{url!r} has a query or a fragment; a rewrite goes from path to path")
    return _Rule(rewrite, source, target)


def _fits(rule: _Rule, place: ParsedUrl) -> bool:
    source = rule.source
    return source[:3] == place[:3] and f"{place.path}/".startswith(f"{source.path.rstrip('/')}/")


def _path(rule: _Rule, place: ParsedUrl) -> str:
    """The target's path and what follows the source's in this one."""
    source = rule.source.path
    rest = place.path[len(source.rstrip("/")) :]
    if not rest or (rest == "/" and source.endswith("/")):
        return rule.target.path
    return rule.target.path.rstrip("/") + rest


def _entry(text: str) -> _Entry:
    if "//" in text:
        raise ValueError(f"{text!r} is a URL; write its host alone")
    if "%" in text:
        raise ValueError(f"{text!r} names a zone; leave out what is from the % on")
    try:
        return _Entry("", ip_network(text.removeprefix("[").removesuffix("]")), None)
    except ValueError as error:
        if "/" in text:
            raise ValueError(f"{text!r} is no host, *.DOMAIN, address or network: {error}") from None
    name = text.removeprefix("*.")
    host, port = parse_authority(name, text)
    address = parse_address(host)
    if address is not None and name == text:
        return _Entry("", ip_network(address), port)
    if address is not None:
        raise ValueError(f"{text!r} is no *.DOMAIN; write a network as 10.0.0.0/8")
    return _Entry(host if name == text else f".{host}", None, port)
