"""The hooks of MkDocs: they add pages from outside `docs/`, fill in the generated parts and adapt links."""

from __future__ import annotations

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from docs.generator import links, markers
from promo_sandbox.base.errors import SandboxError

ROOT = Path(__file__).parent.parent.parent


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the documents from outside `docs/`, and every file that a page links to."""
    for source, page in links.PAGES.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    linked = {
        target
        for file in files.documentation_pages()
        for target in links.targets(file.content_string, links.source_of(file.src_uri))
    }
    for target in sorted(linked):
        page = links.on_site(target)
        inside_repository = not target.startswith("..")
        if inside_repository and files.get_file_from_path(page) is None and (ROOT / target).is_file():
            files.append(File.generated(config, page, abs_src_path=str(ROOT / target)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 - MkDocs passes these
    source = links.source_of(page.file.src_uri)
    try:
        return markers.filled(links.relinked(markdown, source, lambda path: (ROOT / path).is_dir()))
    except SandboxError as error:  # an unknown marker, or a spec with mistakes
        raise PluginError(f"{source}: {error}") from None
