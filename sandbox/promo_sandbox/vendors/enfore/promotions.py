"""Loyalty programs and coupon promotions, from draft to archive. They differ only in names and one field."""

from __future__ import annotations

from typing import NamedTuple

from promo_sandbox.rules import Call, Collection, Doc, Reply, moment
from promo_sandbox.vendors.enfore import lists
from promo_sandbox.vendors.enfore.rules import rules

_START, _END = "start_date_and_time", "end_date_and_time"


class PromotionKind(NamedTuple):
    """The paths, collections, path parameters and rejections of loyalty programs or of coupon promotions."""

    path: tuple[str, str]
    drafts: Collection
    promotions: Collection
    draft_parameter: str
    parameter: str
    unknown: str
    archived: str


def _prepare_draft(doc: Doc, call: Call) -> None:
    doc.setdefault("id", call.new_uuid())


def _prepare_promotion(doc: Doc, call: Call) -> None:
    doc.setdefault("id", call.new_uuid())
    doc.setdefault("status", "SCHEDULED" if _START in doc else "ACTIVE")


def _drafts(name: str) -> Collection:
    # Documented: descending by creation.
    return rules.collection(name, indexes=lambda _, created: [(name, created)], prepare=_prepare_draft)


def _promotions(name: str, start_event: str, end_event: str) -> Collection:
    def indexes(doc: Doc, created: int) -> list[tuple[str, int]]:
        # Documented: descending by start, or by creation if there is no start.
        return [(name, moment(doc[_START]) if _START in doc else created)]

    def timers(doc: Doc) -> list[tuple[int, str]]:
        # Documented: a SCHEDULED promotion has not started, an ACTIVE one has not ended.
        if doc["status"] == "SCHEDULED" and _START in doc:
            return [(moment(doc[_START]), start_event)]  # the end follows, perhaps at the same moment
        return [(moment(doc[_END]), end_event)] if doc["status"] != "ARCHIVED" and _END in doc else []

    collection = rules.collection(name, indexes=indexes, timers=timers, prepare=_prepare_promotion)

    @rules.on_timer(start_event)
    def start(call: Call, id: str) -> None:
        """At `start_date_and_time`, `SCHEDULED` becomes `ACTIVE`."""
        promotion = call.get(collection, id)
        if promotion is not None:
            call.update(collection, promotion, status="ACTIVE")

    @rules.on_timer(end_event)
    def end(call: Call, id: str) -> None:
        """At `end_date_and_time`, `SCHEDULED` or `ACTIVE` becomes `ARCHIVED`."""
        promotion = call.get(collection, id)
        if promotion is not None:
            call.update(collection, promotion, status="ARCHIVED")

    return collection


LOYALTY = PromotionKind(
    ("loyalty-programs", "external-loyalty-program"),
    _drafts("loyalty_program_drafts"),
    _promotions("loyalty_programs", "start-loyalty-program", "end-loyalty-program"),
    "loyalty-program-draft-id",
    "loyalty-program-id",
    "unknown-loyalty-program",
    "loyalty-program-archived",
)
COUPON = PromotionKind(
    ("promotions", "external-coupon-promotion"),
    _drafts("coupon_promotion_drafts"),
    _promotions("coupon_promotions", "start-coupon-promotion", "end-coupon-promotion"),
    "coupon-promotion-draft-id",
    "coupon-promotion-id",
    "unknown-coupon-promotion",
    "coupon-promotion-archived",
)


def _kind(call: Call) -> PromotionKind:
    assert call.operation is not None  # only requests come here
    return LOYALTY if "LoyaltyProgram" in call.operation.id else COUPON


@rules.operation("getExternalLoyaltyProgramDrafts", "getExternalCouponPromotionDrafts")
def get_drafts(call: Call) -> Reply:
    return _reply_list(call, _kind(call).drafts)


@rules.operation("createExternalLoyaltyProgramDraft", "createExternalCouponPromotionDraft")
def create_draft(call: Call) -> Reply:
    sent = call.fields
    _validate_dates(call, sent)
    draft = {"id": call.new_uuid(), **_with_image_ids(call, sent)}
    return call.reply(call.add(_kind(call).drafts, draft))


@rules.operation("getExternalLoyaltyProgramDraft", "getExternalCouponPromotionDraft")
def get_draft(call: Call) -> Reply:
    return call.reply(_find_draft(call))


@rules.operation("updateExternalLoyaltyProgramDraft", "updateExternalCouponPromotionDraft")
def update_draft(call: Call) -> Reply:
    """Replaces the draft; fields that are left out are cleared. Documented for updates in the sibling ERP API."""
    draft, sent = _find_draft(call), call.fields
    _validate_dates(call, sent, on_resource=_draft_url(call, draft["id"]))
    return call.reply(call.replace(_kind(call).drafts, {"id": draft["id"], **_with_image_ids(call, sent)}))


@rules.operation("deleteExternalLoyaltyProgramDraft", "deleteExternalCouponPromotionDraft")
def delete_draft(call: Call) -> Reply:
    call.delete(_kind(call).drafts, _find_draft(call)["id"])
    return call.reply()


@rules.operation("getExternalLoyaltyPrograms", "getExternalCouponPromotions")
def get_promotions(call: Call) -> Reply:
    return _reply_list(call, _kind(call).promotions)


@rules.operation("createExternalLoyaltyProgram", "createExternalCouponPromotion")
def create_promotion(call: Call) -> Reply:
    """Documented: SCHEDULE needs a start on the draft, ACTIVATE starts at once. Inferred: the draft is deleted."""
    kind, id = _kind(call), call.body["draft_id"]
    draft = call.get(kind.drafts, id)
    if draft is None:
        call.reject("unknown-draft", f"There is no draft {id}.")
    url = _draft_url(call, id)
    if call.body["operation"] == "SCHEDULE":
        _validate_schedule(call, draft, url)
        status = "SCHEDULED"
    else:
        status = "ACTIVE"
        if _START not in draft or moment(draft[_START]) > call.now:
            draft[_START] = call.now_text
    if _END in draft and moment(draft[_END]) <= call.now:
        call.reject("end-in-past", f"The draft {id} ends at {draft[_END]}; it is {call.now_text}.", on_resource=url)
    _validate_dates(call, draft, on_resource=url)
    call.delete(kind.drafts, id)
    return call.reply(call.add(kind.promotions, {**draft, "id": call.new_uuid(), "status": status}))


def _validate_schedule(call: Call, draft: Doc, url: str) -> None:
    if _START not in draft:
        call.reject("start-missing", f"The draft {draft['id']} has no {_START}.", on_resource=url)
    if moment(draft[_START]) <= call.now:
        detail = f"The draft {draft['id']} starts at {draft[_START]}; it is {call.now_text}."
        call.reject("start-not-in-future", detail, on_resource=url)


@rules.operation("getExternalLoyaltyProgram", "getExternalCouponPromotion")
def get_promotion(call: Call) -> Reply:
    return call.reply(_find_promotion(call))


@rules.operation("updateExternalLoyaltyProgram", "updateExternalCouponPromotion")
def update_promotion(call: Call) -> Reply:
    """Inferred: all updates apply, in their order, or none; the start of an active promotion is fixed."""
    kind, promotion = _kind(call), _find_promotion(call)
    url = _promotion_url(call, promotion["id"])
    if promotion["status"] == "ARCHIVED":
        call.reject(kind.archived, f"{promotion['id']} is archived and no longer changes.", on_resource=url)
    updated = dict(promotion)
    for update in call.item_fields("updates"):
        updated |= update
    if promotion["status"] == "ACTIVE" and _start_changes(promotion.get(_START), updated.get(_START)):
        detail = f"{promotion['id']} has started at {promotion.get(_START)}."
        call.reject("start-of-active-fixed", detail, on_resource=url)
    _validate_dates(call, updated, on_resource=url)
    return call.reply(call.replace(kind.promotions, _with_image_ids(call, updated)))


@rules.operation("updateExternalLoyaltyProgramStatus", "updateExternalCouponPromotionStatus")
def update_status(call: Call) -> Reply:
    """Inferred: only forwards, from SCHEDULED to ACTIVE to ARCHIVED; the current status changes nothing."""
    kind, promotion, requested = _kind(call), _find_promotion(call), call.body
    current = promotion["status"]
    if requested == current:
        return call.reply(requested)
    if current == "ARCHIVED" or requested == "SCHEDULED":
        detail = f"{promotion['id']} is {current} and cannot become {requested}."
        call.reject("transition-not-allowed", detail, on_resource=_promotion_url(call, promotion["id"]))
    changes = {"status": requested}
    if requested == "ACTIVE":
        changes[_START] = call.now_text
    elif current == "ACTIVE" and (_END not in promotion or moment(promotion[_END]) > call.now):
        changes[_END] = call.now_text
    call.update(kind.promotions, promotion, **changes)
    return call.reply(requested)


def _with_image_ids(call: Call, doc: Doc) -> Doc:
    """Inferred: images get an id when they are stored, as in the sibling ERP API."""
    if "identity_images" in doc:
        images = [image if "id" in image else {"id": call.new_uuid(), **image} for image in doc["identity_images"]]
        doc = {**doc, "identity_images": images}
    return doc


def _validate_dates(call: Call, doc: Doc, **fields: str) -> None:
    if _START in doc and _END in doc and moment(doc[_END]) < moment(doc[_START]):
        detail = f"It would end ({doc[_END]}) before it starts ({doc[_START]})."
        call.reject("end-before-start", detail, **fields)


def _start_changes(before: str | None, after: str | None) -> bool:
    return after is not None and (before is None or moment(before) != moment(after))


def _reply_list(call: Call, collection: Collection) -> Reply:
    return lists.reply_page(call, collection, collection.key.partition(".")[2], descending=True)


def _find_draft(call: Call) -> Doc:
    kind = _kind(call)
    id = call.path[kind.draft_parameter]
    draft = call.get(kind.drafts, id)
    if draft is None:
        call.reject("unknown-draft", f"There is no draft {id}.")
    return draft


def _find_promotion(call: Call) -> Doc:
    kind = _kind(call)
    id = call.path[kind.parameter]
    promotion = call.get(kind.promotions, id)
    if promotion is None:
        noun = kind.unknown.partition("-")[2].replace("-", " ")
        call.reject(kind.unknown, f"There is no {noun} {id}.")
    return promotion


def _promotion_url(call: Call, id: str) -> str:
    return call.url("promotions", "org", call.path["org-id"], *_kind(call).path, id)


def _draft_url(call: Call, id: str) -> str:
    family, name = _kind(call).path
    return call.url("promotions", "org", call.path["org-id"], family, f"{name}-drafts", id)
