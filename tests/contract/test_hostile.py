"""What no client means to send: it is rejected in the vendor's words and with its place, and breaks nothing."""

from __future__ import annotations

import json
import random
import socket
from urllib.parse import urlsplit

import httpx2
import pytest

from promo_sandbox.base.messages import decode
from tests.contract import fuzzing
from tests.patience import LONG
from tests.serving import Json, OrgClient
from tests.vendors.enfore_support import PROBLEMS, cards, new_card, path

MIB = 1_048_576


def drafts(org_client: OrgClient) -> str:
    return path(org_client, "loyalty-programs/external-loyalty-program-drafts")


def indexes(org_client: OrgClient) -> list[str]:
    return sorted({violation["where"] for violation in org_client.last()["violations"]})


def nested(levels: int) -> bytes:
    """A draft whose configuration is nested, the whole of it so many levels deep."""
    return b'{"name": "Points", "configuration": {"a": ' + b"[" * (levels - 2) + b"]" * (levels - 2) + b"}}"


def raw(org_client: OrgClient, request: bytes) -> tuple[int, bytes]:
    """The status and the body of the reply to exactly these bytes."""
    address = urlsplit(org_client.url)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=LONG) as connection:
        connection.sendall(request)
        received = b"".join(iter(lambda: connection.recv(65_536), b""))
    head, _, body = received.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


def get(org_client: OrgClient, target: bytes) -> tuple[int, bytes]:
    head = b"GET " + target + b" HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer any\r\nConnection: close\r\n\r\n"
    return raw(org_client, head)


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"nul",
        b"{'name': 1}",
        b'{"name": 1} {}',
        b"\xef\xbb\xbf{}",
        b"\xff\xfe{\x00}\x00",
        b'{"name": "\xc3"}',
        b'{"name": "\x00"}',
        b'{"name": "\\ud800"}',
        b'{"name": "\\udc00\\ud800"}',
        b'{"name": NaN}',
        b'{"name": -Infinity}',
        b'{"name": 01}',
        b'{"name": 1e}',
        b'{"name": 0x10}',
        b" \n",
        b"",
        nested(101),
        b"[" * 500_000,
        b'{"a":' * 100_000,
    ],
    ids=lambda body: repr(body[:24]),
)
def test_a_body_that_is_no_json_is_rejected_at_its_place(org_client: OrgClient, body: bytes) -> None:
    for target in (cards(org_client), drafts(org_client)):
        response = org_client.request("POST", target, raw=body)
        assert response.status_code == 400
        assert response.json()["type"] == PROBLEMS + "invalid-request"
        assert indexes(org_client) == ["body"]


def test_a_hundred_levels_are_not_too_deep(org_client: OrgClient) -> None:
    response = org_client.request("POST", drafts(org_client), raw=nested(100))
    assert response.status_code == 201
    assert response.json()["configuration"] == json.loads(nested(100))["configuration"]


def test_a_body_may_have_a_mebibyte_and_not_a_byte_more(org_client: OrgClient) -> None:
    body = json.dumps({"name": "", "configuration": {}}).encode()

    def sent(size: int) -> httpx2.Response:
        return org_client.request(
            "POST", drafts(org_client), raw=body.replace(b'""', b'"%s"' % (b"x" * (size - len(body))))
        )

    assert sent(MIB).status_code == 201
    response = sent(MIB + 1)
    assert response.status_code == 413
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["type"] == PROBLEMS + "body-too-large"


@pytest.mark.parametrize("media", ["application/xml", "text/plain", "application/problem+json", "json", "", "*/*"])
def test_a_body_of_another_media_type_is_rejected(org_client: OrgClient, media: str) -> None:
    response = org_client.request(
        "POST", cards(org_client), raw=json.dumps(new_card()).encode(), headers={"Content-Type": media}
    )
    assert response.status_code == 415
    assert response.json()["type"] == PROBLEMS + "unsupported-media-type"


@pytest.mark.parametrize("media", ["application/json; charset=utf-8", "Application/JSON", 'application/json;a="b;c"'])
def test_a_media_type_may_have_parameters_and_capitals(org_client: OrgClient, media: str) -> None:
    response = org_client.request(
        "POST", cards(org_client), raw=json.dumps(new_card()).encode(), headers={"Content-Type": media}
    )
    assert response.status_code == 201


@pytest.mark.parametrize(
    ("number", "status"),
    [
        ("9000000000000", 201),
        ("9e12", 201),
        ("1.5E+1", 201),
        ("8999999999999.999999", 201),
        ("0.000001", 201),
        ("50.0000000000", 201),
        ("9000000000000.000001", 400),
        ("0.0000001", 400),
        ("1e-7", 400),
        ("9" * 400, 400),
        ("-" + "9" * 4000, 400),
        ("0." + "0" * 4000 + "1", 400),
        ("1e400", 400),
        ("1e99999999999", 400),
        ("1e-99999999999", 400),
        ("0e-99999999999", 400),
        ("0e-300", 201),
    ],
    ids=lambda value: str(value)[:24],
)
def test_an_amount_is_exact_or_rejected(org_client: OrgClient, number: str, status: int) -> None:
    body = json.dumps(new_card(current_balance={"unit": "EUR", "value": 0})).replace('"value": 0', f'"value": {number}')
    response = org_client.request("POST", cards(org_client), raw=body.encode())
    assert response.status_code == status, response.text
    if status == 201:
        assert decode(response.content)["current_balance"]["value"] == decode(number.encode())
    else:
        assert response.json()["type"] == PROBLEMS + "invalid-request"


def test_a_nothing_of_very_many_digits_is_not_written_out(org_client: OrgClient) -> None:
    card = org_client.request("POST", cards(org_client), new_card()).json()["id"]
    body = b'{"external_reference": "Order 1", "redeemed_amount": {"unit": "EUR", "value": 0e-300}}'
    response = org_client.request("POST", cards(org_client, card, "redemptions"), raw=body)
    assert response.status_code == 422
    assert len(response.content) < 1000


def test_of_two_equal_keys_the_last_counts(org_client: OrgClient) -> None:
    body = json.dumps(new_card(name="second")).replace('"name"', '"name": 1, "name": "first", "name"')
    response = org_client.request("POST", cards(org_client), raw=body.encode())
    assert response.status_code == 201
    assert response.json()["name"] == "second"


@pytest.mark.parametrize(
    "name", ["\x00", "a\x00b", "\U0001f381", "\u202e", "\ufffe", "\\u0000", "e\u0301", "\ud83d\ude00"]
)
def test_any_text_that_json_can_write_comes_back(org_client: OrgClient, name: str) -> None:
    body = json.dumps(new_card(name=name)).encode()
    created = org_client.request("POST", cards(org_client), raw=body)
    assert created.status_code == 201
    assert org_client.request("GET", cards(org_client, created.json()["id"])).json()["name"] == json.loads(body)["name"]


def test_an_id_may_hold_whatever_percent_encoding_can_write(org_client: OrgClient) -> None:
    for number, (id, segment) in enumerate(
        [("a/b", "a%2Fb"), ("a%2Fb", "a%252Fb"), (".", "%2E"), ("..", "%2e%2e"), ("ä", "%C3%A4"), ("a b", "a%20b"),
         ("\x00", "%00"), ("?#", "%3F%23"), ("a+b", "a+b"), ("~x", "~x"), ("%zz", "%25zz")]
    ):  # fmt: skip
        org_client.seed("enfore", gift_cards=[new_card(id=id, external_number=f"X-{number}")])
        status, body = get(org_client, cards(org_client, segment).encode())
        assert (status, json.loads(body).get("id")) == (200, id)


@pytest.mark.parametrize(
    ("segment", "status"),
    [
        (b"a%2Fb", 404),
        (b"%zz", 404),
        (b"%", 404),
        (b"%f", 404),
        (b"%ff", 404),
        (b"%ed%a0%80", 404),
        (b"%00", 404),
        (b"a/b", 404),
        (b"", 404),
        (b"..", 404),
        ("ä".encode(), 400),  # not HTTP: a target is written in ASCII
        (b"\xff", 400),
        (b"x" * 10_000, 404),
        (b"x" * 20_000, 414),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_an_odd_id_is_rejected_and_no_more(org_client: OrgClient, segment: bytes, status: int) -> None:
    found, body = get(org_client, cards(org_client).encode() + b"/" + segment)
    assert found == status
    assert {"type", "title", "detail"} <= json.loads(body).keys()


def test_a_query_that_is_not_utf_8_is_rejected_at_its_place(org_client: OrgClient) -> None:
    interval = b"?from=2030-01-01T00:00:00Z&to=2031-01-01T00:00:00Z&"
    for query, status, where in (
        (b"number=%ff", 400, ["query.number"]),
        (b"number=%C3", 400, ["query.number"]),
        (b"%ff=1&limit=0", 400, ["query.%ff", "query.limit"]),
        (b"number=%zz&&=&=x&x&number=%", 200, []),
        (b"limit=%31&limit=2&offset=%30", 200, []),
        (b"limit=1.0", 400, ["query.limit"]),
        (b"limit=+1", 400, ["query.limit"]),
        ("limit=\u0663".encode(), 400, ["query.limit"]),
        (b"limit=9" + b"9" * 5000, 400, ["query.limit"]),
    ):
        assert get(org_client, cards(org_client).encode() + interval + query)[0] == status, query
        assert indexes(org_client) == where, query


def test_everything_that_is_wrong_is_reported_at_once(org_client: OrgClient) -> None:
    card = {
        "external_number": 7,
        "status": "LOST",
        "current_balance": {"unit": "EURO", "value": "50"},
        "initial_balance": {"value": 0.0000001},
        "issued_date_and_time": "yesterday",
        "tax": None,
        "source_product": "",
    }
    response = org_client.request("POST", cards(org_client), card)
    assert response.status_code == 400
    wrong = [
        "body.current_balance.unit",
        "body.current_balance.value",
        "body.external_number",
        "body.initial_balance.unit",
        "body.initial_balance.value",
        "body.issued_date_and_time",
        "body.name",
        "body.source_product",
        "body.status",
        "body.tax",
    ]
    assert indexes(org_client) == wrong
    assert all(place in response.json()["detail"] for place in wrong)

    assert org_client.request("GET", cards(org_client) + "?to=now&limit=0&offset=-1").status_code == 400
    assert indexes(org_client) == ["query.from", "query.limit", "query.offset", "query.to"]


def test_a_whole_number_may_have_a_fraction_of_nothing(org_client: OrgClient) -> None:
    assert org_client.admin("PUT", "/state", {"sequence": 7.0, "documents": {}}).json()["sequence"] == 7
    assert org_client.request("POST", cards(org_client), new_card()).status_code == 201
    token = org_client.admin("POST", "/tokens", {"vendor": "enfore", "expires_in": 60.0}).json()["access_token"]
    listed = org_client.request("GET", drafts(org_client), headers={"Authorization": f"Bearer {token}"})
    assert listed.status_code == 200


@pytest.mark.fuzz
def test_a_thousand_bodies_of_any_bytes_cause_no_internal_error(org_client: OrgClient) -> None:
    fuzzing.tell_seed()
    source = random.Random(fuzzing.SEED if fuzzing.AT_RANDOM else 1)  # noqa: S311 - nothing secret
    draft = {"name": "Points", "configuration": {"a": [1, None]}, "start_date_and_time": "2030-01-01T00:00:00Z"}
    card = org_client.request("POST", cards(org_client), new_card()).json()["id"]
    targets: list[tuple[str, str, Json]] = [
        ("POST", cards(org_client), new_card()),
        ("POST", cards(org_client, card, "redemptions"), {"redeemed_amount": {"unit": "EUR", "value": 0.01}}),
        ("PUT", cards(org_client, card, "activation-status"), "ACTIVE"),
        (
            "POST",
            path(org_client, "sales-vouchers/gift-card-subscriptions"),
            {"callback_url": "https://hooks.example/"},
        ),
        ("POST", drafts(org_client), draft),
    ]
    for number in range(5 * fuzzing.EXAMPLES):
        method, target, valid = targets[number % len(targets)]
        response = org_client.request(method, target, raw=damaged(source, json.dumps(valid).encode()))
        assert response.status_code in (200, 201, 400, 422), response.text
    assert org_client.admin("GET", "/requests?internal_error=true").json()["total"] == 0


def damaged(source: random.Random, body: bytes) -> bytes:
    """The body with some bytes replaced, left out or doubled; or bytes that never were one."""
    if source.random() < 0.2:
        return source.randbytes(source.randrange(300))
    found = bytearray(body)
    for _ in range(source.randrange(1, 5)):
        at = source.randrange(len(found))
        found[at : at + source.randrange(4)] = source.choice(
            [b"", b'"', b"{", b"]", b"\\", b"0", b"e9", source.randbytes(2)]
        )
        if not found:
            break
    return bytes(found)
