"""Tables of a vendor's operations, rejections and scheduled events."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import promo_sandbox.vendors
from docs.generator.markdown import anchor, code, folded, prose, table
from promo_sandbox.base.config import data_folder
from promo_sandbox.base.errors import SandboxError
from promo_sandbox.model import auth, contract
from promo_sandbox.model.contract import Contract
from promo_sandbox.openapi.document import Document
from promo_sandbox.openapi.operation import Operation, Rejection
from promo_sandbox.rules import Rules
from promo_sandbox.server.app import load_contracts

_MOST_SHOWN = 4  # operations in a cell; a longer list is folded

# What a client sends so that the engine rejects its credentials. `tests/test_site.py` sends them.
BEARERS = {
    auth.INVALID: "Bearer invalid",
    auth.EXPIRED: "Bearer expired",
    auth.FOREIGN: "Bearer sandbox;tenant=another",
    auth.SCOPE: "Bearer sandbox;scope=none",
}
_BASIC_HINT = "send a secret that begins with `invalid`"
_FOREIGN_HINT = "send a [token](admin-api.md#issueToken) of another org, and the header `Sandbox-Org`"
_ENGINE_HINTS = {
    auth.MISSING: "send no `Authorization` header",
    contract.INVALID_REQUEST: "omit a required field or parameter, or send a wrong type",
    contract.MISSING_BODY: "send no body",
}
_TRANSPORT_HINTS = {
    404: "request a path that is not in the spec",
    405: "use a method that the path does not support",
    413: "send more than `--max-body` bytes",
    415: "send a wrong `Content-Type`",
}


class UnknownMarker(SandboxError):
    """A marker names an unknown kind, vendor or spec."""


class _Row(NamedTuple):
    """A rejection that one or several versions of a document have in common."""

    rejection: Rejection
    operations: dict[str, list[Operation]]  # by version


@cache
def contracts() -> dict[str, Contract]:
    return {contract.vendor: contract for contract in load_contracts(data_folder("specs"))}


def versions(name: str) -> list[Document]:
    """All versions of the document `vendor/api.yaml`. Raises `UnknownMarker`."""
    found = [document for contract in contracts().values() for document in contract.documents if document.name == name]
    if not found:
        raise UnknownMarker(f"no spec has the name {name}")
    return found


def operations(name: str) -> str:
    """A table of all operations."""
    rows = [
        (
            f"{operation.method} {code(operation.template)}",
            code(operation.id),
            prose(operation.summary) + (" *Deprecated.*" if operation.deprecated else ""),
            ", ".join(str(status) for status in sorted(operation.responses)),
        )
        for operation in versions(name)[0].operations
    ]
    return table(("Method and path", "operationId", "Summary", "Statuses"), rows)


def rejections(name: str) -> str:
    """A table of all rejections: those of operations, and those of requests that match no operation."""
    documents = versions(name)
    used = texts_in_rules(documents[0].vendor)
    rows = [(row.rejection, _of_operations(row, documents, used)) for row in _rows(documents)]
    rows += [(rejection, _outside_operations(rejection)) for rejection in transport_rejections(documents)]
    named: set[str] = set()
    lines = []
    for rejection, cells in rows:
        id = f"{documents[0].path.stem}-{rejection.status}-{rejection.name}"
        # Versions may word one rejection differently, so a name may have several rows. Links lead to the first.
        name = code(rejection.name) if id in named else anchor(id, code(rejection.name))
        named.add(id)
        lines.append((name, *cells))
    return table(("Rejection", "Status", "When", "Operations", "Source", "How to trigger"), lines)


def _rows(documents: list[Document]) -> list[_Row]:
    rows: dict[tuple[object, ...], _Row] = {}
    for document in documents:
        for operation in document.operations:
            for rejection in operation.rejections.values():
                key = (rejection.name, rejection.status, rejection.summary, rejection.source)
                row = rows.setdefault(key, _Row(rejection, {}))
                row.operations.setdefault(document.label, []).append(operation)
    return sorted(rows.values(), key=lambda row: row.rejection.status)


def transport_rejections(documents: list[Document]) -> list[Rejection]:
    """The rejections of requests that match no operation, each once."""
    found = {
        (rejection.name, rejection.status, rejection.source): rejection
        for document in documents
        for rejection in document.transport_rejections.values()
    }
    return list(found.values())


def _of_operations(row: _Row, documents: list[Document], used: set[str]) -> tuple[str, ...]:
    rejection = row.rejection
    operations = next(iter(row.operations.values()))
    where = _operations_cell(operations, len(documents[0].operations))
    if len(row.operations) < len(documents):
        labels = ", ".join(str(document.version) for document in documents if document.label in row.operations)
        where += f" (only in version {labels})"
    return _cells(rejection, where, _trigger(rejection, operations, documents[0], used))


def _outside_operations(rejection: Rejection) -> tuple[str, ...]:
    return _cells(rejection, "no operation", _TRANSPORT_HINTS.get(rejection.status, ""))


def _cells(rejection: Rejection, where: str, trigger: str) -> tuple[str, ...]:
    kind, _, source = rejection.source.partition(": ")
    return str(rejection.status), prose(rejection.summary), where, f"**{kind}**: {prose(source)}", prose(trigger)


def _operations_cell(operations: list[Operation], total: int) -> str:
    if len(operations) == total > 1:
        return "every operation"
    listed = ", ".join(code(operation.id) for operation in operations)
    return listed if len(operations) <= _MOST_SHOWN else folded(f"{len(operations)} of {total}", listed)


def _trigger(rejection: Rejection, operations: list[Operation], document: Document, used: set[str]) -> str:
    """How a client gets this rejection: by what it sends, or on request."""
    forced = f"`Prefer: example={rejection.name}`"
    hint = _ENGINE_HINTS.get(rejection.name) or _credentials_hint(rejection.name, operations, document)
    if hint is not None:
        return f"{hint}; or {forced}"
    return f"as described under *When*; or {forced}" if rejection.name in used else f"only {forced} or `/next`"


def _credentials_hint(name: str, operations: list[Operation], document: Document) -> str | None:
    schemes = {security.scheme for operation in operations for security in operation.security}
    if name == auth.INVALID and "basic" in schemes:
        return _BASIC_HINT
    if name not in BEARERS or "bearer" not in schemes:
        return None
    if name == auth.FOREIGN and not all(names_org(operation, document) for operation in operations):
        return _FOREIGN_HINT
    return f"send `Authorization: {BEARERS[name]}`"


def names_org(operation: Operation, document: Document) -> bool:
    """Whether the path names the org, so that a token of another org cannot select that other org."""
    return document.org_parameter in operation.path_names


@cache
def texts_in_rules(vendor: str) -> set[str]:
    """All text literals in a vendor's rules. A rejection that is not among them occurs on request only."""
    folder = Path(promo_sandbox.vendors.__path__[0]) / vendor
    return {
        node.value
        for path in folder.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def timers(vendor: str | None = None) -> str:
    """A table of the scheduled events of one vendor, or of all."""
    if vendor is not None and vendor not in contracts():
        raise UnknownMarker(f"no vendor has the name {vendor}")
    wanted = [vendor] if vendor else list(contracts())
    rows = [row for name in wanted for row in _timers(contracts()[name].rules, with_vendor=vendor is None)]
    return table((*(() if vendor else ("Vendor",)), "Event", "Effect"), rows)


def _timers(rules: Rules, *, with_vendor: bool) -> Iterable[tuple[str, ...]]:
    for event, rule in rules.timer_rules.items():
        effect = prose((rule.__doc__ or "").partition("\n\n")[0])
        yield (*((rules.vendor,) if with_vendor else ()), code(event), effect)
