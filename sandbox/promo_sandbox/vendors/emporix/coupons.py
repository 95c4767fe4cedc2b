"""Coupons: their life, who may read them, and the one that each customer has for friends."""

from __future__ import annotations

from promo_sandbox.rules import Call, Doc, Reply, Work
from promo_sandbox.vendors.emporix import lists
from promo_sandbox.vendors.emporix.coupons_constraints import flaws
from promo_sandbox.vendors.emporix.coupons_dates import dated
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
    as_of_now,
    customer_of,
    find,
    fold,
    new_code,
    redemptions_of,
    refuse,
    terms,
)
from promo_sandbox.vendors.emporix.rules import rules

# Documented: the schema of a referral coupon, which lists less than that of other coupons.
_OF_REFERRALS = (
    *("code", "name", "description", "discountType", "discountPercentage", "discountAbsolute", "allowAnonymous"),
    *("maxRedemptions", "maxRedemptionsPerCustomer", "restrictions", "issuedTo", "referralCoupon", "redemptionCount"),
    *("status", "deleted", "mixins", "metadata"),
)
_LIMITS_OF_REFERRALS = ("validFor", "validFrom", "validUntil", "minOrderValue")


@rules.operation("listCoupons")
def list_coupons(call: Call) -> Reply:
    """Documented: deleted ones only if asked for."""
    name = ALL if call.query["showDeleted"] else LIVE
    return lists.page(call, COUPONS, name, lambda coupon: as_of_now(call, coupon))


@rules.operation("createCoupon")
def create_coupon(call: Call) -> Reply:
    """Documented: a code that is taken is refused. Inferred: a deleted coupon that is kept keeps its code too."""
    given = _sent(call)
    code = fold(call, given["code"]) if "code" in given else new_code(call)
    coupon = _new(code, given, _metadata(0, given.get("metadata")))
    refuse(call, list(flaws(coupon)))
    if call.get(COUPONS, code) is not None:
        call.reject("coupon-exists", f"Duplicate Coupon '{code}' on tenant '{call.path['tenant']}'")
    call.add(COUPONS, dated(call, coupon))
    return call.reply({"id": code})


def _sent(call: Call) -> Doc:
    """What the request says of a coupon; members of no meaning are left out, among the restrictions too."""
    sent = call.members
    return {**sent, "restrictions": call.object_members("restrictions")} if "restrictions" in sent else sent


def _new(code: str, given: Doc, metadata: Doc, *, referral: bool = False) -> Doc:
    assigned = {"code": code, "metadata": metadata, "referralCoupon": referral, "deleted": False}
    return {"id": code, "code": code, **terms(given), **assigned}


def _metadata(version: int, sent: Doc | None) -> Doc:
    """Documented: the version is the server's, where the schemas of the mixins are is the client's."""
    return {"version": version, **({"mixins": sent["mixins"]} if sent and "mixins" in sent else {})}


@rules.operation("getCoupon")
def get_coupon(call: Call) -> Reply:
    customer = customer_of(call, call.query.get("customerNumber"))
    coupon = find(call)
    if not _may_read(call, coupon, customer):
        detail = f"Insufficient permissions to retrieve the coupon with Id {coupon['code']}"
        call.reject("coupon-not-readable", detail)
    return call.reply(call.public(COUPONS, as_of_now(call, coupon)))


def _may_read(call: Call, coupon: Doc, customer: str | None) -> bool:
    """Inferred from what YaaS said of each scope: manage any, redeem what is not for others, none what is for all."""
    if coupon["allowAnonymous"] or call.has_scope(MANAGE) or call.has_scope(READ):
        return True
    chosen = coupon["restrictions"].get("validFor")
    return (call.has_scope(REDEEM) or call.has_scope(ON_BEHALF)) and (not chosen or customer in chosen)


@rules.operation("updateCoupon")
def update_coupon(call: Call) -> Reply:
    """Documented: replaces, or with `partial` (deprecated) merges. Inferred: name and type cannot be taken away."""
    coupon, given = find(call), _sent(call)
    if call.query["partial"]:
        return _update(call, coupon, _merged(coupon, given))
    return _update(call, coupon, {"name": coupon["name"], "discountType": coupon["discountType"], **given})


@rules.operation("patchCoupon")
def patch_coupon(call: Call) -> Reply:
    """Documented: merges. Inferred: object by object."""
    coupon = find(call)
    return _update(call, coupon, _merged(coupon, _sent(call)))


def _update(call: Call, coupon: Doc, given: Doc) -> Reply:
    """Documented: every update raises the version. Inferred: one that is sent must be the present one."""
    version, sent = coupon["metadata"]["version"], call.members.get("metadata", {}).get("version")
    kept = {member: coupon[member] for member in ("id", "code", "referralCoupon", "deleted")}
    changed = {**terms(given), **kept, "metadata": _metadata(version + 1, given.get("metadata"))}
    refuse(call, list(flaws(changed)))
    if sent is not None and sent != version:
        call.reject("stale-version", f"The coupon '{coupon['code']}' has version {version} now.")
    call.replace(COUPONS, dated(call, changed))
    return call.reply()


def _merged(before: Doc, given: Doc) -> Doc:
    merged = dict(before)
    for member, value in given.items():
        was = before.get(member)
        merged[member] = _merged(was, value) if isinstance(was, dict) and isinstance(value, dict) else value
    return merged


@rules.operation("deleteCoupon")
def delete_coupon(call: Call) -> Reply:
    """Documented: marked as deleted, or removed where the tenant wants that; then the code starts anew."""
    coupon = find(call)
    if call.settings["couponPermanentDelete"]:
        return call.reply_after_writing(_removed(call, coupon))
    call.update(COUPONS, coupon, deleted=True)
    return call.reply()


def _removed(call: Call, coupon: Doc) -> Work[Reply]:
    redemptions = call.listed(redemptions_of(coupon["code"]))
    call.delete(COUPONS, coupon["id"])
    for _, redemption in redemptions:
        call.delete(REDEMPTIONS, redemption["id"])
        yield
    return call.reply()


@rules.operation("getReferralCoupon")
def get_referral_coupon(call: Call) -> Reply:
    """Documented: 204 if there is none."""
    coupon = _referral(call)
    return call.reply(status=204) if coupon is None else _reply(call, coupon)


@rules.operation("createReferralCoupon")
def create_referral_coupon(call: Call) -> Reply:
    """Documented: one for each customer, worth what the settings say. Inferred: in the site's currency, and all else by
    the page's example.
    """
    coupon = _referral(call)
    if coupon is None:
        customer, referral = call.path["customerNumber"], call.settings["couponSettings"]["referral"]
        given = {
            "name": "Referral coupon",
            "discountAbsolute": {"amount": referral["value"], "currency": call.settings["currency"]},
            "allowAnonymous": True,
            "issuedTo": customer,
        }
        coupon = _new(_new_referral_code(call, referral["codePrefix"]), given, _metadata(0, None), referral=True)
        call.add(COUPONS, coupon)
        call.replace(REFERRALS, {"id": customer, "code": coupon["code"]})
    return _reply(call, coupon)


def _new_referral_code(call: Call, prefix: str) -> str:
    while True:
        code = fold(call, f"{prefix}_{call.new_number()}")
        if not call.is_taken(COUPONS, code):
            return code


def _referral(call: Call) -> Doc | None:
    """The customer's referral coupon. Inferred: after it was deleted there is none."""
    link = call.get(REFERRALS, call.path["customerNumber"])
    coupon = call.get(COUPONS, link["code"]) if link else None
    return coupon if coupon and not coupon["deleted"] and coupon["referralCoupon"] else None


def _reply(call: Call, coupon: Doc) -> Reply:
    shown = {**as_of_now(call, coupon), "issuedTo": call.path["customerNumber"]}
    shown["restrictions"] = _only(_LIMITS_OF_REFERRALS, shown["restrictions"])
    return call.reply(_only(_OF_REFERRALS, shown))


def _only(names: tuple[str, ...], doc: Doc) -> Doc:
    return {name: doc[name] for name in names if name in doc}
