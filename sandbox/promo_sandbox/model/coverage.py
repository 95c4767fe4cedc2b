"""Which parts of the contracts are covered by requests: operations, statuses, named rejections, callbacks.

Each org has its counts, so counting is one dict access. The report compares them with the contracts on request.
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
# (operationId, status, rejection) of a reply, or (vendor, 0, name) of a callback
Key = tuple[str | None, int, str | None]
Counts = dict[Key, int]


class Coverage:
    """Counts for orgs, and retains the counts of orgs that were reset or removed."""

    __slots__ = ("_keys", "_retained")

    def __init__(self) -> None:
        self._retained: Counts = {}
        self._keys: dict[Key, Key] = {}  # one object for each key, shared by all orgs

    def count(self, counts: Counts | None, exchange: Exchange, reply: Reply) -> Counts | None:
        """Count a reply of an operation, and its events. An org's counts are None before the first.

        A forced reply counts. If the connection is dropped, only the operation counts. These do not count, because
        they are not in the contract: internal errors, invalid `Prefer` headers, calls that a scenario does not expect.
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
        return self.count_events(counts, exchange.vendor, exchange.events) if exchange.events else counts

    def count_events(self, counts: Counts | None, vendor: str | None, events: list[Event]) -> Counts | None:
        """Count the callbacks of events."""
        for event in events:
            if counts is None:
                counts = {}
            key = (vendor, 0, event.name)
            try:
                counts[key] += 1
            except KeyError:
                counts[self._keys.setdefault(key, key)] = 1
        return counts

    def retain(self, counts: Counts | None) -> None:
        """Retain the counts of an org that is reset or removed."""
        _add(self._retained, counts)

    def clear(self) -> None:
        self._retained = {}

    def total(self, orgs: Iterable[Counts | None]) -> Counts:
        """The retained counts and those of the orgs, added up."""
        total = dict(self._retained)
        for counts in orgs:
            _add(total, counts)
        return total


def _add(total: Counts, counts: Counts | None) -> None:
    for key, number in (counts or {}).items():
        total[key] = total.get(key, 0) + number


class _Share(NamedTuple):
    """How many items there are of one kind, and how many of them are covered."""

    covered: int
    all: int

    def json(self) -> Doc:
        """The percentage is rounded down to a tenth, so only full coverage is 100."""
        percent = self.covered * 1000 // self.all / 10 if self.all else 100.0
        return {"covered": self.covered, "all": self.all, "percent": percent}


def report(contracts: Iterable[Contract], counts: Counts | None) -> Doc:
    """All items of the contracts with their counts. The versions of a contract are taken together."""
    vendors = [_vendor_json(contract, counts or {}) for contract in contracts]
    return {"totals": totals(vendors), "vendors": vendors}


def _vendor_json(contract: Contract, counts: Counts) -> Doc:
    by_owner: dict[str | None, Counts] = {}
    for key, number in counts.items():
        by_owner.setdefault(key[0], {})[key] = number
    callback_counts = by_owner.get(contract.vendor, {})
    operations = [
        _operation_json(versions, by_owner.get(id, {}), _transport_rejections(contract))
        for id, versions in _operations(contract)
    ]
    callbacks = [
        {"callback": name, "count": callback_counts.get((contract.vendor, 0, name), 0)} for name in contract.callbacks
    ]
    whole = {"vendor": contract.vendor, "operations": operations, "callbacks": callbacks}
    return {"vendor": contract.vendor, "totals": totals([whole]), "operations": operations, "callbacks": callbacks}


def _operations(contract: Contract) -> Iterator[tuple[str, list[Operation]]]:
    """Each operation in all versions of the contract, the first version first."""
    versions: dict[str, list[Operation]] = {}
    for document in contract.documents:
        for operation in document.operations:
            versions.setdefault(operation.id, []).append(operation)
    return iter(versions.items())


def _transport_rejections(contract: Contract) -> set[str]:
    """The names of the rejections outside the vendor's operations."""
    return {rejection.name for document in contract.documents for rejection in document.transport_rejections.values()}


def _operation_json(versions: list[Operation], counts: Counts, transport: set[str]) -> Doc:
    operation = versions[0]
    statuses = sorted({status for version in versions for status in version.responses})
    rejections: dict[str, Rejection] = {}
    for version in reversed(versions):
        rejections |= version.rejections  # so the first version decides what a name means
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
    """The coverage of each kind, and of all kinds together."""
    operations = [operation for vendor in vendors for operation in vendor["operations"]]
    items = {
        "operations": operations,
        "statuses": [status for operation in operations for status in operation["statuses"]],
        "rejections": [rejection for operation in operations for rejection in operation["rejections"]],
        "callbacks": [callback for vendor in vendors for callback in vendor["callbacks"]],
    }
    parts = {kind: _Share(sum(item["count"] > 0 for item in items[kind]), len(items[kind])) for kind in KINDS}
    everything = _Share(sum(part.covered for part in parts.values()), sum(part.all for part in parts.values()))
    return {**{kind: part.json() for kind, part in parts.items()}, "everything": everything.json()}
