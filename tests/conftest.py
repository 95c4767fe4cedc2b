"""Fixtures: one real server for each worker, a fresh org for each test."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import httpx2
import pytest

from sandbox.app import App
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
