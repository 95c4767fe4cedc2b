"""What the tests of every vendor's rejections share: how a request is staged, and what a rejection is held to.

What is staged for which rejection, and what its body must say, is the vendor's own and stands in its module.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar
from urllib.parse import quote

import httpx2
import pytest

from promo_sandbox.openapi.document import Document
from promo_sandbox.openapi.operation import Operation, Rejection
from tests.serving import Json, OrgClient

Case = tuple[Any, ...]  # an operation, and before it the version or document that it is of, where there are several
Label = Callable[[Any], str]


def declared(operations: Iterable[Case]) -> list[Case]:
    """Each operation with each rejection that it declares."""
    return [(*case, rejection) for case in operations for rejection in case[-1].rejections.values()]


def each_operation(operations: Iterable[Case], *names: str, label: Label = str) -> pytest.MarkDecorator:
    """A test for each operation. names: the arguments before `operation`; label: what they are called."""
    cases = list(operations)
    ids = ["-".join([*map(label, before), operation.id]) for *before, operation in cases]
    return pytest.mark.parametrize((*names, "operation"), cases, ids=ids)


def each_rejection(operations: Iterable[Case], *names: str, label: Label = str) -> pytest.MarkDecorator:
    """A test for each rejection that each operation declares."""
    cases = declared(operations)
    ids = ["-".join([*map(label, before), operation.id, rejection.name]) for *before, operation, rejection in cases]
    return pytest.mark.parametrize((*names, "operation", "rejection"), cases, ids=ids)


class Request(Protocol):
    """A request in the making, as every vendor's `Attempt` is."""

    @property
    def headers(self) -> dict[str, str]: ...
    def send(self) -> httpx2.Response: ...


R = TypeVar("R", bound=Request)


def shows(token: Callable[[R], str], scheme: str = "Bearer ") -> Callable[[R], None]:
    """The request comes with this token."""

    def stage(attempt: R) -> None:
        attempt.headers["Authorization"] = f"{scheme}{token(attempt)}"

    return stage


def shows_nothing(attempt: Request) -> None:
    del attempt.headers["Authorization"]


def stage(attempt: R, name: str, staged: Mapping[str, Callable[[R], None]]) -> None:
    """Have the request rejected by this name. A rejection that is declared tomorrow and staged nowhere fails here."""
    assert name in staged, f"nothing here brings about {name}"
    staged[name](attempt)


def prefer(attempt: Request, name: str) -> None:
    attempt.headers["Prefer"] = f"example={name}"


def filled(template: str, values: Mapping[str, str]) -> str:
    """A path with its parameters."""
    for name, value in values.items():
        template = template.replace(f"{{{name}}}", quote(value, safe=""))
    return template


@contextmanager
def unchanged(org_client: OrgClient) -> Iterator[None]:
    """What happens inside leaves everything stored as it was."""
    before = org_client.state()
    yield
    assert org_client.state() == before


def assert_rejected(
    org_client: OrgClient,
    response: httpx2.Response,
    operation: Operation,
    rejection: Rejection,
    *,
    changes: bool = False,
) -> Json:
    """The newest answer is this rejection, and the journal says so; the body. `changes`: something may have changed."""
    assert response.status_code == rejection.status, response.text
    assert response.headers["content-type"] == rejection.media
    exchange = org_client.last()
    assert (exchange["operation"], exchange["rejection"]) == (operation.id, rejection.name)
    assert (exchange["source"], exchange["internal_error"]) == (rejection.source, None)
    assert changes or exchange["changes"] == []
    assert ("www-authenticate" in response.headers) is (rejection.status == 401)
    return response.json()


def assert_prefers_the_example(org_client: OrgClient, attempt: Request, rejection: Rejection) -> None:
    """`Prefer: example=…` yields the rejection exactly as the spec has it."""
    prefer(attempt, rejection.name)

    with unchanged(org_client):
        response = attempt.send()

    assert (response.status_code, response.json()) == (rejection.status, rejection.value)
    assert response.headers["content-type"] == rejection.media
    assert response.headers["preference-applied"] == f"example={rejection.name}"
    assert ("www-authenticate" in response.headers) is (rejection.status == 401)
    exchange = org_client.last()
    assert (exchange["rejection"], exchange["preference"]) == (rejection.name, f"example={rejection.name}")


def assert_prefers_every_status(org_client: OrgClient, attempt: Request, operation: Operation) -> None:
    """`Prefer: code=…` yields every status that the spec declares."""
    with unchanged(org_client):
        for status, declared in operation.responses.items():
            attempt.headers["Prefer"] = f"code={status}"
            response = attempt.send()
            assert response.status_code == status
            media = next(iter(declared.content), "")
            assert response.headers.get("content-type", "").partition(";")[0] == media
            assert response.headers["preference-applied"] == f"code={status}"
            assert org_client.last()["internal_error"] is None


def assert_succeeded(
    org_client: OrgClient, response: httpx2.Response, operation: Operation, statuses: Collection[int] = ()
) -> None:
    """The newest answer is the operation's success, or has one of these statuses."""
    assert response.status_code in (statuses or {operation.success.status}), response.text
    exchange = org_client.last()
    assert (exchange["operation"], exchange["rejection"], exchange["internal_error"]) == (operation.id, None, None)
    media = next(iter(operation.responses[response.status_code].content), None)
    if media is None:
        assert (response.content, "content-type" in response.headers) == (b"", False)
    else:
        assert response.headers["content-type"].partition(";")[0] == media


def assert_transport(org_client: OrgClient, response: httpx2.Response, document: Document, status: int) -> Json:
    """The newest answer is the document's own outside the lists of its operations; the body."""
    rejection = document.transport_rejections[status]
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == rejection.media
    exchange = org_client.last()
    assert (exchange["rejection"], exchange["internal_error"], exchange["changes"]) == (rejection.name, None, [])
    assert response.json().keys() >= rejection.value.keys()
    return response.json()
