"""The journal followed live, of one org or of all, by the filters of the list of requests."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial

from sandbox.admin.explaining import Explainer
from sandbox.admin.live import Live, Wish
from sandbox.admin.operations import Operations
from sandbox.admin.requests import meets
from sandbox.admin.writing import exchange_json
from sandbox.call import Call
from sandbox.journal import Exchange
from sandbox.messages import Reply
from sandbox.rules import Doc, Rules

MAX_LISTENERS = 100


class StreamOperations(Operations):
    @cached_property
    def live(self) -> Live:
        return Live(self.orgs)

    @cached_property
    def _write(self) -> Callable[[str, Exchange], Doc]:
        return partial(exchange_json, explainer=Explainer(self.contracts))

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
        criteria, follow = self.criteria(call, dict(call.query)), call.query["follow"]
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
