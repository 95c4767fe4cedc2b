"""Unique codes: each may be used once, and each promotion has its own."""

from __future__ import annotations

from contextlib import suppress

from promo_sandbox.rules import Call, Doc, NotUnique, Reply, Work
from promo_sandbox.vendors.norce.caller import asker
from promo_sandbox.vendors.norce.defaults import unique_code
from promo_sandbox.vendors.norce.rules import rules
from promo_sandbox.vendors.norce.storage import CODES, code_id, codes_of, find

_AT_ONCE = 1000  # codes that are looked through in one step


@rules.operation("PromotionApi_ListUniqueCodes")
def list_codes(call: Call) -> Reply:
    """Documented: all at once. Inferred: in the order of their insertion."""
    promotion = find(call, asker(call).application)
    codes = codes_of(promotion["application"], promotion["Id"])
    return call.reply_all(call.public(CODES, doc) for _, doc in call.listed(codes))


@rules.operation("PromotionApi_InsertUniqueCodes")
def insert_codes(call: Call) -> Reply:
    """Documented: what is there already is left alone, and the number of the others is told."""
    return call.reply_after_writing(_inserted(call, find(call, asker(call).application)))


def _inserted(call: Call, promotion: Doc) -> Work[Reply]:
    now, inserted = call.now_text, 0
    for sent in call.body:
        with suppress(NotUnique):
            call.add(CODES, _code(promotion, sent, now))
            inserted += 1
        yield
    return call.reply(inserted)


@rules.operation("PromotionApi_UpdateUniqueCodes")
def update_codes(call: Call) -> Reply:
    """Documented: what is there is updated, the rest inserted. Inferred: of a code sent twice the last counts."""
    return call.reply_after_writing(_updated(call, find(call, asker(call).application)))


def _updated(call: Call, promotion: Doc) -> Work[Reply]:
    now = call.now_text
    newest: dict[str | None, Doc] = {}
    for first in range(0, len(call.body), _AT_ONCE):
        newest |= {sent.get("DiscountCode"): sent for sent in call.body[first : first + _AT_ONCE]}
        yield
    for sent in newest.values():
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
        "id": code_id(application, id, sent.get("DiscountCode")),
        "application": application,
        "promotion": id,
        **unique_code(sent, now),
    }
