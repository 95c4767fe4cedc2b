"""How promotions, their unique codes and the applications are stored, found, counted and shown."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from functools import lru_cache
from typing import Any, NoReturn

from promo_sandbox.rules import Call, Doc, decoded, encoded, members, moment
from promo_sandbox.vendors.norce.caller import DEFAULT_APPLICATION, SYSTEM, stopped
from promo_sandbox.vendors.norce.defaults import TERMS, TEXTS, culture, excess, image_url, unique_code
from promo_sandbox.vendors.norce.rows import EFFECT, REQUIREMENT, seeded
from promo_sandbox.vendors.norce.rules import rules

NOT_STOPPED: Doc = {"StoppedDate": None, "StoppedBy": None, "StoppedByName": None}
# What only the server says of a promotion, as it is at first.
UNUSED: Doc = {
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
_LISTED = (
    *("Id", *(member for text in TEXTS for member in (text, f"Default{text}", f"Is{text}Inherited"))),
    *("ImageKey", "ImageUrl", "Code", "ExclusivityType", "StartDate", "EndDate"),
    *("CountLeft", "AllowedUsageCount", "UsageCount", "UniqueUserUsageCount"),
    *("UniqueDiscountCodeCount", "UniqueDiscountCodeUsedCount"),
    *("TotalOrder", "TotalDiscount", "DiscountPercentage", "MarginPercentage"),
    *("IsStackable", "IsProductReq", "ExcludeFromPriceCalculation", "Status", "CurrencyCode"),
    *("StoppedDate", "StoppedBy", "StoppedByName", "Created", "CreatedByName", "Changed", "ChangedBy", "Cultures"),
)
_WHOLE = ("Requirements", "Effects", *_LISTED)
_EVENTS = {"StartDate": "start-promotion", "EndDate": "end-promotion"}
_SHORT = 32_768  # bytes of a promotion that is worth keeping as it is shown
_COUNTED = ("CountLeft", "UniqueDiscountCodeCount", "UniqueDiscountCodeUsedCount")


def _promotion_places(doc: Doc, created: int) -> list[tuple[str, int]]:
    return [(promotions_of(doc["application"]), created)]


def _timers(doc: Doc) -> list[tuple[int, str]]:
    """Documented: only an active promotion has an effect. Each of its dates that was still to come falls due once; of
    two that are the same moment the start comes first, and then the end."""
    if doc["Status"] != "Active":
        return []
    found = [(moment(doc[date]), _EVENTS[date]) for date in _EVENTS if date in doc["coming"] and doc[date] is not None]
    return found[:1] if len({at for at, _ in found}) == 1 else found


def dated(call: Call, promotion: Doc) -> Doc:
    """With those of its dates that are still to come: what was over when it was stored does not fall due."""
    dates = [date for date in _EVENTS if promotion[date] is not None and moment(promotion[date]) > call.now]
    return {**promotion, "coming": dates}


def _code_places(doc: Doc, created: int) -> list[tuple[str, int]]:
    codes = codes_of(doc["application"], doc["promotion"])
    return [(codes, created), (_claimed(codes), created)] if doc["IsClaimed"] else [(codes, created)]


def _prepare_promotion(doc: Doc, call: Call) -> None:
    application = doc.setdefault("application", DEFAULT_APPLICATION)
    if "Id" not in doc:
        doc["Id"] = new_promotion_id(call, application)
    doc["id"] = promotion_id(application, doc["Id"])
    too_much = excess(doc)
    if too_much is not None:
        call.reject("invalid-request", too_much)
    for member in _COUNTED:
        doc.pop(member, None)
    for text in TEXTS:
        own = doc.setdefault(text, None)
        doc.setdefault(f"Default{text}", own)
        doc.setdefault(f"Is{text}Inherited", own is None)
    for member, blank in (TERMS | UNUSED).items():
        doc.setdefault(member, blank)
    doc.setdefault("ImageUrl", image_url(doc["ImageKey"]))
    doc.setdefault("Created", call.now_text)
    doc.setdefault("CreatedByName", SYSTEM.name)
    doc["Requirements"] = seeded(call, REQUIREMENT, doc.get("Requirements", []))
    doc["Effects"] = seeded(call, EFFECT, doc.get("Effects", []))
    cultures = doc.setdefault("Cultures", [])
    if isinstance(cultures, list):
        doc["Cultures"] = [culture(row, doc) if isinstance(row, dict) else row for row in cultures]
    if _is_used_up(doc):
        doc.update(stopped(call, SYSTEM), Status="Inactive")
    if "coming" not in doc:  # else it was stored before, under the settings of that time
        with suppress(TypeError, ValueError):  # the spec says what is wrong
            if _has_ended(call, doc):
                doc.update(stopped(call, SYSTEM), Status="Inactive")
            doc.update(dated(call, doc))


def _prepare_code(doc: Doc, call: Call) -> None:
    application = doc.setdefault("application", DEFAULT_APPLICATION)
    doc["id"] = code_id(application, doc.get("promotion"), doc.get("DiscountCode"))
    doc.update({**unique_code(doc, call.now_text), **doc})


PROMOTIONS = rules.collection("promotions", indexes=_promotion_places, timers=_timers, prepare=_prepare_promotion)
CODES = rules.collection("unique_codes", indexes=_code_places, prepare=_prepare_code)
APPLICATIONS = rules.collection("applications", indexes=lambda _, created: [("applications", created)])


@rules.on_timer(_EVENTS["StartDate"])
def start(call: Call, id: str) -> None:
    """At the `StartDate` of an active promotion it is told; the status stays as it was set."""
    promotion = call.get(PROMOTIONS, id)
    if promotion is not None:
        call.replace(PROMOTIONS, _without_coming(promotion, "StartDate"))


@rules.on_timer(_EVENTS["EndDate"])
def end(call: Call, id: str) -> None:
    """At its `EndDate` an active promotion becomes `Inactive`, unless the setting `status_at_end` says otherwise."""
    promotion = call.get(PROMOTIONS, id)
    if promotion is not None:
        call.replace(PROMOTIONS, stopped_if_over(call, _without_coming(promotion, "EndDate")))


def _without_coming(promotion: Doc, date: str) -> Doc:
    return {**promotion, "coming": [other for other in promotion["coming"] if other != date]}


def promotion_id(application: Any, id: Any) -> str:
    return f"{application}/{id}"


def code_id(application: Any, promotion: Any, code: Any) -> str:
    """The code comes last, so that it may have any character; without one there is nothing after the promotion."""
    return f"{application}/{promotion}" if code is None else f"{application}/{promotion}/{code}"


def promotions_of(application: int) -> str:
    return f"promotions/{application}"


def codes_of(application: int, promotion: int) -> str:
    return f"unique_codes/{application}/{promotion}"


def _claimed(codes: str) -> str:
    return f"{codes}/claimed"


def find(call: Call, application: int) -> Doc:
    """The promotion that the path names, if it is the application's."""
    return call.get(PROMOTIONS, promotion_id(application, int(call.path["id"]))) or _unknown(call)


def _unknown(call: Call) -> NoReturn:
    call.reject("unknown-promotion", f"There is no promotion {int(call.path['id'])}.")


def new_promotion_id(call: Call, application: Any) -> int:
    while True:
        id = call.new_number()
        if not call.is_taken(PROMOTIONS, promotion_id(application, id)) and str(id) not in call.reserved:
            return id


def shown(call: Call, promotion: Doc) -> Doc:
    """A stored promotion as it is sent."""
    said = {**promotion, **_counted(call, promotion)}
    return {member: said[member] for member in _WHOLE}


def show_encoded(call: Call, application: int) -> bytes:
    """The same for one that the path names, encoded; it is made again only if it was changed or its codes were."""
    stored = call.get_encoded(PROMOTIONS, promotion_id(application, int(call.path["id"]))) or _unknown(call)
    codes = codes_of(application, int(call.path["id"]))
    show = _shown if len(stored) <= _SHORT else _shown.__wrapped__
    return show(stored, call.size(codes), call.size(_claimed(codes)))


@lru_cache(maxsize=256)
def _shown(stored: bytes, codes: int, claimed: int) -> bytes:
    promotion = members(stored)
    allowed, used = (decoded(promotion[member]) for member in ("AllowedUsageCount", "UsageCount"))
    said = {**promotion, **_counts(allowed, used, codes, claimed)}
    return encoded({member: said[member] for member in _WHOLE})


def listed(call: Call, promotion: Doc) -> Doc:
    """The same without requirements and effects."""
    said = {**promotion, **_counted(call, promotion)}
    return {member: said[member] for member in _LISTED}


def _counted(call: Call, promotion: Doc) -> Doc:
    codes = codes_of(promotion["application"], promotion["Id"])
    allowed, used = promotion["AllowedUsageCount"], promotion["UsageCount"]
    return _counts(allowed, used, call.size(codes), call.size(_claimed(codes)))


def _counts(allowed: int | None, used: int, codes: int, claimed: int) -> Doc:
    """Documented: what the counters count. Inferred: never less than none is left, and null without a limit."""
    return {
        "CountLeft": None if allowed is None else max(allowed - used, 0),
        "UniqueDiscountCodeCount": codes,
        "UniqueDiscountCodeUsedCount": claimed,
    }


def stopped_if_over(call: Call, promotion: Doc) -> Doc:
    """Documented: an active promotion that has ended, or was used as often as it may be, is inactive."""
    if _is_used_up(promotion) or _has_ended(call, promotion):
        return {**promotion, "Status": "Inactive", **stopped(call, SYSTEM)}
    return promotion


def _has_ended(call: Call, promotion: Doc) -> bool:
    """Documented in the user portal; a later page calls such a promotion "Ended" and active, so it is a setting."""
    end = promotion["EndDate"]
    over = promotion["Status"] == "Active" and end is not None and moment(end) <= call.now
    return over and call.settings["status_at_end"] == "Inactive"


def _is_used_up(promotion: Doc) -> bool:
    """Inferred: only a use reaches the limit, since the page's own samples allow 0 uses."""
    allowed, used = promotion["AllowedUsageCount"], promotion["UsageCount"]
    counted = isinstance(allowed, int | Decimal) and isinstance(used, int | Decimal)  # a seed may say anything
    return counted and promotion["Status"] == "Active" and used >= max(allowed, 1)
