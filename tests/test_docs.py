"""README and docs say what is true: every command in them is run, and every link leads somewhere."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from promo_sandbox.cli import main
from promo_sandbox.server.app import App
from tests.documents import matches, needs_missing_jq, run, steps
from tests.serving import running

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(ROOT.glob("docs/*.md"))]
WITH_COMMANDS = [path for path in DOCUMENTS if list(steps(path.read_text(encoding="utf-8")))]
_LINK = re.compile(r"\]\((?!https?:)([^)#]+)")


@pytest.mark.skipif(shutil.which("curl") is None, reason="the documents' commands are curl's")
@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=path.name, marks=[pytest.mark.slow] if path.name == "contract-tests.md" else [])
        for path in WITH_COMMANDS
    ],
)
def test_every_command_prints_what_the_document_says(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    without_jq: list[str] = []
    with running() as (_, url):
        for step in steps(text):
            printed = run(step.command, url)
            if needs_missing_jq(step.command):
                without_jq.append(step.command)
                continue
            assert matches(step.printed, printed), f"{step.command}\nsays:\n{step.printed}\nprints:\n{printed}"
    if without_jq:
        pytest.skip(f"{len(without_jq)} examples need jq; on Debian: apt-get install --no-install-recommends jq")


def test_the_readme_has_a_tour_of_at_most_ten_commands() -> None:
    commands = [step.command for step in steps((ROOT / "README.md").read_text(encoding="utf-8"))]

    assert 5 < len(commands) <= 10


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_between_documents_leads_to_a_file(path: Path) -> None:
    for target in _LINK.findall(path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), f"{path.name} links to {target}"


def test_the_readme_shows_what_a_start_prints() -> None:
    app, readme = App(), (ROOT / "README.md").read_text(encoding="utf-8")
    shown = re.findall(r"^(\w+) +http://127\.0\.0\.1:8080(\S*) +(\d+)$", readme, re.MULTILINE)
    first = [it for contract in app.contracts for it in contract.documents if it.version_of is None]

    served = [(it.vendor, it.base_path, str(len(it.operations))) for it in first]

    assert shown == [*served, ("admin", "/__admin", str(len(app.admin.document.operations)))]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_option_that_a_document_names_exists(path: Path) -> None:
    for words in re.findall(r"promo-sandbox ([a-z]+ (?:[^`\n\\|;]|\\\n)*)", path.read_text(encoding="utf-8")):
        name, *rest = words.replace("\\\n", " ").split()
        command = main.cli.commands.get(name)
        if command is not None:
            options = {option for it in command.params for option in (*it.opts, *it.secondary_opts)} | {"--help"}
            given = [word.partition("=")[0].strip(".,:)") for word in rest if word.startswith("--")]
            assert set(given) <= options, f"promo-sandbox {words}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_variable_that_a_document_names_exists(path: Path) -> None:
    known = {it.envvar for command in main.cli.commands.values() for it in command.params} | {"SANDBOX_"}

    assert set(re.findall(r"\bSANDBOX_[A-Z_]*", path.read_text(encoding="utf-8"))) <= known


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_code_that_a_document_prefers_is_one_that_an_operation_has(path: Path) -> None:
    contracts = App().contracts
    known = {str(status) for it in contracts for route in it.routes() for status in route.operation.responses}

    assert set(re.findall(r"\bcode=(\d{3})\b", path.read_text(encoding="utf-8"))) <= known
