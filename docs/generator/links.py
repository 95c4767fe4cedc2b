"""Links between the documents of the repository, rewritten for the site."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator
from itertools import groupby

# Documents outside `docs/` that are pages of the site.
PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "bench/README.md": "benchmarks.md",
    "clients/js/README.md": "javascript.md",
}
SOURCES = {page: source for source, page in PAGES.items()}
_LINK = re.compile(r"\[(?P<label>[^\[\]]*)\]\((?P<target>[^)\s]+)\)")
_FENCE = re.compile(r"\s*(```+|~~~+)")


def source_of(page: str) -> str:
    """The path in the repository of a page of the site."""
    return SOURCES.get(page, f"docs/{page}")


def on_site(path: str) -> str:
    """The path on the site of a file of the repository."""
    return PAGES.get(path, path.removeprefix("docs/"))


def targets(text: str, source: str) -> set[str]:
    """The files of the repository that a document links to."""
    return {path for link in _links(text) if (path := _resolved(link, source)[0]) is not None}


def relinked(text: str, source: str, is_folder: Callable[[str], bool] = lambda _: False) -> str:
    """The document with its links rewritten for the site. A link to a folder becomes text, as it has no page."""
    here = posixpath.dirname(on_site(source))

    def replaced(match: re.Match[str]) -> str:
        path, anchor = _resolved(match["target"], source)
        if path is None:
            return match[0]
        if is_folder(path):
            return match["label"]
        return f"[{match['label']}]({posixpath.relpath(on_site(path), here or '.')}{anchor})"

    return "\n".join(part if is_code else _LINK.sub(replaced, part) for part, is_code in _parts(text))


def _links(text: str) -> Iterator[str]:
    for part, is_code in _parts(text):
        if not is_code:
            yield from (match["target"] for match in _LINK.finditer(part))


def _resolved(link: str, source: str) -> tuple[str | None, str]:
    """The path in the repository that a link leads to, or None, and the anchor."""
    path, hash_, anchor = link.partition("#")
    if not path or "://" in path or path.startswith("mailto:"):
        return None, ""
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), path)), hash_ + anchor


def _parts(text: str) -> Iterator[tuple[str, bool]]:
    """The text between code blocks and the code blocks, in order; a link may continue in the next line."""
    for is_code, group in groupby(lines(text), key=lambda line: line[1]):
        yield "\n".join(line for line, _ in group), is_code


def lines(text: str) -> Iterator[tuple[str, bool]]:
    """Each line, and whether it belongs to a code block."""
    fence: str | None = None
    for line in text.split("\n"):
        match = _FENCE.match(line)
        if match and (fence is None or match[1] == fence):
            fence = match[1] if fence is None else None
            yield line, True
        else:
            yield line, fence is not None
