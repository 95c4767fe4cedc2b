"""Parameters of query, header and path: converts texts to the types of their schemas, then validates them."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote_to_bytes

from promo_sandbox.base.field_values import list_elements
from promo_sandbox.base.messages import Violation, parse_decimal
from promo_sandbox.openapi.validation import MAX_VIOLATIONS, Validator

MAX_FIELDS = 1000  # of a query or a form
MAX_ESCAPES = 50_000  # percent-encoded bytes of a query or a form
_INTEGER = re.compile(r"-?\d{1,40}", re.ASCII)
_NUMBER = re.compile(r"-?\d{1,40}(?:\.\d{1,40})?(?:[eE][-+]?\d{1,3})?", re.ASCII)
_ANNOTATIONS = {"type", "description", "example", "examples", "title", "deprecated"}
_ABSENT: Any = object()


class Parameter:
    """One declared parameter."""

    __slots__ = ("aliases", "default", "explode", "field", "kind", "location", "name", "required", "validator")

    def __init__(self, raw: dict[str, Any], schema: dict[str, Any], validator: Validator) -> None:
        self.name: str = raw["name"]
        self.location: str = raw["in"]
        self.field = self.name.lower().encode()
        self.aliases: tuple[str, ...] = tuple(raw.get("x-aliases", ()))  # other names of a header
        self.required: bool = raw.get("required", False)
        self.explode: bool = raw.get("explode", self.location == "query")
        self.kind: str = schema.get("type", "string")
        self.default: Any = schema.get("default", _ABSENT)
        trivial = (
            self.kind == "string" and set(schema) <= _ANNOTATIONS | {"minLength"} and schema.get("minLength", 1) <= 1
        )
        # A schema that accepts every text needs no validator. A path segment is never empty.
        self.validator = None if trivial and (self.location == "path" or "minLength" not in schema) else validator

    def read(self, texts: list[str], values: dict[str, Any], violations: list[Violation]) -> None:
        """Add the value to `values`, or its errors to `violations`."""
        where = f"{self.location}.{self.name}"
        if not texts:
            if self.required:
                violations.append(Violation(where, "is required", "required"))
            elif self.default is not _ABSENT:
                values[self.name] = self.default
            return
        value = self._value(texts)
        if self.validator is not None:
            found = self.validator.violations(value, where)
            if found:
                violations += found
                return
        values[self.name] = value

    def _value(self, texts: list[str]) -> Any:
        if self.kind == "array":
            if self.location == "header":
                return list(list_elements(texts[-1]))
            return texts if self.explode else texts[-1].split(",")
        return _convert(texts[-1], self.kind)  # the last of two equal names wins, as in a JSON object


def _convert(text: str, kind: str) -> Any:
    """Convert a text to a type. An unsuitable text stays a text, which the schema then rejects."""
    if kind == "integer" and _INTEGER.fullmatch(text):
        return int(text)
    if kind == "number" and _NUMBER.fullmatch(text):
        try:
            return parse_decimal(text)
        except ArithmeticError:
            return text
    if kind == "boolean" and text in ("true", "false"):
        return text == "true"
    return text


def percent_decode(text: str) -> str:
    """Decode a path segment. Raises `ValueError` if the result is not UTF-8."""
    return unquote_to_bytes(text).decode() if "%" in text else text


def parse_form(query: str, violations: list[Violation], where: str = "query") -> dict[str, list[str]]:
    """The names and values of a query or a form (`application/x-www-form-urlencoded`), at most 1,000 fields."""
    found: dict[str, list[str]] = {}
    if query.count("%") > MAX_ESCAPES:
        violations.append(Violation(where, f"has more than {MAX_ESCAPES} escaped bytes", "maxLength"))
        return found
    parts = query.split("&", MAX_FIELDS)
    if len(parts) > MAX_FIELDS:
        violations.append(Violation(where, f"has more than {MAX_FIELDS} fields", "maxProperties"))
        del parts[MAX_FIELDS:]
    for part in parts:
        if not part:
            continue
        name, _, value = part.partition("=")
        try:
            text = _form_text(value)
            found.setdefault(_form_text(name), []).append(text)
        except ValueError:
            violations.append(Violation(f"{where}.{name[:100]}", "is not percent-encoded UTF-8", "syntax"))
            if len(violations) >= MAX_VIOLATIONS:
                break
    return found


def _form_text(text: str) -> str:
    return percent_decode(text.replace("+", " "))
