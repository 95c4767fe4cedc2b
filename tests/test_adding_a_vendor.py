"""The page on adding a vendor does what it says: its files are written, its commands run, in another checkout."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.command import Served, serving
from tests.documents import ADDRESS, Step, matches, run, steps

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "adding-a-vendor.md"
# A checkout without vendors and their scenarios, which would only take time to check.
COPIED = ["sandbox", "specs/sandbox", "pyproject.toml"]
VENDORS = [path.name for path in (ROOT / "specs").iterdir() if path.name != "sandbox"]
# What tests are made of; none of the tests themselves.
TESTS = [*(path.name for path in ROOT.glob("tests/*.py") if not path.name.startswith("test_")), "vendors/__init__.py"]
_FILE = re.compile(r'^```\w+ title="([^"]+)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)


class Checkout:
    """A copy of this one. The server is started when a command needs it, with the files as they are then."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self._stack = stack
        self._served: Served | None = None
        for name in (*COPIED, *(f"tests/{name}" for name in TESTS)):
            source, target = ROOT / name, folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", *VENDORS))
            else:
                shutil.copy(source, target)
        (folder / "scenarios").mkdir()
        # Comes with jsonschema's extra for development alone, and takes two seconds to be imported.
        self.write("rfc3987_syntax.py", "raise ImportError\n")

    def write(self, path: str, text: str) -> None:
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")

    def run(self, command: str) -> str:
        # Pytest's plugins take longer to be imported than the page's test to run.
        variables = {"PYTHONPATH": f"{self.folder}/sandbox:{self.folder}", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        url = ADDRESS
        if ADDRESS in command:
            self._served = self._served or self._stack.enter_context(serving(cwd=self.folder, variables=variables))
            url = self._served.url
        return run(command, url, cwd=self.folder, variables=variables)


def parts(text: str) -> Iterator[tuple[str, str] | Step]:
    """Files and commands, in the page's order."""
    found: list[tuple[int, tuple[str, str] | Step]] = [
        (match.start(), (match[1], match[2])) for match in _FILE.finditer(text)
    ]
    found += [(step.start, step) for step in steps(text, "shell-session")]
    return (part for _, part in sorted(found, key=lambda each: each[0]))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="the page's commands are curl's")
def test_the_page_adds_a_vendor_that_is_checked_served_and_tested(tmp_path: Path) -> None:
    text = PAGE.read_text(encoding="utf-8")
    with ExitStack() as stack:
        checkout = Checkout(tmp_path, stack)
        for part in parts(text):
            if isinstance(part, Step):
                printed = checkout.run(part.command)
                assert matches(part.printed, printed), f"{part.command}\nsays:\n{part.printed}\nprints:\n{printed}"
            else:
                checkout.write(*part)
