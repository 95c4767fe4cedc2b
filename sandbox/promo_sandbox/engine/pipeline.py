"""From a vendor's request to its reply, in one synchronous function: identify, match, let time pass, answer, journal.

Nothing awaits between reading and writing state, so every request is atomic. Sleeping, sending and sockets lie outside.
"""

from __future__ import annotations

import re
from time import perf_counter_ns

from promo_sandbox.base.memory import NotEnoughMemory
from promo_sandbox.base.messages import Reply, Request
from promo_sandbox.base.slices import Work
from promo_sandbox.engine.execution import answer, no_room, problem, unmatched
from promo_sandbox.engine.orgs import MAX_NAME, Org, Orgs, TooManyOrgs
from promo_sandbox.model.auth import Authenticator, Grant
from promo_sandbox.model.call import Call
from promo_sandbox.model.contract import Contract, Route, router
from promo_sandbox.model.journal import Exchange
from promo_sandbox.model.sliced_writes import growth
from promo_sandbox.openapi.document import Document
from promo_sandbox.openapi.parameters import parse_form, percent_decode

DEFAULT_ORG = "default"
_REMEMBERED = 1024  # paths and where they lead, of at most this many characters:
_REMEMBERED_LENGTH = 256
# What a browser must hear to let a page of another site read the reply.
_CORS = (("access-control-allow-origin", "*"), ("access-control-expose-headers", "*"), ("vary", "Origin"))
_VARY = (("vary", "Origin"),)  # whoever keeps a reply without these must not give it to a browser of another site
_NAME_TOO_LONG = (400, "Org name too long", f"The name of an org has at most {MAX_NAME} characters.")
_TOO_MANY_ORGS = (503, "Too many orgs", "The server has as many orgs as --max-orgs admits; delete some.")
_FIRST_LABEL = re.compile(rb"([a-z0-9][a-z0-9-]*)\.[a-z]", re.IGNORECASE)

Found = tuple[Route | None, dict[str, str], tuple[str, ...]]


class Pipeline:
    """Answers the requests for every vendor's operations."""

    def __init__(self, contracts: list[Contract], orgs: Orgs, authenticator: Authenticator) -> None:
        self._orgs = orgs
        self._memory = orgs.memory
        self._authenticator = authenticator
        self._router = router(contracts)
        self._found: dict[tuple[str, str], Found] = {}
        self._documents = [
            (contract, document)
            for contract in contracts
            for document in contract.documents
            if document.version_of is None
        ]

    def handle(self, request: Request) -> Reply:
        """The reply. Never raises: what goes wrong in here is a defect, answered as 500 and journalled."""
        started, prefixed = perf_counter_ns(), _take_prefix(request) if request.path.startswith("/~") else ""
        route, path, allow = self._found.get((request.method, request.path)) or self._find(request.method, request.path)
        if route is not None:
            contract: Contract | None = route.contract
            document: Document | None = route.document
            tenant = path.get(route.document.org_parameter or "")
        else:
            contract, document = self._nearest(request.path)
            tenant = _tenant(document, request) if document else None
        named = prefixed or request.header(b"sandbox-org") or tenant or self._named_elsewhere(document, request)
        name = named or DEFAULT_ORG
        if len(name) > MAX_NAME:
            return _without_org(problem(*_NAME_TOO_LONG), document, request)
        try:
            org = self._orgs.get(name)
        except (TooManyOrgs, NotEnoughMemory) as refused:
            short = isinstance(refused, NotEnoughMemory)
            return _without_org(no_room(self._memory) if short else problem(*_TOO_MANY_ORGS), document, request)
        exchange = Exchange(org.clock.now(), request)
        script = org.scenario
        if script is not None and script.next_due <= exchange.at:
            self._orgs.play(org)
            exchange.at = org.clock.now()
        if org.state.next_due <= exchange.at and self._is_behind(org, exchange.at):
            return self._later(request, org)
        org.passed = exchange.at
        exchange.vendor = contract.vendor if contract is not None else None
        if route is None:
            reply = _unmatched(contract, document, allow, org, exchange)
        else:
            reply = self._answer(route, path.copy(), org, named, tenant, exchange)
            org.met = self._orgs.coverage.count(org.met, exchange, reply)
        if document is not None and document.cors:
            reply.headers += _cors(request)
        self._journalled(org, exchange, reply, started)
        if script is not None and (exchange.step is not None or exchange.unexpected is not None):
            self._orgs.follow(org, exchange)
        return reply

    def _is_behind(self, org: Org, now: int) -> bool:
        """Whether more has fallen due than happens at once."""
        self._orgs.pass_time(org, now)
        return org.state.next_due <= now

    def _later(self, request: Request, org: Org) -> Reply:
        """Answered once everything that has fallen due in the org has happened; others are answered meanwhile."""

        def work() -> Work[Reply]:
            while org.behind:
                yield
                self._orgs.pass_time(org, org.clock.now())
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
        reply = answer(route, exchange.request, call, path, self._admit, exchange, org.scenario)
        if self._memory.full and sum(map(growth, call.written or exchange.changes)) > 0:
            org.state.roll_back()
            exchange.changes, exchange.events = [], []
            return no_room(self._memory)
        return reply

    def _find(self, method: str, path: str) -> Found:
        """The route, the decoded path parameters, and for another method what is allowed."""
        match = self._router.match(method, path)
        if match is None or match.target is None:
            return None, {}, match.allow if match else ()
        found = match.target, match.target.operation.path_values(match.values, path), ()
        if len(path) <= _REMEMBERED_LENGTH:
            if len(self._found) >= _REMEMBERED:
                self._found.clear()
            self._found[method, path] = found
        return found

    def _journalled(self, org: Org, exchange: Exchange, reply: Reply, started: int) -> None:
        exchange.id = org.journal.next_id()
        reply.headers += (("sandbox-exchange", str(exchange.id)),)
        exchange.set_reply(reply)
        exchange.nanoseconds = perf_counter_ns() - started
        org.journal.add(exchange)
        if exchange.changes or exchange.events:
            self._orgs.tell(org, exchange, exchange.delivery_fault, reply.delay)
            if org.state.next_due <= exchange.at:  # it was over already when it was stored
                self._orgs.pass_time(org, exchange.at)

    def _admit(self, route: Route, request: Request, call: Call) -> Grant | str:
        return self._authenticator.check(
            route.operation,
            request,
            call.org,
            route.contract.vendor,
            route.document.base_path,
            call.named_tenant,
            call.now,
        )

    def _nearest(self, path: str) -> tuple[Contract | None, Document | None]:
        """The document whose paths share most of their first segments with a path that has no operation."""
        segments = path.split("/")[1:]
        best: tuple[Contract | None, Document | None] = (None, None)
        most = 0
        for contract, document in self._documents:
            for operation in document.operations:
                shared = 0
                for mine, theirs in zip(segments, operation.template.split("/")[1:], strict=False):
                    if mine != theirs and not theirs.startswith("{"):
                        break
                    shared += mine == theirs
                if shared > most:
                    best, most = (contract, document), shared
        return best

    def _named_elsewhere(self, document: Document | None, request: Request) -> str | None:
        """The org by what the vendor's request says outside its path."""
        for source in document.org_sources if document else ():
            name: str | None = None
            if source == "token":
                name = self._authenticator.token_org(request)
            elif source == "host":
                label = _FIRST_LABEL.match(request.fields.get(b"host", b""))
                name = label[1].decode() if label else None
            elif source.startswith("header."):
                said = request.header(source.removeprefix("header.").lower().encode())
                name = said.rpartition(",")[2].strip() if said else None  # the last, where it came several times
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
    return unmatched(exchange.request, contract, document, allow, exchange)


def _cors(request: Request) -> tuple[tuple[str, str], ...]:
    return _CORS if b"origin" in request.fields else _VARY


def _without_org(reply: Reply, document: Document | None, request: Request) -> Reply:
    """An answer that no journal has, since there is no org."""
    if document is not None and document.cors:
        reply.headers += _cors(request)
    return reply


def _last(pairs_text: str, name: str) -> str | None:
    """The last value of a name in a query or a form."""
    return parse_form(pairs_text, []).get(name, [None])[-1]


def _in_form(request: Request, field: str, word: str | None = None) -> str | None:
    """A field of a form, or what stands after `word=` in a field of several words."""
    if not request.fields.get(b"content-type", b"").lower().startswith(b"application/x-www-form-urlencoded"):
        return None
    text = _last(request.body.decode("utf-8", "replace"), field)
    if text is None or word is None:
        return text
    return next((part.partition("=")[2] for part in text.split() if part.startswith(f"{word}=")), None)


def _take_prefix(request: Request) -> str:
    """The org of a path `/~{org}/…`; the path goes on without it."""
    name, _, rest = request.path[2:].partition("/")
    request.prefix = f"/~{name}"
    name = _decoded(name)
    request.path = f"/{rest}"
    return name


def _tenant(document: Document, request: Request) -> str | None:
    """The org by the name the vendor's own path gives it, where the path matched no operation."""
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
