"""A real server whose only vendor is the made-up one, for the tests of each module."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from promo_sandbox.openapi.document import Document
from tests.acme import new_app, write_specs
from tests.serving import OrgClient, running

_numbers = itertools.count()
AssertRejected = Callable[[httpx2.Response, str], Any]
NOTHING_WRONG = {
    "unmatched": 0,
    "internal_errors": 0,
    "unmet": 0,
    "unexpected": 0,
    "armed": 0,
}  # what is shown of an org


@pytest.fixture(scope="module")
def specs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_specs(tmp_path_factory.mktemp("admin") / "specs")


@pytest.fixture(scope="module")
def url(specs: Path) -> Iterator[str]:
    with running(app=new_app(specs)) as (_, base):
        yield base


@pytest.fixture
def org_client(url: str, http: httpx2.Client) -> OrgClient:
    """A fresh org of the server above."""
    return OrgClient(url, f"part-{next(_numbers)}", http)


@pytest.fixture(scope="module")
def examples(specs: Path) -> dict[str, Any]:
    """The admin API's rejections by name, as its spec words them."""
    document = Document(specs / "sandbox" / "admin.yaml")
    rejections = [rejection for operation in document.operations for rejection in operation.rejections.values()]
    return {rejection.name: rejection.value for rejection in (*rejections, *document.transport_rejections.values())}


@pytest.fixture
def is_rejected(examples: dict[str, Any]) -> AssertRejected:
    """Asserts that a response is the named rejection, and gives its body."""

    def check(response: httpx2.Response, name: str) -> Any:
        assert response.headers["content-type"] == "application/problem+json"
        body = response.json()
        expected = examples[name]
        assert {key: body[key] for key in ("type", "title", "status")} == {
            key: expected[key] for key in ("type", "title", "status")
        }
        assert response.status_code == expected["status"]
        return body

    return check
