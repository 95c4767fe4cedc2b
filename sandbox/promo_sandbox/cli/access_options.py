"""The command line about who may call: the options of `serve` about credentials and the admin API, and its warnings."""

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
    """Who may call; the fields are those of `promo_sandbox.base.config.Config`."""

    strict: bool
    clients: dict[str, str]
    signing_key: str | None
    admin_token: str | None
    admin_hosts: tuple[str, ...]

    def warnings(self, host: str, port: int) -> Iterator[str]:
        """What an operator should know who did not mean it; host: the address on which the server listens."""
        if self.admin_token is None and not _is_loopback(host):
            shown = f"[{host}]" if ":" in host else host
            yield (
                f"the admin API is open to everybody who reaches {shown}:{port}; "
                "set SANDBOX_ADMIN_TOKEN or --admin-token to close it"
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
        help="lenient takes any bearer token it did not issue; strict takes only its own, and only the --client given.",
    ),
    click.option(
        "--client",
        "clients",
        multiple=True,
        envvar="SANDBOX_CLIENTS",
        metavar="NAME:SECRET",
        help="An application that may get tokens in strict mode; may be repeated (in SANDBOX_CLIENTS separated by "
        "spaces).",
    ),
    click.option(
        "--signing-key",
        envvar="SANDBOX_SIGNING_KEY",
        metavar="KEY",
        help="Signs the tokens, so that several servers accept each other's; at least 32 characters. Without it, "
        "strict mode makes a key at each start, and lenient mode uses a public one.",
    ),
    click.option(
        "--admin-token",
        envvar="SANDBOX_ADMIN_TOKEN",
        metavar="TOKEN",
        help="The admin API requires this bearer token.",
    ),
    click.option(
        "--admin-host",
        "admin_hosts",
        multiple=True,
        envvar="SANDBOX_ADMIN_HOST",
        metavar="NAME",
        help="A host name by which the admin API is reached, besides addresses and local names; may be repeated (in "
        "SANDBOX_ADMIN_HOST separated by spaces).",
    ),
)


def access_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command these options; it gets them as one argument, `access`, an `Access`."""

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
            raise SandboxError(f"--signing-key has {len(key)} characters; {_MIN_KEY} are the fewest")
        token = _secret(admin_token, "--admin-token", "SANDBOX_ADMIN_TOKEN")
        command(access=Access(auth == "strict", _clients(clients), key, token, tuple(admin_hosts)), **others)

    for option in reversed(_OPTIONS):
        collected = option(collected)
    return collected


def _secret(given: str | None, option: str, variable: str) -> str | None:
    """A secret that is set, but empty, is a mistake: the operator meant to have one."""
    if given == "":
        raise SandboxError(f"{option} is empty; give a value, or leave it out")
    if given is None and os.environ.get(variable) == "":  # which click takes for a variable that is not set
        raise SandboxError(f"{variable} is set, but empty; give it a value, or unset it")
    if given is not None:
        _validate_text(given, option)
    return given


def _validate_text(text: str, option: str) -> None:
    """Python keeps bytes that are no text as lone surrogates, which nothing can sign or compare."""
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
