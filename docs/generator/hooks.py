"""What MkDocs calls while it builds the site: pages from outside `docs/`, generated parts, links."""

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
        inside = not target.startswith("..")
        if inside and files.get_file_from_path(page) is None and (ROOT / target).is_file():
            files.append(File.generated(config, page, abs_src_path=str(ROOT / target)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 - MkDocs' own shape
    source = links.source_of(page.file.src_uri)
    try:
        return markers.filled(links.relinked(markdown, source, lambda path: (ROOT / path).is_dir()))
    except SandboxError as error:  # a marker that nothing stands for, a spec that cannot be read
        raise PluginError(f"{source}: {error}") from None
