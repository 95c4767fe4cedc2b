"""The replies over ASGI are the same as over a socket; and the parts that `App` combines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
from starlette.testclient import TestClient

from promo_sandbox.base.config import Config
from promo_sandbox.base.errors import SandboxError
from promo_sandbox.base.messages import Reply, Request
from promo_sandbox.base.slices import Work
from promo_sandbox.model.contract import Contract
from promo_sandbox.openapi.document import Document
from promo_sandbox.server.app import App, load_contracts
from tests.acme import FOLDER, SPEC, new_app, new_rules, write_specs
from tests.patience import LONG
from tests.serving import running

MAX_BODY = 10_000
CONNECTION = ("date", "connection", "transfer-encoding")  # not sent by an ASGI application
MOMENT = {"now": "2030-01-01T00:00:00Z", "frozen": True}
BEARER = {"Authorization": "Bearer any"}
THING = {"name": "Lamp", "price": {"unit": "EUR", "value": 7}}

# A conversation: each reply depends on the requests before.
CONVERSATION: list[tuple[str, str, dict[str, Any]]] = [
    ("PUT", "/__admin/orgs/shop/clock", {"json": MOMENT}),
    ("POST", "/acme/shop/things", {"json": THING, "headers": BEARER}),
    ("POST", "/acme/shop/things", {"content": b'{"name":"x","price":{"unit":"EUR","value":50.00}}', "headers": BEARER}),
    ("POST", "/acme/shop/things", {"json": {}, "headers": BEARER}),
    ("POST", "/acme/shop/things", {"json": THING}),
    ("POST", "/acme/shop/things", {"content": b"{" * 500, "headers": BEARER}),
    ("POST", "/acme/shop/things", {"content": b"x" * (MAX_BODY + 1), "headers": BEARER}),
    ("POST", "/acme/shop/things", {"content": b"x", "headers": {**BEARER, "Content-Type": "text/plain"}}),
    ("GET", "/acme/shop/things?limit=1&tag=a%20b", {"headers": BEARER}),
    ("GET", "/acme/shop/things?limit=0", {"headers": BEARER}),
    ("GET", "/~shop/acme/other/things/a%2Fb", {"headers": BEARER}),
    ("GET", "/acme/shop/things/caf%C3%A9", {"headers": BEARER}),
    ("DELETE", "/acme/shop/things/9ffd041d-9eb6-4a48-bc1c-737f7ebde982", {"headers": BEARER}),
    ("DELETE", "/acme/shop/things", {"headers": BEARER}),
    ("PATCH", "/acme/shop/nothing", {}),
    ("GET", "/", {}),
    ("GET", "/acme/greeting", {"headers": {"Acme-Shop": "a"}}),
    ("POST", "/acme/shop/failures/raise", {"headers": BEARER}),
    ("PUT", "/acme/shop/notes/n", {"json": {"text": "x"}, "headers": BEARER}),
    ("PUT", "/acme/shop/notes/n", {"json": {"text": ""}, "headers": BEARER}),
    ("POST", "/acme/session", {"data": {"client": "app", "secret": "s", "shop": "shop"}}),
    ("GET", "/acme/greeting?shop=shop", {"headers": {"Origin": "https://shop.example"}}),
    (
        "OPTIONS",
        "/acme/shop/things",
        {"headers": {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}},
    ),
    ("POST", "/__admin/orgs/shop/next", {"json": {"operation": "addThing", "then": {"reject": "code-taken"}}}),
    ("POST", "/acme/shop/things", {"json": THING, "headers": BEARER}),
    ("POST", "/acme/shop/things", {"json": THING, "headers": {**BEARER, "Prefer": "code=409"}}),
    ("GET", "/__admin/orgs/shop/state", {}),
    ("GET", "/__admin/nothing", {}),
    ("HEAD", "/acme/shop/things?limit=1", {"headers": BEARER}),
    ("HEAD", "/acme/shop/things?limit=0", {"headers": BEARER}),
    ("HEAD", "/acme/session", {}),
    ("HEAD", "/__admin/health", {}),
    ("HEAD", "/__admin/requests/stream", {}),
]


@pytest.fixture(scope="module")
def specs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_specs(tmp_path_factory.mktemp("app") / "specs")


@pytest.fixture
def app(specs: Path) -> App:
    return new_app(specs, max_body=MAX_BODY)


def heard(response: httpx2.Response) -> tuple[int, dict[str, str], bytes]:
    """A reply without the headers of the connection."""
    ours = {name: value for name, value in response.headers.items() if name not in CONNECTION}
    return response.status_code, ours, response.content


@pytest.fixture(scope="module")
def over_a_socket(specs: Path) -> list[tuple[int, dict[str, str], bytes]]:
    with (
        running(app=new_app(specs, max_body=MAX_BODY)) as (_, url),
        httpx2.Client(base_url=url, timeout=LONG) as client,
    ):
        return [heard(client.request(method, target, **sent)) for method, target, sent in CONVERSATION]


def test_the_conversation_has_every_kind_of_answer(over_a_socket: list[tuple[int, dict[str, str], bytes]]) -> None:
    assert {status for status, _, _ in over_a_socket} == {200, 201, 204, 400, 401, 404, 405, 409, 413, 415, 500}


def test_starlette_s_client_gets_the_same_replies_as_a_socket(
    app: App, over_a_socket: list[tuple[int, dict[str, str], bytes]]
) -> None:
    with TestClient(app) as client:
        replies = [heard(client.request(method, target, **sent)) for method, target, sent in CONVERSATION]

    assert replies == over_a_socket


def test_an_asgi_transport_gets_the_same_replies_as_a_socket(
    app: App, over_a_socket: list[tuple[int, dict[str, str], bytes]]
) -> None:
    async def converse() -> list[tuple[int, dict[str, str], bytes]]:
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://sandbox.test") as client:
            return [heard(await client.request(method, target, **sent)) for method, target, sent in CONVERSATION]

    assert asyncio.run(converse()) == over_a_socket


async def _exchange(app: App, scope: dict[str, Any], incoming: list[dict[str, Any]]) -> list[Any]:
    """The messages that the app sends after these."""
    waiting, sent = iter(incoming), []

    async def receive() -> dict[str, Any]:
        return next(waiting)

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


def test_an_asgi_client_gets_pieces_and_late_replies(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"

    reply = Reply(200, "", "text/plain")
    reply.stream, reply.delay = pieces(), 0.001
    monkeypatch.setattr(app, "_pipeline", SimpleNamespace(handle=lambda _: reply))

    response = TestClient(app).get("/anything")

    assert response.text == "onetwo"
    assert "content-length" not in response.headers


def test_an_asgi_client_gets_replies_with_long_work(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    reply = Reply(202)

    def work() -> Work[Reply]:
        yield
        return Reply(200, "worked out", "text/plain")

    reply.work = work()
    monkeypatch.setattr(app, "_pipeline", SimpleNamespace(handle=lambda _: reply))

    response = TestClient(app).get("/anything")

    assert (response.status_code, response.text) == (200, "worked out")


def scope(method: str, path: str) -> dict[str, Any]:
    return {
        "type": "http",
        "method": method,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"authorization", b"Bearer any")],
    }


@pytest.mark.parametrize(
    ("method", "status", "content", "cut", "sent"),
    [
        ("GET", 200, "whole", "unsent", []),
        ("GET", 200, "whole", "midway", [b"wh"]),
        ("GET", 200, "x", "midway", [b""]),
        ("GET", 200, "", "midway", []),
        ("GET", 204, "", "midway", []),
        ("HEAD", 200, "whole", "midway", []),
    ],
)
def test_an_asgi_server_gets_an_error_to_drop_the_connection(
    app: App, monkeypatch: pytest.MonkeyPatch, method: str, status: int, content: str, cut: str, sent: list[bytes]
) -> None:
    reply = Reply(status, content, "text/plain")
    reply.cut = cut
    monkeypatch.setattr(app, "_pipeline", SimpleNamespace(handle=lambda _: reply))
    messages: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        messages.append(message)

    with pytest.raises(ConnectionAbortedError):
        asyncio.run(app(scope(method, "/anything"), receive, send))

    # Without a body, a head alone would be the whole reply.
    assert [message["body"] for message in messages[1:]] == sent
    assert all(message["more_body"] for message in messages[1:])


def test_the_names_of_headers_are_lower_case(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    reply = Reply(200, "x", "text/plain", (("WWW-Authenticate", "Bearer"), ("X-Mixed", "Mixed")))
    monkeypatch.setattr(app, "_pipeline", SimpleNamespace(handle=lambda _: reply))

    start, _ = asyncio.run(_exchange(app, scope("GET", "/anything"), [{"type": "http.request"}]))

    assert start["headers"][2:] == [(b"www-authenticate", b"Bearer"), (b"x-mixed", b"Mixed")]


def test_lifespan_is_acknowledged(app: App) -> None:
    sent = asyncio.run(
        _exchange(app, {"type": "lifespan"}, [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
    )

    assert sent == [{"type": "lifespan.startup.complete"}, {"type": "lifespan.shutdown.complete"}]


@pytest.mark.parametrize(
    ("pieces", "status"),
    [
        ([b'{"na', b'me":"L', b'amp"}'], 201),
        ([b"", b'{"name":"Lamp"}', b""], 201),
        ([b"x" * MAX_BODY, b"x", b'{"name":"Lamp"}'], 413),
    ],
)
def test_a_body_may_come_in_pieces(app: App, pieces: list[bytes], status: int) -> None:
    scope = {
        "type": "http",
        "method": "POST",
        "raw_path": b"/acme/shop/things",
        "query_string": b"x=1",
        "headers": [(b"authorization", b"Bearer any")],
    }
    last = len(pieces) - 1
    incoming = [{"type": "http.request", "body": piece, "more_body": at < last} for at, piece in enumerate(pieces)]

    start, body = asyncio.run(_exchange(app, scope, incoming))

    assert start["status"] == status
    assert dict(start["headers"])[b"content-length"] == str(len(body["body"])).encode()


def test_other_kinds_of_connections_are_left_alone(app: App) -> None:
    assert asyncio.run(_exchange(app, {"type": "websocket"}, [])) == []


def test_discarded_objects_are_freed_without_a_server_too(app: App) -> None:
    with TestClient(app) as client:
        client.post("/__admin/orgs/shop/seed", json={"acme": {"things": [THING] * 1200}})
        state = app.orgs.get("shop").state
        client.delete("/__admin/orgs/shop")

    assert state.count == 0


def test_bodies_of_the_admin_api_may_be_larger(app: App) -> None:
    assert app.max_body("/acme/shop/things") == MAX_BODY
    assert app.max_body("/__admin/orgs/shop/seed") == 64 * 1024 * 1024


def test_handling_a_request_is_one_call(app: App) -> None:
    assert app.handle(Request("GET", "/acme/greeting", [])).status == 200
    assert app.handle(Request("GET", "/__admin/health", [])).status == 200


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "acme").mkdir()
    return tmp_path


def test_a_vendor_s_specs_need_rules(folder: Path) -> None:
    with pytest.raises(SandboxError, match=r"^acme has specs but no rules in promo_sandbox/vendors/acme$"):
        load_contracts(folder)


def test_a_vendor_is_a_folder_of_specs_and_one_of_rules(specs: Path) -> None:
    app = new_app(specs)

    assert [contract.vendor for contract in app.contracts] == ["acme"]
    assert {document.path for document in app.contracts[0].documents} == {
        specs / "acme" / path.name for path in FOLDER.glob("*.yaml")
    }


def test_every_version_of_a_spec_is_loaded(specs: Path) -> None:
    app = new_app(specs)

    assert [document.label for document in app.contracts[0].documents] == [
        "acme/things.yaml (7)",
        "acme/things.yaml (8)",
    ]


def test_an_operation_that_two_vendors_have_stops_the_start(specs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load, rules = load_contracts, new_rules()
    rules.vendor = "other"

    def twice(folder: Path) -> list[Contract]:
        return [*load(folder), Contract([Document(SPEC)], rules)]

    monkeypatch.setattr("promo_sandbox.server.app.load_contracts", twice)

    with pytest.raises(SandboxError, match=r"^acme/things.yaml: acme already has an operation greet$"):
        new_app(specs)


def test_a_failure_before_any_operation_is_answered_too(app: App) -> None:
    app.contracts[0].select_version = lambda *_: 1 // 0  # type: ignore[assignment,method-assign]  # it has to fail

    reply = app.handle(Request("POST", "/acme/shop/things", [(b"authorization", b"Bearer any")], b'{"name":"Lamp"}'))

    assert reply.status == 500


def test_the_settings_of_a_server_have_the_vendor_s_own_shape() -> None:
    app = App(
        Config(
            settings=(
                ("emporix.currency", "EUR"),
                ("emporix.couponSettings.referral.value", "2.50"),
                ("emporix.couponSettings.referral.redemptionCodeValue", "5"),
                ("emporix.couponSettings.sendReferralCoupon", "true"),
                ("emporix.couponSettings.length", "3"),
                ("emporix.couponSettings.codePrefix", "XYZ"),
            )
        )
    )

    headers = [(b"authorization", b"Bearer any")]
    coupon = app.handle(Request("POST", "/coupon/acme/referral-coupons/C1", headers)).content
    headers.append((b"content-type", b"application/json"))
    body = b'{"name": "Any", "discountAbsolute": {"amount": 1}}'
    created = app.handle(Request("POST", "/coupon/acme/coupons", headers, body)).content

    assert coupon["discountAbsolute"] == {"amount": Decimal("2.5"), "currency": "EUR"}
    assert (created["id"][:3], len(created["id"])) == ("XYZ", 6)


def test_a_setting_of_the_server_is_every_org_s_default_and_an_org_may_have_another() -> None:
    app = App(
        Config(
            settings=(
                ("emporix.reward_points_version", "current"),
                ("emporix.couponSettings.rewardpoints.validityInMonths", "1"),
            )
        )
    )
    seed = b'{"emporix": {"settings": [{"reward_points_version": "2021"}]}}'
    json = [(b"content-type", b"application/json")]
    app.handle(Request("POST", "/__admin/orgs/former/seed", json, seed))

    def opened(org: str) -> int:
        headers = [(b"authorization", b"Bearer any"), (b"sandbox-org", org.encode()), *json]
        return app.handle(Request("POST", "/reward-points/customer/C1", headers, b"{}")).status

    assert (opened("present"), opened("former")) == (200, 201)
