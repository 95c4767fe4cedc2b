"""The journal followed live, of one org or of all, by the filters of the list of requests."""

from __future__ import annotations

from functools import partial

from sandbox.admin.explaining import Explainer
from sandbox.admin.live import Live, Wish
from sandbox.admin.operations import Operations
from sandbox.admin.requests import meets
from sandbox.admin.writing import exchange_json
from sandbox.auth import Gate
from sandbox.call import Call
from sandbox.contract import Contract
from sandbox.library import Library
from sandbox.messages import Reply
from sandbox.orgs import Orgs
from sandbox.rules import Rules

MAX_LISTENERS = 100


class StreamOperations(Operations):
    def __init__(self, contracts: list[Contract], orgs: Orgs, gate: Gate, library: Library) -> None:
        super().__init__(contracts, orgs, gate, library)
        self._write = partial(exchange_json, explainer=Explainer(contracts))
        self.live = Live(orgs)

    def bind(self, rules: Rules) -> None:
        rules.operation("streamRequests")(self._stream_org)
        rules.operation("streamAllRequests")(self._stream_all)

    def _stream_org(self, call: Call) -> Reply:
        return self._stream(call, self.known(call).name, ids=True)

    def _stream_all(self, call: Call) -> Reply:
        return self._stream(call, call.query.get("org"), ids=False)

    def _stream(self, call: Call, org: str | None, *, ids: bool) -> Reply:
        if len(self.live.listeners) >= MAX_LISTENERS:
            call.reject("too-many-listeners")
        criteria, follow = dict(call.query), call.query["follow"]
        after = call.headers.get("Last-Event-ID") or None
        wish = Wish(
            org=org,
            ids=ids,
            wanted=lambda exchange: meets(exchange, criteria),
            write=self._write,
            follow=follow,
            everything=after is None and ("since" in criteria or not follow),
            after=after,
        )
        reply = call.reply("", headers=(("cache-control", "no-store"),))
        reply.stream = self.live.listener(wish).events()
        return reply
