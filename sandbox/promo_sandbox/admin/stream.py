"""Follow the journal of one org or of all, with the same filters as the list of requests."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial

from promo_sandbox.admin.explanations import Explainer
from promo_sandbox.admin.journal_json import exchange_json
from promo_sandbox.admin.live_feed import FeedOptions, LiveFeed
from promo_sandbox.admin.requests import matches
from promo_sandbox.admin.shared import Operations
from promo_sandbox.base.messages import Reply
from promo_sandbox.model.call import Call
from promo_sandbox.model.journal import Exchange
from promo_sandbox.model.rules import Rules
from promo_sandbox.model.state import Doc

MAX_LISTENERS = 100


class StreamOperations(Operations):
    @cached_property
    def feed(self) -> LiveFeed:
        return LiveFeed(self.orgs)

    @cached_property
    def _to_json(self) -> Callable[[str, Exchange], Doc]:
        return partial(exchange_json, explainer=Explainer(self.contracts))

    def bind(self, rules: Rules) -> None:
        rules.operation("streamRequests")(self._stream_org)
        rules.operation("streamAllRequests")(self._stream_all)

    def _stream_org(self, call: Call) -> Reply:
        return self._stream(call, self.existing_org(call).name, exchange_ids=True)

    def _stream_all(self, call: Call) -> Reply:
        return self._stream(call, call.query.get("org"), exchange_ids=False)

    def _stream(self, call: Call, org: str | None, *, exchange_ids: bool) -> Reply:
        if len(self.feed.listeners) >= MAX_LISTENERS:
            call.reject("too-many-listeners")
        criteria, follow = self.checked_criteria(call, dict(call.query)), call.query["follow"]
        last_event_id = call.headers.get("Last-Event-ID") or None
        options = FeedOptions(
            org=org,
            exchange_ids=exchange_ids,
            matches=lambda exchange: matches(exchange, criteria),
            to_json=self._to_json,
            follow=follow,
            replay=last_event_id is None and ("since" in criteria or not follow),
            last_event_id=last_event_id,
        )
        reply = call.reply("", headers=(("cache-control", "no-store"),))
        reply.stream = self.feed.listener(options).events()
        return reply
