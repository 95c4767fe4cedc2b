"""Measures our server against a bare Starlette app: speed, latency, CPU, cold start, memory; see README.md."""

from __future__ import annotations

import signal
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.large import measure_large
from bench.processes import Command, NotMeasuredError, Server, end_all, started, usage
from bench.report import Pair, Results, Starts, targets, text, write_json
from bench.scenarios import SCENARIOS, forget
from bench.settings import Settings, parse, settle
from bench.traffic import Measured, quietest

if TYPE_CHECKING:
    from collections.abc import Sequence

IDLE_SECONDS = 0.3
WARM_UP_CONNECTIONS = 32


def turns(settings: Settings, number: int) -> list[Command]:
    """The order of the servers, which changes from round to round."""
    both = [settings.floor, settings.ours]
    return both if number % 2 else both[::-1]


def measure_starts(settings: Settings, results: Results) -> None:
    """Measure cold starts. The first of each server is not counted, because it compiles the modules."""
    for number in range(settings.starts + 1):
        for command in turns(settings, number):
            with started(command, settings.server_cpus, settings.home) as server:
                time.sleep(IDLE_SECONDS)
                if number:
                    starts = results.starts.setdefault(command.name, Starts())
                    starts.seconds.append(server.cold_start)
                    starts.idle_rss.append(usage(server.pid).rss)


def measure_pair(settings: Settings, servers: tuple[Server, Server], name: str, connections: int, number: int) -> Pair:
    """Run one scenario on both servers, one after the other; ours uses an org of its own."""
    floor, ours = servers
    org = f"bench-{name}-{connections}-{number}"

    def measure_once() -> dict[Server, Measured]:
        requests = {floor: SCENARIOS[name].floor, ours: SCENARIOS[name].ours(ours, org)}
        order = [floor, ours] if number % 2 else [ours, floor]
        measured = settings.load.in_turn({one: requests[one] for one in order}, connections, settings.seconds)
        forget(ours, org)
        return measured

    measured = quietest(measure_once)
    return Pair(number, name, connections, measured[floor], measured[ours])


def warm_up(settings: Settings, floor: Server, ours: Server, name: str) -> None:
    settings.load.drive(floor, SCENARIOS[name].floor, WARM_UP_CONNECTIONS, 1)
    settings.load.drive(ours, SCENARIOS[name].ours(ours, "bench-warm"), WARM_UP_CONNECTIONS, 1)
    forget(ours, "bench-warm")


def measure_scenario(
    settings: Settings, servers: tuple[Server, Server], name: str, number: int, results: Results
) -> None:
    warm_up(settings, *servers, name)
    for connections in settings.connections:
        results.pairs.append(measure_pair(settings, servers, name, connections, number))


def measure_round(settings: Settings, number: int, results: Results) -> None:
    """Start both servers again and run every scenario in turn."""
    with (
        started(settings.floor, settings.server_cpus, settings.home) as floor,
        started(settings.ours, settings.server_cpus, settings.home) as ours,
    ):
        for name in settings.scenarios:
            click.echo(f"  {name}")
            try:
                measure_scenario(settings, (floor, ours), name, number, results)
            except NotMeasuredError as error:
                results.problems.append(f"{name}, round {number + 1}: {error}")


def measure(settings: Settings) -> Results:
    results = Results()
    try:
        click.echo(f"{settings.starts} cold starts each")
        measure_starts(settings, results)
        for number in range(settings.rounds):
            click.echo(f"round {number + 1} of {settings.rounds}")
            measure_round(settings, number, results)
    except NotMeasuredError as error:
        results.problems.append(str(error))
        return results
    if settings.cards:
        click.echo("one org with many cards")
        results.large = measure_large(settings, results.problems)
    return results


def interrupt(_number: int, _frame: object) -> None:
    """Handle a termination signal like Ctrl-C, so that every child process is ended first."""
    raise KeyboardInterrupt


def main(argv: Sequence[str] | None = None) -> int:
    options = parse(argv)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    with tempfile.TemporaryDirectory(prefix="bench-") as home:
        try:
            settings = settle(options, Path(home))
            results = measure(settings)
        except NotMeasuredError as error:
            click.echo(error, err=True)
            return 2
        except KeyboardInterrupt:
            return 130
        finally:
            end_all()
    click.echo("\n" + text(settings, results))
    if options.out:
        write_json(settings, results, options.out)
    verdicts = {target.verdict for target in targets(settings, results)}
    if results.problems or "not measured" in verdicts:
        return 2
    return 1 if options.strict and "missed" in verdicts else 0
