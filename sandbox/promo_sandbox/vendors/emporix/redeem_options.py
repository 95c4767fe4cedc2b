"""Redeem options: what points can be exchanged for, and the exchange."""

from __future__ import annotations

from collections.abc import Iterator

from promo_sandbox.rules import Call, Doc, Rejected, Reply, Work
from promo_sandbox.vendors.emporix.coupons_storage import COUPONS, normalize_code
from promo_sandbox.vendors.emporix.points import (
    ACCOUNTS,
    account_of,
    add,
    customer_of,
    months_later,
    redeem,
    settings_of,
)
from promo_sandbox.vendors.emporix.rules import rules

_LIST = "redeem_options"
_ASSIGNED = ("id", "pointsAfterCoupon", "metadata")  # not for a client to say
_READ_ONLY = ("code", "issuedTo", "redemptionCount", "status", "links", "deleted")
_RESTRICTIONS = ("validFor", "validFrom", "validUntil", "minOrderValue")
_AMOUNT = ("amount", "currency")
_LINK = ("rel", "title", "href", "type")
_CHARGEBACK = "Chargeback - redeemed voucher could not be created."  # documented, to the letter
_CHARGEBACK_MONTHS = 36
_CODES = 1_000_000
_ATTEMPTS = 20  # where the Coupon API refuses a code that is free


def _indexes(_: Doc, __: int) -> list[tuple[str, int]]:
    return [(_LIST, 0)]


def _prepare(doc: Doc, call: Call) -> None:
    """Documented: an option without a version is shown with version 1."""
    if "id" not in doc:
        doc["id"] = call.new_hex(24)
    metadata = doc.setdefault("metadata", {})
    if isinstance(metadata, dict):
        metadata.setdefault("version", 1)
        metadata.setdefault("createdAt", call.now_text)
        metadata.setdefault("modifiedAt", metadata["createdAt"])


OPTIONS = rules.collection(_LIST, indexes=_indexes, prepare=_prepare)


@rules.operation("createRedeemOption")
def create_option(call: Call) -> Reply:
    """Documented: the answer is the list. Inferred: of all options, not only of the new one."""
    _create(call)
    return call.reply_all(_without("validInYears", _shown(call)))


@rules.operation("createMyRedeemOption")
def create_option_2021(call: Call) -> Reply:
    _create(call)
    return call.reply_all(_without("metadata", _shown(call)))


@rules.operation("listRedeemOptions", "listMyRedeemOptions")
def list_options(call: Call) -> Reply:
    return call.reply_all(_without("validInYears", _shown(call)))


@rules.operation("listMyRedeemOptions2021")
def list_options_2021(call: Call) -> Reply:
    return call.reply_all(_without("metadata", _shown(call)))


@rules.operation("updateRedeemOption")
def update_option(call: Call) -> Reply:
    """Documented: a stale version is refused. Inferred: it grows by one; without one nothing is compared."""
    option, given = _option(call, call.path["redeemOptionId"]), _given(call)
    metadata = option["metadata"]
    version = call.body.get("metadata", {}).get("version", metadata["version"])
    if version != metadata["version"]:
        changed = f"The resource that was requested for update with id = {option['id']} has changed."
        call.reject(
            "stale-redeem-option", details={"message": f"{changed} Please retry your request with valid version"}
        )
    metadata = {**metadata, "version": metadata["version"] + 1, "modifiedAt": call.now_text}
    call.replace(OPTIONS, {"id": option["id"], **given, "metadata": metadata})
    return call.reply()


@rules.operation("deleteRedeemOption")
def delete_option(call: Call) -> Reply:
    call.delete(OPTIONS, _option(call, call.path["redeemOptionId"])["id"])
    return call.reply()


@rules.operation("redeemMyPoints")
def exchange(call: Call) -> Reply:
    """Documented: takes the option's points and makes a coupon after its template; if none can be made, the points
    are given back by an entry of their own and the redemption stays. Inferred: what the customer is told then."""
    account = account_of(call)
    if not settings_of(call)["enabled"]:
        call.reject("reward-points-disabled")
    option = _option(call, call.body["id"])
    discount_type = option.get("coupon", {}).get("discountType")
    if discount_type == "FREE_SHIPPING":
        # Documented (tutorial): only percentage and absolute coupons.
        call.reject(
            "discount-type-not-exchangeable", f"Points cannot be exchanged for a coupon of the type {discount_type}"
        )
    return call.reply_after_writing(_exchanged(call, account, option))


def _exchanged(call: Call, account: Doc, option: Doc) -> Work[Reply]:
    # Documented by the example of a summary: the entry has the option's points and description.
    yield from redeem(call, account, {name: option[name] for name in ("points", "description") if name in option})
    code = _new_coupon(call, option)
    if code is None:
        end = months_later(call.now, _CHARGEBACK_MONTHS)
        add(call, account_of(call), {"points": option["points"], "description": _CHARGEBACK, "validUntil": end})
        call.reject_and_keep("coupon-not-created")
    return call.reply({"code": code})


def _new_coupon(call: Call, option: Doc) -> str | None:
    """The code of a coupon that the Coupon API has made; None if it makes none."""
    template = _template(call, option)
    for _ in range(_ATTEMPTS):
        code = _new_code(call, settings_of(call)["codePrefix"])
        if code is None:
            return None
        made = call.ask("createCoupon", path={"tenant": call.tenant}, body={**template, "code": code})
        if not isinstance(made, Rejected):
            return str(made.content["id"])
        if made.name != "coupon-exists":
            break
    return None


def _new_code(call: Call, prefix: str) -> str | None:
    """Documented: prefix, hyphen, digits. Six of them is inferred; no two of a million numbers give the same."""
    for _ in range(_CODES):
        code = f"{prefix}-{call.new_number() * 618_033 % _CODES:06d}"
        if not call.is_taken(COUPONS, normalize_code(call, code)):
            return code
    return None


def _template(call: Call, option: Doc) -> Doc:
    """Inferred: the template without what the Coupon API assigns, issued to the customer, who may give it away."""
    coupon = {name: value for name, value in option.get("coupon", {}).items() if name not in _READ_ONLY}
    restrictions = coupon.get("restrictions", {})
    if "validInYears" in option and "validUntil" not in restrictions:
        end = months_later(call.now, 12 * int(option["validInYears"]))
        coupon["restrictions"] = {**restrictions, "validUntil": end.replace("+00:00", "Z")}
    return {**coupon, "issuedTo": customer_of(call)}


def _create(call: Call) -> None:
    metadata = {"version": 1, "createdAt": call.now_text, "modifiedAt": call.now_text}
    given = _given(call)
    call.add(OPTIONS, {"id": call.new_hex(24), **given, "metadata": metadata})


def _given(call: Call) -> Doc:
    """What a client says of an option. Inferred: it costs something."""
    if call.body["points"] <= 0:
        call.reject("points-not-positive")
    given = {name: value for name, value in call.members.items() if name not in _ASSIGNED}
    if "coupon" in given:
        given["coupon"] = _listed(call.object_members("coupon"))
    return {**given, "points": int(given["points"])}


def _listed(template: Doc) -> Doc:
    """A template with what the page lists inside of it, and no more."""
    listed = dict(template)
    if "restrictions" in listed:
        listed["restrictions"] = _only(_RESTRICTIONS, listed["restrictions"])
        if "minOrderValue" in listed["restrictions"]:
            listed["restrictions"]["minOrderValue"] = _only(_AMOUNT, listed["restrictions"]["minOrderValue"])
    if "discountAbsolute" in listed:
        listed["discountAbsolute"] = _only(_AMOUNT, listed["discountAbsolute"])
    if "links" in listed:
        listed["links"] = [_only(_LINK, link) for link in listed["links"]]
    return listed


def _only(names: tuple[str, ...], doc: Doc) -> Doc:
    return {name: value for name, value in doc.items() if name in names}


def _option(call: Call, id: str) -> Doc:
    option = call.get(OPTIONS, id)
    if option is None:
        call.reject("unknown-redeem-option", f"No redeem option found for id {id}")
    return option


def _shown(call: Call) -> Iterator[Doc]:
    """Inferred: a customer who asks sees what each option would leave, below 0 if it costs too much."""
    options = (option for _, option in call.listed(_LIST))
    customer = call.grant.customer if call.grant is not None else None
    if customer is None:
        return options
    account = call.get(ACCOUNTS, customer)
    active = account["activePoints"] if account is not None else 0
    return ({**option, "pointsAfterCoupon": active - option["points"]} for option in options)


def _without(member: str, options: Iterator[Doc]) -> Iterator[Doc]:
    """Documented: the page of 2021 lists no `metadata` of an option, the present one no `validInYears`."""
    return ({name: value for name, value in option.items() if name != member} for option in options)
