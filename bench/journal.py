"""Measures the memory that a million requests leave: successful, rejected and unmatched ones, in many orgs.

Usage: python -m bench.journal [REQUESTS]
"""

from __future__ import annotations

import itertools
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from bench.processes import Client, Command, split_cpus, started, usage
from bench.scenarios import CARD, WRONG_CARD, gift_cards, new_card
from bench.traffic import Load, Request

if TYPE_CHECKING:
    from bench.processes import Server

OURS = (sys.executable, "-m", "promo_sandbox", "serve", "--port", "{port}", "--host", "127.0.0.1")
ORGS = 20
SECONDS = 1  # for each kind of request in each org, in turn
CONNECTIONS = 32
MAX_RSS = 200_000_000
LONG_CARD = WRONG_CARD.replace("Anniversary", "A" * 50_000)


def kinds(server: Server, org: str) -> list[Request]:
    """Requests that do not change the state, so that only the journal grows."""
    return [
        Request("GET", new_card(server, org)),
        Request("POST", gift_cards(org), WRONG_CARD, 400),
        Request("GET", f"{gift_cards(org)}s/none", status=404),
        Request("POST", gift_cards(org), CARD.replace("{n}", "the-same"), 422),
        Request("POST", gift_cards(org), LONG_CARD, 400),
    ]


def main(wanted: int) -> int:
    server_cpus, load_cpus = split_cpus()
    load = Load.choose("auto", load_cpus)
    with (
        tempfile.TemporaryDirectory() as folder,
        started(Command("ours", OURS, "/__admin/health"), server_cpus, Path(folder)) as server,
    ):
        print(f"idle: {usage(server.pid).rss / 1e6:.0f} MB")  # noqa: T201 - the output of this program
        requests = [request for number in range(ORGS) for request in kinds(server, f"bench-{number}")]
        with Client(server.port) as client:
            for number in range(ORGS):
                client.expect("POST", gift_cards(f"bench-{number}"), CARD.replace("{n}", "the-same"))
        done, most = 0, 0
        for request in itertools.cycle(requests):
            done += int(load.finish(load.begin(server, request, CONNECTIONS, SECONDS), request, SECONDS)["requests"])
            most = max(most, usage(server.pid).rss)
            if done >= wanted:
                break
        left = usage(server.pid).rss
    print(f"after {done} requests: {left / 1e6:.0f} MB, {most / 1e6:.0f} MB at most, target {MAX_RSS / 1e6:.0f} MB")  # noqa: T201 - the output of this program
    return int(most > MAX_RSS)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000))
