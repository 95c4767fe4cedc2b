"""Secrets are masked, also truncated ones; other text is unchanged."""

from __future__ import annotations

import json
import time

import pytest

from promo_sandbox.base.masking import Masks, remove_secrets


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("Authorization", "Bearer abc", "Bearer ***"),
        ("authorization", "Basic YTpi x", "Basic ***"),
        ("authorization", "abc", "***"),
        ("authorization", "", "***"),
        ("proxy-authorization", "Basic YTpi", "Basic ***"),
        ("X-Api-Key", "abc", "***"),
        ("cookie", "session=abc; theme=dark==", "session=***; theme=***"),
        ("set-cookie", "session=abc=; Path=/; HttpOnly", "session=***; Path=/; HttpOnly"),
        ("accept", "application/json", "application/json"),
        ("cookie", "abc; theme=dark;", "***; theme=***;"),
        ("referer", "http://a/?access_token=abc&x=1", "http://a/?access_token=***&x=1"),
    ],
)
def test_headers(name: str, value: str, shown: str) -> None:
    assert Masks().mask_header(name, value) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{"client_secret": "a\\"b", "name": "x"}', '{"client_secret": "***", "name": "x"}'),
        ('{"password":"abc', '{"password":"***'),
        ('{"password":""}', '{"password":"***"}'),
        ('{"a":{"Refresh_Token" : "x"}}', '{"a":{"Refresh_Token" : "***"}}'),
        ('{"password":7}', '{"password":"***"}'),
        ('{"password":-1.5e3, "pin":7}', '{"password":"***", "pin":7}'),
        ('{"password":null,"access_token":true}', '{"password":null,"access_token":true}'),
        ('{"pass\\u0077ord":"abc"}', '{"password":"***"}'),
        ('{"a":"\\"","pass\\u0077ord":"abc', '{"a":"\\"","password":"***'),
        ('{"a\\u0062":"\\n"}', '{"a\\u0062":"\\n"}'),
        ("a=b&client%5Fsecret=abc", "a=b&client_secret=***"),
        ("/p%5F?Client%5fSecret=abc&a%20=%5F", "/p%5F?Client_Secret=***&a%20=%5F"),
        ('{"password_hint":"dog"}', '{"password_hint":"dog"}'),
        ("client_id=a&client_secret=b%20c&scope=d", "client_id=a&client_secret=***&scope=d"),
        ("password=b", "password=***"),
        ("/path?access_token=abc&x=1", "/path?access_token=***&x=1"),
        ("/path?token=abc", "/path?token=abc"),
        ("my_password=b", "my_password=b"),
        ('{"url":"http://a/?access_token=ab\\"c&x=1","b":1}', '{"url":"http://a/?access_token=***&x=1","b":1}'),
        ('{"url":"http://a/?access_token=abc"}', '{"url":"http://a/?access_token=***"}'),
    ],
)
def test_the_attributes_of_a_request(text: str, shown: str) -> None:
    assert Masks().mask_message(text) == shown


@pytest.mark.parametrize("piece", ['"password":"\\', '"password"  ', "&password=", '"password":"a', '\\"', "%&", "%5F"])
def test_a_body_of_many_beginnings_of_secrets_takes_no_time(piece: str) -> None:
    text = (piece * 65_536)[:65_536]
    began = time.thread_time()

    Masks().mask_message(text)

    assert time.thread_time() - began < 1


SPEC = {
    "components": {
        "securitySchemes": {
            "key": {"type": "apiKey", "in": "header", "name": "Ocp-Key"},
            "query": {"type": "apiKey", "in": "query", "name": "sig"},
            "cookie": {"type": "apiKey", "in": "cookie", "name": "session"},
            "bearer": {"type": "http", "scheme": "bearer"},
        },
        "parameters": {
            "Partner": {"name": "X-Partner", "in": "header", "schema": {"$ref": "#/components/schemas/Key"}}
        },
        "schemas": {
            "Key": {"type": "string", "format": "password"},
            "Login": {"properties": {"pin": {"$ref": "#/components/schemas/Key"}, "user": {"type": "string"}}},
        },
    },
    "paths": {"/a": {"get": {"parameters": [{"name": "code", "in": "query", "schema": {"format": "password"}}]}}},
}


def test_secrets_of_a_spec_are_masked() -> None:
    masks = Masks([SPEC])

    assert [masks.mask_header(name, "abc") for name in ("ocp-key", "X-PARTNER", "x-api-key", "x-other")] == [
        *["***"] * 3,
        "abc",
    ]
    assert masks.mask_message("/a?sig=abc&code=d%20e&user=f") == "/a?sig=***&code=***&user=f"
    assert masks.mask_message('{"pin": "1234", "user": "ada"}') == '{"pin": "***", "user": "ada"}'
    assert masks.mask_message("pin=1234&user=ada") == "pin=***&user=ada"
    assert [name for name in ("pin", "Code", "cookie", "user") if masks.is_secret(name)] == ["pin", "Code", "cookie"]


def test_a_document_is_masked_as_such() -> None:
    document = {
        "Password": 7,
        "x": [{"access_token": "a", "password": {"password": "b"}}],
        "y": '?access_token=c"d',
        "z": 1,
    }

    assert Masks().mask_document(document) == {
        "Password": "***",
        "x": [{"access_token": "***", "password": {"password": "***"}}],
        "y": "?access_token=***",
        "z": 1,
    }


def test_other_specs_know_nothing_of_that() -> None:
    assert Masks().mask_header("ocp-key", "abc") == "abc"
    assert Masks().mask_message("/a?sig=abc") == "/a?sig=abc"


def test_secrets_are_left_out_of_sentences_whole_and_cut() -> None:
    masks = Masks([SPEC])
    long = "eyJhbGciOiJIUzI1NiIsInR5cCI6ImF0K2p3dCJ9"

    secrets = masks.find_secrets(
        [
            ("Authorization", f"Bearer {long}"),
            ("Ocp-Key", "key-of-a-shop"),
            ("Cookie", "a=cookie-one; b=x"),
            ("A", "b"),
        ],
        "/a?sig=signature&code=x",
        '{"pin": "secret pin"}',
    )

    assert remove_secrets(f"is '{long}', not 1", secrets) == "is '***', not 1"
    assert remove_secrets(f"is '{long[:30]}…, not 1", secrets) == "is '***…, not 1"
    said = "key-of-a-shop and cookie-one and signature and secret pin and x"
    assert remove_secrets(said, secrets) == "*** and *** and *** and *** and x"


def test_a_sentence_about_a_request_of_very_many_secrets_is_masked_whole() -> None:
    """Each would be looked for, in each of the sentences."""
    body = json.dumps([{"password": f"secret {number}"} for number in range(101)])

    secrets = Masks().find_secrets([], "/", body)

    assert remove_secrets("nothing of it", secrets) == "***"
    assert remove_secrets("is 'secret 100'", secrets[:100]) == "is '***'"


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ('{"a":[1]}', False),
        ('{"a":{"passworD":1}}', True),
        ('{"a":"?access_token=x"}', True),
        ('{"pa\u017f\u017fword":1}', True),
    ],
)
def test_documents_that_name_no_secret_are_known(body: str, named: bool) -> None:
    assert Masks().may_have_secrets(body.encode()) is named
