"""Parsed specs are cached, and the cache is used only for the same text."""

from __future__ import annotations

import sys
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from promo_sandbox.base import config as configuration
from promo_sandbox.base import yaml_file
from promo_sandbox.openapi import spec_cache

TEXT = "price: 50.10\nbig: 1.5e300\nname: Käse\nmany: [1, null, true, '1', 12345678901234567890]\n"


@pytest.fixture(autouse=True)
def _may_write(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "api.yaml"


def kept(path: Path) -> list[str]:
    folder = path.parent / "__pycache__"
    return [file.name for file in folder.iterdir()] if folder.is_dir() else []


def test_the_second_time_nothing_is_parsed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = spec_cache.parse(path, TEXT, "api")
    monkeypatch.setattr(yaml_file, "parse", None)

    second = spec_cache.parse(path, TEXT, "api")

    assert repr(first) == repr(second) == repr({**first, "price": Decimal("50.10")})
    assert kept(path) == ["api.yaml.json"]


def test_another_text_is_parsed_anew(path: Path) -> None:
    spec_cache.parse(path, TEXT, "api")

    assert spec_cache.parse(path, "a: 1", "api") == {"a": 1}
    assert spec_cache.parse(path, TEXT, "api")["name"] == "Käse"


@pytest.mark.parametrize(
    "spoil", [lambda kept: kept[:-5], lambda _: b"", lambda kept: kept[:32], lambda kept: b"x" + kept]
)
def test_a_broken_cache_is_ignored(path: Path, spoil: Any) -> None:
    spec_cache.parse(path, TEXT, "api")
    file = path.parent / "__pycache__" / "api.yaml.json"
    file.write_bytes(spoil(file.read_bytes()))

    assert spec_cache.parse(path, TEXT, "api")["name"] == "Käse"
    assert spec_cache.parse(path, TEXT, "api")["name"] == "Käse"


def test_where_nothing_can_be_written_it_works_all_the_same(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (path.parent / "__pycache__").write_text("in the way", encoding="utf-8")
    assert spec_cache.parse(path, TEXT, "api")["name"] == "Käse"

    (path.parent / "__pycache__").unlink()
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    assert spec_cache.parse(path, TEXT, "api")["name"] == "Käse"
    assert kept(path) == []


def test_many_at_once_leave_one_whole_file(path: Path) -> None:
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(spec_cache.parse(path, TEXT, "api"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == [spec_cache.parse(path, TEXT, "api")] * 8
    assert kept(path) == ["api.yaml.json"]


def test_every_spec_is_the_same_when_it_was_kept(tmp_path: Path) -> None:
    for spec in configuration.data_folder("specs").glob("*/*.yaml"):
        text = spec.read_text(encoding="utf-8")
        fresh = spec_cache.parse(tmp_path / spec.name, text, spec.name)

        assert repr(spec_cache.parse(tmp_path / spec.name, text, spec.name)) == repr(fresh)
