"""Gift cards of enfore: bringing them in, switching them off and on, their expiry, and amounts that are exact."""

from __future__ import annotations

import pytest

from tests.serving import Json, OrgClient
from tests.vendors.enfore_support import (
    NOW,
    PAST,
    SOON,
    activate,
    assert_rejected,
    cards,
    contract,
    eur,
    get_card,
    import_card,
    internal_card,
    neighbour,
    new_card,
    notified,
    problem,
    redeem,
    seed_card,
    unchanged,
)

STATUSES = ["ISSUED", "PARTIALLY_REDEEMED", "REDEEMED", "EXPIRED", "CANCELED", "DEACTIVATED"]


@pytest.fixture(autouse=True)
def _frozen(org_client: OrgClient) -> None:
    org_client.freeze(NOW)


def chf(value: float) -> Json:
    return {"unit": "CHF", "value": value}


# Bringing cards in


def test_a_card_that_is_brought_in_is_external(org_client: OrgClient) -> None:
    card = import_card(org_client)

    assert get_card(org_client, card["id"]) == {**card, "@type": "ExternalGiftCard"}


def test_the_answer_to_the_import_carries_no_type(org_client: OrgClient) -> None:
    card = import_card(org_client)

    assert card == {**new_card(), "id": card["id"], "number": card["number"]}


def test_answer_event_and_card_say_the_same_whatever_a_client_calls_it(org_client: OrgClient) -> None:
    name = '","@type":"ExternalGiftCard",\\'
    card = import_card(org_client, name=name)

    assert card == {**new_card(name=name), "id": card["id"], "number": card["number"]}
    assert (
        notified(org_client, "gift-card-changed")
        == [get_card(org_client, card["id"])]
        == [{**card, "@type": "ExternalGiftCard"}]
    )


def test_every_optional_member_of_a_card_is_stored_as_given(org_client: OrgClient) -> None:
    given = new_card(
        initial_balance=eur(80),
        issued_date_and_time=PAST,
        expiration_date_and_time=SOON,
        tax="CH_ACCOMMODATION_VAT_2024",
        source_product="p" * 256,
    )
    card = import_card(org_client, **given)

    assert get_card(org_client, card["id"]).items() >= given.items()


def test_an_initial_balance_that_is_not_given_stays_absent(org_client: OrgClient) -> None:
    card = import_card(org_client)
    redeem(org_client, card["id"], 10)

    assert "initial_balance" not in get_card(org_client, card["id"])


def test_subscribers_are_notified_of_a_new_card_with_its_type(org_client: OrgClient) -> None:
    card = import_card(org_client)

    [event] = org_client.events()
    assert (event["event"], event["at"]) == ("gift-card-changed", NOW)
    assert event["payload"] == {
        "org_id": org_client.org,
        "items": [{**card, "@type": "ExternalGiftCard"}],
        "problems": [],
    }


def test_the_vendor_gives_each_card_a_number_that_no_other_has(org_client: OrgClient) -> None:
    first = int(import_card(org_client)["number"])
    taken = [f"{first + n:012d}" for n in range(20, 30)]
    org_client.seed("enfore", gift_cards=[internal_card(number=number) for number in taken])

    given = [import_card(org_client, external_number=f"Y-{n}")["number"] for n in range(20)]

    assert len({*given, *taken}) == 30


def test_an_external_number_belongs_to_one_card(org_client: OrgClient) -> None:
    holder = import_card(org_client)

    with unchanged(org_client):
        response = org_client.request("POST", cards(org_client), new_card(name="Another"))

    body = assert_rejected(org_client, response, 422, "external-number-taken")
    assert body["on_resource"] == org_client.url + cards(org_client, holder["id"])


def test_an_external_number_may_be_used_again_in_another_organisation(org_client: OrgClient) -> None:
    import_card(org_client)

    assert import_card(neighbour(org_client))["external_number"] == "X-1"


def test_the_external_number_of_an_internal_seed_is_taken_too(org_client: OrgClient) -> None:
    seed_card(org_client, external_number="X-9", status="CANCELED")

    response = org_client.request("POST", cards(org_client), new_card(external_number="X-9"))

    assert_rejected(org_client, response, 422, "external-number-taken")


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("id", "mine"),
        ("number", "1"),
        ("last_used_date_and_time", "yesterday"),
        ("sold_via_invoice", 7),
        ("@type", "InternalGiftCard"),
        ("colour", {"red": 1}),
    ],
)
def test_members_that_the_vendor_assigns_or_does_not_know_are_ignored(
    org_client: OrgClient, member: str, value: Json
) -> None:
    card = import_card(org_client, **{member: value})

    assert card.get(member) != value
    stored = get_card(org_client, card["id"])
    assert stored.get(member) != value
    assert stored.keys() == {"id", "name", "number", "external_number", "status", "current_balance", "@type"}


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("balance", [0, 50])
def test_a_card_may_be_brought_in_with_any_status_whatever_its_balance(
    org_client: OrgClient, status: str, balance: int
) -> None:
    card = import_card(org_client, status=status, current_balance=eur(balance), initial_balance=eur(50))

    assert (card["status"], get_card(org_client, card["id"])["status"]) == (status, status)


@pytest.mark.parametrize(
    ("members", "name"),
    [
        ({"current_balance": eur(-0.000001)}, "negative-balance"),
        ({"initial_balance": eur(-1)}, "negative-balance"),
        ({"initial_balance": chf(50)}, "balance-units-differ"),
        ({"initial_balance": eur(49.999999)}, "balance-above-initial"),
        ({"issued_date_and_time": SOON, "expiration_date_and_time": PAST}, "expiration-before-issue"),
        (
            {
                "issued_date_and_time": "2030-01-01T10:00:00Z",
                "expiration_date_and_time": "2030-01-01T10:59:59+01:00",
            },
            "expiration-before-issue",
        ),
    ],
)
def test_a_card_that_makes_no_sense_is_rejected_and_not_stored(org_client: OrgClient, members: Json, name: str) -> None:
    with unchanged(org_client):
        response = org_client.request("POST", cards(org_client), new_card(**members))

    assert_rejected(org_client, response, 422, name)


@pytest.mark.parametrize(
    "members",
    [
        {"initial_balance": eur(50)},
        {"current_balance": eur(0), "initial_balance": eur(0)},
        {"issued_date_and_time": NOW, "expiration_date_and_time": "2030-01-01T12:00:00.001Z"},
        {"expiration_date_and_time": SOON},
        {"issued_date_and_time": SOON},
        {"tax": "AT_NO_VAT", "current_balance": {"unit": "ZAR", "value": 1}},
    ],
)
def test_what_only_just_makes_sense_is_accepted(org_client: OrgClient, members: Json) -> None:
    assert import_card(org_client, **members).items() >= members.items()


@pytest.mark.parametrize("member", ["name", "external_number", "status", "current_balance"])
def test_a_card_without_a_required_member_is_invalid(org_client: OrgClient, member: str) -> None:
    with unchanged(org_client):
        response = org_client.request("POST", cards(org_client), new_card(**{member: None}))

    assert member in assert_rejected(org_client, response, 400, "invalid-request")["detail"]


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("name", 5),
        ("external_number", {}),
        ("status", "CANCELLED"),
        ("status", "issued"),
        ("current_balance", 50),
        ("current_balance", {"value": 50}),
        ("current_balance", {"unit": "EUR"}),
        ("current_balance", {"unit": "EUR", "value": "50"}),
        ("current_balance", {"unit": "EUR", "value": True}),
        ("current_balance", {"unit": "eur", "value": 50}),
        ("initial_balance", {"unit": "PLN", "value": 50}),
        ("tax", "DE_STANDARD_VAT_2021"),
        ("issued_date_and_time", "2030-01-01"),
        ("issued_date_and_time", "2030-02-30T00:00:00Z"),
        ("expiration_date_and_time", "2030-01-01T00:00:00"),
        ("source_product", ""),
        ("source_product", "p" * 257),
    ],
)
def test_a_member_of_the_wrong_form_is_invalid(org_client: OrgClient, member: str, value: Json) -> None:
    with unchanged(org_client):
        response = org_client.request("POST", cards(org_client), {**new_card(), member: value})

    assert_rejected(org_client, response, 400, "invalid-request")
    assert any(member in violation["where"] for violation in org_client.last()["violations"])


@pytest.mark.parametrize("raw", [b"", b"null", b"[]", b"{", b'"card"', b'{"name": NaN}', b"\xff"])
def test_a_body_that_is_no_card_is_invalid(org_client: OrgClient, raw: bytes) -> None:
    with unchanged(org_client):
        response = org_client.request("POST", cards(org_client), raw=raw)

    assert_rejected(org_client, response, 400, "invalid-request")


def test_all_that_is_wrong_with_a_card_is_reported_at_once(org_client: OrgClient) -> None:
    response = org_client.request("POST", cards(org_client), new_card(name=None, status="NEW", tax="NONE"))

    detail = assert_rejected(org_client, response, 400, "invalid-request")["detail"]
    assert "name" in detail
    assert "status" in detail
    assert "tax" in detail


@pytest.mark.parametrize("kind", ["tax", "unit"])
def test_every_tax_and_every_currency_of_the_vendor_is_accepted(org_client: OrgClient, kind: str) -> None:
    schemas = next(document for document in contract().documents if document.base_path == "/promotions").raw[
        "components"
    ]
    values = schemas["schemas"]["Tax" if kind == "tax" else "Currency"]["enum"]

    for value in values:
        given = {"tax": value} if kind == "tax" else {"current_balance": {"unit": value, "value": 5}}
        import_card(org_client, external_number=f"X-{value}", **given)

    assert len(values) == {"tax": 21, "unit": 25}[kind]


# Internal cards


def test_an_internal_card_is_seeded_and_read_with_what_only_the_vendor_sets(org_client: OrgClient) -> None:
    given = internal_card(
        id="gc-1", number="1000000417", sold_via_invoice="inv-1", source_product="p-1", last_used_date_and_time=PAST
    )
    org_client.seed("enfore", gift_cards=[given])

    assert get_card(org_client, "gc-1") == {**given, "status": "ISSUED"}


def test_an_internal_card_has_no_external_number_and_an_external_one_has(org_client: OrgClient) -> None:
    org_client.seed("enfore", gift_cards=[internal_card(id="internal"), new_card(id="external")])

    internal, external = get_card(org_client, "internal"), get_card(org_client, "external")
    assert (internal["@type"], "external_number" in internal) == ("InternalGiftCard", False)
    assert (external["@type"], external["external_number"]) == ("ExternalGiftCard", "X-1")


# Activation


@pytest.mark.parametrize(
    ("current", "initial", "status"),
    [
        (0, 50, "REDEEMED"),
        (0, None, "REDEEMED"),
        (0, 0, "REDEEMED"),
        (50, 50, "ISSUED"),
        (50, None, "ISSUED"),
        (49.999999, 50, "PARTIALLY_REDEEMED"),
    ],
)
def test_an_activated_card_gets_the_status_that_its_balance_says(
    org_client: OrgClient, current: float, initial: float | None, status: str
) -> None:
    balances = {"current_balance": eur(current), "initial_balance": None if initial is None else eur(initial)}
    card = seed_card(org_client, status="DEACTIVATED", **balances)

    response = activate(org_client, card)

    assert (response.status_code, response.text) == (201, '"ACTIVE"')
    assert get_card(org_client, card)["status"] == status


def test_a_card_of_unknown_initial_balance_is_partially_redeemed_once_it_has_paid(org_client: OrgClient) -> None:
    card = seed_card(org_client)
    redeem(org_client, card, 10)
    activate(org_client, card, "DEACTIVATED")

    activate(org_client, card)

    assert get_card(org_client, card)["status"] == "PARTIALLY_REDEEMED"


def test_a_problem_in_the_list_of_its_redemptions_does_not_make_a_card_redeemed(org_client: OrgClient) -> None:
    card = seed_card(org_client, status="DEACTIVATED")
    org_client.seed("enfore", problems=[problem("gift_card_redemptions", PAST, gift_card_id=card)])

    activate(org_client, card)

    assert get_card(org_client, card)["status"] == "ISSUED"


@pytest.mark.parametrize("status", ["ISSUED", "PARTIALLY_REDEEMED", "REDEEMED"])
def test_a_deactivated_card_reads_as_deactivated(org_client: OrgClient, status: str) -> None:
    card = seed_card(org_client, status=status)

    response = activate(org_client, card, "DEACTIVATED")

    assert (response.status_code, response.text) == (201, '"DEACTIVATED"')
    assert response.headers["content-type"] == "application/json"
    assert get_card(org_client, card)["status"] == "DEACTIVATED"


def test_subscribers_are_notified_of_each_switch(org_client: OrgClient) -> None:
    card = seed_card(org_client)

    activate(org_client, card, "DEACTIVATED")
    activate(org_client, card, "ACTIVE")

    assert [item["status"] for item in notified(org_client, "gift-card-changed")] == ["ISSUED", "DEACTIVATED", "ISSUED"]


@pytest.mark.parametrize(
    ("status", "wanted"),
    [
        ("ISSUED", "ACTIVE"),
        ("PARTIALLY_REDEEMED", "ACTIVE"),
        ("REDEEMED", "ACTIVE"),
        ("DEACTIVATED", "DEACTIVATED"),
    ],
)
def test_asking_for_the_activation_that_holds_changes_nothing_and_sends_no_webhook(
    org_client: OrgClient, status: str, wanted: str
) -> None:
    card = seed_card(org_client, status=status)

    with unchanged(org_client):
        response = activate(org_client, card, wanted)

    assert (response.status_code, response.json()) == (201, wanted)


@pytest.mark.parametrize("wanted", ["ACTIVE", "DEACTIVATED"])
@pytest.mark.parametrize(("status", "name"), [("CANCELED", "gift-card-canceled"), ("EXPIRED", "gift-card-expired")])
def test_a_canceled_or_expired_card_cannot_be_switched(
    org_client: OrgClient, status: str, name: str, wanted: str
) -> None:
    card = seed_card(org_client, status=status)

    with unchanged(org_client):
        response = activate(org_client, card, wanted)

    body = assert_rejected(org_client, response, 422, name)
    assert body["on_resource"] == org_client.url + cards(org_client, card)


def test_a_deactivated_card_whose_expiration_has_passed_cannot_be_activated(org_client: OrgClient) -> None:
    card = seed_card(org_client, status="DEACTIVATED", expiration_date_and_time="2030-01-01T12:00:01Z")
    org_client.advance("PT1S")

    with unchanged(org_client):
        response = activate(org_client, card)

    assert_rejected(org_client, response, 422, "gift-card-expired")
    assert activate(org_client, card, "DEACTIVATED").status_code == 201


@pytest.mark.parametrize("wanted", ["ACTIVE", "DEACTIVATED"])
def test_an_internal_card_cannot_be_switched(org_client: OrgClient, wanted: str) -> None:
    org_client.seed("enfore", gift_cards=[internal_card(id="gc-1")])

    with unchanged(org_client):
        response = activate(org_client, "gc-1", wanted)

    assert_rejected(org_client, response, 422, "internal-gift-card")


def test_switching_an_unknown_card_is_422_for_lack_of_a_404(org_client: OrgClient) -> None:
    import_card(org_client)

    assert_rejected(org_client, activate(org_client, "nowhere"), 422, "unknown-gift-card")


@pytest.mark.parametrize("raw", [b'"EXPIRED"', b'"CANCELED"', b'"ISSUED"', b'"active"', b"ACTIVE", b"null", b"{}", b""])
def test_a_card_is_switched_by_a_json_string_of_two_words_only(org_client: OrgClient, raw: bytes) -> None:
    card = seed_card(org_client)

    with unchanged(org_client):
        response = org_client.request("PUT", cards(org_client, card, "activation-status"), raw=raw)

    assert_rejected(org_client, response, 400, "invalid-request")


# Expiry


@pytest.mark.parametrize("status", ["ISSUED", "PARTIALLY_REDEEMED"])
def test_a_card_whose_expiration_has_passed_reads_as_expired(org_client: OrgClient, status: str) -> None:
    card = seed_card(org_client, status=status, expiration_date_and_time="2030-01-01T13:00:00Z")

    org_client.advance("PT59M59.999S")
    assert get_card(org_client, card)["status"] == status

    [happened] = org_client.advance("PT0.001S")
    assert (happened["event"], happened["id"]) == ("expire-gift-card", card)
    assert happened["at"] == "2030-01-01T13:00:00.000Z"
    assert get_card(org_client, card)["status"] == "EXPIRED"


@pytest.mark.parametrize("status", ["REDEEMED", "CANCELED", "DEACTIVATED"])
def test_a_card_that_is_redeemed_canceled_or_deactivated_does_not_expire(org_client: OrgClient, status: str) -> None:
    card = seed_card(org_client, status=status, expiration_date_and_time=SOON)

    assert org_client.advance("P1Y") == []
    assert get_card(org_client, card)["status"] == status


def test_a_card_without_an_expiration_never_expires(org_client: OrgClient) -> None:
    card = seed_card(org_client)

    assert org_client.advance("P100Y") == []
    assert get_card(org_client, card)["status"] == "ISSUED"


def test_subscribers_are_notified_of_an_expiry_once_and_at_its_moment(org_client: OrgClient) -> None:
    card = seed_card(org_client, expiration_date_and_time=SOON)
    org_client.advance("P1Y")

    get_card(org_client, card)
    get_card(org_client, card)

    [_, expiry] = org_client.events()
    assert (expiry["at"], expiry["cause"]) == (SOON, "expire-gift-card")
    assert [item["status"] for item in expiry["payload"]["items"]] == ["EXPIRED"]


def test_an_expired_card_is_listed_as_expired_and_keeps_its_balance(org_client: OrgClient) -> None:
    seed_card(org_client, expiration_date_and_time=SOON)
    org_client.advance("P1Y")

    response = org_client.request("GET", f"{cards(org_client)}?from={PAST}&to={SOON}")

    [card] = response.json()["items"]
    assert (card["status"], card["current_balance"]) == ("EXPIRED", eur(50))


def test_a_card_brought_in_after_its_expiration_reads_as_expired(org_client: OrgClient) -> None:
    card = import_card(org_client, expiration_date_and_time=PAST)

    assert get_card(org_client, card["id"])["status"] == "EXPIRED"


def test_a_card_brought_in_after_its_expiration_expires_no_earlier_than_it_came(org_client: OrgClient) -> None:
    card = import_card(org_client, expiration_date_and_time=PAST)
    get_card(org_client, card["id"])

    moments = [event["at"] for event in org_client.events()]
    assert moments == [NOW, NOW]


def test_a_card_that_is_activated_again_still_expires(org_client: OrgClient) -> None:
    card = seed_card(org_client, expiration_date_and_time=SOON)
    activate(org_client, card, "DEACTIVATED")
    activate(org_client, card)

    assert [happened["event"] for happened in org_client.advance("P60D")] == ["expire-gift-card"]
    assert get_card(org_client, card)["status"] == "EXPIRED"


def test_an_expiration_is_a_moment_whatever_its_offset(org_client: OrgClient) -> None:
    card = seed_card(org_client, expiration_date_and_time="2030-01-01T14:00:00+01:00")

    [happened] = org_client.advance("PT1H")

    assert happened["id"] == card
    assert get_card(org_client, card)["expiration_date_and_time"] == "2030-01-01T14:00:00+01:00"


# Exact money


def raw_card(value: bytes) -> bytes:
    return (
        b'{"name": "Xmas", "external_number": "X-1", "status": "ISSUED",'
        b' "current_balance": {"unit": "EUR", "value": ' + value + b"}}"
    )


@pytest.mark.parametrize(
    "value", [b"50.00", b"50", b"0.1", b"0.000001", b"9000000000000", b"8999999999999.999999", b"0.0", b"50.0000"]
)
def test_an_amount_comes_back_as_it_was_written(org_client: OrgClient, value: bytes) -> None:
    created = org_client.request("POST", cards(org_client), raw=raw_card(value))

    assert created.status_code == 201
    expected = b'"current_balance":{"unit":"EUR","value":' + value + b"}"
    assert expected in created.content
    assert expected in org_client.request("GET", cards(org_client, created.json()["id"])).content


@pytest.mark.parametrize(
    "value",
    [b"9000000000000.000001", b"-9000000000000.000001", b"9000000000001", b"0.0000001", b"1.0000000001", b"1e13"],
)
def test_an_amount_beyond_the_bounds_or_with_more_than_six_decimals_is_invalid(
    org_client: OrgClient, value: bytes
) -> None:
    with unchanged(org_client):
        response = org_client.request("POST", cards(org_client), raw=raw_card(value))

    assert_rejected(org_client, response, 400, "invalid-request")


def test_the_least_amount_is_within_the_bounds_and_only_senseless(org_client: OrgClient) -> None:
    response = org_client.request("POST", cards(org_client), raw=raw_card(b"-9000000000000"))

    assert_rejected(org_client, response, 422, "negative-balance")


@pytest.mark.parametrize(
    ("balance", "amounts", "left"),
    [
        (b"0.3", [b"0.1", b"0.2"], b"0.0"),
        (b"50.00", [b"19.50"], b"30.50"),
        (b"9000000000000", [b"0.000001"], b"8999999999999.999999"),
        (b"1.10", [b"0.10", b"0.10", b"0.10"], b"0.80"),
        (b"100", [b"33.333333", b"33.333333", b"33.333333"], b"0.000001"),
    ],
)
def test_balances_are_decimal_to_the_last_digit(
    org_client: OrgClient, balance: bytes, amounts: list[bytes], left: bytes
) -> None:
    card = org_client.request("POST", cards(org_client), raw=raw_card(balance)).json()["id"]

    for amount in amounts:
        body = b'{"redeemed_amount": {"unit": "EUR", "value": ' + amount + b'}, "external_reference": "r"}'
        response = org_client.request("POST", cards(org_client, card, "redemptions"), raw=body)
        assert b'"redeemed_amount":{"unit":"EUR","value":' + amount + b"}" in response.content

    content = org_client.request("GET", cards(org_client, card)).content
    assert b'"current_balance":{"unit":"EUR","value":' + left + b"}" in content
    assert get_card(org_client, card)["status"] == ("REDEEMED" if left == b"0.0" else "PARTIALLY_REDEEMED")


def test_a_balance_above_the_initial_by_a_millionth_is_seen(org_client: OrgClient) -> None:
    raw = (
        raw_card(b"8999999999999.999999")[:-1] + b', "initial_balance": {"unit": "EUR", "value": 8999999999999.999998}}'
    )

    assert_rejected(org_client, org_client.request("POST", cards(org_client), raw=raw), 422, "balance-above-initial")


def test_what_is_wrong_with_a_seeded_card_is_said_of_its_kind(org_client: OrgClient) -> None:
    response = org_client.admin("POST", "/seed", {"enfore": {"gift_cards": [new_card(current_balance=50)]}})

    assert response.status_code == 400
    assert response.json()["detail"] == 'enfore.gift_cards[0].current_balance: 50 is not of type "object"'
