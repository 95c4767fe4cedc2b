"""The vendor contract: what a vendor's rules are made of, and all that they may see of the sandbox.

A vendor is a folder `sandbox/vendors/<name>` whose `rules` is a `Rules`. Paths, fields, statuses and error bodies
are not written here but in the specs; a rule refuses by the name that the spec gives the refusal.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, NoReturn, Protocol, TypeVar
from urllib.parse import quote

from sandbox import clock, ids
from sandbox.messages import Reply, Request, Violation
from sandbox.money import Money, money
from sandbox.openapi.operation import Operation, Rejection, Values
from sandbox.state import Collection, Doc, Dues, NotUnique, Places, State

# Nanoseconds since 1970 of an RFC 3339 text. Raises `ValueError`.
moment = clock.parse

__all__ = [
    "Call", "Collection", "Doc", "Money", "NotUnique", "Rejected", "Rejection", "Reply", "Rules", "Violation",
    "moment", "money",
]  # fmt: skip

Rule = Callable[["Call"], Reply]
DueRule = Callable[["Call", str], None]
Wording = Callable[[Rejection, "str | None", "list[Violation]"], Any]
F = TypeVar("F", bound=Callable[..., Any])


_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(:\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:\d{1,5})?", re.ASCII)


class Rejected(Exception):
    """The client is refused, in the vendor's words: `name` is an example that the spec declares."""

    def __init__(
        self,
        name: str,
        detail: str | None = None,
        members: dict[str, Any] | None = None,
        violations: list[Violation] | None = None,
    ) -> None:
        super().__init__(name)
        self.name = name
        self.detail = detail
        self.members = members or {}
        self.violations = violations or []


class Grant(Protocol):
    """What the credentials of a request admit to."""

    @property
    def tenant(self) -> str | None: ...
    @property
    def customer(self) -> str | None: ...
    @property
    def scopes(self) -> frozenset[str] | None: ...


class Issuer(Protocol):
    """Makes bearer tokens."""

    def issue(
        self,
        *,
        org: str | None,
        vendor: str,
        audience: str | None,
        tenant: str | None,
        scopes: Iterable[str] | None,
        customer: str | None,
        issued: int,
        expires: int,
        number: int,
    ) -> str: ...


class Rules:
    """The rules of one vendor, bound to its operations by operationId."""

    def __init__(self, vendor: str) -> None:
        self.vendor = vendor
        self.operations: dict[str, Rule] = {}
        self.due: dict[str, DueRule] = {}
        self.collections: dict[str, Collection] = {}
        self.wording: Wording = _example_with_detail
        self.internal: dict[str, tuple[str, ...]] = {}  # by collection key; the spec says which

    def operation(self, *operation_ids: str) -> Callable[[F], F]:
        """The rule that answers these operations. A request reaches it only when it fits the contract."""

        def bind(rule: F) -> F:
            for operation_id in operation_ids:
                if operation_id in self.operations:
                    raise ValueError(f"{operation_id} has two rules")
                self.operations[operation_id] = rule
            return rule

        return bind

    def on_due(self, *events: str) -> Callable[[F], F]:
        """The rule that runs at the moment a collection's `dues` named, with the document's id."""

        def bind(rule: F) -> F:
            for event in events:
                self.due[event] = rule
            return rule

        return bind

    def word(self, wording: Wording) -> Wording:
        """How this vendor words a refusal: (rejection, detail or None, violations) -> body."""
        self.wording = wording
        return wording

    def collection(
        self,
        name: str,
        *,
        places: Places,
        unique: tuple[str, ...] = (),
        dues: Dues | None = None,
        prepare: Callable[[Doc, Call], None] | None = None,
        seeded: Callable[[Call, Doc], None] | None = None,
    ) -> Collection:
        """Declare a kind of document; its schema is the spec's `x-collections` entry of that name.

        places: (document, moment of creation) -> the lists it stands in, each with the number that orders it there.
        unique: members no two documents share. dues: document -> (moment, event) of what falls due with it.
        prepare: fills in what a seeded document leaves out, before it is judged; it must not trust any type.
        seeded: runs when a document was seeded, to tell the subscribers.
        """
        collection = Collection(f"{self.vendor}.{name}", unique, places, dues, prepare, seeded)
        self.collections[name] = collection
        return collection


class Call:
    """One unit of work in one org: a request, an agenda entry that falls due, or a seed.

    Documents are read as fresh copies; what is written is kept only if the whole call succeeds.
    """

    __slots__ = (
        "_issuer",
        "events",
        "grant",
        "named_tenant",
        "now",
        "operation",
        "org",
        "request",
        "rules",
        "state",
        "tenant",
        "values",
    )

    def __init__(self, org: str, state: State, rules: Rules, now: int, issuer: Issuer) -> None:
        self.org = org
        self.rules = rules
        self.now = now  # moment
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.state = state
        self._issuer = issuer
        self.tenant = org  # the org by the name that the vendor's own request, or its token, gives it
        self.named_tenant: str | None = None  # the same, if the request's path says it
        self.operation: Operation | None = None
        self.request: Request | None = None
        self.grant: Grant | None = None
        self.values: Values | None = None

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
    def members(self) -> Doc:
        """The members of the body that its schema declares; a client may send others, which mean nothing."""
        assert self.operation is not None  # only a request has a body
        declared, body = self.operation.declared, self._given.body
        if not declared:
            return {}
        return dict(body) if body.keys() <= declared else {name: body[name] for name in body if name in declared}

    def item_members(self, array: str) -> list[Doc]:
        """The same of each object in an array of the body; empty if the array is absent."""
        assert self.operation is not None  # only a request has a body
        declared = self.operation.body
        names = declared.item_members[array] if declared else ()
        return [{name: item[name] for name in names if name in item} for item in self.body.get(array, ())]

    @property
    def _given(self) -> Values:
        if self.values is None:
            raise LookupError("this call was not made by a request")
        return self.values

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

    def new_uuid(self) -> str:
        """The org's next id, as a UUID; the same in every run of the same script."""
        return ids.uuid(0, self.new_number())

    def new_number(self) -> int:
        """The next number of the org's one sequence of ids, from 1; none is ever given out twice."""
        self.state.sequence += 1
        return self.state.sequence

    def get(self, collection: Collection, id: str) -> Doc | None:
        return self.state.get(collection, id)

    def find(self, collection: Collection, member: str, value: str) -> Doc | None:
        """The document whose unique `member` has the value."""
        id = self.state.find(collection, member, value)
        return None if id is None else self.state.get(collection, id)

    def add(self, collection: Collection, doc: Doc) -> Doc:
        """Store a new document under its `id`. Raises `NotUnique`, also for an id that is taken."""
        if self.state.get(collection, doc["id"]) is not None:
            raise NotUnique("id", doc["id"])
        self.state.put(collection, doc["id"], doc, self.now)
        return doc

    def update(self, collection: Collection, doc: Doc, **changes: Any) -> Doc:
        """Replace a document by itself with other members; a member changed to None is taken out."""
        changed = {**doc, **changes}
        for member, value in changes.items():
            if value is None:
                del changed[member]
        self.state.put(collection, doc["id"], changed, self.now)
        return changed

    def replace(self, collection: Collection, doc: Doc) -> Doc:
        """Store a whole new version of an existing document."""
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
    ) -> list[tuple[str, Doc]]:
        """Documents of a list in its order, each with the key of its collection, from `start` up to before `stop`."""
        return self.state.page(name, start=start, stop=stop, offset=offset, limit=limit, descending=descending)

    def place(self, collection: Collection, doc: Doc) -> int:
        """The number by which a stored document is ordered in its first list."""
        return self.state.place_of(collection, doc)

    def size(self, name: str) -> int:
        """How many documents stand in a list."""
        return self.state.size(name)

    def emit(self, callback: str, payload: dict[str, Any]) -> None:
        """Tell the subscribers; the payload is judged by the spec's callback of that name."""
        self.events.append((callback, payload))

    def issue_token(
        self,
        *,
        tenant: str | None,
        scopes: Iterable[str] | None = None,
        customer: str | None = None,
        seconds: int,
        audience: str | None = None,
        any_org: bool = False,
    ) -> str:
        """A bearer token of this vendor that expires by the org's clock; no scopes given means all.

        audience: the base path of the only API that takes it. any_org: it is not bound to this org.
        """
        return self._issuer.issue(
            org=None if any_org else self.org,
            vendor=self.rules.vendor,
            audience=audience,
            tenant=tenant,
            scopes=scopes,
            customer=customer,
            issued=self.now,
            expires=self.now + seconds * clock.SECOND,
            number=self.new_number(),
        )

    def reject(self, name: str, detail: str | None = None, **members: Any) -> NoReturn:
        """Refuse with the named example of this operation; `detail` and `members` replace the example's own."""
        raise Rejected(name, detail, members)

    def reply(self, content: Any = None, headers: tuple[tuple[str, str], ...] = ()) -> Reply:
        """Succeed: the status and the media type are the spec's only success."""
        assert self.operation is not None  # only a request is replied to
        return Reply(self.operation.success.status, content, self.operation.success_media, headers)


def _example_with_detail(rejection: Rejection, detail: str | None, violations: list[Violation]) -> Any:
    """The spec's example; where it has a `detail`, that says what is wrong this time."""
    body = rejection.value
    if violations:
        detail = "; ".join(map(str, violations))
    if detail and isinstance(body, dict) and "detail" in body:
        body = {**body, "detail": detail}
    return body
