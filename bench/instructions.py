"""Counts the instructions that the server needs for a request over a socket. A busy machine does not change the count.

usage: python -m bench.instructions [SCENARIO …], with valgrind. Two servers answer 500 and 2,500 requests over one
connection; the difference is what 2,000 requests take. What the server does at times, and the kernel, is left out.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
import tempfile
import time
from http.client import HTTPResponse
from itertools import count
from pathlib import Path

from bench.processes import LOOPBACK, Command, NotMeasuredError, started
from bench.scenarios import SCENARIOS
from bench.traffic import TOKEN

FEW, MANY = 500, 2500
NUMBERS = count(10**11)
PATIENCE = 300.0  # seconds; under valgrind, a server starts and ends slowly
# The server without its periodic work (every 50 and 100 ms): under valgrind, more of it would run for each request.
QUIET = """
import asyncio, sys, uvicorn, promo_sandbox.server.server
from promo_sandbox.cli.main import main
async def main_loop(server):
    await server.on_tick(0)
    while not server.should_exit:
        await asyncio.sleep(0.5)
uvicorn.Server.main_loop = main_loop
promo_sandbox.server.server.TICK = 3600.0
sys.exit(main())
"""
SERVER = (sys.executable, "-c", QUIET, "serve", "--port", "{port}")


def instructions(scenario: str, requests: int, home: Path) -> int:
    """The instructions of a server from start to end, with this many requests."""
    counted = home / f"{scenario}-{requests}"
    valgrind = ("valgrind", "--tool=callgrind", f"--callgrind-out-file={counted}")
    with started(Command("counted", (*valgrind, *SERVER), "/__admin/health", PATIENCE), frozenset(), home) as server:
        request = SCENARIOS[scenario].ours(server, "bench")
        raw = request.raw(server.port)
        with socket.create_connection((LOOPBACK, server.port)) as connection:
            for _ in range(requests):
                connection.sendall(raw.replace(TOKEN, f"{next(NUMBERS)}").encode())  # in one piece, as wrk does
                with HTTPResponse(connection) as response:
                    response.begin()
                    response.read()
                if response.status != request.status:
                    raise NotMeasuredError(f"{scenario}: the server answered {response.status}")
        os.kill(server.pid, signal.SIGTERM)
        return _total(counted)


def _total(counted: Path) -> int:
    """The total that valgrind writes when the server has ended."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        found = re.search(r"^totals: (\d+)", counted.read_text(), re.MULTILINE) if counted.exists() else None
        if found is not None:
            return int(found[1])
        time.sleep(0.2)
    raise NotMeasuredError(f"valgrind wrote no total within {PATIENCE:.0f} s")


def main() -> None:
    os.environ["PYTHONHASHSEED"] = "0"
    os.environ["PYTHONPATH"] = str(Path(__file__).resolve().parents[1])
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        with started(Command("compiling", SERVER, "/__admin/health"), frozenset(), home):
            pass  # compiles the modules, without valgrind
        for scenario in sys.argv[1:] or ["get", "post", "rejected"]:
            few, many = (instructions(scenario, requests, home) for requests in (FEW, MANY))
            sys.stdout.write(f"{scenario}: {(many - few) / (MANY - FEW):,.0f} instructions\n")


if __name__ == "__main__":
    main()
