"""The options of the benchmark, and the settings that follow from them."""

from __future__ import annotations

import argparse
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.processes import Command, Cpus, split_cpus
from bench.scenarios import SCENARIOS
from bench.traffic import HERE, Load

if TYPE_CHECKING:
    from collections.abc import Sequence

OURS = f"{shlex.quote(sys.executable)} -m promo_sandbox serve --port {{port}}"
FEWEST_CARDS = 1000


@dataclass(frozen=True)
class Settings:
    floor: Command
    ours: Command
    load: Load
    server_cpus: Cpus
    home: Path
    """A temporary directory: logs, working directories, compiled modules."""
    seconds: int
    rounds: int
    connections: tuple[int, ...]
    scenarios: tuple[str, ...]
    starts: int
    cards: int
    """How many cards the part with a large org stores; 0: the part does not run."""


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def many(text: str) -> int:
    number = int(text)
    if number < FEWEST_CARDS:
        raise argparse.ArgumentTypeError(f"must be at least {FEWEST_CARDS}")
    return number


def new_file(text: str) -> Path:
    file = Path(text).absolute()
    if not file.parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {file.parent}")
    return file


def connection_counts(text: str) -> tuple[int, ...]:
    return tuple(positive(part) for part in text.split(","))


def scenario_names(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    unknown = [name for name in names if name not in SCENARIOS]
    if unknown:
        raise argparse.ArgumentTypeError(
            f"unknown scenario {', '.join(unknown)}; the scenarios are {', '.join(SCENARIOS)}"
        )
    return names


def server_command(text: str) -> tuple[str, ...]:
    if "{port}" not in text:
        raise argparse.ArgumentTypeError("must contain {port}")
    return tuple(shlex.split(text))


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("bench/run.py", description="Measures the server against a bare Starlette app.")
    add = parser.add_argument
    add("--seconds", type=positive, help="seconds of one run of the load (3; quick: 1)")
    add("--rounds", type=positive, help="how often everything is measured; the figures are medians (3; quick: 1)")
    add("--connections", type=connection_counts, metavar="N,N", help="keep-alive connections (32,128; quick: 32)")
    add(
        "--scenarios",
        type=scenario_names,
        metavar="A,B",
        default=tuple(SCENARIOS),
        help=f"some of {','.join(SCENARIOS)}",
    )
    add("--starts", type=positive, help="cold starts per server (7; quick: 3)")
    add("--quick", action="store_true", help="a short run: one round, one second, 32 connections, no large part")
    add("--large", action=argparse.BooleanOptionalAction, help="the part with many cards in one org (on; quick: off)")
    add("--cards", type=many, default=100_000, help="the number of these cards (%(default)s)")
    add("--ours", type=server_command, metavar="COMMAND", default=OURS, help="our server's command (%(default)s)")
    add("--load", choices=("auto", "wrk", "load.py"), default="auto", help="load generator (auto: wrk if installed)")
    add("--out", type=new_file, metavar="FILE", help="write every figure as JSON")
    add("--strict", action="store_true", help="exit with 1 if a target is missed")
    return parser.parse_args(argv)


def settle(options: argparse.Namespace, home: Path) -> Settings:
    quick: bool = options.quick
    large = not quick if options.large is None else options.large
    server_cpus, load_cpus = split_cpus()
    return Settings(
        floor=Command("floor", (sys.executable, str(HERE / "floor.py"), "{port}"), "/"),
        ours=Command("ours", options.ours, "/__admin/health"),
        load=Load.choose(options.load, load_cpus),
        server_cpus=server_cpus,
        home=home,
        seconds=options.seconds or (1 if quick else 3),
        rounds=options.rounds or (1 if quick else 3),
        connections=options.connections or ((32,) if quick else (32, 128)),
        scenarios=options.scenarios,
        starts=options.starts or (3 if quick else 7),
        cards=options.cards if large else 0,
    )
