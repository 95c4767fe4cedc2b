"""A project that uses the plugin, in an environment with only the built wheel: in parallel, twice, in other orders."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.command import environment
from tests.patience import PROGRAM

PROJECT = Path(__file__).parent / "downstream"
# The environment sees our development tools, whose own plugins the project has not asked for.
PLUGINS = ("-p", "xdist", "-p", "promo_sandbox", "-p", "no:cacheprovider")


def checked(project: Path, installed: Path, *options: str, **variables: str) -> str:
    """What the project's suite prints."""
    done = subprocess.run(  # noqa: S603 - our own command
        [str(installed / "python"), "-m", "pytest", *PLUGINS, *options],
        cwd=project,
        env=environment({"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": "", **variables}),
        capture_output=True,
        text=True,
        timeout=PROGRAM,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return Path(shutil.copytree(PROJECT, tmp_path / "project", ignore=shutil.ignore_patterns("__pycache__")))


@pytest.mark.slow
def test_a_project_tests_its_checkout_in_parallel_in_any_order(project: Path, installed: Path) -> None:
    in_order = checked(project, installed, "-n", "4", "--sandbox-coverage=1")
    shuffled = checked(project, installed, "-n", "4", "--sandbox-coverage=1", SHUFFLE="1")

    counted = []
    for printed in (in_order, shuffled):
        assert "16 passed" in printed
        assert re.search(r"^PromotionApi_Get +6 +1/5 +0/8$", printed, re.MULTILINE)  # the sum of all workers
        counted.append(printed[printed.index("contract coverage") : printed.index("all orgs: ")])
    assert counted[0] == counted[1]
