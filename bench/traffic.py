"""Drives a server with wrk, or with load.py where wrk is missing, and reads its results."""

from __future__ import annotations

import itertools
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from bench.processes import (
    HEADERS,
    LOOPBACK,
    Client,
    Cpus,
    NotMeasuredError,
    Server,
    end,
    machine_cpu_seconds,
    spawn,
    usage,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

HERE = Path(__file__).resolve().parent
TOKEN = "@" * 12
NOISE = 0.15
MOST_TRIES = 2
SEEDS = itertools.count(10**8, 10**8)
RESULT = re.compile(r"^BENCH (\{.*\})$", re.MULTILINE)


@dataclass(frozen=True)
class Request:
    """A request to send repeatedly. `{n}` in the body is replaced by a new number each time."""

    method: str
    path: str
    body: str = ""
    status: int = 200

    def raw(self, port: int) -> str:
        body = self.body.replace("{n}", TOKEN)
        lines = [f"{self.method} {self.path} HTTP/1.1", f"Host: {LOOPBACK}:{port}"]
        lines += [f"{name}: {value}" for name, value in HEADERS.items() if body or name != "Content-Type"]
        if body:
            lines.append(f"Content-Length: {len(body.encode())}")
        return "\r\n".join(lines) + "\r\n\r\n" + body


@dataclass(frozen=True)
class Measured:
    """One run of the load against one server."""

    requests_per_second: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    cpu_us: float
    other_work: float
    """CPU seconds per second that were neither the server's nor the load's: noise."""


@dataclass(frozen=True)
class Load:
    """The load generator and the CPU that it runs on."""

    kind: str
    cpus: Cpus

    @classmethod
    def choose(cls, kind: str, cpus: Cpus) -> Load:
        if kind == "auto":
            kind = "wrk" if shutil.which("wrk") else "load.py"
        if kind == "wrk" and not shutil.which("wrk"):
            raise NotMeasuredError("wrk is not installed")
        return cls(kind, cpus)

    def argv(self, port: int, connections: int, seconds: int) -> list[str]:
        if self.kind == "load.py":
            return [sys.executable, str(HERE / "load.py"), str(port), str(connections), str(seconds)]
        sizes = ["-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s"]
        return ["wrk", *sizes, "-s", str(HERE / "lua" / "request.lua"), f"http://{LOOPBACK}:{port}"]

    def begin(self, server: Server, request: Request, connections: int, seconds: int) -> subprocess.Popen[bytes]:
        """Send one request and check its status, then start the load."""
        seed = next(SEEDS)
        with Client(server.port) as client:
            client.expect(request.method, request.path, request.body.replace("{n}", f"{seed:012d}"), request.status)
        env = os.environ | {"BENCH_REQUEST": request.raw(server.port), "BENCH_SEED": str(seed)}
        return spawn(self.argv(server.port, connections, seconds), self.cpus, env=env, cwd=HERE, output=subprocess.PIPE)

    def finish(self, child: subprocess.Popen[bytes], request: Request, seconds: int) -> dict[str, float]:
        """Wait for the load to end. Raises `NotMeasuredError` if an answer had an unexpected status."""
        try:
            said = child.communicate(timeout=seconds + 25)[0].decode(errors="replace")
        except subprocess.TimeoutExpired:
            raise NotMeasuredError(f"{self.kind} did not end") from None
        finally:
            end(child)
        found = RESULT.search(said)
        if not found:
            raise NotMeasuredError(f"{self.kind} says: {said.strip()[-300:]}")
        result: dict[str, float] = json.loads(found[1])
        requests, rejected, errors = (int(result[name]) for name in ("requests", "rejected", "errors"))
        unexpected = requests - rejected if request.status >= HTTPStatus.BAD_REQUEST else rejected
        if unexpected or errors or not requests:
            raise NotMeasuredError(f"{unexpected} unexpected answers and {errors} errors in {requests} requests")
        return result

    def drive(self, server: Server, request: Request, connections: int, seconds: int) -> Measured:
        """Run the load on one server for some seconds."""
        child = self.begin(server, request, connections, seconds)
        began, before, machine, load = time.perf_counter(), usage(server.pid), machine_cpu_seconds(), load_cpu_seconds()
        result = self.finish(child, request, seconds)
        spent = usage(server.pid).cpu_seconds - before.cpu_seconds
        other = machine_cpu_seconds() - machine - spent - (load_cpu_seconds() - load)
        return Measured(
            requests_per_second=result["requests"] / result["seconds"],
            p50_ms=result["p50_us"] / 1000,
            p99_ms=result["p99_us"] / 1000,
            max_ms=result["max_us"] / 1000,
            cpu_us=spent / result["requests"] * 1e6,
            other_work=max(0.0, other / (time.perf_counter() - began)),
        )

    def in_turn(self, requests: dict[Server, Request], connections: int, seconds: int) -> dict[Server, Measured]:
        """Run the load on one server after the other, in the given order."""
        return {server: self.drive(server, request, connections, seconds) for server, request in requests.items()}


def quietest(measure: Callable[[], dict[Server, Measured]]) -> dict[Server, Measured]:
    """Measure, and measure again if other processes disturbed it. Returns the less disturbed result."""
    tries: list[dict[Server, Measured]] = []
    while not tries or (disturbance(tries[-1].values()) > NOISE and len(tries) < MOST_TRIES):
        tries.append(measure())
    return min(tries, key=lambda measured: disturbance(measured.values()))


def disturbance(measured: Iterable[Measured]) -> float:
    return max(one.other_work for one in measured)


def load_cpu_seconds() -> float:
    """CPU seconds of the child processes that have ended. While the servers run, these are the load generators."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.ru_utime + ended.ru_stime
