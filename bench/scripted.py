"""Measures how much a scenario of 100 steps slows a request that matches none of them.

Usage: python -m bench.scripted [RUNS [SECONDS]]. Exits with 1 if the first kind of scenario adds more than 10 %.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.processes import Client, Command, NotMeasuredError, Server, end_all, split_cpus, started
from bench.scenarios import get
from bench.settings import OURS
from bench.traffic import Load, Request

if TYPE_CHECKING:
    from collections.abc import Sequence

STEPS = 100
CONNECTIONS = 8
MAX_RATIO = 1.10  # of the CPU time without a scenario
ANOTHER = {"path": {"gift-card-id": "another"}}
REJECT = {"then": {"reject": "unknown-gift-card"}}

# No call ever matches a step. The last kind is an artificial worst case: every call is compared with each step.
KINDS: dict[str, list[dict[str, Any]]] = {
    "another card": [{"operation": "getGiftCard", "when": ANOTHER, **REJECT}] * STEPS,
    "another operation": [{"operation": "recordGiftCardRedemption"}] * STEPS,
    "another header and query": [
        {"operation": "getGiftCard", "when": {"headers": {"x-shop": "7"}, "query": {}, **ANOTHER}, **REJECT}
    ]
    * STEPS,
    "any of another operation, 100 times": [{"operation": "getGiftCards", "times": "any"}] * STEPS,
    "any of another card, 100 times": [{"operation": "getGiftCard", "when": ANOTHER, "times": "any", **REJECT}] * STEPS,
}


def org_of(kind: str) -> str:
    return "bench-" + "".join(char for char in kind if char.isalnum())


def begin(server: Server, kind: str) -> Request:
    """Start the scenario of this kind in an org of its own. Returns the request to measure."""
    org = org_of(kind)
    with Client(server.port) as client:
        client.expect("PUT", f"/__admin/orgs/{org}/scenario", json.dumps({"steps": KINDS[kind]}))
    return get(server, org)


def measure(runs: int, seconds: int) -> bool:
    """Print the CPU time per request. Returns whether the first kind, the worst realistic one, meets the target."""
    server_cpus, load_cpus = split_cpus()
    load = Load.choose("auto", load_cpus)
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as home,
        started(Command("ours", tuple(OURS.split()), "/__admin/health"), server_cpus, Path(home)) as server,
    ):
        requests = {"none": get(server, "bench-none")} | {kind: begin(server, kind) for kind in KINDS}
        spent: dict[str, list[float]] = {kind: [] for kind in requests}
        load.drive(server, requests["none"], CONNECTIONS, 1)
        for run in range(runs):
            for kind in list(requests) if run % 2 else list(requests)[::-1]:
                spent[kind].append(load.drive(server, requests[kind], CONNECTIONS, seconds).cpu_us)
    return report(spent)


def report(spent: dict[str, list[float]]) -> bool:
    ratios = {}
    for kind, each in spent.items():
        ratios[kind] = statistics.median(own / none for own, none in zip(each, spent["none"], strict=True))
        click.echo(f"{kind:40} {statistics.median(each):6.1f} µs  {ratios[kind]:.3f}")
    return ratios[next(iter(KINDS))] <= MAX_RATIO


def main(argv: Sequence[str]) -> int:
    runs, seconds = ([int(word) for word in argv] + [9, 1][len(argv) :])[:2]
    try:
        return 0 if measure(runs, seconds) else 1
    except NotMeasuredError as error:
        click.echo(error, err=True)
        return 2
    finally:
        end_all()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
