"""The Dockerfile's steps without an engine: each stage's root is an overlay of this machine's file system.

What a step writes goes into memory. All mounts are in a namespace of their own, which ends with the process that holds
it. What is not shown: the base image itself (this machine and this Python stand for it), layers, and the engine.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackagePath, distribution
from pathlib import Path
from typing import NamedTuple

from docker.utils import exclude_paths
from dockerfile_parse import DockerfileParser
from packaging.requirements import Requirement

from promo_sandbox.base import config as configuration
from tests.patience import PROGRAM

ROOT = Path(configuration.__file__).parents[3]
DOCKERFILE = ROOT / "Dockerfile"
_UMASK = 0o022  # an engine's, whatever ours is
_BEYOND_RUNNING = {"ARG", "FROM", "LABEL", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD", "COMMENT"}


class Step(NamedTuple):
    """An instruction and what follows it, in one line."""

    instruction: str
    value: str


class Stage:
    """What a `FROM` begins."""

    def __init__(self, value: str) -> None:
        self.image, _, self.name = value.partition(" AS ")
        self.steps: list[Step] = []
        self.env = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
        self.folder = "/"
        self.user = "0:0"

    def last(self, instruction: str) -> str:
        """What follows the last of these instructions, or nothing."""
        return next((step.value for step in reversed(self.steps) if step.instruction == instruction), "")

    def pairs(self, instruction: str) -> dict[str, str]:
        """What `ENV` or `LABEL` sets, as it stands."""
        said = [pair for step in self.steps if step.instruction == instruction for pair in shlex.split(step.value)]
        return dict(pair.split("=", 1) for pair in said)


def stages(path: Path = DOCKERFILE) -> list[Stage]:
    found: list[Stage] = []
    with path.open("rb") as file:
        for said in DockerfileParser(fileobj=file, env_replace=False).structure:
            step = Step(said["instruction"].upper(), " ".join(said["value"].split()))
            if step.instruction == "FROM":
                found.append(Stage(step.value))
            elif found:
                found[-1].steps.append(step)
    return found


def options(value: str) -> tuple[dict[str, str], str]:
    """`--name=value …` and the rest."""
    given, words = {}, value.split(" ")
    while words and words[0].startswith("--"):
        name, _, said = words.pop(0).removeprefix("--").partition("=")
        given[name] = said
    return given, " ".join(words)


def sent_to_build(into: Path) -> None:
    """What a build is sent of this checkout."""
    patterns = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for name in exclude_paths(str(ROOT), [line for line in patterns if line and not line.startswith("#")]):
        if (ROOT / name).is_file() and name not in ("Dockerfile", ".dockerignore"):  # the builder keeps these to itself
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, into / name)


def wheels(into: Path) -> None:
    """What an index would have: all that pyproject.toml requires to build and to run, as it is installed here."""
    said = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    waiting, packed = [*said["build-system"]["requires"], *said["project"]["dependencies"]], set()
    while waiting:
        requirement = Requirement(waiting.pop())
        if requirement.name.lower() in packed or (
            requirement.marker and not requirement.marker.evaluate({"extra": ""})
        ):
            continue
        packed.add(requirement.name.lower())
        found = distribution(requirement.name)
        waiting += found.requires or []
        _pack(into, found.metadata["Name"], found.version, found.files or [])


def _pack(into: Path, name: str, version: str, files: list[PackagePath]) -> None:
    ours = [file for file in files if ".." not in file.parts and "__pycache__" not in file.parts]
    ours = [file for file in ours if file.name not in ("INSTALLER", "REQUESTED", "direct_url.json")]
    [wheel] = [file for file in ours if file.name == "WHEEL" and file.parent.suffix == ".dist-info"]
    tag = re.findall(r"^Tag: (\S+)", wheel.read_text(), re.MULTILINE)[-1]
    with zipfile.ZipFile(into / f"{re.sub(r'[-_.]+', '_', name)}-{version}-{tag}.whl", "w") as packed:
        for file in ours:
            packed.write(file.locate(), str(file))


class Builder:
    """Runs the stages. `scratch`: a folder to mount on; `index`: the folder of all wheels that pip finds."""

    def __init__(self, holder: int, scratch: Path, index: Path) -> None:
        self._enter = ["nsenter", f"--target={holder}", "--mount", "--"]
        self._scratch = scratch
        self._index = index

    def shell(self, script: str) -> None:
        done = subprocess.run(  # noqa: S603 - our own script
            [*self._enter, "/bin/sh", "-euc", script],
            capture_output=True,
            text=True,
            timeout=PROGRAM,
            check=False,
            umask=_UMASK,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"

    def root(self, stage: Stage) -> Path:
        return self._scratch / (stage.name or "final")

    def command(self, stage: Stage, *words: str, **variables: str) -> list[str]:
        """What runs a command in a stage's root, as its user, in its folder, with its variables and no other."""
        linked = {"LD_LIBRARY_PATH": "/usr/local/lib"}  # where the image's own linker looks for Python
        env = [f"{name}={value}" for name, value in {**linked, **stage.env, **variables}.items()]
        user, _, group = stage.user.partition(":")
        as_user = ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", "--pdeathsig=KILL"]
        inside = ["chroot", str(self.root(stage)), *as_user, "env", "-i", f"--chdir={stage.folder}"]
        return [*self._enter, *inside, *env, *words]

    def build(self, stage: Stage) -> None:
        self._begin(stage)
        for step in stage.steps:
            if step.instruction == "ENV":
                for pair in shlex.split(step.value):
                    name, _, value = pair.partition("=")
                    stage.env[name] = re.sub(r"\$\{?(\w+)\}?", lambda found: stage.env[found[1]], value)
            elif step.instruction == "WORKDIR":
                stage.folder = step.value
                self.shell(f"mkdir -p {self.root(stage)}{step.value}")
            elif step.instruction == "USER":
                stage.user = step.value
            elif step.instruction == "COPY":
                self._copy(stage, step.value)
            elif step.instruction == "RUN":
                self._run(stage, step.value)
            else:
                assert step.instruction in _BEYOND_RUNNING, f"{step.instruction} is not known here"

    def freeze(self, stage: Stage) -> None:
        """As `docker run --read-only`."""
        self.shell(f"mount -o remount,ro {self.root(stage)}; mount -o remount,ro {self.root(stage)}/usr/local")

    def _begin(self, stage: Stage) -> None:
        """This machine in place of the base image: its Python at /usr/local, as there, and without this checkout."""
        root = self.root(stage)
        script = f"""
            mkdir -p {root} {root}.upper/all {root}.upper/python {root}.work/all {root}.work/python
            mount -t overlay overlay -o lowerdir=/,upperdir={root}.upper/all,workdir={root}.work/all {root}
            mount -t overlay overlay {root}/usr/local \\
                  -o lowerdir={sys.base_prefix},upperdir={root}.upper/python,workdir={root}.work/python
            mount --rbind /dev {root}/dev
            mount -t tmpfs none {shlex.quote(f"{root}{ROOT}")}
            printf '#!/bin/sh\\nexec /usr/local/bin/python -m pip "$@"\\n' > {root}/usr/local/bin/pip
        """
        self.shell(script)

    def _copy(self, stage: Stage, value: str) -> None:
        given, rest = options(value)
        source, target = rest.split(" ")
        place = target if target.startswith("/") else os.path.normpath(f"{stage.folder}/{target}")
        origin = f"{self._scratch}/{given['from']}{source}" if "from" in given else f"{self._scratch}/context/{source}"
        self.shell(f"mkdir -p {self.root(stage)}{place} && cp -a {origin}/. {self.root(stage)}{place}")

    def _run(self, stage: Stage, value: str) -> None:
        words = json.loads(value) if value.startswith("[") else ["/bin/sh", "-c", value]
        offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self._index), "PIP_CONFIG_FILE": os.devnull}
        done = subprocess.run(  # noqa: S603 - the Dockerfile's own command
            self.command(stage, *words, **offline),
            capture_output=True,
            text=True,
            timeout=PROGRAM,
            check=False,
            umask=_UMASK,
        )
        assert done.returncode == 0, f"RUN {value}\n{done.stdout}{done.stderr}"


@contextmanager
def builder(scratch: Path, index: Path) -> Iterator[Builder]:
    """A builder; what it mounts and writes is gone afterwards."""
    begin = f"mount -t tmpfs none {scratch} && echo ready && read end"
    with subprocess.Popen(  # noqa: S603 - our own command
        ["unshare", "--mount", "/bin/sh", "-c", begin],  # noqa: S607 - found where this machine has it
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None  # it is a pipe
        assert holder.stdout.readline() == "ready\n"
        yield Builder(holder.pid, scratch, index)
        assert holder.stdin is not None  # it is a pipe
        holder.stdin.close()
