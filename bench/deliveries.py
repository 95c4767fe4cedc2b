"""How fast events are delivered to a receiver that is fast, and what one that is not costs everybody else.

usage: python -m bench.deliveries [SUBSCRIPTIONS [EVENTS]]. Exit code 1 if a delivery is lost, comes twice or out of
order, or slower than wanted.
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

FASTEST_WANTED = 1000  # deliveries a second
MOST = 1.05  # times the latency without a slow receiver
QUEUED = 10_000
CONNECTIONS = 8
SUBSCRIPTIONS = "/promotions/org/{org}/sales-vouchers/gift-card-subscriptions"
ACCEPTED = b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n"


class Connection(asyncio.Protocol):
    """Answers at once and notes which card was told on which path."""

    def __init__(self, told: dict[str, list[str]]) -> None:
        self._told = told
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
        self._told[self._url.decode()].append(json.loads(self._body)["items"][0]["external_number"])
        self._transport.write(ACCEPTED)


def receive(pipe: multiprocessing.connection.Connection) -> None:
    """A fast receiver in a process of its own: sends its port, then whenever it is asked what has come."""

    async def serve() -> None:
        told: dict[str, list[str]] = defaultdict(list)
        server = await asyncio.get_running_loop().create_server(lambda: Connection(told), "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        while True:
            while not pipe.poll():
                await asyncio.sleep(0.01)
            try:
                asked = pipe.recv()
            except EOFError:  # whoever asks is gone
                return
            if asked == "count":
                pipe.send(sum(map(len, told.values())))
            else:
                pipe.send(dict(told))

    asyncio.run(serve())


class Receiver:
    """The receiver, asked from here."""

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
    """Every subscription hears of as many cards; whether all did, in order, once each, fast enough."""
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
    told = receiver.ask("told")
    assert isinstance(told, dict)
    wanted = [f"{number:06}" for number in range(each)]
    spent = (after.cpu_seconds - before.cpu_seconds) / each / subscriptions * 1e6
    right = len(told) == subscriptions and all([it[-6:] for it in found] == wanted for found in told.values())
    rate = each * subscriptions / took
    click.echo(
        f"{each} events to {subscriptions} subscriptions: {rate:.0f} a second, "
        f"{spent:.0f} µs of CPU each, told within {sold:.1f} s; "
        f"{'all in order, once each' if right else 'LOST, TWICE OR OUT OF ORDER'}; {after.rss / 1e6:.0f} MB at the end"
    )
    return right and rate >= FASTEST_WANTED


async def _hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    while await reader.read(65_536):
        pass


def hang(pipe: multiprocessing.connection.Connection) -> None:
    """A receiver that takes everything and answers nothing."""

    async def serve() -> None:
        server = await asyncio.start_server(_hang, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())


def compare(server: Server, load: Load, runs: int) -> bool:
    """Requests while an org has a receiver that never answers and 10,000 events wait, and while it has none."""
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
    return p50 <= MOST


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
