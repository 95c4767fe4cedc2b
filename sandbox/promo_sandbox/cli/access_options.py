"""The options of `serve` on credentials and on access to the admin API, and the warnings about them."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from typing import Any, NamedTuple

import click

from promo_sandbox.base.errors import SandboxError

_MIN_KEY = 32  # characters; RFC 7518, section 3.2: a key for HS256 has 256 bits at least


class Access(NamedTuple):
    """Who may call. The fields are those of `base.config.Config`."""

    strict: bool
    clients: dict[str, str]
    signing_key: str | None
    admin_token: str | None
    admin_hosts: tuple[str, ...]

    def warnings(self, host: str, port: int) -> Iterator[str]:
        """Warnings about settings that are rarely intended; host: the address on which the server listens."""
        if self.admin_token is None and not _is_loopback(host):
            shown = f"[{host}]" if ":" in host else host
            yield (
                f"anyone who reaches {shown}:{port} can use the admin API; "
                "set SANDBOX_ADMIN_TOKEN or --admin-token to require a token"
            )
        if self.strict and not self.clients and self.signing_key is None:
            yield (
                "--auth strict without --client NAME:SECRET: no client can get a token, "
                "except from POST /__admin/orgs/{org}/tokens"
            )


def _is_loopback(host: str) -> bool:
    address = ipaddress.ip_address(host.partition("%")[0])
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


_OPTIONS = (
    click.option(
        "--auth",
        default="lenient",
        show_default=True,
        envvar="SANDBOX_AUTH",
        type=click.Choice(["lenient", "strict"]),
        help="lenient: accept any bearer token. strict: accept only tokens issued here, to the given --client.",
    ),
    click.option(
        "--client",
        "clients",
        multiple=True,
        envvar="SANDBOX_CLIENTS",
        metavar="NAME:SECRET",
        help="An application that may request tokens in strict mode. Repeatable; in SANDBOX_CLIENTS, separate them "
        "with spaces.",
    ),
    click.option(
        "--signing-key",
        envvar="SANDBOX_SIGNING_KEY",
        metavar="KEY",
        help="Sign tokens with this key of at least 32 characters, so that several servers accept each other's tokens. "
        "Default: a new key at each start in strict mode, a public key in lenient mode.",
    ),
    click.option(
        "--admin-token",
        envvar="SANDBOX_ADMIN_TOKEN",
        metavar="TOKEN",
        help="Require this bearer token for the admin API.",
    ),
    click.option(
        "--admin-host",
        "admin_hosts",
        multiple=True,
        envvar="SANDBOX_ADMIN_HOST",
        metavar="NAME",
        help="Accept this host name for the admin API, besides addresses and local names. Repeatable; in "
        "SANDBOX_ADMIN_HOST, separate names with spaces.",
    ),
)


def access_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add these options to a command, which gets them as one argument `access`, an `Access`."""

    @wraps(command)
    def collected(
        *,
        auth: str,
        clients: Sequence[str],
        signing_key: str | None,
        admin_token: str | None,
        admin_hosts: Sequence[str],
        **others: Any,
    ) -> None:
        key = _secret(signing_key, "--signing-key", "SANDBOX_SIGNING_KEY")
        if key is not None and len(key) < _MIN_KEY:
            raise SandboxError(f"--signing-key has {len(key)} characters; use at least {_MIN_KEY}")
        token = _secret(admin_token, "--admin-token", "SANDBOX_ADMIN_TOKEN")
        command(access=Access(auth == "strict", _clients(clients), key, token, tuple(admin_hosts)), **others)

    for option in reversed(_OPTIONS):
        collected = option(collected)
    return collected


def _secret(given: str | None, option: str, variable: str) -> str | None:
    """An empty secret is a mistake: an operator who sets one expects protection."""
    if given == "":
        raise SandboxError(f"{option} is empty; give it a value or remove it")
    if given is None and os.environ.get(variable) == "":  # click treats it as not set
        raise SandboxError(f"{variable} is empty; give it a value or unset it")
    if given is not None:
        _validate_text(given, option)
    return given


def _validate_text(text: str, option: str) -> None:
    """Python decodes invalid bytes as lone surrogates, which cannot be signed or compared."""
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise SandboxError(f"{option} is not UTF-8")


def _clients(given: Sequence[str]) -> dict[str, str]:
    clients = {}
    for client in given:
        name, colon, secret = client.partition(":")
        if not name or not colon or not secret:
            raise SandboxError(f"--client {client!r} is not NAME:SECRET")
        _validate_text(client, "--client")
        clients[name] = secret
    return clients
