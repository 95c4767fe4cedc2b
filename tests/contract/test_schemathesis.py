"""Every spec against a running server, by Schemathesis, with all checks and all phases.

The `.toml` files beside this one say what it must know, and why.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from promo_sandbox.base.messages import encode
from promo_sandbox.openapi.document import Document
from tests.contract import fuzzing

pytestmark = pytest.mark.fuzz

NOW = "2026-01-20T12:00:00Z"  # a time that fits the examples of enfore's spec
ADMIN_EXAMPLES = fuzzing.in_ci(60)
PROMOTIONS = Document(fuzzing.ROOT / "specs/enfore/promotions.yaml")
ORG: str = PROMOTIONS.raw["components"]["parameters"]["OrgId"]["example"]

SCENARIO = {"steps": [{"operation": "getGiftCard", "times": 2, "then": {"delay": "1ms"}}], "otherwise": "fail"}

PARTS = {
    "gift-cards": ("Sales Vouchers: Gift Cards",),
    "vouchers": ("Sales Vouchers: Product Vouchers", "Sales Vouchers: Category Vouchers"),
    "loyalty-programs": ("Loyalty Programs: External",),
    "coupon-promotions": ("Promotions: External Coupon Promotions",),
    # Apart, because a subscription can be deleted under either path and then has gone from the other one too.
    "former-paths": tuple(tag["name"] for tag in PROMOTIONS.raw["tags"] if tag["name"].startswith("Deprecated")),
}


def test_the_parts_are_the_whole() -> None:
    assert sorted(tag for tags in PARTS.values() for tag in tags) == sorted(
        tag["name"] for tag in PROMOTIONS.raw["tags"]
    )


@pytest.mark.parametrize("part", PARTS)
def test_the_promotions_api_keeps_its_contract(part: str, tmp_path: Path) -> None:
    with fuzzing.serving("--auth", "strict") as url:
        users = {"owner": _furnish(url, ORG), "stranger": _furnish(url, "another")}
        counts = fuzzing.run(
            url,
            "/promotions",
            tmp_path,
            spec="enfore/promotions.yaml",
            org=ORG,
            users=users,
            tags=PARTS[part],
        )
        assert fuzzing.internal_errors(url) == []
    fuzzing.validate(counts)


def test_the_auth_api_keeps_its_contract(tmp_path: Path) -> None:
    with fuzzing.serving("--auth", "strict", "--client", "laden-martin:geheim") as url:
        _furnish(url, ORG)
        counts = fuzzing.run(
            url, "/auth", tmp_path, spec="enfore/auth.yaml", org=ORG, credentials=("--auth", "laden-martin:geheim")
        )
        assert fuzzing.internal_errors(url) == []
    fuzzing.validate(counts, scenarios=0)  # no answer is a parameter of another request, so there is nothing to follow


def test_the_admin_api_keeps_its_contract(tmp_path: Path) -> None:
    with fuzzing.serving("--admin-token", "geheim") as url:
        _furnish(url, "acme", "geheim")
        with fuzzing.admin_client(url, "geheim") as admin:
            for path in ("gift-cards/none", "gift-cards?limit=0", "nothing"):
                admin.get(f"{url}/promotions/org/acme/sales-vouchers/{path}")
            admin.post("/orgs/cleared/reset").raise_for_status()
            for number in range(3):
                admin.put(f"/orgs/scripted-{number}/scenario", json=SCENARIO).raise_for_status()
            state = admin.get("/orgs/acme/state").json()
            state["documents"]["enfore"] = {name: docs[:1] for name, docs in state["documents"]["enfore"].items()}
            admin.put("/orgs/acme/snapshots/before").raise_for_status()
            exported = admin.get("/orgs/acme/export").json()
            exported["org"]["documents"] = state["documents"]
        counts = fuzzing.run(
            url,
            "/__admin",
            tmp_path,
            spec="sandbox/admin.yaml",
            org="acme",
            credentials=("--header", "Authorization: Bearer geheim"),
            admin_token="geheim",
            bodies={
                "seedOrg": [{"enfore": {name: docs[:1]}} for name, docs in _seed("acme").items()],
                "putState": [state],
                "importOrg": [exported],
                "putScenario": [SCENARIO, {"name": "enfore/lost-reply"}],
                "issueToken": [{"vendor": "enfore"}],
            },
            examples=ADMIN_EXAMPLES,
        )
        assert fuzzing.internal_errors(url, "geheim") == []
    fuzzing.validate(counts, examples=ADMIN_EXAMPLES)


def _furnish(url: str, org: str, admin_token: str = fuzzing.ANY) -> str:
    """Give the org something of everything; a token for it."""
    with fuzzing.admin_client(url, admin_token) as admin:
        seed = encode({"enfore": _seed(org)})
        admin.put(f"/orgs/{org}/clock", json={"now": NOW, "frozen": True}).raise_for_status()
        admin.post(f"/orgs/{org}/seed", content=seed, headers={"Content-Type": "application/json"}).raise_for_status()
        answer = admin.post(f"/orgs/{org}/tokens", json={"vendor": "enfore", "expires_in": 86400}).raise_for_status()
        token: str = answer.json()["access_token"]
        return token


def _seed(org: str) -> dict[str, list[Any]]:
    example = {name: entry["value"] for name, entry in PROMOTIONS.raw["components"]["examples"].items()}
    card, internal = example["gift-card-external"], example["gift-card-internal"]

    def other(of: dict[str, Any], id: str, **members: Any) -> dict[str, Any]:
        return {**of, "id": id, **members}

    def other_card(id: str, **members: Any) -> dict[str, Any]:
        return other(card, id, number=id, external_number=id, **members)

    def drafts(of: dict[str, Any]) -> list[Any]:
        return [of, *(other(of, f"draft-{number}") for number in range(10))]

    def promotions(of: dict[str, Any]) -> list[Any]:
        standing = [(f"{status}-{number}", status.upper()) for status in ("scheduled", "active") for number in range(3)]
        return [of, *(other(of, id, status=status) for id, status in (*standing, ("archived", "ARCHIVED")))]

    much = {"unit": "EUR", "value": 9_000_000_000_000}
    return {
        "gift_cards": [
            card,
            internal,
            other_card("inexhaustible", status="ISSUED", current_balance=much, initial_balance=much),
            other_card("canceled", status="CANCELED"),
            other_card("deactivated", status="DEACTIVATED"),
        ],
        "gift_card_redemptions": [
            {**example["redemption-external"], "gift_card_id": card["id"]},
            {**example["redemption-internal"], "gift_card_id": internal["id"]},
        ],
        "product_vouchers": [example["product-voucher"]],
        "category_vouchers": [example["category-voucher"]],
        "loyalty_program_drafts": drafts(example["loyalty-program-draft"]),
        "loyalty_programs": promotions(example["loyalty-program"]),
        "coupon_promotion_drafts": drafts(example["coupon-promotion-draft"]),
        "coupon_promotions": promotions(example["coupon-promotion"]),
        "subscriptions": [
            {
                "id": f"{event}-{number}",
                "callback_url": f"https://hooks.laden-martin.example/{number}",
                "org_id": org,
                "event": event,
            }
            for event in ("gift-card-changed", "product-voucher-changed", "category-voucher-changed")
            for number in range(3)
        ],
        "problems": [
            {**problem, "list": name, "date_and_time": NOW}
            for name in ("gift_cards", "product_vouchers", "category_vouchers", "loyalty_programs", "coupon_promotions")
            for problem in example["gift-cards-with-a-problem"]["problems"]
        ],
    }
