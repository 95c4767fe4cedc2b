"""Operations on coupons and referral coupons. Redemptions are in `redemptions`."""

from __future__ import annotations

from promo_sandbox.rules import Call, Doc, Reply, Work
from promo_sandbox.vendors.emporix import lists
from promo_sandbox.vendors.emporix.coupons_constraints import broken_constraints
from promo_sandbox.vendors.emporix.coupons_dates import with_upcoming_dates
from promo_sandbox.vendors.emporix.coupons_storage import (
    ALL,
    COUPONS,
    LIVE,
    MANAGE,
    ON_BEHALF,
    READ,
    REDEEM,
    REDEMPTIONS,
    REFERRALS,
    acting_customer,
    find_coupon,
    new_code,
    normalize_code,
    redemptions_of,
    reject_all,
    with_computed_fields,
    with_defaults,
)
from promo_sandbox.vendors.emporix.rules import rules

# Documented: the schema of a referral coupon has fewer fields than that of other coupons.
_REFERRAL_FIELDS = (
    *("code", "name", "description", "discountType", "discountPercentage", "discountAbsolute", "allowAnonymous"),
    *("maxRedemptions", "maxRedemptionsPerCustomer", "restrictions", "issuedTo", "referralCoupon", "redemptionCount"),
    *("status", "deleted", "mixins", "metadata"),
)
_REFERRAL_RESTRICTIONS = ("validFor", "validFrom", "validUntil", "minOrderValue")


@rules.operation("listCoupons")
def list_coupons(call: Call) -> Reply:
    """Documented: deleted coupons are listed only with `showDeleted`."""
    index = ALL if call.query["showDeleted"] else LIVE
    return lists.page(call, COUPONS, index, lambda coupon: with_computed_fields(call, coupon))


@rules.operation("createCoupon")
def create_coupon(call: Call) -> Reply:
    """Documented: a code that exists is rejected. Inferred: a coupon that is marked as deleted keeps its code."""
    fields = _request_fields(call)
    code = normalize_code(call, fields["code"]) if "code" in fields else new_code(call)
    coupon = _make_coupon(code, fields, _make_metadata(0, fields.get("metadata")))
    reject_all(call, list(broken_constraints(coupon)))
    if call.get(COUPONS, code) is not None:
        call.reject("coupon-exists", f"Duplicate Coupon '{code}' on tenant '{call.path['tenant']}'")
    call.add(COUPONS, with_upcoming_dates(call, coupon))
    return call.reply({"id": code})


def _request_fields(call: Call) -> Doc:
    """The known fields of the body. Unknown fields of `restrictions` are dropped too."""
    sent = call.fields
    return {**sent, "restrictions": call.object_fields("restrictions")} if "restrictions" in sent else sent


def _make_coupon(code: str, fields: Doc, metadata: Doc, *, referral: bool = False) -> Doc:
    assigned = {"code": code, "metadata": metadata, "referralCoupon": referral, "deleted": False}
    return {"id": code, "code": code, **with_defaults(fields), **assigned}


def _make_metadata(version: int, sent: Doc | None) -> Doc:
    """Documented: the server sets the version, the client sets the schema URLs of the mixins."""
    return {"version": version, **({"mixins": sent["mixins"]} if sent and "mixins" in sent else {})}


@rules.operation("getCoupon")
def get_coupon(call: Call) -> Reply:
    customer = acting_customer(call, call.query.get("customerNumber"))
    coupon = find_coupon(call)
    if not _may_read(call, coupon, customer):
        detail = f"Insufficient permissions to retrieve the coupon with Id {coupon['code']}"
        call.reject("coupon-not-readable", detail)
    return call.reply(call.public(COUPONS, with_computed_fields(call, coupon)))


def _may_read(call: Call, coupon: Doc, customer: str | None) -> bool:
    """Inferred from the scopes of YaaS, the predecessor of this service.

    With `MANAGE` or `READ` any coupon can be read. With `REDEEM` or `ON_BEHALF`, coupons that are not restricted to
    other customers. Without a scope, coupons that anonymous users may redeem.
    """
    if coupon["allowAnonymous"] or call.has_scope(MANAGE) or call.has_scope(READ):
        return True
    allowed = coupon["restrictions"].get("validFor")
    return (call.has_scope(REDEEM) or call.has_scope(ON_BEHALF)) and (not allowed or customer in allowed)


@rules.operation("updateCoupon")
def update_coupon(call: Call) -> Reply:
    """Documented: replaces the coupon, or merges with `partial` (deprecated).

    Inferred: `name` and `discountType` cannot be removed.
    """
    coupon, fields = find_coupon(call), _request_fields(call)
    if call.query["partial"]:
        return _update(call, coupon, _merge(coupon, fields))
    return _update(call, coupon, {"name": coupon["name"], "discountType": coupon["discountType"], **fields})


@rules.operation("patchCoupon")
def patch_coupon(call: Call) -> Reply:
    """Documented: merges. Inferred: nested objects are merged too."""
    coupon = find_coupon(call)
    return _update(call, coupon, _merge(coupon, _request_fields(call)))


def _update(call: Call, coupon: Doc, fields: Doc) -> Reply:
    """Documented: every update increments the version. Inferred: a version in the body must be the current one."""
    version, sent = coupon["metadata"]["version"], call.fields.get("metadata", {}).get("version")
    kept = {field: coupon[field] for field in ("id", "code", "referralCoupon", "deleted")}
    changed = {**with_defaults(fields), **kept, "metadata": _make_metadata(version + 1, fields.get("metadata"))}
    reject_all(call, list(broken_constraints(changed)))
    if sent is not None and sent != version:
        call.reject("stale-version", f"The coupon '{coupon['code']}' has version {version} now.")
    call.replace(COUPONS, with_upcoming_dates(call, changed))
    return call.reply()


def _merge(before: Doc, fields: Doc) -> Doc:
    merged = dict(before)
    for field, value in fields.items():
        old = before.get(field)
        merged[field] = _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


@rules.operation("deleteCoupon")
def delete_coupon(call: Call) -> Reply:
    """Documented: marks the coupon as deleted, or removes it if the tenant's setting says so.

    After a removal the code is free.
    """
    coupon = find_coupon(call)
    if call.settings["couponPermanentDelete"]:
        return call.reply_after_writing(_delete_with_redemptions(call, coupon))
    call.update(COUPONS, coupon, deleted=True)
    return call.reply()


def _delete_with_redemptions(call: Call, coupon: Doc) -> Work[Reply]:
    redemptions = call.list_view(redemptions_of(coupon["code"]))
    call.delete(COUPONS, coupon["id"])
    for _, redemption in redemptions:
        call.delete(REDEMPTIONS, redemption["id"])
        yield
    return call.reply()


@rules.operation("getReferralCoupon")
def get_referral_coupon(call: Call) -> Reply:
    """Documented: 204 if the customer has no referral coupon."""
    coupon = _find_referral_coupon(call)
    return call.reply(status=204) if coupon is None else _referral_reply(call, coupon)


@rules.operation("createReferralCoupon")
def create_referral_coupon(call: Call) -> Reply:
    """Documented: one coupon for each customer; its value comes from the settings.

    Inferred: the currency is that of the site, and the other fields are those of the page's example.
    """
    coupon = _find_referral_coupon(call)
    if coupon is None:
        customer, referral = call.path["customerNumber"], call.settings["couponSettings"]["referral"]
        fields = {
            "name": "Referral coupon",
            "discountAbsolute": {"amount": referral["value"], "currency": call.settings["currency"]},
            "allowAnonymous": True,
            "issuedTo": customer,
        }
        code = _new_referral_code(call, referral["codePrefix"])
        coupon = _make_coupon(code, fields, _make_metadata(0, None), referral=True)
        call.add(COUPONS, coupon)
        call.replace(REFERRALS, {"id": customer, "code": coupon["code"]})
    return _referral_reply(call, coupon)


def _new_referral_code(call: Call, prefix: str) -> str:
    while True:
        code = normalize_code(call, f"{prefix}_{call.new_number()}")
        if not call.is_taken(COUPONS, code):
            return code


def _find_referral_coupon(call: Call) -> Doc | None:
    """Inferred: a customer whose referral coupon was deleted has none."""
    link = call.get(REFERRALS, call.path["customerNumber"])
    coupon = call.get(COUPONS, link["code"]) if link else None
    return coupon if coupon and not coupon["deleted"] and coupon["referralCoupon"] else None


def _referral_reply(call: Call, coupon: Doc) -> Reply:
    shown = {**with_computed_fields(call, coupon), "issuedTo": call.path["customerNumber"]}
    shown["restrictions"] = _pick(_REFERRAL_RESTRICTIONS, shown["restrictions"])
    return call.reply(_pick(_REFERRAL_FIELDS, shown))


def _pick(names: tuple[str, ...], doc: Doc) -> Doc:
    return {name: doc[name] for name in names if name in doc}
