"""A vendor's operations, refusals and what falls due, as tables."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

from docs.generator.markdown import anchor, code, folded, prose, table
from promo_sandbox.base.config import data_folder
from promo_sandbox.base.errors import SandboxError
from promo_sandbox.model import auth, contract
from promo_sandbox.model.contract import Contract
from promo_sandbox.openapi.document import Document
from promo_sandbox.openapi.operation import Operation, Rejection
from promo_sandbox.rules import Rules
from promo_sandbox.server.app import load_contracts

_LISTED = 4  # operations in a cell; more are folded

# What a client does to be refused so by the engine itself. `tests/test_site.py` does it.
BEARERS = {
    auth.INVALID: "Bearer invalid",
    auth.EXPIRED: "Bearer expired",
    auth.FOREIGN: "Bearer sandbox;tenant=another",
    auth.SCOPE: "Bearer sandbox;scope=none",
}
_BASIC_HINT = "a secret that begins with `invalid`"
_FOREIGN_HINT = "a [token](admin-api.md#issueToken) of another org, and the header `Sandbox-Org`"
_ENGINE_HINTS = {
    auth.MISSING: "send no `Authorization`",
    contract.INVALID_REQUEST: "leave out what is required, or send another type",
    contract.MISSING_BODY: "send no body",
}
_TRANSPORT_HINTS = {
    404: "ask for a path that is not in the spec",
    405: "use a method that the path does not have",
    413: "send more than `--max-body` bytes",
    415: "send another `Content-Type`",
}


class UnknownMarker(SandboxError):
    """A page asks for something that there is not."""


class _Row(NamedTuple):
    """A refusal as one or several versions of a document have it."""

    rejection: Rejection
    operations: dict[str, list[Operation]]  # by version


@cache
def contracts() -> dict[str, Contract]:
    return {contract.vendor: contract for contract in load_contracts(data_folder("specs"))}


def versions(name: str) -> list[Document]:
    """All versions of the document `vendor/api.yaml`. Raises `UnknownMarker`."""
    found = [document for contract in contracts().values() for document in contract.documents if document.name == name]
    if not found:
        raise UnknownMarker(f"there is no spec {name}")
    return found


def operations(name: str) -> str:
    """What there is to call."""
    rows = [
        (
            f"{operation.method} {code(operation.template)}",
            code(operation.id),
            prose(operation.summary) + (" *Deprecated.*" if operation.deprecated else ""),
            ", ".join(str(status) for status in sorted(operation.responses)),
        )
        for operation in versions(name)[0].operations
    ]
    return table(("Method and path", "operationId", "Does", "Answers"), rows)


def refusals(name: str) -> str:
    """Every way to be refused: by an operation, and outside all of them."""
    documents = versions(name)
    made = made_by_rules(documents[0].vendor)
    rows = [(row.rejection, _refusal(row, documents, made)) for row in _rows(documents)]
    rows += [(rejection, _outside(rejection)) for rejection in outside(documents)]
    named: set[str] = set()
    lines = []
    for rejection, cells in rows:
        id = f"{documents[0].path.stem}-{rejection.status}-{rejection.name}"
        # One name may stand in several rows, for versions that word it in their own way; links lead to the first.
        name = code(rejection.name) if id in named else anchor(id, code(rejection.name))
        named.add(id)
        lines.append((name, *cells))
    return table(("RejectionContext", "Status", "When", "Operations", "Source", "How to trigger"), lines)


def _rows(documents: list[Document]) -> list[_Row]:
    rows: dict[tuple[object, ...], _Row] = {}
    for document in documents:
        for operation in document.operations:
            for rejection in operation.rejections.values():
                key = (rejection.name, rejection.status, rejection.summary, rejection.source)
                row = rows.setdefault(key, _Row(rejection, {}))
                row.operations.setdefault(document.label, []).append(operation)
    return sorted(rows.values(), key=lambda row: row.rejection.status)


def outside(documents: list[Document]) -> list[Rejection]:
    """The refusals of what is no operation, each once."""
    found = {
        (rejection.name, rejection.status, rejection.source): rejection
        for document in documents
        for rejection in document.transport_rejections.values()
    }
    return list(found.values())


def _refusal(row: _Row, documents: list[Document], made: set[str]) -> tuple[str, ...]:
    rejection = row.rejection
    operations = next(iter(row.operations.values()))
    where = _where(operations, len(documents[0].operations))
    if len(row.operations) < len(documents):
        kept = ", ".join(str(document.version) for document in documents if document.label in row.operations)
        where += f" (only in version {kept})"
    return _cells(rejection, where, _how(rejection, operations, documents[0], made))


def _outside(rejection: Rejection) -> tuple[str, ...]:
    return _cells(rejection, "outside any operation", _TRANSPORT_HINTS.get(rejection.status, ""))


def _cells(rejection: Rejection, where: str, how: str) -> tuple[str, ...]:
    kind, _, source = rejection.source.partition(": ")
    return str(rejection.status), prose(rejection.summary), where, f"**{kind}**: {prose(source)}", prose(how)


def _where(operations: list[Operation], there_are: int) -> str:
    if len(operations) == there_are > 1:
        return "every operation"
    listed = ", ".join(code(operation.id) for operation in operations)
    return listed if len(operations) <= _LISTED else folded(f"{len(operations)} of {there_are}", listed)


def _how(rejection: Rejection, operations: list[Operation], document: Document, made: set[str]) -> str:
    """A way to it by what the client sends, or by asking for it."""
    forced = f"`Prefer: example={rejection.name}`"
    hint = _ENGINE_HINTS.get(rejection.name) or _with_credentials(rejection.name, operations, document)
    if hint is not None:
        return f"{hint}; or {forced}"
    return f"as *When* says; or {forced}" if rejection.name in made else f"only {forced} or `/next`"


def _with_credentials(name: str, operations: list[Operation], document: Document) -> str | None:
    schemes = {security.scheme for operation in operations for security in operation.security}
    if name == auth.INVALID and "basic" in schemes:
        return _BASIC_HINT
    if name not in BEARERS or "bearer" not in schemes:
        return None
    if name == auth.FOREIGN and not all(names_org(operation, document) for operation in operations):
        return _FOREIGN_HINT
    return f"`Authorization: {BEARERS[name]}`"


def names_org(operation: Operation, document: Document) -> bool:
    """Whether the org stands in the path, so that a token that names another cannot choose it."""
    return document.org_parameter in operation.path_names


@cache
def made_by_rules(vendor: str) -> set[str]:
    """The texts in a vendor's rules; a refusal that is not among them happens only when it is asked for."""
    folder = Path(contract.__file__).parent / "vendors" / vendor
    return {
        node.value
        for path in folder.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def timers(vendor: str | None = None) -> str:
    """What the clock brings about, of one vendor or of all."""
    if vendor is not None and vendor not in contracts():
        raise UnknownMarker(f"there is no vendor {vendor}")
    wanted = [vendor] if vendor else list(contracts())
    rows = [row for name in wanted for row in _timers(contracts()[name].rules, with_vendor=vendor is None)]
    return table((*(() if vendor else ("Vendor",)), "Event", "What happens then"), rows)


def _timers(rules: Rules, *, with_vendor: bool) -> Iterable[tuple[str, ...]]:
    for event, rule in rules.timer_rules.items():
        says = prose((rule.__doc__ or "").partition("\n\n")[0])
        yield (*((rules.vendor,) if with_vendor else ()), code(event), says)
