"""The checkout in front of the vendors of this test."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest
from checkout.app import application
from checkout.vendors import Addresses
from starlette.testclient import TestClient

from promo_sandbox.client import Org


@pytest.fixture
def patience() -> float:
    """Seconds. Enough for a busy machine; a test of a vendor that is too slow has less."""
    return 20.0


@pytest.fixture
def shop(sandbox: Org, patience: float) -> Iterator[TestClient]:
    addresses = Addresses(sandbox.url("enfore"), sandbox.url("emporix"), sandbox.url("norce"))
    app = application(addresses, patience)
    with TestClient(app) as client:
        yield client
    app.state.checkout.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In an order that depends on nothing but a number, the same in all workers."""
    if "SHUFFLE" in os.environ:
        random.Random(os.environ["SHUFFLE"]).shuffle(items)  # noqa: S311 - the order is no secret
