"""Measures the rate of deliveries to a fast receiver, and how much a receiver that never answers slows other requests.

Usage: python -m bench.deliveries [SUBSCRIPTIONS [EVENTS]]. Exits with 1 if a delivery is lost, repeated or out of
order, or if a figure misses its target.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import multiprocessing.connection
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
import httptools

from bench.processes import Client, Command, NotMeasuredError, Server, end_all, running_on, split_cpus, started, usage
from bench.scenarios import CARD, get, gift_cards
from bench.settings import OURS
from bench.traffic import Load

if TYPE_CHECKING:
    from collections.abc import Sequence

MIN_RATE = 1000  # deliveries a second
MAX_LATENCY_RATIO = 1.05  # times the latency without a slow receiver
QUEUED = 10_000
CONNECTIONS = 8
SUBSCRIPTIONS = "/promotions/org/{org}/sales-vouchers/gift-card-subscriptions"
ACCEPTED = b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n"


class Connection(asyncio.Protocol):
    """Answers at once, and records by path the number of the card in each delivery."""

    def __init__(self, received: dict[str, list[str]]) -> None:
        self._received = received
        self._parser = httptools.HttpRequestParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._url, self._body = b"", b""

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        self._received[self._url.decode()].append(json.loads(self._body)["items"][0]["external_number"])
        self._transport.write(ACCEPTED)


def receive(pipe: multiprocessing.connection.Connection) -> None:
    """A fast receiver in a process of its own. Sends its port, then answers each question about its deliveries."""

    async def serve() -> None:
        received: dict[str, list[str]] = defaultdict(list)
        server = await asyncio.get_running_loop().create_server(lambda: Connection(received), "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        while True:
            while not pipe.poll():
                await asyncio.sleep(0.01)
            try:
                question = pipe.recv()
            except EOFError:  # the benchmark has ended
                return
            if question == "count":
                pipe.send(sum(map(len, received.values())))
            else:
                pipe.send(dict(received))

    asyncio.run(serve())


class Receiver:
    """Starts the fast receiver and asks it for its deliveries."""

    def __init__(self) -> None:
        self._pipe, theirs = multiprocessing.Pipe()
        self._child = multiprocessing.get_context("spawn").Process(target=receive, args=(theirs,), daemon=True)
        self._child.start()
        self.port: int = self._pipe.recv()

    def ask(self, what: str) -> object:
        self._pipe.send(what)
        return self._pipe.recv()


def subscribe(client: Client, org: str, url: str) -> None:
    client.expect("POST", SUBSCRIPTIONS.format(org=org), json.dumps({"callback_url": url}), 201)


def sell(client: Client, org: str, number: int) -> None:
    client.expect("POST", gift_cards(org), CARD.replace("{n}", f"{number:06}"), 201)


def deliver(server: Server, receiver: Receiver, subscriptions: int, events: int) -> bool:
    """Send the events to all subscriptions. Returns whether each arrived once, in order, and fast enough."""
    each = events // subscriptions
    with Client(server.port) as client:
        for number in range(subscriptions):
            subscribe(client, "bench-fast", f"http://127.0.0.1:{receiver.port}/{number}")
        before, began = usage(server.pid), time.perf_counter()
        for number in range(each):
            sell(client, "bench-fast", number)
        sold = time.perf_counter() - began
        while int(str(receiver.ask("count"))) < each * subscriptions:
            if time.perf_counter() - began > 600:  # noqa: PLR2004 - far too slow
                break
            time.sleep(0.05)
        took = time.perf_counter() - began
    after = usage(server.pid)
    received = receiver.ask("deliveries")
    assert isinstance(received, dict)
    expected = [f"{number:06}" for number in range(each)]
    spent = (after.cpu_seconds - before.cpu_seconds) / each / subscriptions * 1e6
    complete = len(received) == subscriptions and all(
        [number[-6:] for number in numbers] == expected for numbers in received.values()
    )
    rate = each * subscriptions / took
    click.echo(
        f"{each} events to {subscriptions} subscriptions: {rate:.0f} a second, "
        f"{spent:.0f} µs of CPU each, created within {sold:.1f} s; "
        f"{'all in order, once each' if complete else 'LOST, REPEATED OR OUT OF ORDER'}; "
        f"{after.rss / 1e6:.0f} MB at the end"
    )
    return complete and rate >= MIN_RATE


async def _hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    while await reader.read(65_536):
        pass


def hang(pipe: multiprocessing.connection.Connection) -> None:
    """A receiver that reads everything and never answers."""

    async def serve() -> None:
        server = await asyncio.start_server(_hang, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())


def compare(server: Server, load: Load, runs: int) -> bool:
    """Compare requests with and without 10,000 events that wait for a receiver that never answers."""
    ours, theirs = multiprocessing.Pipe()
    multiprocessing.get_context("spawn").Process(target=hang, args=(theirs,), daemon=True).start()
    port = ours.recv()
    request = get(server, "bench-quiet")
    spent: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    for run in range(runs):
        for slow in (True, False) if run % 2 else (False, True):
            with Client(server.port) as client:
                if slow:
                    subscribe(client, "bench-slow", f"http://127.0.0.1:{port}/")
                    for number in range(QUEUED // 500):
                        cards = [json.loads(CARD.replace("{n}", f"{number}-{at}")) for at in range(500)]
                        client.expect(
                            "POST", "/__admin/orgs/bench-slow/seed", json.dumps({"enfore": {"gift_cards": cards}})
                        )
                    waiting = json.loads(client.expect("GET", "/__admin/orgs/bench-slow/webhooks?limit=1"))["waiting"]
                    assert waiting == QUEUED, waiting
                measured = load.drive(server, request, CONNECTIONS, 1)
                spent[slow].append((measured.p50_ms, measured.cpu_us))
                if slow:
                    client.expect("DELETE", "/__admin/orgs/bench-slow")
    p50, cpu = (
        statistics.median(own[at] / none[at] for own, none in zip(spent[True], spent[False], strict=True))
        for at in (0, 1)
    )
    click.echo(
        f"beside {QUEUED} events for a receiver that never answers: p50 {p50:.3f} x, CPU per request {cpu:.3f} x"
    )
    return p50 <= MAX_LATENCY_RATIO


def main(argv: Sequence[str]) -> int:
    subscriptions, events = ([int(word) for word in argv] + [1000, 100_000][len(argv) :])[:2]
    server_cpus, load_cpus = split_cpus()
    load = Load.choose("auto", load_cpus)
    ours = Command("ours", (*OURS.split(), "--allow-http-callbacks"), "/__admin/health")
    try:
        with (
            tempfile.TemporaryDirectory(prefix="bench-") as home,
            started(ours, server_cpus, Path(home)) as server,
            running_on(load_cpus),
        ):
            fast = deliver(server, Receiver(), subscriptions, events)
            return 0 if compare(server, load, 9) and fast else 1
    except NotMeasuredError as error:
        click.echo(error, err=True)
        return 2
    finally:
        end_all()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
