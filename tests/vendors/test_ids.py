"""Documents that come from another org keep their ids, numbers and codes, and nothing new is given the same."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import NamedTuple

import pytest

from tests.serving import Json, OrgClient
from tests.vendors import emporix_coupons_support as coupons
from tests.vendors import emporix_identity_support as identity
from tests.vendors import emporix_points_support as points
from tests.vendors import enfore_support as enfore
from tests.vendors import norce_support as norce

NOW = "2030-01-01T12:00:00.000Z"
MANY = 3
_numbers = count(1)


class Kind(NamedTuple):
    """Something that gets an id, or another unique value, when a request or a seed makes it."""

    vendor: str
    collections: tuple[str, ...]  # where each creation puts one document
    create: Callable[[OrgClient], object]
    prepare: tuple[Callable[[OrgClient], object], ...] = ()  # in the org whose documents go to the other


def _posted(org_client: OrgClient, path: str, body: Json, status: int = 201) -> Json:
    response = org_client.request("POST", path, body)
    assert response.status_code == status, response.text
    return response.json()


def _seed(collection: str, **members: Json) -> Callable[[OrgClient], object]:
    return lambda org_client: org_client.seed("enfore", **{collection: [members]})


def _draft(kind: enfore.PromotionKind) -> Callable[[OrgClient], object]:
    return lambda org_client: _posted(org_client, kind.draft_path(org_client), enfore.draft())


def _promotion(kind: enfore.PromotionKind) -> Callable[[OrgClient], object]:
    def create(org_client: OrgClient) -> None:
        draft = _posted(org_client, kind.draft_path(org_client), enfore.draft())
        _posted(org_client, kind.path(org_client), {"draft_id": draft["id"], "operation": "ACTIVATE"}, 200)

    return create


def _subscription(org_client: OrgClient) -> None:
    path = enfore.path(org_client, "sales-vouchers/gift-cards/subscriptions")
    _posted(org_client, path, {"callback_url": f"https://hooks.example/{next(_numbers)}"})


def _sign_up(org_client: OrgClient) -> None:
    identity.answered(identity.sign_up(org_client, f"c{next(_numbers)}@example.com"), 201)


def _referral(org_client: OrgClient) -> None:
    response = coupons.ask(org_client, "POST", f"/referral-coupons/C{next(_numbers)}")
    assert response.status_code == 200, response.text


def _exchange(org_client: OrgClient) -> None:
    options = points.staff(org_client, "GET", f"/{org_client.org}/redeemOptions").json()
    response = points.exchange(org_client, options[0]["id"])
    assert response.status_code == 201, response.text


KINDS = {
    "gift card": Kind(
        "enfore",
        ("gift_cards",),
        lambda org_client: enfore.import_card(org_client, external_number=f"X-{next(_numbers)}"),
    ),
    "redemption of a gift card": Kind(
        "enfore",
        ("gift_card_redemptions",),
        lambda org_client: _posted(
            org_client,
            enfore.cards(org_client, "c", "redemptions"),
            {"redeemed_amount": enfore.eur(1), "external_reference": "order"},
        ),
        (lambda org_client: org_client.seed("enfore", gift_cards=[enfore.new_card(id="c")]),),
    ),
    "product voucher": Kind("enfore", ("product_vouchers",), _seed("product_vouchers", **enfore.product_voucher())),
    "category voucher": Kind("enfore", ("category_vouchers",), _seed("category_vouchers", **enfore.category_voucher())),
    "problem": Kind("enfore", ("problems",), _seed("problems", **enfore.problem("gift_cards", NOW))),
    "subscription": Kind("enfore", ("subscriptions",), _subscription),
    **{kind.drafts: Kind("enfore", (kind.drafts,), _draft(kind)) for kind in enfore.PROMOTION_KINDS},
    **{kind.promotions: Kind("enfore", (kind.promotions,), _promotion(kind)) for kind in enfore.PROMOTION_KINDS},
    "coupon": Kind("emporix", ("coupons",), lambda org_client: coupons.create(org_client, code=None)),
    "referral coupon": Kind("emporix", ("coupons",), _referral),
    "redemption of a coupon": Kind(
        "emporix",
        ("coupon_redemptions",),
        coupons.redeemed,
        (coupons.create,),
    ),
    "customer": Kind("emporix", ("customers",), _sign_up),
    "added points": Kind("emporix", ("added_points",), points.earn),
    "redeemed points": Kind(
        "emporix",
        ("redeemed_points",),
        lambda org_client: points.spend(org_client, 1),
        (lambda org_client: points.earn(org_client, 99),),
    ),
    "redeem option": Kind("emporix", ("redeem_options",), points.offer),
    "coupon for points": Kind(
        "emporix",
        ("coupons", "redeemed_points"),
        _exchange,
        (lambda org_client: points.offer(org_client, 1), lambda org_client: points.earn(org_client, 99)),
    ),
    "promotion": Kind("norce", ("promotions",), lambda org_client: norce.inserted(org_client, Name="P")),
}
each_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())


@pytest.fixture
def origin(org_client: OrgClient) -> OrgClient:
    return _tenant(org_client)


@pytest.fixture
def other(origin: OrgClient) -> OrgClient:
    return _tenant(OrgClient(origin.url, f"{origin.org}x", origin.http))


def _tenant(org_client: OrgClient) -> OrgClient:
    org_client.org = org_client.org.replace("-", "")
    org_client.freeze(NOW)
    return org_client


def _made(kind: Kind, origin: OrgClient) -> Json:
    """What an org has, after some of the kind were made there."""
    for step in kind.prepare:
        step(origin)
    for _ in range(MANY):
        kind.create(origin)
    return origin.state()


def _sizes(org_client: OrgClient, kind: Kind) -> list[int]:
    return [len(org_client.state()[kind.vendor][name]) for name in kind.collections]


@each_kind
def test_what_is_made_beside_a_foreign_state_is_new(origin: OrgClient, other: OrgClient, kind: Kind) -> None:
    documents = _made(kind, origin)
    assert other.admin("PUT", "/state", {"documents": documents}).status_code == 200
    before = _sizes(other, kind)

    for _ in range(MANY):
        kind.create(other)

    assert _sizes(other, kind) == [size + MANY for size in before]


@each_kind
def test_what_is_made_beside_seeded_documents_is_new(origin: OrgClient, other: OrgClient, kind: Kind) -> None:
    documents = _made(kind, origin)
    seed = {name: [entry["document"] for entry in entries] for name, entries in documents[kind.vendor].items()}
    seed.pop("reward_points", None)  # an account is seeded with its entries, or they with their account
    other.seed(kind.vendor, **seed)
    before = _sizes(other, kind)

    for _ in range(MANY):
        kind.create(other)

    assert _sizes(other, kind) == [size + MANY for size in before]


def test_of_objects_seeded_together_none_is_given_what_another_one_has(origin: OrgClient, other: OrgClient) -> None:
    enfore.import_card(origin)
    (card,) = (entry["document"] for entry in origin.state()["enfore"]["gift_cards"])

    stored = other.seed("enfore", gift_cards=[enfore.new_card(external_number="X-2"), card])["gift_cards"]

    assert len(other.state()["enfore"]["gift_cards"]) == 2
    assert (stored[1]["id"], stored[1]["number"]) == (card["id"], card["number"])


def test_a_promotion_seeded_beside_one_with_an_id_gets_another(origin: OrgClient) -> None:
    stored = origin.seed("norce", promotions=[{"Name": "A"}, {"Id": 1, "Name": "B"}])["promotions"]

    assert stored[0]["Id"] != stored[1]["Id"] == 1


def test_a_seeded_row_without_an_id_gets_none_of_its_promotion(origin: OrgClient) -> None:
    rows = [{"RequirementType": "BasketTotal"}, {"Id": 2, "RequirementType": "BasketTotal"}]

    (stored,) = origin.seed("norce", promotions=[{"Id": 9, "Requirements": rows}])["promotions"]

    assert len({row["Id"] for row in stored["Requirements"]}) == 2


def test_points_buy_a_coupon_however_many_of_the_next_codes_are_taken(origin: OrgClient) -> None:
    points.offer(origin, 1)
    points.earn(origin, 9)
    taken = [{"code": f"REW-{number * 618_033 % 1_000_000:06d}", "name": "Taken"} for number in range(1, 200)]
    prefix = _code_prefix(origin)
    origin.seed(
        "emporix", coupons=[coupons.new_coupon(**{**one, "code": one["code"].replace("REW", prefix)}) for one in taken]
    )

    _exchange(origin)

    assert len(origin.state()["emporix"]["coupons"]) == 200


def _code_prefix(org_client: OrgClient) -> str:
    """What the codes of coupons for points begin with, as another tenant has them."""
    other = _tenant(OrgClient(org_client.url, f"{org_client.org}y", org_client.http))
    points.offer(other, 1)
    points.earn(other, 9)
    _exchange(other)
    code: str = other.state()["emporix"]["coupons"][0]["document"]["code"]
    return code.rpartition("-")[0]


def test_an_entry_is_given_no_id_that_a_client_gave_another(origin: OrgClient, other: OrgClient) -> None:
    points.earn(origin)
    (foreign,) = (entry["id"] for entry in points.added(origin))
    points.earn(other, id=foreign)

    points.earn(other)

    assert len({entry["id"] for entry in points.added(other)}) == 2


def test_many_taken_ids_are_passed_over_once(origin: OrgClient, other: OrgClient) -> None:
    create = _draft(enfore.PROMOTION_KINDS[0])
    for _ in range(50):
        create(origin)
    other.admin("PUT", "/state", {"documents": origin.state()})

    create(other)
    create(other)

    assert other.admin("GET", "/state").json()["sequence"] == 52
