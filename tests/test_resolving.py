"""Names resolved under a policy: what the connector is given, and that a refused name is not even asked for."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from sandbox.resolving import Resolver
from sandbox.targets import NotAllowed, Policy, Rewrite

PUBLIC, PRIVATE = "93.184.216.34", "169.254.169.254"


class Names:
    """What a name server would say, and which names it was asked for."""

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
    """The addresses that the connector is given."""

    async def resolved() -> list[str]:
        setattr(asyncio.get_running_loop(), "getaddrinfo", names.getaddrinfo)  # noqa: B010 - no network is asked
        found = await Resolver(policy).resolve(host, port, socket.AddressFamily(family))
        assert {(result["hostname"], result["port"]) for result in found} == {(host, port)}
        return [result["host"] for result in found]

    return asyncio.run(resolved())


def test_an_allowed_name_is_called_at_its_public_addresses() -> None:
    names = Names(shop_example=["2606:4700::1111", PUBLIC, PUBLIC])

    assert resolve(names, Policy(["shop.example"]), "shop.example") == ["2606:4700::1111", PUBLIC]
    assert resolve(names, Policy(["shop.example"]), "shop.example", family=socket.AF_INET) == [PUBLIC]


def test_a_name_that_is_not_allowed_is_not_even_asked_for() -> None:
    names = Names(shop_example=[PUBLIC])

    with pytest.raises(NotAllowed, match=r"^shop\.example:8080 is not called; "):
        resolve(names, Policy(["shop.example:443"]), "shop.example", 8080)
    assert names.asked == []


def test_of_several_addresses_only_the_allowed_ones_are_given() -> None:
    names = Names(shop_example=[PRIVATE, PUBLIC, "::1"])

    assert resolve(names, Policy(["shop.example"]), "shop.example") == [PUBLIC]


def test_a_name_that_points_inside_is_refused_with_the_option_that_would_allow_it() -> None:
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


def test_a_spelling_that_a_connector_might_be_given_is_judged_too() -> None:
    for host in ("0x7f.1", "2130706433", "local host", "a@localhost"):
        with pytest.raises(NotAllowed):
            resolve(Names(), Policy(["0.0.0.0/0"]), host)
