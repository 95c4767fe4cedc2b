"""Loyalty programmes and coupon promotions of enfore, both alike: from draft to archive."""

from __future__ import annotations

import httpx2
import pytest

from tests.serving import Json, OrgClient
from tests.vendors.enfore_support import (
    LATER,
    NOW,
    PAST,
    PROMOTION_KINDS,
    SOON,
    PromotionKind,
    assert_rejected,
    draft,
    ids,
    problem,
    unchanged,
)

LOYALTY, COUPON = PROMOTION_KINDS
START, END = "start_date_and_time", "end_date_and_time"

each_kind = pytest.mark.parametrize("kind", PROMOTION_KINDS, ids=["loyalty", "coupon"])
FULL: Json = {
    "description": "One point a euro.",
    "short_description": "Points",
    START: SOON,
    END: LATER,
    "configuration": {"base_url": "https://partner.example", "authentication": {"type": "BEARER"}, "own": [1.50, None]},
}


@pytest.fixture(autouse=True)
def _frozen(org_client: OrgClient) -> None:
    org_client.freeze(NOW)


def create_draft(org_client: OrgClient, kind: PromotionKind, **members: Json) -> Json:
    response = org_client.request("POST", kind.draft_path(org_client), draft(**members))
    assert response.status_code == 201, response.text
    return response.json()


def create(org_client: OrgClient, kind: PromotionKind, draft_id: str, operation: str) -> httpx2.Response:
    return org_client.request("POST", kind.path(org_client), {"draft_id": draft_id, "operation": operation})


def started(org_client: OrgClient, kind: PromotionKind, operation: str = "ACTIVATE", **members: Json) -> Json:
    """A promotion made of a draft with these members."""
    response = create(org_client, kind, create_draft(org_client, kind, **members)["id"], operation)
    assert response.status_code == 200, response.text
    return response.json()


def seeded(org_client: OrgClient, kind: PromotionKind, **members: Json) -> str:
    """The id of a promotion that is simply there."""
    promotion: str = org_client.seed("enfore", **{kind.promotions: [draft(**members)]})[kind.promotions][0]["id"]
    return promotion


def read(org_client: OrgClient, kind: PromotionKind, id: str) -> Json:
    response = org_client.request("GET", kind.path(org_client, id))
    assert response.status_code == 200, response.text
    return response.json()


def patch(org_client: OrgClient, kind: PromotionKind, id: str, *updates: Json) -> httpx2.Response:
    return org_client.request("PATCH", kind.path(org_client, id), {"updates": list(updates)})


def put_status(org_client: OrgClient, kind: PromotionKind, id: str, word: bytes) -> httpx2.Response:
    return org_client.request(
        "PUT", kind.path(org_client, id, "status"), raw=word, headers={"Content-Type": "text/plain"}
    )


# Drafts


@each_kind
def test_a_draft_is_answered_and_read_as_it_was_sent_with_an_id(org_client: OrgClient, kind: PromotionKind) -> None:
    created = create_draft(org_client, kind, **FULL)

    assert created == {**draft(**FULL), "id": created["id"]}
    assert org_client.request("GET", kind.draft_path(org_client, created["id"])).json() == created


@each_kind
def test_a_draft_needs_a_name_and_a_configuration_only(org_client: OrgClient, kind: PromotionKind) -> None:
    created = org_client.request("POST", kind.draft_path(org_client), {"name": "x", "configuration": {}})

    assert (created.status_code, created.json().keys()) == (201, {"id", "name", "configuration"})


@each_kind
def test_a_draft_has_no_status_of_its_own_or_of_the_clients(org_client: OrgClient, kind: PromotionKind) -> None:
    created = create_draft(org_client, kind, status="ACTIVE", id="mine", colour="red")

    assert created.keys() == {"id", "name", "configuration"}
    assert created["id"] != "mine"


def test_only_a_loyalty_draft_has_a_coupon_identity(org_client: OrgClient) -> None:
    identity = {"name": "Coupon", "own": {"x": 1}}

    assert create_draft(org_client, LOYALTY, coupon_identity=identity)["coupon_identity"] == identity
    assert "coupon_identity" not in create_draft(org_client, COUPON, coupon_identity=identity)


@each_kind
def test_the_inner_objects_of_a_draft_come_back_to_the_last_digit(org_client: OrgClient, kind: PromotionKind) -> None:
    raw = (
        b'{"name": "x", "configuration": {"rate": 1.500, "big": 123456789012345678901234567890, "deep": [{"a": null}]}}'
    )

    content = org_client.request("POST", kind.draft_path(org_client), raw=raw).content

    assert b'"configuration":{"rate":1.500,"big":123456789012345678901234567890,"deep":[{"a":null}]}' in content


@each_kind
def test_an_image_gets_an_id_when_it_is_stored_and_keeps_it(org_client: OrgClient, kind: PromotionKind) -> None:
    created = create_draft(org_client, kind, identity_images=[{"data": "aGk="}, {"data": "aG8=", "own": 1}])

    images = created["identity_images"]
    assert [image["data"] for image in images] == ["aGk=", "aG8="]
    assert len({image["id"] for image in images}) == 2
    replaced = org_client.request(
        "PUT", kind.draft_path(org_client, created["id"]), draft(identity_images=images)
    ).json()
    assert replaced["identity_images"] == images


@each_kind
@pytest.mark.parametrize(
    "members",
    [
        {"name": 5},
        {"name": None},
        {"configuration": "https://partner.example"},
        {"configuration": []},
        {"description": {}},
        {"identity_images": {}},
        {"identity_images": ["aGk="]},
        {START: "2030-01-01"},
        {END: 20300101},
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_draft_of_the_wrong_form_is_invalid(
    org_client: OrgClient, kind: PromotionKind, method: str, members: Json
) -> None:
    id = create_draft(org_client, kind)["id"]

    with unchanged(org_client):
        response = org_client.request(
            method, kind.draft_path(org_client, *([id] if method == "PUT" else [])), {**draft(), **members}
        )

    assert_rejected(org_client, response, 400, "invalid-request")


@each_kind
@pytest.mark.parametrize("missing", ["name", "configuration"])
def test_a_draft_without_what_it_needs_is_invalid(org_client: OrgClient, kind: PromotionKind, missing: str) -> None:
    body = draft()
    del body[missing]

    assert_rejected(org_client, org_client.request("POST", kind.draft_path(org_client), body), 400, "invalid-request")


@each_kind
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_draft_must_not_end_before_it_starts(org_client: OrgClient, kind: PromotionKind, method: str) -> None:
    id = create_draft(org_client, kind)["id"]
    body = draft(**{START: SOON, END: PAST})

    with unchanged(org_client):
        response = org_client.request(method, kind.draft_path(org_client, *([id] if method == "PUT" else [])), body)

    assert_rejected(org_client, response, 422, "end-before-start")


@each_kind
def test_dates_in_the_past_are_no_fault_of_a_draft(org_client: OrgClient, kind: PromotionKind) -> None:
    assert create_draft(org_client, kind, **{START: PAST, END: NOW})[END] == NOW


@each_kind
def test_replacing_a_draft_clears_what_is_left_out(org_client: OrgClient, kind: PromotionKind) -> None:
    id = create_draft(org_client, kind, **FULL)["id"]

    response = org_client.request(
        "PUT", kind.draft_path(org_client, id), {"name": "New", "configuration": {}, "id": "mine"}
    )

    assert (response.status_code, response.json()) == (200, {"id": id, "name": "New", "configuration": {}})
    assert org_client.request("GET", kind.draft_path(org_client, id)).json() == response.json()


@each_kind
def test_a_deleted_draft_is_gone(org_client: OrgClient, kind: PromotionKind) -> None:
    id = create_draft(org_client, kind)["id"]

    response = org_client.request("DELETE", kind.draft_path(org_client, id))

    assert (response.status_code, response.content) == (204, b"")
    for method, body in (("GET", None), ("PUT", draft()), ("DELETE", None)):
        again = org_client.request(method, kind.draft_path(org_client, id), body)
        assert_rejected(org_client, again, 404, "unknown-draft")


@each_kind
def test_drafts_are_listed_newest_first(org_client: OrgClient, kind: PromotionKind) -> None:
    first, second = (create_draft(org_client, kind)["id"] for _ in range(2))
    org_client.advance("PT1S")
    third = create_draft(org_client, kind)["id"]
    org_client.request("PUT", kind.draft_path(org_client, first), draft(name="Changed last"))

    assert ids(org_client.request("GET", kind.draft_path(org_client))) == [third, second, first]


@each_kind
def test_a_draft_of_one_kind_is_unknown_to_the_other(org_client: OrgClient, kind: PromotionKind) -> None:
    other = LOYALTY if kind is COUPON else COUPON
    id = create_draft(org_client, kind)["id"]

    assert_rejected(org_client, org_client.request("GET", other.draft_path(org_client, id)), 404, "unknown-draft")
    assert_rejected(org_client, create(org_client, other, id, "ACTIVATE"), 404, "unknown-draft")
    assert ids(org_client.request("GET", other.draft_path(org_client))) == []


# From draft to promotion


@each_kind
def test_a_scheduled_promotion_is_the_draft_with_a_status_and_another_id(
    org_client: OrgClient, kind: PromotionKind
) -> None:
    made_of = create_draft(org_client, kind, **FULL)

    response = create(org_client, kind, made_of["id"], "SCHEDULE")

    promotion = response.json()
    assert (response.status_code, promotion) == (200, {**made_of, "id": promotion["id"], "status": "SCHEDULED"})
    assert promotion["id"] != made_of["id"]
    assert read(org_client, kind, promotion["id"]) == promotion


@each_kind
@pytest.mark.parametrize("operation", ["SCHEDULE", "ACTIVATE"])
def test_the_draft_is_used_up(org_client: OrgClient, kind: PromotionKind, operation: str) -> None:
    id = create_draft(org_client, kind, **FULL)["id"]
    create(org_client, kind, id, operation)

    assert_rejected(org_client, org_client.request("GET", kind.draft_path(org_client, id)), 404, "unknown-draft")
    assert_rejected(org_client, create(org_client, kind, id, operation), 404, "unknown-draft")
    assert ids(org_client.request("GET", kind.draft_path(org_client))) == []


@each_kind
@pytest.mark.parametrize(("start", "expected"), [(None, NOW), (SOON, NOW), (NOW, NOW), (PAST, PAST)])
def test_an_activated_promotion_starts_now_unless_its_start_has_passed(
    org_client: OrgClient, kind: PromotionKind, start: str | None, expected: str
) -> None:
    promotion = started(org_client, kind, **({} if start is None else {START: start}))

    assert (promotion["status"], promotion[START]) == ("ACTIVE", expected)


@each_kind
def test_to_schedule_needs_a_start(org_client: OrgClient, kind: PromotionKind) -> None:
    id = create_draft(org_client, kind)["id"]

    with unchanged(org_client):
        response = create(org_client, kind, id, "SCHEDULE")

    body = assert_rejected(org_client, response, 422, "start-missing")
    assert body["on_resource"] == org_client.url + kind.draft_path(org_client, id)


@each_kind
@pytest.mark.parametrize("start", [PAST, NOW])
def test_to_schedule_needs_a_start_that_lies_ahead(org_client: OrgClient, kind: PromotionKind, start: str) -> None:
    id = create_draft(org_client, kind, **{START: start})["id"]

    with unchanged(org_client):
        response = create(org_client, kind, id, "SCHEDULE")

    assert_rejected(org_client, response, 422, "start-not-in-future")


@each_kind
@pytest.mark.parametrize("members", [{END: PAST}, {END: NOW}, {START: PAST, END: NOW}])
def test_what_has_ended_cannot_be_activated(org_client: OrgClient, kind: PromotionKind, members: Json) -> None:
    id = create_draft(org_client, kind, **members)["id"]

    with unchanged(org_client):
        response = create(org_client, kind, id, "ACTIVATE")

    assert_rejected(org_client, response, 422, "end-in-past")


@each_kind
def test_a_draft_seeded_with_its_dates_reversed_cannot_be_scheduled(org_client: OrgClient, kind: PromotionKind) -> None:
    org_client.seed("enfore", **{kind.drafts: [draft(id="d", **{START: LATER, END: SOON})]})

    with unchanged(org_client):
        response = create(org_client, kind, "d", "SCHEDULE")

    assert_rejected(org_client, response, 422, "end-before-start")


@each_kind
@pytest.mark.parametrize("operation", ["SCHEDULE", "ACTIVATE"])
def test_an_unknown_draft_cannot_become_anything(org_client: OrgClient, kind: PromotionKind, operation: str) -> None:
    create_draft(org_client, kind)

    with unchanged(org_client):
        response = create(org_client, kind, "nowhere", operation)

    assert_rejected(org_client, response, 404, "unknown-draft")


@each_kind
@pytest.mark.parametrize(
    "body",
    [
        {},
        {"draft_id": "d"},
        {"operation": "ACTIVATE"},
        {"draft_id": "d", "operation": "ARCHIVE"},
        {"draft_id": "d", "operation": "activate"},
        {"draft_id": "d" * 257, "operation": "ACTIVATE"},
        {"draft_id": 5, "operation": "ACTIVATE"},
    ],
)
def test_an_operation_of_the_wrong_form_is_invalid(org_client: OrgClient, kind: PromotionKind, body: Json) -> None:
    assert_rejected(org_client, org_client.request("POST", kind.path(org_client), body), 400, "invalid-request")


# By the clock


@each_kind
def test_a_promotion_starts_and_ends_when_its_time_comes(org_client: OrgClient, kind: PromotionKind) -> None:
    id = started(org_client, kind, "SCHEDULE", **{START: "2030-01-01T13:00:00Z", END: "2030-01-01T14:00:00Z"})["id"]

    def status() -> str:
        found: str = read(org_client, kind, id)["status"]
        return found

    assert (org_client.advance("PT59M59.999S"), status()) == ([], "SCHEDULED")
    [start] = org_client.advance("PT0.001S")
    assert (start["event"], start["id"], start["at"]) == (kind.events[0], id, "2030-01-01T13:00:00.000Z")
    assert status() == "ACTIVE"
    assert (org_client.advance("PT59M59.999S"), status()) == ([], "ACTIVE")
    [end] = org_client.advance("PT0.001S")
    assert (end["event"], end["id"], end["at"]) == (kind.events[1], id, "2030-01-01T14:00:00.000Z")
    assert status() == "ARCHIVED"
    assert org_client.advance("P1Y") == []


@each_kind
def test_time_that_passes_at_once_still_starts_before_it_ends(org_client: OrgClient, kind: PromotionKind) -> None:
    id = started(org_client, kind, "SCHEDULE", **{START: SOON, END: LATER})["id"]

    assert [happened["event"] for happened in org_client.advance("P1Y")] == list(kind.events)
    assert read(org_client, kind, id)["status"] == "ARCHIVED"


@each_kind
def test_an_active_promotion_without_an_end_does_not_end_by_itself(org_client: OrgClient, kind: PromotionKind) -> None:
    id = started(org_client, kind)["id"]

    assert org_client.advance("P100Y") == []
    assert read(org_client, kind, id)["status"] == "ACTIVE"


@each_kind
def test_an_activated_promotion_ends_at_its_end(org_client: OrgClient, kind: PromotionKind) -> None:
    id = started(org_client, kind, **{START: SOON, END: LATER})["id"]

    assert [happened["event"] for happened in org_client.advance("P1Y")] == [kind.events[1]]
    assert read(org_client, kind, id)[END] == LATER


# Lists


@each_kind
def test_promotions_are_listed_by_their_start_latest_first(org_client: OrgClient, kind: PromotionKind) -> None:
    for id, start in (("b", PAST), ("a", LATER), ("c", "2030-02-01T01:00:00+01:00"), ("d", SOON)):
        seeded(org_client, kind, id=id, status="ACTIVE", **{START: start})
    seeded(org_client, kind, id="now", status="ACTIVE")

    assert ids(org_client.request("GET", kind.path(org_client))) == ["a", "d", "c", "now", "b"]


@each_kind
def test_a_promotion_moves_in_the_list_with_its_start(org_client: OrgClient, kind: PromotionKind) -> None:
    first = started(org_client, kind, "SCHEDULE", **{START: SOON})["id"]
    second = started(org_client, kind, "SCHEDULE", **{START: LATER})["id"]

    patch(org_client, kind, second, {START: "2030-01-15T00:00:00Z"})

    assert ids(org_client.request("GET", kind.path(org_client))) == [first, second]


@each_kind
def test_neither_list_knows_an_interval(org_client: OrgClient, kind: PromotionKind) -> None:
    id = started(org_client, kind)["id"]

    assert ids(org_client.request("GET", f"{kind.path(org_client)}?from=x&to=y")) == [id]


@each_kind
@pytest.mark.parametrize("drafts", [False, True])
def test_a_page_counts_problems_too_and_holds_200_unless_asked_otherwise(
    org_client: OrgClient, kind: PromotionKind, drafts: bool
) -> None:
    where, collection = (
        (kind.draft_path(org_client), kind.drafts) if drafts else (kind.path(org_client), kind.promotions)
    )
    org_client.seed("enfore", **{collection: [draft(id=f"p-{n}") for n in range(200)]})
    org_client.seed("enfore", problems=[problem(collection, PAST), problem(collection, SOON)])
    newest_first = [f"p-{n}" for n in reversed(range(200))]

    def page(query: str = "") -> tuple[list[str], int]:
        response = org_client.request("GET", where + query)
        return ids(response), len(response.json()["problems"])

    assert page() == (newest_first[:199], 1)
    assert page("?offset=200") == (newest_first[199:], 1)
    assert page("?limit=2&offset=1") == (newest_first[:2], 0)
    assert page("?limit=1") == ([], 1)
    assert page("?offset=202") == ([], 0)
    assert page("?limit=5000") == (newest_first, 2)


@each_kind
@pytest.mark.parametrize("query", ["?limit=0", "?limit=5001", "?offset=-1", "?limit=x", "?offset=1.0"])
def test_a_page_of_the_wrong_form_is_invalid(org_client: OrgClient, kind: PromotionKind, query: str) -> None:
    for where in (kind.path(org_client), kind.draft_path(org_client)):
        assert_rejected(org_client, org_client.request("GET", where + query), 400, "invalid-request")


# Changing a promotion


@each_kind
def test_updates_are_applied_in_their_order(org_client: OrgClient, kind: PromotionKind) -> None:
    promotion = started(org_client, kind, "SCHEDULE", **FULL)

    response = patch(org_client, kind, promotion["id"], {"name": "A", "description": "B"}, {"name": "C"})

    expected = {**promotion, "name": "C", "description": "B"}
    assert (response.status_code, response.json()) == (200, expected)
    assert read(org_client, kind, promotion["id"]) == expected


@each_kind
@pytest.mark.parametrize("body", [{}, {"updates": []}, {"updates": [{}]}, {"updates": [{"@type": "X"}], "more": 1}])
def test_without_updates_nothing_changes(org_client: OrgClient, kind: PromotionKind, body: Json) -> None:
    promotion = started(org_client, kind, **FULL)

    with unchanged(org_client):
        response = org_client.request("PATCH", kind.path(org_client, promotion["id"]), body)

    assert (response.status_code, response.json()) == (200, promotion)


@each_kind
def test_an_update_cannot_touch_id_or_status(org_client: OrgClient, kind: PromotionKind) -> None:
    promotion = started(org_client, kind, "SCHEDULE", **FULL)

    with unchanged(org_client):
        response = patch(
            org_client, kind, promotion["id"], {"id": "mine", "status": "ARCHIVED", "@type": "X", "colour": 1}
        )

    assert response.json() == promotion


@each_kind
def test_new_images_of_an_update_get_ids(org_client: OrgClient, kind: PromotionKind) -> None:
    id = started(org_client, kind)["id"]

    [image] = patch(org_client, kind, id, {"identity_images": [{"data": "aGk="}]}).json()["identity_images"]

    assert image == {"id": image["id"], "data": "aGk="}


@each_kind
def test_of_updates_that_do_not_all_hold_none_is_applied(org_client: OrgClient, kind: PromotionKind) -> None:
    id = started(org_client, kind, "SCHEDULE", **FULL)["id"]

    with unchanged(org_client):
        response = patch(org_client, kind, id, {"name": "A"}, {END: PAST})

    body = assert_rejected(org_client, response, 422, "end-before-start")
    assert body["on_resource"] == org_client.url + kind.path(org_client, id)


@each_kind
def test_only_the_outcome_of_all_updates_is_validated(org_client: OrgClient, kind: PromotionKind) -> None:
    id = started(org_client, kind, "SCHEDULE", **FULL)["id"]

    response = patch(org_client, kind, id, {START: LATER}, {END: "2031-01-01T00:00:00Z"})

    assert (response.status_code, response.json()[START]) == (200, LATER)


@each_kind
@pytest.mark.parametrize(
    "updates",
    [
        {},
        ["x"],
        [None],
        [{"name": "A"}, {"name": 5}],
        [{"name": "A"}, {START: "tomorrow"}],
        [{"name": "A"}, {"configuration": 5}],
        [{"name": "A"}, {"identity_images": [5]}],
    ],
)
def test_updates_of_the_wrong_form_are_invalid_and_none_is_applied(
    org_client: OrgClient, kind: PromotionKind, updates: Json
) -> None:
    id = started(org_client, kind)["id"]

    with unchanged(org_client):
        response = org_client.request("PATCH", kind.path(org_client, id), {"updates": updates})

    assert_rejected(org_client, response, 400, "invalid-request")


@each_kind
def test_the_start_of_what_is_active_is_fixed(org_client: OrgClient, kind: PromotionKind) -> None:
    promotion = started(org_client, kind)

    with unchanged(org_client):
        response = patch(org_client, kind, promotion["id"], {"name": "A", START: SOON})

    assert_rejected(org_client, response, 422, "start-of-active-fixed")
    same_moment = patch(org_client, kind, promotion["id"], {"name": "A", START: "2030-01-01T13:00:00+01:00"})
    assert (same_moment.status_code, same_moment.json()["name"]) == (200, "A")


@each_kind
def test_the_end_of_what_is_active_can_be_moved(org_client: OrgClient, kind: PromotionKind) -> None:
    id = started(org_client, kind, **{END: LATER})["id"]

    assert patch(org_client, kind, id, {END: SOON}).status_code == 200

    [happened] = org_client.advance("P1Y")
    assert (happened["event"], happened["at"]) == (kind.events[1], SOON)


@each_kind
def test_a_scheduled_promotion_starts_at_its_new_start(org_client: OrgClient, kind: PromotionKind) -> None:
    id = started(org_client, kind, "SCHEDULE", **{START: SOON})["id"]

    assert patch(org_client, kind, id, {START: LATER}).json()["status"] == "SCHEDULED"

    [happened] = org_client.advance("P1Y")
    assert (happened["event"], happened["at"]) == (kind.events[0], LATER)


@each_kind
@pytest.mark.parametrize("updates", [[], [{"name": "A"}]])
def test_what_is_archived_does_not_change(org_client: OrgClient, kind: PromotionKind, updates: list[Json]) -> None:
    id = seeded(org_client, kind, status="ARCHIVED")

    with unchanged(org_client):
        response = patch(org_client, kind, id, *updates)

    assert_rejected(org_client, response, 422, kind.archived)


@each_kind
def test_updating_an_unknown_promotion_is_422_for_lack_of_a_404(org_client: OrgClient, kind: PromotionKind) -> None:
    seeded(org_client, kind)

    assert_rejected(org_client, patch(org_client, kind, "nowhere", {"name": "A"}), 422, kind.unknown)


@each_kind
def test_an_unknown_promotion_is_not_found(org_client: OrgClient, kind: PromotionKind) -> None:
    seeded(org_client, kind)

    assert_rejected(org_client, org_client.request("GET", kind.path(org_client, "nowhere")), 404, kind.unknown)
    assert_rejected(org_client, put_status(org_client, kind, "nowhere", b"ACTIVE"), 404, kind.unknown)


# Status


@each_kind
def test_a_scheduled_promotion_that_is_activated_starts_now(org_client: OrgClient, kind: PromotionKind) -> None:
    id = started(org_client, kind, "SCHEDULE", **FULL)["id"]

    response = put_status(org_client, kind, id, b"ACTIVE")

    assert (response.status_code, response.text) == (200, "ACTIVE")
    assert response.headers["content-type"].partition(";")[0] == "text/plain"
    found = read(org_client, kind, id)
    assert (found["status"], found[START], found[END]) == ("ACTIVE", NOW, LATER)
    assert [happened["event"] for happened in org_client.advance("P1Y")] == [kind.events[1]]


@each_kind
def test_a_scheduled_promotion_can_be_archived_and_then_never_starts(
    org_client: OrgClient, kind: PromotionKind
) -> None:
    id = started(org_client, kind, "SCHEDULE", **FULL)["id"]

    assert put_status(org_client, kind, id, b"ARCHIVED").text == "ARCHIVED"

    assert org_client.advance("P1Y") == []
    assert read(org_client, kind, id)["status"] == "ARCHIVED"


@each_kind
@pytest.mark.parametrize(("end", "expected"), [(None, NOW), (LATER, NOW)])
def test_an_active_promotion_that_is_archived_ends_now(
    org_client: OrgClient, kind: PromotionKind, end: str | None, expected: str
) -> None:
    id = seeded(org_client, kind, status="ACTIVE", **{START: PAST}, **({} if end is None else {END: end}))

    assert put_status(org_client, kind, id, b"ARCHIVED").text == "ARCHIVED"

    found = read(org_client, kind, id)
    assert (found["status"], found[END]) == ("ARCHIVED", expected)
    assert org_client.advance("P1Y") == []


@each_kind
@pytest.mark.parametrize("status", ["SCHEDULED", "ACTIVE", "ARCHIVED"])
def test_the_present_status_again_changes_nothing(org_client: OrgClient, kind: PromotionKind, status: str) -> None:
    id = seeded(org_client, kind, status=status, **{START: SOON if status == "SCHEDULED" else PAST})

    with unchanged(org_client):
        response = put_status(org_client, kind, id, status.encode())

    assert (response.status_code, response.text) == (200, status)


@each_kind
@pytest.mark.parametrize(
    ("present", "wanted"), [("ACTIVE", "SCHEDULED"), ("ARCHIVED", "SCHEDULED"), ("ARCHIVED", "ACTIVE")]
)
def test_a_status_never_goes_back(org_client: OrgClient, kind: PromotionKind, present: str, wanted: str) -> None:
    id = seeded(org_client, kind, status=present, **{START: PAST})

    with unchanged(org_client):
        response = put_status(org_client, kind, id, wanted.encode())

    body = assert_rejected(org_client, response, 422, "transition-not-allowed")
    assert body["on_resource"] == org_client.url + kind.path(org_client, id)


@each_kind
def test_a_promotion_that_has_ended_by_the_clock_cannot_be_activated(
    org_client: OrgClient, kind: PromotionKind
) -> None:
    id = started(org_client, kind, "SCHEDULE", **FULL)["id"]
    org_client.advance("P1Y")

    assert_rejected(org_client, put_status(org_client, kind, id, b"ACTIVE"), 422, "transition-not-allowed")


@each_kind
@pytest.mark.parametrize("word", [b" ACTIVE", b"ACTIVE\n", b"\r\n\tACTIVE  "])
def test_space_around_the_status_is_ignored(org_client: OrgClient, kind: PromotionKind, word: bytes) -> None:
    id = started(org_client, kind, "SCHEDULE", **FULL)["id"]

    assert put_status(org_client, kind, id, word).text == "ACTIVE"


@each_kind
@pytest.mark.parametrize("word", [b"", b" ", b'"ACTIVE"', b"active", b"PAUSED", b"ACTIVE ARCHIVED", b"\xff"])
def test_another_word_than_a_status_is_invalid(org_client: OrgClient, kind: PromotionKind, word: bytes) -> None:
    id = started(org_client, kind, "SCHEDULE", **FULL)["id"]

    with unchanged(org_client):
        response = put_status(org_client, kind, id, word)

    assert_rejected(org_client, response, 400, "invalid-request")


@each_kind
def test_a_status_is_read_as_plain_text_only(org_client: OrgClient, kind: PromotionKind) -> None:
    id = started(org_client, kind, "SCHEDULE", **FULL)["id"]

    with unchanged(org_client):
        response = org_client.request("PUT", kind.path(org_client, id, "status"), "ACTIVE")

    assert_rejected(org_client, response, 415, "unsupported-media-type")
    utf8 = org_client.request(
        "PUT", kind.path(org_client, id, "status"), raw=b"ACTIVE", headers={"Content-Type": "text/plain; charset=utf-8"}
    )
    assert utf8.text == "ACTIVE"


@each_kind
def test_promotions_send_no_webhooks(org_client: OrgClient, kind: PromotionKind) -> None:
    id = started(org_client, kind, "SCHEDULE", **FULL)["id"]
    patch(org_client, kind, id, {"name": "A"})
    put_status(org_client, kind, id, b"ACTIVE")
    org_client.advance("P1Y")

    assert org_client.events() == []
