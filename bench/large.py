"""Measures an org with many cards: memory, speed, pages, and how its reset delays requests to another org."""

from __future__ import annotations

import json
import statistics
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import click

from bench.processes import Client, NotMeasuredError, Server, started, usage
from bench.scenarios import CARD, SCENARIOS, forget, gift_cards, new_card
from bench.traffic import Measured, Request, quietest

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.settings import Settings

BATCH = 500
PAGE = 200
PAGE_SAMPLES = 30
CONNECTIONS = 32
MOMENT = "%Y-%m-%dT%H:%M:%SZ"
FIRST_DAY = datetime(2025, 7, 1, tzinfo=UTC)
LAST_DAY = datetime(2026, 7, 1, tzinfo=UTC)
PROBE_BEFORE_SECONDS = 0.7
PROBE_SECONDS = 3
MOST_RESETS = 3
FULL, OTHER, WARM = "bench-full", "bench-other", "bench-warm"


@dataclass
class Large:
    """The figures. One that could not be measured is missing."""

    cards: int
    seeding_seconds: float | None = None
    bytes_per_card: float | None = None
    page_ms: dict[int, float] = field(default_factory=dict)
    """Median time of a page by its offset."""
    runs: dict[str, list[tuple[Measured, Measured]]] = field(default_factory=dict)
    """By scenario: a pair for each round, of the server with an empty org and the server with the full one."""
    reset_ms: list[float] = field(default_factory=list)
    other_org_max_ms: list[float] = field(default_factory=list)
    """The slowest answer to another org during each reset."""
    other_org_calm_ms: list[float] = field(default_factory=list)
    """The slowest answer to another org without a reset."""

    def offsets(self) -> tuple[int, int, int]:
        """The offsets of the pages that are read: the first, one in the middle, the last."""
        return 0, self.cards // 2, self.cards - PAGE

    def ratio(self, scenario: str) -> float | None:
        """Requests per second with the full org, divided by those with an empty one."""
        pairs = self.runs.get(scenario)
        if not pairs:
            return None
        return statistics.median(full.requests_per_second / empty.requests_per_second for empty, full in pairs)

    def p99_ms(self) -> float | None:
        return statistics.median(full.p99_ms for _, full in self.runs["get"]) if self.runs.get("get") else None

    def max_ms(self) -> float | None:
        return max((full.max_ms for _, full in self.runs.get("get", [])), default=None)


def card(number: int, cards: int) -> dict[str, object]:
    """The card of this number. Consecutive numbers give dates of issue that are far apart within the year."""
    content: dict[str, object] = json.loads(CARD.replace("{n}", f"seed-{number:07d}"))
    year = (LAST_DAY - FIRST_DAY).total_seconds()
    issued = FIRST_DAY + timedelta(seconds=int(number * 7919 % cards / cards * year))
    return content | {"issued_date_and_time": f"{issued:{MOMENT}}"}


def seed(server: Server, org: str, count: int) -> float:
    """Store `count` cards. Returns the seconds that the server's replies took."""
    taken = 0.0
    with Client(server.port) as client:
        for first in range(0, count, BATCH):
            batch = [card(number, count) for number in range(first, min(first + BATCH, count))]
            body = json.dumps({"enfore": {"gift_cards": batch}}, separators=(",", ":"))
            began = time.perf_counter()
            client.expect("POST", f"/__admin/orgs/{org}/seed", body)
            taken += time.perf_counter() - began
    return taken


def fetch_page(server: Server, org: str, offset: int) -> float:
    """Median milliseconds of a page of 200."""
    span = f"from={FIRST_DAY:{MOMENT}}&to={LAST_DAY:{MOMENT}}"
    path = f"{gift_cards(org)}?{span}&limit={PAGE}&offset={offset}"
    times, body = [], b""
    with Client(server.port) as client:
        for _ in range(PAGE_SAMPLES):
            began = time.perf_counter()
            body = client.expect("GET", path)
            times.append((time.perf_counter() - began) * 1000)
    items = len(json.loads(body)["items"])
    if items != PAGE:
        raise NotMeasuredError(f"the page at {offset} has {items} items, not {PAGE}")
    return statistics.median(times)


def fill(server: Server, large: Large) -> None:
    """Store the cards. A few are stored in another org first, so that one-time memory is not counted."""
    seed(server, WARM, BATCH)
    fetch_page(server, WARM, 0)
    before = usage(server.pid).rss
    large.seeding_seconds = seed(server, FULL, large.cards)
    large.bytes_per_card = (usage(server.pid).rss - before) / large.cards


def warm_up(settings: Settings, server: Server) -> None:
    """Send some requests. Runs after `fill`, because cards would fit into memory that a warm-up has freed."""
    for name in ("get", "post"):
        settings.load.drive(server, SCENARIOS[name].ours(server, WARM), CONNECTIONS, 1)
    forget(server, WARM)


def read_pages(server: Server, large: Large) -> None:
    for offset in large.offsets():
        large.page_ms[offset] = fetch_page(server, FULL, offset)


def compare(settings: Settings, empty: Server, full: Server, name: str, large: Large) -> None:
    """Run the load on the server with an empty org and on the one with the full org, in turn."""

    def measure_once(order: tuple[Server, Server]) -> dict[Server, Measured]:
        orgs = {empty: f"bench-empty-{name}", full: FULL}
        requests = {server: SCENARIOS[name].ours(server, orgs[server]) for server in order}
        measured = settings.load.in_turn(requests, CONNECTIONS, settings.seconds)
        forget(empty, orgs[empty])
        return measured

    for number in range(settings.rounds):
        order = (empty, full) if number % 2 else (full, empty)
        measured = quietest(partial(measure_once, order))
        large.runs.setdefault(name, []).append((measured[empty], measured[full]))


def reset(settings: Settings, server: Server, large: Large) -> None:
    """Reset the full org while clients read from another org, then fill it again."""
    other = Request("GET", new_card(server, OTHER))
    large.other_org_calm_ms.append(settings.load.drive(server, other, 1, PROBE_SECONDS).max_ms)
    probe = settings.load.begin(server, other, 1, PROBE_SECONDS)
    time.sleep(PROBE_BEFORE_SECONDS)
    with Client(server.port) as client:
        client.expect("GET", "/__admin/health")
        began = time.perf_counter()
        client.expect("POST", f"/__admin/orgs/{FULL}/reset")
        large.reset_ms.append((time.perf_counter() - began) * 1000)
    large.other_org_max_ms.append(settings.load.finish(probe, other, PROBE_SECONDS)["max_us"] / 1000)
    forget(server, OTHER)
    seed(server, FULL, large.cards)


def reset_repeatedly(settings: Settings, server: Server, large: Large) -> None:
    for _ in range(min(MOST_RESETS, settings.rounds)):
        reset(settings, server, large)


def measure_large(settings: Settings, problems: list[str]) -> Large:
    """Measure all of this. If a figure cannot be measured, add the reason to `problems` and continue."""
    large = Large(settings.cards)
    with ExitStack() as stack:
        try:
            empty, full = (
                stack.enter_context(started(settings.ours, settings.server_cpus, settings.home)) for _ in range(2)
            )
            click.echo(f"  storing {large.cards:,} cards")
            fill(full, large)
            for server in (empty, full):
                warm_up(settings, server)
        except NotMeasuredError as error:
            problems.append(f"large: {error}")
            return large
        steps: dict[str, Callable[[], None]] = {
            "pages": lambda: read_pages(full, large),
            "get": lambda: compare(settings, empty, full, "get", large),
            "reset": lambda: reset_repeatedly(settings, full, large),
            "post": lambda: compare(settings, empty, full, "post", large),
        }
        for name, step in steps.items():
            click.echo(f"  {name}")
            try:
                step()
            except NotMeasuredError as error:
                problems.append(f"large {name}: {error}")
    return large
