"""Documents that come from another org keep their ids, numbers and codes, and nothing new is given the same."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import NamedTuple

import pytest

from tests.serving import Json, World
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
    create: Callable[[World], object]
    prepare: tuple[Callable[[World], object], ...] = ()  # in the org whose documents go to the other


def _posted(world: World, path: str, body: Json, status: int = 201) -> Json:
    response = world.request("POST", path, body)
    assert response.status_code == status, response.text
    return response.json()


def _seed(collection: str, **members: Json) -> Callable[[World], object]:
    return lambda world: world.seed("enfore", **{collection: [members]})


def _draft(kind: enfore.PromotionKind) -> Callable[[World], object]:
    return lambda world: _posted(world, kind.draft_path(world), enfore.draft())


def _promotion(kind: enfore.PromotionKind) -> Callable[[World], object]:
    def create(world: World) -> None:
        draft = _posted(world, kind.draft_path(world), enfore.draft())
        _posted(world, kind.path(world), {"draft_id": draft["id"], "operation": "ACTIVATE"}, 200)

    return create


def _subscription(world: World) -> None:
    path = enfore.path(world, "sales-vouchers/gift-cards/subscriptions")
    _posted(world, path, {"callback_url": f"https://hooks.example/{next(_numbers)}"})


def _sign_up(world: World) -> None:
    identity.answered(identity.sign_up(world, f"c{next(_numbers)}@example.com"), 201)


def _referral(world: World) -> None:
    response = coupons.ask(world, "POST", f"/referral-coupons/C{next(_numbers)}")
    assert response.status_code == 200, response.text


def _exchange(world: World) -> None:
    options = points.staff(world, "GET", f"/{world.org}/redeemOptions").json()
    response = points.exchange(world, options[0]["id"])
    assert response.status_code == 201, response.text


KINDS = {
    "gift card": Kind(
        "enfore",
        ("gift_cards",),
        lambda world: enfore.import_card(world, external_number=f"X-{next(_numbers)}"),
    ),
    "redemption of a gift card": Kind(
        "enfore",
        ("gift_card_redemptions",),
        lambda world: _posted(
            world,
            enfore.cards(world, "c", "redemptions"),
            {"redeemed_amount": enfore.eur(1), "external_reference": "order"},
        ),
        (lambda world: world.seed("enfore", gift_cards=[enfore.new_card(id="c")]),),
    ),
    "product voucher": Kind("enfore", ("product_vouchers",), _seed("product_vouchers", **enfore.product_voucher())),
    "category voucher": Kind("enfore", ("category_vouchers",), _seed("category_vouchers", **enfore.category_voucher())),
    "problem": Kind("enfore", ("problems",), _seed("problems", **enfore.problem("gift_cards", NOW))),
    "subscription": Kind("enfore", ("subscriptions",), _subscription),
    **{kind.drafts: Kind("enfore", (kind.drafts,), _draft(kind)) for kind in enfore.PROMOTION_KINDS},
    **{kind.promotions: Kind("enfore", (kind.promotions,), _promotion(kind)) for kind in enfore.PROMOTION_KINDS},
    "coupon": Kind("emporix", ("coupons",), lambda world: coupons.create(world, code=None)),
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
        lambda world: points.spend(world, 1),
        (lambda world: points.earn(world, 99),),
    ),
    "redeem option": Kind("emporix", ("redeem_options",), points.offer),
    "coupon for points": Kind(
        "emporix",
        ("coupons", "redeemed_points"),
        _exchange,
        (lambda world: points.offer(world, 1), lambda world: points.earn(world, 99)),
    ),
    "promotion": Kind("norce", ("promotions",), lambda world: norce.inserted(world, Name="P")),
}
each_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())


@pytest.fixture
def origin(world: World) -> World:
    return _tenant(world)


@pytest.fixture
def other(origin: World) -> World:
    return _tenant(World(origin.url, f"{origin.org}x", origin.http))


def _tenant(world: World) -> World:
    world.org = world.org.replace("-", "")
    world.freeze(NOW)
    return world


def _made(kind: Kind, origin: World) -> Json:
    """What an org has, after some of the kind were made there."""
    for step in kind.prepare:
        step(origin)
    for _ in range(MANY):
        kind.create(origin)
    return origin.state()


def _sizes(world: World, kind: Kind) -> list[int]:
    return [len(world.state()[kind.vendor][name]) for name in kind.collections]


@each_kind
def test_what_is_made_beside_a_foreign_state_is_new(origin: World, other: World, kind: Kind) -> None:
    documents = _made(kind, origin)
    assert other.admin("PUT", "/state", {"documents": documents}).status_code == 200
    before = _sizes(other, kind)

    for _ in range(MANY):
        kind.create(other)

    assert _sizes(other, kind) == [size + MANY for size in before]


@each_kind
def test_what_is_made_beside_seeded_documents_is_new(origin: World, other: World, kind: Kind) -> None:
    documents = _made(kind, origin)
    seed = {name: [entry["document"] for entry in entries] for name, entries in documents[kind.vendor].items()}
    seed.pop("reward_points", None)  # an account is seeded with its entries, or they with their account
    other.seed(kind.vendor, **seed)
    before = _sizes(other, kind)

    for _ in range(MANY):
        kind.create(other)

    assert _sizes(other, kind) == [size + MANY for size in before]


def test_of_objects_seeded_together_none_is_given_what_another_one_has(origin: World, other: World) -> None:
    enfore.import_card(origin)
    (card,) = (entry["document"] for entry in origin.state()["enfore"]["gift_cards"])

    stored = other.seed("enfore", gift_cards=[enfore.new_card(external_number="X-2"), card])["gift_cards"]

    assert len(other.state()["enfore"]["gift_cards"]) == 2
    assert (stored[1]["id"], stored[1]["number"]) == (card["id"], card["number"])


def test_a_promotion_seeded_beside_one_with_an_id_gets_another(origin: World) -> None:
    stored = origin.seed("norce", promotions=[{"Name": "A"}, {"Id": 1, "Name": "B"}])["promotions"]

    assert stored[0]["Id"] != stored[1]["Id"] == 1


def test_a_seeded_row_without_an_id_gets_none_of_its_promotion(origin: World) -> None:
    rows = [{"RequirementType": "BasketTotal"}, {"Id": 2, "RequirementType": "BasketTotal"}]

    (stored,) = origin.seed("norce", promotions=[{"Id": 9, "Requirements": rows}])["promotions"]

    assert len({row["Id"] for row in stored["Requirements"]}) == 2


def test_points_buy_a_coupon_however_many_of_the_next_codes_are_taken(origin: World) -> None:
    points.offer(origin, 1)
    points.earn(origin, 9)
    taken = [{"code": f"REW-{number * 618_033 % 1_000_000:06d}", "name": "Taken"} for number in range(1, 200)]
    prefix = _code_prefix(origin)
    origin.seed(
        "emporix", coupons=[coupons.new_coupon(**{**one, "code": one["code"].replace("REW", prefix)}) for one in taken]
    )

    _exchange(origin)

    assert len(origin.state()["emporix"]["coupons"]) == 200


def _code_prefix(world: World) -> str:
    """What the codes of coupons for points begin with, as another tenant has them."""
    other = _tenant(World(world.url, f"{world.org}y", world.http))
    points.offer(other, 1)
    points.earn(other, 9)
    _exchange(other)
    code: str = other.state()["emporix"]["coupons"][0]["document"]["code"]
    return code.rpartition("-")[0]


def test_an_entry_is_given_no_id_that_a_client_gave_another(origin: World, other: World) -> None:
    points.earn(origin)
    (foreign,) = (entry["id"] for entry in points.added(origin))
    points.earn(other, id=foreign)

    points.earn(other)

    assert len({entry["id"] for entry in points.added(other)}) == 2


def test_many_taken_ids_are_passed_over_once(origin: World, other: World) -> None:
    create = _draft(enfore.PROMOTION_KINDS[0])
    for _ in range(50):
        create(origin)
    other.admin("PUT", "/state", {"documents": origin.state()})

    create(other)
    create(other)

    assert other.admin("GET", "/state").json()["sequence"] == 52
