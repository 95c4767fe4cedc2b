"""The documents of an org: seed them, read them all, replace them all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby
from operator import itemgetter

from promo_sandbox.admin.shared import Operations, clock_json, errors_json
from promo_sandbox.base import clock
from promo_sandbox.base.messages import Reply, decode, encode
from promo_sandbox.base.slices import Work
from promo_sandbox.engine.orgs import Org
from promo_sandbox.engine.seeding import Documents, InvalidObjects, Stored
from promo_sandbox.model.call import Call
from promo_sandbox.model.rules import Rules
from promo_sandbox.model.state import Doc, Record, State

_FEW, _SMALL = 500, 262_144  # a reply with at most so many documents and bytes is sent in one piece
_PIECE = 131_072  # bytes, about; the size of the pieces of any other reply
_LARGE_SEED = 16_384  # bytes; a larger seed is stored in slices
_LARGE_ORG = 1000  # documents; in a larger org every seed is stored in slices, as it may be compared with all of them


class DocumentOperations(Operations):
    def bind(self, rules: Rules) -> None:
        rules.operation("getState")(self._get_state)
        rules.operation("putState")(self._put_state)
        rules.operation("seedOrg")(self._seed)

    def _get_state(self, call: Call) -> Reply:
        return call.reply_later(self._state(call, self.existing_org(call)))

    def _put_state(self, call: Call) -> Reply:
        return call.reply_later(self._put_state_work(call))

    def _put_state_work(self, call: Call) -> Work[Reply]:
        moment = self.parse_time(call, call.body["now"]) if "now" in call.body else None
        org = yield from self.restore_work(call, call.body["documents"], int(call.body.get("sequence", 0)))
        if call.body.get("frozen"):
            org.clock.freeze()  # first, so that the clock shows exactly the time that is set
        if moment is not None:
            org.clock.set(moment)
        if call.body.get("frozen") is False:
            org.clock.run()
        self.resume_time(org)
        return (yield from self._state(call, org))

    def restore_work(self, call: Call, given: Doc, sequence: int) -> Work[Org]:
        """Replace the documents of the org, and return it."""
        documents = self._documents(call, given)
        try:
            with self.new_org_on_success(call) as org:
                yield from self.orgs.restore_state(org, documents, sequence)
        except InvalidObjects as unacceptable:
            self._reject_documents(call, unacceptable)
            raise
        return org

    def resume_time(self, org: Org) -> None:
        """Continue from the org's present time. What was already over when it was stored happens now."""
        org.processed_until = org.clock.now()
        self.orgs.run_due_timers(org, org.processed_until)

    def _seed(self, call: Call) -> Reply:
        return call.reply_later(self._seed_work(call))

    def _seed_work(self, call: Call) -> Work[Reply]:
        assert call.request is not None  # the admin API has no internal calls
        try:
            with self.new_org_on_success(call) as org:
                large = len(call.request.body) > _LARGE_SEED or org.state.count > _LARGE_ORG
                stored = (
                    (yield from self.orgs.seed_in_slices(org, call.body)) if large else self.orgs.seed(org, call.body)
                )
        except InvalidObjects as unacceptable:
            self._reject_documents(call, unacceptable)
            raise
        yield from self.orgs.catch_up(org)
        return call.reply_in_pieces({}, _seed_json(stored)) if large else call.reply(stored)

    def _documents(self, call: Call, given: Doc) -> Documents:
        return {
            vendor: {name: [self._entry(call, entry) for entry in entries] for name, entries in collections.items()}
            for vendor, collections in given.items()
        }

    def _entry(self, call: Call, entry: Doc) -> tuple[Doc, int | None, int | None]:
        created = self.parse_time(call, entry["created"]) if "created" in entry else None
        return entry["document"], created, int(entry["place"]) if "place" in entry else None

    def _reject_documents(self, call: Call, unacceptable: InvalidObjects) -> None:
        violations = unacceptable.violations
        call.reject("unacceptable-documents", str(unacceptable), errors=errors_json(violations))

    def _state(self, call: Call, org: Org) -> Work[Reply]:
        return self.with_documents(
            call, org, lambda documents: {**clock_json(org), "sequence": org.state.sequence, "documents": documents}
        )

    def with_documents(self, call: Call, org: Org, wrap: Callable[[Doc], Doc]) -> Work[Reply]:
        """A reply with all stored documents. `wrap` adds the fields around them, which come first.

        A long reply is sent in pieces, between other requests. It has the documents as they are before the first piece.
        """
        yield from self.orgs.catch_up(org)
        if org.state.count <= _FEW and sum(len(record.body) for record in self._records(org.state)) <= _SMALL:
            return call.reply(wrap(self._documents_json(org.state)))
        yield from self.orgs.prepare_copy(org)
        return call.reply_in_pieces(wrap({}), self._pieces(encode(wrap({})), org.state.copy()))

    def _records(self, state: State) -> Iterator[Record]:
        return (
            record
            for *_, collection in self.orgs.collections_in_use(state)
            for record in state.records(collection).values()
        )

    def _documents_json(self, state: State) -> Doc:
        documents: Doc = {}
        for vendor, name, collection in self.orgs.collections_in_use(state):
            documents.setdefault(vendor, {})[name] = [
                {"document": decode(record.body), "created": clock.text(record.created), "place": record.place}
                for some in state.records_by_creation(collection)
                for record in some
            ]
        return documents

    def _pieces(self, content: bytes, state: State) -> Iterator[bytes]:
        """`content`, with the documents in place of its last, empty object."""
        prefix, _, suffix = content.rpartition(b"{}")
        try:
            piece, opening = prefix, b"{"
            for vendor, kinds in groupby(self.orgs.collections_in_use(state), key=itemgetter(0)):
                piece += opening + encode(vendor) + b":"
                opening = b"{"
                for _, name, collection in kinds:
                    piece += opening + encode(name) + b":"
                    for item in _records_json(state.records_by_creation(collection)):
                        piece += item
                        if len(piece) >= _PIECE or not item:
                            yield piece
                            piece = b""
                    opening = b","
                piece += b"}"
            yield piece + b"}" + suffix
        finally:
            self.orgs.free_later(state)


def _records_json(records: Iterator[list[Record]]) -> Iterator[bytes]:
    """A JSON array of records, in pieces; the documents are copied as they are stored."""
    opening = b"["
    for some in records:
        if not some:
            yield b""
        for record in some:
            yield b'%b{"document":%b,"created":"%b","place":%d}' % (
                opening, record.body, clock.text(record.created).encode(), record.place,
            )  # fmt: skip
            opening = b","
    yield b"]"


def _seed_json(stored: Stored) -> Iterator[bytes]:
    """The stored objects of a seed as JSON, in pieces."""
    yield b"{"
    for at, (vendor, collections) in enumerate(stored.items()):
        yield (b"," if at else b"") + encode(vendor) + b":{"
        for number, (name, docs) in enumerate(collections.items()):
            yield (b"," if number else b"") + encode(name) + b":["
            for first in range(0, len(docs), _FEW):
                yield (b"," if first else b"") + encode(docs[first : first + _FEW])[1:-1]
            yield b"]"
        yield b"}"
    yield b"}"
