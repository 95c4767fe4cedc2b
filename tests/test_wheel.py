"""The wheel: it holds what it needs and nothing of the tests, and works in an empty directory."""

from __future__ import annotations

import sys
import tarfile
import zipfile
from pathlib import Path

import httpx2
import pytest

from promo_sandbox import __version__
from promo_sandbox.base import config as configuration
from tests.command import run, serving
from tests.patience import LONG

ROOT = Path(configuration.__file__).parents[3]


def names(folder: str, pattern: str) -> set[str]:
    return {str(path.relative_to(ROOT / folder)) for path in (ROOT / folder).glob(pattern)}


def test_the_wheel_holds_code_specs_scenarios_and_cases_and_nothing_else(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())

    modules = {f"promo_sandbox/{name}" for name in names("sandbox/promo_sandbox", "**/*.py")}
    specs = {f"promo_sandbox/_files/specs/{name}" for name in names("specs", "*/*.yaml")}
    scenarios = {f"promo_sandbox/_files/scenarios/{name}" for name in names("scenarios", "**/*.yaml")}
    cases = {f"promo_sandbox/_files/parity/{name}" for name in names("tests/parity", "*.yaml")}
    rest = {name for name in held if ".dist-info/" not in name and not name.endswith("/.gitkeep")}
    assert modules | specs | scenarios | cases <= held
    assert rest - modules - specs - scenarios - cases == {
        "promo_sandbox/openapi/dialect.json",
        "promo_sandbox/py.typed",
        "promo_sandbox/_files/specs/sandbox/scenario.schema.json",
    }
    assert "promo_sandbox/_files/specs/sandbox/admin.yaml" in specs


def test_the_wheel_and_the_source_distribution_have_the_licence(wheel: Path, tmp_path: Path) -> None:
    held = zipfile.ZipFile(wheel)
    [metadata] = [name for name in held.namelist() if name.endswith(".dist-info/METADATA")]
    licence = (ROOT / "LICENSE").read_bytes()

    done = run(
        "--sdist", "--no-isolation", "--outdir", str(tmp_path), str(ROOT), command=(sys.executable, "-m", "build")
    )

    assert done.returncode == 0, done.stderr
    [source] = tmp_path.glob("*.tar.gz")
    with tarfile.open(source) as packed:
        packed_licence = packed.extractfile(f"{source.name.removesuffix('.tar.gz')}/LICENSE")
        assert packed_licence is not None
        assert packed_licence.read() == licence
    assert held.read(metadata.replace("METADATA", "licenses/LICENSE")) == licence
    assert "License-Expression: MIT\nLicense-File: LICENSE\n" in held.read(metadata).decode()


@pytest.fixture
def command(installed: Path) -> str:
    """`promo-sandbox` in an environment of its own."""
    return str(installed / "promo-sandbox")


def test_the_page_about_pytest_installs_this_wheel_with_an_extra_that_it_has(wheel: Path) -> None:
    page = (ROOT / "docs" / "pytest.md").read_text(encoding="utf-8")
    [metadata] = [name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".dist-info/METADATA")]

    assert f"`dist/{wheel.name}`" in page
    assert f"\npip install './{wheel.name}[pytest]' httpx2\n" in page
    assert "Provides-Extra: pytest\n" in zipfile.ZipFile(wheel).read(metadata).decode()


def test_the_installed_package_is_not_the_checkout(command: str, tmp_path: Path) -> None:
    python = (str(Path(command).with_name("python")),)

    done = run("-c", "import promo_sandbox; print(promo_sandbox.__file__)", cwd=tmp_path, command=python)

    assert done.stdout.startswith(str(Path(command).parent.parent)), done.stderr


def test_the_installed_command_checks_its_specs(command: str, tmp_path: Path) -> None:
    done = run("check", cwd=tmp_path, command=(command,))

    assert (done.returncode, done.stderr) == (0, "")
    assert {line.split()[1] for line in done.stdout.splitlines()} == names("specs", "*/*.yaml") | {
        f"scenarios/{name}" for name in names("scenarios", "**/*.yaml")
    }


def test_the_installed_command_serves(command: str, tmp_path: Path) -> None:
    with serving(cwd=tmp_path, command=(command,)) as served:
        health = httpx2.get(f"{served.url}/__admin/health", timeout=LONG).json()
        specs = httpx2.get(f"{served.url}/__admin/version", timeout=LONG).json()["specs"]
        _, said = served.stop()

    assert health == {"status": "healthy", "version": __version__}
    assert {spec["name"] for spec in specs} == names("specs", "*/*.yaml") - {"sandbox/admin.yaml"}
    assert said == ""
    assert list(tmp_path.iterdir()) == []


def test_the_installed_command_has_its_cases(command: str, tmp_path: Path) -> None:
    with serving(cwd=tmp_path, command=(command,)) as served:
        done = run("parity", served.url, "--header", "Authorization: Bearer any", cwd=tmp_path, command=(command,))

    assert (done.returncode, done.stderr) == (0, "")
