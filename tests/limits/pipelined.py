"""Connections that ask much and read nothing, what that costs a server's process, and how long another client waits."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2

from tests.command import Served
from tests.limits.attack import Target
from tests.patience import LONG

MEBIBYTE = 1_048_576
_TICKS = os.sysconf("SC_CLK_TCK")
_SPAN = "from=2026-01-01T00:00:00Z&to=2027-01-01T00:00:00Z"
CARDS = "/promotions/org/flooded/sales-vouchers/gift-cards"


def cpu(served: Served) -> float:
    """Seconds of processor time that the server has used."""
    fields = Path(f"/proc/{served.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def memory(served: Served) -> int:
    """Bytes that the server holds."""
    pages = int(Path(f"/proc/{served.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def until(true: Callable[[], bool], seconds: float = 20) -> bool:
    """Whether something becomes true within a time."""
    end = time.monotonic() + seconds
    waiting = threading.Event()
    while not true() and time.monotonic() < end:
        waiting.wait(0.02)
    return true()


@contextmanager
def flood(served: Served, data: bytes) -> Iterator[socket.socket]:
    """A connection that sends as much of the data as is taken, from a thread, and reads nothing."""
    with socket.create_connection(("127.0.0.1", served.port), timeout=5) as connection:

        def send() -> None:
            with suppress(OSError):  # the server takes no more, or it has ended the connection
                connection.sendall(data)

        thread = threading.Thread(target=send)
        thread.start()
        try:
            yield connection
        finally:
            connection.close()
            thread.join()


def worst_wait(served: Served, requests: int = 100) -> float:
    """Seconds that the server worked at most while one of a bystander's requests waited."""
    target, worst = Target(served.port, served.process.pid), 0.0
    with httpx2.Client(base_url=served.url, timeout=LONG) as client:
        client.get("/__admin/health")
        for _ in range(requests):
            before = target.worked_seconds()
            client.get("/__admin/health")
            worst = max(worst, target.worked_seconds() - before)
    return worst


def seed_cards(served: Served, count: int) -> str:
    """So many gift cards; where a page of all of them is."""
    cards = [
        {
            "name": "Anniversary gift card",
            "external_number": f"GC-{number:06}",
            "status": "ISSUED",
            "initial_balance": {"unit": "EUR", "value": 50.25},
            "current_balance": {"unit": "EUR", "value": 50.25},
            "issued_date_and_time": "2026-01-15T10:30:00Z",
        }
        for number in range(count)
    ]
    seeded = httpx2.post(f"{served.url}/__admin/orgs/flooded/seed", json={"enfore": {"gift_cards": cards}}, timeout=60)
    assert seeded.status_code == 200, seeded.text[:500]
    return f"{CARDS}?{_SPAN}&limit={count}"
