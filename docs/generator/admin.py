"""The admin API, from its spec: every operation with its parameters, an example, its replies and its rejections."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec

from docs.generator.markdown import anchor, block, code, prose, table
from promo_sandbox.base.config import data_folder
from promo_sandbox.base.messages import encode
from promo_sandbox.openapi.document import Document
from promo_sandbox.openapi.operation import Operation, Rejection

_LIMITS = {
    "minimum": "from {}",
    "maximum": "to {}",
    "minLength": "at least {} long",
    "maxLength": "at most {} long",
}


@cache
def document() -> Document:
    return Document(data_folder("specs") / "sandbox" / "admin.yaml")


def page() -> str:
    """The operations by tag, in the order of the spec, and all rejections at the end."""
    parts: list[str] = []
    for tag in document().raw["tags"]:
        parts += [f"## {tag['name'].capitalize()}", tag.get("description", "")]
        for operation in document().operations:
            if tag["name"] in _raw(operation)["tags"]:
                parts += _operation(operation)
    parts += ["## Rejections", "Every rejection is an RFC 9457 problem, `application/problem+json`.", _rejections()]
    return "\n\n".join(part for part in parts if part)


def _path(operation: Operation) -> str:
    return operation.template.removeprefix(document().base_path)


def _raw(operation: Operation) -> dict[str, Any]:
    raw: dict[str, Any] = document().raw["paths"][_path(operation)][operation.method.lower()]
    return raw


def _operation(operation: Operation) -> Iterator[str]:
    raw = _raw(operation)
    yield f"### {operation.method} `{_path(operation)}` {{ #{operation.id} }}"
    yield f"`{operation.id}`: {operation.summary}"
    yield raw.get("description", "")
    yield _parameters(operation, raw)
    yield from _body(raw)
    for status in operation.responses:
        if status < 400:  # noqa: PLR2004 - the first status of an error
            yield from _reply(status, document().resolve(raw["responses"][str(status)], ()), operation)
    named = [f"{rejection.status} [{code(rejection.name)}](#{_id(rejection)})" for rejection in _sorted(operation)]
    yield f"**Rejections**: {', '.join(named)}" if named else ""


def _sorted(operation: Operation) -> list[Rejection]:
    return sorted(operation.rejections.values(), key=lambda rejection: rejection.status)


def _id(rejection: Rejection) -> str:
    return f"rejection-{rejection.name}-{rejection.status}"


def _parameters(operation: Operation, raw: dict[str, Any]) -> str:
    nodes = [*document().raw["paths"][_path(operation)].get("parameters", ()), *raw.get("parameters", ())]
    rows = [
        (code(parameter["name"]), parameter["in"], _type(parameter["schema"]), prose(parameter.get("description", "")))
        for parameter in (document().resolve(node, ()) for node in nodes)
    ]
    return table(("Parameter", "In", "Type", "Description"), rows) if rows else ""


def _type(node: dict[str, Any]) -> str:
    """The type, the limits and the default of a value, in words."""
    schema = document().resolve(node, ())
    kind = schema.get("type", "one of several" if "oneOf" in schema else "any")
    words = [" or ".join([kind] if isinstance(kind, str) else kind)]
    if "enum" in schema:
        words = [" or ".join(map(code, map(str, schema["enum"])))]
    words += [text.format(schema[limit]) for limit, text in _LIMITS.items() if schema.get(limit, 1) != 1]
    if "default" in schema:
        words.append(f"default {code(encode(schema['default']).decode())}")
    return ", ".join(words)


def _body(raw: dict[str, Any]) -> Iterator[str]:
    body = document().resolve(raw.get("requestBody"), ())
    if body is None:
        return
    yield f"**Body**: {' or '.join(code(media) for media in body['content'])}:"
    entry = next(iter(body["content"].values()))  # the other media types have the same content
    schema = document().resolve(entry["schema"], ())
    rows = [
        (
            code(name) + (" *required*" if name in schema.get("required", ()) else ""),
            _type(field),
            prose(document().resolve(field, ()).get("description", "")),
        )
        for name, field in _fields(schema).items()
    ]
    if rows:
        yield table(("Field", "Type", "Description"), rows)
    for example in entry.get("examples", {}).values():
        yield _example(document().resolve(example, ())["value"])


def _fields(schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The fields of an object, in all forms that the schema allows."""
    found: dict[str, dict[str, Any]] = dict(schema.get("properties", {}))
    for part in (*schema.get("oneOf", ()), *schema.get("anyOf", ()), *schema.get("allOf", ())):
        found |= _fields(document().resolve(part, ()))
    return found


def _reply(status: int, response: dict[str, Any], operation: Operation) -> Iterator[str]:
    yield f"**Status {status}**: {' '.join(response['description'].split())}"
    for media, value in operation.responses[status].examples.values():
        yield _example(value["value"]) if media.endswith("json") else block("text", str(value["value"]))
        return


def _example(value: Any) -> str:
    return block("json", msgspec.json.format(encode(value), indent=2).decode())


def _rejections() -> str:
    found = {
        (rejection.name, rejection.status): rejection
        for operation in document().operations
        for rejection in operation.rejections.values()
    }
    rows = [
        (anchor(_id(rejection), code(rejection.name)), str(rejection.status), prose(rejection.summary))
        for rejection in sorted(found.values(), key=lambda rejection: (rejection.status, rejection.name))
    ]
    rows += [
        (code(rejection.name), str(rejection.status), prose(rejection.summary))
        for rejection in document().transport_rejections.values()
    ]
    return table(("Rejection", "Status", "When"), rows)
