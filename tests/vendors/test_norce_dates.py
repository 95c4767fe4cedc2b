"""What Norce's promotions do when their dates come: the clock tells of it, once, and what has ended is inactive."""

from __future__ import annotations

import pytest

from tests.serving import Json, OrgClient
from tests.vendors.norce_support import NOW, ask, inserted, read, rejected, standing_still, updated

PAST = "2029-12-01T00:00:00.000Z"
SOON = "2030-02-01T00:00:00.000Z"
LATER = "2030-03-01T00:00:00.000Z"
DATED: Json = {"Status": "Active", "StartDate": SOON, "EndDate": LATER}


@pytest.fixture
def slug(org_client: OrgClient) -> OrgClient:
    return standing_still(org_client)


def fired(happened: list[Json]) -> list[tuple[str, str, str]]:
    assert [each["internal_error"] for each in happened] == [None] * len(happened)
    return [(each["at"], each["event"], each["id"]) for each in happened]


def test_advancing_tells_that_a_promotion_has_begun_and_has_ended(slug: OrgClient) -> None:
    promotion = inserted(slug, **DATED)
    id = f"1/{promotion['Id']}"

    assert fired(slug.advance("P1Y")) == [(SOON, "start-promotion", id), (LATER, "end-promotion", id)]
    stopped = {"Status": "Inactive", "StoppedDate": LATER, "StoppedBy": 0, "StoppedByName": "System"}
    assert read(slug, promotion) == promotion | stopped


def test_a_promotion_of_one_instant_begins_and_ends(slug: OrgClient) -> None:
    inserted(slug, **{**DATED, "EndDate": SOON})

    assert [event for _, event, _ in fired(slug.advance("P1Y"))] == ["start-promotion", "end-promotion"]


def test_what_is_over_is_not_made_active(slug: OrgClient) -> None:
    made = inserted(slug, account=7, Status="Active", EndDate=NOW)
    seeded = slug.seed("norce", promotions=[{"Id": 100, "Status": "Active", "EndDate": PAST}])["promotions"][0]
    for promotion in (made, seeded):
        assert (promotion["Status"], promotion["StoppedDate"], promotion["StoppedBy"]) == ("Inactive", NOW, 0)
    slug.advance("P1D")

    again = updated(slug, made, account=7, Status="Active", EndDate=PAST)
    assert (again["Status"], again["StoppedDate"]) == ("Inactive", NOW)  # since when it is
    renewed = updated(slug, made, account=7, Status="Active", EndDate=LATER)
    assert (renewed["Status"], renewed["StoppedDate"]) == ("Active", None)


@pytest.mark.parametrize("status", ["Inactive", "Draft"])
def test_what_is_not_active_keeps_its_status_at_the_end(slug: OrgClient, status: str) -> None:
    promotion = inserted(slug, Status=status, EndDate=SOON)
    slug.advance("P1Y")

    assert read(slug, promotion) == promotion


def test_with_the_setting_what_has_ended_stays_active(slug: OrgClient) -> None:
    seed: dict[str, list[Json]] = {
        "promotions": [{"Id": 100, "Status": "Active", "EndDate": PAST}],
        "settings": [{"status_at_end": "Active"}],
    }
    assert slug.seed("norce", **seed)["promotions"][0]["Status"] == "Active"
    promotion = inserted(slug, **DATED)
    assert inserted(slug, Status="Active", EndDate=PAST)["StoppedDate"] is None

    assert [event for _, event, _ in fired(slug.advance("P1Y"))] == ["start-promotion", "end-promotion"]
    assert read(slug, promotion) == promotion
    exported = slug.admin("GET", "/export").json()
    assert slug.admin("POST", "/import", exported).status_code == 200
    assert read(slug, promotion) == promotion


@pytest.mark.parametrize("status", ["Inactive", "Draft"])
def test_only_an_active_promotion_begins_and_ends(slug: OrgClient, status: str) -> None:
    promotion = inserted(slug, **{**DATED, "Status": status})
    assert slug.advance("P45D") == []

    updated(slug, promotion, **DATED)  # by hand, after it would have begun

    assert [event for _, event, _ in fired(slug.advance("P1Y"))] == ["end-promotion"]


def test_a_promotion_that_was_stopped_does_not_end(slug: OrgClient) -> None:
    promotion = inserted(slug, **DATED)
    slug.advance("P45D")
    updated(slug, promotion, **{**DATED, "Status": "Inactive"})

    assert slug.advance("P1Y") == []


@pytest.mark.parametrize("dates", [{"StartDate": PAST}, {"StartDate": NOW}, {"EndDate": PAST}, {"EndDate": NOW}, {}])
def test_a_date_that_is_over_when_the_promotion_is_made_does_not_happen(slug: OrgClient, dates: Json) -> None:
    inserted(slug, Status="Active", **dates)
    slug.seed("norce", promotions=[{"Id": 100, "Status": "Active", **dates}])

    assert slug.advance("P1Y") == []


def test_a_seeded_promotion_begins_and_ends_too(slug: OrgClient) -> None:
    slug.seed("norce", promotions=[{"Id": 100, "application": 2, **DATED}])

    assert [(event, id) for _, event, id in fired(slug.advance("P1Y"))] == [
        ("start-promotion", "2/100"),
        ("end-promotion", "2/100"),
    ]


def test_other_dates_take_the_place_of_those_before(slug: OrgClient) -> None:
    promotion = inserted(slug, **DATED)
    updated(slug, promotion, Status="Active", EndDate="2030-01-10T00:00:00Z")
    assert [(at, event) for at, event, _ in fired(slug.advance("P1Y"))] == [
        ("2030-01-10T00:00:00.000Z", "end-promotion")
    ]

    updated(slug, promotion, Status="Active", EndDate="2033-01-01T00:00:00Z")
    assert [event for _, event, _ in fired(slug.advance("P5Y"))] == ["end-promotion"]


def test_the_same_dates_sent_again_do_not_happen_again(slug: OrgClient) -> None:
    promotion = inserted(slug, **DATED)
    slug.advance("P45D")
    updated(slug, promotion, **DATED)

    assert [event for _, event, _ in fired(slug.advance("P1Y"))] == ["end-promotion"]


def test_what_a_rejected_update_said_does_not_happen(slug: OrgClient) -> None:
    promotion = inserted(slug, Status="Active", EndDate=LATER)
    rejected = ask(slug, "PUT", f"/{promotion['Id']}", {**DATED, "StartDate": LATER, "EndDate": SOON})
    assert rejected.status_code == 400

    assert [(at, event) for at, event, _ in fired(slug.advance("P1Y"))] == [(LATER, "end-promotion")]


def test_an_org_put_back_tells_only_what_is_still_to_come(slug: OrgClient) -> None:
    inserted(slug, **DATED)
    slug.advance("P45D")
    state = slug.admin("GET", "/state").json()
    assert slug.admin("PUT", "/state", state).status_code == 200

    assert [event for _, event, _ in fired(slug.advance("P1Y"))] == ["end-promotion"]
    state = slug.admin("GET", "/state").json()
    assert slug.admin("PUT", "/state", state).status_code == 200
    assert slug.advance("P1Y") == []


def test_a_restored_snapshot_lets_the_same_happen_again(slug: OrgClient) -> None:
    inserted(slug, **DATED)
    slug.admin("PUT", "/snapshots/before")
    first = fired(slug.advance("P1Y"))
    slug.admin("POST", "/snapshots/before/restore")

    assert fired(slug.advance("P1Y")) == first


def test_what_is_still_to_come_is_not_shown_to_clients(slug: OrgClient) -> None:
    promotion = inserted(slug, **DATED)

    assert "coming" not in promotion
    assert "coming" not in read(slug, promotion)
    assert "coming" not in ask(slug, "GET").json()[0]


@pytest.mark.parametrize(
    "members", [{"StartDate": 5}, {"StartDate": ["x"]}, {"EndDate": "soon"}, {"coming": "EndDate"}, {"coming": [1]}]
)
def test_a_seed_whose_dates_are_none_is_rejected(slug: OrgClient, members: Json) -> None:
    response = slug.admin("POST", "/seed", {"norce": {"promotions": [{"Id": 100, "Status": "Active", **members}]}})

    assert response.status_code == 400
    assert slug.advance("P1Y") == []


@pytest.mark.parametrize(
    ("member", "value", "message"),
    [
        ("StartDate", "2030", '"2030" is not a "date-time"'),
        ("EndDate", "2030-13-01T00:00:00Z", '"2030-13-01T00:00:00Z" is not a "date-time"'),
        ("EndDate", 7, '7 is not of type "string" or "null"'),
        ("ImageKey", "portrait", '"portrait" is not a "uuid"'),
    ],
)
def test_a_value_that_may_be_null_says_what_is_wrong_with_it(
    slug: OrgClient, member: str, value: Json, message: str
) -> None:
    body = rejected(slug, ask(slug, "POST", "", {member: value}), 400, "invalid-request")

    assert body == {"Message": "The request is invalid.", "ModelState": {f"promotion.{member}": [message]}}


def test_a_seed_says_what_is_wrong_with_a_date(slug: OrgClient) -> None:
    response = slug.admin("POST", "/seed", {"norce": {"promotions": [{"Id": 100, "EndDate": "2030"}]}})

    assert [error["detail"] for error in response.json()["errors"]] == ['"2030" is not a "date-time"']
