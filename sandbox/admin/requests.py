"""The journal, asked: exchanges by what they were, and the events they told."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from sandbox.admin.explaining import Explainer
from sandbox.admin.har import har
from sandbox.admin.operations import Operations
from sandbox.admin.writing import entry_events, exchange_json
from sandbox.call import Call
from sandbox.journal import Exchange
from sandbox.messages import Reply, decode
from sandbox.rules import Rules

_DIGITS = 19  # of an id at most; Python would refuse to read thousands


class RequestOperations(Operations):
    @cached_property
    def _explainer(self) -> Explainer:
        return Explainer(self.contracts)

    def bind(self, rules: Rules) -> None:
        rules.operation("listRequests")(self._list_requests)
        rules.operation("getRequestsHar")(self._get_har)
        rules.operation("clearRequests")(self._clear_requests)
        rules.operation("countRequests")(self._count_requests)
        rules.operation("getRequest")(self._get_request)
        rules.operation("listEvents")(self._list_events)

    def _list_requests(self, call: Call) -> Reply:
        org, criteria = self.known(call), self.criteria(call, call.query)
        found = [exchange for exchange in org.journal.exchanges() if meets(exchange, criteria)]
        newest = found[-call.query["limit"] :][::-1]
        return call.reply(
            {
                "total": len(found),
                "dropped": org.journal.dropped,
                "requests": [exchange_json(org.name, exchange, self._explainer) for exchange in newest],
            }
        )

    def _get_har(self, call: Call) -> Reply:
        exchanges, criteria = self.known(call).journal.exchanges(), self.criteria(call, call.query)
        found = [exchange for exchange in exchanges if meets(exchange, criteria)]
        return call.reply(har(found[-call.query["limit"] :], self._explainer))

    def _clear_requests(self, call: Call) -> Reply:
        self.orgs.clear_journal(self.known(call))
        return call.reply()

    def _count_requests(self, call: Call) -> Reply:
        exchanges, criteria = self.known(call).journal.exchanges(), self.criteria(call, call.body)
        return call.reply({"count": sum(meets(exchange, criteria) for exchange in exchanges)})

    def _get_request(self, call: Call) -> Reply:
        org, id = self.known(call), call.path["id"]
        exchange = org.journal.find(int(id)) if id.isascii() and id.isdigit() and len(id) <= _DIGITS else None
        if exchange is None:
            call.reject("unknown-request", f"The journal of {org.name} has no exchange {id[:50]}.")
        return call.reply(exchange_json(org.name, exchange, self._explainer))

    def _list_events(self, call: Call) -> Reply:
        wanted = call.query.get("name")
        self.meant(call, "callback", wanted, self.callbacks)
        events = [event for entry in self.known(call).journal.entries() for event in entry_events(entry)]
        return call.reply({"events": [event for event in events if wanted in (None, event["event"])]})


def meets(exchange: Exchange, criteria: dict[str, Any]) -> bool:
    """Whether an exchange meets all the criteria that are given."""
    has = {
        "operation": exchange.operation,
        "status": exchange.status,
        "rejection": exchange.rejection,
        "rejected": exchange.rejection is not None,
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
