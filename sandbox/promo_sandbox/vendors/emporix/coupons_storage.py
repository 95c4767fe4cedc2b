"""The collections of coupons, redemptions, referral coupons and segments, and the functions that read them."""

from __future__ import annotations

from contextlib import suppress

from promo_sandbox.rules import Call, Doc, Money, moment, moment_text, money
from promo_sandbox.vendors.emporix.coupons_dates import EXPIRY, START, timers, with_upcoming_dates
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
_ATTEMPTS_BEFORE_LONGER_CODE = 20
_MAX_DIGITS = 32
_MAX_ENTITIES = 2000  # legal entities that a coupon lists
_COMPUTED_FIELDS = ("status", "redemptionCount", "legalEntityRedemptions")


def _coupon_indexes(doc: Doc, created: int) -> list[tuple[str, int]]:
    return [(ALL, created)] if doc["deleted"] else [(ALL, created), (LIVE, created)]


def _prepare_coupon(doc: Doc, call: Call) -> None:
    if "id" not in doc:  # a document with an id was stored before, under its normalized code
        code = doc.get("code")
        doc["id"] = new_code(call) if code is None else normalize_code(call, code) if isinstance(code, str) else code
    elif doc.get("code", doc["id"]) != doc["id"]:
        detail = f"a coupon's id must equal its code; the id is {doc['id']!r} and the code is {doc['code']!r}"
        call.reject("invalid-request", detail)
    doc["code"] = doc["id"]
    for field in _COMPUTED_FIELDS:
        doc.pop(field, None)
    for field, value in _DEFAULTS.items():
        doc.setdefault(field, value)
    doc.setdefault("restrictions", {"validFor": []})
    if isinstance(doc.setdefault("metadata", {}), dict):
        doc["metadata"].setdefault("version", 0)
    doc.setdefault("referralCoupon", False)
    doc.setdefault("deleted", False)
    if "coming" not in doc:
        with suppress(AttributeError, TypeError, ValueError):  # the schema validation reports the mistake
            doc.update(with_upcoming_dates(call, doc))


def _redemption_indexes(doc: Doc, _: int) -> list[tuple[str, int]]:
    code, at = doc["code"], moment(doc["redeemedAt"])
    customer, entity = doc.get("customerNumber"), doc.get("legalEntityId")
    indexes = [(redemptions_of(code), at)]
    if customer is not None:
        indexes.append((redemptions_by(code, customer, entity), at))
    if entity is not None:
        indexes += [(_redemptions_for(code, entity), at), (_redemptions_by_entity(code), _entity_order(entity))]
    return indexes


def _prepare_redemption(doc: Doc, call: Call) -> None:
    _prepare_link(doc, call)
    if "id" not in doc:
        doc["id"] = call.new_hex(24)
    doc.setdefault("redeemedAt", call.now_text)


def _prepare_link(doc: Doc, call: Call) -> None:
    """The code of an existing coupon stays as it is; another code is normalized."""
    code = doc.get("code")
    if isinstance(code, str) and call.get(COUPONS, code) is None:
        doc["code"] = normalize_code(call, code)


def _no_indexes(_doc: Doc, _created: int) -> tuple[()]:
    """Documents of this collection are found by id only."""
    return ()


COUPONS = rules.collection("coupons", indexes=_coupon_indexes, timers=timers, prepare=_prepare_coupon)
REDEMPTIONS = rules.collection("coupon_redemptions", indexes=_redemption_indexes, prepare=_prepare_redemption)
REFERRALS = rules.collection("referral_coupons", indexes=_no_indexes, prepare=_prepare_link)
SEGMENTS = rules.collection("segments", indexes=_no_indexes)


@rules.on_timer(START)
def start(call: Call, id: str) -> None:
    """Records that `validFrom` has passed. The coupon's status is computed when the coupon is read."""
    _note_date_passed(call, id, "validFrom")


@rules.on_timer(EXPIRY)
def expire(call: Call, id: str) -> None:
    """Records that `validUntil`, the last valid moment, has passed. The status is computed when the coupon is read."""
    _note_date_passed(call, id, "validUntil")


def _note_date_passed(call: Call, id: str, date: str) -> None:
    coupon = call.get(COUPONS, id)
    if coupon is not None:
        call.update(COUPONS, coupon, coming=[field for field in coupon["coming"] if field != date])


def redemptions_of(code: str) -> str:
    return _index_name("coupon_redemptions", code)


def redemptions_by(code: str, customer: str, entity: str | None) -> str:
    return _index_name("coupon_redemptions_by", code, customer, *([] if entity is None else [entity]))


def _redemptions_for(code: str, entity: str) -> str:
    return _index_name("coupon_redemptions_for", code, entity)


def _redemptions_by_entity(code: str) -> str:
    return _index_name("coupon_redemptions_entities", code)


def _index_name(kind: str, *names: str) -> str:
    """The name of an index. The lengths keep names apart, because they may contain any character."""
    return "/".join([kind, *(f"{len(name)}:{name}" for name in names)])


def _entity_order(entity: str) -> int:
    """A number for each id. An index in this order groups the redemptions by legal entity."""
    return int.from_bytes(b"\1" + entity.encode())


def normalize_code(call: Call, code: str) -> str:
    """Documented: codes are stored in upper case unless the tenant's setting says otherwise.

    Inferred: look-ups normalize the code in the same way.
    """
    return code if call.settings["enableCouponCodeCaseSensitivity"] else code.upper()


def new_code(call: Call) -> str:
    """Documented: the service generates a code for a coupon without one. Inferred: settings give prefix and length."""
    settings, attempts = call.settings["couponSettings"], 0
    while True:
        # When most codes of this length are taken, longer codes are tried.
        digits = min(int(settings["length"]) + attempts // _ATTEMPTS_BEFORE_LONGER_CODE, _MAX_DIGITS)
        code = normalize_code(call, f"{settings['codePrefix']}{call.new_hex(digits).upper()}")
        if not call.is_taken(COUPONS, code):
            return code
        attempts += 1


def find_coupon(call: Call) -> Doc:
    """The coupon of the path. Inferred: a coupon that is marked as deleted is not found."""
    code = call.path["code"]
    coupon = call.get(COUPONS, normalize_code(call, code))
    if coupon is None or coupon["deleted"]:
        call.reject("unknown-coupon", f"Coupon with code {code} not found.")
    return coupon


def acting_customer(call: Call, requested: str | None) -> str | None:
    """Documented: the token's customer, or the customer that the request names, which needs its own scope."""
    if requested:
        if not call.has_scope(ON_BEHALF):
            call.reject("on-behalf-forbidden")
        return requested
    return call.grant.customer if call.grant else None


def redemption_limit_reached(call: Call, coupon: Doc) -> bool:
    return bool(0 <= coupon["maxRedemptions"] <= call.list_size(redemptions_of(coupon["code"])))


def is_not_yet_valid(call: Call, coupon: Doc) -> bool:
    begin = coupon["restrictions"].get("validFrom")
    return begin is not None and call.now < moment(begin)


def has_expired(call: Call, coupon: Doc) -> bool:
    """Inferred: at `validUntil` itself the coupon is still valid."""
    end = coupon["restrictions"].get("validUntil")
    return end is not None and moment(end) < call.now


def with_computed_fields(call: Call, coupon: Doc) -> Doc:
    """A stored coupon with the fields that depend on the time and on its redemptions."""
    code = coupon["code"]
    shown = {**coupon, "status": _status(call, coupon), "redemptionCount": call.list_size(redemptions_of(code))}
    shown.pop("coming", None)  # `q` must not find internal fields
    entities = _entity_counts(call, code)
    if entities:
        shown["legalEntityRedemptions"] = entities
    return shown


def _status(call: Call, coupon: Doc) -> str:
    """Documented: the meaning of each status. Inferred: their priority when several apply."""
    if has_expired(call, coupon):
        return "EXPIRED"
    if redemption_limit_reached(call, coupon):
        return "USED"
    return "INACTIVE" if is_not_yet_valid(call, coupon) else "VALID"


def _entity_counts(call: Call, code: str) -> list[Doc]:
    """Documented: the number of redemptions for each legal entity. Inferred: the limit of `_MAX_ENTITIES`."""
    counts: list[Doc] = []
    start = None
    while len(counts) < _MAX_ENTITIES and (first := call.page(_redemptions_by_entity(code), start=start, limit=1)):
        entity = first[0][1]["legalEntityId"]
        counts.append({"legalEntityId": entity, "count": call.list_size(_redemptions_for(code, entity))})
        start = _entity_order(entity) + 1
    return counts


def with_defaults(fields: Doc) -> Doc:
    """The fields of a coupon in their stored form, with defaults for the missing ones."""
    kept = {**fields, **{field: value for field, value in _DEFAULTS.items() if field not in fields}}
    restrictions = {"validFor": [], **fields.get("restrictions", {})}
    for field in ("validFrom", "validUntil"):
        if field in restrictions:
            # UTC with milliseconds, as in every example of this service.
            restrictions[field] = moment_text(moment(restrictions[field]))
    if "minOrderValue" in restrictions:
        restrictions["minOrderValue"] = complete_amount(restrictions["minOrderValue"])
    if "discountAbsolute" in kept:
        kept["discountAbsolute"] = complete_amount(kept["discountAbsolute"])
    return {**kept, "restrictions": restrictions}


def complete_amount(amount: Doc) -> Doc:
    """Documented: the default amount and the default currency."""
    return {"amount": amount.get("amount", 0), "currency": amount.get("currency", "USD")}


def to_money(amount: Doc | None) -> Money:
    """The amount as `Money`. Seeded documents may lack fields, which then have their defaults."""
    complete = complete_amount(amount or {})
    return money({"value": complete["amount"], "unit": complete["currency"]})


def reject_all(call: Call, names: list[str]) -> None:
    """Rejects the request if there are names. The first names the rejection; `details` come from all of them."""
    if names:
        assert call.operation is not None  # only requests are rejected here
        declared = call.operation.rejections
        call.reject(names[0], details=[detail for name in names for detail in declared[name].value["details"]])
