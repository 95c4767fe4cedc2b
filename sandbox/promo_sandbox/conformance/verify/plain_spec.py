"""A specification as plain OpenAPI, for tools that know neither orgs nor versions."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator
from typing import Any

from promo_sandbox.client.http import path_segment
from promo_sandbox.openapi.document import METHODS, Document

Json = Any


def plain(document: Document, org: str | None = None) -> dict[str, Json]:
    """One version of a specification. With an org, no path or header can name another org.

    A second media type with the same schema is removed, since it would only repeat the requests.
    """
    spec: dict[str, Json] = copy.deepcopy({name: part for name, part in document.raw.items() if name != "x-versions"})
    for body in _bodies(spec):
        first, *others = body["content"].items()
        body["content"] = dict([first, *(other for other in others if other[1].get("schema") != first[1]["schema"])])
    if org is not None:
        if document.org_parameter is not None:
            _fix(spec, document.org_parameter, org)
        _drop(spec, "header", org_headers(document))
    return spec


def org_headers(document: Document) -> list[str]:
    """The headers in which a request may name its org."""
    return [source.removeprefix("header.") for source in document.org_sources if source.startswith("header.")]


def _bodies(spec: Json) -> Iterator[Json]:
    yield from spec.get("components", {}).get("requestBodies", {}).values()
    for operation in _operations(spec):
        if "content" in operation.get("requestBody", {}):
            yield operation["requestBody"]


def _operations(spec: Json, within: str = "") -> Iterator[Json]:
    """All operations, or those whose path contains a text."""
    for template, item in spec["paths"].items():
        if within in template:
            yield from (item[method] for method in METHODS if method in item)


def _fix(spec: Json, parameter: str, org: str) -> None:
    """Replace the parameter by the org, in paths and in links."""
    fixed = {it["operationId"] for it in _operations(spec, f"{{{parameter}}}")}
    spec["paths"] = {
        template.replace(f"{{{parameter}}}", path_segment(org)): item for template, item in spec["paths"].items()
    }
    _drop(spec, "path", [parameter])
    for link in (link for links in _links(spec) for link in links.values() if "parameters" in link):
        passed = {
            name: org if value == f"$request.path.{parameter}" else value for name, value in link["parameters"].items()
        }
        if link.get("operationId") in fixed:
            passed = {name: value for name, value in passed.items() if name not in (parameter, f"path.{parameter}")}
        link["parameters"] = passed


def _drop(spec: Json, where: str, names: Collection[str]) -> None:
    """Remove parameters from all operations."""
    for owner in (*spec["paths"].values(), *_operations(spec)):
        if "parameters" in owner:
            described = [(it, _followed(spec, it)) for it in owner["parameters"]]
            owner["parameters"] = [it for it, node in described if node["in"] != where or node["name"] not in names]


def _followed(spec: Json, node: Json) -> Json:
    if "$ref" in node:
        *_, kind, name = node["$ref"].split("/")
        return spec["components"][kind][name]
    return node


def _links(spec: Json) -> Iterator[Json]:
    components = spec.get("components", {})
    yield components.get("links", {})
    responses = [*components.get("responses", {}).values()]
    responses += [response for operation in _operations(spec) for response in operation["responses"].values()]
    yield from (response["links"] for response in responses if "links" in response)
