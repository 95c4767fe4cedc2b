"""README and docs say what is true: every command in them is run, and every link leads somewhere."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.documents import matches, run, steps
from tests.serving import running

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(ROOT.glob("docs/*.md"))]
WITH_COMMANDS = [path for path in DOCUMENTS if list(steps(path.read_text(encoding="utf-8")))]
_LINK = re.compile(r"\]\((?!https?:)([^)#]+)")


@pytest.mark.skipif(shutil.which("curl") is None, reason="the documents' commands are curl's")
@pytest.mark.parametrize("path", WITH_COMMANDS, ids=lambda path: path.name)
def test_every_command_prints_what_the_document_says(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    with running() as (_, url):
        for step in steps(text):
            printed = run(step.command, url)
            assert matches(step.printed, printed), f"{step.command}\nsays:\n{step.printed}\nprints:\n{printed}"


def test_the_readme_has_a_tour() -> None:
    commands = [step.command for step in steps((ROOT / "README.md").read_text(encoding="utf-8"))]

    assert len(commands) >= 10


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_between_documents_leads_to_a_file(path: Path) -> None:
    for target in _LINK.findall(path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), f"{path.name} links to {target}"
