"""The command line in a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.patience import LONG, PROGRAM

_ADMIN = re.compile(r"(http://\S+)/__admin")
Invoke = Callable[..., tuple[int, str, str]]  # the command in this process: exit code, what it said, what it complained
PYTHON = (sys.executable, "-m", "promo_sandbox")


def environment(variables: dict[str, str] | None = None) -> dict[str, str]:
    """This process's environment without the settings of a sandbox in it, and with these variables."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SANDBOX_")}
    return {**inherited, **(variables or {})}


def run(
    *arguments: str, cwd: Path | None = None, command: tuple[str, ...] = PYTHON
) -> subprocess.CompletedProcess[str]:
    """A command that ends by itself."""
    return subprocess.run(  # noqa: S603 - our own command
        [*command, *arguments],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PROGRAM,
        check=False,
    )


class Served:
    """A server in a process: its base URL and the table it printed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.table: list[str] = []
        assert process.stdout is not None  # it is a pipe
        for line in process.stdout:
            self.table.append(line.rstrip("\n"))
            if found := _ADMIN.search(line):
                self.url = found[1]
                return
        _, said = process.communicate(timeout=LONG)
        raise AssertionError(f"the server did not start: {said}")

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """The exit code and what it said on standard error."""
        self.process.send_signal(number)
        _, said = self.process.communicate(timeout=LONG)
        return self.process.returncode, said


@contextmanager
def serving(
    *arguments: str,
    cwd: Path | None = None,
    command: tuple[str, ...] = PYTHON,
    variables: dict[str, str] | None = None,
) -> Iterator[Served]:
    """A server on a free port, unless the arguments say another; it is killed at the end if it still runs."""
    port = () if "--port" in arguments or "SANDBOX_PORT" in (variables or {}) else ("--port", "0")
    process = subprocess.Popen(  # noqa: S603 - our own command
        [*command, "serve", *port, *arguments],
        cwd=cwd,
        env=environment(variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield Served(process)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()
