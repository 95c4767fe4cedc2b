"""The journal followed live, of one org or of all, by the filters of the list of requests."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial

from promo_sandbox.admin.explanations import Explainer
from promo_sandbox.admin.journal_json import exchange_json
from promo_sandbox.admin.live_feed import Live, Wish
from promo_sandbox.admin.requests import meets
from promo_sandbox.admin.shared import Operations
from promo_sandbox.base.messages import Reply
from promo_sandbox.model.call import Call
from promo_sandbox.model.journal import Exchange
from promo_sandbox.model.rules import Rules
from promo_sandbox.model.state import Doc

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
