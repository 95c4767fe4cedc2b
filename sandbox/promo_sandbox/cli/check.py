"""`promo-sandbox check`: finds mistakes in specifications, rules and scenarios without serving."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from promo_sandbox.admin.api import Admin
from promo_sandbox.base.config import Config
from promo_sandbox.base.document_errors import InvalidDocument
from promo_sandbox.base.errors import SandboxError
from promo_sandbox.engine.scenario_catalogue import ScenarioCatalogue
from promo_sandbox.model.contract import Contract
from promo_sandbox.openapi.document import Document
from promo_sandbox.server.app import App, load_contracts

Found = tuple[str, str, list[str]]  # document, summary, mistakes


def check_all(specs: Path) -> Iterator[Found]:
    """For each specification: its name, a summary and its mistakes. Raises `SandboxError` if it is not readable."""
    contracts = load_contracts(specs)
    admin: Admin = App(Config(specs=specs)).admin
    for contract in contracts:
        names = list(contract.undeclared_names())
        for document in contract.documents:
            yield _checked(document, names)
            names = []
    yield _checked(admin.document, [])


def check_scenarios(catalogue: ScenarioCatalogue) -> Iterator[Found]:
    """The same for each scenario. It is checked by beginning it in an org of its own."""
    for name in catalogue.names():
        try:
            scenario = catalogue.check(name)
        except InvalidDocument as flawed:
            yield f"scenarios/{name}.yaml", "", flawed.sentences()
        else:
            yield f"scenarios/{name}.yaml", f"{len(scenario.steps)} steps", []


def check_contract(contract: Contract) -> list[str]:
    return [mistake for document in contract.documents for mistake in _mistakes(document)]


def _checked(document: Document, more: list[str]) -> Found:
    rejections = sum(len(operation.rejections) for operation in document.operations)
    summary = f"{len(document.operations)} operations, {rejections} rejections, {len(document.callbacks)} callbacks"
    return document.label, summary, [*_mistakes(document), *more]


def _mistakes(document: Document) -> list[str]:
    return [*_openapi_mistakes(document), *_example_mistakes(document), *_unused(document)]


def _openapi_mistakes(document: Document) -> Iterator[str]:
    """Violations of the official OpenAPI 3.1 schema."""
    from openapi_spec_validator import OpenAPIV31SpecValidator  # noqa: PLC0415 - half a second to import

    for error in OpenAPIV31SpecValidator(_floats(document.raw)).iter_errors():
        place = tuple(error.absolute_path) if hasattr(error, "absolute_path") else ()
        yield str(document.error(place, str(getattr(error, "message", error))))


def _example_mistakes(document: Document) -> Iterator[str]:
    """Examples that violate their schemas, in request bodies, responses and callbacks."""
    for place, entry in _media_types(document.raw, ()):
        validator = document.validator(entry["schema"], place)
        examples = {name: document.resolve(node, place) for name, node in entry.get("examples", {}).items()}
        if "example" in entry:
            examples["example"] = {"value": entry["example"]}
        for name, example in examples.items():
            for violation in validator.violations(example["value"], name):
                yield str(document.error((*place, "examples", name), f"the example {violation}"))


def _media_types(node: Any, place: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], dict[str, Any]]]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "content" and isinstance(value, dict) and all("/" in media for media in value):
                for media, entry in value.items():
                    yield (*place, key, media), entry
            elif key not in ("schemas", "examples", "example", "x-versions"):
                yield from _media_types(value, (*place, key))
    elif isinstance(node, list):
        for at, item in enumerate(node):
            yield from _media_types(item, (*place, at))


def _unused(document: Document) -> Iterator[str]:
    """Components without a reference to them."""
    for kind, components in document.raw.get("components", {}).items():
        if kind == "securitySchemes":
            continue
        for name in components:
            if not re.search(rf"#/components/{kind}/{re.escape(name)}(?![\w.-])", document.text):
                yield str(document.error(("components", kind, name), f"{kind}/{name} is never used"))


def _floats(node: Any) -> Any:
    """The document with floats in place of decimals, as the validator of OpenAPI documents expects."""
    if isinstance(node, dict):
        return {key: _floats(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_floats(item) for item in node]
    return float(node) if isinstance(node, Decimal) else node


__all__ = ["SandboxError", "check_all", "check_contract", "check_scenarios"]
