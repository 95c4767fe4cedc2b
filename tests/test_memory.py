"""The memory limit comes from options, control groups and the limits of the process."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from promo_sandbox.base import memory
from promo_sandbox.base.errors import SandboxError
from promo_sandbox.base.memory import Memory, default_limit, parse_size

MIB = 1_048_576


@pytest.mark.parametrize(
    ("text", "bytes_"),
    [
        ("512MiB", 512 * MIB),
        ("512Mi", 512 * MIB),
        ("512m", 512_000_000),
        ("1 GB", 10**9),
        (" 2GiB ", 2048 * MIB),
        ("100000KiB", 102_400_000),
        ("67108864", 64 * MIB),
    ],
)
def test_a_size_is_read_with_its_unit(text: str, bytes_: int) -> None:
    assert parse_size(text) == bytes_


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is not a size"),
        ("much", "is not a size"),
        ("-1", "is not a size"),
        ("1.5GiB", "is not a size"),
        ("63MiB", "too little"),
    ],
)
def test_another_size_is_a_mistake(text: str, why: str) -> None:
    with pytest.raises(SandboxError, match=why):
        parse_size(text)


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A made-up /proc/self and /sys/fs/cgroup."""
    (tmp_path / "self").mkdir()
    (tmp_path / "cgroup").mkdir()
    monkeypatch.setattr(memory, "_PROCESS", tmp_path / "self")
    monkeypatch.setattr(memory, "_CGROUPS", tmp_path / "cgroup")
    return tmp_path


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="ascii")


def test_the_control_group_of_version_2_and_those_above_it_limit(system: Path) -> None:
    write(system / "self/cgroup", "0::/pods/one\n")
    write(system / "cgroup/pods/one/memory.max", "max\n")
    write(system / "cgroup/pods/memory.max", f"{400 * MIB}\n")

    assert default_limit() == 300 * MIB


def test_the_control_group_of_version_1_limits(system: Path) -> None:
    write(system / "self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/docker/abc\n")
    write(system / "cgroup/memory/memory.limit_in_bytes", f"{200 * MIB}\n")

    assert default_limit() == 150 * MIB


def test_without_a_control_group_it_is_the_machine(system: Path) -> None:
    assert system.exists()
    assert default_limit() > 200 * MIB


def test_there_is_no_limit_without_proc(system: Path) -> None:
    assert system.exists()
    short = Memory(64 * MIB)

    short.check()

    assert not short.full


def taken(system: Path, resident: int, space: int = 0) -> None:
    page = resource.getpagesize()
    write(system / "self/statm", f"{space // page} {resident // page} 0 0 0 0 0")


def test_it_is_full_before_the_limit_and_until_there_is_some_room(system: Path) -> None:
    short = Memory(160 * MIB)
    seen = []

    for resident in (100, 149, 151, 149, 139):
        taken(system, resident * MIB)
        short.check()
        seen.append(short.full)

    assert seen == [False, False, True, True, False]
    assert short.has_room(5 * MIB)
    assert not short.has_room(15 * MIB)


def test_the_reason_is_the_limit_that_there_is_also_where_there_is_some_room_again(system: Path) -> None:
    short = Memory(160 * MIB)

    for resident in (151, 149):
        taken(system, resident * MIB)
        short.check()

    assert short.full
    assert "--max-memory (160 MiB)" in short.reason


def test_the_reason_names_the_address_space_if_it_is_short(system: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (400 * MIB, 400 * MIB))
    monkeypatch.setattr(memory, "_kept_free", lambda: 0)
    short = Memory(160 * MIB)

    taken(system, 100 * MIB, 301 * MIB)
    short.check()

    assert short.full
    assert "its address space (400 MiB)" in short.reason


def test_the_address_space_limits_too(system: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (400 * MIB, 400 * MIB))
    monkeypatch.setattr(memory, "_kept_free", lambda: 0)
    short = Memory()

    taken(system, 0, 299 * MIB)
    short.check()
    before = short.full
    taken(system, 0, 301 * MIB)
    short.check()

    assert (before, short.full) == (False, True)
    assert "its address space (400 MiB)" in short.reason


def test_free_memory_of_the_c_library_counts_as_room(system: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (400 * MIB, 400 * MIB))
    monkeypatch.setattr(memory, "_kept_free", lambda: 100 * MIB)
    taken(system, 0, 350 * MIB)
    short = Memory()

    short.check()

    assert not short.full
