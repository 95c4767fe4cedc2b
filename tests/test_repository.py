"""What surrounds the code: the targets of make, the CI workflow, the commit hook, the editor's rules, the licence."""

from __future__ import annotations

import re
import subprocess
import tomllib
from configparser import ConfigParser
from pathlib import Path
from types import SimpleNamespace

import jsonschema_rs
import pytest
from check_jsonschema.builtin_schemas import get_builtin_schema

from promo_sandbox.base import config as configuration
from promo_sandbox.base import yaml_file
from tests.command import environment
from tests.serving import Json

ROOT = Path(configuration.__file__).parents[3]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z-]+):.*  ## ", MAKEFILE, re.MULTILINE))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
WRITTEN = [
    path
    for folder in ("sandbox", "specs", "scenarios", "tests", "docs", "bench", "clients", ".github")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in {".css", ".js", ".json", ".lua", ".md", ".mjs", ".py", ".toml", ".ts", ".yaml", ".yml"}
    and "__pycache__" not in path.parts  # parsed specs are cached there
]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def make(*arguments: str) -> str:
    done = subprocess.run(  # noqa: S603 - our own Makefile
        ["make", "--no-print-directory", *arguments],  # noqa: S607 - found where this machine has it
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def steps_of(target: str) -> list[str]:
    """The commands that make would run for a target."""
    return make("--dry-run", "--always-make", target).splitlines()


# make


def test_make_help_lists_every_target_with_what_it_does() -> None:
    described = dict(re.findall(r"^([a-z-]+):.*?  ## (.+)$", MAKEFILE, re.MULTILINE))

    listed = dict(line.split(maxsplit=1) for line in make("help").splitlines())

    assert listed == described
    assert set(re.findall(r"^\.PHONY: (.+)$", MAKEFILE, re.MULTILINE)[0].split()) == set(listed)


def test_contributing_has_every_target_in_its_table() -> None:
    table = set(re.findall(r"^\| `make ([a-z-]+)` \|", read("CONTRIBUTING.md"), re.MULTILINE))

    assert table == TARGETS - {"help"}


def test_the_fast_suite_leaves_out_what_is_marked_as_slow_and_check_leaves_out_nothing() -> None:
    markers = {name.partition(":")[0] for name in PROJECT["tool"]["pytest"]["ini_options"]["markers"]}
    [fast] = [step for step in steps_of("test-fast") if "pytest" in step]
    checks = [step for step in steps_of("check") if "pytest" in step]

    assert "-m 'not fuzz and not slow'" in fast
    assert {"fuzz", "slow"} <= markers
    assert [re.findall(r"-m '?((?:not )?[a-z]+)'? *(?:$|#)", step) for step in checks] == [["not fuzz"], ["fuzz"]]


@pytest.mark.parametrize(
    ("place", "slow"),
    [
        ("limits/test_heads.py", True),
        ("test_browser.py", True),
        ("clients/test_browsers.py", True),
        ("test_cli.py", False),
    ],
)
def test_what_attacks_and_what_starts_a_browser_is_slow_by_its_place(
    pytestconfig: pytest.Config, place: str, slow: bool
) -> None:
    conftest = pytestconfig.pluginmanager.get_plugin(str(ROOT / "tests" / "conftest.py"))
    markers: list[pytest.MarkDecorator] = []

    assert conftest is not None
    conftest.pytest_itemcollected(SimpleNamespace(path=ROOT / "tests" / place, add_marker=markers.append))

    assert [marker.name for marker in markers] == (["slow"] if slow else [])


# Before a commit


def test_the_commit_hook_is_what_check_begins_with() -> None:
    [repo] = yaml_file.parse(read(".pre-commit-config.yaml"), ".pre-commit-config.yaml")["repos"]
    [hook] = repo["hooks"]

    assert (repo["repo"], hook["language"], hook["pass_filenames"]) == ("local", "system", False)
    assert hook["entry"] == "make lint"
    lint = [step for step in steps_of("lint") if " -m pip " not in step]
    check = [step for step in steps_of("check") if " -m pip " not in step]
    assert check[: len(lint)] == lint
    assert [step.partition(" -m ")[2] for step in lint[-3:]] == ["ruff format --check .", "ruff check .", "mypy"]


@pytest.mark.parametrize("name", ["sandbox/promo_sandbox/model/rules.py", "docs/generator/links.py", "pyproject.toml"])
def test_the_commit_hook_runs_for_what_it_checks(name: str) -> None:
    [repo] = yaml_file.parse(read(".pre-commit-config.yaml"), ".pre-commit-config.yaml")["repos"]

    assert re.search(repo["hooks"][0]["files"], name)
    assert not re.search(repo["hooks"][0]["files"], "docs/ci.md")


def test_all_files_follow_the_settings_for_editors() -> None:
    wrong = []
    for path in WRITTEN:
        text = path.read_bytes().decode("utf-8")
        lines = text.split("\n")
        if "\r" in text or "\t" in text or (text and lines[-1]) or any(line != line.rstrip() for line in lines):
            wrong.append(str(path.relative_to(ROOT)))

    assert len(WRITTEN) > 300
    assert wrong == []


def test_editors_and_ruff_agree_on_the_length_of_a_line() -> None:
    rules = ConfigParser()
    rules.read_string("[top]\n" + read(".editorconfig"))

    assert rules["*.{py,pyi}"]["max_line_length"] == str(PROJECT["tool"]["ruff"]["line-length"])
    assert rules["Makefile"]["indent_style"] == "tab"


# CI


@pytest.fixture
def workflow() -> Json:
    return yaml_file.parse(read(".github/workflows/ci.yml"), "ci.yml")


def flaws(workflow: Json) -> list[str]:
    validator = jsonschema_rs.validator_for(get_builtin_schema("vendor.github-workflows"))
    return [f"{error.instance_path}: {error.message}" for error in validator.iter_errors(workflow)]


def test_the_workflow_fits_the_schema_which_would_find_a_mistake(workflow: Json) -> None:
    assert flaws(workflow) == []
    workflow["jobs"]["wheel"]["timeout-minute"] = 5
    assert flaws(workflow)


def test_every_action_is_pinned(workflow: Json) -> None:
    used = {step["uses"] for job in workflow["jobs"].values() for step in job["steps"] if "uses" in step}

    assert [action for action in used if not re.search(r"@(?:v\d+|release/v\d+|[0-9a-f]{40})$", action)] == []
    assert len(used) == len({action.partition("@")[0] for action in used})  # each in one version only


def test_check_runs_on_every_python_from_the_oldest(workflow: Json) -> None:
    versions = workflow["jobs"]["check"]["strategy"]["matrix"]["python"]

    assert f">={versions[0]}" == PROJECT["project"]["requires-python"]
    assert [int(version.removeprefix("3.")) for version in versions] == list(range(11, 11 + len(versions)))
    assert "make check" in [step.get("run") for step in workflow["jobs"]["check"]["steps"]]


def test_every_job_has_a_time_limit_and_only_releases_may_write(workflow: Json) -> None:
    jobs = workflow["jobs"]

    assert [name for name, job in jobs.items() if "timeout-minutes" not in job] == []
    assert workflow["permissions"] == {"contents": "read"}
    assert {name for name, job in jobs.items() if "permissions" in job} == {"release", "release-image"}


@pytest.mark.parametrize("name", ["release", "release-image"])
def test_a_release_needs_a_tag_the_switch_and_all_the_rest(workflow: Json, name: str) -> None:
    job = workflow["jobs"][name]

    assert job["if"] == "startsWith(github.ref, 'refs/tags/v') && vars.RELEASE == 'true'"
    assert set(job["needs"]) == set(workflow["jobs"]) - {"release", "release-image"}
    assert "secrets." not in str(job)
    assert "`RELEASE`" in read("CONTRIBUTING.md")


# Licence


def test_the_licence_is_the_one_that_the_project_names() -> None:
    assert PROJECT["project"]["license"] == read("LICENSE").split("\n")[0].removesuffix(" License") == "MIT"
    assert "The Promo Sandbox authors" in read("LICENSE")
