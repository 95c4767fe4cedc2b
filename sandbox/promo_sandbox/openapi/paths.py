"""Finds the operation of a method and a path in a tree of segments; literal segments go before templated ones."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")
_ESCAPED = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]")


def normalise_path(path: str) -> str:
    """Decode unreserved characters of a path; `%2f` becomes `%2F` and stays encoded (RFC 3986, 6.2.2)."""
    return _ESCAPED.sub(_unescape, path)


def _unescape(escaped: re.Match[str]) -> str:
    character = chr(int(escaped[1], 16))
    return character if _UNRESERVED.fullmatch(character) else escaped[0].upper()


class Match(NamedTuple, Generic[T]):
    """The target of a path, or its allowed methods if the path exists only for other methods."""

    target: T | None
    values: tuple[str, ...]  # of the templated segments
    allow: tuple[str, ...]


class _Node(Generic[T]):
    __slots__ = ("literals", "targets", "templated")

    def __init__(self) -> None:
        self.literals: dict[str, _Node[T]] = {}
        self.templated: _Node[T] | None = None
        self.targets: dict[str, T] = {}


class Router(Generic[T]):
    """Finds the target of a raw path, so that a percent-encoded slash stays inside its segment."""

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()

    def add(self, method: str, template: str, target: T) -> None:
        """Add a target. Raises `ValueError` if the method exists for a template of the same shape.

        A target of GET is also that of HEAD; the server sends its reply without the body.
        """
        node = self._root
        for segment in template.split("/")[1:]:
            if segment.startswith("{"):
                node.templated = node.templated or _Node()
                node = node.templated
            else:
                node = node.literals.setdefault(segment, _Node())
        if method in node.targets:
            raise ValueError(f"{method} {template} occurs twice")
        node.targets[method] = target
        if method == "GET":
            node.targets["HEAD"] = target

    def match(self, method: str, path: str) -> Match[T] | None:
        """The most literal template with the method; None if no template matches the path."""
        segments = path.split("/")[1:]
        node, values = self._root, []
        for segment in segments:
            child = node.literals.get(segment)
            if child is None:
                child = node.templated
                if child is None or not segment:
                    break
                values.append(segment)
            node = child
        else:
            target = node.targets.get(method)
            if target is not None:
                return Match(target, tuple(values), ())
        return self._search(method, segments)

    def _search(self, method: str, segments: list[str]) -> Match[T] | None:
        allow: list[str] = []
        for node, values in _walk(self._root, segments, ()):
            if method in node.targets:
                return Match(node.targets[method], values, ())
            allow += node.targets
        return Match(None, (), tuple(sorted(set(allow)))) if allow else None


def _walk(
    node: _Node[T], segments: list[str], values: tuple[str, ...], at: int = 0
) -> Iterator[tuple[_Node[T], tuple[str, ...]]]:
    if at == len(segments):
        if node.targets:
            yield node, values
        return
    segment = segments[at]
    literal = node.literals.get(segment)
    if literal is not None:
        yield from _walk(literal, segments, values, at + 1)
    if node.templated is not None and segment:
        yield from _walk(node.templated, segments, (*values, segment), at + 1)
