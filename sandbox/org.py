"""One org, and what may be put into it: objects judged by their schemas, stored, and refused with their places.

Which orgs there are, and how time passes in them, is said elsewhere.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, NamedTuple

from sandbox.call import Call, Rejected
from sandbox.clock import Clock
from sandbox.contract import Contract, OffContract
from sandbox.coverage import Counts
from sandbox.journal import Journal
from sandbox.messages import Violation, encode
from sandbox.scenarios import Run
from sandbox.state import Collection, Doc, NotUnique, State

MAX_NAME = 256
MAX_VIOLATIONS = 50
Seed = Mapping[str, Any]  # {vendor: {collection: [object]}}, not judged yet


class Unacceptable(Exception):
    """A seed or a state that is refused whole."""

    def __init__(self, violations: list[Violation]) -> None:
        super().__init__("; ".join(map(str, violations)))
        self.violations = violations


class Snapshot(NamedTuple):
    """What an org was at a moment. Its journal is no part of it: that something happened stays true."""

    at: int
    state: State
    clock: Clock
    passed: int
    scenario: Run | None


class Org:
    """One world. Shares nothing with any other."""

    __slots__ = ("clock", "journal", "met", "name", "passed", "scenario", "snapshots", "state")

    def __init__(self, name: str, journal: Journal) -> None:
        self.name = name
        self.clock = Clock()
        self.state = State()
        self.journal = journal
        self.met: Counts | None = None  # what of the contracts its clients have met
        self.passed = 0  # the moment up to which everything that falls due has happened
        self.scenario: Run | None = None
        self.snapshots: dict[str, Snapshot] = {}


def sow(
    call: Call, contract: Contract, collections: Mapping[str, Any], violations: list[Violation]
) -> dict[str, list[Doc]]:
    stored: dict[str, list[Doc]] = {}
    for name, docs in collections.items():
        collection = contract.rules.collections.get(name)
        if collection is None or not isinstance(docs, list):
            violations.append(unknown(f"{contract.vendor}.{name}", "collection", contract.rules.collections, name))
            continue
        stored[name] = []
        for at, doc in enumerate(docs):
            where = f"{contract.vendor}.{name}[{at}]"
            doc = dict(doc) if isinstance(doc, dict) else doc  # noqa: PLW2901 - the caller's own stays as it is
            found = judge(call, contract, collection, name, doc, where)
            violations += found
            if not found and store(call.state, collection, doc, call.now, None, where, violations):
                stored[name].append(doc)
                if collection.seeded is not None:
                    collection.seeded(call, doc)
            if len(violations) >= MAX_VIOLATIONS:
                return stored
    return stored


def judge(call: Call, contract: Contract, collection: Collection, name: str, doc: Any, where: str) -> list[Violation]:
    if isinstance(doc, dict) and collection.prepare is not None:
        given, sequence = encode(doc), call.state.sequence
        try:
            collection.prepare(doc, call)
        except Rejected as rejected:
            return [Violation(where, rejected.detail or rejected.name)]
        if encode(doc) == given:
            call.state.sequence = sequence  # no id was needed, so none was given out
    return contract.schemas[name].violations(doc, where)


def store(
    state: State,
    collection: Collection,
    doc: Doc,
    created: int,
    place: int | None,
    where: str,
    violations: list[Violation],
) -> bool:
    try:
        state.put(collection, doc["id"], doc, created, place)
    except NotUnique as error:
        violations.append(Violation(f"{where}.{error.member}", f"{error.value!r} is taken by another one"))
    except (ValueError, OffContract) as error:
        violations.append(Violation(where, str(error)))
    else:
        return True
    return False


def unknown(where: str, what: str, known: Mapping[str, Any], name: str | None = None) -> Violation:
    if (name or where) in known:
        return Violation(where, f"is a {what}, but what it is given holds no objects")
    near = difflib.get_close_matches(name or where, list(known), n=1)
    hint = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(sorted(known))}"
    return Violation(where, f"is no {what}{hint}")
