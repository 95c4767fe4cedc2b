"""Numbers and dates are read alike for every vendor and for the admin API."""

from __future__ import annotations

import re
from typing import NamedTuple

import httpx2
import pytest

from tests.serving import Json, OrgClient

NOW = "2030-01-01T12:00:00Z"
ABSURD = ["1e999999999", "-1e999999999", "1e-999999999", "0e999999999", "1e309"]
NEVER = ["2030-01-01T00:00:60Z", "2017-12-31T23:59:60Z", "2016-12-31T23:59:60+01:00"]
INSERTED = ["2016-12-31T23:59:60Z", "2017-01-01T00:59:60+01:00", "2015-06-30T23:59:60.5Z"]

NORCE = "/commerce/management/1.0/api/promotion"


@pytest.fixture
def shop(org_client: OrgClient) -> OrgClient:
    org_client.org = org_client.org.replace("-", "")
    org_client.freeze(NOW)
    return org_client


def ask(shop: OrgClient, method: str, path: str, raw: str | None = None) -> httpx2.Response:
    sent = {"Sandbox-Org": shop.org, "Emporix-Tenant": shop.org}
    return shop.request(method, path, raw=None if raw is None else raw.encode(), headers=sent)


def admin(shop: OrgClient, method: str, path: str, raw: str, media: str = "application/json") -> httpx2.Response:
    """A body as it stands, which a client's encoder would write otherwise."""
    url = f"{shop.url}/__admin/orgs/{shop.org}{path}"
    return shop.http.request(method, url, content=raw, headers={"Content-Type": media})


def numbers(text: str, member: str) -> list[str]:
    """How a member is written wherever it stands."""
    return re.findall(rf'"{member}":\s*([-0-9.eE+]+)', text)


# Integers


def test_an_integer_is_answered_listed_and_exported_as_an_integer_however_it_was_written(shop: OrgClient) -> None:
    promotion = """{"AllowedUsageCount": 1e2, "UniqueUserUsageCount": 3.0,
        "Requirements": [{"SortOrder": -0.0, "CustomerFlagId": 70e-1, "OrderSum": 500.00,
                          "ProductList": [{"Qty": 2.0}]}],
        "Effects": [{"SortOrder": 5E0, "Value": 20.50, "ProductList": [{"ProductId": 9.00, "Value": 1.0}]}]}"""

    inserted = ask(shop, "POST", NORCE, promotion)
    assert inserted.status_code == 200, inserted.text
    read = ask(shop, "GET", f"{NORCE}/{inserted.json()['Id']}")
    replaced = ask(shop, "PUT", f"{NORCE}/{inserted.json()['Id']}", promotion)
    exported = shop.admin("GET", "/export")

    for reply in (inserted, read, replaced, exported):
        assert numbers(reply.text, "AllowedUsageCount") == ["100"]
        assert numbers(reply.text, "UniqueUserUsageCount") == ["3"]
        assert numbers(reply.text, "SortOrder") == ["0", "5"]
        assert numbers(reply.text, "CustomerFlagId") == ["7"]
        assert numbers(reply.text, "Qty") == ["2"]
        assert numbers(reply.text, "ProductId") == ["9"]
        assert (numbers(reply.text, "OrderSum"), numbers(reply.text, "Value")) == (["500.00"], ["20.50", "1.0"])
    assert numbers(ask(shop, "GET", NORCE).text, "AllowedUsageCount") == ["100"]


def test_the_journal_keeps_the_request_as_it_was_sent_and_what_was_stored_as_it_is(shop: OrgClient) -> None:
    sent = '{"AllowedUsageCount": 1e2}'

    ask(shop, "POST", NORCE, sent)

    journal = shop.admin("GET", "/requests?limit=1")
    assert journal.json()["requests"][0]["request"]["body"] == sent
    assert numbers(journal.text, "AllowedUsageCount") == ["100"]  # of what changed
    assert '\\"AllowedUsageCount\\":100,' in journal.text  # of the reply


def test_points_and_counts_of_a_tenant_are_integers(shop: OrgClient) -> None:
    added = ask(shop, "POST", "/reward-points/customer/C1/addPoints", '{"points": 1.0e2}')
    assert added.status_code == 201, added.text
    coupon = """{"code": "FIVE", "name": "Five", "discountType": "ABSOLUTE", "maxRedemptions": 1e1,
        "maxRedemptionsPerCustomer": 2.0, "discountAbsolute": {"amount": 5.00, "currency": "EUR"}}"""
    created = ask(shop, "POST", f"/coupon/{shop.org}/coupons", coupon)
    assert created.status_code == 201, created.text

    read = ask(shop, "GET", f"/coupon/{shop.org}/coupons/FIVE").text
    assert (numbers(read, "maxRedemptions"), numbers(read, "maxRedemptionsPerCustomer")) == (["10"], ["2"])
    assert numbers(read, "amount") == ["5.00"]
    exported = shop.admin("GET", "/export").text
    assert numbers(exported, "points") == ["100"]


def test_a_seed_a_state_and_an_import_are_kept_so_too(shop: OrgClient) -> None:
    promotion = '{"Id": 4.0, "application": 1.0, "UsageCount": 1e1, "TotalOrder": 10.0}'

    seeded = admin(shop, "POST", "/seed", f'{{"norce": {{"promotions": [{promotion}]}}}}')
    assert seeded.status_code == 200, seeded.text
    assert numbers(seeded.text, "UsageCount") == ["10"]
    assert ask(shop, "GET", f"{NORCE}/4").status_code == 200

    exported = shop.admin("GET", "/export").text
    for path, method, body in (
        ("/state", "PUT", f'{{"documents": {{"norce": {{"promotions": [{{"document": {promotion}}}]}}}}}}'),
        ("/import", "POST", exported.replace('"UsageCount":10', '"UsageCount":1e1').replace('"Id":4', '"Id":4.0')),
    ):
        stored = admin(shop, method, path, body)
        assert stored.status_code == 200, stored.text
        state = shop.admin("GET", "/state").text
        assert (numbers(state, "Id"), numbers(state, "UsageCount")) == (["4"], ["10"])
        assert numbers(state, "TotalOrder") == ["10.0"]


def test_a_scripted_reply_says_integers_as_integers_unless_it_leaves_the_contract(shop: OrgClient) -> None:
    reply = '{"status": 200.0, "body": {"Id": 3.0, "AllowedUsageCount": 1e2, "TotalOrder": 10.0}%s}'
    step = '{"operation": "PromotionApi_Get", "then": {"reply": %s}, "times": 1.0}'
    for written, said in ((reply % "", "3"), (reply % ', "off_contract": true', "3.0")):
        armed = admin(shop, "POST", "/next", step % written)
        assert armed.status_code == 200, armed.text
        by_trigger = ask(shop, "GET", f"{NORCE}/3")
        put = admin(shop, "PUT", "/scenario", f'{{"steps": [{step % written}]}}', "application/yaml")
        assert put.status_code == 200, put.text
        assert (numbers(put.text, "status"), numbers(put.text, "times")) == (["200"], ["1"])
        by_step = ask(shop, "GET", f"{NORCE}/3")

        for answered in (by_trigger, by_step):
            assert answered.status_code == 200, answered.text
            assert (numbers(answered.text, "Id"), numbers(answered.text, "TotalOrder")) == ([said], ["10.0"])


def test_what_a_scenario_begins_with_is_kept_so_too(shop: OrgClient) -> None:
    scenario = """
      given: {seed: {norce: {promotions: [{Id: 4, AllowedUsageCount: 3.0}]}}}
      steps: [{operation: PromotionApi_Get, then: {cut: after}}]"""

    assert admin(shop, "PUT", "/scenario", scenario, "application/yaml").status_code == 200

    assert numbers(shop.admin("GET", "/state").text, "AllowedUsageCount") == ["3"]


def test_the_admin_api_answers_integers_as_integers(shop: OrgClient) -> None:
    armed = admin(shop, "POST", "/next", '{"operation": "getGiftCard", "then": {"cut": "after"}, "times": 2.0}')

    assert armed.status_code == 200, armed.text
    assert numbers(armed.text, "times") == ["2"]


# Orders of magnitude


class Door(NamedTuple):
    """Where a number comes in; `{}` in the body stands for it."""

    method: str
    path: str
    body: str


CARD = '{"name": "N", "external_number": "X", "status": "ISSUED", "current_balance": {"unit": "EUR", "value": {}}}'
COUPON = '{"code": "A", "name": "A", "discountType": "PERCENT", "discountPercentage": {}}'
DOORS = {
    "enfore": Door("POST", "/promotions/org/ORG/sales-vouchers/gift-cards", CARD),
    "enfore, where the schema does not look": Door(
        "POST", "/promotions/org/ORG/sales-vouchers/gift-card-subscriptions", '{"callback_url": "https://a.b", "x": {}}'
    ),
    "emporix, a number": Door("POST", "/coupon/ORG/coupons", COUPON),
    "emporix, an integer": Door("POST", "/reward-points/customer/C1/addPoints", '{"points": {}}'),
    "norce, a number": Door("POST", NORCE, '{"Effects": [{"Value": {}}]}'),
    "norce, an integer": Door("POST", NORCE, '{"Requirements": [{"SortOrder": {}}]}'),
    "seed": Door("POST", "/__admin/orgs/ORG/seed", '{"norce": {"promotions": [{"TotalOrder": {}}]}}'),
    "state": Door(
        "PUT", "/__admin/orgs/ORG/state", '{"documents": {"norce": {"promotions": [{"document": {"TotalOrder": {}}}]}}}'
    ),
    "import": Door("POST", "/__admin/orgs/ORG/import", '{"promo_sandbox_export": 1, "org": {"sequence": {}}}'),
    "scenario": Door(
        "PUT",
        "/__admin/orgs/ORG/scenario",
        '{"given": {"seed": {"norce": {"promotions": [{"TotalOrder": {}}]}}}, "steps": [{"operation": "getGiftCard", '
        '"then": {"cut": "after"}}]}',
    ),
    "next": Door("POST", "/__admin/orgs/ORG/next", '{"operation": "getGiftCard", "then": {"delay": {}}}'),
}


@pytest.mark.parametrize("number", ABSURD)
@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_a_number_of_no_sensible_order_is_an_invalid_request_everywhere(
    shop: OrgClient, door: Door, number: str
) -> None:
    response = ask(shop, door.method, door.path.replace("ORG", shop.org), door.body.replace("{}", number))

    assert response.status_code == 400, response.text
    assert "a number or a nesting beyond what can be read" in response.text
    assert "documents" not in shop.state()


def test_the_same_in_yaml_is_reported_with_its_line(shop: OrgClient) -> None:
    scenario = "steps:\n- operation: getGiftCard\n  then: {delay: 1e999999999}"

    response = admin(shop, "PUT", "/scenario", scenario, "application/yaml")

    assert response.status_code == 400
    assert "body:3: '1e999999999' is not a number in the supported range" in response.text


# Leap seconds


def dates(shop: OrgClient, written: str) -> list[httpx2.Response]:
    """Requests with a date, of every vendor and of the admin API."""
    card = CARD.replace("{}", "1").replace('"X"', f'"{written}"')[:-1]
    coupon = COUPON.replace("{}", "5")[:-1]
    return [
        ask(
            shop,
            "POST",
            f"/promotions/org/{shop.org}/sales-vouchers/gift-cards",
            f'{card}, "issued_date_and_time": "{written}"}}',
        ),
        ask(shop, "POST", f"/coupon/{shop.org}/coupons", f'{coupon}, "restrictions": {{"validFrom": "{written}"}}}}'),
        ask(shop, "POST", "/reward-points/customer/C1/addPoints", f'{{"points": 5, "createdAt": "{written}"}}'),
        ask(shop, "POST", NORCE, f'{{"StartDate": "{written}"}}'),
        admin(shop, "POST", "/seed", f'{{"norce": {{"promotions": [{{"Created": "{written}"}}]}}}}'),
        admin(
            shop,
            "PUT",
            "/scenario",
            f'{{"given": {{"clock": "{written}"}}, "steps": [{{"operation": "login", "then": {{"cut": "after"}}}}]}}',
        ),
        admin(shop, "PUT", "/clock", f'{{"now": "{written}", "frozen": true}}'),
    ]


def statuses(responses: list[httpx2.Response]) -> list[int]:
    return [response.status_code for response in responses]


@pytest.mark.parametrize("written", INSERTED)
def test_a_second_60_is_a_date_where_there_was_one(shop: OrgClient, written: str) -> None:
    assert statuses(dates(shop, written)) == [201, 201, 201, 200, 200, 200, 200]


@pytest.mark.parametrize("written", NEVER)
def test_a_second_60_is_no_date_anywhere_else(shop: OrgClient, written: str) -> None:
    assert statuses(dates(shop, written)) == [400] * 7


def test_a_leap_second_in_a_query_is_held_to_the_same(shop: OrgClient) -> None:
    def listed(start: str) -> Json:
        path = f"/promotions/org/{shop.org}/sales-vouchers/gift-cards?to=2030-01-01T00:00:00Z&from={start}"
        return ask(shop, "GET", path).status_code

    assert (listed("2016-12-31T23:59:60Z"), listed("2018-12-31T23:59:60Z")) == (200, 400)
