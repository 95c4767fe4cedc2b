"""Why an exchange was answered so, as far as nobody needs to know it before somebody asks.

Which part of the spec each violation breaks, and for a request that matched no operation those that are nearest.
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
_CANDIDATES = 20  # that are looked at closely
_SEGMENTS = 30  # of a path that are looked at, and of each so many characters:
_SEGMENT = 60
_ALIKE = 0.6
_OTHER_METHOD = 0.4  # against 1 for a segment that is another one


Segments = tuple[str, ...]


class _Near(NamedTuple):
    cost: float
    shared: int  # literal segments that are the same, or look alike
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
        self._near = lru_cache(maxsize=256)(self._search)  # a client that is wrong is wrong again

    def spec(self, exchange: Exchange, violation: Violation) -> str | None:
        """A JSON pointer into the spec; None for what only a rule says."""
        route = self._routes.get(exchange.operation or "")
        if route is None:
            return None
        if route.versions and exchange.version in route.versions:
            route = route.versions[exchange.version]
        return find_spec_pointer(route.document, route.operation, exchange.request, violation)

    def nearest(self, exchange: Exchange) -> list[Doc]:
        """The operations that a request which matched none may have meant, and why each was not matched."""
        if exchange.operation is not None:
            return []
        method, path = exchange.request.method, exchange.request.path
        segments = tuple(segment[:_SEGMENT] for segment in path.split("/")[1 : _SEGMENTS + 1])
        return [
            {
                "operation": operation.id,
                "method": operation.method,
                "path": operation.template,
                "why": "; ".join(near.why),
            }
            for near, operation in self._near(method, segments)
        ]

    def _search(self, method: str, segments: Segments) -> list[tuple[_Near, Operation]]:
        roughly = sorted(self._templates, key=lambda template: _rough(segments, template[0]))[:_CANDIDATES]
        found = [(_near(segments, method, theirs, operation), operation) for theirs, operation in roughly]
        found = sorted((pair for pair in found if pair[0].shared), key=lambda pair: (pair[0].cost, -pair[0].shared))
        return found[:MAX_NEAREST]


def _rough(segments: Segments, theirs: Segments) -> float:
    """How far an operation's path is from one, quickly: this is asked of every operation."""
    missing = _missing_base(segments, theirs)
    if missing:
        return missing / 2
    other = sum(a != b and b[:1] != "{" for a, b in zip(segments, theirs, strict=False))
    return other + abs(len(segments) - len(theirs))


def _near(segments: Segments, method: str, theirs: Segments, operation: Operation) -> _Near:
    why, cost, shared = [], 0.0, 0
    missing = _missing_base(segments, theirs)
    if missing:
        why.append(f"the path lacks /{'/'.join(theirs[:missing])} at its beginning")
        cost, shared, theirs = missing / 2, 1, theirs[missing:]
    for number, (mine, their) in enumerate(zip(segments, theirs, strict=False), 1):
        if their.startswith("{"):
            if not mine:
                cost += 1
                why.append(f"segment {number} is empty and should be {their}")
            continue
        alike = 1.0 if mine == their else _alike(mine, their)
        shared += alike >= _ALIKE
        cost += 1 - alike
        if mine != their:
            why.append(f"segment {number} is {mine or 'empty'}, not {their}")
    if len(segments) != len(theirs):
        more = len(segments) - len(theirs)
        cost += abs(more)
        why.append(f"{abs(more)} segment{'s' * (abs(more) > 1)} too {'many' if more > 0 else 'few'}")
    if method != operation.method:
        cost += _OTHER_METHOD
        why.append(f"the method is {method[:20]}, not {operation.method}")
    return _Near(cost, shared, why)


def _missing_base(segments: Segments, theirs: Segments) -> int:
    """How many literal segments at the beginning of a template a path lacks that is otherwise that template."""
    missing = len(theirs) - len(segments)
    if missing <= 0 or not any(part[:1] != "{" for part in theirs[missing:]):
        return 0
    if any(part[:1] == "{" for part in theirs[:missing]) or segments[0] == theirs[0]:
        return 0
    rest = zip(segments, theirs[missing:], strict=True)
    return missing if all(their == mine or (their[:1] == "{" and mine) for mine, their in rest) else 0


@lru_cache(maxsize=4096)  # the paths of a journal share most of their segments
def _alike(mine: str, their: str) -> float:
    ratio = SequenceMatcher(None, mine.lower(), their.lower()).ratio()
    return ratio * 0.9 if ratio >= _ALIKE else 0.0
