"""Finds the part of a spec that a violation breaks, as a JSON pointer into the document.

This is computed when a client reads the journal. The journal itself keeps only the path of the broken keyword.
"""

from __future__ import annotations

from typing import Any

from promo_sandbox.base.document_errors import pointer
from promo_sandbox.base.messages import Request, Violation
from promo_sandbox.openapi.document import Document
from promo_sandbox.openapi.operation import Operation

Steps = list[str | int]
_ABSENT: Any = object()


def find_spec_pointer(document: Document, operation: Operation, request: Request, violation: Violation) -> str | None:
    """Such as `vendor/api.yaml#/components/schemas/Thing/properties/name/minLength`; None for a violation of a rule."""
    place: Steps = ["paths", operation.template.removeprefix(document.base_path), operation.method.lower()]
    location = violation.where.partition(".")[0].partition("[")[0]
    if location == "body":
        steps = _in_body(document, operation, request, [*place, "requestBody"], violation)
    else:
        steps = _in_parameter(document, place, location, violation)
    return None if steps is None else f"{document.name}#{pointer(_in_patch(document, _existing(document.raw, steps)))}"


def _in_body(
    document: Document, operation: Operation, request: Request, place: Steps, violation: Violation
) -> Steps | None:
    body = _resolve(document.raw, place)
    if violation.keyword_path or violation.kind == "syntax":
        return _in_schema([*body, "content", operation.media_of(request), "schema"], violation)
    return [*body, "required"] if violation.where == "body" and violation.kind == "required" else None


def _in_parameter(document: Document, place: Steps, location: str, violation: Violation) -> Steps | None:
    """The parameter of the violation. A parameter of the operation goes before one of the path."""
    for owner in (place, place[:-1]):
        for at in range(len(_node(document.raw, [*owner, "parameters"], ()))):
            steps = _resolve(document.raw, [*owner, "parameters", at])
            parameter = _node(document.raw, steps, {})
            before, _, rest = violation.where.partition(f"{location}.{parameter['name']}")
            if parameter["in"] == location and not before and rest[:1] in ("", ".", "["):
                required = violation.kind == "required" and not violation.keyword_path
                return [*steps, "required"] if required else _in_schema([*steps, "schema"], violation)
    return None


def _in_schema(place: Steps, violation: Violation) -> Steps:
    path = list(violation.keyword_path)
    return ["components", "schemas", *path[1:]] if path[:1] == ["$defs"] else [*place, *path]


def _resolve(raw: Any, steps: Steps) -> Steps:
    """The steps to a node, or to the target of its `$ref`."""
    node = _node(raw, steps, None)
    while isinstance(node, dict) and "$ref" in node:
        steps = [*node["$ref"].split("/")[1:]]
        node = _node(raw, steps, None)
    return steps


def _node(raw: Any, steps: Steps, default: Any) -> Any:
    node = raw
    for step in steps:
        node = _child(node, step)
        if node is _ABSENT:
            return default
    return node


def _child(node: Any, step: str | int) -> Any:
    if isinstance(node, dict):
        return node.get(step, _ABSENT)
    return node[step] if isinstance(node, list) and isinstance(step, int) and step < len(node) else _ABSENT


def _existing(raw: Any, steps: Steps) -> Steps:
    """The existing part of the steps. The bounds of an `int32` come from its `format`."""
    node: Any = raw
    found: Steps = []
    for step in steps:
        child = _child(node, step)
        if child is _ABSENT:
            return [*found, "format"] if step in ("minimum", "maximum") and "format" in node else found
        node = child
        found.append(step)
    return found


def _in_patch(document: Document, steps: Steps) -> Steps:
    """The steps; into the patch of the document's version if the patch has the value."""
    if document.version_of is not None and document.version is not None:
        patch: Steps = ["x-versions", "patches", document.version]
        node: Any = _node(document.version_of.raw, patch, {})
        for step in steps:
            if not isinstance(node, dict):
                break  # a patch replaces a value that is not an object as a whole
            node = node.get(step, _ABSENT)
            if node is _ABSENT:
                break
        if node is not _ABSENT:
            return [*patch, *steps]
    return steps
