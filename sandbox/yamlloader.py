"""What `yamlfile` has PyYAML do: load JSON's types only, and tell the lines on which things stand.

Apart, since most starts read what was parsed before, and PyYAML takes longer to import than that.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from decimal import Decimal
from typing import Any

import yaml

from sandbox.errors import DocumentError
from sandbox.messages import number

try:
    from yaml import CSafeLoader as _Base
except ImportError:  # a PyYAML built without libyaml is eight times slower, and right
    from yaml import SafeLoader as _Base  # type: ignore[assignment]  # another class with the same methods


_TAGS = [f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "str", "seq")]


class _Loader(_Base):
    # PyYAML's own attributes, without what JSON has not; the constructor of None refuses every other tag.
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML declares it
    yaml_constructors = {tag: _Base.yaml_constructors[tag] for tag in (*_TAGS, None)}  # noqa: RUF012 - the same

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        mapping: dict[Hashable, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value
            if not isinstance(key, str):
                raise yaml.MarkedYAMLError(problem="a key must be a plain string", problem_mark=key_node.start_mark)
            if key in mapping:
                raise yaml.MarkedYAMLError(problem=f"the key {key!r} stands twice", problem_mark=key_node.start_mark)
            mapping[key] = self.construct_object(value_node, deep=deep)
        return mapping

    def construct_deeply(self, node: yaml.Node) -> dict[Hashable, Any]:
        assert isinstance(node, yaml.MappingNode)  # the constructor is for mappings
        return self.construct_mapping(node, deep=True)

    def construct_decimal(self, node: yaml.ScalarNode) -> Decimal:
        try:
            return number(node.value)
        except ArithmeticError:
            problem = f"{node.value[:50]!r} is no number that can be read"
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
_Loader.add_constructor("tag:yaml.org,2002:map", _Loader.construct_deeply)


def load(text: str, name: str) -> Any:
    """One document. Raises `DocumentError` with `name`, the line and the reason."""
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader with fewer types
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise DocumentError(name, mark.line + 1 if mark else None, error.problem or str(error)) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DocumentError(name, None, " ".join(str(error).split())) from None


def lines_of(text: str, paths: list[tuple[str | int, ...]]) -> list[int | None]:
    """The lines (from 1) on which members stand, or their nearest parents; None where it is no YAML."""
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
