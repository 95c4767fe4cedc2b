"""A vendor's rules: which function answers which operation, what is stored, and how errors are worded.

Paths, fields, statuses and error bodies are not here but in the specs. A rule rejects a call by the name that the spec
gives the rejection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

from promo_sandbox.base.messages import FieldOrder, Reply, Violation
from promo_sandbox.model.call import Call
from promo_sandbox.model.interfaces import TokenTerms
from promo_sandbox.model.state import Collection, Doc, Indexes, Timers
from promo_sandbox.openapi.operation import Rejection

Rule = Callable[["Call"], Reply]
TimerRule = Callable[["Call", str], None]
ErrorBody = Callable[["RejectionContext"], Any]
F = TypeVar("F", bound=Callable[..., Any])


class Subscriptions(NamedTuple):
    """Where a vendor's subscriptions are, so that what is told finds its subscribers."""

    collection: Collection
    listed: Callable[[str], str]  # a callback's name -> the list in which its subscriptions stand
    url: str  # the member that says where the event is sent
    https_only: bool


SETTINGS = "settings"  # the collection's name, and its only document's id


class RejectionContext(NamedTuple):
    """What there is to word: the example that the spec declares, and what is known of this case."""

    rejection: Rejection
    detail: str | None
    violations: list[Violation]
    path: str  # of the request, below the base path of its document
    at: int  # moment
    whole_path: str = ""  # with the base path


class Rules:
    """The rules of one vendor, bound to its operations by operationId."""

    def __init__(self, vendor: str) -> None:
        self.vendor = vendor
        self.operations: dict[str, Rule] = {}
        self.due: dict[str, TimerRule] = {}
        self.collections: dict[str, Collection] = {}
        self.write_error_body: ErrorBody = _example_with_detail
        self.subscriptions: list[Subscriptions] = []
        self.internal: dict[str, tuple[str, ...]] = {}  # by collection key; the spec says which
        self.order: dict[str, FieldOrder] = {}  # of members, in the same way; without one: as they came
        self.admission: Callable[[Call], None] | None = None
        self.token_form: Callable[[Call, TokenTerms], TokenTerms] | None = None

    def operation(self, *operation_ids: str) -> Callable[[F], F]:
        """The rule that answers these operations. A request reaches it only when it fits the contract."""

        def bind(rule: F) -> F:
            for operation_id in operation_ids:
                if operation_id in self.operations:
                    raise ValueError(f"{operation_id} has two rules")
                self.operations[operation_id] = rule
            return rule

        return bind

    def on_timer(self, *events: str) -> Callable[[F], F]:
        """The rule that runs at the moment a collection's `dues` named, with the document's id."""

        def bind(rule: F) -> F:
            for event in events:
                self.due[event] = rule
            return rule

        return bind

    def on_admission(self, rule: Callable[[Call], None]) -> Callable[[Call], None]:
        """What this vendor asks of credentials beyond what they say of themselves; the rule may reject."""
        self.admission = rule
        return rule

    def on_token(self, rule: Callable[[Call, TokenTerms], TokenTerms]) -> Callable[[Call, TokenTerms], TokenTerms]:
        """What is in each token of this vendor, whoever issues it; the rule returns the terms with that."""
        self.token_form = rule
        return rule

    def error_body(self, write: ErrorBody) -> ErrorBody:
        """The function that writes the body of this vendor's errors, from a `RejectionContext`."""
        self.write_error_body = write
        return write

    def settings(self) -> Collection:
        """Declare that orgs have settings, by the collection `settings`: one document, defaults by its schema."""
        return self.collection(SETTINGS, indexes=_settings_indexes, prepare=_prepare_settings)

    def collection(
        self,
        name: str,
        *,
        indexes: Indexes,
        unique: tuple[str, ...] = (),
        timers: Timers | None = None,
        prepare: Callable[[Doc, Call], None] | None = None,
        seeded: Callable[[Call, Doc], Iterator[None] | None] | None = None,
    ) -> Collection:
        """Declare a kind of document; its schema is the spec's `x-collections` entry of that name.

        places: (document, moment of creation) -> the lists it stands in, each with the number that orders it there.
        unique: members no two documents share. dues: document -> (moment, event) of what falls due with it.
        prepare: fills in what a seeded document leaves out, before it is judged; it must not trust any type.
        seeded: runs when a document was seeded, to tell the subscribers; in steps where it may take long.
        """
        collection = Collection(f"{self.vendor}.{name}", unique, indexes, timers, prepare, seeded)
        self.collections[name] = collection
        return collection

    def subscribers(
        self, collection: Collection, *, listed: Callable[[str], str], url: str, https_only: bool = False
    ) -> None:
        """Declare that the documents of a collection are subscriptions.

        listed: callback's name -> the list in which its subscriptions stand. url: the member with the callback's URL.
        https_only: the vendor calls no plain http URL, however its subscription came to be stored.
        """
        self.subscriptions.append(Subscriptions(collection, listed, url, https_only))


def _settings_indexes(_: Doc, created: int) -> list[tuple[str, int]]:
    return [(SETTINGS, created)]


def _prepare_settings(doc: Doc, _: Call) -> None:
    doc["id"] = SETTINGS


def _example_with_detail(refusal: RejectionContext) -> Any:
    """The spec's example; where it has a `detail`, that says what is wrong this time."""
    body, detail = refusal.rejection.value, refusal.detail
    if refusal.violations:
        detail = "; ".join(map(str, refusal.violations))
    if detail and isinstance(body, dict) and "detail" in body:
        body = {**body, "detail": detail}
    return body
