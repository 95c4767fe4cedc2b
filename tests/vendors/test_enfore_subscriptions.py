"""Subscriptions of enfore: nine operations in three spellings over one store, for each of three kinds of voucher."""

from __future__ import annotations

import httpx2
import pytest

from tests.serving import Json, OrgClient
from tests.vendors.enfore_support import (
    RECEIVER,
    VOUCHER_KINDS,
    VoucherKind,
    assert_rejected,
    ids,
    neighbour,
    path,
    unchanged,
)

pytestmark = pytest.mark.parametrize("kind", VOUCHER_KINDS, ids=lambda kind: kind.singular)
spelling = pytest.mark.parametrize("former", [False, True], ids=["current", "former"])


def list_path(org_client: OrgClient, kind: VoucherKind, *, former: bool = False) -> str:
    return path(org_client, "sales-vouchers", f"{kind.singular}{'s' if former else ''}-subscriptions")


def change_path(org_client: OrgClient, kind: VoucherKind, *segments: str, former: bool = False) -> str:
    name = f"{kind.singular}s/subscriptions" if former else f"{kind.singular}-subscriptions"
    return path(org_client, "sales-vouchers", name, *segments)


def subscribe(
    org_client: OrgClient, kind: VoucherKind, url: Json = RECEIVER, *, former: bool = False
) -> httpx2.Response:
    return org_client.request("POST", change_path(org_client, kind, former=former), {"callback_url": url})


@spelling
def test_a_subscription_is_answered_with_its_id(org_client: OrgClient, kind: VoucherKind, former: bool) -> None:
    response = subscribe(org_client, kind, former=former)

    assert response.status_code == 201
    assert response.json() == {"id": response.json()["id"], "callback_url": RECEIVER}


@spelling
def test_a_subscription_made_under_one_spelling_is_listed_under_both(
    org_client: OrgClient, kind: VoucherKind, former: bool
) -> None:
    made = subscribe(org_client, kind, former=former).json()

    for listed_former in (False, True):
        response = org_client.request("GET", list_path(org_client, kind, former=listed_former))
        assert (response.status_code, response.json()) == (200, {"items": [made], "problems": []})


@spelling
def test_a_subscription_made_under_one_spelling_is_deleted_under_the_other(
    org_client: OrgClient, kind: VoucherKind, former: bool
) -> None:
    made = subscribe(org_client, kind, former=former).json()["id"]

    response = org_client.request("DELETE", change_path(org_client, kind, made, former=not former))

    assert (response.status_code, response.content) == (204, b"")
    assert ids(org_client.request("GET", list_path(org_client, kind))) == []


@spelling
def test_a_url_that_is_subscribed_already_keeps_its_subscription(
    org_client: OrgClient, kind: VoucherKind, former: bool
) -> None:
    first = subscribe(org_client, kind)

    with unchanged(org_client):
        again = subscribe(org_client, kind, former=former)

    assert (again.status_code, again.json()) == (201, first.json())


def test_a_url_that_was_unsubscribed_gets_a_new_subscription(org_client: OrgClient, kind: VoucherKind) -> None:
    first = subscribe(org_client, kind).json()["id"]
    org_client.request("DELETE", change_path(org_client, kind, first))

    second = subscribe(org_client, kind).json()["id"]

    assert second != first
    assert ids(org_client.request("GET", list_path(org_client, kind))) == [second]


def test_a_url_may_subscribe_to_each_kind_and_in_each_organisation(org_client: OrgClient, kind: VoucherKind) -> None:
    other = neighbour(org_client)
    made = [subscribe(org_client, each).json()["id"] for each in VOUCHER_KINDS]
    elsewhere = subscribe(other, kind).json()["id"]

    assert len(set(made)) == 3
    assert ids(org_client.request("GET", list_path(org_client, kind))) == [made[VOUCHER_KINDS.index(kind)]]
    assert ids(other.request("GET", list_path(other, kind))) == [elsewhere]


def test_all_subscriptions_are_listed_in_the_order_in_which_they_were_made(
    org_client: OrgClient, kind: VoucherKind
) -> None:
    made = [subscribe(org_client, kind, f"{RECEIVER}/{n}").json()["id"] for n in range(3)]

    assert ids(org_client.request("GET", list_path(org_client, kind))) == made


def test_the_list_of_subscriptions_has_no_pages(org_client: OrgClient, kind: VoucherKind) -> None:
    made = [subscribe(org_client, kind, f"{RECEIVER}/{n}").json()["id"] for n in range(3)]

    assert ids(org_client.request("GET", list_path(org_client, kind) + "?limit=1&offset=1")) == made


@spelling
def test_a_deleted_subscription_is_not_found(org_client: OrgClient, kind: VoucherKind, former: bool) -> None:
    made = subscribe(org_client, kind).json()["id"]
    where = change_path(org_client, kind, made, former=former)
    assert org_client.request("DELETE", where).status_code == 204

    with unchanged(org_client):
        response = org_client.request("DELETE", where)

    assert_rejected(org_client, response, 404, "unknown-subscription")


def test_a_subscription_is_not_found_among_those_of_another_kind(org_client: OrgClient, kind: VoucherKind) -> None:
    made = subscribe(org_client, kind).json()["id"]
    other = VOUCHER_KINDS[VOUCHER_KINDS.index(kind) - 1]

    with unchanged(org_client):
        response = org_client.request("DELETE", change_path(org_client, other, made))

    assert_rejected(org_client, response, 404, "unknown-subscription")


@spelling
@pytest.mark.parametrize("callback", ["http://hooks.example/enfore", "ftp://hooks.example", "mailto:a@hooks.example"])
def test_a_callback_url_must_be_https(org_client: OrgClient, kind: VoucherKind, former: bool, callback: str) -> None:
    subscribe(org_client, kind)

    with unchanged(org_client):
        response = subscribe(org_client, kind, callback, former=former)

    assert_rejected(org_client, response, 400, "callback-not-https")


@pytest.mark.parametrize(
    "callback", ["hooks.example/enfore", "/enfore", "", "https://hooks example", 5, None, [RECEIVER]]
)
def test_a_callback_url_must_be_a_url(org_client: OrgClient, kind: VoucherKind, callback: Json) -> None:
    subscribe(org_client, kind)

    with unchanged(org_client):
        response = subscribe(org_client, kind, callback)

    assert_rejected(org_client, response, 400, "invalid-request")


@pytest.mark.parametrize("callback", ["https:", "https://", "https:///enfore", "https:hooks.example", "https://?x"])
def test_a_callback_url_must_name_a_host(org_client: OrgClient, kind: VoucherKind, callback: str) -> None:
    subscribe(org_client, kind)

    with unchanged(org_client):
        response = subscribe(org_client, kind, callback)

    assert_rejected(org_client, response, 400, "invalid-request")


@pytest.mark.parametrize(
    "callback",
    ["HTTPS://hooks.example", "https://hooks.example:8443/a?b=c", "https://[2001:db8::1]/", "https://[v1.fe80::1]/"],
)
def test_a_callback_url_is_kept_as_it_was_written(org_client: OrgClient, kind: VoucherKind, callback: str) -> None:
    assert subscribe(org_client, kind, callback).json()["callback_url"] == callback


def test_a_subscription_without_a_url_is_invalid(org_client: OrgClient, kind: VoucherKind) -> None:
    response = org_client.request("POST", change_path(org_client, kind), {"id": "mine"})

    assert_rejected(org_client, response, 400, "invalid-request")


def test_the_id_of_a_subscription_is_not_the_clients_choice(org_client: OrgClient, kind: VoucherKind) -> None:
    response = org_client.request(
        "POST", change_path(org_client, kind), {"callback_url": RECEIVER, "id": "mine", "event": "x"}
    )

    assert (response.status_code, response.json().keys()) == (201, {"id", "callback_url"})
    assert response.json()["id"] != "mine"


def test_a_subscription_sends_no_webhook(org_client: OrgClient, kind: VoucherKind) -> None:
    made = subscribe(org_client, kind).json()["id"]
    org_client.request("DELETE", change_path(org_client, kind, made))

    assert org_client.events() == []
