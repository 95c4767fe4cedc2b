"""The documentation site, built as `make docs` builds it, is complete and correct."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from base64 import b64encode
from itertools import pairwise
from pathlib import Path

import pytest

from docs.generator import admin, commands, links, markdown, markers, vendors
from promo_sandbox.base.messages import Request, decode, encode
from promo_sandbox.model import auth
from promo_sandbox.openapi.operation import Operation
from promo_sandbox.server.app import App
from tests.patience import PROGRAM

ROOT = Path(__file__).parent.parent
PAGES = {path.stem: path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("docs/*.md"))}
VENDORS = sorted(path.name for path in ROOT.glob("specs/*") if path.name != "sandbox")


def build(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own site
        [sys.executable, "-m", "mkdocs", "build", "--strict", *arguments],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=PROGRAM,
        check=False,
    )


def test_the_site_is_built_without_a_warning_and_loads_nothing_from_other_hosts(tmp_path: Path) -> None:
    built = build("-d", tmp_path)

    assert built.returncode == 0, built.stderr
    assert "WARNING" not in built.stderr
    pages = {path.stem: path.read_text(encoding="utf-8") for path in tmp_path.glob("*.html")}
    assert pages.keys() >= PAGES.keys() | {"index", "changelog", "contributing", "benchmarks"}
    for name, page in pages.items():
        assert not re.findall(
            r'<(?:script|img|iframe)[^>]+src="(?:https?:)?//[^"]*|<link[^>]+href="(?:https?:)?//', page
        ), name
        assert "<!-- generated" not in page, name
        ids = re.findall(r'\bid="([^"]+)"', page)
        assert len(ids) == len(set(ids)), name
    assert not (tmp_path / "generator").exists()
    assert (tmp_path / "specs" / "enfore" / "promotions.yaml").is_file()
    assert (tmp_path / "search" / "search_index.json").stat().st_size > 100_000


def warnings_of_build(
    content: str, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> str:
    """The warnings of a failing build: one page has this content, another is missing from `nav`."""
    from mkdocs.commands import build as building  # noqa: PLC0415 - half a second to import
    from mkdocs.config import load_config  # noqa: PLC0415 - also slow to import
    from mkdocs.exceptions import Abort, PluginError  # noqa: PLC0415 - also slow to import

    pages = folder / "docs"
    pages.mkdir()
    (pages / "wrong.md").write_text(f"# A page\n\n{content}\n", encoding="utf-8")
    (pages / "forgotten.md").write_text("# Forgotten\n", encoding="utf-8")
    monkeypatch.setattr(links, "PAGES", {})
    config = load_config(
        str(ROOT / "mkdocs.yml"), docs_dir=str(pages), site_dir=str(folder / "site"), nav=["wrong.md"], strict=True
    )

    with caplog.at_level("WARNING"), pytest.raises((Abort, PluginError)):
        building.build(config)

    return caplog.text


def test_a_broken_link_or_a_page_that_is_not_in_nav_breaks_the_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    content = "[A page](nowhere.md), [a spec](../specs/nowhere.yaml), [a part of this page](#nowhere)"

    found = warnings_of_build(content, tmp_path, monkeypatch, caplog)

    assert all(target in found for target in ("'nowhere.md'", "'specs/nowhere.yaml'", "'#nowhere'", "- forgotten.md"))


def test_an_unknown_marker_breaks_the_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    found = warnings_of_build("<!-- generated: horoscopes -->", tmp_path, monkeypatch, caplog)

    assert "docs/wrong.md: no generator for horoscopes" in found


@pytest.mark.parametrize("marker", ["rejections acme/things.yaml", "operations acme", "timers acme", "admin-api acme"])
def test_a_marker_with_an_unknown_name_is_rejected(marker: str) -> None:
    with pytest.raises(vendors.UnknownMarker, match="acme"):
        markers.filled(f"<!-- generated: {marker} -->")


@pytest.mark.parametrize("vendor", VENDORS)
def test_the_page_of_a_vendor_has_every_operation_and_every_rejection_of_its_specs(vendor: str) -> None:
    page = markers.filled(PAGES[vendor])
    contract = vendors.contracts()[vendor]

    ids = {operation.id for document in contract.documents for operation in document.operations}
    assert [id for id in sorted(ids) if markdown.code(id) not in page] == []
    missing = [
        (document.label, rejection.name, rejection.status)
        for document in contract.documents
        for rejection in (
            *(rejection for operation in document.operations for rejection in operation.rejections.values()),
            *document.transport_rejections.values(),
        )
        if f'id="{document.path.stem}-{rejection.status}-{rejection.name}"' not in page
    ]

    assert missing == []


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_vendor_s_page_says_what_falls_due(vendor: str) -> None:
    due = vendors.contracts()[vendor].rules.timer_rules

    page = markers.filled(PAGES[vendor])

    assert [event for event in due if f"<code>{event}</code>" not in page] == []
    assert [event for event, rule in due.items() if not rule.__doc__] == []


def test_the_page_on_the_admin_api_has_every_operation_and_every_rejection() -> None:
    page = markers.filled(PAGES["admin-api"])

    for operation in admin.document().operations:
        assert f"{{ #{operation.id} }}" in page
        for rejection in operation.rejections.values():
            assert page.count(f'id="rejection-{rejection.name}-{rejection.status}"') == 1


def test_the_page_on_the_command_line_has_every_command_and_every_option() -> None:
    page = markers.filled(PAGES["command-line"])

    found = list(commands.commands())

    assert {path for path, _ in found} >= {"promo-sandbox serve", "promo-sandbox check", "promo-sandbox coverage"}
    for path, command in found:
        part = page.partition(f"\n## {path.removeprefix('promo-sandbox ')}\n")[2].partition("\n## ")[0]
        assert path in part
        for option in commands.options(command):
            assert all(name in part for name in (*option.opts, *option.secondary_opts)), (path, option.name)
            assert not option.envvar or markdown.code(str(option.envvar)) in part, (path, option.name)


@pytest.mark.parametrize(
    "name", ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", *(f"docs/{page}.md" for page in PAGES)]
)
def test_a_list_begins_after_an_empty_line_because_the_site_shows_none_otherwise(name: str) -> None:
    lines = links.lines((ROOT / name).read_text(encoding="utf-8"))

    found = [
        line
        for (before, _), (line, in_code) in pairwise(lines)
        if not in_code and re.match(r"- |\d+\. ", line) and before and not re.match(r"- |\d+\. |  ", before)
    ]

    assert found == []


# The hints of the tables


def rejection_of(app: App, operation: Operation, authorization: str | None) -> str | None:
    """The rejection of a request to the org `acme` with these credentials."""
    path = operation.template
    for name in operation.path_names:
        path = path.replace(f"{{{name}}}", "acme")
    headers = [(b"host", b"localhost:8080"), (b"sandbox-org", b"acme")]
    if authorization is not None:
        headers.append((b"authorization", authorization.encode()))
    app.handle(Request(operation.method, path, headers, b""))
    return list(app.orgs.get("acme").journal.exchanges())[-1].rejection


@pytest.mark.parametrize("vendor", VENDORS)
def test_credentials_are_rejected_as_the_tables_say(vendor: str) -> None:
    app = App()
    asked = Request(
        "POST", "/__admin/orgs/another/tokens", [(b"content-type", b"application/json")], encode({"vendor": vendor})
    )
    issued = f"Bearer {decode(app.handle(asked).body)['access_token']}"
    basic = f"Basic {b64encode(b'shop:invalid').decode()}"

    for document in vendors.contracts()[vendor].documents:
        for operation in document.operations:
            schemes = {security.scheme for security in operation.security}
            hints: dict[str, list[str | None]] = {auth.MISSING: [None]} if schemes else {}
            if "basic" in schemes:
                hints[auth.INVALID] = [basic]
            if "bearer" in schemes:
                hints |= {name: [*hints.get(name, ()), value] for name, value in vendors.BEARERS.items()}
                hints[auth.FOREIGN] = [issued]
                if vendors.names_org(operation, document):
                    hints[auth.FOREIGN].append(vendors.BEARERS[auth.FOREIGN])
            for name, sent in hints.items():
                if name in operation.rejections:
                    assert [rejection_of(app, operation, value) for value in sent] == [name] * len(sent), operation.id


# Links


def test_links_to_files_outside_docs_lead_to_pages_or_files_of_the_site() -> None:
    said = "[a](../README.md#five-minutes) [b](../specs/x/y.yaml), [c](time.md), [d](https://e.example/f), [g](#h)"

    assert links.relinked(said, "docs/scenarios.md") == (
        "[a](index.md#five-minutes) [b](specs/x/y.yaml), [c](time.md), [d](https://e.example/f), [g](#h)"
    )
    assert links.relinked("[a](docs/time.md#it) [b](CHANGELOG.md)", "README.md") == "[a](time.md#it) [b](changelog.md)"
    assert links.relinked("[a\nb](../README.md)", "docs/time.md") == "[a\nb](index.md)"
    assert links.targets(said, "docs/scenarios.md") == {"README.md", "specs/x/y.yaml", "docs/time.md"}


def test_a_link_to_a_folder_is_text_on_the_site() -> None:
    assert links.relinked("[specs](../specs), [a](a.md)", "docs/b.md", {"specs"}.__contains__) == "specs, [a](a.md)"


def test_a_link_in_a_code_block_is_not_rewritten() -> None:
    said = "```sh\necho '[a](../README.md)'\n```\n[b](../README.md)"

    assert links.relinked(said, "docs/time.md") == "```sh\necho '[a](../README.md)'\n```\n[b](index.md)"
    assert links.targets("~~~\n```\n[a](b.md)\n~~~\n", "README.md") == set()


def test_a_bar_in_a_cell_does_not_end_the_cell() -> None:
    written = markdown.table(("A", "B"), [(markdown.code("x|*y*"), markdown.prose("a | b\n`c|d` < e"))])

    assert written.splitlines()[2] == ("| <code>x&#124;&#42;y&#42;</code> | a &#124; b <code>c&#124;d</code> &lt; e |")
