"""A small load generator for machines without wrk: N keep-alive connections, one request at a time on each.

Usage: load.py PORT CONNECTIONS SECONDS, with BENCH_REQUEST and BENCH_SEED as in lua/request.lua.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import time
from array import array
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

import uvloop

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN = b"@" * 12
CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Tally:
    """The replies to all connections of one run."""

    def __init__(self, parts: list[bytes], number: int) -> None:
        self.parts = parts
        self.number = number
        self.latencies_us = array("Q")
        self.rejected = 0
        self.errors = 0
        self.over = False

    def next_request(self) -> bytes:
        if len(self.parts) == 1:
            return self.parts[0]
        self.number += 1
        return (b"%012d" % self.number).join(self.parts)


class Connection(asyncio.Protocol):
    """Sends a request, waits for the whole answer, then sends the next request."""

    def __init__(self, tally: Tally) -> None:
        self.tally = tally
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.send()

    def send(self) -> None:
        request = self.tally.next_request()
        self.sent = time.perf_counter_ns()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.received = self.received + data if self.received else data
        head_ends = self.received.find(b"\r\n\r\n")
        if head_ends < 0:
            return
        length = CONTENT_LENGTH.search(self.received, 0, head_ends)
        if len(self.received) < head_ends + 4 + (int(length[1]) if length else 0):
            return
        tally = self.tally
        if tally.over:
            return
        tally.latencies_us.append((time.perf_counter_ns() - self.sent) // 1000)
        tally.rejected += int(self.received[9:12]) >= HTTPStatus.BAD_REQUEST
        self.received = b""
        self.send()

    def connection_lost(self, _exc: Exception | None) -> None:
        self.tally.errors += not self.tally.over


def with_unsent(latencies_us: array[int], interval_us: int) -> Iterator[int]:
    """The latencies, with those of requests that a slow answer delayed. wrk corrects its figures in the same way."""
    for latency in latencies_us:
        yield latency
        if latency >= 2 * interval_us:
            yield from range(latency - interval_us, interval_us, -interval_us)


def summary(tally: Tally, connections: int, seconds: float) -> dict[str, float]:
    requests = len(tally.latencies_us)
    interval_us = max(1, int(seconds * 1e6 * connections / max(1, requests)))
    ordered = sorted(with_unsent(tally.latencies_us, interval_us)) or [0]
    return {
        "requests": requests,
        "seconds": round(seconds, 6),
        "rejected": tally.rejected,
        "errors": tally.errors,
        "p50_us": ordered[len(ordered) * 50 // 100],
        "p99_us": ordered[len(ordered) * 99 // 100],
        "max_us": ordered[-1],
    }


async def run(port: int, connections: int, seconds: float) -> dict[str, float]:
    tally = Tally(os.environb[b"BENCH_REQUEST"].split(TOKEN), int(os.environ.get("BENCH_SEED", "0")))
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    opened = [loop.create_connection(lambda: Connection(tally), "127.0.0.1", port) for _ in range(connections)]
    for outcome in await asyncio.gather(*opened, return_exceptions=True):
        tally.errors += isinstance(outcome, OSError)
    await asyncio.sleep(seconds - (time.perf_counter() - started))
    tally.over = True
    return summary(tally, connections, time.perf_counter() - started)


if __name__ == "__main__":
    figures = uvloop.run(run(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
    sys.stdout.write(f"BENCH {json.dumps(figures)}\n")
