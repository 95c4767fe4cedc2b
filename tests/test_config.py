"""The folders of specs, and the structure of a seed file."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from promo_sandbox.base import config
from promo_sandbox.base.config import Config, data_folder, read_seeds
from promo_sandbox.base.errors import DocumentError, SandboxError


def test_specs_lie_beside_the_package_in_a_checkout() -> None:
    assert data_folder("specs") == Path(config.__file__).parents[3] / "specs"


def test_files_inside_the_package_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("specs", "promo_sandbox/_files/specs"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.setattr(config, "_PACKAGE", tmp_path / "promo_sandbox")
    monkeypatch.setattr(config, "_CHECKOUT", tmp_path)

    assert data_folder("specs") == tmp_path / "promo_sandbox" / "_files" / "specs"
    with pytest.raises(SandboxError, match=r"^the folder scenarios is missing from this installation; "):
        data_folder("scenarios")


@pytest.mark.parametrize(
    "text", ["shop: {acme: {things: [{value: 50.00}]}}", '{"shop": {"acme": {"things": [{"value": 50.00}]}}}']
)
def test_seeds_are_yaml_or_json_with_exact_numbers(tmp_path: Path, text: str) -> None:
    (tmp_path / "seed").write_text(text, encoding="utf-8")

    seeds = read_seeds(tmp_path / "seed")

    assert seeds == {"shop": {"acme": {"things": [{"value": Decimal("50.00")}]}}}
    assert str(seeds["shop"]["acme"]["things"][0]["value"]) == "50.00"


@pytest.mark.parametrize("text", ["", "[]", "shop", "shop: []", "a: {}\nb: x"])
def test_seeds_have_a_form(tmp_path: Path, text: str) -> None:
    (tmp_path / "seed").write_text(text, encoding="utf-8")

    with pytest.raises(DocumentError, match=r"must be \{org: \{vendor:"):
        read_seeds(tmp_path / "seed")


def test_a_server_without_settings_is_lenient_and_open() -> None:
    settings = Config()

    assert (settings.strict, settings.clients, settings.seeds, settings.admin_token) == (False, {}, {}, None)
