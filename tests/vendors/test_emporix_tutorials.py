"""The requests of Emporix's coupon tutorial, as that page (coupon.md of its API references) has them, in its order."""

from __future__ import annotations

import pytest

from tests.serving import Json, OrgClient
from tests.vendors.emporix_identity_support import as_tenant

CODE = "ENG2OC0"
SHIPPING: Json = {
    "code": CODE,
    "name": "Winter Sale 2022",
    "description": "Free shipping coupon",
    "discountType": "FREE_SHIPPING",
    "discountAbsolute": {"amount": 24.99, "currency": "USD"},
    "allowAnonymous": False,
    "maxRedemptions": -1,
    "maxRedemptionsPerCustomer": 1,
    "categoryRestricted": False,
    "segmentRestricted": False,
    "restrictions": {
        "validFor": [],
        "validFrom": "2022-02-16T09:04:35.446Z",
        "validUntil": "2022-03-31T10:04:35.446Z",
        "minOrderValue": {"amount": 50, "currency": "EUR"},
    },
    "issuedTo": "",
}
FIXED: Json = {
    **SHIPPING,
    "description": "Absolute coupon",
    "discountType": "ABSOLUTE",
    "discountAbsolute": {"amount": 10, "currency": "EUR"},
    "maxRedemptionsPerCustomer": -1,
    "restrictions": {
        "validFor": ["{customerId}"],
        "validFrom": "2021-02-21T09:04:35.446Z",
        "validUntil": "2023-03-31T10:04:35.446Z",
        "minOrderValue": {"amount": 50, "currency": "EUR"},
    },
    "issuedTo": "{customerId}",
}
CATEGORY: Json = {
    **SHIPPING,
    "description": "Percentage category coupon",
    "discountType": "PERCENT",
    "maxRedemptionsPerCustomer": -1,
    "categoryRestricted": True,
    "restrictions": {**SHIPPING["restrictions"], "includedCategories": ["{categoryId}"]},
    "discountPercentage": 10,
}
UPDATE: Json = {
    "name": "Winter Sale 2022",
    "description": "",
    "discountType": "ABSOLUTE",
    "discountPercentage": 7,
    "allowAnonymous": True,
    "maxRedemptionsPerCustomer": -1,
    "categoryRestricted": False,
    "segmentRestricted": False,
    "metadata": {"version": 1, "mixins": {}},
    "maxRedemptions": -1,
    "restrictions": {
        "validFrom": "2022-03-26T07:41:29.878Z",
        "validUntil": "2023-07-31T05:45:25.934Z",
        "minOrderValue": {"amount": 100, "currency": "EUR"},
        "validFor": [],
    },
    "status": "VALID",
    "deleted": False,
    "issuedTo": "",
}
REDEMPTION: Json = {
    "customerNumber": "CustomerId",
    "orderTotal": {"amount": 1090, "currency": "EUR"},
    "discount": {"amount": 5, "currency": "EUR"},
}
SERVICE = {"Authorization": "Bearer any"}


@pytest.fixture
def tenant(org_client: OrgClient) -> OrgClient:
    """At a time at which the tutorial's coupons are valid."""
    as_tenant(org_client).freeze("2022-03-27T12:00:00Z")
    return org_client


@pytest.mark.parametrize("coupon", [SHIPPING, FIXED, CATEGORY], ids=["free shipping", "fixed", "category"])
def test_the_coupons_of_the_tutorial_are_made_and_valid(tenant: OrgClient, coupon: Json) -> None:
    coupons = f"/coupon/{tenant.org}/coupons"

    made = tenant.request("POST", coupons, coupon, headers=SERVICE)
    read = tenant.request("GET", f"{coupons}/{CODE}", headers=SERVICE).json()
    tenant.advance("P2Y")
    later = tenant.request("GET", f"{coupons}/{CODE}", headers=SERVICE).json()

    assert (made.status_code, made.json()) == (201, {"id": CODE})
    assert {member: read[member] for member in coupon} == coupon
    assert (read["status"], later["status"]) == ("VALID", "EXPIRED")


def test_the_update_of_the_tutorial_is_taken_by_a_coupon_of_the_version_it_names(tenant: OrgClient) -> None:
    coupon = f"/coupon/{tenant.org}/coupons/{CODE}"
    tenant.request("POST", f"/coupon/{tenant.org}/coupons", SHIPPING, headers=SERVICE)
    stale = tenant.request("PATCH", coupon, UPDATE, headers=SERVICE)
    tenant.request("PATCH", coupon, {"name": "Winter Sale"}, headers=SERVICE)

    updated = tenant.request("PATCH", coupon, UPDATE, headers=SERVICE)

    read = tenant.request("GET", coupon, headers=SERVICE).json()
    assert (stale.status_code, updated.status_code, updated.content) == (409, 200, b"")
    assert {member: read[member] for member in UPDATE} == {**UPDATE, "metadata": {"version": 2, "mixins": {}}}


def test_the_redemption_of_the_tutorial_is_made_on_behalf_of_its_customer(tenant: OrgClient) -> None:
    coupon = {**SHIPPING, "discountType": "ABSOLUTE", "discountAbsolute": {"amount": 5, "currency": "EUR"}}
    tenant.request("POST", f"/coupon/{tenant.org}/coupons", coupon, headers=SERVICE)
    on_behalf = {"Authorization": f"Bearer sandbox;tenant={tenant.org};scope=coupon.coupon_redeem_on_behalf"}
    redemptions = f"/coupon/{tenant.org}/coupons/{CODE}/redemptions"

    redeemed = tenant.request("POST", redemptions, REDEMPTION, headers=on_behalf)

    assert redeemed.status_code == 201
    [stored] = tenant.request("GET", redemptions, headers=SERVICE).json()
    assert stored == {"id": redeemed.json()["id"], "code": CODE, **REDEMPTION, "redeemedAt": "2022-03-27T12:00:00.000Z"}
