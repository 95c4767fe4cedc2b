"""Norce's specs against a running server, by Schemathesis, with all checks and all phases.

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
ORG = "acme"  # the client is called so too, and without a host it is the client who names the org
SPECS = fuzzing.ROOT / "specs/norce"
EXAMPLES = fuzzing.in_ci(30)
VERSIONS = {str(document.version): document for document in Document.load(SPECS / "promotions.yaml")}


def test_the_identity_server_keeps_its_contract(tmp_path: Path) -> None:
    (identity,) = Document.load(SPECS / "identity.yaml")
    with _serving() as url:
        _furnish(url, ORG, {})
        spec = _written(identity, tmp_path / "norce-identity.json")
        base = f"/~{ORG}{identity.base_path}"  # or every client would have an org of its own
        counts = fuzzing.run(url, base, tmp_path, spec=spec, org=ORG, examples=EXAMPLES)
        assert fuzzing.internal_errors(url) == []
    # No answer is a parameter of another request, so there is nothing to follow.
    fuzzing.validate(counts, examples=EXAMPLES, scenarios=0)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_promotions_keep_their_contract_in_every_form(version: str, tmp_path: Path) -> None:
    with _serving() as url:
        users = {
            "owner": _furnish(url, ORG, {**_seed(), "settings": [{"error_body": version}]}),
            "stranger": _furnish(url, "another", {"settings": [{"error_body": version}]}),
        }
        _furnish(url, "default", {"settings": [{"error_body": version}]})  # where requests without a token go
        spec = _written(VERSIONS[version], tmp_path / "norce-promotions.json")
        base = VERSIONS[version].base_path
        counts = fuzzing.run(url, base, tmp_path, spec=spec, org=ORG, users=users, examples=EXAMPLES)
        assert fuzzing.internal_errors(url) == []
    fuzzing.validate(counts, examples=EXAMPLES)


def test_every_spec_and_every_version_is_tried() -> None:
    assert {path.name for path in SPECS.glob("*.yaml")} == {"identity.yaml", "promotions.yaml"}
    assert VERSIONS.keys() == {"message", "problem"}


def _serving() -> Any:
    return fuzzing.serving("--auth", "strict", "--client", f"{ORG}:geheim")


def _written(document: Document, path: Path) -> str:
    """Schemathesis knows nothing of versions, so each is written out as a document of its own.

    An insert has no other parameters than two headers, and where that is so Schemathesis holds a third one for a
    violation; without them its bodies are still held to be rejected if they are wrong.
    """
    spec = plain(document)
    if "/api/promotion" in spec["paths"]:
        promotions = spec["paths"]["/api/promotion"]
        promotions["get"]["parameters"] = promotions.pop("parameters")
    path.write_bytes(encode(spec))
    return str(path)


def _furnish(url: str, org: str, seed: dict[str, list[Any]]) -> str:
    """Give the org what there is to find; a token for it."""
    with fuzzing.admin_client(url) as admin:
        admin.put(f"/orgs/{org}/clock", json={"now": NOW, "frozen": True}).raise_for_status()
        headers = {"Content-Type": "application/json"}
        admin.post(f"/orgs/{org}/seed", content=encode({"norce": seed}), headers=headers).raise_for_status()
        asked = {"vendor": "norce", "expires_in": 86400}
        token: str = admin.post(f"/orgs/{org}/tokens", json=asked).raise_for_status().json()["access_token"]
        return token


def _seed() -> dict[str, list[Any]]:
    examples = VERSIONS["message"].raw["components"]["examples"]
    promotion = examples["promotion"]["value"]
    return {
        "promotions": [
            {**promotion, "Id": 1},
            {"Id": 2, "Status": "Active", "AllowedUsageCount": 2, "UsageCount": 1},
            {"Id": 3, "Status": "Draft"},
            {"Id": 1, "application": 2},
        ],
        "unique_codes": [{"promotion": 1, **code} for code in examples["codes"]["value"]],
    }
