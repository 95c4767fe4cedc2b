"""The child processes of the benchmark: starts and ends them, assigns CPUs, and reads their CPU time and memory."""

from __future__ import annotations

import atexit
import contextlib
import http.client
import os
import random
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LOOPBACK = "127.0.0.1"
PROC = Path("/proc")
POLL_SECONDS = 0.002
START_SECONDS = 30.0
END_SECONDS = 5.0
HEADERS = {"Authorization": "Bearer bench", "Accept": "application/json", "Content-Type": "application/json"}

Cpus = frozenset[int]
RUNNING: dict[int, subprocess.Popen[bytes]] = {}


class NotMeasuredError(Exception):
    """A figure could not be measured; the text gives the reason."""


@dataclass(frozen=True)
class Command:
    """The command that starts a server, and the path that answers 200 when it is ready."""

    name: str
    argv: tuple[str, ...]
    ready: str
    start_seconds: float = START_SECONDS


@dataclass(frozen=True)
class Server:
    """A server that has answered its first 200."""

    name: str
    port: int
    pid: int
    cold_start: float


@dataclass(frozen=True)
class Usage:
    """The CPU seconds that a process group has used so far, and its present memory."""

    cpu_seconds: float
    rss: int


@dataclass(frozen=True)
class Answer:
    """A status and a body."""

    status: int
    body: bytes

    @property
    def success(self) -> bool:
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES


class Client:
    """One keep-alive connection to a server on loopback."""

    def __init__(self, port: int, timeout: float = 30.0) -> None:
        self._connection = http.client.HTTPConnection(LOOPBACK, port, timeout=timeout)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def ask(self, method: str, path: str, body: str | bytes | None = None) -> Answer:
        try:
            self._connection.request(method, path, body.encode() if isinstance(body, str) else body, HEADERS)
            response = self._connection.getresponse()
            return Answer(response.status, response.read())
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise NotMeasuredError(f"{method} {path}: {type(error).__name__} {error}") from error

    def expect(self, method: str, path: str, body: str | bytes | None = None, status: int | None = None) -> bytes:
        """The body of the answer. It must have this status; without one, any success."""
        answer = self.ask(method, path, body)
        if answer.status != status if status else not answer.success:
            said = answer.body[:300].decode(errors="replace")
            raise NotMeasuredError(f"{method} {path} answers {answer.status}{f', not {status}' * bool(status)}: {said}")
        return answer.body


def free_port() -> int:
    """A free port below the ephemeral range: a client that polls an ephemeral port can connect to itself."""
    for port in random.sample(range(20_000, 32_000), 200):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((LOOPBACK, port))
            return port
    raise NotMeasuredError("no free port between 20000 and 32000")


def split_cpus() -> tuple[Cpus, Cpus]:
    """One CPU for the server and one for the load; two empty sets on a machine with one CPU."""
    if not hasattr(os, "sched_getaffinity"):
        return frozenset(), frozenset()
    usable = sorted(os.sched_getaffinity(0))
    return (frozenset(usable[:1]), frozenset(usable[1:2])) if len(usable) > 1 else (frozenset(), frozenset())


@contextlib.contextmanager
def running_on(cpus: Cpus) -> Iterator[None]:
    """Child processes that are started in this context run on these CPUs."""
    if not cpus:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def spawn(argv: Sequence[str], cpus: Cpus, *, env: dict[str, str], cwd: Path, output: int) -> subprocess.Popen[bytes]:
    """Start a child process as the leader of its own process group. `end_all` ends it too."""
    with running_on(cpus):
        child = subprocess.Popen(  # noqa: S603 - the command is the operator's own
            argv,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    RUNNING[child.pid] = child
    return child


def end(child: subprocess.Popen[bytes]) -> None:
    """End a child process and all others in its process group."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        for pid in [child.pid, *group(child.pid)]:
            if pid != child.pid or child.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(END_SECONDS)
        if child.poll() is not None and not group(child.pid):
            break
    if child.stdout:
        child.stdout.close()
    RUNNING.pop(child.pid, None)


@atexit.register
def end_all() -> None:
    for child in list(RUNNING.values()):
        end(child)


def environment(home: Path) -> dict[str, str]:
    """Our environment, with compiled modules in `home`: only the first start compiles. The source tree stays clean."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return env | {"PYTHONPYCACHEPREFIX": str(home / "pycache")}


@contextlib.contextmanager
def started(command: Command, cpus: Cpus, home: Path) -> Iterator[Server]:
    """Start the server of `command` in an empty working directory; end it when the context ends."""
    port = free_port()
    argv = [word.replace("{port}", str(port)) for word in command.argv]
    cwd = Path(tempfile.mkdtemp(prefix=f"{command.name}-", dir=home))
    log = cwd.with_suffix(".log")
    with log.open("wb") as output:
        began = time.perf_counter()
        try:
            child = spawn(argv, cpus, env=environment(home), cwd=cwd, output=output.fileno())
        except OSError as error:
            raise NotMeasuredError(f"{command.name} cannot be started: {error}") from error
    try:
        wait_until_ready(child, port, command, log)
        yield Server(command.name, port, child.pid, time.perf_counter() - began)
    finally:
        end(child)


def wait_until_ready(child: subprocess.Popen[bytes], port: int, command: Command, log: Path) -> None:
    deadline = time.perf_counter() + command.start_seconds
    last = "no answer"
    while time.perf_counter() < deadline and child.poll() is None:
        try:
            with Client(port, timeout=1.0) as client:
                answer = client.ask("GET", command.ready)
            if answer.status == HTTPStatus.OK:
                return
            last = f"answers {answer.status}"
        except NotMeasuredError as error:
            last = str(error)
        time.sleep(POLL_SECONDS)
    said = log.read_text(errors="replace").strip()[-600:]
    code = child.poll()
    how = (
        f"did not answer within {command.start_seconds:.0f} s ({last})" if code is None else f"ended with status {code}"
    )
    raise NotMeasuredError(f"{command.name} {how}: {' '.join(command.argv)}" + (f"\n{said}" if said else ""))


def _stat(pid: int) -> list[bytes]:
    """The fields of /proc/PID/stat after the name: [0] state, [2] group, [11] user, [12] system, [21] pages."""
    try:
        return (PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return []


def group(leader: int) -> list[int]:
    """The living processes of a group."""
    if not PROC.is_dir():
        return []
    stats = ((int(entry.name), _stat(int(entry.name))) for entry in PROC.iterdir() if entry.name.isdigit())
    return [pid for pid, row in stats if row and int(row[2]) == leader and row[0] not in b"ZX"]


def usage(leader: int) -> Usage:
    rows = [row for row in map(_stat, group(leader)) if row]
    if not rows:
        raise NotMeasuredError("the server has ended, or there is no /proc with its CPU time and memory")
    ticks = sum(int(row[11]) + int(row[12]) for row in rows)
    pages = sum(int(row[21]) for row in rows)
    return Usage(ticks / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE"))


def machine_cpu_seconds() -> float:
    """CPU seconds of the whole machine: those used for work, and those that the hypervisor took (steal)."""
    user, nice, system, _, _, irq, softirq, steal = map(int, (PROC / "stat").read_text().split(None, 9)[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
