"""What journals and reports do not repeat: credentials in headers, and secrets in a request's target and body.

Whoever is shown a journal, a HAR file or a terminal should not see the key of a real account that a client has sent
here by mistake. Tokens in replies are the sandbox's own and open nothing elsewhere; a journal shows them.
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
_STRING = re.compile(r'"((?:[^"\\]|\\.)*+)"?', re.DOTALL)  # of JSON, also one that was cut
_PARAMETER = re.compile(r"(?<![^?&])[^?&#=\s]++(?==)")  # the name of one
_LEAST = 6  # characters of a secret that is looked for in sentences; shorter ones are words
_BEGINNING = 24  # characters by which one is found in a sentence that has not all of it
_MOST = 100  # secrets that are looked for in a sentence; one of more secrets is masked whole
_FORMAT = "password"  # OpenAPI: a hint to obscure the value
_MAX_DEPTH = 40  # of a spec
_SECRET = (str, int, float, Decimal)  # what a secret may be


class Masks:
    """Knows which names are secret: those that every API has, and those of some specs."""

    def __init__(self, specs: Iterable[Mapping[str, Any]] = ()) -> None:
        """specs: as they are written. Secret is what a scheme of the type `apiKey` names, and each parameter and field
        whose format is `password`."""
        found = {(where, name.lower()) for spec in specs for where, name in _declared(spec)}
        self._keys = _KEYS | {name for where, name in found if where == "header"}
        names = {*_NAMES, *(name for where, name in found if where not in ("header", "cookie"))}
        either = "|".join(sorted(map(re.escape, names)))
        self._names = frozenset(names)
        self._folded = sorted({name.casefold() for name in names})
        self._member = re.compile(rf'("(?:{either})"\s*+:\s*+")((?:[^"\\]|\\.)*+)', re.IGNORECASE | re.DOTALL)
        self._number = re.compile(rf'("(?:{either})"\s*+:\s*+)(-?\d[\d.eE+-]*+)', re.IGNORECASE)
        self._field = re.compile(rf"((?:^|[?&])(?:{either})=)([^&#\s]*+)", re.IGNORECASE)
        self._in_json = re.compile(rf'([?&](?:{either})=)((?:[^&#\s"\\]|\\.)*+)', re.IGNORECASE)  # of a URL there

    def is_secret(self, name: str) -> bool:
        """Whether a header, parameter or field of this name is secret."""
        name = name.lower()
        return name in self._names or self.is_secret_header(name)

    def is_secret_header(self, name: str) -> bool:
        name = name.lower()
        return name in _SCHEMES or name in _COOKIES or name in self._keys

    def mask_header(self, name: str, value: str) -> str:
        """A header's value; of a secret one, what kind of secret it is."""
        name = name.lower()
        if name in _SCHEMES:
            scheme, space, _ = value.partition(" ")
            return f"{scheme} {MASK}" if space else MASK  # without a scheme it is the secret itself
        if name in self._keys:
            return MASK
        if name == "cookie":
            return _COOKIE.sub(f"={MASK}", _NAMELESS.sub(rf"\1{MASK}", value))
        if name == "set-cookie":
            pair, semicolon, attributes = value.partition(";")
            return _COOKIE.sub(f"={MASK}", pair) + semicolon + attributes
        return self.mask_message(value)  # `Referer` has a URL

    def mask_message(self, text: str) -> str:
        """A request's target or body, JSON or a form, also one that was cut."""
        text = self._spelled_out(text)
        if not self._names_any(text):
            return text
        masked = self._number.sub(rf'\1"{MASK}"', self._member.sub(rf"\1{MASK}", text))
        return self._parameters(text).sub(rf"\1{MASK}", masked)

    def may_have_secrets(self, body: bytes) -> bool:
        """Whether a document, as it is stored, has the name of a secret in it; if not, `document` changes nothing."""
        return self._names_any(body.decode())

    def mask_document(self, value: Any) -> Any:
        """A decoded JSON document without the secrets in it."""
        if isinstance(value, dict):
            return {
                name: MASK if isinstance(inner, _SECRET) and name.lower() in self._names else self.mask_document(inner)
                for name, inner in value.items()
            }
        if isinstance(value, list):
            return [self.mask_document(inner) for inner in value]
        return self._field.sub(rf"\1{MASK}", value) if isinstance(value, str) and "=" in value else value

    def _parameters(self, text: str) -> re.Pattern[str]:
        """Finds the parameters in a target, a form, or the URLs of a JSON text, where a quote ends one."""
        return self._in_json if text.lstrip()[:1] in ("{", "[") else self._field

    def find_secrets(self, headers: Iterable[tuple[str, str]], *texts: str, given: Iterable[str] = ()) -> list[str]:
        """The secrets that headers, targets and bodies hold, and those that were given, but for short ones."""
        found, plain = [*given], [self._spelled_out(text) for text in texts]
        for text in filter(self._names_any, plain):
            for pattern in (self._member, self._number, self._parameters(text)):
                found += [secret for _, secret in pattern.findall(text)]
        for name, value in headers:
            if name.lower() in _COOKIES:
                found += [_cookie(pair) for pair in value.split(";")]
            elif self.is_secret_header(name):
                found.append(value.partition(" ")[2] if name.lower() in _SCHEMES and " " in value else value)
        return sorted({secret for secret in found if len(secret) >= _LEAST}, key=len, reverse=True)

    def _names_any(self, text: str) -> bool:
        """Whether a name is in there at all; to look for each takes a tenth of the time of one pattern for all."""
        folded = text.casefold()
        return any(name in folded for name in self._folded)

    def _spelled_out(self, text: str) -> str:
        """The text with the names of secrets as they are meant: `client%5Fsecret` and `pass\\u0077ord` are two."""
        if "\\" in text:
            text = _STRING.sub(self._string, text)
        if "%" in text:
            text = _PARAMETER.sub(self._parameter, text)
        return text

    def _string(self, found: re.Match[str]) -> str:
        if "\\" not in found[1]:
            return found[0]
        try:
            name = json.loads(f'"{found[1]}"')
        except ValueError:
            return found[0]
        return f'"{name}"' if name.lower() in self._names else found[0]

    def _parameter(self, found: re.Match[str]) -> str:
        name = unquote_plus(found[0])
        return name if name.lower() in self._names else found[0]


def remove_secrets(text: str, secrets: Collection[str]) -> str:
    """A sentence without these secrets, also where it has only the beginning of a long one."""
    if len(secrets) > _MOST:
        return MASK
    for secret in secrets:
        text = text.replace(secret, MASK)
        if len(secret) > _BEGINNING and secret[:_BEGINNING] in text:
            text = re.sub(rf"{re.escape(secret[:_BEGINNING])}[^\s'\",;…]*+", MASK, text)
    return text


def mask_url(url: str) -> str:
    """A URL without a user in it, and without the secrets of its query."""
    return _COMMON.mask_message(_USER.sub(rf"\1{MASK}@", url))


def _cookie(pair: str) -> str:
    """The value of a cookie; without `=` the cookie has no name."""
    name, equals, value = pair.partition("=")
    return (value if equals else name).strip()


def _declared(spec: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Where each secret of a spec stands, and its name."""
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
