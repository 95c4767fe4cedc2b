"""One unit of work in one org, as a vendor's rules see it: the request, the stored documents, and the reply."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from itertools import chain
from typing import Any, NoReturn, Protocol
from urllib.parse import quote

from promo_sandbox.base import clock, ids
from promo_sandbox.base.messages import Reply, Request, encode
from promo_sandbox.base.slices import Slice, Unfinished, Work, run_slice
from promo_sandbox.model.interfaces import Grant, TokenIssuer, TokenTerms, VendorRules
from promo_sandbox.model.list_view import ListView
from promo_sandbox.model.rejected import Rejected
from promo_sandbox.model.sliced_writes import write_in_steps
from promo_sandbox.model.state import Change, Collection, Doc, NotUnique, State
from promo_sandbox.openapi.operation import Operation, Values, WrapItems

_MAX_ITEMS_AT_ONCE = 500  # in a reply that is not sent in pieces
_UNIQUE_DIGITS = 16  # of an id that is random enough to be unique
_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}(:\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:\d{1,5})?", re.ASCII)


class Vendor(Protocol):
    """The contract of a vendor, as far as a call needs it."""

    @property
    def admits_http(self) -> Callable[[str], bool]: ...
    def settings(self, state: State) -> Doc: ...
    def invoke(self, call: Call, operation_id: str, path: dict[str, str], body: Any) -> Reply | Rejected: ...


class Call:
    """One unit of work in one org: a request, a timer that is due, or a seed.

    Documents are read as copies. Changes are stored only if the whole call succeeds.
    Attributes for rules: `now` (moment by the org's clock), `tenant`, `grant` (None: no request).
    """

    # Class attributes are the defaults, so that a call without these values costs nothing for them.
    org_named: bool = True  # False: the request names no org
    named_tenant: str | None = None  # the tenant, if it is in the request's path
    operation: Operation | None = None
    request: Request | None = None
    grant: Grant | None = None
    values: Values | None = None
    written: list[Change] | None = None  # changes by work that continues after the request
    reserved: Set[str] = frozenset()  # ids and unique values in the seed that is being stored; not given to others

    def __init__(
        self, org: str, state: State, rules: VendorRules, now: int, issuer: TokenIssuer, vendor: Vendor | None = None
    ) -> None:
        self.org = org
        self.tenant = org  # the org by the vendor's own name for it, from the request or its token
        self.rules = rules
        self.now = now  # moment
        self.events: list[tuple[str, dict[str, Any], bytes]] = []
        self.state = state
        self.issuer = issuer
        self.vendor = vendor

    @property
    def path(self) -> dict[str, str]:
        """The path parameters, decoded. Raises `LookupError` if no request made this call; so do the next three."""
        return self._given.path

    @property
    def query(self) -> dict[str, Any]:
        """The declared query parameters by name, in the types of their schemas, with defaults."""
        return self._given.query

    @property
    def headers(self) -> dict[str, Any]:
        """The declared header parameters, in the same way."""
        return self._given.headers

    @property
    def body(self) -> Any:
        """The decoded body, valid by its schema; None if there is none."""
        return self._given.body

    @property
    def fields(self) -> Doc:
        """The fields of the body that its schema declares, as a new dict; fields with other names are left out."""
        assert self.operation is not None  # only a request has a body
        declared, body = self.operation.body_fields, self._given.body
        if not declared:
            return {}
        return dict(body) if declared.issuperset(body) else {name: body[name] for name in body if name in declared}

    def item_fields(self, array: str) -> list[Doc]:
        """The declared fields of each object in an array of the body; empty if the array is absent."""
        assert self.operation is not None  # only a request has a body
        declared = self.operation.body
        names = declared.item_fields[array] if declared else ()
        return [{name: item[name] for name in names if name in item} for item in self.body.get(array, ())]

    def object_fields(self, name: str) -> Doc:
        """The declared fields of an object in the body; empty if the object is absent or null."""
        assert self.operation is not None  # only a request has a body
        declared, given = self.operation.body, self.body.get(name) or {}
        names = declared.item_fields[name] if declared else ()
        return {name: given[name] for name in names if name in given}

    @property
    def _given(self) -> Values:
        if self.values is None:
            raise LookupError("no request made this call, so it has no parameters and no body")
        return self.values

    @property
    def settings(self) -> Doc:
        """A copy of the org's settings of this vendor, completed with the defaults of the spec's schema."""
        return self._vendor.settings(self.state)

    @property
    def _vendor(self) -> Vendor:
        if self.vendor is None:
            raise LookupError("this call has no vendor, so it has no settings and cannot invoke operations")
        return self.vendor

    def has_scope(self, scope: str) -> bool:
        """Whether the credentials give a scope. Credentials without scopes give all; no credentials give none."""
        return self.grant is not None and (self.grant.scopes is None or scope in self.grant.scopes)

    def invoke(self, operation_id: str, path: dict[str, str] | None = None, body: Any = None) -> Reply | Rejected:
        """Call another operation of this vendor, with all scopes. Its reply or its rejection is returned, not raised.

        path: its path parameters, decoded. body: a JSON value. A rejection undoes the changes of that operation only.
        """
        return self._vendor.invoke(self, operation_id, path or {}, body)

    @property
    def now_text(self) -> str:
        """`now` as RFC 3339 in UTC with milliseconds."""
        return clock.text(self.now)

    def url(self, *segments: str) -> str:
        """The absolute URL of a path on this server, with the host and the org prefix of the request."""
        host = self.request.header(b"host") if self.request else None
        if host is None or not _HOST.fullmatch(host):
            host = "localhost"
        prefix = quote(self.request.prefix, safe="/~%") if self.request else ""
        path = "/".join(quote(segment, safe="") for segment in segments)
        return f"http://{host}{prefix}/{path}"

    def public(self, collection: Collection, doc: Doc) -> Doc:
        """The document without the fields that the spec marks as `x-internal`."""
        internal = self.rules.internal_fields[collection.key]
        return {name: value for name, value in doc.items() if name not in internal} if internal else doc

    def order_fields(self, collection: Collection, doc: Doc) -> Doc:
        """The document with its fields in the order from the spec's `x-collections`, if there is one."""
        order = self.rules.field_order.get(collection.key)
        return order.apply(doc) if order else doc

    def new_uuid(self) -> str:
        """A new id, as a UUID. The ids of an org are the same in each run with the same requests."""
        return self._next_free_id(ids.uuid)

    def new_hex(self, digits: int) -> str:
        """A new id of 1 to 32 hexadecimal digits. With fewer than 16 it may not be unique; see `is_taken`."""
        if digits < _UNIQUE_DIGITS:
            return ids.digest(self.new_number(), digits)
        return self._next_free_id(lambda place: ids.digest(place, digits))

    def _next_free_id(self, make_id: Callable[[int], str]) -> str:
        """The next id that no document has; imported documents may have ids of this sequence.

        Ids that are taken are skipped for good, so skipping many of them takes time once only.
        """
        state, reserved = self.state, self.reserved
        while True:
            state.sequence += 1
            id = make_id(state.sequence)
            if id not in reserved and not state.has_id(id):
                return id

    def new_number(self) -> int:
        """The next number of the org's sequence of ids, from 1. No number is returned twice.

        A seeded or imported document may contain an id that is made from it; see `is_taken`.
        """
        self.state.sequence += 1
        return self.state.sequence

    def is_taken(self, collection: Collection, value: str, field: str = "id") -> bool:
        """Whether a stored document, or one of the same seed, has this id or this value of a unique field."""
        if value in self.reserved:
            return True
        if field == "id":
            return self.state.get_encoded(collection, value) is not None
        return self.state.find(collection, field, value) is not None

    def get(self, collection: Collection, id: str) -> Doc | None:
        """A copy of the document with this id; None if there is none."""
        return self.state.get(collection, id)

    def get_encoded(self, collection: Collection, id: str) -> bytes | None:
        """The stored JSON of a document, without decoding it; None if there is none. See also `rules.raw_fields`."""
        return self.state.get_encoded(collection, id)

    def find(self, collection: Collection, field: str, value: str) -> Doc | None:
        """A copy of the document with this value of a `unique` field; None if there is none."""
        id = self.state.find(collection, field, value)
        return None if id is None else self.state.get(collection, id)

    def add(self, collection: Collection, doc: Doc) -> Doc:
        """Store a new document under its `id`, and return it.

        Raises `NotUnique` if its id or the value of a unique field is taken.
        """
        if doc["id"] in self.state.records(collection):
            raise NotUnique("id", doc["id"])
        doc = self.order_fields(collection, doc)
        self.state.put(collection, doc["id"], doc, self.now)
        return doc

    def update(self, collection: Collection, doc: Doc, **changes: Any) -> Doc:
        """Store a document with other values of some fields, and return it; None removes a field.

        Raises `NotUnique` if the value of a unique field is taken.
        """
        changed = {**doc, **changes}
        for field, value in changes.items():
            if value is None:
                del changed[field]
        return self.replace(collection, changed)

    def replace(self, collection: Collection, doc: Doc) -> Doc:
        """Store a document, in place of the one with this `id` if there is one, and return it.

        Raises `NotUnique` if the value of a unique field is taken.
        """
        doc = self.order_fields(collection, doc)
        self.state.put(collection, doc["id"], doc, self.now)
        return doc

    def delete(self, collection: Collection, id: str) -> bool:
        """Delete a document; False if there is none with this id."""
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
    ) -> ListView:
        """Part of a list: pairs of collection key and document, in the order of the numbers from `indexes`.

        start, stop: the numbers from `start` up to, but not including, `stop`. offset, limit: counted among these.
        """
        return self.state.page(name, start=start, stop=stop, offset=offset, limit=limit, descending=descending)

    def list_view(self, name: str, offset: int = 0, limit: int | None = None) -> ListView:
        """A list as it is now, also while it changes later; each document is decoded when it is read."""
        return self.state.list_view(name, offset, limit)

    def sort_number(self, collection: Collection, doc: Doc) -> int:
        """The number that sorts a stored document in its first list."""
        return self.state.sort_number(collection, doc)

    def list_size(self, name: str) -> int:
        """The number of documents in a list."""
        return self.state.list_size(name)

    def emit(self, callback: str, payload: dict[str, Any], encoded: bytes | None = None) -> None:
        """Send an event to the subscribers, once the call has succeeded. The payload must match the spec's callback.

        encoded: the same payload as JSON, if it exists already.
        """
        self.events.append((callback, payload, encode(payload) if encoded is None else encoded))

    def admits_http(self, url: str) -> bool:
        """Whether the operator allows this callback URL although it is not https."""
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
        """A new bearer token of this vendor. The vendor's `on_token` rule completes its content.

        scopes: None means all. seconds: until it expires by the org's clock; None: never. claims: see `Grant.claims`.
        audience: base path of the only API that accepts it; None: all. any_org: it is valid in other orgs too.
        """
        terms = TokenTerms(tenant, None if scopes is None else tuple(scopes), customer, claims or {}, audience, {})
        if self.rules.token_rule is not None:
            terms = self.rules.token_rule(self, terms)
        return self.issuer.issue(
            org=None if any_org else self.org,
            vendor=self.rules.vendor,
            **terms._asdict(),
            issued=self.now,
            expires=None if seconds is None else self.now + seconds * clock.SECOND,
            number=self.new_number(),
        )

    def read_token(self, token: str) -> Grant | None:
        """The rights of a token that is not in the `Authorization` header; None if it is invalid or has expired."""
        return self.issuer.read(token, self.org, self.rules.vendor, self.now)

    def knows_client(self, client: str, secret: str) -> bool:
        """Whether a client's name and secret are valid. In lenient mode all are, except secrets like `invalid…`."""
        return self.issuer.knows_client(client, secret)

    def reject(self, name: str, detail: str | None = None, **fields: Any) -> NoReturn:
        """Answer with the named error example of this operation, and undo all changes. Raises `Rejected`.

        detail: for the error's body, see `Rules.error_body`. fields: replace fields of that body.
        """
        raise Rejected(name, detail, fields)

    def reject_and_keep(self, name: str, detail: str | None = None, **fields: Any) -> NoReturn:
        """As `reject`, but the changes and events of this call are kept."""
        rejected = Rejected(name, detail, fields)
        rejected.keep_changes = True
        raise rejected

    def reply(
        self,
        content: Any = None,
        headers: tuple[tuple[str, str], ...] = (),
        *,
        status: int | None = None,
        encoded: bytes | None = None,
    ) -> Reply:
        """A success with the operation's first 2xx status in the spec, or another `status` that the spec declares.

        content: a JSON value, or JSON as bytes. encoded: the same content as JSON, if it exists already.
        """
        operation = self.operation
        assert operation is not None  # only a request is replied to
        if status is None:
            success = operation.success.status
            return Reply(success, content, operation.negotiate_media_type(self.request), headers, encoded=encoded)
        return Reply(status, content, next(iter(operation.responses[status].content), None), headers)

    def reply_in_pieces(self, content: Any, pieces: Iterator[bytes]) -> Reply:
        """A success with JSON that is sent in pieces; `content` of the same shape is validated instead."""
        reply = self.reply(content)
        reply.body, reply.stream = b"", pieces
        return reply

    def reply_all(
        self, items: Iterator[Any], headers: tuple[tuple[str, str], ...] = (), *, within: WrapItems | None = None
    ) -> Reply:
        """A success with an array of all items. A long array is created, validated and sent in pieces.

        within: array -> the whole content, in which the array is the last part.
        """
        operation = self.operation
        assert operation is not None  # only a request is replied to
        first: list[Any] = []
        over = Slice().over
        for item in items:
            first.append(item)
            if len(first) > _MAX_ITEMS_AT_ONCE or over():
                break
        else:
            return self.reply(first if within is None else within(first), headers)
        reply = self.reply([] if within is None else within([]), headers)
        reply.body = b""
        reply.stream = operation.encode_in_pieces(reply, chain(first, items), within)
        return reply

    def reply_later(self, work: Work[Reply]) -> Reply:
        """The reply that a generator returns; it runs in slices between other requests, so it must `yield` often.

        The generator must only read. After its first `yield` it must not reject the call.
        """
        operation = self.operation
        assert operation is not None  # only a request is replied to
        try:
            return run_slice(work)  # at least up to its first `yield`
        except Unfinished:
            pending = Reply(operation.success.status)
            pending.work = work
            return pending

    def reply_after_writing(self, work: Work[Reply]) -> Reply:
        """As `reply_later`, for a generator that writes. Other requests see each step, and its changes are not undone.

        After its first `yield` it must not emit events, and it may only reject with `reject_and_keep`.
        """
        self.written = list(self.state.changes)
        return self.reply_later(write_in_steps(self.state, work, self.written))
