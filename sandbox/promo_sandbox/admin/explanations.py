"""Explains exchanges when the journal is read: the violated part of the spec, and the nearest operations.

The nearest operations are searched for requests that matched none.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher
from functools import lru_cache
from typing import NamedTuple

from promo_sandbox.base.masking import Masks
from promo_sandbox.base.messages import Violation
from promo_sandbox.model.contract import Contract, Route
from promo_sandbox.model.journal import Exchange
from promo_sandbox.model.state import Doc
from promo_sandbox.openapi.operation import Operation
from promo_sandbox.openapi.spec_pointer import find_spec_pointer

MAX_NEAREST = 5
_CANDIDATES = 20  # operations that are compared in detail
_MAX_SEGMENTS = 30  # of a path that are compared
_MAX_SEGMENT_LENGTH = 60  # characters of a segment that are compared
_SIMILAR = 0.6  # from 0 to 1
_OTHER_METHOD = 0.4  # the cost; that of a different segment is 1


Segments = tuple[str, ...]


class _Comparison(NamedTuple):
    cost: float
    shared: int  # literal segments that are equal or similar
    why: list[str]


class Explainer:
    """Explains exchanges by the contracts of all vendors."""

    def __init__(self, contracts: Iterable[Contract]) -> None:
        contracts = list(contracts)
        self.masks = Masks(document.raw for contract in contracts for document in contract.documents)
        self._routes: dict[str, Route] = {
            route.operation.id: route for contract in contracts for route in contract.routes()
        }
        self._templates = [
            (tuple(route.operation.template.split("/")[1:]), route.operation) for route in self._routes.values()
        ]
        self._nearest = lru_cache(maxsize=256)(self._search)  # clients repeat their mistakes

    def spec(self, exchange: Exchange, violation: Violation) -> str | None:
        """The violated part of the spec, as a JSON pointer; None if a rule was violated."""
        route = self._routes.get(exchange.operation or "")
        if route is None:
            return None
        if route.versions and exchange.version in route.versions:
            route = route.versions[exchange.version]
        return find_spec_pointer(route.document, route.operation, exchange.request, violation)

    def nearest(self, exchange: Exchange) -> list[Doc]:
        """The nearest operations for a request that matched none, and why each did not match."""
        if exchange.operation is not None:
            return []
        method, path = exchange.request.method, exchange.request.path
        segments = tuple(segment[:_MAX_SEGMENT_LENGTH] for segment in path.split("/")[1 : _MAX_SEGMENTS + 1])
        return [
            {
                "operation": operation.id,
                "method": operation.method,
                "path": operation.template,
                "why": "; ".join(comparison.why),
            }
            for comparison, operation in self._nearest(method, segments)
        ]

    def _search(self, method: str, segments: Segments) -> list[tuple[_Comparison, Operation]]:
        candidates = sorted(self._templates, key=lambda it: _estimate(segments, it[0]))[:_CANDIDATES]
        found = [(_compare(segments, method, template, operation), operation) for template, operation in candidates]
        found = sorted((pair for pair in found if pair[0].shared), key=lambda pair: (pair[0].cost, -pair[0].shared))
        return found[:MAX_NEAREST]


def _estimate(segments: Segments, template: Segments) -> float:
    """A quick estimate of the cost, for the path of every operation."""
    missing = _missing_base(segments, template)
    if missing:
        return missing / 2
    other = sum(a != b and b[:1] != "{" for a, b in zip(segments, template, strict=False))
    return other + abs(len(segments) - len(template))


def _compare(segments: Segments, method: str, template: Segments, operation: Operation) -> _Comparison:
    why, cost, shared = [], 0.0, 0
    missing = _missing_base(segments, template)
    if missing:
        why.append(f"the path lacks the prefix /{'/'.join(template[:missing])}")
        cost, shared, template = missing / 2, 1, template[missing:]
    for number, (actual, expected) in enumerate(zip(segments, template, strict=False), 1):
        if expected.startswith("{"):
            if not actual:
                cost += 1
                why.append(f"segment {number} is empty and should be {expected}")
            continue
        similarity = 1.0 if actual == expected else _similarity(actual, expected)
        shared += similarity >= _SIMILAR
        cost += 1 - similarity
        if actual != expected:
            why.append(f"segment {number} is {actual or 'empty'}, not {expected}")
    if len(segments) != len(template):
        more = len(segments) - len(template)
        cost += abs(more)
        why.append(f"{abs(more)} segment{'s' * (abs(more) > 1)} too {'many' if more > 0 else 'few'}")
    if method != operation.method:
        cost += _OTHER_METHOD
        why.append(f"the method is {method[:20]}, not {operation.method}")
    return _Comparison(cost, shared, why)


def _missing_base(segments: Segments, template: Segments) -> int:
    """The number of literal segments that must be added in front of a path so that it matches a template; or 0."""
    missing = len(template) - len(segments)
    if missing <= 0 or not any(part[:1] != "{" for part in template[missing:]):
        return 0
    if any(part[:1] == "{" for part in template[:missing]) or segments[0] == template[0]:
        return 0
    rest = zip(segments, template[missing:], strict=True)
    return missing if all(expected == actual or (expected[:1] == "{" and actual) for actual, expected in rest) else 0


@lru_cache(maxsize=4096)  # the paths of a journal share most of their segments
def _similarity(actual: str, expected: str) -> float:
    ratio = SequenceMatcher(None, actual.lower(), expected.lower()).ratio()
    return ratio * 0.9 if ratio >= _SIMILAR else 0.0
