"""What an org stores: seeded, read and put back whole."""

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

_FEW, _SMALL = 500, 262_144  # documents and their bytes that make a reply which is sent at once
_LARGE_SEED = 16_384  # bytes of a seed that is stored in slices
_LARGE_ORG = 1000  # documents of an org in which any seed is, as it may be compared with them
_PIECE = 131_072  # bytes of a longer one, about


class DocumentOperations(Operations):
    def bind(self, rules: Rules) -> None:
        rules.operation("getState")(self._get_state)
        rules.operation("putState")(self._put_state)
        rules.operation("seedOrg")(self._seed)

    def _get_state(self, call: Call) -> Reply:
        return call.reply_later(self._state(call, self.known(call)))

    def _put_state(self, call: Call) -> Reply:
        return call.reply_later(self._putting_state(call))

    def _putting_state(self, call: Call) -> Work[Reply]:
        moment = self.moment(call, call.body["now"]) if "now" in call.body else None
        org = yield from self._restoring(call, call.body["documents"], int(call.body.get("sequence", 0)))
        if call.body.get("frozen"):
            org.clock.freeze()  # before it is set, so that it shows just that
        if moment is not None:
            org.clock.set(moment)
        if call.body.get("frozen") is False:
            org.clock.run()
        self._pass_no_time(org)
        return (yield from self._state(call, org))

    def _restoring(self, call: Call, given: Doc, sequence: int) -> Work[Org]:
        """The org, with these documents in place of its own."""
        documents = self._documents(call, given)
        try:
            with self.making(call) as org:
                yield from self.orgs.restore_state(org, documents, sequence)
        except InvalidObjects as invalid:
            self._refuse_documents(call, invalid)
            raise
        return org

    def _pass_no_time(self, org: Org) -> None:
        """Have nothing happen but what was over already when it was stored; that happens now."""
        org.processed_until = org.clock.now()
        self.orgs.run_due_timers(org, org.processed_until)

    def _seed(self, call: Call) -> Reply:
        return call.reply_later(self._seeding(call))

    def _seeding(self, call: Call) -> Work[Reply]:
        assert call.request is not None  # an operation of this API is always asked by a request
        try:
            with self.making(call) as org:
                large = len(call.request.body) > _LARGE_SEED or org.state.count > _LARGE_ORG
                stored = (
                    (yield from self.orgs.seed_in_slices(org, call.body)) if large else self.orgs.seed(org, call.body)
                )
        except InvalidObjects as invalid:
            self._refuse_documents(call, invalid)
            raise
        yield from self.orgs.catch_up(org)
        return call.reply_in_pieces({}, _stored(stored)) if large else call.reply(stored)

    def _documents(self, call: Call, given: Doc) -> Documents:
        return {
            vendor: {name: [self._entry(call, entry) for entry in entries] for name, entries in collections.items()}
            for vendor, collections in given.items()
        }

    def _entry(self, call: Call, entry: Doc) -> tuple[Doc, int | None, int | None]:
        created = self.moment(call, entry["created"]) if "created" in entry else None
        return entry["document"], created, int(entry["place"]) if "place" in entry else None

    def _refuse_documents(self, call: Call, invalid: InvalidObjects) -> None:
        violations = invalid.violations
        call.reject("unacceptable-documents", str(invalid), errors=errors_json(violations))

    def _state(self, call: Call, org: Org) -> Work[Reply]:
        return self.with_documents(
            call, org, lambda documents: {**clock_json(org), "sequence": org.state.sequence, "documents": documents}
        )

    def with_documents(self, call: Call, org: Org, around: Callable[[Doc], Doc]) -> Work[Reply]:
        """A reply that ends with all that is stored, in whatever is around it.

        Much of it is sent in pieces, between other requests: it is what is stored when the first is sent.
        """
        yield from self.orgs.catch_up(org)
        if org.state.count <= _FEW and sum(len(record.body) for record in self._records(org.state)) <= _SMALL:
            return call.reply(around(self._documents_json(org.state)))
        yield from self.orgs.prepare_copy(org)
        return call.reply_in_pieces(around({}), self._pieces(encode(around({})), org.state.copy()))

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
        """The content, in whose last, empty object are the documents."""
        before, _, after = content.rpartition(b"{}")
        try:
            piece, opening = before, b"{"
            for vendor, kinds in groupby(self.orgs.collections_in_use(state), key=itemgetter(0)):
                piece += opening + encode(vendor) + b":"
                opening = b"{"
                for _, name, collection in kinds:
                    piece += opening + encode(name) + b":"
                    for written in _written(state.records_by_creation(collection)):
                        piece += written
                        if len(piece) >= _PIECE or not written:
                            yield piece
                            piece = b""
                    opening = b","
                piece += b"}"
            yield piece + b"}" + after
        finally:
            self.orgs.free_later(state)


def _written(records: Iterator[list[Record]]) -> Iterator[bytes]:
    """An array of records as JSON, the documents as they are stored."""
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


def _stored(stored: Stored) -> Iterator[bytes]:
    """What a seed has stored as JSON, in pieces."""
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
