"""A resolver for aiohttp's connector that returns only allowed addresses, and the TLS context of callbacks.

`callback_policy` decides which addresses are allowed. `sender` loads aiohttp.
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

_LOCAL = ("127.0.0.1", "::1")  # `localhost`, which is not looked up (RFC 6761)


class Resolver(AbstractResolver):
    """Resolves hosts under a policy. Use it in `aiohttp.TCPConnector` with `use_dns_cache=False`."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The allowed addresses, at least one. Raises `NotAllowed`, or OSError if the host has no address."""
        target = self._policy.target_of_connection(host, port)  # a host that is not allowed is not looked up
        allowed: list[ResolveResult] = []
        first_error: NotAllowed | None = None
        for address in await self._addresses(target, family):
            try:
                self._policy.validate_address(target, address)
            except NotAllowed as error:
                first_error = first_error or error
            else:
                allowed.append(_result(host, address, port))
        if first_error is not None and not allowed:
            raise first_error
        if not allowed:
            raise OSError(f"{target.host} has no address")
        return allowed

    async def close(self) -> None:
        """Nothing to close."""

    async def _addresses(self, target: Target, family: socket.AddressFamily) -> Iterable[str]:
        if is_local_name(target.host):
            return [address for address in _LOCAL if family in (socket.AF_UNSPEC, _family(address))]
        addresses = await asyncio.get_running_loop().getaddrinfo(
            target.host, target.port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
        )
        return dict.fromkeys(str(to[0]) for _, _, _, _, to in addresses)  # without duplicates, in order


def tls_context(ca: Path | None) -> ssl.SSLContext:
    """A TLS context that trusts the system's authorities and the certificates in a PEM file.

    The file may hold authorities or a receiver's own certificate.
    """
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
