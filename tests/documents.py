"""The examples of the documents, run as they stand: `console` blocks in which a line with `$ ` is a command.

What follows a command is what it prints; `…` stands for anything. Every document has a server of its own, which its
text calls http://localhost:8080. `python -m tests.documents FILE…` writes down what the commands really print.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.patience import PROGRAM
from tests.serving import running

ADDRESS = "http://localhost:8080"
# A command goes on after a backslash at the end of a line, and inside single quotes.
_COMMAND = re.compile(r"^\$ ((?:'[^']*'|\\\n|[^'\n])*)\n", re.MULTILINE)


class Step(NamedTuple):
    """A command, what it is said to print, and where that stands in the text."""

    command: str
    printed: str
    start: int
    end: int


def steps(text: str, language: str = "console") -> Iterator[Step]:
    for block in re.finditer(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        commands = list(_COMMAND.finditer(block[1]))
        for at, command in enumerate(commands):
            end = commands[at + 1].start() if at + 1 < len(commands) else len(block[1])
            offset = block.start(1)
            yield Step(command[1], block[1][command.end() : end], offset + command.end(), offset + end)


def run(command: str, url: str, *, cwd: Path | None = None, variables: dict[str, str] | None = None) -> str:
    """What a command prints, with the documents' address in place of the server's."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # where `promo-sandbox` is
    done = subprocess.run(  # noqa: S603 - the project's own documents
        ["/bin/bash", "-c", command.replace(ADDRESS, url)],
        capture_output=True,
        text=True,
        timeout=PROGRAM,
        check=False,
        cwd=cwd,
        env={**os.environ, "PATH": path, **(variables or {})},
    )
    printed = done.stdout + done.stderr
    printed = re.sub(r"^date: .*\r?\n", "", printed, flags=re.MULTILINE).replace("\r", "").replace(url, ADDRESS)
    printed = printed.replace(url.removeprefix("http://"), ADDRESS.removeprefix("http://"))
    return printed if not printed or printed.endswith("\n") else f"{printed}\n"


def needs_missing_jq(command: str) -> bool:
    """Whether an example formats its output with jq, which is not installed here. CI must have it."""
    return "| jq" in command and shutil.which("jq") is None and "CI" not in os.environ


def matches(said: str, printed: str) -> bool:
    return re.fullmatch(re.escape(said).replace("…", ".*?"), printed, re.DOTALL) is not None


def update(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    found = list(steps(text))
    with running() as (_, url):
        outputs = [run(step.command, url) for step in found]
    for step, printed in reversed(list(zip(found, outputs, strict=True))):
        if not matches(step.printed, printed):
            text = text[: step.start] + printed + text[step.end :]
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        update(Path(name))
