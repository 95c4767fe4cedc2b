"""The admin API: the operations of `specs/sandbox/admin.yaml`, run by the same engine as a vendor's, without a journal.

That spec defines requests and replies. Every error response is an RFC 9457 problem with the violations in `errors`.
"""

from __future__ import annotations

import hmac
from pathlib import Path

from promo_sandbox import __version__
from promo_sandbox.admin.coverage import CoverageOperations
from promo_sandbox.admin.documents import DocumentOperations
from promo_sandbox.admin.exports import ExportOperations
from promo_sandbox.admin.guard import Guard
from promo_sandbox.admin.orgs import OrgOperations
from promo_sandbox.admin.requests import RequestOperations
from promo_sandbox.admin.scenarios import ScenarioOperations
from promo_sandbox.admin.shared import Operations, errors_json
from promo_sandbox.admin.snapshots import SnapshotOperations
from promo_sandbox.admin.stream import StreamOperations
from promo_sandbox.admin.triggers import TriggerOperations
from promo_sandbox.admin.webhooks import WebhookOperations
from promo_sandbox.admin.yaml_bodies import AT_ONCE, answer_later, is_slow
from promo_sandbox.base.errors import SandboxError
from promo_sandbox.base.messages import BodyProblem, Reply, Request
from promo_sandbox.engine.execution import execute, transport_error, unmatched_reply
from promo_sandbox.engine.orgs import Orgs
from promo_sandbox.engine.scenario_catalogue import ScenarioCatalogue
from promo_sandbox.model import auth
from promo_sandbox.model.auth import Authenticator, Grant
from promo_sandbox.model.call import Call
from promo_sandbox.model.contract import Contract, Route, router
from promo_sandbox.model.journal import Exchange
from promo_sandbox.model.rules import RejectionContext, Rules
from promo_sandbox.model.state import Doc, State
from promo_sandbox.openapi.document import Document
from promo_sandbox.openapi.operation import UnreadableBody

BASE = "/__admin"
_FORBIDDEN = 403
_OPERATIONS: tuple[type[Operations], ...] = (
    OrgOperations,
    DocumentOperations,
    ExportOperations,
    RequestOperations,
    ScenarioOperations,
    SnapshotOperations,
    StreamOperations,
    TriggerOperations,
    CoverageOperations,
    WebhookOperations,
)


class Admin:
    """Answers the requests below `/__admin`."""

    def __init__(
        self,
        spec: Path,
        contracts: list[Contract],
        orgs: Orgs,
        authenticator: Authenticator,
        token: str | None,
        catalogue: ScenarioCatalogue,
        *,
        guard: Guard,
    ) -> None:
        self.document = Document(spec)
        self._contracts = contracts
        self._authenticator = authenticator
        self._token = _check_token(token)
        self._guard = guard
        self._contract = Contract([self.document], self._rules(orgs, authenticator, catalogue))
        self._router = router([self._contract])

    def handle(self, request: Request) -> Reply:
        reason = self._guard.rejection(request)
        if reason is not None:
            return transport_error(self.document, self._contract, _FORBIDDEN, reason, Exchange(0, request))
        match = self._router.match(request.method, request.path)
        exchange = Exchange(0, request)  # the engine needs one; it is not recorded
        if match is None or match.target is None:
            return unmatched_reply(request, self._contract, self.document, match.allow if match else (), exchange)
        call = Call("", State(), self._contract.rules, 0, self._authenticator, self._contract)
        path = match.target.operation.path_values(match.values, request.path)
        route = match.target
        if len(request.body) > AT_ONCE and is_slow(request):
            return answer_later(
                route, request, call, self._admit, lambda admit: execute(route, request, call, path, admit, exchange)
            )
        return execute(route, request, call, path, self._admit, exchange)

    def _admit(self, route: Route, request: Request, call: Call) -> Grant | str:  # noqa: ARG002 - the signature of `Admit`
        """Raises `UnreadableBody` for a body without a Content-Type, which any web page can make a browser send."""
        if self._token is not None and route.operation.security:
            scheme, _, given = request.fields.get(b"authorization", b"").partition(b" ")
            if not scheme:
                return auth.MISSING
            if scheme.lower() != b"bearer" or not hmac.compare_digest(given.strip(), self._token.encode()):
                return auth.INVALID
        if request.body and b"content-type" not in request.fields:
            raise UnreadableBody(BodyProblem(415, "The body has no Content-Type; send application/json."))
        return auth.UNRESTRICTED

    def _rules(self, orgs: Orgs, authenticator: Authenticator, catalogue: ScenarioCatalogue) -> Rules:
        rules = Rules("sandbox")
        rules.error_body(_error_body)
        rules.operation("getHealth")(self._health)
        rules.operation("getVersion")(self._version)
        for operations in _OPERATIONS:
            operations(self._contracts, orgs, authenticator, catalogue).bind(rules)
        return rules

    def _health(self, call: Call) -> Reply:
        return call.reply({"status": "healthy", "version": __version__})

    def _version(self, call: Call) -> Reply:
        specs = [
            {
                "name": document.name,
                "title": document.title,
                "version": document.raw["info"]["version"],
                "base": document.base_path,
                "operations": len(document.operations),
            }
            for contract in self._contracts
            for document in contract.documents
        ]
        return call.reply({"version": __version__, "specs": specs})


def _check_token(token: str | None) -> str | None:
    """Raises `SandboxError` for a token that some client cannot send in a header. The message does not contain it."""
    if token is not None and not (token.isascii() and token.isprintable() and token and " " not in token):
        raise SandboxError("the admin token must not be empty, and must be printable ASCII without spaces")
    return token


def _error_body(context: RejectionContext) -> Doc:
    body: Doc = dict(context.rejection.value)
    if context.violations:
        body["detail"] = "; ".join(map(str, context.violations))
        body["errors"] = errors_json(context.violations)
    elif context.detail:
        body["detail"] = context.detail
    return body
