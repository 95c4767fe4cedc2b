"""Promotions, unique codes and applications: how they are stored, indexed, found, and sent."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from functools import lru_cache
from typing import Any, NoReturn

from promo_sandbox.rules import Call, Doc, decode, encode, moment, raw_fields
from promo_sandbox.vendors.norce.caller import DEFAULT_APPLICATION, SYSTEM, stopped_fields
from promo_sandbox.vendors.norce.defaults import (
    PROMOTION_DEFAULTS,
    TEXTS,
    complete_code,
    complete_culture,
    exceeded_limit,
    image_url,
)
from promo_sandbox.vendors.norce.rows import EFFECT, REQUIREMENT, complete_seeded_rows
from promo_sandbox.vendors.norce.rules import rules

NOT_STOPPED: Doc = {"StoppedDate": None, "StoppedBy": None, "StoppedByName": None}
# Fields that only the server sets, with their initial values.
SERVER_FIELDS: Doc = {
    "UsageCount": 0,
    "TotalOrder": 0,
    "TotalDiscount": 0,
    "DiscountPercentage": 0,
    "MarginPercentage": 0,
    **NOT_STOPPED,
    "Changed": None,
    "ChangedBy": None,
}

# In the order of the page.
LIST_FIELDS = (
    *("Id", *(field for text in TEXTS for field in (text, f"Default{text}", f"Is{text}Inherited"))),
    *("ImageKey", "ImageUrl", "Code", "ExclusivityType", "StartDate", "EndDate"),
    *("CountLeft", "AllowedUsageCount", "UsageCount", "UniqueUserUsageCount"),
    *("UniqueDiscountCodeCount", "UniqueDiscountCodeUsedCount"),
    *("TotalOrder", "TotalDiscount", "DiscountPercentage", "MarginPercentage"),
    *("IsStackable", "IsProductReq", "ExcludeFromPriceCalculation", "Status", "CurrencyCode"),
    *("StoppedDate", "StoppedBy", "StoppedByName", "Created", "CreatedByName", "Changed", "ChangedBy", "Cultures"),
)
FIELDS = ("Requirements", "Effects", *LIST_FIELDS)
_COUNTER_FIELDS = ("CountLeft", "UniqueDiscountCodeCount", "UniqueDiscountCodeUsedCount")
_EVENTS = {"StartDate": "start-promotion", "EndDate": "end-promotion"}
_MAX_CACHED = 32_768  # bytes of a stored promotion whose representation is cached


def _promotion_indexes(doc: Doc, created: int) -> list[tuple[str, int]]:
    return [(promotion_index(doc["application"]), created)]


def _timers(doc: Doc) -> list[tuple[int, str]]:
    """Documented: only an active promotion has an effect. An event fires once, and only if its date was in the future
    when the promotion was stored. If both dates are the same moment, the start fires first."""
    if doc["Status"] != "Active":
        return []
    due = [(moment(doc[date]), _EVENTS[date]) for date in _EVENTS if date in doc["coming"] and doc[date] is not None]
    return due[:1] if len({at for at, _ in due}) == 1 else due


def with_coming_dates(call: Call, promotion: Doc) -> Doc:
    """The promotion with the list of its future dates. Only these dates fire events."""
    dates = [date for date in _EVENTS if promotion[date] is not None and moment(promotion[date]) > call.now]
    return {**promotion, "coming": dates}


def _code_indexes(doc: Doc, created: int) -> list[tuple[str, int]]:
    codes = code_index(doc["application"], doc["promotion"])
    return [(codes, created), (_claimed_index(codes), created)] if doc["IsClaimed"] else [(codes, created)]


def _prepare_promotion(doc: Doc, call: Call) -> None:
    application = doc.setdefault("application", DEFAULT_APPLICATION)
    if "Id" not in doc:
        doc["Id"] = new_promotion_id(call, application)
    doc["id"] = promotion_key(application, doc["Id"])
    exceeded = exceeded_limit(doc)
    if exceeded is not None:
        call.reject("invalid-request", exceeded)
    for field in _COUNTER_FIELDS:
        doc.pop(field, None)
    for text in TEXTS:
        value = doc.setdefault(text, None)
        doc.setdefault(f"Default{text}", value)
        doc.setdefault(f"Is{text}Inherited", value is None)
    for field, default in (PROMOTION_DEFAULTS | SERVER_FIELDS).items():
        doc.setdefault(field, default)
    doc.setdefault("ImageUrl", image_url(doc["ImageKey"]))
    doc.setdefault("Created", call.now_text)
    doc.setdefault("CreatedByName", SYSTEM.name)
    doc["Requirements"] = complete_seeded_rows(call, REQUIREMENT, doc.get("Requirements", []))
    doc["Effects"] = complete_seeded_rows(call, EFFECT, doc.get("Effects", []))
    cultures = doc.setdefault("Cultures", [])
    if isinstance(cultures, list):
        doc["Cultures"] = [complete_culture(row, doc) if isinstance(row, dict) else row for row in cultures]
    if _is_used_up(doc):
        doc.update(stopped_fields(call, SYSTEM), Status="Inactive")
    if "coming" not in doc:  # an exported promotion has it, and keeps the status that it had
        with suppress(TypeError, ValueError):  # the seed's validation explains the problem
            if _has_ended(call, doc):
                doc.update(stopped_fields(call, SYSTEM), Status="Inactive")
            doc.update(with_coming_dates(call, doc))


def _prepare_code(doc: Doc, call: Call) -> None:
    application = doc.setdefault("application", DEFAULT_APPLICATION)
    doc["id"] = code_key(application, doc.get("promotion"), doc.get("DiscountCode"))
    doc.update({**complete_code(doc, call.now_text), **doc})


PROMOTIONS = rules.collection("promotions", indexes=_promotion_indexes, timers=_timers, prepare=_prepare_promotion)
CODES = rules.collection("unique_codes", indexes=_code_indexes, prepare=_prepare_code)
APPLICATIONS = rules.collection("applications", indexes=lambda _, created: [("applications", created)])


@rules.on_timer(_EVENTS["StartDate"])
def start(call: Call, id: str) -> None:
    """Reports the `StartDate` of an active promotion. The status does not change."""
    promotion = call.get(PROMOTIONS, id)
    if promotion is not None:
        call.replace(PROMOTIONS, _without_coming_date(promotion, "StartDate"))


@rules.on_timer(_EVENTS["EndDate"])
def end(call: Call, id: str) -> None:
    """At its `EndDate`, an active promotion becomes `Inactive`, unless the setting `status_at_end` is `Active`."""
    promotion = call.get(PROMOTIONS, id)
    if promotion is not None:
        call.replace(PROMOTIONS, stop_if_over(call, _without_coming_date(promotion, "EndDate")))


def _without_coming_date(promotion: Doc, date: str) -> Doc:
    return {**promotion, "coming": [other for other in promotion["coming"] if other != date]}


def promotion_key(application: Any, id: Any) -> str:
    return f"{application}/{id}"


def code_key(application: Any, promotion: Any, code: Any) -> str:
    """The code comes last, because it may contain any character. A promotion may have one entry without a code."""
    return f"{application}/{promotion}" if code is None else f"{application}/{promotion}/{code}"


def promotion_index(application: int) -> str:
    return f"promotions/{application}"


def code_index(application: int, promotion: int) -> str:
    return f"unique_codes/{application}/{promotion}"


def _claimed_index(codes: str) -> str:
    return f"{codes}/claimed"


def find_promotion(call: Call, application: int) -> Doc:
    """The promotion with the path's id, if it belongs to the application."""
    return call.get(PROMOTIONS, promotion_key(application, int(call.path["id"]))) or _reject_unknown(call)


def _reject_unknown(call: Call) -> NoReturn:
    call.reject("unknown-promotion", f"There is no promotion {int(call.path['id'])}.")


def new_promotion_id(call: Call, application: Any) -> int:
    while True:
        id = call.new_number()
        if not call.is_taken(PROMOTIONS, promotion_key(application, id)) and str(id) not in call.reserved:
            return id


def represent(call: Call, promotion: Doc, fields: tuple[str, ...] = FIELDS) -> Doc:
    """A stored promotion as it is sent, with its counters."""
    codes = code_index(promotion["application"], promotion["Id"])
    allowed, used = promotion["AllowedUsageCount"], promotion["UsageCount"]
    complete = {**promotion, **_counters(allowed, used, call.list_size(codes), call.list_size(_claimed_index(codes)))}
    return {field: complete[field] for field in fields}


def represent_encoded(call: Call, application: int) -> bytes:
    """The promotion with the path's id as encoded bytes. Cached until the promotion or its counters change."""
    stored = call.get_encoded(PROMOTIONS, promotion_key(application, int(call.path["id"]))) or _reject_unknown(call)
    codes = code_index(application, int(call.path["id"]))
    encode = _represent_encoded if len(stored) <= _MAX_CACHED else _represent_encoded.__wrapped__
    return encode(stored, call.list_size(codes), call.list_size(_claimed_index(codes)))


@lru_cache(maxsize=256)
def _represent_encoded(stored: bytes, codes: int, claimed: int) -> bytes:
    promotion = raw_fields(stored)
    allowed, used = (decode(promotion[field]) for field in ("AllowedUsageCount", "UsageCount"))
    complete = {**promotion, **_counters(allowed, used, codes, claimed)}
    return encode({field: complete[field] for field in FIELDS})


def _counters(allowed: int | None, used: int, codes: int, claimed: int) -> Doc:
    """Documented: what the counters count. Inferred: `CountLeft` is never negative, and null without a limit."""
    return {
        "CountLeft": None if allowed is None else max(allowed - used, 0),
        "UniqueDiscountCodeCount": codes,
        "UniqueDiscountCodeUsedCount": claimed,
    }


def stop_if_over(call: Call, promotion: Doc) -> Doc:
    """Documented: an active promotion becomes inactive when it ends or reaches its usage limit."""
    if _is_used_up(promotion) or _has_ended(call, promotion):
        return {**promotion, "Status": "Inactive", **stopped_fields(call, SYSTEM)}
    return promotion


def _has_ended(call: Call, promotion: Doc) -> bool:
    """Documented in the user portal. A setting, because a later page says that an ended promotion stays active."""
    end = promotion["EndDate"]
    over = promotion["Status"] == "Active" and end is not None and moment(end) <= call.now
    return over and call.settings["status_at_end"] == "Inactive"


def _is_used_up(promotion: Doc) -> bool:
    """Inferred: a limit of 0 stops nothing before the first use, because the page's samples have this limit."""
    allowed, used = promotion["AllowedUsageCount"], promotion["UsageCount"]
    are_numbers = isinstance(allowed, int | Decimal) and isinstance(used, int | Decimal)  # a seed is not yet validated
    return are_numbers and promotion["Status"] == "Active" and used >= max(allowed, 1)
