"""What is wrong with a document that somebody wrote for us: each flaw with its place, its line and the nearest name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from promo_sandbox.base import yaml_file
from promo_sandbox.base.errors import SandboxError
from promo_sandbox.base.nearest_names import nearest

Place = tuple[str | int, ...]
MAX_FLAWS = 50
_MAX_NAME = 100
_MAX_LISTED = 12
_MAX_TEXT = 1_000_000  # characters in which lines are looked for


class Flaw(NamedTuple):
    """One thing that is wrong; `pointer` is a JSON pointer into the document."""

    pointer: str
    line: int | None
    detail: str


class InvalidDocument(SandboxError):
    """A document is refused; as an error of the operator it is one line, about the first flaw."""

    def __init__(self, name: str, flaws: list[Flaw]) -> None:
        self.name, self.flaws = name, flaws
        super().__init__(self.sentences()[0])

    def sentences(self) -> list[str]:
        """Each flaw as `file:line: /place: what`."""
        return [
            f"{self.name}{f':{flaw.line}' if flaw.line else ''}: {': '.join(filter(None, (flaw.pointer, flaw.detail)))}"
            for flaw in self.flaws
        ]


class Flaws:
    """Collects what is wrong, to tell all of it at once."""

    def __init__(self) -> None:
        self._found: list[tuple[Place, str]] = []

    def __bool__(self) -> bool:
        return bool(self._found)

    @property
    def full(self) -> bool:
        """Whether enough is wrong: no more is told."""
        return len(self._found) >= MAX_FLAWS

    def add(self, place: Place, detail: str) -> None:
        if len(self._found) < MAX_FLAWS:
            self._found.append((place, detail))

    def raise_if_any(self, name: str, text: str) -> None:
        """Raises `InvalidDocument` if there is one; `text` is the document as it was written."""
        if self._found:
            indexes = [place for place, _ in self._found]
            lines = yaml_file.lines_of(text, indexes) if len(text) <= _MAX_TEXT else [None] * len(indexes)
            found = zip(self._found, lines, strict=True)
            raise InvalidDocument(name, [Flaw(pointer(place), line, detail) for (place, detail), line in found])


def pointer(place: Place) -> str:
    """RFC 6901."""
    return "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in place)


def suggestion(name: str, known: Iterable[str]) -> str:
    """`…; did you mean …?`, or what there is where nothing is near and the list is short."""
    names = list(dict.fromkeys(known))
    near = nearest(name, names)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; there are {', '.join(sorted(names))}" if 0 < len(names) <= _MAX_LISTED else ""


def shortened(name: str) -> str:
    """A name as somebody wrote it, at most a hundred characters of it."""
    return name if len(name) <= _MAX_NAME else f"{name[:_MAX_NAME]}…"
