"""One unit of work in one org, as a vendor's rules see it: what is asked, what is stored, and how to answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from itertools import chain
from typing import Any, NoReturn, Protocol
from urllib.parse import quote

from promo_sandbox.base import clock, ids
from promo_sandbox.base.messages import Reply, Request, Violation, encode
from promo_sandbox.base.slices import Slice, Unfinished, Work, run_slice
from promo_sandbox.model.interfaces import Binding, Grant, Issuer, TokenTerms
from promo_sandbox.model.list_view import Listed
from promo_sandbox.model.sliced_writes import writing
from promo_sandbox.model.state import Change, Collection, Doc, NotUnique, State
from promo_sandbox.openapi.operation import Operation, Values, WrapItems

_AT_ONCE = 500  # items of a reply
_ID_DIGITS = 16
_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}(:\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:\d{1,5})?", re.ASCII)


class Rejected(Exception):
    """The client is refused, in the vendor's words: `name` is an example that the spec declares."""

    def __init__(
        self,
        name: str,
        detail: str | None = None,
        fields: dict[str, Any] | None = None,
        violations: list[Violation] | None = None,
    ) -> None:
        super().__init__(name)
        self.name = name
        self.detail = detail
        self.fields = fields or {}
        self.violations = violations or []
        self.keep = False  # what the rule wrote stays, although it refuses


class Vendor(Protocol):
    """A vendor's contract, as far as a call needs it."""

    @property
    def admits_http(self) -> Callable[[str], bool]: ...
    def settings(self, state: State) -> Doc: ...
    def ask(self, call: Call, operation_id: str, path: dict[str, str], body: Any) -> Reply | Rejected: ...


class Call:
    """One unit of work in one org: a request, an agenda entry that falls due, or a seed.

    Documents are read as fresh copies; what is written is kept only if the whole call succeeds.
    """

    # What few calls have, or what is known later: kept here, a call that has nothing of it costs nothing.
    org_named: bool = True  # False: nothing in the request named an org
    named_tenant: str | None = None  # the tenant, if the request's path says it
    operation: Operation | None = None
    request: Request | None = None
    grant: Grant | None = None
    values: Values | None = None
    written: list[Change] | None = None  # by work that goes on after the request
    reserved: Set[str] = frozenset()  # what objects that are seeded have of their own, which no other is given

    def __init__(
        self, org: str, state: State, rules: Binding, now: int, issuer: Issuer, vendor: Vendor | None = None
    ) -> None:
        self.org = org
        self.tenant = org  # the org by the name that the vendor's own request, or its token, gives it
        self.rules = rules
        self.now = now  # moment
        self.events: list[tuple[str, dict[str, Any], bytes]] = []
        self.state = state
        self.issuer = issuer
        self.vendor = vendor

    @property
    def path(self) -> dict[str, str]:
        return self._given.path

    @property
    def query(self) -> dict[str, Any]:
        return self._given.query

    @property
    def headers(self) -> dict[str, Any]:
        """The declared header parameters."""
        return self._given.headers

    @property
    def body(self) -> Any:
        return self._given.body

    @property
    def fields(self) -> Doc:
        """The fields of the body that its schema declares. Others that the client sent are left out."""
        assert self.operation is not None  # only a request has a body
        declared, body = self.operation.body_fields, self._given.body
        if not declared:
            return {}
        return dict(body) if declared.issuperset(body) else {name: body[name] for name in body if name in declared}

    def item_fields(self, array: str) -> list[Doc]:
        """The same of each object in an array of the body; empty if the array is absent."""
        assert self.operation is not None  # only a request has a body
        declared = self.operation.body
        names = declared.item_fields[array] if declared else ()
        return [{name: item[name] for name in names if name in item} for item in self.body.get(array, ())]

    def object_fields(self, name: str) -> Doc:
        """The same of an object in the body; empty if that is absent or null."""
        assert self.operation is not None  # only a request has a body
        declared, given = self.operation.body, self.body.get(name) or {}
        names = declared.item_fields[name] if declared else ()
        return {member: given[member] for member in names if member in given}

    @property
    def _given(self) -> Values:
        if self.values is None:
            raise LookupError("this call was not made by a request")
        return self.values

    @property
    def settings(self) -> Doc:
        """The org's settings of this vendor, over the defaults of the spec's schema."""
        return self._vendor.settings(self.state)

    @property
    def _vendor(self) -> Vendor:
        if self.vendor is None:
            raise LookupError("this call was not made for a whole vendor")
        return self.vendor

    def has_scope(self, scope: str) -> bool:
        """Whether the credentials carry a scope; those that name none carry all, and no credentials none."""
        return self.grant is not None and (self.grant.scopes is None or scope in self.grant.scopes)

    def ask(self, operation_id: str, path: dict[str, str] | None = None, body: Any = None) -> Reply | Rejected:
        """Have another operation of this vendor done, as the platform itself does: by its contract, with every scope.

        path: its path parameters, decoded. A refusal undoes what that operation wrote, nothing else, and is returned.
        """
        return self._vendor.ask(self, operation_id, path or {}, body)

    @property
    def now_text(self) -> str:
        """RFC 3339 in UTC with milliseconds."""
        return clock.text(self.now)

    def url(self, *segments: str) -> str:
        """The absolute URL of a path on this server, as the client that asks would write it."""
        host = self.request.header(b"host") if self.request else None
        if host is None or not _HOST.fullmatch(host):
            host = "localhost"
        prefix = quote(self.request.prefix, safe="/~%") if self.request else ""
        path = "/".join(quote(segment, safe="") for segment in segments)
        return f"http://{host}{prefix}/{path}"

    def public(self, collection: Collection, doc: Doc) -> Doc:
        """The document as it is sent: without the members that the spec marks as internal."""
        internal = self.rules.internal[collection.key]
        return {name: value for name, value in doc.items() if name not in internal} if internal else doc

    def in_order(self, collection: Collection, doc: Doc) -> Doc:
        """The document with its members in the order that the spec gives the collection, if it gives one."""
        order = self.rules.order.get(collection.key)
        return order.apply(doc) if order else doc

    def new_uuid(self) -> str:
        """The org's next id, as a UUID; the same in every run of the same script."""
        return self._unused(ids.uuid)

    def new_hex(self, digits: int) -> str:
        """The org's next id, as at most 32 hexadecimal digits; one of few digits is no id and may be taken."""
        if digits < _ID_DIGITS:
            return ids.digest(self.new_number(), digits)
        return self._unused(lambda place: ids.digest(place, digits))

    def _unused(self, made: Callable[[int], str]) -> str:
        """The next id that no document has: one that came from another org may have been given out there.

        What is skipped is skipped for good, so many documents with ids of this sequence are passed over once.
        """
        state, reserved = self.state, self.reserved
        while True:
            state.sequence += 1
            id = made(state.sequence)
            if id not in reserved and not state.has(id):
                return id

    def new_number(self) -> int:
        """The next number of the org's one sequence of ids, from 1; none is ever given out twice.

        A document that was seeded or imported may have what is made of it: see `is_taken`.
        """
        self.state.sequence += 1
        return self.state.sequence

    def is_taken(self, collection: Collection, value: str, member: str = "id") -> bool:
        """Whether a document has this id, or this value of a unique member; or one that is seeded in the same go."""
        if value in self.reserved:
            return True
        if member == "id":
            return self.state.get_encoded(collection, value) is not None
        return self.state.find(collection, member, value) is not None

    def get(self, collection: Collection, id: str) -> Doc | None:
        return self.state.get(collection, id)

    def get_encoded(self, collection: Collection, id: str) -> bytes | None:
        """The document as JSON, as it is stored: for a reply that shows it so, or nearly (`rules.raw_fields`)."""
        return self.state.get_encoded(collection, id)

    def find(self, collection: Collection, member: str, value: str) -> Doc | None:
        """The document whose unique `member` has the value."""
        id = self.state.find(collection, member, value)
        return None if id is None else self.state.get(collection, id)

    def add(self, collection: Collection, doc: Doc) -> Doc:
        """Store a new document under its `id`. Raises `NotUnique`, also for an id that is taken."""
        if doc["id"] in self.state.records(collection):
            raise NotUnique("id", doc["id"])
        doc = self.in_order(collection, doc)
        self.state.put(collection, doc["id"], doc, self.now)
        return doc

    def update(self, collection: Collection, doc: Doc, **changes: Any) -> Doc:
        """Replace a document by itself with other members; a member changed to None is taken out."""
        changed = {**doc, **changes}
        for member, value in changes.items():
            if value is None:
                del changed[member]
        return self.replace(collection, changed)

    def replace(self, collection: Collection, doc: Doc) -> Doc:
        """Store a whole new version of an existing document."""
        doc = self.in_order(collection, doc)
        self.state.put(collection, doc["id"], doc, self.now)
        return doc

    def delete(self, collection: Collection, id: str) -> bool:
        return self.state.delete(collection, id)

    def page(
        self,
        name: str,
        *,
        start: int | None = None,
        stop: int | None = None,
        offset: int = 0,
        limit: int,
        descending: bool = False,
    ) -> Listed:
        """Documents of a list in its order, each with the key of its collection, from `start` up to before `stop`."""
        return self.state.page(name, start=start, stop=stop, offset=offset, limit=limit, descending=descending)

    def listed(self, name: str, offset: int = 0, limit: int | None = None) -> Listed:
        """The same as references: the list stays as it is now, and each document is made when it is asked for."""
        return self.state.listed(name, offset, limit)

    def place(self, collection: Collection, doc: Doc) -> int:
        """The number by which a stored document is ordered in its first list."""
        return self.state.place_of(collection, doc)

    def size(self, name: str) -> int:
        """How many documents stand in a list."""
        return self.state.size(name)

    def emit(self, callback: str, payload: dict[str, Any], encoded: bytes | None = None) -> None:
        """Tell the subscribers; the payload is judged by the spec's callback of that name.

        `encoded`: the payload as JSON, where it is made of documents that are stored, and so encoded already.
        """
        self.events.append((callback, payload, encode(payload) if encoded is None else encoded))

    def admits_http(self, url: str) -> bool:
        """Whether the operator lets this callback, which is no https URL, be registered all the same."""
        return self.vendor is not None and self.vendor.admits_http(url)

    def issue_token(
        self,
        *,
        tenant: str | None,
        scopes: Iterable[str] | None = None,
        customer: str | None = None,
        claims: Mapping[str, str] | None = None,
        seconds: int | None,
        audience: str | None = None,
        any_org: bool = False,
    ) -> str:
        """A bearer token of this vendor that expires by the org's clock; no scopes given means all.

        seconds: None means for ever. claims: what else it says. audience: the base path of the only API that takes it.
        any_org: it is not bound to this org. The vendor's `on_token` rule completes it.
        """
        terms = TokenTerms(tenant, None if scopes is None else tuple(scopes), customer, claims or {}, audience, {})
        if self.rules.token_form is not None:
            terms = self.rules.token_form(self, terms)
        return self.issuer.issue(
            org=None if any_org else self.org,
            vendor=self.rules.vendor,
            **terms._asdict(),
            issued=self.now,
            expires=None if seconds is None else self.now + seconds * clock.SECOND,
            number=self.new_number(),
        )

    def read_token(self, token: str) -> Grant | None:
        """What a token that a client sent elsewhere than in `Authorization` grants here and now; None if nothing."""
        return self.issuer.read(token, self.org, self.rules.vendor, self.now)

    def knows_client(self, client: str, secret: str) -> bool:
        """Whether these are a client's name and secret; in lenient mode any but a secret that begins with `invalid`."""
        return self.issuer.knows(client, secret)

    def reject(self, name: str, detail: str | None = None, **fields: Any) -> NoReturn:
        """Refuse with the named example of this operation; `detail` and `fields` replace the example's own."""
        raise Rejected(name, detail, fields)

    def reject_and_keep(self, name: str, detail: str | None = None, **fields: Any) -> NoReturn:
        """The same, but what the rule wrote stays: for a vendor that fails half-way."""
        rejected = Rejected(name, detail, fields)
        rejected.keep = True
        raise rejected

    def reply(
        self,
        content: Any = None,
        headers: tuple[tuple[str, str], ...] = (),
        *,
        status: int | None = None,
        encoded: bytes | None = None,
    ) -> Reply:
        """Succeed: the status and the media type are the spec's only success, or its first and `status` another.

        `encoded`: the content as JSON, where there is such a thing already.
        """
        operation = self.operation
        assert operation is not None  # only a request is replied to
        if status is None:
            success = operation.success.status
            return Reply(success, content, operation.negotiate_media_type(self.request), headers, encoded=encoded)
        return Reply(status, content, next(iter(operation.responses[status].content), None), headers)

    def reply_in_pieces(self, content: Any, pieces: Iterator[bytes]) -> Reply:
        """Succeed with JSON that is sent piece by piece; `content` is judged in its place, and has its shape."""
        reply = self.reply(content)
        reply.body, reply.stream = b"", pieces
        return reply

    def reply_all(
        self, items: Iterator[Any], headers: tuple[tuple[str, str], ...] = (), *, within: WrapItems | None = None
    ) -> Reply:
        """Succeed with an array of all items. A long one is made, judged and sent in pieces, which stalls nobody.

        within: makes the content of an array.
        """
        operation = self.operation
        assert operation is not None  # only a request is replied to
        first: list[Any] = []
        over = Slice().over
        for item in items:
            first.append(item)
            if len(first) > _AT_ONCE or over():
                break
        else:
            return self.reply(first if within is None else within(first), headers)
        reply = self.reply([] if within is None else within([]), headers)
        reply.body = b""
        reply.stream = operation.encode_in_pieces(reply, chain(first, items), within)
        return reply

    def reply_later(self, work: Work[Reply]) -> Reply:
        """Answer with the reply that long work returns; what is not done in a moment is done between other requests.

        The work must only read, and refuse nothing after its first `yield`. See `promo_sandbox.base.slices`.
        """
        operation = self.operation
        assert operation is not None  # only a request is replied to
        try:
            return run_slice(work)  # at least until it has taken the references
        except Unfinished:
            waiting = Reply(operation.success.status)
            waiting.work = work
            return waiting

    def reply_after_writing(self, work: Work[Reply]) -> Reply:
        """The same for work that writes: others see how far it has come, so what it wrote stays if it breaks.
        After its first `yield` it must refuse nothing, unless it keeps what it wrote, and it must tell nobody anything.
        """
        self.written = list(self.state.changes)
        return self.reply_later(writing(self.state, work, self.written))
