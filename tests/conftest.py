"""Fixtures: one real server for each worker, a fresh org for each test, the command line in this process."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from promo_sandbox.cli import main
from promo_sandbox.server.app import App
from tests import wheels
from tests.command import Invoke
from tests.patience import LONG
from tests.serving import OrgClient, running

pytest_plugins = ["pytester"]
collect_ignore = ["downstream"]  # a project of its own, which tests/test_downstream.py runs
_numbers = itertools.count()

# A shell that runs the suite in the background has all that it starts ignore the interrupts that some tests send.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)  # before `-m` looks at the markers
def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark as slow what is so by the place where it stands: tests under attack and in a browser."""
    place = item.path.relative_to(Path(__file__).parent)
    if place.parts[0] == "limits" or "browser" in place.name:
        item.add_marker(pytest.mark.slow)


@pytest.hookimpl(trylast=True)  # after those that are not to run were taken out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have the tests that take longest begin, so that no worker is left alone with one at the end.

    With `--dist worksteal` each worker begins with an equal part of the list and takes from the end of another's.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    long = [item for item in items if item.get_closest_marker("fuzz")]
    long.sort(key=lambda item: "schemathesis" not in item.path.name)
    others = iter([item for item in items if not item.get_closest_marker("fuzz")])
    ordered: list[pytest.Item] = []
    for worker in range(workers):
        part = (len(items) - len(ordered)) // (workers - worker)
        mine = long[worker::workers]
        ordered += [*mine, *itertools.islice(others, max(0, part - len(mine)))]
    items[:] = [*ordered, *others]


@pytest.fixture(scope="session")
def served() -> Iterator[tuple[App, str]]:
    """The app and the base URL of the worker's server."""
    with running() as app_and_url:
        yield app_and_url


@pytest.fixture(scope="session")
def url(served: tuple[App, str]) -> str:
    return served[1]


@pytest.fixture(scope="session")
def http() -> Iterator[httpx2.Client]:
    with httpx2.Client(timeout=LONG) as client:
        yield client


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder of all workers together."""
    own = tmp_path_factory.getbasetemp()
    return own if worker_id == "master" else own.parent


@pytest.fixture(scope="session")
def wheel(shared: Path) -> Path:
    """Built from this checkout, once for all workers."""
    return wheels.built(shared)


@pytest.fixture(scope="session")
def installed(shared: Path) -> Path:
    """Where the programs are of an environment that has the wheel, and not this checkout."""
    return wheels.installed(shared)


@pytest.fixture
def org_client(url: str, http: httpx2.Client) -> OrgClient:
    """A fresh org."""
    return OrgClient(url, f"org-{next(_numbers)}", http)


@pytest.fixture
def invoke(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Runs the command in this process: exit code, standard output, standard error."""

    def invoked(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["promo-sandbox", *arguments])
        try:
            main.main()
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
        return (code, *capsys.readouterr())

    return invoked
