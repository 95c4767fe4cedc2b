"""Deliveries to real receivers on loopback, over http and https, including receivers that misbehave."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from promo_sandbox.base.callback_policy import Policy
from promo_sandbox.base.config import CallbackConfig, Config
from tests.patience import LONG, TICK, patiently, shortest
from tests.receiving import (
    Mode,
    Receiver,
    answers,
    ca_pem,
    floods,
    hangs,
    is_slow,
    never_reads,
    redirects,
    resets,
)
from tests.scenarios.staging import wait_for_calls
from tests.serving import Json, OrgClient, free_port, running
from tests.vendors.enfore_support import (
    NOW,
    SOON,
    cards,
    category_voucher,
    contract,
    internal_card,
    path,
    product_voucher,
)
from tests.webhooks.support import EVENT, arm, card_of, frozen, redeem, sell, statuses, subscribe, webhooks

SHOP = "https://shop.example/"
SHORT = 0.5  # seconds


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that trusts the receivers' certificate."""
    ca = tmp_path_factory.mktemp("callbacks") / "ca.pem"
    ca.write_bytes(ca_pem())
    with running(Config(callbacks=CallbackConfig(policy=Policy(allow_http=True), ca=ca, timeout=LONG))) as (_, base):
        yield base


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def settled(org_client: OrgClient, count: int = 1) -> list[Json]:
    """Wait until this many deliveries were attempted, and return all."""
    found = webhooks(org_client, f"?wait=60s&count={count}")
    assert len(found) >= count
    return found


def test_a_receiver_gets_the_callback_of_the_spec(org_client: OrgClient, receiver: Receiver) -> None:
    subscribe(org_client, receiver.url + "hooks?shop=1")

    card = sell(org_client)

    (received,) = receiver.wait(1)
    assert received.path == "/hooks?shop=1"
    assert received.headers["content-type"] == "application/json"
    assert received.headers["sandbox-delivery"] == "1"
    assert received.json["items"][0]["id"] == card
    assert not list(contract().callbacks["gift-card-changed"].violations(received.json, "payload"))
    (delivery,) = settled(org_client)
    assert (delivery["status"], delivery["attempts"][0]["status"]) == ("delivered", 202)


def test_a_receiver_over_https_gets_it_too(org_client: OrgClient) -> None:
    with Receiver(tls=True) as receiver:
        subscribe(org_client, receiver.url.replace("127.0.0.1", "localhost"))

        sell(org_client)

        assert len(receiver.wait(1)) == 1


def test_the_error_for_an_untrusted_certificate_names_the_option(http: httpx2.Client) -> None:
    with running() as (_, base), Receiver(tls=True) as receiver:
        org_client = OrgClient(base, "doubting", http)
        subscribe(org_client, receiver.url)

        sell(org_client)

        (delivery,) = settled(org_client)
        assert delivery["attempts"][0]["status"] is None
        assert "certificate verify failed" in delivery["attempts"][0]["error"]
        assert "--callback-ca" in delivery["attempts"][0]["error"]
        assert receiver.received == []


def test_every_change_of_every_kind_arrives_in_its_order(org_client: OrgClient, receiver: Receiver) -> None:
    frozen(org_client)
    for kind in ("gift-cards/subscriptions", "product-voucher-subscriptions", "category-vouchers/subscriptions"):
        subscribe(org_client, f"{receiver.url}{kind}", f"{kind}")
    card = sell(org_client, expiration_date_and_time=SOON)
    redeem(org_client, card)
    org_client.request("PUT", cards(org_client, card, "activation-status"), raw=b'"DEACTIVATED"')
    org_client.request("PUT", cards(org_client, card, "activation-status"), raw=b'"ACTIVE"')
    org_client.advance("P60D")
    org_client.seed("enfore", gift_cards=[internal_card()], product_vouchers=[product_voucher()])
    org_client.seed("enfore", category_vouchers=[category_voucher()])

    received = receiver.wait(8)

    of_cards = [it.json["items"][0]["status"] for it in received if it.path.startswith("/gift")]
    assert of_cards == ["ISSUED", "PARTIALLY_REDEEMED", "DEACTIVATED", "PARTIALLY_REDEEMED", "EXPIRED", "ISSUED"]
    assert sorted(it.path for it in received)[-2:] == [
        "/gift-cards/subscriptions", "/product-voucher-subscriptions",
    ]  # fmt: skip
    assert sum(it.path == "/category-vouchers/subscriptions" for it in received) == 1


def test_the_reply_is_sent_before_the_event(org_client: OrgClient, receiver: Receiver) -> None:
    subscribe(org_client, receiver.url)
    org_client.admin("POST", "/next", {"operation": "createExternalGiftCard", "then": {"delay": "300ms"}})
    began = time.perf_counter()
    sell(org_client)
    replied = time.perf_counter() - began

    (received,) = receiver.wait(1)

    assert replied >= 0.3 - TICK
    assert received.at_order == 0
    assert settled(org_client)[0]["status"] == "delivered"


def test_an_event_of_a_late_reply_waits_for_it(org_client: OrgClient, receiver: Receiver) -> None:
    subscribe(org_client, receiver.url)
    org_client.admin("POST", "/next", {"operation": "createExternalGiftCard", "then": {"delay": "120s"}})
    with pytest.raises(httpx2.ReadTimeout), httpx2.Client(timeout=httpx2.Timeout(LONG, read=0.2)) as hasty:
        sell(OrgClient(org_client.url, org_client.org, hasty))
    wait_for_calls(org_client, "createExternalGiftCard")

    assert statuses(org_client) == ["waiting"]
    assert receiver.received == []


def test_retries_reach_a_receiver_that_has_recovered(org_client: OrgClient, receiver: Receiver) -> None:
    receiver.mode = answers(500, 503, 204)
    subscribe(frozen(org_client), receiver.url)
    sell(org_client)
    settled(org_client)

    org_client.advance("PT3S")

    receiver.wait(3)
    (delivery,) = webhooks(org_client, "?wait=60s&status=delivered")
    assert [it["status"] for it in delivery["attempts"]] == [500, 503, 204]
    assert [it["at"][17:19] for it in delivery["attempts"]] == ["00", "01", "03"]


BAD: dict[str, tuple[Mode, int | None, str]] = {
    "hangs": (hangs(), None, "no answer came within "),
    "never reads": (never_reads(), None, "no answer came within "),
    "is slow": (is_slow(2 * LONG), None, "no answer came within "),
    "resets": (resets(), None, "disconnect|reset"),
    "answers 500": (answers(500), 500, ""),
    "redirects": (redirects("http://169.254.169.254/latest/meta-data"), 307, ""),
}


@pytest.mark.parametrize("how", BAD)
def test_deliveries_behind_a_failed_one_wait(http: httpx2.Client, how: str) -> None:
    mode, status, error = BAD[how]

    def fail(timeout: float) -> None:
        callbacks = CallbackConfig(policy=Policy(allow_http=True), timeout=timeout)
        with running(Config(callbacks=callbacks)) as (_, base), Receiver(mode) as bad:
            org_client = frozen(OrgClient(base, "bad", http))
            subscribe(org_client, bad.url)

            sell(org_client, "X-1")
            sell(org_client, "X-2")

            webhooks(org_client, "?wait=60s")
            first, second = webhooks(org_client)
            assert (first["status"], first["attempted"]) == ("waiting", 1)
            assert first["attempts"][0]["status"] == status
            said = (first["attempts"][0]["error"] or "").lower()
            assert any(part in said for part in error.split("|"))
            assert not said.startswith("no answer") or said == f"no answer came within {timeout:g} s."
            assert second["attempted"] == 0

    patiently(SHORT, fail)


@pytest.mark.parametrize("how", BAD)
def test_a_bad_receiver_keeps_no_other_waiting(org_client: OrgClient, receiver: Receiver, how: str) -> None:
    frozen(org_client)
    with Receiver(BAD[how][0]) as bad:
        subscribe(org_client, bad.url)
        subscribe(org_client, receiver.url)

        sell(org_client, "X-1")
        sell(org_client, "X-2")

        received = receiver.wait(2)
        assert [it.json["items"][0]["external_number"] for it in received] == ["X-1", "X-2"]
        bad.wait_for_connections(1)
        first, _, second, _ = webhooks(org_client)
        assert [it for it in first["attempts"] if "No answer" in (it["error"] or "")] == []  # it may still arrive
        assert second["attempts"] == []


def test_the_end_of_an_answer_of_ten_megabytes_is_not_read(org_client: OrgClient) -> None:
    with Receiver(floods()) as receiver:
        subscribe(org_client, receiver.url)

        sell(org_client)

        (delivery,) = settled(org_client)
        assert delivery["status"] == "delivered"
        assert len(delivery["attempts"][0]["body"]) == 4096


def test_a_delivery_to_an_absent_receiver_is_retried(org_client: OrgClient) -> None:
    with Receiver(port=free_port()) as receiver:
        pass
    subscribe(frozen(org_client), receiver.url)
    sell(org_client)
    (delivery,) = settled(org_client)
    assert delivery["attempts"][0]["error"] == f"Cannot connect to 127.0.0.1:{receiver.port}: Connection refused"

    with Receiver(port=receiver.port) as again:
        org_client.advance("PT1S")
        assert len(again.wait(1)) == 1


def test_after_an_idle_connection_that_was_closed_it_is_tried_again_at_once(org_client: OrgClient) -> None:
    with Receiver(port=free_port()) as receiver:
        subscribe(frozen(org_client), receiver.url)
        sell(org_client, "X-1")
        receiver.wait(1)
        settled(org_client)
    with Receiver(port=receiver.port) as again:
        sell(org_client, "X-2")

        assert len(again.wait(1)) == 1
        first, second = webhooks(org_client, "?wait=60s&count=2&status=delivered")
        assert first["attempted"] == 1
        assert [it["status"] for it in second["attempts"]] in ([202], [None, 202])  # if the close was noticed, or not


@pytest.mark.parametrize(
    "target",
    [
        "https://shop.example/hooks",
        "https://169.254.169.254/latest/meta-data",
        "https://10.0.0.1/",
    ],
)
def test_a_forbidden_url_is_never_called_and_the_option_is_named(org_client: OrgClient, target: str) -> None:
    subscribe(org_client, target)

    sell(org_client)

    (delivery,) = settled(org_client)
    assert (delivery["status"], delivery["attempts"]) == ("not_allowed", [])
    assert "--callback-allow" in delivery["detail"]


@pytest.mark.parametrize("target", ["https://[::ffff:169.254.169.254]/", "https://2130706433/", "https://0x7f.1/"])
def test_an_address_in_an_odd_spelling_is_never_called(org_client: OrgClient, target: str) -> None:
    subscribe(org_client, target)

    sell(org_client)

    (delivery,) = settled(org_client)
    assert (delivery["status"], delivery["attempts"]) == ("not_allowed", [])


def test_an_org_has_its_own_rewrites_also_after_a_reset(org_client: OrgClient, receiver: Receiver) -> None:
    rewrites = {"rewrites": [{"from": SHOP, "to": receiver.url}]}
    assert org_client.admin("PUT", "/webhooks/rewrites", rewrites).json() == rewrites
    org_client.admin("POST", "/reset")
    assert org_client.admin("GET", "/webhooks/rewrites").json() == rewrites
    subscribe(org_client, f"{SHOP}hooks/enfore?x=1")

    sell(org_client)

    (received,) = receiver.wait(1)
    assert received.path == "/hooks/enfore?x=1"


@pytest.mark.parametrize(
    ("source", "target", "why"),
    [
        (SHOP, "http://10.0.0.1/", "start the server with --callback-allow 10.0.0.1"),
        (SHOP, "http://169.254.169.254/", "--callback-allow"),
        (SHOP, "ftp://127.0.0.1/", "ftp"),
        ("shop.example", "http://127.0.0.1/", "shop.example"),
    ],
)
def test_an_org_may_not_have_itself_sent_anywhere(org_client: OrgClient, source: str, target: str, why: str) -> None:
    response = org_client.admin("PUT", "/webhooks/rewrites", {"rewrites": [{"from": source, "to": target}]})

    assert response.status_code == 400
    assert why in response.json()["detail"]
    assert response.json()["errors"][0]["pointer"] == "body.rewrites[0]"
    assert org_client.admin("GET").status_code == 404


def test_plain_http_is_rejected_as_by_the_vendor_without_the_option(http: httpx2.Client) -> None:
    with running() as (_, base):
        org_client = OrgClient(base, "strict", http)

        response = org_client.request(
            "POST", path(org_client, "sales-vouchers/gift-card-subscriptions"), {"callback_url": "http://127.0.0.1:1/"}
        )

        assert response.status_code == 400
        assert "is not an https URL" in response.json()["detail"]


def subscribed_by(way: str, org_client: OrgClient, url: str) -> None:
    """Seed a subscription that the vendor would reject."""
    subscription = {"event": EVENT, "callback_url": url, "id": "s-1"}
    if way == "scenario":
        script = {"given": {"seed": {"enfore": {"subscriptions": [subscription]}}}, "steps": []}
        assert (
            org_client.admin("PUT", "/scenario", {**script, "steps": [{"operation": "getGiftCard"}]}).status_code == 200
        )
        return
    source = OrgClient(org_client.url, f"{org_client.org}-source", org_client.http)
    source.seed("enfore", subscriptions=[subscription])
    if way == "seed":
        org_client.seed("enfore", subscriptions=[subscription])
    elif way == "state":
        assert org_client.admin("PUT", "/state", source.admin("GET", "/state").json()).status_code == 200
    elif way == "import":
        assert org_client.admin("POST", "/import", source.admin("GET", "/export").json()).status_code == 200
    elif way == "snapshot":
        org_client.seed("enfore", subscriptions=[subscription])
        org_client.admin("PUT", "/snapshots/a")
        org_client.admin("PUT", "/state", {"documents": {}})
        assert org_client.admin("POST", "/snapshots/a/restore").status_code == 200


@pytest.mark.parametrize("way", ["seed", "state", "import", "scenario", "snapshot"])
@pytest.mark.parametrize("allowed", [False, True])
def test_plain_http_is_off_for_any_source_of_a_subscription(http: httpx2.Client, way: str, allowed: bool) -> None:
    callbacks = CallbackConfig(policy=Policy(allow_http=allowed))
    with running(Config(callbacks=callbacks)) as (_, base), Receiver() as receiver:
        org_client = OrgClient(base, way, http)
        subscribed_by(way, org_client, receiver.url)

        sell(org_client)
        (delivery,) = webhooks(org_client, "?wait=20s")
        again = org_client.admin("POST", f"/webhooks/{delivery['id']}/redeliver").json()

        assert [delivery["status"]] == ["delivered" if allowed else "not_allowed"]
        if not allowed:
            assert "--allow-http-callbacks" in delivery["detail"]
            assert again["status"] == "not_allowed"
            assert (delivery["attempts"], receiver.received) == ([], [])


@pytest.mark.parametrize(
    ("callback", "status"),
    [
        ("http://sink.sandbox/", "not_allowed"),
        ("http://shop.example/", "not_allowed"),
        ("ftp://shop.example/", "not_allowed"),
        ("HTTPS://sink.sandbox/", "delivered"),
    ],
)
def test_only_https_is_called(org_client: OrgClient, callback: str, status: str) -> None:
    subscribed_by("seed", org_client, callback)

    sell(org_client)

    assert [webhook["status"] for webhook in webhooks(org_client, "?wait=20s")] == [status]


def test_no_header_of_a_client_or_of_the_operator_is_passed_on(http: httpx2.Client) -> None:
    callbacks = CallbackConfig(policy=Policy(allow_http=True))
    with running(Config(callbacks=callbacks, admin_token="SECRET-operator")) as (_, base), Receiver() as receiver:
        operator = {"Authorization": "Bearer SECRET-operator"}
        client = {
            "Authorization": "Bearer SECRET-client",
            "Proxy-Authorization": "Basic SECRET",
            "Cookie": "a=SECRET",
            "X-Api-Key": "SECRET",
            "X-Forwarded-Host": "SECRET.example",
            "Forwarded": "host=SECRET.example",
        }
        admin, cards_of = f"{base}/__admin/orgs/acme", f"{base}/promotions/org/acme/sales-vouchers/gift-cards"
        subscription = {"event": EVENT, "callback_url": receiver.url}
        other = {"event": EVENT, "callback_url": "https://user:SECRET@shop.example/?access_token=SECRET"}
        card = internal_card(id="c-1", current_balance={"unit": "EUR", "value": 5})
        seeds = [{"subscriptions": [subscription, other]}, {"gift_cards": [card]}]

        for seed in seeds:
            http.post(f"{admin}/seed", json={"enfore": seed}, headers=operator).raise_for_status()
        body = {"redeemed_amount": {"unit": "EUR", "value": 9}, "external_reference": "r"}
        rejected = http.post(f"{cards_of}/c-1/redemptions", json=body, headers=client)
        status = f"{cards_of}/c-1/activation-status"
        named = http.put(status, json="ACTIVE", headers=client)
        misnamed = http.put(status, json="ACTIVE", headers={**client, "Host": "a:SECRET@b"})
        deliveries = http.get(f"{admin}/webhooks?wait=20s&count=2", headers=operator)

        sent = [header for received in receiver.wait(1) for header in received.headers.items()]
        assert named.json()["on_resource"] == f"{cards_of}/c-1"
        assert "SECRET" not in f"{rejected.text} {named.text} {misnamed.text} {deliveries.text} {sent}"
        assert "https://***@shop.example/?access_token=***" in deliveries.text
        assert {name.lower() for name, _ in sent} == {
            *("host", "content-type", "content-length", "accept", "accept-encoding", "user-agent", "sandbox-delivery")
        }


@pytest.mark.parametrize("address", ["http://shop.example/", "http://10.0.0.1/", "ftp://127.0.0.1/"])
def test_the_option_admits_plain_http_on_this_machine_only(org_client: OrgClient, address: str) -> None:
    response = org_client.request(
        "POST", path(org_client, "sales-vouchers/gift-card-subscriptions"), {"callback_url": address}
    )

    assert response.status_code == 400


def test_deliveries_end_after_the_configured_attempts(http: httpx2.Client) -> None:
    callbacks = CallbackConfig(policy=Policy(allow_http=True), attempts=3, timeout=LONG)
    with running(Config(callbacks=callbacks)) as (_, base), Receiver(answers(500)) as receiver:
        org_client = frozen(OrgClient(base, "limited", http))
        subscribe(org_client, receiver.url)
        sell(org_client, "X-1")
        settled(org_client)

        org_client.advance("PT1H")

        (dead,) = webhooks(org_client, "?status=dead&wait=60s")
        assert (dead["attempted"], dead["detail"]) == (3, "3 attempts have failed.")
        receiver.mode = answers(202)
        org_client.admin("POST", f"/webhooks/{dead['id']}/redeliver")
        assert webhooks(org_client, "?status=delivered&wait=60s")[0]["redelivery_of"] == dead["id"]


@pytest.mark.parametrize("webhook", ["truncated", "invalid"])
def test_broken_payloads_really_arrive(org_client: OrgClient, receiver: Receiver, webhook: str) -> None:
    subscribe(org_client, receiver.url)
    arm(org_client, webhook)

    sell(org_client)

    (received,) = receiver.wait(1)
    (delivery,) = settled(org_client)
    assert received.body.decode() == delivery["sent"]


def test_a_receiver_gets_the_delivery_whose_answer_is_replaced_by_500(
    org_client: OrgClient, receiver: Receiver
) -> None:
    subscribe(frozen(org_client), receiver.url)
    arm(org_client, {"status": 500, "times": 1})
    sell(org_client)
    settled(org_client)

    org_client.admin("POST", "/webhooks/flush")

    first, second = receiver.wait(2)
    assert first.body == second.body
    assert [it["status"] for it in webhooks(org_client)[0]["attempts"]] == [500, 202]


def test_a_server_stops_with_deliveries_in_flight_and_logs_the_undelivered(
    http: httpx2.Client, caplog: pytest.LogCaptureFixture
) -> None:
    callbacks = CallbackConfig(policy=Policy(allow_http=True), timeout=LONG)

    def stopped() -> float:
        with Receiver(hangs()) as receiver:
            with running(Config(callbacks=callbacks)) as (_, base):
                org_client = OrgClient(base, "ending", http)
                subscribe(org_client, receiver.url)
                sell(org_client, "X-1")
                sell(org_client, "X-2")
                receiver.wait(1)
                began = time.perf_counter()
            seconds = time.perf_counter() - began
        assert f"ending: 2 deliveries to {receiver.url} were left" in caplog.text
        return seconds

    assert shortest(2, stopped) < 2


def test_deleting_the_subscription_cancels_the_delivery_in_flight(http: httpx2.Client) -> None:
    def delete(timeout: float) -> None:
        callbacks = CallbackConfig(policy=Policy(allow_http=True), timeout=timeout)
        with running(Config(callbacks=callbacks)) as (_, base), Receiver(hangs()) as receiver:
            org_client = frozen(OrgClient(base, "deleting", http))
            id = subscribe(org_client, receiver.url)
            sell(org_client, "X-1")
            receiver.wait(1, timeout)
            org_client.request("DELETE", path(org_client, "sales-vouchers/gift-card-subscriptions", id))
            (delivery,) = webhooks(org_client, "?status=canceled&wait=60s")

            org_client.advance("P1D")

            assert card_of(delivery)["external_number"] == "X-1"
            assert delivery["at"] == NOW
            assert len(receiver.received) == 1

    patiently(2 * SHORT, delete)


def test_certificates_are_read_from_the_file_that_is_named(tmp_path: Path, http: httpx2.Client) -> None:
    (tmp_path / "ca.pem").write_bytes(ca_pem())
    callbacks = CallbackConfig(ca=tmp_path / "ca.pem", timeout=LONG)
    with running(Config(callbacks=callbacks)) as (_, base), Receiver(tls=True) as receiver:
        org_client = OrgClient(base, "trusting", http)
        subscribe(org_client, receiver.url)

        sell(org_client)

        assert len(receiver.wait(1)) == 1
