"""The wheel of this checkout and an environment that has it, each made once for all workers of a run."""

from __future__ import annotations

import fcntl
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from promo_sandbox.base import config as configuration
from tests.command import environment
from tests.patience import PROGRAM

ROOT = Path(configuration.__file__).parents[3]


def built(shared: Path) -> Path:
    """The wheel; the first caller builds it, the others wait."""
    folder = shared / "wheel"
    with _alone(shared):
        if not (folder / "done").exists():
            _run("-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT))
            (folder / "done").touch()
    [wheel] = folder.glob("*.whl")
    return wheel


def installed(shared: Path) -> Path:
    """The folder of programs of an environment of its own, which sees our dependencies but not this checkout."""
    wheel, folder = built(shared), shared / "venv"
    programs = folder / "bin"
    with _alone(shared):
        if not (folder / "done").exists():
            venv.create(folder, symlinks=True)
            python = str(programs / "python")
            _run("-m", "pip", "--python", python, "install", "-q", "--no-deps", "--no-index", str(wheel))
            [site] = folder.glob("lib/python*/site-packages")
            # What a .pth file adds comes after the environment's own, and the .pth files in it (this checkout's) are
            # not read.
            (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
            (folder / "done").touch()
    return programs


@contextmanager
def _alone(shared: Path) -> Iterator[None]:
    with (shared / "wheel.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run(*arguments: str) -> None:
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, *arguments], env=environment(), capture_output=True, text=True, timeout=PROGRAM, check=False
    )
    assert done.returncode == 0, done.stderr
