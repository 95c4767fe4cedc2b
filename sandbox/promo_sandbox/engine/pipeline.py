"""From a vendor's request to its reply, in one synchronous function: find the route and the org, run what is due,
execute, record in the journal.

There is no `await` between reading and writing state, so each request is atomic. `server` sends the replies.
"""

from __future__ import annotations

import re
from time import perf_counter_ns

from promo_sandbox.base.memory import NotEnoughMemory
from promo_sandbox.base.messages import Reply, Request
from promo_sandbox.base.slices import Work
from promo_sandbox.engine.execution import execute, out_of_memory, problem, unmatched_reply
from promo_sandbox.engine.orgs import MAX_NAME, Org, Orgs, TooManyOrgs
from promo_sandbox.model.auth import Authenticator, Grant
from promo_sandbox.model.call import Call
from promo_sandbox.model.contract import Contract, Route, router
from promo_sandbox.model.journal import Exchange
from promo_sandbox.model.sliced_writes import growth
from promo_sandbox.openapi.document import Document
from promo_sandbox.openapi.parameters import parse_form, percent_decode

DEFAULT_ORG = "default"
_MAX_CACHED = 1024  # paths with their routes
_MAX_CACHED_LENGTH = 256  # characters of a path
# Without these headers a browser does not let a page of another site read the reply.
_CORS = (("access-control-allow-origin", "*"), ("access-control-expose-headers", "*"), ("vary", "Origin"))
_VARY = (("vary", "Origin"),)  # a cache must not use a reply without CORS headers for a page of another site
_NAME_TOO_LONG = (400, "Org name too long", f"The name of an org has at most {MAX_NAME} characters.")
_TOO_MANY_ORGS = (503, "Too many orgs", "The server has as many orgs as --max-orgs allows; delete some.")
_FIRST_LABEL = re.compile(rb"([a-z0-9][a-z0-9-]*)\.[a-z]", re.IGNORECASE)

Match = tuple[Route | None, dict[str, str], tuple[str, ...]]


class Pipeline:
    """Answers the requests for the operations of all vendors."""

    def __init__(self, contracts: list[Contract], orgs: Orgs, authenticator: Authenticator) -> None:
        self._orgs = orgs
        self._memory = orgs.memory
        self._authenticator = authenticator
        self._router = router(contracts)
        self._cache: dict[tuple[str, str], Match] = {}
        self._documents = [
            (contract, document)
            for contract in contracts
            for document in contract.documents
            if document.version_of is None
        ]

    def handle(self, request: Request) -> Reply:
        """The reply. Never raises: an error becomes a 500 and an internal error in the journal."""
        started, prefixed = perf_counter_ns(), _take_prefix(request) if request.path.startswith("/~") else ""
        route, path, allow = self._cache.get((request.method, request.path)) or self._find(request.method, request.path)
        if route is not None:
            contract: Contract | None = route.contract
            document: Document | None = route.document
            tenant = path.get(route.document.org_parameter or "")
        else:
            contract, document = self._nearest_document(request.path)
            tenant = _tenant(document, request) if document else None
        named = prefixed or request.header(b"sandbox-org") or tenant or self._org_from_sources(document, request)
        name = named or DEFAULT_ORG
        if len(name) > MAX_NAME:
            return _unrecorded(problem(*_NAME_TOO_LONG), document, request)
        try:
            org = self._orgs.get(name)
        except (TooManyOrgs, NotEnoughMemory) as error:
            short = isinstance(error, NotEnoughMemory)
            return _unrecorded(out_of_memory(self._memory) if short else problem(*_TOO_MANY_ORGS), document, request)
        exchange = Exchange(org.clock.now(), request)
        run = org.scenario
        if run is not None and run.next_due <= exchange.at:
            self._orgs.run_due_steps(org)
            exchange.at = org.clock.now()
        if org.state.next_due <= exchange.at and self._has_more_due(org, exchange.at):
            return self._reply_later(request, org)
        org.processed_until = exchange.at
        exchange.vendor = contract.vendor if contract is not None else None
        if route is None:
            reply = _unmatched(contract, document, allow, org, exchange)
        else:
            reply = self._answer(route, path.copy(), org, named, tenant, exchange)
            org.covered = self._orgs.coverage.count(org.covered, exchange, reply)
        if document is not None and document.cors:
            reply.headers += _cors(request)
        self._record(org, exchange, reply, started)
        if run is not None and (exchange.step is not None or exchange.unexpected is not None):
            self._orgs.update_scenario(org, exchange)
        return reply

    def _has_more_due(self, org: Org, now: int) -> bool:
        """Run the due timers. Return whether some are still due because of the limit."""
        self._orgs.run_due_timers(org, now)
        return org.state.next_due <= now

    def _reply_later(self, request: Request, org: Org) -> Reply:
        """Run everything that is due in the org first, in slices between other requests, then answer."""

        def work() -> Work[Reply]:
            while org.has_pending_work:
                yield
                self._orgs.run_due_timers(org, org.clock.now())
            request.path, request.prefix = request.prefix + request.path, ""
            reply = self.handle(request)
            return reply if reply.work is None else (yield from reply.work)

        reply = Reply(0)
        reply.work = work()
        return reply

    def _answer(
        self, route: Route, path: dict[str, str], org: Org, named: str | None, tenant: str | None, exchange: Exchange
    ) -> Reply:
        exchange.operation = route.operation.id
        if route.versions is not None:
            route = route.contract.select_version(route, org.state)
            exchange.version = route.document.version
        call = Call(org.name, org.state, route.contract.rules, exchange.at, self._authenticator, route.contract)
        call.org_named = named is not None
        call.named_tenant = tenant
        call.tenant = tenant or org.name
        reply = execute(route, exchange.request, call, path, self._authorize, exchange, org.scenario)
        if self._memory.full and sum(map(growth, call.written or exchange.changes)) > 0:
            org.state.roll_back()
            exchange.changes, exchange.events = [], []
            return out_of_memory(self._memory)
        return reply

    def _find(self, method: str, path: str) -> Match:
        """The route, the decoded path parameters, and the allowed methods if only the path matches."""
        match = self._router.match(method, path)
        if match is None or match.target is None:
            return None, {}, match.allow if match else ()
        found = match.target, match.target.operation.path_values(match.values, path), ()
        if len(path) <= _MAX_CACHED_LENGTH:
            if len(self._cache) >= _MAX_CACHED:
                self._cache.clear()
            self._cache[method, path] = found
        return found

    def _record(self, org: Org, exchange: Exchange, reply: Reply, started: int) -> None:
        exchange.id = org.journal.next_id()
        reply.headers += (("sandbox-exchange", str(exchange.id)),)
        exchange.set_reply(reply)
        exchange.nanoseconds = perf_counter_ns() - started
        org.journal.add(exchange)
        if exchange.changes or exchange.events:
            self._orgs.notify(org, exchange, exchange.delivery_fault, reply.delay)
            if org.state.next_due <= exchange.at:  # a document was stored with a date in the past
                self._orgs.run_due_timers(org, exchange.at)

    def _authorize(self, route: Route, request: Request, call: Call) -> Grant | str:
        return self._authenticator.check(
            route.operation,
            request,
            call.org,
            route.contract.vendor,
            route.document.base_path,
            call.named_tenant,
            call.now,
        )

    def _nearest_document(self, path: str) -> tuple[Contract | None, Document | None]:
        """The document with the path that shares the most leading segments with a path that has no operation."""
        segments = path.split("/")[1:]
        best: tuple[Contract | None, Document | None] = (None, None)
        longest = 0
        for contract, document in self._documents:
            for operation in document.operations:
                common = 0
                for own, other in zip(segments, operation.template.split("/")[1:], strict=False):
                    if own != other and not other.startswith("{"):
                        break
                    common += own == other
                if common > longest:
                    best, longest = (contract, document), common
        return best

    def _org_from_sources(self, document: Document | None, request: Request) -> str | None:
        """The org that the request names outside its path, in the places that the spec declares."""
        for source in document.org_sources if document else ():
            name: str | None = None
            if source == "token":
                name = self._authenticator.token_org(request)
            elif source == "host":
                label = _FIRST_LABEL.match(request.fields.get(b"host", b""))
                name = label[1].decode() if label else None
            elif source.startswith("header."):
                value = request.header(source.removeprefix("header.").lower().encode())
                name = value.rpartition(",")[2].strip() if value else None  # the last of several values
            elif source.startswith("query."):
                name = _last(request.query, source.removeprefix("query."))
            elif source.startswith("form."):
                name = _in_form(request, *source.split(".")[1:])
            if name:
                return name
        return None


def _unmatched(
    contract: Contract | None, document: Document | None, allow: tuple[str, ...], org: Org, exchange: Exchange
) -> Reply:
    if contract is not None and document is not None:
        document = contract.select_document_version(document, org.state)
    return unmatched_reply(exchange.request, contract, document, allow, exchange)


def _cors(request: Request) -> tuple[tuple[str, str], ...]:
    return _CORS if b"origin" in request.fields else _VARY


def _unrecorded(reply: Reply, document: Document | None, request: Request) -> Reply:
    """A reply that is in no journal, as there is no org."""
    if document is not None and document.cors:
        reply.headers += _cors(request)
    return reply


def _last(pairs_text: str, name: str) -> str | None:
    """The last value of a name in a query or a form."""
    return parse_form(pairs_text, []).get(name, [None])[-1]


def _in_form(request: Request, field: str, word: str | None = None) -> str | None:
    """A field of a form, or the value after `word=` in a field of several words."""
    if not request.fields.get(b"content-type", b"").lower().startswith(b"application/x-www-form-urlencoded"):
        return None
    text = _last(request.body.decode("utf-8", "replace"), field)
    if text is None or word is None:
        return text
    return next((part.partition("=")[2] for part in text.split() if part.startswith(f"{word}=")), None)


def _take_prefix(request: Request) -> str:
    """Remove the prefix of a path `/~{org}/…` and return the org's name."""
    name, _, rest = request.path[2:].partition("/")
    request.prefix = f"/~{name}"
    name = _decoded(name)
    request.path = f"/{rest}"
    return name


def _tenant(document: Document, request: Request) -> str | None:
    """The org's name in the vendor's path, if the path matched no operation."""
    if document.org_prefix is None:
        return None
    prefix, place = document.org_prefix
    segments = request.path.split("/")[1:]
    return _decoded(segments[place]) or None if tuple(segments[:place]) == prefix and len(segments) > place else None


def _decoded(segment: str) -> str:
    try:
        return percent_decode(segment)
    except ValueError:
        return segment
