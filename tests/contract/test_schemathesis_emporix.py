"""Emporix's specs against a running server, by Schemathesis, with all checks and all phases.

The `.toml` files beside this one say what it must know, and why.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from promo_sandbox.base.messages import encode
from promo_sandbox.conformance.verify.plain_spec import plain
from promo_sandbox.openapi.document import Document
from tests.contract import fuzzing

pytestmark = pytest.mark.fuzz

NOW = "2030-01-20T12:00:00Z"
TENANT = "acme"
SPECS = fuzzing.ROOT / "specs/emporix"
EXAMPLES = fuzzing.in_ci(60)
VERSIONS = {str(document.version): document for document in Document.load(SPECS / "reward-points.yaml")}
CUSTOMER = {"customer": "ada"}  # whose token has every scope


def test_the_identity_keeps_its_contract(tmp_path: Path) -> None:
    _keeps_its_contract("", "emporix/identity.yaml", tmp_path, CUSTOMER)


def test_the_coupon_api_keeps_its_contract(tmp_path: Path) -> None:
    _keeps_its_contract("/coupon", "emporix/coupon.yaml", tmp_path, {})


@pytest.mark.parametrize("version", VERSIONS)
def test_the_reward_points_api_keeps_its_contract_in_every_version(version: str, tmp_path: Path) -> None:
    """Schemathesis knows nothing of versions, so each is written out as a document of its own."""
    spec = tmp_path / "reward-points.json"
    spec.write_bytes(encode(plain(VERSIONS[version])))
    in_force = ("--setting", f"emporix.reward_points_version={version}")
    _keeps_its_contract("/reward-points", str(spec), tmp_path, CUSTOMER, *in_force)


def test_every_spec_and_every_version_is_tried() -> None:
    tried = {"identity.yaml", "coupon.yaml", "reward-points.yaml"}

    assert {path.name for path in SPECS.glob("*.yaml")} == tried
    assert VERSIONS.keys() == {"2021", "current"}


def _keeps_its_contract(base: str, spec: str, folder: Path, owner: dict[str, str], *options: str) -> None:
    with fuzzing.serving("--auth", "strict", "--client", "backoffice:geheim", *options) as url:
        seed = _seed()
        users = {"owner": _furnish(url, TENANT, seed, **owner), "stranger": _furnish(url, "another", seed, **owner)}
        counts = fuzzing.run(url, base, folder, spec=spec, org=TENANT, users=users, examples=EXAMPLES)
        assert fuzzing.internal_errors(url) == []
    fuzzing.validate(counts, examples=EXAMPLES)


def _furnish(url: str, org: str, seed: dict[str, Any], **terms: str) -> str:
    """Give the tenant something of everything; a token for it."""
    with fuzzing.admin_client(url) as admin:
        admin.put(f"/orgs/{org}/clock", json={"now": NOW, "frozen": True}).raise_for_status()
        headers = {"Content-Type": "application/json"}
        admin.post(f"/orgs/{org}/seed", content=encode({"emporix": seed}), headers=headers).raise_for_status()
        asked = {"vendor": "emporix", "tenant": org, "expires_in": 86400, **terms}
        token: str = admin.post(f"/orgs/{org}/tokens", json=asked).raise_for_status().json()["access_token"]
        return token


def _seed() -> dict[str, list[Any]]:
    def coupon(code: str, **members: Any) -> dict[str, Any]:
        five = {"discountType": "ABSOLUTE", "discountAbsolute": {"amount": 5, "currency": "EUR"}}
        return {"code": code, "name": code.title(), **five, **members}

    def redemption(id: str, code: str, total: float, discount: float) -> dict[str, Any]:
        amounts = {
            "orderTotal": {"amount": total, "currency": "EUR"},
            "discount": {"amount": discount, "currency": "EUR"},
        }
        return {"id": id, "code": code, "customerNumber": "ada", "redeemedAt": NOW, **amounts}

    def option(id: str, points: int, template: dict[str, Any] | None = None) -> dict[str, Any]:
        coupon = {"coupon": {"name": id, **template}} if template else {}
        return {"id": id, "type": "coupon", "name": id, "description": id, "points": points, **coupon}

    euros = {"discountType": "ABSOLUTE", "discountAbsolute": {"amount": 10, "currency": "EUR"}}
    percent = {"discountType": "PERCENT", "discountPercentage": 5}
    return {
        "customers": [{"id": "ada", "email": "ada@example.com", "password": "geheim-genug"}],
        "coupons": [
            coupon("PLENTY", allowAnonymous=True),
            coupon("TEN-PERCENT", discountType="PERCENT", discountPercentage=10, allowAnonymous=True),
            coupon("ONCE", allowAnonymous=True, maxRedemptions=1),
            coupon("EXPIRED", restrictions={"validUntil": "2029-12-31T00:00:00Z"}),
            coupon("LATER", restrictions={"validFrom": "2030-12-31T00:00:00Z"}),
            coupon("FOR-ADA", restrictions={"validFor": ["ada"]}),
            coupon("MEMBERS", segmentRestricted=True, restrictions={"segments": ["members"]}),
            coupon("FREE", discountType="FREE_SHIPPING", allowAnonymous=True),
            coupon("GONE", deleted=True),
            coupon("KEPT", allowAnonymous=True),  # whose code `coupon.toml` gives only to what asks for its redemptions
        ],
        "coupon_redemptions": [
            redemption("6429b8fdf8fd8e0001df1617", "TEN-PERCENT", 299.3, 29.93),
            redemption("642aa7f5f8fd8e0001df161b", "PLENTY", 369.07, 5),
            *(redemption(f"642aa7f5f8fd8e0001df170{number}", "KEPT", 100, 5) for number in range(5)),
        ],
        "segments": [{"id": "members", "customers": ["ada"]}],
        "reward_points": [
            {"customerId": "ada", "activePoints": 2_000_000_000},
            {
                "customerId": "ben",
                "activePoints": 0,
                "summary": {
                    "addedPointsList": [{"points": 209, "usedPoints": 9}],
                    "redeemedPointsList": [{"points": 9}],
                },
            },
        ],
        "redeem_options": [
            option("ten-euros", 100, euros),
            option("five-percent", 1, percent),
            option("too-dear", 2_000_000_000, percent),
            option("no-coupon", 2),
            *(option(f"passing-{number}", 1, percent) for number in range(3)),
        ],
    }
