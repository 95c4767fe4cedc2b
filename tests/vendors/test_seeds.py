"""Seeds are strict: a member that an object's schema does not know is rejected, whichever way it comes in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from promo_sandbox import testing
from promo_sandbox.base.errors import SandboxError
from tests.command import run
from tests.serving import Json, OrgClient
from tests.vendors import emporix_coupons_support as coupons
from tests.vendors import emporix_points_support as points
from tests.vendors import enfore_support as enfore

MISTAKEN = enfore.new_card(expiration_date_time="2030-01-01T00:00:00Z")
PLACE = "enfore.gift_cards[0].expiration_date_time"
HINT = "is not a known field; did you mean expiration_date_and_time?"

# What is misspelt, and what it should have been.
MISTAKES: dict[str, tuple[str, str, Json, str, str]] = {
    "a member": ("enfore", "gift_cards", MISTAKEN, ".expiration_date_time", "expiration_date_and_time"),
    "a member of an object inside": (
        "enfore",
        "gift_cards",
        enfore.new_card(current_balance={"unit": "EUR", "value": 5, "valeu": 6}),
        ".current_balance.valeu",
        "value",
    ),
    "points of an account": ("emporix", "reward_points", {"id": "c1", "points": 250}, ".points", "activePoints"),
    "a member of an entry": (
        "emporix",
        "reward_points",
        {"id": "c1", "summary": {"addedPointsList": [{"points": 5, "validTo": "2031-01-01T00:00:00Z"}]}},
        ".summary.addedPointsList[0].validTo",
        "validUntil",
    ),
    "a restriction": (
        "emporix",
        "coupons",
        coupons.new_coupon(restrictions={"validTill": "2031-01-01T00:00:00Z"}),
        ".restrictions.validTill",
        "validUntil",
    ),
    "a field of a redeem option's coupon": (
        "emporix",
        "redeem_options",
        points.option(coupon=points.template(maxRedemption=1)),
        ".coupon.maxRedemption",
        "maxRedemptions",
    ),
    "a restriction of a redeem option's coupon": (
        "emporix",
        "redeem_options",
        points.option(coupon=points.template(restrictions={"validTill": enfore.SOON})),
        ".coupon.restrictions.validTill",
        "validUntil",
    ),
    "a setting": (
        "emporix",
        "settings",
        {"couponPermanentlyDelete": True},
        ".couponPermanentlyDelete",
        "couponPermanentDelete",
    ),
    "a promotion's date": (
        "norce",
        "promotions",
        {"Name": "P", "EndDat": "2031-01-01T00:00:00Z"},
        ".EndDat",
        "EndDate",
    ),
    "a member of a row": (
        "norce",
        "promotions",
        {"Name": "P", "Requirements": [{"RequirementType": "BasketTotal", "OrderSun": 5}]},
        ".Requirements[0].OrderSun",
        "OrderSum",
    ),
}


def _errors(org_client: OrgClient, method: str, path: str, body: Json) -> list[tuple[str, str]]:
    response = org_client.admin(method, path, body)
    assert response.status_code == 400, response.text
    return [(error["pointer"], error["detail"]) for error in response.json()["errors"]]


@pytest.mark.parametrize(("vendor", "collection", "given", "place", "meant"), MISTAKES.values(), ids=MISTAKES.keys())
def test_what_is_misspelt_is_rejected_with_the_nearest_name(
    org_client: OrgClient, vendor: str, collection: str, given: Json, place: str, meant: str
) -> None:
    errors = _errors(org_client, "POST", "/seed", {vendor: {collection: [given]}})

    assert (f"{vendor}.{collection}[0]{place}", f"is not a known field; did you mean {meant}?") in errors


@pytest.mark.parametrize("door", ["/state", "/import"])
def test_a_state_is_as_strict(org_client: OrgClient, door: str) -> None:
    documents = {"enfore": {"gift_cards": [{"document": MISTAKEN}]}}
    if door == "/state":
        errors = _errors(org_client, "PUT", door, {"documents": documents})
    else:
        clock = {"now": enfore.NOW, "frozen": True, "real": False}
        org = {"clock": clock, "sequence": 0, "documents": documents}
        errors = _errors(org_client, "POST", door, {"promo_sandbox_export": 1, "org": org})

    assert errors == [(PLACE, HINT)]


def test_what_a_scenario_begins_with_is_as_strict(org_client: OrgClient) -> None:
    given = {"seed": {"enfore": {"gift_cards": [MISTAKEN]}}}

    errors = _errors(org_client, "PUT", "/scenario", {"given": given, "steps": [{"operation": "getGiftCard"}]})

    assert errors == [("/given/seed/enfore/gift_cards/0/expiration_date_time", HINT)]


def test_a_seed_of_the_operator_is_as_strict() -> None:
    with pytest.raises(SandboxError, match=r"did you mean expiration_date_and_time"):
        testing.app(seeds={"shop": {"enfore": {"gift_cards": [MISTAKEN]}}})


@pytest.mark.parametrize(
    ("vendor", "collection", "given"),
    [
        ("norce", "promotions", {"id": "mine", "Name": "P"}),
        ("norce", "unique_codes", {"id": "mine", "promotion": 1, "DiscountCode": "A"}),
        ("emporix", "reward_points", {"id": "c1", "customerId": "c2"}),
        ("emporix", "coupons", coupons.new_coupon(id="A", code="B")),
        ("emporix", "customers", {"id": "1", "customerNumber": "2", "email": "a@example.com"}),
        ("emporix", "settings", {"id": "mine"}),
    ],
)
def test_an_id_that_would_not_be_kept_is_rejected(
    org_client: OrgClient, vendor: str, collection: str, given: Json
) -> None:
    errors = _errors(org_client, "POST", "/seed", {vendor: {collection: [given]}})

    assert [place.removesuffix(".id") for place, _ in errors] == [f"{vendor}.{collection}[0]"]


def _seeded_replies(org_client: OrgClient) -> list[tuple[str, str, Callable[[], Json]]]:
    card = enfore.import_card(org_client)
    coupons.create(org_client)
    return [
        ("enfore", "gift_cards", lambda: enfore.get_card(org_client, card["id"])),
        ("emporix", "coupons", lambda: coupons.read(org_client)),
    ]


def test_a_reply_may_be_seeded_as_it_is(org_client: OrgClient) -> None:
    coupons.tenant(org_client)

    for vendor, collection, read in _seeded_replies(org_client):
        shown = read()
        org_client.seed(vendor, **{collection: [shown]})
        assert read() == shown


def test_what_a_client_sent_inside_a_member_goes_to_another_server_with_the_rest(org_client: OrgClient) -> None:
    enfore.import_card(org_client, current_balance={"unit": "EUR", "value": 5, "note": "kept as it was sent"})
    exported = org_client.admin("GET", "/export").json()

    response = OrgClient(org_client.url, f"{org_client.org}-x", org_client.http).admin("POST", "/import", exported)

    assert response.status_code == 200, response.text


# Two objects with one id, of each vendor; some make their id of other fields.
CODE = {"promotion": 7, "DiscountCode": "A"}
TWICE: dict[str, tuple[str, str, Json, Json, str]] = {
    "cards": (
        "enfore",
        "gift_cards",
        enfore.new_card(id="a"),
        enfore.new_card(id="a", external_number="X-2"),
        "a",
    ),
    "coupons": ("emporix", "coupons", coupons.new_coupon(code="A"), coupons.new_coupon(code="A", name="B"), "A"),
    "customers": ("emporix", "customers", {"id": "1", "email": "a@example.com"}, {"id": "1", "email": "b@x.org"}, "1"),
    "settings": ("emporix", "settings", {"currency": "EUR"}, {"couponPermanentDelete": True}, "settings"),
    "promotions": ("norce", "promotions", {"Id": 7, "Name": "P"}, {"Id": 7, "Name": "Q"}, "1/7"),
    "codes": ("norce", "unique_codes", CODE, CODE, "1/7/A"),
}
each_twice = pytest.mark.parametrize(("vendor", "collection", "one", "other", "id"), TWICE.values(), ids=TWICE.keys())


@each_twice
def test_two_objects_with_one_id_are_rejected(
    org_client: OrgClient, vendor: str, collection: str, one: Json, other: Json, id: str
) -> None:
    coupons.tenant(org_client)
    before = org_client.admin("GET", "/export").json()["org"]

    errors = _errors(org_client, "POST", "/seed", {vendor: {collection: [one, other]}})

    assert errors == [(f"{vendor}.{collection}[1]", f"has the id {id!r}, as {vendor}.{collection}[0] has")]
    assert org_client.admin("GET", "/export").json()["org"] == before


@each_twice
def test_two_objects_with_one_id_are_no_import(
    org_client: OrgClient, vendor: str, collection: str, one: Json, other: Json, id: str
) -> None:
    entries, exported = [], dict[str, Json]()
    for place, given in enumerate((one, other)):
        org_client.seed(vendor, **{collection: [given]})
        exported = org_client.admin("GET", "/export").json()
        [stored] = exported["org"]["documents"][vendor][collection]
        entries.append({**stored, "place": place})
    exported["org"]["documents"][vendor][collection] = entries

    errors = _errors(org_client, "POST", "/import", exported)

    assert errors == [(f"{vendor}.{collection}[1]", f"has the id {id!r}, as {vendor}.{collection}[0] has")]


def test_two_objects_with_one_id_in_a_seed_file_are_rejected(tmp_path: Path) -> None:
    file = tmp_path / "seed.yaml"
    file.write_text("shop: {norce: {promotions: [{Id: 7, Name: P}, {Id: 8}, {Id: 7, Name: Q}]}}", encoding="utf-8")

    done = run("serve", "--port", "0", "--seed", str(file))

    assert done.returncode == 2
    assert "norce.promotions[2]: has the id '1/7', as norce.promotions[0] has" in done.stderr


def test_two_objects_with_one_id_in_a_scenario_are_rejected(org_client: OrgClient) -> None:
    given = {"seed": {"enfore": {"gift_cards": [enfore.new_card(id="a"), enfore.new_card(id="a")]}}}

    errors = _errors(org_client, "PUT", "/scenario", {"given": given, "steps": [{"operation": "getGiftCard"}]})

    assert errors == [("/given/seed/enfore/gift_cards/1", "has the id 'a', as enfore.gift_cards[0] has")]


def test_two_objects_with_one_number_are_rejected_with_both_places(org_client: OrgClient) -> None:
    errors = _errors(org_client, "POST", "/seed", {"enfore": {"gift_cards": [enfore.new_card(), enfore.new_card()]}})

    assert errors == [("enfore.gift_cards[1].external_number", "'X-1' is taken by enfore.gift_cards[0]")]


@pytest.mark.parametrize(
    "odd", [{"mixins": 5}, {"metadata": []}, {"segmentRestricted": 0}, {"restrictions": {"segments": []}}]
)
def test_no_redeem_option_is_seeded_with_what_the_api_would_not_keep(org_client: OrgClient, odd: Json) -> None:
    option = points.option(coupon=points.template(**odd))

    errors = _errors(org_client, "POST", "/seed", {"emporix": {"redeem_options": [option]}})

    assert [detail.partition(";")[0] for _, detail in errors] == ["is not a known field"]
