"""The rules of a vendor: which function answers which operation, what is stored, and the bodies of its errors.

Paths, fields, statuses and error bodies are in the specs. A rule rejects a call by the name of an example in the spec.
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

SETTINGS = "settings"  # the collection's name, and the id of its only document


class Subscriptions(NamedTuple):
    """Where a vendor stores its webhook subscriptions. See `Rules.subscribers`."""

    collection: Collection
    list_name: Callable[[str], str]
    url_field: str
    https_only: bool


class RejectionContext(NamedTuple):
    """The data for the body of an error: the example from the spec, and the details of this request."""

    rejection: Rejection
    detail: str | None  # as given to `Call.reject`
    violations: list[Violation]  # of the contract, if the request is invalid; else empty
    path: str  # of the request, without the base path of its document
    now: int  # moment
    full_path: str = ""  # with the base path


class Rules:
    """The rules of one vendor, bound to its operations by operationId."""

    def __init__(self, vendor: str) -> None:
        self.vendor = vendor
        self.operations: dict[str, Rule] = {}
        self.timer_rules: dict[str, TimerRule] = {}  # by event
        self.collections: dict[str, Collection] = {}
        self.write_error_body: ErrorBody = _example_with_detail
        self.subscriptions: list[Subscriptions] = []
        self.internal_fields: dict[str, tuple[str, ...]] = {}  # by collection key, from the spec
        self.field_order: dict[str, FieldOrder] = {}  # by collection key, from the spec; without one: as received
        self.admission_rule: Callable[[Call], None] | None = None
        self.token_rule: Callable[[Call, TokenTerms], TokenTerms] | None = None

    def operation(self, *operation_ids: str) -> Callable[[F], F]:
        """Decorator: the function `(call) -> Reply` answers these operations.

        It runs only for requests with valid credentials that match the contract. Its reply must match the contract,
        or the client gets a 500. Raises `ValueError` if an operation already has a rule.
        """

        def bind(rule: F) -> F:
            for operation_id in operation_ids:
                if operation_id in self.operations:
                    raise ValueError(f"{operation_id} already has a rule")
                self.operations[operation_id] = rule
            return rule

        return bind

    def on_timer(self, *events: str) -> Callable[[F], F]:
        """Decorator: the function `(call, id) -> None` runs when a timer with one of these events becomes due.

        `id` is the document that the collection's `timers` returned the event for. `call.now` is the timer's moment.
        """

        def bind(rule: F) -> F:
            for event in events:
                self.timer_rules[event] = rule
            return rule

        return bind

    def on_admission(self, rule: Callable[[Call], None]) -> Callable[[Call], None]:
        """Decorator: the function checks what this vendor requires of valid credentials, and may reject the call."""
        self.admission_rule = rule
        return rule

    def on_token(self, rule: Callable[[Call, TokenTerms], TokenTerms]) -> Callable[[Call, TokenTerms], TokenTerms]:
        """Decorator: the function completes the terms of each token of this vendor, also those of the admin API."""
        self.token_rule = rule
        return rule

    def error_body(self, write: ErrorBody) -> ErrorBody:
        """Decorator: the function returns the body of an error. Without it: the spec's example, with a new `detail`."""
        self.write_error_body = write
        return write

    def settings(self) -> Collection:
        """Declare that orgs have settings: the collection `settings`, with one document.

        The defaults are those of its schema. Read them with `Call.settings`.
        """
        return self.collection(SETTINGS, indexes=_settings_indexes, prepare=_prepare_settings)

    def collection(
        self,
        name: str,
        *,
        indexes: Indexes,
        unique: tuple[str, ...] = (),
        timers: Timers | None = None,
        prepare: Callable[[Doc, Call], None] | None = None,
        on_seeded: Callable[[Call, Doc], Iterator[None] | None] | None = None,
    ) -> Collection:
        """Declare a kind of document. Its schema is the spec's `x-collections` entry of that name.

        indexes: (document, moment of creation) -> pairs of a list's name and the number that sorts the document there.
        unique: fields whose text values no two documents of the collection share.
        timers: document -> pairs of a moment and the event that then becomes due; see `on_timer`.
        prepare: (document, call) fills in missing fields of a seeded document. It runs before the document is
        validated, so it must not rely on any type.
        on_seeded: (call, document) runs after a document was seeded, to emit events. A generator if it may take long.

        `indexes` and `timers` must depend on their arguments only.
        """
        collection = Collection(f"{self.vendor}.{name}", unique, indexes, timers, prepare, on_seeded)
        self.collections[name] = collection
        return collection

    def subscribers(
        self, collection: Collection, *, list_name: Callable[[str], str], url_field: str, https_only: bool = False
    ) -> None:
        """Declare that the documents of a collection are webhook subscriptions.

        list_name: name of a callback in the spec -> name of the list with its subscriptions.
        url_field: the field with the callback URL.
        https_only: send nothing to plain http URLs, even if such a subscription is stored.
        """
        self.subscriptions.append(Subscriptions(collection, list_name, url_field, https_only))


def _settings_indexes(_: Doc, created: int) -> list[tuple[str, int]]:
    return [(SETTINGS, created)]


def _prepare_settings(doc: Doc, _: Call) -> None:
    doc["id"] = SETTINGS


def _example_with_detail(context: RejectionContext) -> Any:
    """The spec's example. If it has a `detail`, that is replaced by the detail of this request."""
    body, detail = context.rejection.value, context.detail
    if context.violations:
        detail = "; ".join(map(str, context.violations))
    if detail and isinstance(body, dict) and "detail" in body:
        body = {**body, "detail": detail}
    return body
