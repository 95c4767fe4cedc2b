"""The contract of a vendor: its specs and its rules, bound to each other and checked against each other."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from promo_sandbox.base import yaml_file
from promo_sandbox.base.callback_policy import Policy
from promo_sandbox.base.errors import SandboxError
from promo_sandbox.base.messages import FieldOrder, Reply, Request, Violation, decode, encode
from promo_sandbox.model import auth
from promo_sandbox.model.call import Call
from promo_sandbox.model.journal import Event
from promo_sandbox.model.rejected import Rejected
from promo_sandbox.model.rules import SETTINGS, Rule, Rules
from promo_sandbox.model.state import Doc, State
from promo_sandbox.openapi.document import Document
from promo_sandbox.openapi.operation import Operation, Rejection
from promo_sandbox.openapi.paths import Router
from promo_sandbox.openapi.validation import Validator

INVALID_REQUEST = "invalid-request"
MISSING_BODY = "missing-body"
_NAME = re.compile(r"[a-z]+(-[a-z]+)+")


class OffContract(Exception):
    """An internal error: a rule's reply or event does not match the spec."""


class Route(NamedTuple):
    """An operation and the rule that answers it."""

    operation: Operation
    rule: Rule
    contract: Contract
    document: Document
    versions: dict[str, Route] | None = None  # the other versions of the contract, by name


class Contract:
    """A vendor's documents and rules. Raises `SandboxError` if an operation has no rule, or a rule no operation."""

    def __init__(self, documents: list[Document], rules: Rules) -> None:
        self.documents = documents
        self.rules = rules
        self.vendor = rules.vendor
        self.admits_http: Callable[[str], bool] = Policy().allows_http  # a callback's URL
        self.callbacks: dict[str, Validator] = {}
        self.schemas: dict[str, Validator] = {}
        self._defaults: Doc = {}  # of the settings
        for document in documents:
            if document.version_of is not None:
                continue  # callbacks and collections are the same in all versions
            self.callbacks |= document.callbacks
            self.schemas |= document.collections
            rules.internal_fields |= {
                f"{self.vendor}.{name}": fields for name, fields in document.internal_fields.items()
            }
            rules.field_order |= {
                f"{self.vendor}.{name}": FieldOrder(it) for name, it in document.field_order.items() if it
            }
            self._defaults |= document.defaults(SETTINGS)
        self._encoded_defaults = encode(self._defaults)
        self._bind()
        self._routes = {route.operation.id: route for route in self.routes()}

    def set_default(self, place: list[str], text: str) -> None:
        """Change the default of a setting. Raises `SandboxError` if there is no such setting or its type differs."""
        shown = f"{self.vendor}.{'.'.join(place)}"
        present: Any = self._defaults
        for name in place:
            if not isinstance(present, dict) or name not in present:
                raise SandboxError(f"there is no setting {shown}")
            present = present[name]
        value = text if isinstance(present, str) else yaml_file.parse(text, shown)
        given: Any = value
        for name in reversed(place):
            given = {name: given}
        violations: list[Violation] = []
        valid = self.schemas[SETTINGS].read({"id": SETTINGS, **given}, self.vendor, violations)
        if violations:
            raise SandboxError(f"the setting {violations[0]}")
        self._defaults = _merged(self._defaults, {name: valid[name] for name in given})
        self._encoded_defaults = encode(self._defaults)

    def settings(self, state: State) -> Doc:
        """A copy of an org's settings, completed with the defaults."""
        collection = self.rules.collections.get(SETTINGS)
        stored = state.get(collection, SETTINGS) if collection else None
        defaults = decode(self._encoded_defaults)  # a copy
        return defaults if stored is None else _merged(defaults, stored)

    def select_version(self, route: Route, state: State) -> Route:
        """The route in the version of the contract that is selected in the org's settings."""
        if route.versions is None or route.document.setting is None:
            return route
        return route.versions.get(self._selected_version(route.document.setting, state), route)

    def select_document_version(self, document: Document, state: State) -> Document:
        """The document in the version that is selected in the org's settings, for replies outside its operations."""
        if document.setting is None:
            return document
        version = self._selected_version(document.setting, state)
        others = (other for other in self.documents if other.version_of is document)
        return next((other for other in others if other.version == version), document)

    def _selected_version(self, name: str, state: State) -> str:
        collection = self.rules.collections.get(SETTINGS)
        stored = state.get(collection, SETTINGS) if collection else None
        return str(self._defaults[name] if stored is None else stored.get(name, self._defaults[name]))

    def invoke(self, call: Call, operation_id: str, path: dict[str, str], body: Any) -> Reply | Rejected:
        """Call an operation within another call, see `Call.invoke`."""
        route = self.select_version(self._routes[operation_id], call.state)
        inner = Call(call.org, call.state, self.rules, call.now, call.issuer, self)
        inner.operation, inner.request, inner.tenant = route.operation, call.request, call.tenant
        inner.grant = auth.UNRESTRICTED
        media = next(iter(route.operation.body.content)) if route.operation.body else ""
        request = Request(
            route.operation.method,
            route.operation.template,
            [(b"content-type", media.encode())],
            b"" if body is None else encode(body),
        )
        before = len(call.state.changes)
        try:
            reply = _run_nested(route, inner, request, path)
        except Rejected as rejected:
            if rejected.name not in route.operation.rejections:
                raise OffContract(f"{operation_id} declares no rejection {rejected.name}") from None
            call.state.roll_back(before)
            return rejected
        call.events += inner.events
        return reply

    def _bind(self) -> None:
        self._bind_settings()
        declared = {operation.id: document for document in self.documents for operation in document.operations}
        for name in sorted(declared.keys() - self.rules.operations.keys()):
            raise SandboxError(f"{declared[name].name}: the operation {name} has no rule")
        for name in sorted(self.rules.operations.keys() - declared.keys()):
            raise SandboxError(f"the rules of {self.vendor} answer {name}, which no spec declares")
        for name in sorted(self.rules.collections.keys() ^ self.schemas.keys()):
            raise SandboxError(f"the collection {name} of {self.vendor} is not in both rules and x-collections")
        for document in self.documents:
            for operation in document.operations:
                for name in _required_rejections(operation, document):
                    if name not in operation.rejections:
                        raise SandboxError(f"{document.name}: {operation.id} must declare the rejection {name}")

    def _bind_settings(self) -> None:
        for document in self.documents:
            if document.setting is not None and document.setting not in self._defaults:
                raise SandboxError(
                    f"{document.name}: x-versions names the setting {document.setting}, which {self.vendor} has not"
                )

    def routes(self) -> Iterator[Route]:
        """One route for each operation, in the first version of its document."""
        for document in self.documents:
            if document.version_of is not None:
                continue
            later = [other for other in self.documents if other.version_of is document]
            for operation in document.operations:
                rule = self.rules.operations[operation.id]
                versions = {
                    str(other.version): Route(found, _with_constant_headers(rule, found), self, other)
                    for other in later
                    for found in other.operations
                    if found.id == operation.id
                }
                yield Route(operation, _with_constant_headers(rule, operation), self, document, versions or None)

    def rejections(self) -> Iterator[tuple[Operation, Rejection]]:
        for document in self.documents:
            for operation in document.operations:
                for rejection in operation.rejections.values():
                    yield operation, rejection

    def validated_events(self, call: Call) -> list[Event]:
        """The events of a finished call, validated by the spec's callbacks. Raises `OffContract`."""
        events = []
        for name, payload, encoded in call.events:
            validator = self.callbacks.get(name)
            if validator is None:
                raise OffContract(f"no spec declares the callback {name}")
            violations = validator.violations(payload, f"event {name}")
            if violations:
                raise OffContract(_joined(violations))
            events.append(Event(call.now, name, encoded))
        return events

    def undeclared_names(self) -> Iterator[str]:
        """Names in the source of the rules that neither spec nor rules declare, such as a misspelt rejection.

        In rules, each string of lower-case words joined by hyphens must be a declared name.
        """
        known = (
            {rejection.name for _, rejection in self.rejections()}
            | self.callbacks.keys()
            | self.rules.timer_rules.keys()
        )
        for document in self.documents:
            known |= document.field_names
            for operation in document.operations:
                known |= {parameter.name for parameter in operation.parameters} | set(operation.template.split("/"))
                known |= {header.lower() for response in operation.responses.values() for header, _ in response.headers}
        for file, line, text in _string_literals(self.rules):
            if _NAME.fullmatch(text) and text not in known:
                yield f"{file}:{line}: {text!r} is declared nowhere"


def _with_constant_headers(rule: Rule, operation: Operation) -> Rule:
    """The rule, with the headers added for which the spec has a constant value."""
    constant = {status: response.constant for status, response in operation.responses.items() if response.constant}
    if not constant:
        return rule

    def replying(call: Call) -> Reply:
        reply = rule(call)
        reply.headers += constant.get(reply.status, ())
        return reply

    return replying


def _required_rejections(operation: Operation, document: Document) -> set[str]:
    """The rejections that the engine itself uses for an operation."""
    names: set[str] = set()
    if operation.security:
        names |= {auth.MISSING, auth.INVALID}
    if any(security.scheme == "bearer" for security in operation.security):
        names.add(auth.EXPIRED)
        if document.org_sources:
            names.add(auth.FOREIGN)
    if any(security.scopes for security in operation.security):
        names.add(auth.SCOPE)
    if operation.body is not None or any(
        parameter.validator or parameter.required for parameter in operation.parameters if parameter.location != "path"
    ):
        names.add(INVALID_REQUEST)
    return names


def _run_nested(route: Route, call: Call, request: Request, path: dict[str, str]) -> Reply:
    """Run an operation within another one, with the same stages as for a client. Raises `Rejected`."""
    armed = call.state.take_armed(route.operation.id, from_client=False)
    if armed is not None and armed.reject is not None:
        raise Rejected(armed.reject)
    call.values, violations = route.operation.read(request, path)
    violations = [
        violation for violation in violations if not violation.where.startswith("path.")
    ]  # those come from the calling rule
    if violations:
        raise Rejected(INVALID_REQUEST, violations=violations)
    reply = route.rule(call)
    flaws = route.operation.validate_reply(reply)
    if flaws:
        raise OffContract(_joined(flaws))
    return reply


def _merged(defaults: Doc, stored: Doc) -> Doc:
    """The stored settings, completed with the defaults at each level."""
    merged = {**defaults, **stored}
    for name, value in defaults.items():
        if isinstance(value, dict) and isinstance(merged[name], dict):
            merged[name] = _merged(value, merged[name])
    return merged


def _string_literals(rules: Rules) -> Iterator[tuple[str, int, str]]:
    modules = {rule.__module__ for rule in (*rules.operations.values(), *rules.timer_rules.values())}
    for name in sorted(modules):
        file = importlib.import_module(name).__file__
        assert file is not None  # rules are in files
        path = Path(file)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield path.name, node.lineno, node.value


def _joined(violations: list[Violation]) -> str:
    return "; ".join(map(str, violations))


def router(contracts: list[Contract]) -> Router[Route]:
    """One router for all vendors. Raises `SandboxError` if two specs have the same path or operationId."""
    tree: Router[Route] = Router()
    taken: dict[str, str] = {}
    for contract in contracts:
        for route in contract.routes():
            id = route.operation.id
            if taken.setdefault(id, contract.vendor) != contract.vendor:
                raise SandboxError(f"{route.document.name}: {taken[id]} already has an operation {id}")
            try:
                tree.add(route.operation.method, route.operation.template, route)
            except ValueError as error:
                raise SandboxError(f"{route.document.name}: {error}") from None
    return tree
