"""The part of `yaml_file` that needs PyYAML: load documents with JSON's types only, and find line numbers.

It is a separate module because most starts use the cached specs, and importing PyYAML takes longer than reading those.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import yaml

from promo_sandbox.base.errors import DocumentError
from promo_sandbox.base.messages import parse_decimal
from promo_sandbox.base.slices import Work

try:
    from yaml import CSafeLoader as _Base
except ImportError:  # a PyYAML without libyaml is eight times slower, but correct
    from yaml import SafeLoader as _Base  # type: ignore[assignment]  # another class with the same methods


_TAG = "tag:yaml.org,2002:"
_TAGS = [f"{_TAG}{name}" for name in ("null", "bool", "int", "str", "seq")]
_TEXT = f"{_TAG}str"
_COLLECTIONS = {yaml.MappingStartEvent: f"{_TAG}map", yaml.SequenceStartEvent: f"{_TAG}seq"}


class _Loader(_Base):
    # PyYAML's attributes, reduced to the types of JSON. The constructor for None rejects every other tag.
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML declares it
    yaml_constructors = {tag: _Base.yaml_constructors[tag] for tag in (*_TAGS, None)}  # noqa: RUF012 - the same

    def construct_decimal(self, node: yaml.ScalarNode) -> Decimal:
        try:
            return parse_decimal(node.value)
        except ArithmeticError:
            problem = f"{node.value[:50]!r} is not a number in the supported range"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark) from None


_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:null|~|)$"), ["n", "~", ""])
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), ["t", "f"])
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^-?(?:0|[1-9]\d*)$", re.ASCII), list("-0123456789"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^-?(?:0|[1-9]\d*)(?:\.\d+(?:[eE][-+]?\d+)?|[eE][-+]?\d+)$", re.ASCII),
    list("-0123456789"),
)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_decimal)


def load_in_slices(text: str, name: str, max_depth: int, max_values: int) -> Work[Any]:
    """Load one document, as work in slices. Raises `DocumentError` with `name`, the line and the reason.

    An alias counts as a copy of its anchor, since nested aliases could fill the memory.
    """
    try:
        return (yield from _Composer(text, max_depth, max_values).document())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise DocumentError(name, mark.line + 1 if mark else None, error.problem or str(error)) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DocumentError(name, None, " ".join(str(error).split())) from None


class _Composer:
    """Builds values from PyYAML's events, one by one. PyYAML's own composer takes a whole document at once."""

    def __init__(self, text: str, max_depth: int, max_values: int) -> None:
        self._loader: Any = _Loader(text)  # its C methods have no types
        self._max_depth, self._max_values = max_depth, max_values
        self._open: list[tuple[Any, str | None, int]] = []  # collection, anchor, number of values before it
        self._keys: list[str | None] = []  # for each open collection, the key without a value yet
        self._anchors: dict[str, tuple[Any, int]] = {}  # anchor -> value, number of values in it
        self._count = 0
        self._root: Any = None

    def document(self) -> Work[Any]:
        loader, documents = self._loader, 0
        while loader.check_event():
            event = loader.get_event()
            if type(event) is yaml.DocumentStartEvent:
                documents += 1
                if documents > 1:
                    problem = "but found another document"
                    raise _mistake(problem, event)
            else:
                self._take(event)
            yield
        return self._root

    def _take(self, event: Any) -> None:
        if type(event) in (yaml.MappingEndEvent, yaml.SequenceEndEvent):
            value, anchor, before = self._open.pop()
            self._keys.pop()
            if anchor is not None:
                self._anchors[anchor] = value, self._count - before
        elif self._open and type(self._open[-1][0]) is dict and self._keys[-1] is None:
            self._take_key(event)
        elif type(event) is yaml.ScalarEvent:
            self._put(event, self._scalar(event))
        elif type(event) in _COLLECTIONS:
            self._begin(event)
        elif type(event) is yaml.AliasEvent:
            if event.anchor not in self._anchors:
                recursive = any(anchor == event.anchor for _, anchor, _ in self._open)
                problem = (
                    "found unconstructable recursive node" if recursive else f"found undefined alias {event.anchor!r}"
                )
                raise _mistake(problem, event)
            value, count = self._anchors[event.anchor]
            self._put(event, value, count)

    def _take_key(self, event: Any) -> None:
        if type(event) is not yaml.ScalarEvent:
            raise _mistake("a key must be a plain string", event)
        if event.value in self._open[-1][0]:
            problem = f"the key {event.value!r} occurs twice"
            raise _mistake(problem, event)
        self._add(1)
        if event.anchor is not None:
            self._anchors[event.anchor] = event.value, 1
        self._keys[-1] = event.value

    def _begin(self, event: Any) -> None:
        expected = _COLLECTIONS[type(event)]
        if event.tag not in (None, "!", expected):
            problem = f"could not determine a constructor for the tag {event.tag!r}"
            raise _mistake(problem, event)
        before = self._count
        value: Any = {} if type(event) is yaml.MappingStartEvent else []
        self._put(event, value)
        self._open.append((value, event.anchor, before))
        self._keys.append(None)
        if len(self._open) > self._max_depth:
            raise ValueError(f"is nested deeper than {self._max_depth} levels")

    def _scalar(self, event: Any) -> Any:
        tag = event.tag
        if tag is None or tag == "!":
            tag = self._loader.resolve(yaml.ScalarNode, event.value, event.implicit)
        if tag == _TEXT:
            return event.value
        return self._loader.construct_object(yaml.ScalarNode(tag, event.value, event.start_mark, event.end_mark))

    def _put(self, event: Any, value: Any, count: int = 1) -> None:
        self._add(count)
        if type(event) is yaml.ScalarEvent and event.anchor is not None:
            self._anchors[event.anchor] = value, 1
        if not self._open:
            self._root = value
            return
        parent = self._open[-1][0]
        if type(parent) is list:
            parent.append(value)
        else:
            parent[self._keys[-1]] = value
            self._keys[-1] = None

    def _add(self, count: int) -> None:
        self._count += count
        if self._count > self._max_values:
            raise ValueError(f"has more than {self._max_values} values")


def _mistake(problem: str, event: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)


def lines_of(text: str, paths: list[tuple[str | int, ...]]) -> list[int | None]:
    """The lines (from 1) of values, or of their nearest existing parents; None if the text is not YAML."""
    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError:
        root = None
    return [None if root is None else _line(root, path) for path in paths]


def _line(node: yaml.Node, path: tuple[str | int, ...]) -> int:
    line = int(node.start_mark.line)
    for step in path:
        key, found = _child(node, step)
        if found is None:
            break
        node, line = found, int((key or found).start_mark.line)
    return line + 1


def _child(node: yaml.Node, step: str | int) -> tuple[yaml.Node | None, yaml.Node | None]:
    if isinstance(node, yaml.MappingNode):
        return next(((key, value) for key, value in node.value if key.value == str(step)), (None, None))
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return None, node.value[step]
    return None, None
