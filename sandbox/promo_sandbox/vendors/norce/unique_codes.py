"""Unique codes. Each belongs to one promotion and can be claimed once."""

from __future__ import annotations

from contextlib import suppress

from promo_sandbox.rules import Call, Doc, NotUnique, Reply, Work
from promo_sandbox.vendors.norce.caller import identify_caller
from promo_sandbox.vendors.norce.defaults import complete_code
from promo_sandbox.vendors.norce.rules import rules
from promo_sandbox.vendors.norce.storage import CODES, code_index, code_key, find_promotion

_CHUNK = 1000  # codes that are deduplicated in one step


@rules.operation("PromotionApi_ListUniqueCodes")
def list_codes(call: Call) -> Reply:
    """Documented: one response with all codes. Inferred: in the order of their insertion."""
    promotion = find_promotion(call, identify_caller(call).application)
    codes = code_index(promotion["application"], promotion["Id"])
    return call.reply_all(call.public(CODES, doc) for _, doc in call.list_view(codes))


@rules.operation("PromotionApi_InsertUniqueCodes")
def insert_codes(call: Call) -> Reply:
    """Documented: existing codes do not change; the response is the number of inserted codes."""
    return call.reply_after_writing(_insert(call, find_promotion(call, identify_caller(call).application)))


def _insert(call: Call, promotion: Doc) -> Work[Reply]:
    now, inserted = call.now_text, 0
    for sent in call.body:
        with suppress(NotUnique):
            call.add(CODES, _code(promotion, sent, now))
            inserted += 1
        yield
    return call.reply(inserted)


@rules.operation("PromotionApi_UpdateUniqueCodes")
def update_codes(call: Call) -> Reply:
    """Documented: existing codes are updated, others inserted. Inferred: of a code sent twice, the last counts."""
    return call.reply_after_writing(_update(call, find_promotion(call, identify_caller(call).application)))


def _update(call: Call, promotion: Doc) -> Work[Reply]:
    now = call.now_text
    latest: dict[str | None, Doc] = {}
    for first in range(0, len(call.body), _CHUNK):
        latest |= {sent.get("DiscountCode"): sent for sent in call.body[first : first + _CHUNK]}
        yield
    for sent in latest.values():
        code = _code(promotion, sent, now)
        stored = call.get(CODES, code["id"])
        if stored is None:
            call.add(CODES, code)
        else:
            call.replace(CODES, {**code, "Created": stored["Created"]})
        yield
    return call.reply({})


def _code(promotion: Doc, sent: Doc, now: str) -> Doc:
    application, id = promotion["application"], promotion["Id"]
    return {
        "id": code_key(application, id, sent.get("DiscountCode")),
        "application": application,
        "promotion": id,
        **complete_code(sent, now),
    }
