"""Fixtures: one real server for each worker, a fresh org for each test, the command line in this process."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import httpx2
import pytest

from sandbox import cli
from sandbox.app import App
from tests.command import Invoke
from tests.serving import World, running

_numbers = itertools.count()


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
    with httpx2.Client(timeout=10) as client:
        yield client


@pytest.fixture
def world(url: str, http: httpx2.Client) -> World:
    """A fresh org."""
    return World(url, f"org-{next(_numbers)}", http)


@pytest.fixture
def invoke(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Runs the command in this process: exit code, standard output, standard error."""

    def invoked(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["promo-sandbox", *arguments])
        try:
            cli.main()
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
        return (code, *capsys.readouterr())

    return invoked
