"""The page's own samples are accepted as they stand, and what comes back has its members in the order of the page."""

from __future__ import annotations

import pytest

from tests.serving import Json, OrgClient
from tests.vendors.enfore_support import (
    EVER,
    PROMOTION_KINDS,
    PromotionKind,
    activate,
    cards,
    category_voucher,
    eur,
    import_card,
    internal_card,
    notified,
    path,
    product_voucher,
    redeem,
    seed_card,
)

MOMENT = "2025-03-25T16:02:21Z"  # of every sample
LATER = "2025-03-26T16:02:21Z"

# What the page shows folded, `{}`, is an amount here.
CARD = {
    "name": "string",
    "external_number": "string",
    "status": "ISSUED",
    "current_balance": eur(50),
    "initial_balance": eur(50),
    "issued_date_and_time": MOMENT,
    "expiration_date_and_time": MOMENT,
    "tax": "CH_STANDARD_VAT_2008",
    "source_product": "string",
}
COUPON_DRAFT = {
    "name": "string",
    "description": "string",
    "short_description": "string",
    "identity_images": [],
    "start_date_and_time": MOMENT,
    "end_date_and_time": MOMENT,
    "configuration": {},
}
LOYALTY_DRAFT = {**COUPON_DRAFT, "coupon_identity": {}}

_BALANCES = ["current_balance", "initial_balance"]
_DATES = ["issued_date_and_time", "expiration_date_and_time", "last_used_date_and_time"]
_SALE = ["tax", "source_product", "sold_via_invoice"]
IN_CARD = ["id", "name", "number", "external_number", "status", *_BALANCES, *_DATES, *_SALE]
IN_PRODUCT_VOUCHER = [
    *("id", "name", "number", "external_number", "status", "product", "product_sales_price_and_quantity"),
    *(*_BALANCES, *_DATES, *_SALE),
]
IN_CATEGORY_VOUCHER = [*IN_CARD[:5], "sales_categories", *IN_CARD[5:]]
IN_DRAFT = [
    *("id", "name", "description", "short_description", "identity_images"),
    *("start_date_and_time", "end_date_and_time", "coupon_identity", "configuration"),
]
IN_PROMOTION = [*IN_DRAFT[:5], "status", *IN_DRAFT[5:]]

each_kind = pytest.mark.parametrize("kind", PROMOTION_KINDS, ids=lambda kind: kind.name)


@pytest.fixture(autouse=True)
def _frozen(org_client: OrgClient) -> None:
    org_client.freeze(MOMENT)


def sample(kind: PromotionKind) -> Json:
    return LOYALTY_DRAFT if "loyalty" in kind.name else COUPON_DRAFT


def in_page_order(doc: Json, order: list[str]) -> bool:
    return list(doc) == [name for name in order if name in doc]


def upside_down(doc: Json) -> Json:
    return dict(reversed(doc.items()))


def get(org_client: OrgClient, where: str) -> Json:
    response = org_client.request("GET", where)
    assert response.status_code == 200, response.text
    return response.json()


# The samples


def test_the_card_of_the_page_is_imported(org_client: OrgClient) -> None:
    response = org_client.request("POST", cards(org_client), CARD)

    assert response.status_code == 201, response.text
    assert {name: response.json()[name] for name in CARD} == CARD


def test_a_card_that_expires_when_it_is_issued_has_expired_after_that_moment(org_client: OrgClient) -> None:
    card = org_client.request(
        "POST", cards(org_client), {**CARD, "issued_date_and_time": LATER, "expiration_date_and_time": LATER}
    )
    assert card.status_code == 201, card.text

    assert [each["event"] for each in org_client.advance("P1D")] == ["expire-gift-card"]


def test_the_redemption_of_the_page_is_recorded_and_its_activation_status_taken(org_client: OrgClient) -> None:
    card = seed_card(org_client)

    redemption = {"redeemed_amount": eur(1), "external_reference": "string"}
    assert org_client.request("POST", cards(org_client, card, "redemptions"), redemption).status_code == 201
    assert activate(org_client, card).status_code == 201


@each_kind
def test_the_drafts_of_the_page_are_created_and_updated(org_client: OrgClient, kind: PromotionKind) -> None:
    created = org_client.request("POST", kind.draft_path(org_client), sample(kind))
    assert created.status_code == 201, created.text
    updated = org_client.request("PUT", kind.draft_path(org_client, created.json()["id"]), sample(kind))
    assert updated.status_code == 200, updated.text
    assert created.json() == updated.json() == {"id": created.json()["id"], **sample(kind)}


@each_kind
def test_what_starts_and_ends_at_one_moment_starts_and_then_ends(org_client: OrgClient, kind: PromotionKind) -> None:
    dates = {"start_date_and_time": LATER, "end_date_and_time": LATER}
    draft = org_client.request("POST", kind.draft_path(org_client), {**sample(kind), **dates}).json()["id"]
    made = org_client.request("POST", kind.path(org_client), {"draft_id": draft, "operation": "SCHEDULE"})
    assert made.status_code == 200, made.text
    unchanged = org_client.request("PATCH", kind.path(org_client, made.json()["id"]), {"updates": []})
    assert unchanged.json() == made.json()

    happened = org_client.advance("P1D")

    assert [each["event"] for each in happened] == list(kind.events)
    assert get(org_client, kind.path(org_client, made.json()["id"]))["status"] == "ARCHIVED"


@each_kind
def test_a_promotion_may_be_moved_to_one_moment(org_client: OrgClient, kind: PromotionKind) -> None:
    dates = {"start_date_and_time": LATER, "end_date_and_time": LATER}
    late = {**sample(kind), "start_date_and_time": LATER, "end_date_and_time": "2025-04-01T00:00:00Z"}
    promotion = org_client.seed("enfore", **{kind.promotions: [late]})[kind.promotions][0]

    patched = org_client.request("PATCH", kind.path(org_client, promotion["id"]), {"updates": [dates]})

    assert (patched.status_code, patched.json()) == (200, {**promotion, **dates})


# The order of members


def test_a_card_has_its_members_in_the_order_of_the_page(org_client: OrgClient) -> None:
    created = org_client.request(
        "POST", cards(org_client), upside_down({**CARD, "expiration_date_and_time": LATER})
    ).json()
    assert in_page_order(created, IN_CARD)
    assert redeem(org_client, created["id"], 20).status_code == 201

    for card in (
        get(org_client, cards(org_client, created["id"])),
        get(org_client, f"{cards(org_client)}{EVER}")["items"][0],
        *notified(org_client, "gift-card-changed"),
    ):
        assert in_page_order(card, [*IN_CARD, "@type"])
    org_client.advance("P1D")
    assert in_page_order(get(org_client, cards(org_client, created["id"])), [*IN_CARD, "@type"])


def test_a_redemption_has_its_members_in_the_order_of_the_page(org_client: OrgClient) -> None:
    order = ["id", "transaction_date_and_time", "redeemed_amount", "external_reference", "invoices", "@type"]
    card = import_card(org_client)["id"]
    body = {"external_reference": "x", "redeemed_amount": eur(1)}
    created = org_client.request("POST", cards(org_client, card, "redemptions"), body).json()
    assert in_page_order(created, order)
    internal = {
        "gift_card_id": card,
        "invoices": ["i"],
        "redeemed_amount": eur(1),
        "@type": "InternalGiftCardRedemption",
    }
    org_client.seed("enfore", gift_card_redemptions=[internal])

    listed = get(org_client, cards(org_client, card, "redemptions"))["items"]

    assert len(listed) == 2
    assert all(in_page_order(redemption, order) for redemption in listed)
    assert in_page_order(get(org_client, cards(org_client, card, "redemptions", created["id"])), order)


def test_what_is_seeded_has_its_members_in_the_order_of_the_page_too(org_client: OrgClient) -> None:
    seeded = org_client.seed(
        "enfore",
        gift_cards=[upside_down(internal_card(tax="DE_NO_VAT"))],
        product_vouchers=[upside_down(product_voucher(external_number="p"))],
        category_vouchers=[upside_down(category_voucher(external_number="c"))],
        loyalty_programs=[upside_down({**LOYALTY_DRAFT, "status": "ARCHIVED"})],
    )

    for collection, order in (
        ("gift_cards", [*IN_CARD, "@type"]),
        ("product_vouchers", IN_PRODUCT_VOUCHER),
        ("category_vouchers", IN_CATEGORY_VOUCHER),
        ("loyalty_programs", IN_PROMOTION),
    ):
        assert in_page_order(seeded[collection][0], order)
    voucher = seeded["product_vouchers"][0]["id"]
    assert in_page_order(
        get(org_client, path(org_client, "sales-vouchers/product-vouchers", voucher)), IN_PRODUCT_VOUCHER
    )


@each_kind
def test_drafts_and_promotions_have_their_members_in_the_order_of_the_page(
    org_client: OrgClient, kind: PromotionKind
) -> None:
    body = upside_down(sample(kind))
    created = org_client.request("POST", kind.draft_path(org_client), body).json()
    updated = org_client.request("PUT", kind.draft_path(org_client, created["id"]), body).json()
    for draft in (created, updated, get(org_client, kind.draft_path(org_client, created["id"]))):
        assert in_page_order(draft, IN_DRAFT)

    least = org_client.request("POST", kind.draft_path(org_client), {"configuration": {}, "name": "N"}).json()["id"]
    made = org_client.request("POST", kind.path(org_client), {"draft_id": least, "operation": "ACTIVATE"}).json()
    where = kind.path(org_client, made["id"])
    patched = org_client.request("PATCH", where, {"updates": [{"description": "D"}]}).json()
    assert org_client.request(
        "PUT", f"{where}/status", raw=b"ARCHIVED", headers={"Content-Type": "text/plain"}
    ).is_success
    archived = get(org_client, where)

    assert archived.keys() >= {"description", "end_date_and_time"}
    assert all(in_page_order(promotion, IN_PROMOTION) for promotion in (made, patched, archived))
