"""Reads the `then` of a step or a trigger, checks it against the operations it is for, and compiles it to `Effects`."""

from __future__ import annotations

import http
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from promo_sandbox.base import clock
from promo_sandbox.base.document_errors import Flaws, Place, shortened, suggestion
from promo_sandbox.base.messages import encode
from promo_sandbox.model.contract import Contract, Route
from promo_sandbox.model.effects import DeliveryFault, Effects, Fault, ScriptedEvent, ScriptedReply, Throttle
from promo_sandbox.openapi.operation import Operation

MAX_DELAY = 300  # seconds
_SHORT = re.compile(r"(\d{1,9})(?:\.(\d{1,3}))?(ms|s)", re.ASCII)
_COMBINABLE = ("delay", "webhook")  # allowed together with another effect
_WITHOUT_CALL = ("advance", "emit")  # allowed in a step without operation only
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)
_HEADER_VALUE = re.compile(r"[\x20-\x7e\t\xa0-\xff]*")
_SET_BY_SERVER = {"connection", "content-length", "transfer-encoding", "date", "keep-alive", "upgrade", "trailer", "te"}
_BODYLESS = (204, 205, 304)
_MAX_SECONDS = 1_000_000_000


class EffectsReader:
    """Compiles effects, and adds their mistakes to `flaws`."""

    def __init__(self, contracts: Iterable[Contract], flaws: Flaws) -> None:
        self._contracts = list(contracts)
        self._flaws = flaws

    def for_calls(self, raw: Mapping[str, Any], routes: list[Route], place: Place) -> Effects:
        """The effects on a call of any of these operations."""
        effects = [name for name in raw if name not in _COMBINABLE]
        if len(effects) > 1:
            self._flaws.add(place, f"must have one effect besides delay and webhook, not {' and '.join(effects)}")
        if "webhook" in raw and ("reject" in raw or "reply" in raw or raw.get("cut") == "before"):
            self._flaws.add((*place, "webhook"), "needs a reply of the rule, because only the rule sends events")
        for name in _WITHOUT_CALL:
            if name in raw:
                self._flaws.add((*place, name), "is only allowed in a step without operation")
        if "reject" in raw:
            self._validate_reject(raw["reject"], routes, (*place, "reject"))
        reply = self._reply(raw["reply"], routes, (*place, "reply")) if "reply" in raw else None
        if raw.get("corrupt") and all(route.operation.success_media is None for route in routes):
            self._flaws.add((*place, "corrupt"), f"{routes[0].operation.id} has no body to corrupt")
        delay, cut, corrupt = self._delay(raw, place), raw.get("cut"), raw.get("corrupt", False)
        fault = Fault(delay, cut, corrupt) if delay or cut or corrupt else None
        throttle = self._throttle(raw["throttle"], (*place, "throttle")) if "throttle" in raw else None
        delivery_fault = self._delivery_fault(raw, place)
        return Effects(dict(raw), fault, raw.get("reject"), reply, throttle, delivery_fault=delivery_fault)

    def for_events(self, raw: Mapping[str, Any], place: Place) -> Effects:
        """The effects on the deliveries of events."""
        for name in raw.keys() - {"webhook"}:
            self._flaws.add((*place, name), "is only allowed for calls; events have `webhook`")
        return Effects(dict(raw), delivery_fault=self._delivery_fault(raw, place))

    def without_call(self, raw: Mapping[str, Any], place: Place) -> Effects:
        """The effects of a step without operation."""
        for name in raw.keys() - {"advance", "emit", "delay", "webhook"}:
            self._flaws.add((*place, name), "needs a step with an operation")
        if "webhook" in raw and "emit" not in raw:
            self._flaws.add((*place, "webhook"), "needs an operation or `emit`")
        elif len(raw) - ("webhook" in raw) != 1:
            self._flaws.add(place, "must be one of advance, emit and delay, because the step has no operation")
        advance = raw.get("advance")
        if advance is not None and self._duration(advance, (*place, "advance")) and not advance.startswith("P"):
            seconds, rest = divmod(duration(advance), clock.SECOND)
            advance = f"PT{seconds}.{rest:09}S"
        pause = self._duration(raw["delay"], (*place, "delay")) if "delay" in raw else None
        event = self._event(raw["emit"], (*place, "emit")) if "emit" in raw else None
        fault = self._delivery_fault(raw, place)
        return Effects(dict(raw), pause=pause, advance=advance, scripted_event=event, delivery_fault=fault)

    def _delay(self, raw: Mapping[str, Any], place: Place) -> float:
        if "delay" not in raw:
            return 0.0
        seconds = self._duration(raw["delay"], (*place, "delay")) / clock.SECOND
        if seconds > MAX_DELAY:
            self._flaws.add((*place, "delay"), f"is at most {MAX_DELAY} s")
        return seconds

    def _duration(self, written: Any, place: Place) -> int:
        try:
            return duration(written)
        except ValueError as error:
            self._flaws.add(place, str(error))
            return 0

    def _delivery_fault(self, raw: Mapping[str, Any], place: Place) -> DeliveryFault | None:
        if "webhook" not in raw:
            return None
        fault = raw["webhook"]
        if isinstance(fault, str):
            return DeliveryFault(fault, fault)
        if "late" in fault:
            late = self._duration(fault["late"], (*place, "webhook", "late"))
            if late == 0:
                self._flaws.add((*place, "webhook", "late"), "must be more than 0")
            return DeliveryFault(fault, "late", late=late)
        return DeliveryFault(fault, "status", status=int(fault["status"]), times=int(fault.get("times", 1)))

    def _throttle(self, raw: Mapping[str, Any], place: Place) -> Throttle:
        per = self._duration(raw["per"], (*place, "per"))
        if per <= 0:
            self._flaws.add((*place, "per"), "must be more than 0")
        return Throttle(int(raw["limit"]), per)

    def _validate_reject(self, name: str, routes: list[Route], place: Place) -> None:
        for route in routes:
            known = route.operation.rejections
            if name not in known:
                self._flaws.add(
                    place, f"{route.operation.id} has no rejection {shortened(name)}{suggestion(name, known)}"
                )
                return

    def _reply(self, raw: Mapping[str, Any], routes: list[Route], place: Place) -> ScriptedReply | None:
        headers = self._headers(raw.get("headers", {}), (*place, "headers"))
        status, off_contract = int(raw["status"]), raw.get("off_contract", False)
        if status not in {int(known) for known in http.HTTPStatus}:
            self._flaws.add((*place, "status"), f"HTTP has no status {status}")
        if "body" in raw and status in _BODYLESS:
            self._flaws.add((*place, "body"), f"is not allowed with the status {status}")
        declared = next((value for name, value in headers if name.lower() == "content-type"), None)
        media = None
        if "body" in raw:
            media = declared or _default_media(routes[0].operation, status)
            if not isinstance(raw["body"], str) and not media.partition(";")[0].strip().lower().endswith("json"):
                self._flaws.add((*place, "body"), f"must be a string, because the media type is {media}")
                return None
        others = tuple((name, value) for name, value in headers if media is None or name.lower() != "content-type")
        content = raw.get("body")
        if not off_contract and media is not None:
            for route in routes:
                content = route.operation.normalise_integers(status, media, content)
        reply = ScriptedReply(status, others, media, content, off_contract)
        if not off_contract:
            for violation in _first_violations(reply, routes):
                self._flaws.add(place, f"{violation}; `off_contract: true` sends it anyway")
        return reply

    def _headers(self, raw: Mapping[str, str], place: Place) -> list[tuple[str, str]]:
        for name, value in raw.items():
            if not _HEADER_NAME.fullmatch(name) or name.lower() in _SET_BY_SERVER:
                why = "is set by the server" if name.lower() in _SET_BY_SERVER else "is not a valid header name"
                self._flaws.add((*place, name), why)
            elif not _HEADER_VALUE.fullmatch(value):
                self._flaws.add((*place, name), "has a character that is not allowed in a header")
        return list(raw.items())

    def _event(self, raw: Mapping[str, Any], place: Place) -> ScriptedEvent | None:
        name: str = raw["callback"]
        known = [(contract, callback) for contract in self._contracts for callback in contract.callbacks]
        found = [
            (contract, callback) for contract, callback in known if name in (callback, f"{contract.vendor}.{callback}")
        ]
        if len(found) != 1:
            names = [callback for _, callback in known]
            several = ", ".join(f"{contract.vendor}.{callback}" for contract, callback in found)
            if found:
                why = f"{shortened(name)} is ambiguous; it may be {several}"
            else:
                why = f"there is no callback {shortened(name)}{suggestion(name, names)}"
            self._flaws.add((*place, "callback"), why)
            return None
        contract, callback = found[0]
        payload = raw["payload"]
        if not raw.get("off_contract", False):
            payload = contract.callbacks[callback].normalise_integers(payload)
            for violation in contract.callbacks[callback].violations(payload, "payload"):
                self._flaws.add((*place, "payload"), f"{violation}; `off_contract: true` sends it anyway")
        return ScriptedEvent(contract.vendor, callback, encode(payload))


def duration(written: Any) -> int:
    """The nanoseconds of `2s`, `500ms`, a number of seconds or ISO 8601 (a year has 365 days). Raises `ValueError`."""
    if isinstance(written, int | Decimal):
        if written > _MAX_SECONDS:
            raise ValueError(f"is at most {_MAX_SECONDS} s")
        return int(written * clock.SECOND)
    short = _SHORT.fullmatch(written)
    if short is not None:
        unit = clock.SECOND if short[3] == "s" else clock.MILLISECOND
        return int(Decimal(f"{short[1]}.{short[2] or 0}") * unit)
    try:
        return clock.later(0, written)
    except ValueError:
        raise ValueError(
            f"{written!r} is not a duration such as 2s, 500ms, a number of seconds, or ISO 8601 like P30D and PT2S"
        ) from None


def _default_media(operation: Operation, status: int) -> str:
    response = operation.responses.get(status)
    return next(iter(response.content), "application/json") if response else "application/json"


def _first_violations(scripted: ScriptedReply, routes: list[Route]) -> list[Any]:
    """The violations of the first contract that the reply does not match."""
    for route in routes:
        reply = scripted.reply()
        if reply.media is not None:
            reply.media = reply.media.partition(";")[0].strip().lower()
        violations = route.operation.validate_reply(reply)
        if violations:
            return violations
    return []
