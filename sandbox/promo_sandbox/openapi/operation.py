"""One operation: validates its requests and replies, and knows its named rejections."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from promo_sandbox.base import yaml_file
from promo_sandbox.base.errors import DocumentError
from promo_sandbox.base.field_values import preferred_media_type
from promo_sandbox.base.messages import BodyProblem, Reply, Request, Violation, decode, encode
from promo_sandbox.base.nearest_names import nearest
from promo_sandbox.base.slices import Slice
from promo_sandbox.openapi.parameters import Parameter, parse_form, percent_decode
from promo_sandbox.openapi.validation import MAX_VIOLATIONS, Validator

_PIECE = 200  # items in one piece of a reply
_PLACEHOLDER = "the items of the array"
PROBLEM = "application/problem+json"
_BAD_REQUEST = 400


WrapItems = Callable[[list[Any]], Any]  # wraps an array into the content of a reply, as its last value


class Rejection(NamedTuple):
    """A named example of an error response: one way in which the vendor rejects a request."""

    name: str
    status: int
    media: str
    value: Any
    summary: str
    source: str  # begins with `documented: ` or `inferred: `
    headers: tuple[tuple[str, str], ...]


class Response(NamedTuple):
    """The declared response of one status."""

    status: int
    content: dict[str, Validator]  # by media type
    examples: dict[str, tuple[str, Any]]  # name -> media type, value
    required_headers: tuple[str, ...]
    headers: tuple[tuple[str, str], ...]  # headers with an example or a `const`
    constant: tuple[tuple[str, str], ...] = ()  # headers with a `const`; every reply has them


class Body(NamedTuple):
    """The declared request body."""

    required: bool
    content: dict[str, Validator]  # by media type
    fields: tuple[str, ...]
    item_fields: dict[str, tuple[str, ...]]  # field -> the fields of its object, or of the items of its array


class Security(NamedTuple):
    """One alternative of the security requirement: an HTTP authentication scheme and its required scopes."""

    scheme: str  # `bearer` or `basic`
    scopes: frozenset[str]


class UnreadableBody(Exception):
    """The body cannot be validated at all; the attributes are those of `BodyProblem`."""

    def __init__(self, problem: BodyProblem) -> None:
        super().__init__(problem.detail)
        self.status, _, self.headers, self.title = problem


class Values(msgspec.Struct):
    """The validated values of a request, with their types."""

    path: dict[str, str]
    query: dict[str, Any]
    headers: dict[str, Any]
    body: Any


class Operation:
    """A compiled operation. All look-ups in the document are done here, not in each request."""

    def __init__(
        self,
        *,
        id: str,
        method: str,
        template: str,
        summary: str,
        deprecated: bool,
        parameters: list[Parameter],
        body: Body | None,
        responses: dict[int, Response],
        rejections: dict[str, Rejection],
        security: tuple[Security, ...],
        closed: bool = False,
    ) -> None:
        self.id = id
        self.method, self.template = method, template
        self.summary, self.deprecated = summary, deprecated
        self.parameters = parameters
        self.body = body
        self.body_fields = frozenset(body.fields) if body else frozenset()
        self._media_types = {media.encode(): media for media in body.content} if body else {}
        self.responses = responses
        self.rejections = rejections
        self.security = security
        self.path_names = tuple(part[1:-1] for part in template.split("/") if part.startswith("{"))
        in_path = {parameter.name: parameter for parameter in parameters if parameter.location == "path"}
        self._validated_path = tuple(
            (name, in_path[name]) for name in self.path_names if name in in_path and in_path[name].validator
        )
        self._query = [parameter for parameter in parameters if parameter.location == "query"]
        self._only = {it.name for it in self._query} if closed and _BAD_REQUEST in responses else None  # None: any
        self._headers = [it for it in parameters if it.location == "header" and not it.aliases]
        self._aliased = [it for it in parameters if it.aliases]
        self.success = responses[min(status for status in responses if 200 <= status < 300)]  # noqa: PLR2004 - successes
        self.success_media = next(iter(self.success.content), None)
        self._negotiable = tuple(self.success.content) if len(self.success.content) > 1 else ()
        self._ok = self.success.content[self.success_media] if self.success_media else None
        self._is_get = method == "GET"  # its replies often repeat, so valid ones are remembered
        self._ok_status = None if self.success.required_headers else self.success.status

    def path_values(self, segments: tuple[str, ...], path: str) -> dict[str, str]:
        """The decoded path parameters by name. A value that is not UTF-8 stays encoded."""
        values = dict(zip(self.path_names, segments, strict=True))
        if "%" in path:
            for name, segment in values.items():
                try:
                    values[name] = percent_decode(segment)
                except ValueError:
                    continue
        return values

    def read(self, request: Request, path: dict[str, str]) -> tuple[Values, list[Violation]]:
        """The values of a request, and all violations of the contract. Raises `UnreadableBody`."""
        violations: list[Violation] = []
        query: dict[str, Any] = {}
        headers: dict[str, Any] = {}
        for name, parameter in self._validated_path:
            parameter.read([path[name]], {}, violations)
        if self._query or self._only is not None:
            given = parse_form(request.query, violations) if request.query else {}
            if self._only is not None:
                violations += self._unknown(given, self._only)
            for parameter in self._query:
                parameter.read(given.get(parameter.name, []), query, violations)
        for parameter in self._headers:
            text = request.header(parameter.field)
            parameter.read([] if text is None else [text], headers, violations)
        for parameter in self._aliased:
            parameter.read(_aliased_header(parameter, request, violations), headers, violations)
        body = self._read_body(request, violations) if self.body is not None else None
        return Values(path, query, headers, body), violations

    def _unknown(self, given: Iterable[str], known: set[str]) -> Iterator[Violation]:
        """Violations for unknown query parameters, since a misspelled filter would return too many results."""
        for name in islice((name for name in given if name not in known), MAX_VIOLATIONS):
            near = nearest(name, known) or sorted(known) or ["none"]
            message = f"is no parameter of {self.id}; there is {', '.join(near)}"
            yield Violation(f"query.{name[:100]}", message, "additionalProperties")

    def _read_body(self, request: Request, violations: list[Violation]) -> Any:
        declared = self.body
        assert declared is not None  # for the type checker; `read` has checked it
        if (problem := request.body_problem) is not None:
            if problem.status != _BAD_REQUEST:
                raise UnreadableBody(problem)
            violations.append(Violation("body", problem.detail, "syntax"))
            return None
        if not request.body:
            if declared.required:
                violations.append(Violation("body", "is required", "required"))
            return None
        media = self.media_of(request)
        try:
            content = _decode(media, request.body)
        except (ValueError, DocumentError) as error:
            violations.append(Violation("body", str(error), "syntax"))
            return None
        return declared.content[media].read(content, "body", violations)

    def media_of(self, request: Request) -> str:
        """The declared media type of the request's body; without `Content-Type`, the first one."""
        declared = self.body.content if self.body else {}
        header = request.fields.get(b"content-type")
        if header is None:
            return next(iter(declared))
        if header in self._media_types:
            return self._media_types[header]
        media = header.partition(b";")[0].strip().lower().decode("latin-1")
        if media not in declared:
            expected = " or ".join(declared)
            raise UnreadableBody(
                BodyProblem(415, f"The body must be {expected}, not {media[:100] or 'without a type'}.")
            )
        return media

    def negotiate_media_type(self, request: Request | None) -> str | None:
        """The media type of a successful reply: the one that the request's `Accept` prefers, else the first.

        If the request accepts none of them, RFC 9110 (12.5.1) allows the first one or 406; no vendor has 406.
        """
        if self._negotiable and request is not None and (accept := request.header(b"accept")):
            return preferred_media_type(accept, self._negotiable) or self.success_media
        return self.success_media

    def validate_reply(self, reply: Reply) -> list[Violation]:
        """The violations of a reply; nearly always none."""
        if reply.status == self._ok_status and reply.media == self.success_media:
            if self._ok is not None:
                if self._is_get or type(reply.content) is bytes:
                    return self._ok.validate(reply.body, reply.content, "reply")
                return self._ok.violations(reply.content, "reply")
            if reply.body:
                return [Violation("reply", "must have no body")]
        response = self.responses.get(reply.status)
        if response is None:
            return [Violation("reply", f"the status {reply.status} is not declared for {self.id}")]
        return validate_response(response, reply)

    def normalise_integers(self, status: int, media: str, content: Any) -> Any:
        """The content of a scripted reply, with the integers of its schema normalised."""
        response = self.responses.get(status)
        validator = None if response is None else response.content.get(media.partition(";")[0].strip().lower())
        return content if validator is None else validator.normalise_integers(content)

    def encode_in_pieces(self, reply: Reply, items: Iterator[Any], within: WrapItems | None = None) -> Iterator[bytes]:
        """The JSON of an array in pieces. Each piece is validated; a violation raises `ValueError`.

        within: wraps the array into the content of the reply.
        """
        validator = self.responses[reply.status].content[reply.media or ""]
        template = encode([_PLACEHOLDER] if within is None else within([_PLACEHOLDER]))
        before, _, end = template.partition(encode(_PLACEHOLDER))
        for piece in _batches(items):
            for violation in validator.violations(piece if within is None else within(piece), "reply"):
                raise ValueError(f"{self.id} does not keep its contract: {violation}")
            yield before + encode(piece)[1:-1]
            before = b","
        yield (b"" if before == b"," else before) + end


def _batches(items: Iterator[Any]) -> Iterator[list[Any]]:
    """The items in lists; computing a list takes no longer than a slice."""
    batch: list[Any] = []
    over = Slice().over
    for item in items:
        batch.append(item)
        if len(batch) >= _PIECE or over():
            yield batch
            batch = []
            over = Slice().over
    if batch:
        yield batch


def _aliased_header(parameter: Parameter, request: Request, violations: list[Violation]) -> list[str]:
    """The value of a header with several names. If the request has several of them, their values must be equal."""
    values = {name: request.header(name.lower().encode()) for name in (parameter.name, *parameter.aliases)}
    given = {name: text for name, text in values.items() if text is not None}
    if len(set(given.values())) > 1:
        violations.append(Violation(f"header.{parameter.name}", f"differs between {' and '.join(given)}", "const"))
    return list(given.values())[:1]


def validate_response(response: Response, reply: Reply) -> list[Violation]:
    given = {name.lower() for name, _ in reply.headers}
    missing = [Violation(f"reply.{name}", "is required") for name in response.required_headers if name not in given]
    if reply.media is None:
        return missing if not response.content else [*missing, Violation("reply", "must have a body")]
    validator = response.content.get(reply.media)
    if validator is None:
        return [*missing, Violation("reply", f"the media type {reply.media} is not declared for {reply.status}")]
    return missing + validator.validate(reply.body, reply.content, "reply")


def _decode(media: str, body: bytes) -> Any:
    if media == "application/x-www-form-urlencoded":
        violations: list[Violation] = []
        form = {name: texts[-1] for name, texts in parse_form(_text(body), violations, "form").items()}
        if violations:
            raise ValueError("; ".join(map(str, violations)))
        return form
    if media == "application/yaml":
        return yaml_file.parse_untrusted(_text(body), "body")
    if media.startswith("text/") and not media.endswith("json"):
        return _text(body).strip()
    return decode(body)


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise ValueError("The body is not UTF-8.") from None
