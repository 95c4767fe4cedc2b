"""Promotions: list, get, insert, and update."""

from __future__ import annotations

from promo_sandbox.rules import Call, Doc, Rejected, Reply, Violation, moment
from promo_sandbox.vendors.norce.caller import Caller, changed_fields, identify_caller, stopped_fields
from promo_sandbox.vendors.norce.defaults import (
    PROMOTION_DEFAULTS,
    complete_culture,
    complete_texts,
    exceeded_limit,
    image_url,
    with_defaults,
)
from promo_sandbox.vendors.norce.rows import EFFECT, REQUIREMENT, complete_rows
from promo_sandbox.vendors.norce.rules import rules
from promo_sandbox.vendors.norce.storage import (
    APPLICATIONS,
    LIST_FIELDS,
    NOT_STOPPED,
    PROMOTIONS,
    SERVER_FIELDS,
    find_promotion,
    new_promotion_id,
    promotion_index,
    promotion_key,
    represent,
    represent_encoded,
    stop_if_over,
    with_coming_dates,
)


@rules.operation("PromotionApi_List")
def list_promotions(call: Call) -> Reply:
    """Documented: one response with all promotions; with cultures, without requirements and effects."""
    promotions = promotion_index(identify_caller(call).application)
    return call.reply_all(represent(call, doc, LIST_FIELDS) for _, doc in call.list_view(promotions))


@rules.operation("PromotionApi_Get")
def get_promotion(call: Call) -> Reply:
    return call.reply(represent_encoded(call, identify_caller(call).application))


@rules.operation("PromotionApi_Insert")
def insert_promotion(call: Call) -> Reply:
    """Inferred: ids in the body are ignored, and the promotion has no uses yet."""
    caller = identify_caller(call)
    _validate(call, None)
    id = new_promotion_id(call, caller.application)
    promotion = {
        "id": promotion_key(caller.application, id),
        "application": caller.application,
        "Id": id,
        **_fields_from_body(call, None, caller),
        **SERVER_FIELDS,
        "Created": call.now_text,
        "CreatedByName": caller.name,
    }
    promotion = stop_if_over(call, promotion)
    call.add(PROMOTIONS, with_coming_dates(call, promotion))
    _record_application(call, caller)
    return _result(call, promotion)


@rules.operation("PromotionApi_Update")
def update_promotion(call: Call) -> Reply:
    """Documented: all fields are replaced. Inferred: fields set by the server stay; an unknown id is 404."""
    caller = identify_caller(call)
    stored = find_promotion(call, caller.application)
    _validate(call, stored["Id"])
    promotion = {**stored, **_fields_from_body(call, stored, caller), **changed_fields(call, caller)}
    if promotion["Status"] != "Inactive":
        promotion = stop_if_over(call, promotion | NOT_STOPPED)
    elif stored["Status"] != "Inactive":
        promotion |= stopped_fields(call, caller)
    if stored["Status"] == promotion["Status"] == "Inactive":
        promotion |= {field: stored[field] for field in NOT_STOPPED}  # the earlier stop stays recorded
    call.replace(PROMOTIONS, with_coming_dates(call, promotion))
    return _result(call, promotion)


def _fields_from_body(call: Call, stored: Doc | None, caller: Caller) -> Doc:
    """The fields that a client may set, from the body or with their defaults."""
    body: Doc = call.body
    texts = complete_texts(body, stored)
    rows: Doc = stored or {"Requirements": [], "Effects": []}
    return {
        **texts,
        **with_defaults(PROMOTION_DEFAULTS, body),
        "ImageUrl": image_url(body.get("ImageKey")),
        "Requirements": complete_rows(call, REQUIREMENT, body.get("Requirements"), rows["Requirements"], caller),
        "Effects": complete_rows(call, EFFECT, body.get("Effects"), rows["Effects"], caller),
        "Cultures": [complete_culture(row, texts) for row in body.get("Cultures") or ()],
    }


def _validate(call: Call, id: int | None) -> None:
    """Inferred, all of it. The error response lists every problem; the first one decides which rejection it is."""
    body: Doc = call.body
    problems: list[tuple[str, Violation]] = []
    exceeded = exceeded_limit(body)
    if exceeded is not None:
        raise Rejected("invalid-request", violations=[Violation("body", exceeded, "maxItems")])
    if id is not None and body.get("Id", 0) not in (0, id):
        problems.append(("id-mismatch", Violation("body.Id", f"is {body['Id']}, but the path says {id}")))
    start, end = body.get("StartDate"), body.get("EndDate")
    if start is not None and end is not None and moment(start) > moment(end):
        problems.append(("start-after-end", Violation("body.StartDate", "is after EndDate")))
    seen: set[str] = set()
    for position, row in enumerate(body.get("Cultures") or ()):
        code = row.get("CultureCode")
        if code is None:
            continue
        if code in seen:
            where = f"body.Cultures[{position}].CultureCode"
            problems.append(("duplicate-culture", Violation(where, f"{code} stands twice")))
        seen.add(code)
    if problems:
        raise Rejected(problems[0][0], violations=[violation for _, violation in problems])


def _record_application(call: Call, caller: Caller) -> None:
    id = str(caller.application)
    if call.get(APPLICATIONS, id) is None:
        call.add(APPLICATIONS, {"id": id, "name": f"Application {id}"})


def _result(call: Call, promotion: Doc) -> Reply:
    """Documented: an object, shown empty. Inferred: it is the promotion, because no other response has its Id."""
    return call.reply({} if call.settings["result"] == "{}" else represent(call, promotion))
