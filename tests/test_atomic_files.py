"""Files are written atomically; standard output may be full, closed or have another encoding."""

from __future__ import annotations

import os
import resource
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from promo_sandbox.base.atomic_files import check_writable, write_file
from promo_sandbox.base.errors import SandboxError
from tests.serving import OrgClient

FORMER, NEW = b"the former content\n", b"the new content\n" * 4


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "org.json"
    path.write_bytes(FORMER)
    return path


def _alone(path: Path) -> bool:
    """There is nothing else in the folder of a file."""
    return list(path.parent.iterdir()) == [path]


def _with_files_up_to(size: int, act: Callable[[], None]) -> None:
    """Have every file of this process that grows beyond a size meet a full disk's fate."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        act()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_file_gets_its_new_content_and_keeps_its_permissions(file: Path) -> None:
    file.chmod(0o640)

    write_file(file, NEW)

    assert (file.read_bytes(), stat.S_IMODE(file.stat().st_mode)) == (NEW, 0o640)
    assert _alone(file)


def test_a_new_file_has_the_permissions_that_the_umask_leaves(tmp_path: Path) -> None:
    (tmp_path / "other").touch()

    write_file(tmp_path / "new.json", NEW)

    assert (tmp_path / "new.json").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_file_that_cannot_be_written_whole_stays_as_it_was(file: Path) -> None:
    def act() -> None:
        with pytest.raises(SandboxError, match=r"cannot write .*org\.json: File too large"):
            write_file(file, b"x" * 100_000)

    _with_files_up_to(1000, act)

    assert file.read_bytes() == FORMER
    assert _alone(file)


def test_a_symbolic_link_stays_one(file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "links"
    folder.mkdir()
    link = folder / "latest.json"
    link.symlink_to(file)

    write_file(link, NEW)

    assert link.is_symlink()
    assert file.read_bytes() == NEW


def test_a_link_to_a_missing_file_creates_the_file(tmp_path: Path) -> None:
    link = tmp_path / "latest.json"
    link.symlink_to(tmp_path / "org.json")

    check_writable(link)
    write_file(link, NEW)

    assert link.is_symlink()
    assert (tmp_path / "org.json").read_bytes() == NEW


def test_a_file_with_a_long_name_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 255)

    write_file(path, NEW)

    assert path.read_bytes() == NEW


def test_a_pipe_is_written_itself(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    write_file(path, NEW)

    assert os.read(reading, 1000) == NEW
    assert stat.S_ISFIFO(path.stat().st_mode)
    os.close(reading)


@pytest.mark.parametrize("act", [check_writable, lambda path: write_file(path, NEW)])
def test_a_folder_is_no_file(tmp_path: Path, act: Callable[[Path], None]) -> None:
    with pytest.raises(SandboxError, match="Is a directory"):
        act(tmp_path)


@pytest.mark.parametrize("act", [check_writable, lambda path: write_file(path, NEW)])
def test_a_missing_folder_is_reported(tmp_path: Path, act: Callable[[Path], None]) -> None:
    with pytest.raises(SandboxError, match="No such file or directory"):
        act(tmp_path / "none" / "org.json")


def test_to_be_prepared_changes_nothing(file: Path, tmp_path: Path) -> None:
    check_writable(file)
    check_writable(tmp_path / "new.json")

    assert file.read_bytes() == FORMER
    assert _alone(file)


# The commands, in processes of their own


def _command(
    *arguments: str, out: int = subprocess.PIPE, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(  # noqa: S603 - a command of our own
        [sys.executable, "-m", "promo_sandbox", *arguments],
        stdout=out,
        stderr=subprocess.PIPE,
        env={**os.environ, **(environment or {})},
        timeout=60,
        check=False,
    )


def _commands(org_client: OrgClient) -> dict[str, list[str]]:
    return {
        "help": ["--help"],
        "version": ["--version"],
        "help of a command": ["coverage", "--help"],
        "routes": ["routes"],
        "check": ["check"],
        "serve": ["serve", "--port", "0"],
        "listen": ["listen", "--port", "0"],
        "export": ["export", org_client.org, "--url", org_client.url],
        "coverage": ["coverage", "--url", org_client.url],
        "coverage as JSON": ["coverage", "--url", org_client.url, "--format", "json"],
        "health": ["health", "--url", org_client.url],
        "parity": ["parity", org_client.url, "--vendor", "norce", "--header", "Authorization: Bearer any"],
    }


NAMES = list(_commands(OrgClient("", "", None)))  # type: ignore[arg-type]  # nothing is asked


@pytest.mark.parametrize("name", NAMES)
def test_a_full_standard_output_is_one_sentence_and_the_exit_code_2(org_client: OrgClient, name: str) -> None:
    org_client.seed("enfore")
    org_client.request("GET", f"/promotions/org/{org_client.org}/nothing")

    with Path("/dev/full").open("wb") as full:
        ended = _command(*_commands(org_client)[name], out=full.fileno())

    said = ended.stderr.decode()
    assert ended.returncode == 2, said
    assert said == "promo-sandbox: cannot write to standard output: No space left on device\n"


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_to_follow_ends_where_there_is_no_room(org_client: OrgClient, form: list[str]) -> None:
    command = [sys.executable, "-m", "promo_sandbox", "tail", "--url", org_client.url, "--org", org_client.org, *form]
    with Path("/dev/full").open("wb") as full:
        tail = subprocess.Popen(command, stdout=full, stderr=subprocess.PIPE)  # noqa: S603 - a command of our own

        while tail.poll() is None:
            org_client.request("GET", f"/promotions/org/{org_client.org}/nothing")

    _, said = tail.communicate()
    assert (tail.returncode, said) == (2, b"promo-sandbox: cannot write to standard output: No space left on device\n")


@pytest.mark.parametrize("name", ["routes", "export", "coverage", "check"])
def test_a_closed_pipe_is_no_news(org_client: OrgClient, name: str) -> None:
    org_client.seed("enfore")
    reading, writing = os.pipe()
    os.close(reading)

    ended = _command(*_commands(org_client)[name], out=writing)
    os.close(writing)

    assert ended.stderr == b""


@pytest.mark.parametrize("form", ["text", "json"])
def test_output_works_in_every_locale(org_client: OrgClient, form: str) -> None:
    org_client.org = f"{org_client.org}-Käse"
    org_client.seed("enfore")
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}

    ended = _command("coverage", "--url", org_client.url, "--org", org_client.org, "--format", form, environment=plain)
    unknown = _command("export", "Käse-none", "--url", org_client.url, environment=plain)

    assert ended.returncode == 0, ended.stderr
    assert "Käse" in ended.stdout.decode()
    assert unknown.returncode == 2
    assert unknown.stderr.startswith(b"promo-sandbox: ")


def test_an_export_that_fails_leaves_the_former_file(org_client: OrgClient, file: Path) -> None:
    org_client.seed("enfore")

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20, 20))

    ended = subprocess.run(  # noqa: S603 - a command of our own
        [sys.executable, "-m", "promo_sandbox", "export", org_client.org, "--url", org_client.url, "--out", str(file)],
        stderr=subprocess.PIPE,
        preexec_fn=limit,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 2
    assert b"cannot write" in ended.stderr
    assert file.read_bytes() == FORMER
