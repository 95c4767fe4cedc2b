"""Only the operator reaches the admin API: no web page of another origin, under whatever name it calls this server."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from starlette.testclient import TestClient

from promo_sandbox.admin.guard import Guard
from promo_sandbox.base.errors import SandboxError
from promo_sandbox.base.messages import Request
from tests.acme import new_app
from tests.serving import OrgClient, running

SEED = {"acme": {"things": [{"name": "x"}]}}
FOREIGN = [
    {"Origin": "https://shop.example"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": "localhost"},
    {"Origin": "http://localhost:1"},  # another program of this machine
    {"Origin": "chrome-extension://abcdef"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "something new"},
    {"Host": "shop.example"},
]
OURS = [
    "127.0.0.1",
    "127.0.0.1:8080",
    "192.168.7.7:80",
    "[::1]:8080",
    "[::1]",
    "[fe80::1%25eth0]:8080",
    "[::ffff:10.0.0.1]",
    "localhost",
    "LOCALHOST:8080",
    "localhost.",
    "promo-sandbox:8080",
    "project_promo-sandbox_1:8080",
    "a.localhost:3",
    "macbook.local",
    "promo-sandbox.ci.internal",
    "Shop.Test:8080",
]
STRANGE = [
    "shop.example",
    "localhost.shop.example",
    "127.0.0.1.shop.example:8080",
    "promo-sandbox.shop.example",
    "localhost@shop.example",
    "shop.example.",
    "local.example",
    "notlocal.xlocal.de",
    "bücher.example",
    "xn--bcher-kva.example",
    "127.0.0.256",
    "[::1",
    "[shop.example]",
    "[::1]x",
    "a b",
    "a,b.example",
    "",
    "x" * 10_000,
]


def forged(org_client: OrgClient, method: str, path: str, headers: dict[str, str], **sent: Any) -> httpx2.Response:
    return org_client.http.request(method, f"{org_client.url}/__admin{path}", headers=headers, **sent)


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_a_page_of_another_origin_changes_nothing_and_reads_nothing(
    org_client: OrgClient, is_rejected: Any, headers: dict[str, str]
) -> None:
    org_client.seed("acme", things=[{"name": "mine"}])
    before = org_client.state()
    org = f"/orgs/{org_client.org}"

    responses = [
        forged(org_client, "POST", f"{org}/seed", headers, json=SEED),
        forged(org_client, "POST", f"{org}/seed", headers, content='{"acme": {}}'),
        forged(org_client, "POST", f"{org}/reset", headers),
        forged(org_client, "DELETE", org, headers),
        forged(org_client, "GET", f"{org}/state", headers),
        forged(org_client, "GET", "/health", headers),
        forged(org_client, "GET", "/requests/stream", headers),
        forged(org_client, "GET", "/nowhere", headers),
        forged(org_client, "OPTIONS", f"{org}/reset", {**headers, "Access-Control-Request-Method": "POST"}),
    ]

    for response in responses:
        assert "--admin-host" in is_rejected(response, "not-the-operator")["detail"]
        assert not [name for name in response.headers if name.startswith("access-control-")]
    assert forged(org_client, "HEAD", f"{org}/state", headers).status_code == 403
    assert org_client.state() == before


def test_the_server_s_own_pages_and_programs_without_an_origin_work(org_client: OrgClient) -> None:
    for headers in (
        {},
        {"Origin": org_client.url},
        {"Origin": org_client.url.upper(), "Sec-Fetch-Site": "same-origin"},
        {"Origin": f"https://{urlsplit(org_client.url).netloc}"},  # behind something that speaks TLS
        {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"},
    ):
        assert forged(org_client, "POST", f"/orgs/{org_client.org}/reset", headers).status_code == 204


@pytest.mark.parametrize("host", OURS)
def test_addresses_and_local_names_are_ours(org_client: OrgClient, host: str) -> None:
    assert forged(org_client, "GET", "/health", {"Host": host}).status_code == 200
    assert forged(org_client, "GET", "/health", {"Host": host, "Origin": f"http://{host}"}).status_code == 200
    assert forged(org_client, "GET", "/health", {"Host": host, "Origin": "http://127.0.0.1:1"}).status_code == 403


def test_the_machine_s_own_name_is_ours(org_client: OrgClient) -> None:
    assert forged(org_client, "GET", "/health", {"Host": f"{socket.gethostname()}:1"}).status_code == 200


@pytest.mark.parametrize("host", STRANGE)
def test_a_name_that_the_internet_may_have_is_not_ours(host: str) -> None:
    request = Request("GET", "/__admin/health", [(b"host", host.encode())])

    for _ in range(2):
        assert (Guard().rejection(request) or "").count("--admin-host") == 1


def test_many_hosts_cost_no_memory() -> None:
    guard = Guard()

    for number in range(1000):
        guard.rejection(Request("GET", "/", [(b"host", b"%d.example" % number)]))

    assert guard.rejection(Request("GET", "/", [(b"host", b"7.example")]))
    assert len(guard._cache) <= 256  # noqa: SLF001 - what is kept is what the test is about


def test_pipelined_requests_are_validated_one_by_one(org_client: OrgClient) -> None:
    place = urlsplit(org_client.url)
    path = f"/__admin/orgs/{org_client.org}"
    good = f"POST {path}/reset HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
    bad = f"DELETE {path} HTTP/1.1\r\nHost: localhost\r\nOrigin: http://a.example\r\n\r\n"
    last = f"DELETE {path}/x HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n"

    with socket.create_connection((str(place.hostname), place.port or 0), 10) as connection:
        connection.sendall((good + bad + last).encode())
        said = b"".join(iter(lambda: connection.recv(65_536), b"")).decode()

    assert re.findall(r"HTTP/1\.1 (\d+)", said) == ["204", "403", "403"]
    assert org_client.admin("GET").status_code == 200


@pytest.mark.parametrize("path", ["/~{org}/__admin", "//__admin", "/./__admin", "/x/../__admin"])
def test_no_other_spelling_leads_to_the_admin_api(org_client: OrgClient, path: str) -> None:
    org_client.seed("acme", things=[{"name": "mine"}])
    before = org_client.state()
    place = urlsplit(org_client.url)
    target = f"{path.format(org=org_client.org)}/orgs/{org_client.org}/reset"

    with socket.create_connection((str(place.hostname), place.port or 0), 10) as connection:
        connection.sendall(f"POST {target} HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n".encode())
        said = b"".join(iter(lambda: connection.recv(65_536), b""))

    assert said.startswith(b"HTTP/1.1 404 ")
    assert org_client.state() == before


@pytest.mark.parametrize("first", [True, False])
def test_of_several_origins_none_may_be_foreign(org_client: OrgClient, first: bool) -> None:
    place = urlsplit(org_client.url)
    lines = [f"Origin: {org_client.url}", "Origin: http://a.example"]
    fields = "\r\n".join(lines if first else lines[::-1])
    target = f"/__admin/orgs/{org_client.org}/reset"

    with socket.create_connection((str(place.hostname), place.port or 0), 10) as connection:
        head = f"POST {target} HTTP/1.1\r\nHost: {place.netloc}\r\n{fields}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode())
        said = b"".join(iter(lambda: connection.recv(65_536), b""))

    assert said.startswith(b"HTTP/1.1 403 ")


def test_escaped_letters_of_the_path_lead_to_the_same_guard(org_client: OrgClient) -> None:
    place = urlsplit(org_client.url)
    target = f"/%5F%5Fadmin/orgs/{org_client.org}/reset"

    with socket.create_connection((str(place.hostname), place.port or 0), 10) as connection:
        connection.sendall(f"POST {target} HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n".encode())
        said = b"".join(iter(lambda: connection.recv(65_536), b""))

    assert said.startswith(b"HTTP/1.1 403 ")


# What the operator adds


@pytest.fixture(scope="module")
def named(specs: Path) -> Iterator[str]:
    with running(app=new_app(specs, admin_hosts=("sandbox.shop.example", "Bücher.example."))) as (_, base):
        yield base


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "sandbox.shop.example"},
        {"Host": "SANDBOX.shop.example.:8443"},
        {"Host": "xn--bcher-kva.example"},
        {"Host": "sandbox.shop.example", "Origin": "https://sandbox.shop.example", "Sec-Fetch-Site": "same-origin"},
        {"Host": "upstream:8080", "Origin": "https://sandbox.shop.example", "Sec-Fetch-Site": "same-origin"},
    ],
    ids=str,
)
def test_names_that_the_operator_adds_are_ours(named: str, http: httpx2.Client, headers: Any) -> None:
    assert http.get(f"{named}/__admin/health", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "shop.example"},
        {"Host": "x.sandbox.shop.example"},
        {"Host": "sandbox.shop.example", "Origin": "https://shop.example"},
        {"Host": "sandbox.shop.example", "Sec-Fetch-Site": "cross-site"},
    ],
    ids=str,
)
def test_other_names_are_not(named: str, http: httpx2.Client, headers: dict[str, str]) -> None:
    assert http.get(f"{named}/__admin/health", headers=headers).status_code == 403


@pytest.mark.parametrize("name", ["", "http://shop.example", "shop.example:80", "*.example", "a b", "a/b"])
def test_what_is_no_name_is_a_mistake(specs: Path, name: str) -> None:
    with pytest.raises(SandboxError, match="--admin-host"):
        new_app(specs, admin_hosts=(name,))


def test_it_is_the_same_over_asgi(specs: Path) -> None:
    app = new_app(specs)

    with TestClient(app) as client:
        assert client.get("/__admin/health").status_code == 200
        assert client.get("/__admin/health", headers={"Host": "a.example"}).status_code == 403
        assert client.post("/__admin/orgs/a/reset", headers={"Origin": "http://a.example"}).status_code == 403


def test_vendors_are_asked_by_any_name_and_page(org_client: OrgClient) -> None:
    headers = {"Authorization": "Bearer any", "Host": "api.shop.example", "Origin": "https://shop.example"}

    assert org_client.http.get(f"{org_client.url}/acme/{org_client.org}/things", headers=headers).status_code == 200


# Bodies


@pytest.mark.parametrize("path", ["/seed", "/clock/advance", "/reset"])
def test_a_body_without_a_content_type_is_rejected(org_client: OrgClient, is_rejected: Any, path: str) -> None:
    response = forged(org_client, "POST", f"/orgs/{org_client.org}{path}", {}, content=b"{}")

    is_rejected(response, "unsupported-media-type")


def test_no_body_needs_no_content_type(org_client: OrgClient) -> None:
    assert forged(org_client, "POST", f"/orgs/{org_client.org}/reset", {}).status_code == 204
