"""Clients that handle the bundled scenarios of Emporix."""

from __future__ import annotations

from urllib.parse import urlencode

import httpx2

from tests.scenarios.staging import RetryingClient, for_scenario, statuses
from tests.serving import Json, OrgClient

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
FIVE_OFF = {"orderTotal": {"amount": 100, "currency": "EUR"}, "discount": {"amount": 5, "currency": "EUR"}}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def customer(shop: OrgClient) -> dict[str, str]:
    """The headers of a logged-in customer."""
    return bearer(f"sandbox;tenant={shop.org};customer=C1;scope=coupon.coupon_redeem")


def coupon(shop: OrgClient, code: str, *segments: str) -> str:
    return "/".join([f"/coupon/{shop.org}/coupons/{code}", *segments])


def order(code: str) -> Json:
    """A redemption. The client finds it again by the code of the order."""
    return {**FIVE_OFF, "orderCode": code}


class Backoffice:
    """Books points with one token until it is rejected."""

    def __init__(self, shop: OrgClient) -> None:
        self._shop = shop
        self._token = self._fetched()

    def _fetched(self) -> str:
        scope = f"tenant={self._shop.org} rewardspoints.rewardpoints_manage"
        client = {
            "grant_type": "client_credentials",
            "client_id": "backoffice",
            "client_secret": "geheim",
            "scope": scope,
        }
        answer = self._shop.http.post(f"{self._shop.url}/oauth/token", content=urlencode(client), headers=FORM)
        assert answer.status_code == 200, answer.text
        token: str = answer.json()["access_token"]
        return token

    def add(self, points: int) -> list[httpx2.Response]:
        """The statuses of the replies; the last one is a success."""
        answers = [self._add(points)]
        if answers[0].status_code == 401:
            self._token = self._fetched()
            answers.append(self._add(points))
        return answers

    def _add(self, points: int) -> httpx2.Response:
        path = "/reward-points/customer/C1/addPoints"
        return self._shop.request("POST", path, {"points": points}, headers=bearer(self._token))


@for_scenario("emporix/token-expires-mid-flow", until="2030-01-02T12:00:00.000")
def test_a_booking_that_failed_with_an_expired_token_is_repeated_with_a_new_token(org_client: OrgClient) -> None:
    backoffice = Backoffice(org_client)

    first = backoffice.add(100)
    second = backoffice.add(50)

    points = org_client.state()["emporix"]["reward_points"][0]["document"]["activePoints"]
    assert [answer.status_code for answer in first] == [201]
    assert [answer.status_code for answer in second] == [401, 201]
    assert second[0].json()["fault"]["detail"]["errorcode"] == "keymanagement.service.access_token_expired"
    assert points == 150


@for_scenario("emporix/lost-redemption")
def test_a_redemption_whose_reply_was_lost_is_found_by_its_order(org_client: OrgClient) -> None:
    client = RetryingClient(org_client)

    rejected = client.request(
        "POST", coupon(org_client, "WELCOME", "redemptions"), order("O-1"), headers=customer(org_client)
    )
    found = org_client.request("GET", coupon(org_client, "WELCOME", "redemptions")).json()

    assert client.results == ["no reply", "400"]
    assert [detail["type"] for detail in rejected.json()["details"]] == ["coupon_redemptions_exceeded"]
    assert [redemption["orderCode"] for redemption in found] == ["O-1"]
    assert statuses(org_client, "redeemCoupon") == [201, 400]


@for_scenario("emporix/points-chargeback")
def test_points_of_a_failed_exchange_come_back_by_themselves(org_client: OrgClient) -> None:
    def exchange(option: str) -> httpx2.Response:
        path = "/reward-points/public/customer/redeem"
        return org_client.request("POST", path, {"id": option}, headers=customer(org_client))

    failed = exchange("broken")
    summary = org_client.request("GET", "/reward-points/public/customer/summary", headers=customer(org_client)).json()
    succeeded = exchange("five-off")

    assert failed.status_code == 500
    assert summary["activePoints"] == 250
    assert [entry["points"] for entry in summary["summary"]["redeemedPointsList"]] == [200]
    assert summary["summary"]["addedPointsList"][-1]["description"].startswith("Chargeback")
    assert succeeded.status_code == 201
    assert succeeded.json()["code"].startswith("LLS-")


@for_scenario("emporix/rate-limit", until="2030-01-01T12:00:01.000")
def test_a_client_that_tries_codes_is_throttled(org_client: OrgClient) -> None:
    client = RetryingClient(org_client)

    answers = [
        client.request(
            "POST", coupon(org_client, code, "validation"), FIVE_OFF, headers=customer(org_client)
        ).status_code
        for code in ("WELCOMME", "WELLCOME", "WELKOME", "WELCOME")
    ]

    assert answers == [404, 404, 404, 200]
    assert client.results == ["404", "404", "404", "429", "200"]
    assert client.waited == [1]


@for_scenario("emporix/coupon-used-up")
def test_a_coupon_that_was_valid_in_the_cart_is_rejected_with_the_order(org_client: OrgClient) -> None:
    def ask(what: str) -> httpx2.Response:
        return org_client.request(
            "POST", coupon(org_client, "LAST-ONE", what), order("O-1"), headers=customer(org_client)
        )

    in_the_cart, with_the_order, afterwards = ask("validation"), ask("redemptions"), ask("validation")

    assert in_the_cart.status_code == 200
    for rejected in (with_the_order, afterwards):
        assert rejected.status_code == 400
        assert [detail["type"] for detail in rejected.json()["details"]] == ["coupon_redemptions_exceeded"]
    (redemption,) = org_client.state()["emporix"]["coupon_redemptions"]
    assert redemption["document"]["customerNumber"] == "C-OTHER"
