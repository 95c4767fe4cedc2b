"""One attack on a running server: how much of its processor time it takes, and how long a bystander waits meanwhile.

A wait is measured by the clock and in processor time of the server, on which a busy machine has no effect.
"""

from __future__ import annotations

import json
import os
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

_LOOPBACK = "127.0.0.1"
_PATIENCE = 120  # seconds for one reply
_QUIET = "/__admin/health"  # what a bystander asks for
_NANOSECONDS = 1_000_000_000
_USER, _SYSTEM = 11, 12  # fields of /proc/PID/stat behind the name
_BREATH = 0.001  # seconds between a bystander's requests: it must not itself be the load

JSON = {"Content-Type": "application/json", "Authorization": "Bearer any"}
YAML = {**JSON, "Content-Type": "application/yaml"}
FORM = {**JSON, "Content-Type": "application/x-www-form-urlencoded"}


@dataclass(frozen=True)
class Target:
    """A server to attack: its port, and the process whose time is counted."""

    port: int
    pid: int
    whole: bool = False  # attacks have their whole size, which takes longer to prepare

    def connect(self) -> HTTPConnection:
        return HTTPConnection(_LOOPBACK, self.port, timeout=_PATIENCE)

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
        """The status and the whole body. `body` is sent as JSON unless it is bytes."""
        connection = self.connect()
        try:
            sent = body if body is None or isinstance(body, bytes) else as_json(body)
            connection.request(method, path, sent, headers or JSON)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def expect(self, method: str, path: str, body: Any = None, status: int = 200) -> bytes:
        """The body of a reply that must have this status: what an attack needs beforehand."""
        got, said = self.ask(method, path, body)
        assert got == status, f"{method} {path}: {got} {said[:300]!r}"
        return said

    def cpu_seconds(self) -> float:
        stat = Path(f"/proc/{self.pid}/stat").read_bytes().rpartition(b")")[2].split()
        return (int(stat[_USER]) + int(stat[_SYSTEM])) / os.sysconf("SC_CLK_TCK")

    def worked_seconds(self) -> float:
        """What its main thread has had of a processor."""
        return int(Path(f"/proc/{self.pid}/schedstat").read_bytes().split()[0]) / _NANOSECONDS


@dataclass(frozen=True)
class Attack:
    """Something that a single client can do. `prepare` is not counted; `strike` returns a status and a body."""

    name: str
    strike: Callable[[Target], tuple[int, bytes]]
    prepare: Callable[[Target], object] | None = None
    status: int | None = None  # what it must be answered with, where that is part of the point


@dataclass
class Outcome:
    """What an attack came to; times are seconds."""

    status: int
    size: int  # bytes of the reply
    seconds: float  # until the attacker had the reply
    cpu: float  # of the server
    waits: list[float] = field(default_factory=list)  # of the bystander, one for each of its requests
    work: list[float] = field(default_factory=list)  # of the server during each of them

    @property
    def worst_work(self) -> float:
        return max(self.work, default=0.0)

    @property
    def worst_wait(self) -> float:
        return max(self.waits, default=0.0)

    @property
    def usual_wait(self) -> float:
        return statistics.median(self.waits) if self.waits else 0.0


def outcome(target: Target, attack: Attack) -> Outcome:
    """Strike while a bystander asks something cheap again and again, over a connection of its own."""
    with bystander(target) as (waits, work):
        began, before = time.perf_counter(), target.cpu_seconds()
        status, body = attack.strike(target)
        seconds = time.perf_counter() - began
        cpu = target.cpu_seconds() - before
    return Outcome(status, len(body), seconds, cpu, waits, work)


@contextmanager
def bystander(target: Target) -> Iterator[tuple[list[float], list[float]]]:
    """How long each request of a bystander took, and the server worked meanwhile, filled until the block ends."""
    waits: list[float] = []
    work: list[float] = []
    ready, over = threading.Event(), threading.Event()
    thread = threading.Thread(target=_look_on, args=(target, waits, work, ready, over))
    thread.start()
    assert ready.wait(_PATIENCE), "the bystander was not answered"
    waits.clear()
    work.clear()
    try:
        yield waits, work
    finally:
        over.set()
        thread.join()


def _look_on(
    target: Target, waits: list[float], work: list[float], ready: threading.Event, over: threading.Event
) -> None:
    connection = target.connect()
    try:
        while not over.is_set():
            began, before = time.perf_counter(), target.worked_seconds()
            try:
                connection.request("GET", _QUIET)
                connection.getresponse().read()
            except (OSError, HTTPException):  # a server that was busy for long may close what seems idle
                connection.close()
            waits.append(time.perf_counter() - began)
            work.append(target.worked_seconds() - before)
            ready.set()
            over.wait(_BREATH)
    finally:
        connection.close()


def as_json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
