"""Memory has a limit, before which the server stores nothing more; it goes on, and so do reads and deletes."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.limits.watched import Answer, Client, Watched, watched

MIB = 1024
CARDS = "/promotions/org/{}/sales-vouchers/gift-cards"
SNAPSHOTS, SNAPSHOT_CARDS = 100, 10_000


def post_card(client: Client, org: str, number: int, size: int = 900_000) -> Answer:
    card = {
        "status": "ISSUED",
        "name": "x" * size,
        "external_number": f"N-{number}",
        "current_balance": {"unit": "EUR", "value": 5},
    }
    return client.ask("POST", CARDS.format(org), card)


def fill(client: Client, org: str) -> Answer:
    """Store large documents until that is rejected; the last answer."""
    for number in range(1, 5000):
        answer = post_card(client, org, number)
        if answer.status != 201:
            return answer
    raise AssertionError("nothing is rejected")


def newest(client: Client, org: str) -> Any:
    """The newest exchange in an org's journal."""
    return client.done("GET", f"/__admin/orgs/{org}/requests?limit=1").json["requests"][0]


@pytest.fixture(params=[("--max-memory", "256MiB"), "address space"], ids=["option", "ulimit"])
def small(request: pytest.FixtureRequest) -> Iterator[Watched]:
    options, space = ((), 400 * MIB) if request.param == "address space" else (request.param, None)
    with watched(*options, address_space=space) as server:
        yield server


def test_what_has_no_room_is_rejected_until_there_is_room_again(small: Watched) -> None:
    client = small.client
    first = post_card(client, "full", 0, size=100).json
    client.done("PUT", "/__admin/orgs/full/snapshots/before")

    rejected = fill(client, "full")

    assert rejected.status == 507
    assert rejected.json["title"] == "Not enough memory"
    assert "Delete or reset orgs" in rejected.json["detail"]
    assert small.resident < 300
    entry = newest(client, "full")
    assert (entry["reply"]["status"], entry["changes"], entry["internal_error"]) == (507, [], None)
    assert client.done("GET", f"{CARDS.format('full')}/{first['id']}").json["name"] == first["name"]
    for method, path, body in (
        ("GET", CARDS.format("new"), None),
        ("POST", "/__admin/orgs/full/seed", {"enfore": {"gift_cards": []}}),
        ("PUT", "/__admin/orgs/full/state", {"documents": {}}),
        ("PUT", "/__admin/orgs/full/snapshots/one", None),
        ("POST", "/__admin/orgs/full/next", {"operation": "getGiftCard", "then": {"reject": "unknown-gift-card"}}),
        ("PUT", "/__admin/orgs/full/scenario", {"name": "enfore/lost-reply"}),
        ("POST", "/__admin/orgs/full/seed", b" " * 4_000_000 + b"{}"),
    ):
        assert client.ask(method, path, body).status == 507, path
    client.done("POST", "/__admin/orgs/full/clock/advance", {"by": "P1D"})

    client.done("DELETE", "/__admin/orgs/full")

    while post_card(client, "new", 0).status == 507:
        pass  # the memory is freed in slices
    assert post_card(client, "new", 1).status == 201


def test_bodies_that_are_never_finished_stay_within_the_limit() -> None:
    """Each connection holds most of a body of 1 MB; together they would take more than the limit."""
    with watched("--max-memory", "160MiB") as server, ExitStack() as stack:
        post_card(server.client, "slow", 0, size=10)
        url = urlsplit(server.url)
        head = f"POST {CARDS.format('slow')} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        opened = [stack.enter_context(socket.create_connection((url.hostname, url.port))) for _ in range(250)]
        for connection in opened:
            with suppress(OSError):  # the server has answered and closed
                connection.sendall(f"{head}Authorization: Bearer any\r\nContent-Length: 1000001\r\n\r\n".encode())
                connection.sendall(b" " * 1_000_000)
        entry = newest(server.client, "slow")
        while entry["reply"]["status"] == 201:  # what was sent may be on its way yet
            entry = newest(server.client, "slow")

        assert server.resident < 165
        assert (entry["operation"], entry["reply"]["status"]) == ("createExternalGiftCard", 507)
        assert json.loads(entry["reply"]["body"])["title"] == "Not enough memory"


def test_an_import_that_would_be_too_large_is_rejected_before_it_is_read(small: Watched) -> None:
    cards = [
        {"name": f"Card {number}", "external_number": f"N-{number}", "current_balance": {"unit": "EUR", "value": 5}}
        for number in range(100_000)
    ]
    body = json.dumps({"enfore": {"gift_cards": cards}}).encode() + b" " * 20_000_000

    assert small.client.ask("POST", "/__admin/orgs/large/seed", body).status == 507
    small.client.done("GET", "/__admin/health")
    assert post_card(small.client, "large", 0).status == 201


def test_snapshots_cost_what_changes_after_them() -> None:
    with watched() as server:
        client = server.client
        for first in range(0, SNAPSHOT_CARDS, 500):
            cards: list[Any] = [
                {
                    "name": f"Card {number}",
                    "external_number": f"N-{number}",
                    "current_balance": {"unit": "EUR", "value": 5},
                }
                for number in range(first, first + 500)
            ]
            client.done("POST", "/__admin/orgs/big/seed", {"enfore": {"gift_cards": cards}})
        before = server.resident

        for number in range(SNAPSHOTS):
            client.done("PUT", f"/__admin/orgs/big/snapshots/{number}")
            assert post_card(client, "big", SNAPSHOT_CARDS + number, size=10).status == 201

        assert server.resident - before < 15  # MiB, where copies took 150
        assert client.done("POST", "/__admin/orgs/big/snapshots/7/restore").json["documents"] == SNAPSHOT_CARDS + 7
