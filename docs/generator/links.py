"""Links between the repository's documents, as the site has them: what lies outside `docs/` comes along."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator
from itertools import groupby

# Documents that are pages of the site, though they lie elsewhere.
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
    """Where a page of the site stands in the repository."""
    return SOURCES.get(page, f"docs/{page}")


def on_site(path: str) -> str:
    """The same the other way, for any file of the repository."""
    return PAGES.get(path, path.removeprefix("docs/"))


def targets(text: str, source: str) -> set[str]:
    """The files of the repository that a document links to."""
    return {path for link in _links(text) if (path := _resolved(link, source)[0]) is not None}


def relinked(text: str, source: str, folders: Callable[[str], bool] = lambda _: False) -> str:
    """The document with its links as they must be on the site. A folder is no page there: what links to it is text."""
    here = posixpath.dirname(on_site(source))

    def replaced(match: re.Match[str]) -> str:
        path, anchor = _resolved(match["target"], source)
        if path is None:
            return match[0]
        if folders(path):
            return match["label"]
        return f"[{match['label']}]({posixpath.relpath(on_site(path), here or '.')}{anchor})"

    return "\n".join(part if code else _LINK.sub(replaced, part) for part, code in _parts(text))


def _links(text: str) -> Iterator[str]:
    for part, code in _parts(text):
        if not code:
            yield from (match["target"] for match in _LINK.finditer(part))


def _resolved(link: str, source: str) -> tuple[str | None, str]:
    """The path in the repository, if it is a path, and what follows it."""
    path, hash_, anchor = link.partition("#")
    if not path or "://" in path or path.startswith("mailto:"):
        return None, ""
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), path)), hash_ + anchor


def _parts(text: str) -> Iterator[tuple[str, bool]]:
    """What stands between blocks of code, since a link may go over a line's end, and those blocks."""
    for code, found in groupby(lines(text), key=lambda line: line[1]):
        yield "\n".join(line for line, _ in found), code


def lines(text: str) -> Iterator[tuple[str, bool]]:
    """Each line, and whether it is in a block of code."""
    fence: str | None = None
    for line in text.split("\n"):
        match = _FENCE.match(line)
        if match and (fence is None or match[1] == fence):
            fence = match[1] if fence is None else None
            yield line, True
        else:
            yield line, fence is not None
