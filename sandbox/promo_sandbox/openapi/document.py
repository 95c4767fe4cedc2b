"""Reads a specification, validates it against the supported part of OpenAPI 3.1, and compiles its operations."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache, cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema_rs

from promo_sandbox.base import yaml_file
from promo_sandbox.base.document_errors import Place
from promo_sandbox.base.errors import DocumentError
from promo_sandbox.openapi import spec_cache
from promo_sandbox.openapi.operation import Body, Operation, Rejection, Response, Security
from promo_sandbox.openapi.parameters import Parameter
from promo_sandbox.openapi.validation import Validator, json_schema, references

METHODS = ("get", "put", "post", "delete", "patch")
_ERROR = 400
_UNAUTHORIZED = 401
_MAX_DEPTH = 50  # of `allOf` inside `allOf`


class Document:
    """One version of a file in `specs/<vendor>/`: the file itself, or the file with one of its `x-versions` patches.

    Raises `DocumentError` with file, line and reason if the document is invalid.
    """

    def __init__(self, path: Path, version_of: Document | None = None, version: str | None = None) -> None:
        self.path = path
        self.vendor = path.parent.name
        self.name = f"{path.parent.name}/{path.name}"
        self.version_of = version_of
        if version_of is None:
            self.text = yaml_file.read_text(path)
            self.raw: dict[str, Any] = spec_cache.parse(path, self.text, self.name)
        else:
            self.text = version_of.text
            self.raw = _patched(version_of.raw, version_of.raw["x-versions"]["patches"][version])
        self._patch: Place = ("x-versions", "patches", version) if version else ()
        self._validate_structure()
        versions = self.raw.get("x-versions", {})
        self.setting: str | None = versions.get("setting")  # the field of an org's settings that chooses the version
        self.version: str | None = version or versions.get("default")
        self.label = self.name if self.version is None else f"{self.name} ({self.version})"
        self.cors: bool = self.raw.get("x-cors", False)  # whether pages of other origins may call the API
        self._compile()
        if version_of is not None:
            self._validate_version(version_of)

    def _validate_version(self, base: Document) -> None:
        """A version may change requests and replies, but not the list of operations or the stored documents."""
        if {(it.id, it.method, it.template) for it in self.operations} != {
            (it.id, it.method, it.template) for it in base.operations
        }:
            raise self.error(("paths",), f"the version {self.version} must have the same operations")
        if self.raw.get("x-collections") != base.raw.get("x-collections") or self.org_sources != base.org_sources:
            raise self.error((), f"the version {self.version} must have the same x-org and x-collections")

    def _compile(self) -> None:
        """Prepare everything that requests need."""
        components = self.raw.get("components", {})
        self._schemas = {name: json_schema(schema) for name, schema in components.get("schemas", {}).items()}
        self._references = {name: references(schema) for name, schema in self._schemas.items()}
        self._validators: dict[str, Validator] = {}
        self._responses: dict[tuple[int, str | None], Response] = {}  # shared responses by status and $ref
        self._operation_ids: set[str] = set()
        self.title: str = self.raw["info"]["title"]
        self.base_path = urlsplit(self.raw["servers"][0]["url"]).path.rstrip("/")
        self.org_sources: tuple[str, ...] = tuple(self.raw.get("x-org", ()))
        self.callbacks: dict[str, Validator] = {}
        self.operations = [self._operation(*found) for found in self._declared_operations()]
        self.transport = {
            int(status): self._response(int(status), response, ("x-transport-responses", status))
            for status, response in self.raw.get("x-transport-responses", {}).items()
        }
        self.transport_rejections = {
            rejection.status: rejection
            for status, response in self.transport.items()
            for rejection in self._rejections(status, response, ("x-transport-responses", str(status)))
        }
        collections = self.raw.get("x-collections", {})
        self.collections = {
            name: self.validator(collection["schema"], ("x-collections", name))
            for name, collection in collections.items()
        }
        # The order in which the fields of a document are stored and sent.
        self.field_order = {name: self._order(name, collection) for name, collection in collections.items()}
        # Fields that are stored but never sent.
        self.internal_fields = {
            name: tuple(
                field
                for field, schema in self._properties(collection["schema"], ("x-collections", name)).items()
                if schema.get("x-internal")
            )
            for name, collection in collections.items()
        }

    def _order(self, name: str, collection: dict[str, Any]) -> tuple[str, ...]:
        for field in collection.get("order", ()):
            if field not in self.field_names:
                raise self.error(("x-collections", name, "order"), f"no schema has a field {field}")
        return tuple(collection.get("order", ()))

    @classmethod
    def load(cls, path: Path) -> list[Document]:
        """All versions of a file; the unpatched one comes first."""
        document = cls(path)
        patches = document.raw.get("x-versions", {}).get("patches", {})
        return [document, *(cls(path, document, version) for version in patches)]

    def defaults(self, collection: str) -> dict[str, Any]:
        """The defaults in the schema of a collection's documents, with those of nested objects."""
        declared = self.raw.get("x-collections", {}).get(collection)
        return self._defaults(declared["schema"], ("x-collections", collection)) if declared else {}

    def _defaults(self, node: dict[str, Any], place: Place) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, schema in self._properties(node, place).items():
            if "default" in schema:
                found[name] = schema["default"]
            elif "properties" in schema:
                found[name] = self._defaults(schema, place)
        return found

    @cached_property
    def field_names(self) -> set[str]:
        """The names of all fields in the component schemas."""
        schemas = self.raw.get("components", {}).get("schemas", {}).values()
        return {name for schema in schemas for name in _property_names(schema)}

    @cached_property
    def org_parameter(self) -> str | None:
        """The path parameter with the name of the org; None if there is none."""
        return next((source[5:] for source in self.org_sources if source.startswith("path.")), None)

    @cached_property
    def org_prefix(self) -> tuple[tuple[str, ...], int] | None:
        """The position of the org in every path, and the segments before it. Used if a path matches no operation."""
        parameter = f"{{{self.org_parameter}}}"
        for operation in self.operations:
            segments = operation.template.split("/")[1:]
            if parameter in segments:
                position = segments.index(parameter)
                return tuple(segments[:position]), position
        return None

    def error(self, place: Place, reason: str) -> DocumentError:
        patched: Any = self.version_of.raw if self.version_of else None
        for step in (*self._patch, *place[:3]):
            patched = patched.get(step) if isinstance(patched, dict) else None
        if patched is not None:
            place = (*self._patch, *place)
        return DocumentError(self.name, yaml_file.line_of(self.text, place), reason)

    def resolve(self, node: Any, place: Place) -> Any:
        """The node, or the target of its `$ref`."""
        visited: list[str] = []
        while isinstance(node, dict) and "$ref" in node:
            if node["$ref"] in visited:
                raise self.error(place, f"{node['$ref']} refers to itself")
            visited.append(node["$ref"])
            target: Any = self.raw
            for step in node["$ref"].split("/")[1:]:
                target = target.get(step) if isinstance(target, dict) else None
            if target is None:
                raise self.error(place, f"{node['$ref']} does not exist")
            node = target
        return node

    def validator(self, schema: dict[str, Any], place: Place) -> Validator:
        """The validator of a schema. It contains only the component schemas that the schema needs."""
        key = schema.get("$ref", "")
        if key and key in self._validators:
            return self._validators[key]
        plain = json_schema(schema)
        needed = {name: self._schemas[name] for name in self._needed(plain, place)}
        validator = Validator({**plain, "$defs": needed} if needed else plain)
        if key:
            self._validators[key] = validator
        return validator

    def _needed(self, schema: Any, place: Place) -> set[str]:
        """The names of all component schemas that a schema refers to, directly or not."""
        found: set[str] = set()
        pending = references(schema)
        while pending:
            name = pending.pop()
            if name not in self._schemas:
                raise self.error(place, f"the schema {name!r} does not exist")
            found.add(name)
            pending |= self._references[name] - found
        return found

    def _validate_structure(self) -> None:
        if not isinstance(self.raw, dict):
            raise DocumentError(self.name, 1, "is not an OpenAPI document")
        dialect = _dialect()
        if dialect.is_valid(self.raw):
            return
        # The deepest error has the real reason; the errors around it only repeat that the document is invalid.
        error = max(_innermost(dialect.iter_errors(self.raw)), key=lambda error: len(error.instance_path))
        where = "".join(f"{step}." for step in error.instance_path)[:-1]
        raise self.error(tuple(error.instance_path), f"{where}{': ' if where else ''}{error.message[:300]}")

    def _declared_operations(self) -> list[tuple[str, str, dict[str, Any], dict[str, Any]]]:
        return [
            (method, template, item, item[method])
            for template, item in self.raw["paths"].items()
            for method in METHODS
            if method in item
        ]

    def _operation(self, method: str, template: str, item: dict[str, Any], raw: dict[str, Any]) -> Operation:
        place: Place = ("paths", template, method)
        if "operationId" not in raw:
            raise self.error(place, "the operation needs an operationId")
        if raw["operationId"] in self._operation_ids:
            raise self.error((*place, "operationId"), f"the operationId {raw['operationId']} occurs twice")
        self._operation_ids.add(raw["operationId"])
        responses = {
            int(status): self._response(int(status), response, (*place, "responses", status))
            for status, response in raw["responses"].items()
        }
        if not any(200 <= status < 300 for status in responses):  # noqa: PLR2004 - the class of successes
            raise self.error((*place, "responses"), "the operation needs a response with a status from 200 to 299")
        security = self._security(raw, place)
        rejections: dict[str, Rejection] = {}
        for status, response in responses.items():
            for rejection in self._rejections(status, response, (*place, "responses", str(status))):
                if rejection.name in rejections:
                    raise self.error(
                        (*place, "responses", str(status)), f"{rejection.name} is declared for two statuses"
                    )
                rejections[rejection.name] = self._with_challenge(rejection, security)
        for name, callback in raw.get("callbacks", {}).items():
            self._callback(name, callback, (*place, "callbacks", name))
        return Operation(
            id=raw["operationId"],
            method=method.upper(),
            template=self.base_path + template,
            summary=raw.get("summary", ""),
            deprecated=raw.get("deprecated", False),
            parameters=self._parameters(template, item, raw, place),
            body=self._body(raw, place),
            responses=responses,
            rejections=rejections,
            security=security,
            closed=not self.raw.get("x-additional-parameters", True),
        )

    def _parameters(self, template: str, item: dict[str, Any], raw: dict[str, Any], place: Place) -> list[Parameter]:
        found: dict[tuple[str, str], Parameter] = {}
        for node in (*item.get("parameters", ()), *raw.get("parameters", ())):
            parameter = self.resolve(node, place)
            schema = self.resolve(parameter["schema"], place)
            where = (parameter["in"], parameter["name"])
            if "x-aliases" in parameter and parameter["in"] != "header":
                raise self.error(place, f"{parameter['name']}: x-aliases is only for headers")
            found[where] = Parameter(parameter, schema, self.validator(parameter["schema"], place))
        for segment in template.split("/"):
            if segment.startswith("{") and ("path", segment[1:-1]) not in found:
                raise self.error(place, f"the path parameter {segment[1:-1]!r} is not declared; add it to parameters")
        return list(found.values())

    def _body(self, raw: dict[str, Any], place: Place) -> Body | None:
        body = self.resolve(raw.get("requestBody"), place)
        if body is None:
            return None
        content = {media: self.validator(entry["schema"], place) for media, entry in body["content"].items()}
        fields = self._properties(next(iter(body["content"].values()))["schema"], place)
        item_fields = {
            name: tuple(self._properties(schema.get("items", schema), place)) for name, schema in fields.items()
        }
        item_fields = {name: declared for name, declared in item_fields.items() if declared}
        return Body(body.get("required", False), content, tuple(fields), item_fields)

    def _properties(self, node: dict[str, Any], place: Place, depth: int = 0) -> dict[str, dict[str, Any]]:
        """The properties of an object's schema; those of its `allOf` come first."""
        if depth > _MAX_DEPTH:
            raise self.error(place, "allOf contains the same schema again")
        schema = self.resolve(node, place)
        found: dict[str, dict[str, Any]] = {}
        for part in schema.get("allOf", ()):
            found |= self._properties(part, place, depth + 1)
        return found | {name: self.resolve(field, place) for name, field in schema.get("properties", {}).items()}

    def _response(self, status: int, node: dict[str, Any], place: Place) -> Response:
        shared = (status, node.get("$ref"))
        if shared in self._responses:
            return self._responses[shared]
        response = self.resolve(node, place)
        content: dict[str, Validator] = {}
        examples: dict[str, tuple[str, Any]] = {}
        for media, entry in response.get("content", {}).items():
            content[media] = self.validator(entry["schema"], place)
            for name, example in entry.get("examples", {}).items():
                examples[name] = (media, self.resolve(example, (*place, "content", media, "examples", name)))
            if "example" in entry:
                examples["example"] = (media, {"value": entry["example"]})
        declared = {name: self.resolve(header, place) for name, header in response.get("headers", {}).items()}
        required = tuple(name.lower() for name, header in declared.items() if header.get("required"))
        constant = {name: header["schema"]["const"] for name, header in declared.items() if "const" in header["schema"]}
        headers = {name: header["example"] for name, header in declared.items() if "example" in header} | constant
        compiled = Response(status, content, examples, required, tuple(headers.items()), tuple(constant.items()))
        if shared[1]:
            self._responses[shared] = compiled
        return compiled

    def _rejections(self, status: int, response: Response, place: Place) -> list[Rejection]:
        if status < _ERROR:
            return []
        found = []
        for name, (media, example) in response.examples.items():
            for field in ("summary", "x-source"):
                if field not in example:
                    raise self.error(place, f"the rejection {name} needs {field}")
            summary, source = example["summary"], example["x-source"]
            found.append(Rejection(name, status, media, example["value"], summary, source, response.headers))
        return found

    def _with_challenge(self, rejection: Rejection, security: tuple[Security, ...]) -> Rejection:
        """Add the `WWW-Authenticate` header that a 401 must have (RFC 9110, 15.5.2), unless the spec declares it."""
        headers = rejection.headers
        if rejection.status != _UNAUTHORIZED or any(name.lower() == "www-authenticate" for name, _ in headers):
            return rejection
        schemes = dict.fromkeys(alternative.scheme.title() for alternative in security)
        challenge = ", ".join(f'{scheme} realm="{self.vendor}"' for scheme in schemes)
        return rejection._replace(headers=(*headers, ("WWW-Authenticate", challenge))) if challenge else rejection

    def _callback(self, name: str, node: dict[str, Any], place: Place) -> None:
        for item in self.resolve(node, place).values():
            for method in METHODS:
                if method in item:
                    body = self.resolve(item[method].get("requestBody"), place)
                    if body is None:
                        raise self.error(place, f"the callback {name} needs a request body")
                    entry = next(iter(body["content"].values()))
                    self.callbacks[name] = self.validator(entry["schema"], place)

    def _security(self, raw: dict[str, Any], place: Place) -> tuple[Security, ...]:
        schemes = self.raw.get("components", {}).get("securitySchemes", {})
        found = []
        for requirement in raw.get("security", self.raw.get("security", ())):
            if len(requirement) > 1:
                raise self.error(place, "two security schemes at once are not supported; write them as alternatives")
            for name, scopes in requirement.items():
                if name not in schemes:
                    raise self.error(place, f"the security scheme {name!r} does not exist")
                if schemes[name]["type"] != "http":
                    raise self.error(place, f"{name} is not an http scheme; an apiKey is only masked, not checked")
                found.append(Security(schemes[name]["scheme"], frozenset(scopes)))
        return tuple(found)


def _property_names(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        properties = node.get("properties")
        yield from properties if isinstance(properties, dict) else ()
        for value in node.values():
            yield from _property_names(value)
    elif isinstance(node, list):
        for item in node:
            yield from _property_names(item)


def _patched(target: Any, patch: Any) -> Any:
    """JSON Merge Patch, RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _patched(merged.get(name), value)
    return merged


@cache
def _dialect() -> jsonschema_rs.Draft202012Validator:
    schema = json.loads((Path(__file__).parent / "dialect.json").read_text(encoding="utf-8"))
    return jsonschema_rs.Draft202012Validator(schema, validate_formats=True, offline=True)


def _innermost(errors: Any) -> list[jsonschema_rs.ValidationError]:
    """The errors inside each `anyOf`, which offers a reference or an object."""
    found = []
    for error in errors:
        inner = getattr(error.kind, "context", None) if error.kind.name == "anyOf" else None
        found += [it for branch in inner for it in _innermost(branch)] if inner else [error]
    return found
