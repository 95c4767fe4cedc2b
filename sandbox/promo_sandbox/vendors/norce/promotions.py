"""Promotions: inserted, replaced, stopped, read."""

from __future__ import annotations

from promo_sandbox.rules import Call, Doc, Rejected, Reply, Violation, moment
from promo_sandbox.vendors.norce.caller import Asker, asker, changed, stopped
from promo_sandbox.vendors.norce.defaults import TERMS, culture, excess, filled, image_url, texts
from promo_sandbox.vendors.norce.rows import EFFECT, REQUIREMENT, merged
from promo_sandbox.vendors.norce.rules import rules
from promo_sandbox.vendors.norce.storage import (
    APPLICATIONS,
    NOT_STOPPED,
    PROMOTIONS,
    UNUSED,
    dated,
    find,
    listed,
    new_promotion_id,
    promotion_id,
    promotions_of,
    show_encoded,
    shown,
    stopped_if_over,
)


@rules.operation("PromotionApi_List")
def list_promotions(call: Call) -> Reply:
    """Documented: without requirements and effects, with cultures, all at once."""
    promotions = promotions_of(asker(call).application)
    return call.reply_all(listed(call, doc) for _, doc in call.listed(promotions))


@rules.operation("PromotionApi_Get")
def get_promotion(call: Call) -> Reply:
    return call.reply(show_encoded(call, asker(call).application))


@rules.operation("PromotionApi_Insert")
def insert_promotion(call: Call) -> Reply:
    """Inferred: ids that are sent mean nothing, and nothing was used yet."""
    by = asker(call)
    _validate(call, None)
    id = new_promotion_id(call, by.application)
    said = _said(call, None, by)
    promotion = {
        "id": promotion_id(by.application, id),
        "application": by.application,
        "Id": id,
        **said,
        **UNUSED,
        "Created": call.now_text,
        "CreatedByName": by.name,
    }
    promotion = stopped_if_over(call, promotion)
    call.add(PROMOTIONS, dated(call, promotion))
    _meet_application(call, by)
    return _result(call, promotion)


@rules.operation("PromotionApi_Update")
def update_promotion(call: Call) -> Reply:
    """Documented: all fields are replaced. Inferred: what only the server says stays, and 404 for an unknown id."""
    by = asker(call)
    stored = find(call, by.application)
    _validate(call, stored["Id"])
    promotion = {**stored, **_said(call, stored, by), **changed(call, by)}
    if promotion["Status"] != "Inactive":
        promotion = stopped_if_over(call, promotion | NOT_STOPPED)
    elif stored["Status"] != "Inactive":
        promotion |= stopped(call, by)
    if stored["Status"] == promotion["Status"] == "Inactive":
        promotion |= {member: stored[member] for member in NOT_STOPPED}  # since when and by whom, it still is
    call.replace(PROMOTIONS, dated(call, promotion))
    return _result(call, promotion)


def _said(call: Call, stored: Doc | None, by: Asker) -> Doc:
    """What the body says of the promotion; what it leaves out has its default."""
    sent: Doc = call.body
    own = texts(sent, stored)
    rows: Doc = stored or {"Requirements": [], "Effects": []}
    return {
        **own,
        **filled(TERMS, sent),
        "ImageUrl": image_url(sent.get("ImageKey")),
        "Requirements": merged(call, REQUIREMENT, sent.get("Requirements"), rows["Requirements"], by),
        "Effects": merged(call, EFFECT, sent.get("Effects"), rows["Effects"], by),
        "Cultures": [culture(row, own) for row in sent.get("Cultures") or ()],
    }


def _validate(call: Call, id: int | None) -> None:
    """Inferred, all of it. Everything that is wrong is told at once; what is wrong first names the refusal."""
    sent: Doc = call.body
    wrong: list[tuple[str, Violation]] = []
    too_much = excess(sent)
    if too_much is not None:
        raise Rejected("invalid-request", violations=[Violation("body", too_much, "maxItems")])
    if id is not None and sent.get("Id", 0) not in (0, id):
        wrong.append(("id-mismatch", Violation("body.Id", f"is {sent['Id']}, but the path says {id}")))
    start, end = sent.get("StartDate"), sent.get("EndDate")
    if start is not None and end is not None and moment(start) > moment(end):
        wrong.append(("start-after-end", Violation("body.StartDate", "is after EndDate")))
    met: set[str] = set()
    for at, row in enumerate(sent.get("Cultures") or ()):
        code = row.get("CultureCode")
        if code is None:
            continue
        if code in met:
            place = f"body.Cultures[{at}].CultureCode"
            wrong.append(("duplicate-culture", Violation(place, f"{code} stands twice")))
        met.add(code)
    if wrong:
        raise Rejected(wrong[0][0], violations=[violation for _, violation in wrong])


def _meet_application(call: Call, by: Asker) -> None:
    id = str(by.application)
    if call.get(APPLICATIONS, id) is None:
        call.add(APPLICATIONS, {"id": id, "name": f"Application {id}"})


def _result(call: Call, promotion: Doc) -> Reply:
    """Documented: an object, shown empty. Inferred: it is the promotion, whose Id is told nowhere else."""
    return call.reply({} if call.settings["result"] == "{}" else shown(call, promotion))
