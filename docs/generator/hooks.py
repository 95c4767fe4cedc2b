"""What MkDocs calls while it builds the site: pages from outside `docs/`, generated parts, links."""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from docs.generator import admin, commands, links, vendors
from sandbox.errors import SandboxError

ROOT = Path(__file__).parent.parent.parent
_MARKER = re.compile(r"^<!-- generated: (\S+)(?: (\S+))? -->$", re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the documents that lie elsewhere, and the files that any page links to."""
    for source, page in links.PAGES.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    wanted = {
        target
        for file in files.documentation_pages()
        for target in links.targets(file.content_string, links.source_of(file.src_uri))
    }
    for target in sorted(wanted):
        page = links.on_site(target)
        if files.get_file_from_path(page) is None and (ROOT / target).is_file():
            files.append(File.generated(config, page, abs_src_path=str(ROOT / target)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 - MkDocs' own shape
    source = links.source_of(page.file.src_uri)
    try:
        return filled(links.relinked(markdown, source))
    except SandboxError as error:  # a marker that nothing stands for, a spec that cannot be read
        raise PluginError(f"{source}: {error}") from None


def filled(text: str) -> str:
    """The text with what its markers ask for. Raises `UnknownMarker`."""
    return _MARKER.sub(lambda marker: generated(marker[1], marker[2]), text)


def generated(kind: str, name: str | None) -> str:
    """What a marker `<!-- generated: kind name -->` stands for. Raises `UnknownMarker`."""
    match kind, name:
        case "operations", str():
            return vendors.operations(name)
        case "refusals", str():
            return vendors.refusals(name)
        case "dues", _:
            return vendors.dues(name)
        case "admin-api", None:
            return admin.page()
        case "command-line", None:
            return commands.page()
    raise vendors.UnknownMarker(f"nothing generates {kind} {name or ''}".strip())
