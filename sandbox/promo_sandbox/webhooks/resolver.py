"""For aiohttp's connector: the addresses of a callback's host that may be called, and whom to trust there.

`callback_policy` decides what may be called. aiohttp itself is loaded by whoever makes the calls.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from promo_sandbox.base.callback_policy import NotAllowed, Policy, Target
from promo_sandbox.base.urls import is_local_name

if TYPE_CHECKING:
    from aiohttp.abc import AbstractResolver, ResolveResult
else:
    AbstractResolver = object

_LOCAL = ("127.0.0.1", "::1")  # what `localhost` is without being asked for (RFC 6761)


class Resolver(AbstractResolver):
    """Resolves under a policy. To be given to `aiohttp.TCPConnector` with `use_dns_cache=False`."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses that may be called, at least one. Raises `NotAllowed`, or OSError if there are none at all."""
        target = self._policy.target_of_connection(host, port)  # a name that is not allowed is not even asked for
        allowed: list[ResolveResult] = []
        refusal: NotAllowed | None = None
        for address in await self._addresses(target, family):
            try:
                self._policy.validate_address(target, address)
            except NotAllowed as refused:
                refusal = refusal or refused
            else:
                allowed.append(_result(host, address, port))
        if refusal is not None and not allowed:
            raise refusal
        if not allowed:
            raise OSError(f"{target.host} has no address")
        return allowed

    async def close(self) -> None:
        """Nothing is kept."""

    async def _addresses(self, target: Target, family: socket.AddressFamily) -> Iterable[str]:
        if is_local_name(target.host):
            return [address for address in _LOCAL if family in (socket.AF_UNSPEC, _family(address))]
        found = await asyncio.get_running_loop().getaddrinfo(
            target.host, target.port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
        )
        return dict.fromkeys(str(to[0]) for _, _, _, _, to in found)  # in their order, each once


def trusting(ca: Path | None) -> ssl.SSLContext:
    """A client's TLS: trusts the system's authorities and what is in this PEM file, authorities or a receiver's own."""
    context = ssl.create_default_context()
    if ca is not None:
        context.load_verify_locations(ca)
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def _result(host: str, address: str, port: int) -> ResolveResult:
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    return {"hostname": host, "host": address, "port": port, "family": _family(address), "proto": 0, "flags": flags}


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET
