"""The flaws of a document: each one has a place, a line and a sentence, often with the nearest valid name.

A document is a scenario, a seed or a file of parity cases. How a request breaks its contract is a `Violation`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from promo_sandbox.base import yaml_file
from promo_sandbox.base.errors import SandboxError
from promo_sandbox.base.nearest_names import nearest

Place = tuple[str | int, ...]  # the keys and indexes that lead to a value of a document
MAX_FLAWS = 50
_MAX_NAME = 100  # characters
_MAX_LISTED = 12  # names
_MAX_TEXT = 1_000_000  # characters; a longer text is not searched for line numbers


class Flaw(NamedTuple):
    """One problem of a document."""

    pointer: str  # RFC 6901
    line: int | None
    detail: str


class InvalidDocument(SandboxError):
    """A document with flaws. As text it is one line, about the first flaw."""

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
    """Collects the flaws of a document, to report all of them at once."""

    def __init__(self) -> None:
        self._found: list[tuple[Place, str]] = []

    def __bool__(self) -> bool:
        return bool(self._found)

    @property
    def full(self) -> bool:
        """Whether there are so many flaws that no more are added."""
        return len(self._found) >= MAX_FLAWS

    def add(self, place: Place, detail: str) -> None:
        if len(self._found) < MAX_FLAWS:
            self._found.append((place, detail))

    def raise_if_any(self, name: str, text: str) -> None:
        """Raise `InvalidDocument` if there are flaws. text: the source of the document, for line numbers."""
        if self._found:
            places = [place for place, _ in self._found]
            lines = yaml_file.lines_of(text, places) if len(text) <= _MAX_TEXT else [None] * len(places)
            found = zip(self._found, lines, strict=True)
            raise InvalidDocument(name, [Flaw(pointer(place), line, detail) for (place, detail), line in found])


def pointer(place: Iterable[str | int]) -> str:
    """The JSON pointer (RFC 6901) of a place."""
    return "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in place)


def suggestion(name: str, known: Iterable[str]) -> str:
    """`; did you mean …?` with the nearest name, else the known names if there are few."""
    names = list(dict.fromkeys(known))
    near = nearest(name, names)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; there are {', '.join(sorted(names))}" if 0 < len(names) <= _MAX_LISTED else ""


def shortened(name: str) -> str:
    """The first hundred characters of a name."""
    return name if len(name) <= _MAX_NAME else f"{name[:_MAX_NAME]}…"
