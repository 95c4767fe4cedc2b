"""Objects from outside that are to be stored: filled in, judged by their vendor's spec, put where no other one stands.

Whose world it is, and that all of them are stored or none, is `promo_sandbox.engine.orgs`'s business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any, NamedTuple

from promo_sandbox.base.messages import Violation, decode, encode
from promo_sandbox.base.nearest_names import nearest
from promo_sandbox.base.slices import Work
from promo_sandbox.model.call import Call
from promo_sandbox.model.contract import Contract, OffContract
from promo_sandbox.model.journal import Event
from promo_sandbox.model.rejected import Rejected
from promo_sandbox.model.rules import SETTINGS
from promo_sandbox.model.state import Collection, Doc, NotUnique, State

MAX_VIOLATIONS = 50
Stored = dict[str, dict[str, list[Doc]]]
Entries = list[tuple[Doc, int | None, int | None]]  # a document, the moment of its creation, its place
Documents = Mapping[str, Mapping[str, Entries]]
Called = Callable[[Contract], Call]


class Unacceptable(Exception):
    """A seed or a state that is refused whole."""

    def __init__(self, violations: list[Violation]) -> None:
        super().__init__("; ".join(map(str, violations)))
        self.violations = violations


def refuse(violations: list[Violation]) -> None:
    """Raises `Unacceptable` if there are any."""
    if violations:
        raise Unacceptable(violations[:MAX_VIOLATIONS])


def validate(
    call: Call, contract: Contract, collection: Collection, name: str, doc: Any, where: str, *, deep: bool
) -> list[Violation]:
    """What keeps an object from being stored, once integers are written as such and what it leaves out is filled in.

    deep: whether the objects in it too may only have members that the schema knows. What was exported may hold there
    what a client once sent.
    """
    schema = contract.schemas[name]
    if not isinstance(doc, dict):
        return schema.violations(doc, where)
    doc |= schema.normalise_integers(doc)  # before ids are made of them
    strange = list(islice(schema.unknown_fields(doc, where, deep=deep), MAX_VIOLATIONS))
    if collection.prepare is not None:
        given, sequence, id = encode(doc), call.state.sequence, doc.get("id")
        try:
            collection.prepare(doc, call)
        except Rejected as rejected:
            return [*strange, Violation(where, rejected.detail or rejected.name)]
        if encode(doc) == given:
            call.state.sequence = sequence  # no id was needed, so none was given out
        if id is not None and doc.get("id") != id:
            return [*strange, Violation(f"{where}.id", f"its other members make it {doc.get('id')!r}, so leave it out")]
        # A reply may be seeded as it is: what is worked out anew whenever it is read was taken out of it.
        if strange:
            gone = {f"{where}.{member}" for member in decode(given).keys() - doc.keys()}
            strange = [violation for violation in strange if violation.where not in gone]
    # Those of members that are unknown are in there too, without a hint.
    found = (found for found in schema.violations(doc, where) if found.kind != "additionalProperties")
    return [*strange, *found]


def store(
    state: State,
    collection: Collection,
    doc: Doc,
    created: int,
    place: int | None,
    where: str,
    violations: list[Violation],
    given: Mapping[str, str],
) -> bool:
    """Store an object that was judged; whether it could be, or else it is among the violations.

    given: the places of the objects that came with it, by their ids.
    """
    try:
        state.put(collection, doc["id"], doc, created, place)
    except NotUnique as error:
        other = given.get(state.find(collection, error.field, error.value) or "", "another one")
        violations.append(Violation(f"{where}.{error.field}", f"{error.value!r} is taken by {other}"))
    except (ValueError, OffContract) as error:
        violations.append(Violation(where, str(error)))
    else:
        return True
    return False


def _repeated(doc: Any, where: str, given: dict[str, str]) -> list[Violation]:
    """Whether an object has the id of one that came with it: of two, one would be lost."""
    id = doc.get("id") if isinstance(doc, dict) else None
    if not isinstance(id, str):
        return []
    first = given.setdefault(id, where)
    return [Violation(where, f"has the id {id!r}, as {first} has")] if first != where else []


def unknown(where: str, what: str, known: Mapping[str, Any], name: str | None = None) -> Violation:
    """What was named is none of those known."""
    if (name or where) in known:
        return Violation(where, f"is a {what}, but what it is given holds no objects")
    near = nearest(name or where, known)
    hint = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(sorted(known))}"
    return Violation(where, f"is no {what}{hint}")


def _own(docs: Iterable[Any]) -> set[str]:
    """The texts that objects have, ids, numbers and codes among them: those that lack one are given none of these."""
    return {
        str(value)
        for doc in docs
        if isinstance(doc, dict)
        for name, value in doc.items()
        if isinstance(value, str) or name.lower() == "id"
    }


class Sown(NamedTuple):
    """What a seed has stored, by vendor and collection, and the events of it."""

    stored: Stored
    events: list[Event]


def sown(state: State, contracts: Mapping[str, Contract], called: Called, seed: Mapping[str, Any]) -> Work[Sown]:
    """Store all objects of a seed, in slices; or raise `Unacceptable` and leave the state as it was.

    called: makes a call for a vendor.
    """
    state.begin()
    before = state.sequence, state.next_place
    made, violations = Sown({}, []), list[Violation]()
    try:
        for vendor, collections in islice(seed.items(), MAX_VIOLATIONS + len(contracts)):
            contract = contracts.get(vendor)
            if contract is None or not isinstance(collections, dict):
                violations.append(unknown(vendor, "vendor", contracts))
                continue
            made.stored[vendor] = yield from _sow(called(contract), contract, collections, violations, made.events)
        refuse(violations)
    except BaseException:  # whatever it was goes on after this
        state.roll_back()
        state.sequence, state.next_place = before
        raise
    return made


def _sow(
    call: Call, contract: Contract, collections: Mapping[str, Any], violations: list[Violation], events: list[Event]
) -> Work[dict[str, list[Doc]]]:
    """Store what a seed has of one vendor; what was stored. Stops after many violations."""
    stored: dict[str, list[Doc]] = {name: [] for name in collections if name in contract.rules.collections}
    # Settings first: they decide what the rest is filled in with.
    for name, docs in sorted(collections.items(), key=lambda item: item[0] != SETTINGS):
        collection = contract.rules.collections.get(name)
        if collection is None or not isinstance(docs, list):
            violations.append(unknown(f"{contract.vendor}.{name}", "collection", contract.rules.collections, name))
            if len(violations) >= MAX_VIOLATIONS:
                break
            continue
        call.reserved, given = _own(docs), dict[str, str]()
        for at, said in enumerate(docs):
            where = f"{contract.vendor}.{name}[{at}]"
            doc = dict(said) if isinstance(said, dict) else said
            found = validate(call, contract, collection, name, doc, where, deep=True)
            found += _repeated(doc, where, given)
            violations += found
            if not found:
                doc = call.order_fields(collection, doc)
                if store(call.state, collection, doc, call.now, None, where, violations, given):
                    stored[name].append(doc)
                    if collection.on_seeded is not None:
                        yield from collection.on_seeded(call, doc) or ()
                        events += [] if violations else contract.validated_events(call)
                        call.events = []
            if len(violations) >= MAX_VIOLATIONS:
                return stored
            yield
    return stored


def restored(contracts: Mapping[str, Contract], called: Called, documents: Documents) -> Work[None]:
    """Store all documents in a state that is empty, in slices. Raises `Unacceptable`.

    called: as for `sown`.
    """
    violations, indexes = list[Violation](), set[int]()
    for vendor, collections in islice(documents.items(), MAX_VIOLATIONS + len(contracts)):
        contract = contracts.get(vendor)
        if contract is None:
            violations.append(unknown(vendor, "vendor", contracts))
            continue
        yield from _put_back(called(contract), contract, collections, violations, indexes)
    refuse(violations)


def _put_back(
    call: Call,
    contract: Contract,
    collections: Mapping[str, Entries],
    violations: list[Violation],
    indexes: set[int],
) -> Work[None]:
    """Store what one vendor had: each document with the moment of its creation and its place, if it says them.

    Stops after many violations. places: those that are taken, by whatever vendor's documents.
    """
    for name, entries in collections.items():
        collection = contract.rules.collections.get(name)
        if collection is None:
            violations.append(unknown(f"{contract.vendor}.{name}", "collection", contract.rules.collections, name))
            if len(violations) >= MAX_VIOLATIONS:
                return
            continue
        call.reserved, given = _own(doc for doc, _, _ in entries), dict[str, str]()
        for at, (doc, created, place) in enumerate(entries):
            where = f"{contract.vendor}.{name}[{at}]"
            number = call.state.next_place if place is None else place
            found = validate(call, contract, collection, name, doc, where, deep=False)
            found += _repeated(doc, where, given)
            if number in indexes:
                found.append(Violation(f"{where}.place", f"{number} is the place of another one"))
            violations += found
            if not found:
                indexes.add(number)
                kept = call.order_fields(collection, doc)
                since = call.now if created is None else created
                store(call.state, collection, kept, since, number, where, violations, given)
            if len(violations) >= MAX_VIOLATIONS:
                return
            yield
