"""The operations of `specs/sandbox/admin.yaml`, served by the same engine as a vendor's, without a journal.

Shapes of requests and replies are in that spec; every error is an RFC 9457 problem with the violations in `errors`.
"""

from __future__ import annotations

import difflib
import hmac
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

from sandbox import __version__, auth, clock
from sandbox.admin.writing import entry_events, exchange_json, occurrence_json
from sandbox.answers import answer, unmatched
from sandbox.auth import Gate, Grant
from sandbox.call import Call
from sandbox.contract import Contract, Route, router
from sandbox.journal import Exchange
from sandbox.messages import Reply, Request, Violation, decode
from sandbox.openapi.document import Document
from sandbox.orgs import MAX_NAME, Org, Orgs, TooManyOrgs, Unacceptable
from sandbox.rules import Doc, Refusal, Rules
from sandbox.state import State

BASE = "/__admin"


class Admin:
    """Answers the requests below `/__admin`."""

    def __init__(self, spec: Path, contracts: list[Contract], orgs: Orgs, gate: Gate, token: str | None) -> None:
        self.document = Document(spec)
        self._contracts = contracts
        self._orgs = orgs
        self._gate = gate
        self._token = token
        self._contract = Contract([self.document], self._rules())
        self._router = router([self._contract])

    def handle(self, request: Request) -> Reply:
        match = self._router.match(request.method, request.path)
        exchange = Exchange(0, request)  # for what the engine says on the way; it is not kept
        if match is None or match.target is None:
            return unmatched(request, self._contract, self.document, match.allow if match else (), exchange)
        call = Call("", State(), self._contract.rules, 0, self._gate, self._contract)
        path = match.target.operation.path_values(match.values, request.path)
        return answer(match.target, request, call, path, self._admit, exchange)

    def _admit(self, route: Route, request: Request, call: Call) -> Grant | str:  # noqa: ARG002 - the shape of `Admit`
        if self._token is None or not route.operation.security:
            return auth.ANYBODY
        scheme, _, given = (request.header(b"authorization") or "").partition(" ")
        if not scheme:
            return auth.MISSING
        right = scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self._token.encode())
        return auth.ANYBODY if right else auth.INVALID

    def _rules(self) -> Rules:
        rules = Rules("sandbox")
        rules.word(_worded)
        for operation_id, rule in (
            ("getHealth", self._health),
            ("getVersion", self._version),
            ("listOrgs", self._list_orgs),
            ("getOrg", self._get_org),
            ("forgetOrg", self._forget_org),
            ("resetOrg", self._reset_org),
            ("getClock", self._get_clock),
            ("setClock", self._set_clock),
            ("advanceClock", self._advance_clock),
            ("getState", self._get_state),
            ("putState", self._put_state),
            ("seedOrg", self._seed),
            ("listRequests", self._list_requests),
            ("clearRequests", self._clear_requests),
            ("countRequests", self._count_requests),
            ("getRequest", self._get_request),
            ("listEvents", self._list_events),
            ("issueToken", self._issue_token),
            ("armNext", self._arm_next),
            ("listNext", self._list_next),
            ("disarmNext", self._disarm_next),
        ):
            rules.operation(operation_id)(rule)
        return rules

    def _health(self, call: Call) -> Reply:
        return call.reply({"status": "healthy", "version": __version__})

    def _version(self, call: Call) -> Reply:
        specs = [
            {
                "name": document.name,
                "title": document.title,
                "version": document.raw["info"]["version"],
                "base": document.base,
                "operations": len(document.operations),
            }
            for contract in self._contracts
            for document in contract.documents
        ]
        return call.reply({"version": __version__, "specs": specs})

    def _list_orgs(self, call: Call) -> Reply:
        after = call.query.get("after", "")
        later = (org for org in self._orgs if org.name > after)
        return call.reply(
            {"total": len(self._orgs), "orgs": [_org_json(org) for org in islice(later, call.query["limit"])]}
        )

    def _get_org(self, call: Call) -> Reply:
        return call.reply(_org_json(self._known(call)))

    def _forget_org(self, call: Call) -> Reply:
        self._orgs.forget(self._known(call).name)
        return call.reply()

    def _reset_org(self, call: Call) -> Reply:
        self._orgs.reset(self._made(call))
        return call.reply()

    def _get_clock(self, call: Call) -> Reply:
        return call.reply(_clock_json(self._known(call)))

    def _set_clock(self, call: Call) -> Reply:
        org = self._made(call)
        if "now" in call.body:
            org.clock.set(self._moment(call, call.body["now"]))
        if call.body.get("frozen", org.clock.frozen):
            org.clock.freeze()
        else:
            org.clock.run()
        self._orgs.pass_time(org, org.clock.now())
        return call.reply(_clock_json(org))

    def _advance_clock(self, call: Call) -> Reply:
        org = self._made(call)
        now = org.clock.now()
        if "to" in call.body:
            moment = self._moment(call, call.body["to"])
            if moment < now:
                call.reject(
                    "no-such-time", f"The clock stands at {clock.text(now)} and cannot advance backwards; set it."
                )
        else:
            try:
                moment = clock.later(now, call.body["by"])
            except ValueError as error:
                call.reject("no-such-time", str(error))
        happened = self._orgs.pass_time(org, moment)
        org.clock.set(moment)
        return call.reply({**_clock_json(org), "happened": [occurrence_json(occurrence) for occurrence in happened]})

    def _get_state(self, call: Call) -> Reply:
        org = self._known(call)
        self._orgs.pass_time(org, org.clock.now())
        return call.reply(self._state_json(org))

    def _put_state(self, call: Call) -> Reply:
        org = self._made(call)
        moment = self._moment(call, call.body["now"]) if "now" in call.body else None
        documents = {
            vendor: {name: [self._entry(call, entry) for entry in entries] for name, entries in collections.items()}
            for vendor, collections in call.body["documents"].items()
        }
        try:
            self._orgs.restore(org, documents, int(call.body.get("sequence", 0)))
        except Unacceptable as unacceptable:
            self._refuse_documents(call, unacceptable)
        if moment is not None:
            org.clock.set(moment)
        if "frozen" in call.body:
            (org.clock.freeze if call.body["frozen"] else org.clock.run)()
        return call.reply(self._state_json(org))

    def _entry(self, call: Call, entry: Doc) -> tuple[Doc, int | None, int | None]:
        created = self._moment(call, entry["created"]) if "created" in entry else None
        return entry["document"], created, int(entry["place"]) if "place" in entry else None

    def _seed(self, call: Call) -> Reply:
        try:
            return call.reply(self._orgs.seed(self._made(call), call.body))
        except Unacceptable as unacceptable:
            self._refuse_documents(call, unacceptable)
            raise

    def _refuse_documents(self, call: Call, unacceptable: Unacceptable) -> None:
        violations = unacceptable.violations
        call.reject("unacceptable-documents", str(unacceptable), errors=_errors(violations))

    def _list_requests(self, call: Call) -> Reply:
        org = self._known(call)
        found = [exchange for exchange in org.journal.exchanges() if _meets(exchange, call.query)]
        newest = found[-call.query["limit"] :][::-1]
        return call.reply(
            {
                "total": len(found),
                "dropped": org.journal.dropped,
                "requests": [exchange_json(exchange) for exchange in newest],
            }
        )

    def _clear_requests(self, call: Call) -> Reply:
        self._orgs.clear_journal(self._known(call))
        return call.reply()

    def _count_requests(self, call: Call) -> Reply:
        exchanges = self._known(call).journal.exchanges()
        return call.reply({"count": sum(_meets(exchange, call.body) for exchange in exchanges)})

    def _get_request(self, call: Call) -> Reply:
        org, id = self._known(call), call.path["id"]
        exchange = org.journal.find(int(id)) if id.isascii() and id.isdigit() and len(id) < 20 else None  # noqa: PLR2004
        if exchange is None:
            call.reject("unknown-request", f"The journal of {org.name} has no exchange {id[:50]}.")
        return call.reply(exchange_json(exchange))

    def _list_events(self, call: Call) -> Reply:
        wanted = call.query.get("name")
        events = [event for entry in self._known(call).journal.entries() for event in entry_events(entry)]
        return call.reply({"events": [event for event in events if wanted in (None, event["event"])]})

    def _issue_token(self, call: Call) -> Reply:
        vendor = call.body["vendor"]
        if vendor not in {contract.vendor for contract in self._contracts}:
            vendors = ", ".join(contract.vendor for contract in self._contracts)
            call.reject("unknown-vendor", f"There is no vendor {vendor[:100]}; there are {vendors}.")
        org = self._made(call)
        now, seconds = org.clock.now(), int(call.body.get("expires_in", 3600))
        org.state.sequence += 1
        token = self._gate.issue(
            org=org.name,
            vendor=vendor,
            tenant=call.body.get("tenant"),
            scopes=call.body.get("scopes"),
            customer=call.body.get("customer"),
            claims=call.body.get("claims"),
            issued=now,
            expires=now + seconds * clock.SECOND,
            number=org.state.sequence,
        )
        return call.reply({"access_token": token, "expires_in": seconds})

    def _arm_next(self, call: Call) -> Reply:
        wanted, name = call.body["operation"], call.body["then"]["reject"]
        routes = {route.operation.id: route for contract in self._contracts for route in contract.routes()}
        if wanted not in routes:
            call.reject("unknown-operation", f"There is no operation {wanted[:100]}{_near(wanted, routes)}")
        org = self._orgs.known(self._name(call))  # what is refused makes no org
        state = org.state if org else State()
        known = routes[wanted].contract.in_force(routes[wanted], state).operation.rejections
        if name not in known:
            call.reject("unknown-rejection", f"{wanted} is never refused as {name[:100]}{_near(name, known)}")
        state = self._made(call).state
        state.arm(wanted, [name] * int(call.body.get("times", 1)))
        return call.reply(_armed_json(state))

    def _list_next(self, call: Call) -> Reply:
        return call.reply(_armed_json(self._known(call).state))

    def _disarm_next(self, call: Call) -> Reply:
        self._known(call).state.armed = None
        return call.reply()

    def _name(self, call: Call) -> str:
        name = call.path["org"]
        if len(name) > MAX_NAME:
            call.reject("org-name-too-long")
        return name

    def _known(self, call: Call) -> Org:
        name = self._name(call)
        org = self._orgs.known(name)
        if org is None:
            near = self._orgs.near(name)
            hint = f"; did you mean {' or '.join(near)}?" if near else "."
            call.reject("unknown-org", f"No request has named an org {name}{hint}")
        return org

    def _made(self, call: Call) -> Org:
        try:
            return self._orgs.get(self._name(call))
        except TooManyOrgs:
            call.reject("too-many-orgs")

    def _moment(self, call: Call, text: str) -> int:
        moment = clock.parse(text)
        if not 0 <= moment <= clock.LATEST:
            call.reject("invalid-request", f"{text} is not between 1970 and 9999.")
        return moment

    def _state_json(self, org: Org) -> Doc:
        documents = {
            vendor: {
                name: [
                    {"document": doc, "created": clock.text(created), "place": place} for doc, created, place in entries
                ]
                for name, entries in collections.items()
            }
            for vendor, collections in self._orgs.documents(org).items()
        }
        return {**_clock_json(org), "sequence": org.state.sequence, "documents": documents}


def _worded(refusal: Refusal) -> Doc:
    body: Doc = dict(refusal.rejection.value)
    if refusal.violations:
        body["detail"] = "; ".join(map(str, refusal.violations))
        body["errors"] = _errors(refusal.violations)
    elif refusal.detail:
        body["detail"] = refusal.detail
    return body


def _errors(violations: list[Violation]) -> list[Doc]:
    return [{"detail": violation.message, "pointer": violation.where} for violation in violations]


def _near(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]}?" if near else "."


def _armed_json(state: State) -> Doc:
    armed = state.armed or {}
    return {"armed": [{"operation": operation, "reject": name} for operation, names in armed.items() for name in names]}


def _org_json(org: Org) -> Doc:
    requests = sum(1 for _ in org.journal.exchanges())
    return {"name": org.name, **_clock_json(org), "documents": org.state.count, "requests": requests}


def _clock_json(org: Org) -> Doc:
    return {"now": clock.text(org.clock.now()), "frozen": org.clock.frozen}


def _meets(exchange: Exchange, criteria: dict[str, Any]) -> bool:
    """Whether an exchange meets all the criteria that are given."""
    has = {
        "operation": exchange.operation,
        "status": exchange.status,
        "rejection": exchange.rejection,
        "unmatched": exchange.operation is None,
        "defect": exchange.defect is not None,
    }
    if any(criteria[name] != value for name, value in has.items() if name in criteria):
        return False
    if exchange.id <= criteria.get("since", 0):
        return False
    return "body" not in criteria or _contains(exchange.request.body, criteria["body"])


def _contains(body: bytes, part: Any) -> bool:
    try:
        return _includes(decode(body), part)
    except ValueError:
        return bool(body.decode("utf-8", "replace") == part)


def _includes(whole: Any, part: Any) -> bool:
    if isinstance(whole, dict) and isinstance(part, dict):
        return all(name in whole and _includes(whole[name], value) for name, value in part.items())
    return isinstance(whole, bool) == isinstance(part, bool) and bool(whole == part)  # in Python 1 equals True
