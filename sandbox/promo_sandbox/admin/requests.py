"""Recorded exchanges, found by filters, and their events."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from promo_sandbox.admin.explanations import Explainer
from promo_sandbox.admin.har import entries, har
from promo_sandbox.admin.journal_json import entry_events, exchange_json
from promo_sandbox.admin.shared import Operations, parse_id
from promo_sandbox.base.messages import Reply, decode
from promo_sandbox.base.slices import Work
from promo_sandbox.engine.orgs import Org
from promo_sandbox.model.call import Call
from promo_sandbox.model.journal import Exchange
from promo_sandbox.model.rules import Rules


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
        org, criteria = self.existing_org(call), self.checked_criteria(call, call.query)
        dropped = org.journal.dropped

        def work() -> Work[Reply]:
            found = yield from _find(org, criteria)
            newest = (exchange_json(org.name, it, self._explainer) for it in found[-call.query["limit"] :][::-1])
            head = {"total": len(found), "dropped": dropped}
            return call.reply_all(newest, within=lambda requests: {**head, "requests": requests})

        return call.reply_later(work())

    def _get_har(self, call: Call) -> Reply:
        org, criteria = self.existing_org(call), self.checked_criteria(call, call.query)

        def work() -> Work[Reply]:
            found = yield from _find(org, criteria)
            return call.reply_all(entries(found[-call.query["limit"] :], self._explainer), within=har)

        return call.reply_later(work())

    def _clear_requests(self, call: Call) -> Reply:
        self.orgs.clear_journal(self.existing_org(call))
        return call.reply()

    def _count_requests(self, call: Call) -> Reply:
        org, criteria = self.existing_org(call), self.checked_criteria(call, call.body)

        def work() -> Work[Reply]:
            found = yield from _find(org, criteria)
            return call.reply({"count": len(found)})

        return call.reply_later(work())

    def _get_request(self, call: Call) -> Reply:
        org, id = self.existing_org(call), call.path["id"]
        number = parse_id(id)
        exchange = org.journal.find(number) if number is not None else None
        if exchange is None:
            call.reject("unknown-request", f"The journal of {org.name} has no exchange {id[:50]}.")
        return call.reply(exchange_json(org.name, exchange, self._explainer))

    def _list_events(self, call: Call) -> Reply:
        name = call.query.get("name")
        self.check_name(call, "callback", name, self.callbacks)
        entries = list(self.existing_org(call).journal.entries())
        events = (event for entry in entries for event in entry_events(entry) if name in (None, event["event"]))
        return call.reply_all(events, within=lambda events: {"events": events})


def _find(org: Org, criteria: dict[str, Any]) -> Work[list[Exchange]]:
    """The recorded exchanges that match all criteria, oldest first."""
    found = []
    for exchange in list(org.journal.exchanges()):
        if matches(exchange, criteria):
            found.append(exchange)
        yield
    return found


def matches(exchange: Exchange, criteria: dict[str, Any]) -> bool:
    """Whether an exchange matches all criteria."""
    actual = {
        "operation": exchange.operation,
        "status": exchange.status,
        "rejection": exchange.rejection,
        "rejected": exchange.rejection is not None,
        "unmatched": exchange.operation is None,
        "internal_error": exchange.internal_error is not None,
    }
    if any(criteria[name] != value for name, value in actual.items() if name in criteria):
        return False
    if exchange.id <= criteria.get("since", 0):
        return False
    return "body" not in criteria or _contains(exchange.request.body, criteria["body"])


def _contains(body: bytes, part: Any) -> bool:
    try:
        return _includes_part(decode(body), part)
    except ValueError:
        return bool(body.decode("utf-8", "replace") == part)


def _includes_part(whole: Any, part: Any) -> bool:
    if isinstance(whole, dict) and isinstance(part, dict):
        return all(name in whole and _includes_part(whole[name], value) for name, value in part.items())
    return isinstance(whole, bool) == isinstance(part, bool) and bool(whole == part)  # 1 == True in Python
