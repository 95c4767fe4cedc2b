"""Stores the objects of a seed or an import: fills in missing fields and validates against the vendor's spec.

`promo_sandbox.engine.orgs` chooses the org and records the result in the journal.
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
CallFactory = Callable[[Contract], Call]


class InvalidObjects(Exception):
    """At least one object of a seed or a state is invalid, so none is stored."""

    def __init__(self, violations: list[Violation]) -> None:
        super().__init__("; ".join(map(str, violations)))
        self.violations = violations


def raise_if_any(violations: list[Violation]) -> None:
    """Raise `InvalidObjects` if there are violations."""
    if violations:
        raise InvalidObjects(violations[:MAX_VIOLATIONS])


def validate(
    call: Call, contract: Contract, collection: Collection, name: str, doc: Any, where: str, *, deep: bool
) -> list[Violation]:
    """Normalise integers, fill in missing fields, and return the violations.

    deep: whether unknown fields of nested objects are violations, too. An export may hold such fields, if a client once
    sent them.
    """
    schema = contract.schemas[name]
    if not isinstance(doc, dict):
        return schema.violations(doc, where)
    doc |= schema.normalise_integers(doc)  # ids may be made from them
    unknown_fields = list(islice(schema.unknown_fields(doc, where, deep=deep), MAX_VIOLATIONS))
    if collection.prepare is not None:
        given, sequence, id = encode(doc), call.state.sequence, doc.get("id")
        try:
            collection.prepare(doc, call)
        except Rejected as rejected:
            return [*unknown_fields, Violation(where, rejected.detail or rejected.name)]
        if encode(doc) == given:
            call.state.sequence = sequence  # no id was needed, so none is used up
        if id is not None and doc.get("id") != id:
            return [
                *unknown_fields,
                Violation(f"{where}.id", f"the other fields give it the id {doc.get('id')!r}; leave this one out"),
            ]
        # A seed may be a copy of a reply: `prepare` has removed the fields that are computed for each reply.
        if unknown_fields:
            removed = {f"{where}.{field}" for field in decode(given).keys() - doc.keys()}
            unknown_fields = [violation for violation in unknown_fields if violation.where not in removed]
    # The schema reports unknown fields, too, but without a hint.
    found = (found for found in schema.violations(doc, where) if found.kind != "additionalProperties")
    return [*unknown_fields, *found]


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
    """Store a validated object. Return whether it was stored; if not, add a violation.

    given: where the other objects of the same seed are, by id.
    """
    try:
        state.put(collection, doc["id"], doc, created, place)
    except NotUnique as error:
        other = given.get(state.find(collection, error.field, error.value) or "", "another object")
        violations.append(Violation(f"{where}.{error.field}", f"{error.value!r} is taken by {other}"))
    except (ValueError, OffContract) as error:
        violations.append(Violation(where, str(error)))
    else:
        return True
    return False


def _duplicate_id(doc: Any, where: str, given: dict[str, str]) -> list[Violation]:
    """A violation if another object of the same seed has the same id."""
    id = doc.get("id") if isinstance(doc, dict) else None
    if not isinstance(id, str):
        return []
    first = given.setdefault(id, where)
    return [Violation(where, f"has the id {id!r}, as {first} has")] if first != where else []


def unknown_name(where: str, what: str, known: Mapping[str, Any], name: str | None = None) -> Violation:
    """The violation for an unknown name, or for a known one without objects."""
    if (name or where) in known:
        return Violation(where, f"is a {what}, but its value holds no objects")
    near = nearest(name or where, known)
    hint = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(sorted(known))}"
    return Violation(where, f"is not a {what}{hint}")


def _text_values(docs: Iterable[Any]) -> set[str]:
    """All texts and ids in the objects. Generated ids, numbers and codes must differ from them."""
    return {
        str(value)
        for doc in docs
        if isinstance(doc, dict)
        for name, value in doc.items()
        if isinstance(value, str) or name.lower() == "id"
    }


class SeedResult(NamedTuple):
    """The stored objects by vendor and collection, and their events."""

    stored: Stored
    events: list[Event]


def store_seed(
    state: State, contracts: Mapping[str, Contract], make_call: CallFactory, seed: Mapping[str, Any]
) -> Work[SeedResult]:
    """Store all objects of a seed, in slices. Raises `InvalidObjects`, and then the state has not changed."""
    state.begin()
    before = state.sequence, state.next_place
    result, violations = SeedResult({}, []), list[Violation]()
    try:
        for vendor, collections in islice(seed.items(), MAX_VIOLATIONS + len(contracts)):
            contract = contracts.get(vendor)
            if contract is None or not isinstance(collections, dict):
                violations.append(unknown_name(vendor, "vendor", contracts))
                continue
            result.stored[vendor] = yield from _store_vendor(
                make_call(contract), contract, collections, violations, result.events
            )
        raise_if_any(violations)
    except BaseException:  # re-raised
        state.roll_back()
        state.sequence, state.next_place = before
        raise
    return result


def _store_vendor(
    call: Call, contract: Contract, collections: Mapping[str, Any], violations: list[Violation], events: list[Event]
) -> Work[dict[str, list[Doc]]]:
    """Store the objects of one vendor and return them. Stops after `MAX_VIOLATIONS`."""
    stored: dict[str, list[Doc]] = {name: [] for name in collections if name in contract.rules.collections}
    # Settings first: the values for missing fields depend on them.
    for name, docs in sorted(collections.items(), key=lambda item: item[0] != SETTINGS):
        collection = contract.rules.collections.get(name)
        if collection is None or not isinstance(docs, list):
            violations.append(unknown_name(f"{contract.vendor}.{name}", "collection", contract.rules.collections, name))
            if len(violations) >= MAX_VIOLATIONS:
                break
            continue
        call.reserved, given = _text_values(docs), dict[str, str]()
        for at, given_doc in enumerate(docs):
            where = f"{contract.vendor}.{name}[{at}]"
            doc = dict(given_doc) if isinstance(given_doc, dict) else given_doc
            found = validate(call, contract, collection, name, doc, where, deep=True)
            found += _duplicate_id(doc, where, given)
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


def restore_documents(contracts: Mapping[str, Contract], make_call: CallFactory, documents: Documents) -> Work[None]:
    """Store all documents in an empty state, in slices. Raises `InvalidObjects`."""
    violations, indexes = list[Violation](), set[int]()
    for vendor, collections in islice(documents.items(), MAX_VIOLATIONS + len(contracts)):
        contract = contracts.get(vendor)
        if contract is None:
            violations.append(unknown_name(vendor, "vendor", contracts))
            continue
        yield from _restore_vendor(make_call(contract), contract, collections, violations, indexes)
    raise_if_any(violations)


def _restore_vendor(
    call: Call,
    contract: Contract,
    collections: Mapping[str, Entries],
    violations: list[Violation],
    indexes: set[int],
) -> Work[None]:
    """Store the documents of one vendor, each with its time of creation and its place if it has them.

    Stops after `MAX_VIOLATIONS`. indexes: the places that documents of any vendor already have.
    """
    for name, entries in collections.items():
        collection = contract.rules.collections.get(name)
        if collection is None:
            violations.append(unknown_name(f"{contract.vendor}.{name}", "collection", contract.rules.collections, name))
            if len(violations) >= MAX_VIOLATIONS:
                return
            continue
        call.reserved, given = _text_values(doc for doc, _, _ in entries), dict[str, str]()
        for at, (doc, created, place) in enumerate(entries):
            where = f"{contract.vendor}.{name}[{at}]"
            number = call.state.next_place if place is None else place
            found = validate(call, contract, collection, name, doc, where, deep=False)
            found += _duplicate_id(doc, where, given)
            if number in indexes:
                found.append(Violation(f"{where}.place", f"{number} is the place of another object"))
            violations += found
            if not found:
                indexes.add(number)
                kept = call.order_fields(collection, doc)
                since = call.now if created is None else created
                store(call.state, collection, kept, since, number, where, violations, given)
            if len(violations) >= MAX_VIOLATIONS:
                return
            yield
