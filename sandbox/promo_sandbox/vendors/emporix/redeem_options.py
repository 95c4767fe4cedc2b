"""Redeem options, and the exchange of points for a coupon."""

from __future__ import annotations

from collections.abc import Iterator

from promo_sandbox.rules import Call, Doc, Rejected, Reply, Work
from promo_sandbox.vendors.emporix.coupons_storage import COUPONS, normalize_code
from promo_sandbox.vendors.emporix.points import (
    ACCOUNTS,
    add_entry,
    add_months,
    book_redemption,
    customer_id,
    find_account,
    reward_settings,
)
from promo_sandbox.vendors.emporix.rules import rules

_INDEX = "redeem_options"
_SERVER_FIELDS = ("id", "pointsAfterCoupon", "metadata")  # ignored in a body
_READ_ONLY_FIELDS = ("code", "issuedTo", "redemptionCount", "status", "links", "deleted")
_RESTRICTION_FIELDS = ("validFor", "validFrom", "validUntil", "minOrderValue")
_AMOUNT_FIELDS = ("amount", "currency")
_LINK_FIELDS = ("rel", "title", "href", "type")
_CHARGEBACK = "Chargeback - redeemed voucher could not be created."  # documented, verbatim
_CHARGEBACK_MONTHS = 36
_CODE_COUNT = 1_000_000
_ATTEMPTS = 20  # if the Coupon API rejects a free code


def _indexes(_: Doc, __: int) -> list[tuple[str, int]]:
    return [(_INDEX, 0)]


def _prepare(doc: Doc, call: Call) -> None:
    """Documented: an option without a version is shown with version 1."""
    if "id" not in doc:
        doc["id"] = call.new_hex(24)
    metadata = doc.setdefault("metadata", {})
    if isinstance(metadata, dict):
        metadata.setdefault("version", 1)
        metadata.setdefault("createdAt", call.now_text)
        metadata.setdefault("modifiedAt", metadata["createdAt"])


OPTIONS = rules.collection(_INDEX, indexes=_indexes, prepare=_prepare)


@rules.operation("createRedeemOption")
def create_option(call: Call) -> Reply:
    """Documented: the reply is a list. Inferred: it has all options, not only the new one."""
    _create_option(call)
    return call.reply_all(_without("validInYears", _visible_options(call)))


@rules.operation("createMyRedeemOption")
def create_option_2021(call: Call) -> Reply:
    _create_option(call)
    return call.reply_all(_without("metadata", _visible_options(call)))


@rules.operation("listRedeemOptions", "listMyRedeemOptions")
def list_options(call: Call) -> Reply:
    return call.reply_all(_without("validInYears", _visible_options(call)))


@rules.operation("listMyRedeemOptions2021")
def list_options_2021(call: Call) -> Reply:
    return call.reply_all(_without("metadata", _visible_options(call)))


@rules.operation("updateRedeemOption")
def update_option(call: Call) -> Reply:
    """Documented: an outdated version is rejected. Inferred: each update adds 1; the version is optional."""
    option, fields = _find_option(call, call.path["redeemOptionId"]), _option_fields(call)
    metadata = option["metadata"]
    version = call.body.get("metadata", {}).get("version", metadata["version"])
    if version != metadata["version"]:
        changed = f"The resource that was requested for update with id = {option['id']} has changed."
        call.reject(
            "stale-redeem-option", details={"message": f"{changed} Please retry your request with valid version"}
        )
    metadata = {**metadata, "version": metadata["version"] + 1, "modifiedAt": call.now_text}
    call.replace(OPTIONS, {"id": option["id"], **fields, "metadata": metadata})
    return call.reply()


@rules.operation("deleteRedeemOption")
def delete_option(call: Call) -> Reply:
    call.delete(OPTIONS, _find_option(call, call.path["redeemOptionId"])["id"])
    return call.reply()


@rules.operation("redeemMyPoints")
def exchange(call: Call) -> Reply:
    """Documented: takes the option's points and creates a coupon from its template.

    Documented: if no coupon can be created, a new entry returns the points, and the redemption stays. Inferred: the
    error response of that case.
    """
    account = find_account(call)
    if not reward_settings(call)["enabled"]:
        call.reject("reward-points-disabled")
    option = _find_option(call, call.body["id"])
    discount_type = option.get("coupon", {}).get("discountType")
    if discount_type == "FREE_SHIPPING":
        # Documented (tutorial): only percentage and absolute coupons.
        call.reject(
            "discount-type-not-exchangeable", f"Points cannot be exchanged for a coupon of the type {discount_type}"
        )
    return call.reply_after_writing(_exchange(call, account, option))


def _exchange(call: Call, account: Doc, option: Doc) -> Work[Reply]:
    # Documented by the example of a summary: the entry has the option's points and description.
    yield from book_redemption(call, account, _pick(("points", "description"), option))
    code = _create_coupon(call, option)
    if code is None:
        end = add_months(call.now, _CHARGEBACK_MONTHS)
        add_entry(call, find_account(call), {"points": option["points"], "description": _CHARGEBACK, "validUntil": end})
        call.reject_and_keep("coupon-not-created")
    return call.reply({"code": code})


def _create_coupon(call: Call, option: Doc) -> str | None:
    """The code of the coupon that the Coupon API created, or None if it created none."""
    template = _coupon_from(call, option)
    for _ in range(_ATTEMPTS):
        code = _new_coupon_code(call, reward_settings(call)["codePrefix"])
        if code is None:
            return None
        created = call.invoke("createCoupon", path={"tenant": call.tenant}, body={**template, "code": code})
        if not isinstance(created, Rejected):
            return str(created.content["id"])
        if created.name != "coupon-exists":
            break
    return None


def _new_coupon_code(call: Call, prefix: str) -> str | None:
    """Documented: prefix, hyphen, digits. Inferred: six digits. A million consecutive numbers give different codes."""
    for _ in range(_CODE_COUNT):
        code = f"{prefix}-{call.new_number() * 618_033 % _CODE_COUNT:06d}"
        if not call.is_taken(COUPONS, normalize_code(call, code)):
            return code
    return None


def _coupon_from(call: Call, option: Doc) -> Doc:
    """Inferred: the template without the fields that the Coupon API assigns, issued to the customer."""
    coupon = {name: value for name, value in option.get("coupon", {}).items() if name not in _READ_ONLY_FIELDS}
    restrictions = coupon.get("restrictions", {})
    if "validInYears" in option and "validUntil" not in restrictions:
        end = add_months(call.now, 12 * int(option["validInYears"]))
        coupon["restrictions"] = {**restrictions, "validUntil": end.replace("+00:00", "Z")}
    return {**coupon, "issuedTo": customer_id(call)}


def _create_option(call: Call) -> None:
    metadata = {"version": 1, "createdAt": call.now_text, "modifiedAt": call.now_text}
    fields = _option_fields(call)
    call.add(OPTIONS, {"id": call.new_hex(24), **fields, "metadata": metadata})


def _option_fields(call: Call) -> Doc:
    """The fields of an option in the body. Inferred: `points` must be above 0."""
    if call.body["points"] <= 0:
        call.reject("points-not-positive")
    fields = {name: value for name, value in call.fields.items() if name not in _SERVER_FIELDS}
    if "coupon" in fields:
        fields["coupon"] = _documented_fields(call.object_fields("coupon"))
    return {**fields, "points": int(fields["points"])}


def _documented_fields(template: Doc) -> Doc:
    """A template whose nested objects have only the fields that the page lists."""
    documented = dict(template)
    if "restrictions" in documented:
        restrictions = documented["restrictions"] = _pick(_RESTRICTION_FIELDS, documented["restrictions"])
        if "minOrderValue" in restrictions:
            restrictions["minOrderValue"] = _pick(_AMOUNT_FIELDS, restrictions["minOrderValue"])
    if "discountAbsolute" in documented:
        documented["discountAbsolute"] = _pick(_AMOUNT_FIELDS, documented["discountAbsolute"])
    if "links" in documented:
        documented["links"] = [_pick(_LINK_FIELDS, link) for link in documented["links"]]
    return documented


def _pick(names: tuple[str, ...], doc: Doc) -> Doc:
    return {name: value for name, value in doc.items() if name in names}


def _find_option(call: Call, id: str) -> Doc:
    option = call.get(OPTIONS, id)
    if option is None:
        call.reject("unknown-redeem-option", f"No redeem option found for id {id}")
    return option


def _visible_options(call: Call) -> Iterator[Doc]:
    """Inferred: for a customer, each option has the balance after its exchange, below 0 if it costs too much."""
    options = (option for _, option in call.list_view(_INDEX))
    customer = call.grant.customer if call.grant is not None else None
    if customer is None:
        return options
    account = call.get(ACCOUNTS, customer)
    active = account["activePoints"] if account is not None else 0
    return ({**option, "pointsAfterCoupon": active - option["points"]} for option in options)


def _without(field: str, options: Iterator[Doc]) -> Iterator[Doc]:
    """Documented: options have no `metadata` in the page of 2021, and no `validInYears` in the current page."""
    return ({name: value for name, value in option.items() if name != field} for option in options)
