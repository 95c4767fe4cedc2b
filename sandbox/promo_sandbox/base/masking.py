"""Masks credentials in headers, and secrets in targets and bodies, for the journal, HAR files and reports.

A client may send the key of a real account by mistake; the journal must not show it to other people. Tokens in
replies are shown, because they are valid only for this sandbox.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import unquote_plus

MASK = "***"
_SCHEMES = {"authorization", "proxy-authorization"}
_COOKIES = {"cookie", "set-cookie"}
_KEYS = {"x-api-key", "api-key", "apikey", "x-auth-token"}
_NAMES = ("client_secret", "password", "access_token", "refresh_token")
_USER = re.compile(r"^([a-z][a-z0-9+.-]*+://)[^/?#]*@", re.IGNORECASE)
_COOKIE = re.compile(r"=[^;]*+")
_NAMELESS = re.compile(r"((?:^|;)\s*+)([^;=\s][^;=]*+)(?![^;])")  # a cookie without `=` is a value
_STRING = re.compile(r'"((?:[^"\\]|\\.)*+)"?', re.DOTALL)  # of JSON, also a truncated one
_PARAMETER = re.compile(r"(?<![^?&])[^?&#=\s]++(?==)")  # the name of a parameter
_MIN_LENGTH = 6  # characters; a shorter secret could be an ordinary word in a sentence
_PREFIX = 24  # characters that identify a secret which is truncated in a sentence
_MAX_SECRETS = 100  # with more secrets, the whole sentence is masked
_FORMAT = "password"  # OpenAPI: a hint to obscure the value
_MAX_DEPTH = 40  # of a spec
_SECRET = (str, int, float, Decimal)  # the types of a secret


class Masks:
    """The names of secrets: common ones, and those that the given specs declare."""

    def __init__(self, specs: Iterable[Mapping[str, Any]] = ()) -> None:
        """specs: documents as they are written. An `apiKey` scheme and the format `password` declare secrets."""
        found = {(where, name.lower()) for spec in specs for where, name in _declared(spec)}
        self._keys = _KEYS | {name for where, name in found if where == "header"}
        names = {*_NAMES, *(name for where, name in found if where not in ("header", "cookie"))}
        any_name = "|".join(sorted(map(re.escape, names)))
        self._names = frozenset(names)
        self._folded = sorted({name.casefold() for name in names})
        self._json_string = re.compile(rf'("(?:{any_name})"\s*+:\s*+")((?:[^"\\]|\\.)*+)', re.IGNORECASE | re.DOTALL)
        self._json_number = re.compile(rf'("(?:{any_name})"\s*+:\s*+)(-?\d[\d.eE+-]*+)', re.IGNORECASE)
        self._parameter = re.compile(rf"((?:^|[?&])(?:{any_name})=)([^&#\s]*+)", re.IGNORECASE)
        self._parameter_in_json = re.compile(rf'([?&](?:{any_name})=)((?:[^&#\s"\\]|\\.)*+)', re.IGNORECASE)

    def is_secret(self, name: str) -> bool:
        """Whether a header, parameter or field of this name is secret."""
        name = name.lower()
        return name in self._names or self.is_secret_header(name)

    def is_secret_header(self, name: str) -> bool:
        name = name.lower()
        return name in _SCHEMES or name in _COOKIES or name in self._keys

    def mask_header(self, name: str, value: str) -> str:
        """A header's value; a masked credential keeps its scheme."""
        name = name.lower()
        if name in _SCHEMES:
            scheme, space, _ = value.partition(" ")
            return f"{scheme} {MASK}" if space else MASK  # a value without a scheme is the secret itself
        if name in self._keys:
            return MASK
        if name == "cookie":
            return _COOKIE.sub(f"={MASK}", _NAMELESS.sub(rf"\1{MASK}", value))
        if name == "set-cookie":
            pair, semicolon, attributes = value.partition(";")
            return _COOKIE.sub(f"={MASK}", pair) + semicolon + attributes
        return self.mask_message(value)  # `Referer` contains a URL

    def mask_message(self, text: str) -> str:
        """A request's target or body (JSON or a form, also truncated) with masked secrets."""
        text = self._unescape_names(text)
        if not self._has_name(text):
            return text
        masked = self._json_number.sub(rf'\1"{MASK}"', self._json_string.sub(rf"\1{MASK}", text))
        return self._parameters(text).sub(rf"\1{MASK}", masked)

    def may_have_secrets(self, body: bytes) -> bool:
        """Whether a stored document contains the name of a secret. If not, `mask_document` changes nothing."""
        return self._has_name(body.decode())

    def mask_document(self, value: Any) -> Any:
        """A decoded JSON document with masked secrets."""
        if isinstance(value, dict):
            return {
                name: MASK if isinstance(inner, _SECRET) and name.lower() in self._names else self.mask_document(inner)
                for name, inner in value.items()
            }
        if isinstance(value, list):
            return [self.mask_document(inner) for inner in value]
        return self._parameter.sub(rf"\1{MASK}", value) if isinstance(value, str) and "=" in value else value

    def _parameters(self, text: str) -> re.Pattern[str]:
        """The pattern for parameters in a target or a form, or in URLs inside JSON, where a quote ends a value."""
        return self._parameter_in_json if text.lstrip()[:1] in ("{", "[") else self._parameter

    def find_secrets(self, headers: Iterable[tuple[str, str]], *texts: str, given: Iterable[str] = ()) -> list[str]:
        """The secrets in headers, targets and bodies, and the given ones, without short ones; longest first."""
        found, plain = [*given], [self._unescape_names(text) for text in texts]
        for text in filter(self._has_name, plain):
            for pattern in (self._json_string, self._json_number, self._parameters(text)):
                found += [secret for _, secret in pattern.findall(text)]
        for name, value in headers:
            if name.lower() in _COOKIES:
                found += [_cookie(pair) for pair in value.split(";")]
            elif self.is_secret_header(name):
                found.append(value.partition(" ")[2] if name.lower() in _SCHEMES and " " in value else value)
        return sorted({secret for secret in found if len(secret) >= _MIN_LENGTH}, key=len, reverse=True)

    def _has_name(self, text: str) -> bool:
        """Whether the text contains the name of a secret. One search for each name is ten times as fast as a regex."""
        folded = text.casefold()
        return any(name in folded for name in self._folded)

    def _unescape_names(self, text: str) -> str:
        """The text with decoded names of secrets, such as `client%5Fsecret` and `pass\\u0077ord`."""
        if "\\" in text:
            text = _STRING.sub(self._unescape_string, text)
        if "%" in text:
            text = _PARAMETER.sub(self._unescape_parameter, text)
        return text

    def _unescape_string(self, found: re.Match[str]) -> str:
        if "\\" not in found[1]:
            return found[0]
        try:
            name = json.loads(f'"{found[1]}"')
        except ValueError:
            return found[0]
        return f'"{name}"' if name.lower() in self._names else found[0]

    def _unescape_parameter(self, found: re.Match[str]) -> str:
        name = unquote_plus(found[0])
        return name if name.lower() in self._names else found[0]


def remove_secrets(text: str, secrets: Collection[str]) -> str:
    """A sentence without these secrets, and without truncated ones."""
    if len(secrets) > _MAX_SECRETS:
        return MASK
    for secret in secrets:
        text = text.replace(secret, MASK)
        if len(secret) > _PREFIX and secret[:_PREFIX] in text:
            text = re.sub(rf"{re.escape(secret[:_PREFIX])}[^\s'\",;…]*+", MASK, text)
    return text


def mask_url(url: str) -> str:
    """A URL with its user and the secrets of its query masked."""
    return _COMMON.mask_message(_USER.sub(rf"\1{MASK}@", url))


def _cookie(pair: str) -> str:
    """The value of a cookie. A cookie without `=` has only a value."""
    name, equals, value = pair.partition("=")
    return (value if equals else name).strip()


def _declared(spec: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The location (`header`, `query`, `body` …) and the name of each secret of a spec."""
    components = spec.get("components", {})
    for scheme in components.get("securitySchemes", {}).values():
        if scheme.get("type") == "apiKey":
            yield scheme["in"], scheme["name"]
    yield from _within(spec, components.get("schemas", {}), 0)


def _within(node: Any, schemas: Mapping[str, Any], depth: int) -> Iterator[tuple[str, str]]:
    if depth > _MAX_DEPTH:
        return
    if isinstance(node, dict):
        if (
            isinstance(node.get("name"), str)
            and isinstance(node.get("in"), str)
            and _is_secret(node, "schema", schemas)
        ):
            yield node["in"], node["name"]
        properties = node.get("properties")
        if isinstance(properties, dict):
            yield from (("body", name) for name in properties if _is_secret(properties, name, schemas))
    for inner in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _within(inner, schemas, depth + 1)


def _is_secret(owner: Mapping[str, Any], name: str, schemas: Mapping[str, Any]) -> bool:
    schema = owner.get(name)
    if isinstance(schema, dict) and "$ref" in schema:
        schema = schemas.get(str(schema["$ref"]).rpartition("/")[2])
    return isinstance(schema, dict) and schema.get("format") == _FORMAT


_COMMON = Masks()
