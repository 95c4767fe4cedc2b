"""The `then` of a step or a trigger, checked against the operations that it answers, and compiled."""

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
_BESIDES = ("delay", "webhook")  # what goes together with an answer
_ALONE = ("advance", "emit")  # what no call is answered with
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)
_TEXT = re.compile(r"[\x20-\x7e\t\xa0-\xff]*")
_SERVER_S = {"connection", "content-length", "transfer-encoding", "date", "keep-alive", "upgrade", "trailer", "te"}
_BODYLESS = (204, 205, 304)
_MAX_SECONDS = 1_000_000_000


class EffectsReader:
    """Compiles what is written; what is wrong goes into `flaws`."""

    def __init__(self, contracts: Iterable[Contract], flaws: Flaws) -> None:
        self._contracts = list(contracts)
        self._flaws = flaws

    def compiled(self, raw: Mapping[str, Any], routes: list[Route], place: Place) -> Effects:
        """For a call of any of these operations."""
        answers = [name for name in raw if name not in _BESIDES]
        if len(answers) > 1:
            self._flaws.add(place, f"is one answer, with a delay if need be, not {' and '.join(answers)}")
        if "webhook" in raw and ("reject" in raw or "reply" in raw or raw.get("cut") == "before"):
            self._flaws.add((*place, "webhook"), "needs a rule that answers: without it nothing is told")
        for name in _ALONE:
            if name in raw:
                self._flaws.add((*place, name), "is for a step without operation")
        if "reject" in raw:
            self._validate_reject(raw["reject"], routes, (*place, "reject"))
        written = self._written(raw["reply"], routes, (*place, "reply")) if "reply" in raw else None
        if raw.get("corrupt") and all(route.operation.success_media is None for route in routes):
            self._flaws.add((*place, "corrupt"), f"{routes[0].operation.id} has no body to corrupt")
        delay, cut, corrupt = self._delay(raw, place), raw.get("cut"), raw.get("corrupt", False)
        fault = Fault(delay, cut, corrupt) if delay or cut or corrupt else None
        throttle = self._throttle(raw["throttle"], (*place, "throttle")) if "throttle" in raw else None
        delivery_fault = self._delivery_fault(raw["webhook"], (*place, "webhook")) if "webhook" in raw else None
        return Effects(dict(raw), fault, raw.get("reject"), written, throttle, webhook=delivery_fault)

    def of_events(self, raw: Mapping[str, Any], place: Place) -> Effects:
        """For events, whoever causes them."""
        for name in raw.keys() - {"webhook"}:
            self._flaws.add((*place, name), "is for a call; events have `webhook`")
        return Effects(
            dict(raw), webhook=self._delivery_fault(raw["webhook"], (*place, "webhook")) if "webhook" in raw else None
        )

    def by_itself(self, raw: Mapping[str, Any], place: Place) -> Effects:
        """For a step that waits for no call."""
        for name in raw.keys() - {"advance", "emit", "delay", "webhook"}:
            self._flaws.add((*place, name), "needs an operation that it answers")
        if "webhook" in raw and "emit" not in raw:
            self._flaws.add((*place, "webhook"), "needs an operation, or something to emit")
        elif len(raw) - ("webhook" in raw) != 1:
            self._flaws.add(place, "is one of advance, emit and delay in a step without operation")
        advance = raw.get("advance")
        if advance is not None and self._duration(advance, (*place, "advance")) and not advance.startswith("P"):
            seconds, rest = divmod(duration(advance), clock.SECOND)
            advance = f"PT{seconds}.{rest:09}S"
        pause = self._duration(raw["delay"], (*place, "delay")) if "delay" in raw else None
        emission = self._emission(raw["emit"], (*place, "emit")) if "emit" in raw else None
        delivery_fault = self._delivery_fault(raw["webhook"], (*place, "webhook")) if "webhook" in raw else None
        return Effects(dict(raw), pause=pause, advance=advance, scripted_event=emission, webhook=delivery_fault)

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

    def _delivery_fault(self, raw: Any, place: Place) -> DeliveryFault:
        if isinstance(raw, str):
            return DeliveryFault(raw, raw)
        if "late" in raw:
            late = self._duration(raw["late"], (*place, "late"))
            if late == 0:
                self._flaws.add((*place, "late"), "is longer than nothing")
            return DeliveryFault(raw, "late", late=late)
        return DeliveryFault(raw, "status", status=int(raw["status"]), times=int(raw.get("times", 1)))

    def _throttle(self, raw: Mapping[str, Any], place: Place) -> Throttle:
        per = self._duration(raw["per"], (*place, "per"))
        if per <= 0:
            self._flaws.add((*place, "per"), "is longer than nothing")
        return Throttle(int(raw["limit"]), per)

    def _validate_reject(self, name: str, routes: list[Route], place: Place) -> None:
        for route in routes:
            known = route.operation.rejections
            if name not in known:
                self._flaws.add(
                    place, f"{route.operation.id} is never refused as {shortened(name)}{suggestion(name, known)}"
                )
                return

    def _written(self, raw: Mapping[str, Any], routes: list[Route], place: Place) -> ScriptedReply | None:
        headers = self._headers(raw.get("headers", {}), (*place, "headers"))
        status, off_contract = int(raw["status"]), raw.get("off_contract", False)
        if status not in {int(known) for known in http.HTTPStatus}:
            self._flaws.add((*place, "status"), f"HTTP has no status {status}")
        if "body" in raw and status in _BODYLESS:
            self._flaws.add((*place, "body"), f"a reply with the status {status} has none")
        said = next((value for name, value in headers if name.lower() == "content-type"), None)
        media = None
        if "body" in raw:
            media = said or _declared_media(routes[0].operation, status)
            if not isinstance(raw["body"], str) and not media.partition(";")[0].strip().lower().endswith("json"):
                self._flaws.add((*place, "body"), f"is a text where the media type is {media}")
                return None
        rest = tuple((name, value) for name, value in headers if media is None or name.lower() != "content-type")
        content = raw.get("body")
        if not off_contract and media is not None:
            for route in routes:
                content = route.operation.normalise_integers(status, media, content)
        written = ScriptedReply(status, rest, media, content, off_contract)
        if not off_contract:
            for violation in _first_flaws(written, routes):
                self._flaws.add(place, f"{violation}; `off_contract: true` sends it all the same")
        return written

    def _headers(self, raw: Mapping[str, str], place: Place) -> list[tuple[str, str]]:
        for name, value in raw.items():
            if not _TOKEN.fullmatch(name) or name.lower() in _SERVER_S:
                why = "is written by the server" if name.lower() in _SERVER_S else "is no name of a header"
                self._flaws.add((*place, name), why)
            elif not _TEXT.fullmatch(value):
                self._flaws.add((*place, name), "has a character that no header may have")
        return list(raw.items())

    def _emission(self, raw: Mapping[str, Any], place: Place) -> ScriptedEvent | None:
        name: str = raw["callback"]
        known = [(contract, callback) for contract in self._contracts for callback in contract.callbacks]
        found = [
            (contract, callback) for contract, callback in known if name in (callback, f"{contract.vendor}.{callback}")
        ]
        if len(found) != 1:
            names = [callback for _, callback in known]
            several = ", ".join(f"{contract.vendor}.{callback}" for contract, callback in found)
            why = f"several have it: {several}" if found else f"no spec has it{suggestion(name, names)}"
            self._flaws.add((*place, "callback"), f"{shortened(name)}: {why}")
            return None
        contract, callback = found[0]
        payload = raw["payload"]
        if not raw.get("off_contract", False):
            payload = contract.callbacks[callback].normalise_integers(payload)
            for violation in contract.callbacks[callback].violations(payload, "payload"):
                self._flaws.add((*place, "payload"), f"{violation}; `off_contract: true` sends it all the same")
        return ScriptedEvent(contract.vendor, callback, encode(payload))


def duration(written: Any) -> int:
    """Nanoseconds of `2s`, `500ms`, a number of seconds or ISO 8601, a year being that of 1970. Raises `ValueError`."""
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
            f"{written!r} is no duration such as 2s, 500ms, a number of seconds, or ISO 8601 like P30D and PT2S"
        ) from None


def _declared_media(operation: Operation, status: int) -> str:
    response = operation.responses.get(status)
    return next(iter(response.content), "application/json") if response else "application/json"


def _first_flaws(written: ScriptedReply, routes: list[Route]) -> list[Any]:
    """How the reply breaks the contract of the first operation whose contract it breaks."""
    for route in routes:
        reply = written.reply()
        if reply.media is not None:
            reply.media = reply.media.partition(";")[0].strip().lower()
        flaws = route.operation.validate_reply(reply)
        if flaws:
            return flaws
    return []
