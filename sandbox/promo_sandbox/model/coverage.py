"""What of the contracts the clients have met: operations, documented statuses, named rejections, callbacks.

Counting is one look-up in a table of the org; what it comes to, with what is there to meet, is told when somebody asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from promo_sandbox.base.messages import Reply
from promo_sandbox.model.contract import Contract
from promo_sandbox.model.journal import Event, Exchange
from promo_sandbox.openapi.operation import Operation, Rejection

KINDS = ("operations", "statuses", "rejections", "callbacks")
Doc = dict[str, Any]
# operationId, status and rejection of a reply; vendor, 0 and name of a callback
Key = tuple[str | None, int, str | None]
Counts = dict[Key, int]


class Coverage:
    """Counts for orgs, and keeps what those had that were reset or forgotten."""

    __slots__ = ("_kept", "_keys")

    def __init__(self) -> None:
        self._kept: Counts = {}
        self._keys: dict[Key, Key] = {}  # one object for each, whichever org counts it

    def count(self, counts: Counts | None, exchange: Exchange, reply: Reply) -> Counts | None:
        """Count a reply of an operation, and what it told the subscribers. An org has no counts until the first.

        A reply that was forced counts: the client has met it. Of one that is cut off the client has met nothing but the
        operation. A defect is no part of any contract, nor is the sandbox's own complaint about a `Prefer` or about a
        call that a scenario did not expect.
        """
        rejection = exchange.rejection
        if exchange.internal_error is not None or exchange.unexpected or (rejection is None and exchange.violations):
            return counts
        if counts is None:
            counts = {}
        cut = reply.transmission is not None and reply.cut
        key = (exchange.operation, 0, None) if cut else (exchange.operation, reply.status, rejection)
        try:
            counts[key] += 1
        except KeyError:
            counts[self._keys.setdefault(key, key)] = 1
        return self.told(counts, exchange.vendor, exchange.events) if exchange.events else counts

    def told(self, counts: Counts | None, vendor: str | None, events: list[Event]) -> Counts | None:
        """Count callbacks, whatever led to them."""
        for event in events:
            if counts is None:
                counts = {}
            key = (vendor, 0, event.name)
            try:
                counts[key] += 1
            except KeyError:
                counts[self._keys.setdefault(key, key)] = 1
        return counts

    def keep(self, counts: Counts | None) -> None:
        """Add the counts of an org that has them no longer to what is told of all."""
        _add(self._kept, counts)

    def clear(self) -> None:
        self._kept = {}

    def total(self, orgs: Iterable[Counts | None]) -> Counts:
        """What was kept and what the orgs have."""
        total = dict(self._kept)
        for counts in orgs:
            _add(total, counts)
        return total


def _add(total: Counts, counts: Counts | None) -> None:
    for key, number in (counts or {}).items():
        total[key] = total.get(key, 0) + number


class _Part(NamedTuple):
    """How many of one kind there are, and how many of them were met."""

    covered: int
    all: int

    def json(self) -> Doc:
        """The percentage is rounded down to a tenth, so that only all of them are 100."""
        percent = self.covered * 1000 // self.all / 10 if self.all else 100.0
        return {"covered": self.covered, "all": self.all, "percent": percent}


def report(contracts: Iterable[Contract], counts: Counts | None) -> Doc:
    """What there is to meet, each with how often it was met; the versions of a contract are taken together."""
    vendors = [_vendor_json(contract, counts or {}) for contract in contracts]
    return {"totals": totals(vendors), "vendors": vendors}


def _vendor_json(contract: Contract, counts: Counts) -> Doc:
    found: dict[str | None, Counts] = {}
    for key, number in counts.items():
        found.setdefault(key[0], {})[key] = number
    told = found.get(contract.vendor, {})
    operations = [
        _operation_json(versions, found.get(id, {}), _transport(contract)) for id, versions in _operations(contract)
    ]
    callbacks = [{"callback": name, "count": told.get((contract.vendor, 0, name), 0)} for name in contract.callbacks]
    whole = {"vendor": contract.vendor, "operations": operations, "callbacks": callbacks}
    return {"vendor": contract.vendor, "totals": totals([whole]), "operations": operations, "callbacks": callbacks}


def _operations(contract: Contract) -> Iterator[tuple[str, list[Operation]]]:
    """Every operation in all versions of the contract, the first one first."""
    versions: dict[str, list[Operation]] = {}
    for document in contract.documents:
        for operation in document.operations:
            versions.setdefault(operation.id, []).append(operation)
    return iter(versions.items())


def _transport(contract: Contract) -> set[str]:
    """The names of refusals that a vendor has outside its operations."""
    return {rejection.name for document in contract.documents for rejection in document.transport_rejections.values()}


def _operation_json(versions: list[Operation], counts: Counts, transport: set[str]) -> Doc:
    operation = versions[0]
    statuses = sorted({status for version in versions for status in version.responses})
    rejections: dict[str, Rejection] = {}
    for version in reversed(versions):
        rejections |= version.rejections  # so the first version says what a name means
    by_status: dict[int, int] = {}
    by_name: dict[str, int] = {}
    for (_, status, name), number in counts.items():
        if name is None or name in rejections or name in transport:
            by_status[status] = by_status.get(status, 0) + number
        if name is not None:
            by_name[name] = by_name.get(name, 0) + number
    return {
        "operation": operation.id,
        "method": operation.method,
        "path": operation.template,
        "summary": operation.summary,
        "count": sum(counts.values()),
        "statuses": [{"status": status, "count": by_status.get(status, 0)} for status in statuses],
        "rejections": [
            {
                "rejection": rejection.name,
                "status": rejection.status,
                "count": by_name.get(rejection.name, 0),
                "source": rejection.source,
                "summary": rejection.summary,
            }
            for rejection in sorted(rejections.values(), key=lambda rejection: (rejection.status, rejection.name))
        ],
    }


def totals(vendors: list[Doc]) -> Doc:
    """By kind, and of everything together."""
    operations = [operation for vendor in vendors for operation in vendor["operations"]]
    met = {
        "operations": operations,
        "statuses": [status for operation in operations for status in operation["statuses"]],
        "rejections": [rejection for operation in operations for rejection in operation["rejections"]],
        "callbacks": [callback for vendor in vendors for callback in vendor["callbacks"]],
    }
    parts = {kind: _Part(sum(item["count"] > 0 for item in met[kind]), len(met[kind])) for kind in KINDS}
    everything = _Part(sum(part.covered for part in parts.values()), sum(part.all for part in parts.values()))
    return {**{kind: part.json() for kind, part in parts.items()}, "everything": everything.json()}
