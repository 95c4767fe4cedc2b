"""What Emporix's coupons do when their dates come: what the clock tells, once, and never for what was over before."""

from __future__ import annotations

import pytest

from tests.serving import Json, OrgClient
from tests.vendors.emporix_coupons_support import (
    LATER,
    NOW,
    PAST,
    SOON,
    ask,
    configure,
    coupons,
    create,
    found,
    listed,
    new_coupon,
    read,
)


def fired(happened: list[Json]) -> list[tuple[str, str, str]]:
    assert [each["internal_error"] for each in happened] == [None] * len(happened)
    assert [each["notified"] for each in happened] == [[]] * len(happened)
    return [(each["at"], each["event"], each["id"]) for each in happened]


def replace(shop: OrgClient, **restrictions: str) -> None:
    """PUT the coupon with these restrictions and no other."""
    sent = {**new_coupon(), "restrictions": restrictions}
    assert ask(shop, "PUT", coupons("FIVE"), sent).status_code in {200, 204}


def test_advancing_tells_that_a_coupon_has_begun_and_has_expired(shop: OrgClient) -> None:
    create(shop, restrictions={"validFrom": SOON, "validUntil": LATER})

    assert fired(shop.advance("P1Y")) == [(SOON, "start-coupon", "FIVE"), (LATER, "expire-coupon", "FIVE")]
    assert read(shop)["status"] == "EXPIRED"


def test_the_list_and_the_status_agree_at_every_instant(shop: OrgClient) -> None:
    create(shop, restrictions={"validFrom": "2030-01-01T12:00:01Z", "validUntil": "2030-01-01T12:00:02Z"})
    seen = []
    for by in ("PT0.999S", "PT0.001S", "PT1S", "PT0.001S"):
        events = [event for _, event, _ in fired(shop.advance(by))]
        seen.append((read(shop)["status"], events))

    assert seen == [
        ("INACTIVE", []),
        ("VALID", ["start-coupon"]),
        ("VALID", []),  # at `validUntil` itself it has not ended
        ("EXPIRED", ["expire-coupon"]),
    ]


def test_a_coupon_without_dates_brings_nothing_about(shop: OrgClient) -> None:
    create(shop)

    assert shop.advance("P5Y") == []
    assert "coming" not in shop.state()["emporix"]["coupons"][0]["document"]


@pytest.mark.parametrize("restrictions", [{"validFrom": PAST}, {"validFrom": NOW}, {"validUntil": PAST}])
def test_a_date_that_is_over_when_the_coupon_is_made_does_not_happen(shop: OrgClient, restrictions: Json) -> None:
    create(shop, code="MADE", restrictions=restrictions)
    shop.seed("emporix", coupons=[new_coupon(code="SEEDED", restrictions=restrictions)])

    assert shop.advance("P1Y") == []


def test_a_seeded_coupon_begins_and_expires_too(shop: OrgClient) -> None:
    shop.seed("emporix", coupons=[new_coupon(restrictions={"validFrom": PAST, "validUntil": SOON})])

    assert fired(shop.advance("P1Y")) == [(SOON, "expire-coupon", "FIVE")]


def test_other_dates_take_the_place_of_those_before(shop: OrgClient) -> None:
    create(shop, restrictions={"validFrom": SOON, "validUntil": LATER})
    replace(shop, validUntil="2030-01-10T00:00:00Z")

    assert fired(shop.advance("P1Y")) == [("2030-01-10T00:00:00.000Z", "expire-coupon", "FIVE")]

    replace(shop, validUntil="2033-01-01T00:00:00Z")  # prolonged, so it expires once more
    assert [event for _, event, _ in fired(shop.advance("P5Y"))] == ["expire-coupon"]


def test_the_same_dates_sent_again_do_not_happen_again(shop: OrgClient) -> None:
    dates = {"validFrom": SOON, "validUntil": LATER}
    create(shop, restrictions=dates)
    shop.advance("P45D")
    replace(shop, **dates)
    assert ask(shop, "PATCH", coupons("FIVE"), {"name": "Six"}).status_code in {200, 204}

    assert [event for _, event, _ in fired(shop.advance("P1Y"))] == ["expire-coupon"]


def test_a_coupon_that_lost_its_dates_brings_nothing_about(shop: OrgClient) -> None:
    create(shop, restrictions={"validUntil": SOON})
    replace(shop)

    assert shop.advance("P1Y") == []


@pytest.mark.parametrize("for_good", [False, True])
def test_a_deleted_coupon_does_not_expire(shop: OrgClient, for_good: bool) -> None:
    configure(shop, couponPermanentDelete=for_good)
    create(shop, restrictions={"validUntil": SOON})
    assert ask(shop, "DELETE", coupons("FIVE")).status_code == 204

    assert shop.advance("P1Y") == []


def test_what_a_rejected_update_said_does_not_happen(shop: OrgClient) -> None:
    create(shop, restrictions={"validUntil": LATER})
    response = ask(shop, "PATCH", coupons("FIVE"), {"restrictions": {"validFrom": LATER, "validUntil": SOON}})
    assert response.status_code == 400

    assert fired(shop.advance("P1Y")) == [(LATER, "expire-coupon", "FIVE")]


def test_a_coupon_made_out_of_points_expires(shop: OrgClient) -> None:
    template = {"name": "Five off", "discountType": "PERCENT", "discountPercentage": 5}
    option = {"id": "five", "type": "coupon", "name": "Five off", "points": 5}
    shop.seed(
        "emporix",
        reward_points=[{"customerId": "C1", "activePoints": 5}],
        redeem_options=[{**option, "coupon": {**template, "restrictions": {"validUntil": SOON}}}],
    )
    bearer = {"Authorization": f"Bearer sandbox;tenant={shop.org};customer=C1"}
    made = shop.request("POST", "/reward-points/public/customer/redeem", {"id": "five"}, headers=bearer)

    assert fired(shop.advance("P40D")) == [(SOON, "expire-coupon", made.json()["code"])]


def test_an_org_put_back_tells_only_what_is_still_to_come(shop: OrgClient) -> None:
    create(shop, restrictions={"validFrom": SOON, "validUntil": LATER})
    shop.advance("P45D")
    exported = shop.admin("GET", "/export").json()
    copy = OrgClient(shop.url, f"{shop.org}copy", shop.http)
    assert copy.admin("POST", "/import", exported).status_code in {200, 201}

    assert fired(copy.advance("P1Y")) == [(LATER, "expire-coupon", "FIVE")]
    exported = copy.admin("GET", "/export").json()
    assert copy.admin("POST", "/import", exported).status_code in {200, 201}
    assert copy.advance("P1Y") == []


def test_a_restored_snapshot_lets_the_same_happen_again(shop: OrgClient) -> None:
    create(shop, restrictions={"validFrom": SOON, "validUntil": LATER})
    shop.admin("PUT", "/snapshots/before")
    first = fired(shop.advance("P1Y"))
    shop.admin("POST", "/snapshots/before/restore")

    assert fired(shop.advance("P1Y")) == first


def test_what_is_still_to_come_is_not_shown_to_clients(shop: OrgClient) -> None:
    create(shop, restrictions={"validFrom": SOON})

    assert "coming" not in read(shop)
    assert "coming" not in listed(shop)[0]
    assert found(shop, q="coming:validFrom").json() == []


@pytest.mark.parametrize(
    "members",
    [
        {"restrictions": {"validFrom": 5}},
        {"restrictions": {"validFrom": ["x"]}},
        {"restrictions": {"validUntil": "soon"}},
        {"restrictions": []},
        {"coming": "validFrom"},
        {"coming": ["validTomorrow"]},
    ],
)
def test_a_seed_whose_dates_are_none_is_rejected(shop: OrgClient, members: Json) -> None:
    response = shop.admin("POST", "/seed", {"emporix": {"coupons": [new_coupon(**members)]}})

    assert response.status_code == 400
    assert shop.advance("P1Y") == []


def test_a_date_that_is_said_to_come_but_is_not_there_does_not_come(shop: OrgClient) -> None:
    shop.seed("emporix", coupons=[new_coupon(coming=["validFrom", "validUntil"])])

    assert shop.advance("P1Y") == []
