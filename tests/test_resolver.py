"""Names are resolved under a policy: only allowed addresses are returned, and forbidden names are not looked up."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme
from yarl import URL

from promo_sandbox.base.callback_policy import NotAllowed, Policy, Rewrite
from promo_sandbox.webhooks.resolver import Resolver, tls_context
from tests.receiving import Receiver, ca_pem, own_pem

PUBLIC, PRIVATE = "93.184.216.34", "169.254.169.254"


class Names:
    """A name server: its answers, and the names of the look-ups."""

    def __init__(self, **addresses: list[str]) -> None:
        self.addresses = {name.replace("_", "."): found for name, found in addresses.items()}
        self.asked: list[str] = []

    async def getaddrinfo(self, host: str, port: int, *, family: int = 0, **_: Any) -> list[Any]:
        self.asked.append(host)
        if host not in self.addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        found = [(socket.AF_INET6 if ":" in address else socket.AF_INET, address) for address in self.addresses[host]]
        return [(own, socket.SOCK_STREAM, 6, "", (address, port)) for own, address in found if family in (0, own)]


def resolve(names: Names, policy: Policy, host: str, port: int = 443, family: int = 0) -> list[str]:
    """The addresses that the resolver returns."""

    async def resolved() -> list[str]:
        setattr(asyncio.get_running_loop(), "getaddrinfo", names.getaddrinfo)  # noqa: B010 - no network is used
        found = await Resolver(policy).resolve(host, port, socket.AddressFamily(family))
        assert {(result["hostname"], result["port"]) for result in found} == {(host, port)}
        return [result["host"] for result in found]

    return asyncio.run(resolved())


def test_an_allowed_name_is_called_at_its_public_addresses() -> None:
    names = Names(shop_example=["2606:4700::1111", PUBLIC, PUBLIC])

    assert resolve(names, Policy(["shop.example"]), "shop.example") == ["2606:4700::1111", PUBLIC]
    assert resolve(names, Policy(["shop.example"]), "shop.example", family=socket.AF_INET) == [PUBLIC]


def test_a_forbidden_name_is_not_looked_up() -> None:
    names = Names(shop_example=[PUBLIC])

    with pytest.raises(NotAllowed, match=r"^shop\.example:8080 is not allowed; "):
        resolve(names, Policy(["shop.example:443"]), "shop.example", 8080)
    assert names.asked == []


def test_of_several_addresses_only_the_allowed_ones_are_given() -> None:
    names = Names(shop_example=[PRIVATE, PUBLIC, "::1"])

    assert resolve(names, Policy(["shop.example"]), "shop.example") == [PUBLIC]


def test_the_error_for_a_name_that_points_inside_names_the_option() -> None:
    names = Names(shop_example=[PRIVATE, "10.0.0.1"])

    with pytest.raises(NotAllowed, match=r"--callback-allow 169\.254\.169\.254$"):
        resolve(names, Policy(["shop.example"]), "shop.example")
    assert resolve(names, Policy(["shop.example", "10.0.0.0/8"]), "shop.example") == ["10.0.0.1"]


def test_where_the_operator_leads_any_address_is_given() -> None:
    names = Names(receiver=["172.18.0.3"])
    policy = Policy([], [Rewrite("https://shop.example/", "http://receiver:9000/")])

    assert resolve(names, policy, "receiver", 9000) == ["172.18.0.3"]
    with pytest.raises(NotAllowed):
        resolve(names, policy, "receiver", 9001)


@pytest.mark.parametrize("host", ["localhost", "shop.localhost", "LOCALHOST."])
def test_localhost_is_this_machine_without_being_asked_for(host: str) -> None:
    names = Names(localhost=["10.0.0.1"])

    assert resolve(names, Policy(), host) == ["127.0.0.1", "::1"]
    assert resolve(names, Policy(), host, family=socket.AF_INET6) == ["::1"]
    assert names.asked == []


def test_a_name_without_addresses_is_an_error_of_the_network() -> None:
    with pytest.raises(OSError, match="Name or service not known"):
        resolve(Names(), Policy(["shop.example"]), "shop.example")
    with pytest.raises(OSError, match=r"^shop\.example has no address$"):
        resolve(Names(shop_example=[PUBLIC]), Policy(["shop.example"]), "shop.example", family=socket.AF_INET6)


def test_a_spelling_that_a_connector_might_be_given_is_validated_too() -> None:
    for host in ("0x7f.1", "2130706433", "local host", "a@localhost"):
        with pytest.raises(NotAllowed):
            resolve(Names(), Policy(["0.0.0.0/0"]), host)


# With aiohttp


def call(policy: Policy, url: str, names: Names | None = None, ca: Path | None = None) -> int:
    """The status of the receiver's answer."""

    async def called() -> int:
        if names is not None:
            setattr(asyncio.get_running_loop(), "getaddrinfo", names.getaddrinfo)  # noqa: B010 - no network is asked
        connector = aiohttp.TCPConnector(resolver=Resolver(policy), use_dns_cache=False, ssl=tls_context(ca))
        async with aiohttp.ClientSession(connector=connector) as session:
            target = policy.target(url)
            async with session.post(URL(target.url, encoded=True), data=b"{}", allow_redirects=False) as response:
                return response.status

    return asyncio.run(called())


def test_a_call_goes_to_the_address_that_was_validated() -> None:
    with Receiver() as receiver:
        policy = Policy(["shop.example", "127.0.0.1"])
        names = Names(shop_example=["169.254.169.254", "127.0.0.1"])

        statuses = [
            call(policy, f"http://shop.example:{receiver.port}/a%2Fb?c=d", names),
            call(Policy(), f"http://a.localhost:{receiver.port}/"),
            call(Policy(), receiver.url),
            call(Policy([], [Rewrite("https://shop.example/", receiver.url)]), "https://shop.example/x"),
        ]
        received = receiver.wait(4)

    assert statuses == [202] * 4
    assert names.asked == ["shop.example"]
    assert [(one.path, one.headers["host"].split(":")[0]) for one in received] == [
        ("/a%2Fb?c=d", "shop.example"),
        ("/", "a.localhost"),
        ("/", "127.0.0.1"),
        ("/x", "127.0.0.1"),
    ]


def test_a_name_that_points_inside_is_not_called() -> None:
    with Receiver() as receiver:
        names = Names(shop_example=["127.0.0.1"])

        with pytest.raises(NotAllowed, match=r"--callback-allow 127\.0\.0\.1$"):
            call(Policy(["shop.example"]), f"http://shop.example:{receiver.port}/", names)
        assert receiver.connections == 0


def test_a_certificate_is_trusted_if_it_or_its_authority_is_given(tmp_path: Path) -> None:
    files = {"authority": ca_pem(), "own": own_pem(), "stranger": trustme.CA().cert_pem.bytes()}
    for name, pem in files.items():
        (tmp_path / name).write_bytes(pem)

    with Receiver(tls=True) as receiver:
        for name in ("authority", "own"):
            assert call(Policy(), receiver.url, ca=tmp_path / name) == 202
        assert call(Policy(), f"https://localhost:{receiver.port}/", ca=tmp_path / "authority") == 202
        for ca in (None, tmp_path / "stranger"):
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                call(Policy(), receiver.url, ca=ca)
