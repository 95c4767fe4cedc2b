"""Each bundled scenario is valid, has a summary, is in the table of the docs, and has a test."""

from __future__ import annotations

import importlib
import re
from collections import Counter
from pathlib import Path

import pytest

from promo_sandbox.base import yaml_file
from promo_sandbox.server.app import App
from tests.scenarios.staging import BUNDLED

HERE = Path(__file__).parent
PAGE = HERE.parent.parent / "docs" / "scenarios.md"
NAMES = sorted(path.relative_to(BUNDLED).with_suffix("").as_posix() for path in BUNDLED.rglob("*.yaml"))
VENDORS = ("emporix", "enfore", "norce")
_ROW = re.compile(r"^\| \[`([a-z0-9/-]+)`\]\(\.\./scenarios/([a-z0-9/-]+)\.yaml\) \| (.+) \|$", re.MULTILINE)

each_scenario = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(scope="module")
def app() -> App:
    return App()


def summary(name: str) -> str:
    text: str = yaml_file.read(BUNDLED / f"{name}.yaml")["summary"]
    return text


def shown() -> Counter[str]:
    """The scenarios of the tests in this folder, with the number of tests for each."""
    modules = [importlib.import_module(f"tests.scenarios.{path.stem}") for path in HERE.glob("test_*.py")]
    tests = [it for module in modules for name, it in vars(module).items() if name.startswith("test_")]
    return Counter(test.scenario for test in tests if hasattr(test, "scenario"))


def test_there_are_scenarios_for_every_vendor_and_two_journeys() -> None:
    by_folder = Counter(name.partition("/")[0] for name in NAMES)

    assert by_folder.keys() == {*VENDORS, "journeys"}
    assert min(by_folder.values()) >= 2
    assert by_folder.total() >= 14


@each_scenario
def test_each_bundled_scenario_has_a_test(name: str) -> None:
    assert shown()[name] >= 1


@each_scenario
def test_an_org_can_start_a_bundled_scenario(app: App, name: str) -> None:
    scenario = app.catalogue.check(name)

    assert scenario.steps
    assert scenario.given.clock is not None  # frozen, so that every run is the same


@each_scenario
def test_a_summary_has_the_event_and_the_expected_reaction(name: str) -> None:
    text = summary(name)

    assert text.endswith(".")
    assert "must" in text
    assert 1 <= len(re.findall(r"\.(?:\s|$)", text)) <= 2


def test_the_page_has_a_row_for_each_scenario_with_its_summary() -> None:
    rows = _ROW.findall(PAGE.read_text(encoding="utf-8"))

    assert [(name, file, said) for name, file, said in rows] == [(name, name, summary(name)) for name in NAMES]
