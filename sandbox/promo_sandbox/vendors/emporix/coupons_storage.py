"""How coupons, their redemptions and what belongs to them are stored, found, counted and shown."""

from __future__ import annotations

from contextlib import suppress

from promo_sandbox.rules import Call, Doc, Money, moment, moment_text, money
from promo_sandbox.vendors.emporix.coupons_dates import EXPIRY, START, dated, timers
from promo_sandbox.vendors.emporix.rules import rules

MANAGE = "coupon.coupon_manage"
READ = "coupon.coupon_read"
REDEEM = "coupon.coupon_redeem"
ON_BEHALF = "coupon.coupon_redeem_on_behalf"

ALL = "coupons"
LIVE = "coupons/live"
_DEFAULTS: Doc = {
    "discountType": "ABSOLUTE",
    "allowAnonymous": False,
    "maxRedemptions": -1,
    "maxRedemptionsPerCustomer": -1,
    "discountCalculationType": "SUBTOTAL",
    "categoryRestricted": False,
    "segmentRestricted": False,
}
_ATTEMPTS = 20  # to find a code that no coupon has
_MAX_DIGITS = 32
_MAX_ENTITIES = 2000  # that a coupon tells of
_COMPUTED = ("status", "redemptionCount", "legalEntityRedemptions")


def _indexes(doc: Doc, created: int) -> list[tuple[str, int]]:
    return [(ALL, created)] if doc["deleted"] else [(ALL, created), (LIVE, created)]


def _prepare(doc: Doc, call: Call) -> None:
    if "id" not in doc:  # what has one is stored already, under the code that was folded then
        code = doc.get("code")
        doc["id"] = new_code(call) if code is None else fold(call, code) if isinstance(code, str) else code
    elif doc.get("code", doc["id"]) != doc["id"]:
        call.reject("invalid-request", f"the code of a coupon is its id; {doc['code']!r} is not {doc['id']!r}")
    doc["code"] = doc["id"]
    for member in _COMPUTED:
        doc.pop(member, None)
    for member, value in _DEFAULTS.items():
        doc.setdefault(member, value)
    doc.setdefault("restrictions", {"validFor": []})
    if isinstance(doc.setdefault("metadata", {}), dict):
        doc["metadata"].setdefault("version", 0)
    doc.setdefault("referralCoupon", False)
    doc.setdefault("deleted", False)
    if "coming" not in doc:
        with suppress(AttributeError, TypeError, ValueError):  # the spec says what is wrong
            doc.update(dated(call, doc))


def _redemption_places(doc: Doc, _: int) -> list[tuple[str, int]]:
    code, at = doc["code"], moment(doc["redeemedAt"])
    customer, entity = doc.get("customerNumber"), doc.get("legalEntityId")
    indexes = [(redemptions_of(code), at)]
    if customer is not None:
        indexes.append((redemptions_by(code, customer, entity), at))
    if entity is not None:
        indexes += [(_redemptions_for(code, entity), at), (_entities_of(code), _rank(entity))]
    return indexes


def _prepare_redemption(doc: Doc, call: Call) -> None:
    _prepare_link(doc, call)
    if "id" not in doc:
        doc["id"] = call.new_hex(24)
    doc.setdefault("redeemedAt", call.now_text)


def _prepare_link(doc: Doc, call: Call) -> None:
    """The code of a coupon that is there is that; any other is folded."""
    code = doc.get("code")
    if isinstance(code, str) and call.get(COUPONS, code) is None:
        doc["code"] = fold(call, code)


def _nowhere(_doc: Doc, _created: int) -> tuple[()]:
    """Found by id only."""
    return ()


COUPONS = rules.collection("coupons", indexes=_indexes, timers=timers, prepare=_prepare)
REDEMPTIONS = rules.collection("coupon_redemptions", indexes=_redemption_places, prepare=_prepare_redemption)
REFERRALS = rules.collection("referral_coupons", indexes=_nowhere, prepare=_prepare_link)
SEGMENTS = rules.collection("segments", indexes=_nowhere)


@rules.on_timer(START)
def start(call: Call, id: str) -> None:
    """At `validFrom` it is told; the status of a coupon is worked out when it is read."""
    _pass(call, id, "validFrom")


@rules.on_timer(EXPIRY)
def expire(call: Call, id: str) -> None:
    """Right after `validUntil`, the last moment that counts, it is told; the status is worked out when it is read."""
    _pass(call, id, "validUntil")


def _pass(call: Call, id: str, date: str) -> None:
    coupon = call.get(COUPONS, id)
    if coupon is not None:
        call.update(COUPONS, coupon, coming=[member for member in coupon["coming"] if member != date])


def redemptions_of(code: str) -> str:
    return _list("coupon_redemptions", code)


def redemptions_by(code: str, customer: str, entity: str | None) -> str:
    return _list("coupon_redemptions_by", code, customer, *([] if entity is None else [entity]))


def _redemptions_for(code: str, entity: str) -> str:
    return _list("coupon_redemptions_for", code, entity)


def _entities_of(code: str) -> str:
    return _list("coupon_redemptions_entities", code)


def _list(kind: str, *names: str) -> str:
    """The name of a list; the names in it may have any character, so their lengths tell them apart."""
    return "/".join([kind, *(f"{len(name)}:{name}" for name in names)])


def _rank(entity: str) -> int:
    """A number for each text: in a list ordered by it, redemptions for the same legal entity stand together."""
    return int.from_bytes(b"\1" + entity.encode())


def fold(call: Call, code: str) -> str:
    """Documented: codes are kept in upper case unless the tenant says otherwise. Inferred: so they are looked up."""
    return code if call.settings["enableCouponCodeCaseSensitivity"] else code.upper()


def new_code(call: Call) -> str:
    """Documented: a coupon without a code is given one. Inferred: the settings say how it begins and how long it is."""
    settings, attempts = call.settings["couponSettings"], 0
    while True:
        # Where most codes of this length are taken, the next are longer.
        digits = min(int(settings["length"]) + attempts // _ATTEMPTS, _MAX_DIGITS)
        code = fold(call, f"{settings['codePrefix']}{call.new_hex(digits).upper()}")
        if not call.is_taken(COUPONS, code):
            return code
        attempts += 1


def find(call: Call) -> Doc:
    """The coupon that the path names. Inferred: one that is deleted, but kept, is not found."""
    code = call.path["code"]
    coupon = call.get(COUPONS, fold(call, code))
    if coupon is None or coupon["deleted"]:
        call.reject("unknown-coupon", f"Coupon with code {code} not found.")
    return coupon


def customer_of(call: Call, named: str | None) -> str | None:
    """Documented: the token's customer, or the one named, which needs a scope of its own."""
    if named:
        if not call.has_scope(ON_BEHALF):
            call.reject("on-behalf-forbidden")
        return named
    return call.grant.customer if call.grant else None


def redeemed_too_often(call: Call, coupon: Doc) -> bool:
    return bool(0 <= coupon["maxRedemptions"] <= call.size(redemptions_of(coupon["code"])))


def begins_later(call: Call, coupon: Doc) -> bool:
    begin = coupon["restrictions"].get("validFrom")
    return begin is not None and call.now < moment(begin)


def has_ended(call: Call, coupon: Doc) -> bool:
    """Inferred: at `validUntil` itself it has not."""
    end = coupon["restrictions"].get("validUntil")
    return end is not None and moment(end) < call.now


def as_of_now(call: Call, coupon: Doc) -> Doc:
    """A stored coupon with the members that depend on the time and on its redemptions."""
    code = coupon["code"]
    now = {**coupon, "status": _status(call, coupon), "redemptionCount": call.size(redemptions_of(code))}
    now.pop("coming", None)  # or a list could be searched for it
    entities = _entity_counts(call, code)
    if entities:
        now["legalEntityRedemptions"] = entities
    return now


def _status(call: Call, coupon: Doc) -> str:
    """Documented: what each status means. Inferred: which of several it is."""
    if has_ended(call, coupon):
        return "EXPIRED"
    if redeemed_too_often(call, coupon):
        return "USED"
    return "INACTIVE" if begins_later(call, coupon) else "VALID"


def _entity_counts(call: Call, code: str) -> list[Doc]:
    """Documented: how often the coupon was redeemed for each legal entity. Inferred: for so many of them."""
    found: list[Doc] = []
    start = None
    while len(found) < _MAX_ENTITIES and (first := call.page(_entities_of(code), start=start, limit=1)):
        entity = first[0][1]["legalEntityId"]
        found.append({"legalEntityId": entity, "count": call.size(_redemptions_for(code, entity))})
        start = _rank(entity) + 1
    return found


def terms(given: Doc) -> Doc:
    """What a coupon has by default, and what is given of it in the form in which it is kept."""
    kept = {**given, **{member: value for member, value in _DEFAULTS.items() if member not in given}}
    restrictions = {"validFor": [], **given.get("restrictions", {})}
    for member in ("validFrom", "validUntil"):
        if member in restrictions:
            # In UTC with milliseconds, as every example shows the dates of this service.
            restrictions[member] = moment_text(moment(restrictions[member]))
    if "minOrderValue" in restrictions:
        restrictions["minOrderValue"] = whole(restrictions["minOrderValue"])
    if "discountAbsolute" in kept:
        kept["discountAbsolute"] = whole(kept["discountAbsolute"])
    return {**kept, "restrictions": restrictions}


def whole(amount: Doc) -> Doc:
    """Documented: the defaults of an amount and its currency."""
    return {"amount": amount.get("amount", 0), "currency": amount.get("currency", "USD")}


def amount_of(amount: Doc | None) -> Money:
    """As a number and its unit. What a seed left out is nothing."""
    known = whole(amount or {})
    return money({"value": known["amount"], "unit": known["currency"]})


def refuse(call: Call, names: list[str]) -> None:
    """Refuse for all these reasons together, if there are any; the first decides. How each reads is in the spec."""
    if names:
        assert call.operation is not None  # only a request is refused
        declared = call.operation.rejections
        call.reject(names[0], details=[detail for name in names for detail in declared[name].value["details"]])
