"""Statuses that Emporix's pages do not list for an operation: each that is answered here has its reason in the spec."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from promo_sandbox.base import config

# What the pages (2026, of reward points also that of 2021) do not list and the specs have.
UNLISTED = {
    "identity": {
        "anonymousLogin": ["400"],
        "anonymousRefresh": ["400", "401"],
        "logIn": ["403"],
        "refreshAuthToken": ["403"],
        "validateAuthToken": ["400", "403"],
        "getMe": ["404"],
        "logOut": ["403"],
    },
    "coupon": {"getCoupon": ["403"], "getReferralCoupon": ["403"], "createReferralCoupon": ["403"]},
    "reward-points": {
        "getCustomerPoints": ["401", "404"],
        "redeemPoints": ["404"],
        "getMyPoints": ["404"],
        "getMySummary": ["404"],
        "redeemMyPoints": ["401"],
        "listRedeemOptions": ["400"],
        "updateRedeemOption": ["404"],
        "deleteRedeemOption": ["400", "404"],
    },
}


@pytest.mark.parametrize(
    ("spec", "operation", "status"),
    [
        (spec, operation, status)
        for spec, operations in UNLISTED.items()
        for operation, statuses in operations.items()
        for status in statuses
    ],
)
def test_a_status_that_the_page_does_not_list_has_its_reason(spec: str, operation: str, status: str) -> None:
    raw = yaml.safe_load((config.data_folder("specs") / "emporix" / f"{spec}.yaml").read_text(encoding="utf-8"))
    (found,) = (
        described
        for item in raw["paths"].values()
        for described in item.values()
        if isinstance(described, dict) and described.get("operationId") == operation
    )
    response: dict[str, Any] = found["responses"][status]
    if "$ref" in response:
        response = raw["components"]["responses"][response["$ref"].rpartition("/")[2]]

    assert response["x-source"].startswith(("inferred: ", "documented: "))
