"""Content codings of bodies (RFC 9110, 8.4): decoded with bounded work, or rejected with the vendor's error body."""

from __future__ import annotations

import gzip
import json
import secrets
import time
import tracemalloc
import zlib
from collections.abc import Callable

import httpx2
import pytest

from promo_sandbox.base.config import Config
from promo_sandbox.base.content_codings import decode_body
from promo_sandbox.base.messages import Request
from tests.serving import OrgClient

CARD = b'{"organization_id": "acme"}'
CODE = b'{"Name": "Spring"}'
MONEY = {"unit": "EUR", "value": 1}


def raw_deflate(data: bytes) -> bytes:
    made = zlib.compressobj(wbits=-15)
    return made.compress(data) + made.flush()


def stored(data: bytes) -> bytes:
    return data


ENCODE: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "GZIP": gzip.compress,
    "deflate": zlib.compress,
    "identity": stored,
    "gzip, identity": gzip.compress,
    "deflate, gzip": lambda data: gzip.compress(zlib.compress(data)),
    "gzip,,gzip , deflate": lambda data: zlib.compress(gzip.compress(gzip.compress(data))),
}
DOORS = {
    "enfore": "/promotions/org/{org}/sales-vouchers/product-voucher-subscriptions",
    "emporix": "/coupon/{org}/coupons",
    "norce": "/~{org}/commerce/management/1.0/api/promotion",
    "admin": "/__admin/orgs/{org}/clock",
}


def put(org_client: OrgClient, door: str, body: bytes, coding: str | None, **headers: str) -> httpx2.Response:
    """A body with a Content-Encoding, through one of the doors."""
    sent = {"Authorization": "Bearer any", "Content-Type": "application/json", **headers}
    if coding is not None:
        sent["Content-Encoding"] = coding
    org_client.org = org_client.org.replace("-", "")
    method = "PUT" if door == "admin" else "POST"
    return org_client.http.request(
        method, org_client.url + DOORS[door].format(org=org_client.org), content=body, headers=sent
    )


BODIES = {
    "enfore": b'{"callback_url": "https://shop.example/hooks"}',
    "emporix": b'{"code": "SPRING", "discountType": "PERCENT", "discountPercentage": 10, "name": "Spring"}',
    "norce": b'{"Name": "Spring"}',
    "admin": b'{"now": "2030-01-01T00:00:00Z", "frozen": true}',
}


@pytest.mark.parametrize("coding", ENCODE)
@pytest.mark.parametrize("door", DOORS)
def test_a_body_is_read_without_its_codings(org_client: OrgClient, door: str, coding: str) -> None:
    plainly = put(org_client, door, BODIES[door], None)
    again = OrgClient(org_client.url, f"{org_client.org}again", org_client.http)

    response = put(again, door, ENCODE[coding](BODIES[door]), coding)

    assert response.status_code == plainly.status_code
    assert response.status_code < 300, response.text


def test_deflate_without_the_frame_of_zlib_is_read_too(org_client: OrgClient) -> None:
    assert put(org_client, "enfore", raw_deflate(BODIES["enfore"]), "deflate").status_code == 201


def test_a_gzip_file_may_be_several_put_together(org_client: OrgClient) -> None:
    body = BODIES["enfore"]
    data = b"".join(gzip.compress(body[at : at + 5]) for at in range(0, len(body), 5))

    assert put(org_client, "enfore", data, "gzip").status_code == 201


def test_a_form_names_its_org_in_any_coding(org_client: OrgClient) -> None:
    tenant = org_client.org.replace("-", "")
    form = f"grant_type=client_credentials&client_id=a&client_secret=b&scope=tenant%3D{tenant}".encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Content-Encoding": "gzip"}

    response = org_client.http.post(f"{org_client.url}/oauth/token", content=gzip.compress(form), headers=headers)

    assert response.json()["scope"].endswith(f"tenant={tenant}")
    assert OrgClient(org_client.url, tenant, org_client.http).last()["operation"] == "requestToken"


def test_the_journal_has_the_decoded_body_and_the_header_as_it_was_sent(org_client: OrgClient) -> None:
    put(org_client, "enfore", gzip.compress(BODIES["enfore"]), "gzip")

    said = org_client.last()["request"]
    assert (said["body"], said["size"]) == (BODIES["enfore"].decode(), len(BODIES["enfore"]))
    assert ["content-encoding", "gzip"] in said["headers"]


@pytest.mark.parametrize("coding", ["br", "zstd", "compress", "gzip, br", "gzip;q=1", ", ".join(["gzip"] * 5)])
@pytest.mark.parametrize("door", DOORS)
def test_an_unknown_coding_is_rejected_with_the_supported_ones(org_client: OrgClient, door: str, coding: str) -> None:
    response = put(org_client, door, BODIES[door], coding)
    of_media_type = put(org_client, door, BODIES[door], None, **{"Content-Type": "image/png"})

    assert (response.status_code, of_media_type.status_code) == (415, 415)
    assert response.json().keys() == of_media_type.json().keys()
    assert response.headers["content-type"] == of_media_type.headers["content-type"]
    assert response.headers["accept-encoding"] == "gzip, deflate"
    assert "accept-encoding" not in of_media_type.headers


@pytest.mark.parametrize(
    ("coding", "data"),
    [
        ("gzip", b'{"plain": true}'),
        ("gzip", gzip.compress(CARD)[:-1]),
        ("gzip", gzip.compress(CARD)[:5]),
        ("gzip", gzip.compress(CARD)[:-8] + b"\0" * 8),
        ("gzip", gzip.compress(CARD) + b"more"),
        ("gzip", zlib.compress(CARD)),
        ("deflate", b'{"plain": true}'),
        ("deflate", zlib.compress(CARD)[:-1]),
        ("deflate", zlib.compress(CARD) + b"more"),
        ("deflate, gzip", gzip.compress(CARD)),
    ],
    ids=map(str, range(10)),
)
@pytest.mark.parametrize("door", DOORS)
def test_data_that_is_not_in_its_coding_is_an_invalid_request(
    org_client: OrgClient, door: str, coding: str, data: bytes
) -> None:
    response = put(org_client, door, data, coding)

    assert response.status_code == 400
    if door != "admin":
        last = org_client.last()
        assert last["rejection"] == "invalid-request"
        assert last["violations"][0]["message"].startswith("The body is not in ")
        assert "Content-Encoding" in last["violations"][0]["message"]


def test_credentials_come_before_the_coding(org_client: OrgClient) -> None:
    assert put(org_client, "emporix", b"x", "br", Authorization="Bearer invalid").status_code == 401


@pytest.mark.parametrize(
    ("door", "coding"),
    [("enfore", "gzip"), ("emporix", "deflate"), ("norce", "deflate, gzip"), ("admin", "gzip")],
)
def test_a_body_that_is_too_long_without_its_coding_is_too_long(org_client: OrgClient, door: str, coding: str) -> None:
    bomb = BODIES[door][:-1] + b" " * 20_000_000 + b"}"

    response = put(org_client, door, ENCODE.get(coding, stored)(bomb), coding)

    assert response.status_code == 413
    assert org_client.http.get(f"{org_client.url}/__admin/health").status_code == 200


@pytest.mark.parametrize(
    ("coding", "data"),
    [
        ("gzip", gzip.compress(b" " * 100_000_000)),
        ("gzip, gzip", gzip.compress(gzip.compress(b" " * 100_000_000))),
        ("gzip", gzip.compress(b"") * 400_000),
        ("deflate", raw_deflate(b" " * 100_000_000)),
    ],
    ids=["gzip", "twice gzip", "many members", "deflate"],
)
def test_a_bomb_costs_little_time_and_no_more_memory_than_a_body_may(coding: str, data: bytes) -> None:
    limit = 1_000_000
    request = Request("POST", "/", [(b"content-encoding", coding.encode())], data)
    tracemalloc.start()
    begun = time.process_time()
    try:
        decode_body(request, limit)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert request.body_problem is not None
    assert request.body_problem.status == 413
    assert most < 4 * limit
    assert time.process_time() - begun < 2


@pytest.mark.parametrize("left", [0, 1])
def test_the_longest_body_may_be_as_long_as_the_limit(left: int) -> None:
    request = Request("POST", "/", [(b"content-encoding", b"gzip")], gzip.compress(b"x" * 100_000))

    decode_body(request, 100_000 - 1 + left)

    assert (request.body_problem is None) is bool(left)


def test_the_admin_api_accepts_larger_bodies(org_client: OrgClient) -> None:
    names = [secrets.token_hex(500) for _ in range(3000)]
    document = json.dumps(
        {"enfore": {"gift_cards": [{"name": name, "current_balance": MONEY} for name in names]}}
    ).encode()
    assert len(gzip.compress(document)) > Config().max_body
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}

    response = org_client.http.post(
        f"{org_client.url}/__admin/orgs/{org_client.org}/seed", content=gzip.compress(document), headers=headers
    )

    assert response.status_code == 200


def test_an_undeclared_body_may_have_any_coding(org_client: OrgClient) -> None:
    headers = {"Authorization": "Bearer any", "Content-Encoding": "br"}

    response = org_client.http.request(
        "DELETE", f"{org_client.url}/coupon/acme/coupons/none", content=b"x", headers=headers
    )

    assert response.status_code == 404
