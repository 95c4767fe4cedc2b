"""The journal that explains: what a violation breaks, what an unmatched request is near, and all of it as HAR."""

from __future__ import annotations

import socket
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import pytest
import rfc3986_validator
from haralyzer import HarParser

from promo_sandbox.admin.explanations import Explainer
from promo_sandbox.admin.har import entries
from promo_sandbox.base.messages import Request
from promo_sandbox.model.journal import Exchange
from tests.admin.conftest import AssertRejected
from tests.serving import OrgClient

_PAIRS = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["name", "value"],
        "properties": {"name": {"type": "string"}, "value": {"type": "string"}},
        "additionalProperties": {"not": {}},
    },
}
_SIZE = {"type": "integer", "minimum": -1}
_TIME = {"type": "number", "minimum": 0}
_MESSAGE = {
    "httpVersion": {"type": "string"},
    "cookies": _PAIRS,
    "headers": _PAIRS,
    "headersSize": _SIZE,
    "bodySize": _SIZE,
}


def _object(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    """An object with these members and further ones whose names begin with an underscore."""
    return {
        "type": "object",
        "required": list(required),
        "properties": required | (optional or {}),
        "patternProperties": {"^_": {}},
        "additionalProperties": False,
    }


HAR = _object(
    {
        "log": _object(
            {
                "version": {"const": "1.2"},
                "creator": _object({"name": {"type": "string"}, "version": {"type": "string"}}),
                "entries": {
                    "type": "array",
                    "items": _object(
                        {
                            "startedDateTime": {"type": "string", "format": "date-time"},
                            "time": _TIME,
                            "request": _object(
                                {
                                    "method": {"type": "string"},
                                    "url": {"type": "string", "format": "uri"},
                                    "queryString": _PAIRS,
                                    **_MESSAGE,
                                },
                                {"postData": _object({"mimeType": {"type": "string"}, "text": {"type": "string"}})},
                            ),
                            "response": _object(
                                {
                                    "status": {"type": "integer"},
                                    "statusText": {"type": "string"},
                                    "redirectURL": {"type": "string"},
                                    "content": _object(
                                        {"size": {"type": "integer", "minimum": 0}, "mimeType": {"type": "string"}},
                                        {"text": {"type": "string"}},
                                    ),
                                    **_MESSAGE,
                                }
                            ),
                            "cache": _object({}),
                            "timings": _object({"send": _TIME, "wait": _TIME, "receive": _TIME}),
                        }
                    ),
                },
            },
            {"comment": {"type": "string"}, "browser": {}, "pages": {"type": "array"}},
        )
    }
)


def nearest(org_client: OrgClient) -> list[tuple[str, str]]:
    return [(near["operation"], near["why"]) for near in org_client.last()["nearest"]]


@pytest.mark.parametrize(
    ("method", "path", "first", "why"),
    [
        ("PATCH", "/acme/shop/things", "listThings", "the method is PATCH, not GET"),
        ("GET", "/acme/shop/thing", "listThings", "segment 3 is thing, not things"),
        ("GET", "/acme/shop/Things", "listThings", "segment 3 is Things, not things"),
        ("POST", "/acme/shop/thing", "addThing", "segment 3 is thing, not things"),
        ("GET", "/acme/shop/things/a/b", "getThing", "1 segment too many"),
        ("GET", "/acme/shop/things/", "getThing", "segment 4 is empty and should be {id}"),
        ("GET", "/acme//things", "listThings", "segment 2 is empty and should be {shop}"),
        ("GET", "/shop/things", "listThings", "the path lacks the prefix /acme"),
        ("GET", "/acme", "greet", "1 segment too few"),
        ("DELETE", "/acme/greetings", "greet", "segment 2 is greetings, not greeting; the method is DELETE, not GET"),
    ],
)
def test_a_request_that_matched_nothing_tells_the_nearest_operations_and_why(
    org_client: OrgClient, method: str, path: str, first: str, why: str
) -> None:
    org_client.request(method, path, headers={"Sandbox-Org": org_client.org})

    found = nearest(org_client)

    assert (first, why) in found
    assert found.index((first, why)) <= 1
    assert len(found) <= 5


def test_a_path_like_no_other_is_near_nothing(org_client: OrgClient) -> None:
    org_client.request("GET", "/favicon.ico", headers={"Sandbox-Org": org_client.org})
    org_client.request("GET", "/", headers={"Sandbox-Org": org_client.org})

    journal = org_client.admin("GET", "/requests").json()["requests"]

    assert [exchange["nearest"] for exchange in journal] == [[], []]


def test_a_request_that_matched_is_near_nothing_else(org_client: OrgClient) -> None:
    org_client.request("GET", f"/acme/{org_client.org}/things/none")

    assert (org_client.last()["nearest"], org_client.last()["operation"]) == ([], "getThing")


def test_the_shown_path_and_method_are_the_operation_s(org_client: OrgClient) -> None:
    org_client.request("GET", f"/~{org_client.org}/acme/shop/notes")

    assert {
        "operation": "putNote",
        "method": "PUT",
        "path": "/acme/{shop}/notes/{id}",
        "why": "1 segment too few; the method is GET, not PUT",
    } in org_client.last()["nearest"]


def test_a_path_of_many_segments_is_looked_at_no_further_than_needed(org_client: OrgClient) -> None:
    org_client.request("GET", f"/acme/{org_client.org}/things" + "/x" * 5000, headers={"Sandbox-Org": org_client.org})

    assert len(org_client.last()["nearest"]) == 5


def test_a_violation_tells_which_part_of_the_spec_it_breaks(org_client: OrgClient) -> None:
    org_client.request("POST", f"/acme/{org_client.org}/things", {"price": {"unit": "EUR", "value": -1}})

    assert {violation["where"]: violation["spec"] for violation in org_client.last()["violations"]} == {
        "body.name": "acme/things.yaml#/components/schemas/NewThing/required",
        "body.price.value": "acme/things.yaml#/components/schemas/Price/properties/value/minimum",
    }


def test_a_violation_of_another_version_of_the_contract_names_its_patch(org_client: OrgClient) -> None:
    org_client.seed("acme", settings=[{"edition": "8"}])
    org_client.request("POST", f"/acme/{org_client.org}/things", {"name": "Lamp"})

    exchange = org_client.last()

    assert exchange["version"] == "8"
    assert [violation["spec"] for violation in exchange["violations"]] == [
        "acme/things.yaml#/x-versions/patches/8/components/schemas/CodedThing/allOf/1/required"
    ]


def test_a_violation_is_explained_by_the_version_that_was_in_force_then(org_client: OrgClient) -> None:
    org_client.seed("acme", settings=[{"edition": "8"}])
    org_client.request("POST", f"/acme/{org_client.org}/things", {"name": "Lamp"})
    org_client.seed("acme", settings=[{"edition": "7"}])

    [violation] = org_client.last()["violations"]

    assert "/patches/8/" in violation["spec"]


def test_secrets_are_masked_in_targets_bodies_and_cookies(org_client: OrgClient) -> None:
    org_client.http.post(
        f"{org_client.url}/acme/session?access_token=SECRET1&sig=SECRET7",
        content="client=a&secret=visible&client_secret=SECRET2&password=SECRET3",
        headers={
            "Content-Type": "application/x-www-form-urlencoded",
            "Sandbox-Org": org_client.org,
            "Cookie": "session=SECRET4; SECRET9",
            "Referer": "http://a.example/?access_token=SECRET10",
            "X-Api-Key": "SECRET5",
            "Acme-Key": "SECRET8",
            "Authorization": "SECRET6",
        },
    )

    shown = org_client.admin("GET", "/requests").text + org_client.admin("GET", "/requests.har").text
    shown += org_client.admin("GET", "/requests/stream?follow=false").text

    assert shown.count("/acme/session?access_token=***&sig=***") == 3
    assert "SECRET" not in shown
    assert "secret=visible" in shown
    assert org_client.admin("POST", "/requests/count", {"rejected": False}).json() == {"count": 1}


def test_the_journal_can_show_a_stored_url_with_a_secret(org_client: OrgClient) -> None:
    org_client.request("POST", f"/acme/{org_client.org}/things", {"name": "http://a.example/?access_token=SECRET1"})

    exchange = org_client.last()

    assert exchange["request"]["body"] == '{"name":"http://a.example/?access_token=***"}'
    assert exchange["changes"][0]["after"]["name"] == "http://a.example/?access_token=***"


def test_a_large_document_that_names_secrets_is_masked_whole(org_client: OrgClient) -> None:
    def shown(name: str) -> Any:
        assert org_client.request("POST", f"/acme/{org_client.org}/things", {"name": name}).status_code == 201
        return org_client.last()["changes"][0]["after"]

    assert shown("x" * 200_000)["name"] == "x" * 200_000
    assert shown("x" * 100_000 + "?password=SECRET1")["name"] == "x" * 100_000 + "?password=***"
    assert shown("x" * 140_000 + "?password=SECRET2") == {"***": "***"}


def test_secrets_are_masked_in_sentences_about_a_request(org_client: OrgClient) -> None:
    script = {
        "otherwise": "fail",
        "steps": [{"operation": "addThing", "when": {"headers": {"authorization": "Bearer b"}}}],
    }
    org_client.admin("PUT", "/scenario", script)

    org_client.request(
        "POST", f"/acme/{org_client.org}/things", {"name": "Lamp"}, headers={"Authorization": "Bearer SECRET1"}
    )
    org_client.request("GET", f"/acme/{org_client.org}/things?limit=x", headers={"Authorization": "Bearer SECRET1"})

    shown = org_client.admin("GET", "/requests").text + org_client.admin("GET", "/scenario").text
    assert "headers.authorization has another value" in shown
    assert "SECRET" not in shown


def test_a_token_that_the_sandbox_gave_out_is_shown_in_the_reply(org_client: OrgClient) -> None:
    response = org_client.http.post(
        f"{org_client.url}/acme/session",
        content="client=a&secret=b",
        headers={"Content-Type": "application/x-www-form-urlencoded", "Sandbox-Org": org_client.org},
    )

    assert org_client.last()["reply"]["body"] == response.text


@pytest.fixture
def asked(org_client: OrgClient) -> OrgClient:
    """An org that was asked five things in different ways."""
    org_client.freeze("2030-01-01T00:00:00Z")
    org_client.request("POST", f"/acme/{org_client.org}/things", {"name": "Lamp é", "code": "1"})
    org_client.request("POST", f"/acme/{org_client.org}/things", {"name": "Lamp", "code": "1"})
    org_client.request("GET", f"/acme/{org_client.org}/things?limit=0&tag=a%20b&tag=")
    org_client.request("GET", f"/acme/{org_client.org}/nothing", headers={"Cookie": "a=1; b=2"})
    org_client.request("PUT", f"/acme/{org_client.org}/notes/x", {"text": ""})
    return org_client


def test_the_log_is_valid_har(asked: OrgClient) -> None:
    response = asked.admin("GET", "/requests.har")

    assert response.headers["content-type"] == "application/json"
    jsonschema.validate(response.json(), HAR, format_checker=jsonschema.FormatChecker())
    entries = response.json()["log"]["entries"]
    assert [entry["_sandbox"]["exchange"] for entry in entries] == [1, 2, 3, 4, 5]
    assert {entry["startedDateTime"] for entry in entries} == {"2030-01-01T00:00:00.000Z"}


def test_an_independent_library_reads_the_log(asked: OrgClient) -> None:
    log = asked.admin("GET", "/requests.har").json()

    entries = [entry for page in HarParser(log).pages for entry in page.entries]

    assert [entry.response.status for entry in entries] == [201, 409, 400, 404, 204]
    assert entries[0].request.text == '{"name":"Lamp é","code":"1"}'
    assert {entry.startTime.isoformat() for entry in entries} == {"2030-01-01T00:00:00+00:00"}
    assert log["log"]["pages"] == []  # Firefox imports nothing where there is no such list


def test_the_time_of_an_entry_has_the_delay_in_it(org_client: OrgClient) -> None:
    org_client.request("GET", f"/acme/{org_client.org}/things", headers={"Prefer": "wait=0.25"})

    (entry,) = org_client.admin("GET", "/requests.har").json()["log"]["entries"]

    assert 250 <= entry["time"] < 1000
    assert entry["time"] == sum(entry["timings"].values())


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_an_entry_says_by_which_version_it_was_asked(org_client: OrgClient, version: str) -> None:
    _ask(org_client, f"GET /acme/{org_client.org}/things HTTP/{version}\r\nHost: shop.example\r\n\r\n".encode())

    (entry,) = org_client.admin("GET", "/requests.har").json()["log"]["entries"]

    assert (entry["request"]["httpVersion"], entry["response"]["httpVersion"]) == (f"HTTP/{version}", "HTTP/1.1")


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("shop.example:8080", "shop.example:8080"),
        ("my_shop", "my_shop"),
        ("[::1]:8080", "[::1]:8080"),
        ("a b", "localhost"),
        ("shop.example:99999", "localhost"),
        ("user@shop.example", "localhost"),
        ("é", "localhost"),
    ],
)
def test_the_address_of_an_entry_is_valid_whatever_a_client_sends(host: str, shown: str) -> None:
    request = Request("GET", '/a b/é"?q=[x]|%zz%41', [(b"host", host.encode())])

    (entry,) = entries([Exchange(at=0, request=request)], Explainer([]))

    url = entry["request"]["url"]
    assert url == f"http://{shown}/a%20b/%E9%22?q=%5Bx%5D%7C%25zz%41"
    assert rfc3986_validator.validate_rfc3986(url)


def _ask(org_client: OrgClient, sent: bytes) -> None:
    address = urlsplit(org_client.url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(sent)
        assert connection.recv(65536).startswith(b"HTTP/1.1 ")


def test_an_entry_of_the_log_says_what_was_on_the_wire_and_what_is_known(asked: OrgClient) -> None:
    added, taken, invalid, unmatched, empty = asked.admin("GET", "/requests.har").json()["log"]["entries"]

    assert added["request"]["url"] == f"{asked.url}/acme/{asked.org}/things"
    assert added["request"]["postData"] == {"mimeType": "application/json", "text": '{"name":"Lamp é","code":"1"}'}
    assert added["request"]["bodySize"] == len('{"name":"Lamp é","code":"1"}'.encode())
    assert added["time"] == added["timings"]["wait"] > 0
    assert (taken["response"]["status"], taken["response"]["statusText"]) == (409, "Conflict")
    assert {"name": "content-type", "value": "application/problem+json"} in taken["response"]["headers"]
    assert taken["_sandbox"]["rejection"] == "code-taken"
    assert taken["_sandbox"]["source"] == "documented: test"
    assert invalid["request"]["queryString"] == [
        {"name": "limit", "value": "0"},
        {"name": "tag", "value": "a b"},
        {"name": "tag", "value": ""},
    ]
    assert invalid["_sandbox"]["violations"][0]["spec"].endswith("/parameters/0/schema/minimum")
    assert unmatched["request"]["cookies"] == [{"name": "a", "value": "***"}, {"name": "b", "value": "***"}]
    assert "postData" not in unmatched["request"]
    assert "text" not in empty["response"]["content"]


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("limit=2", [4, 5]),
        ("rejected=true", [2, 3, 4]),
        ("rejected=false", [1, 5]),
        ("unmatched=true", [4]),
        ("operation=addThing&status=409", [2]),
        ("since=3&internal_error=false", [4, 5]),
    ],
)
def test_the_log_has_the_filters_of_the_journal(asked: OrgClient, query: str, ids: list[int]) -> None:
    entries = asked.admin("GET", f"/requests.har?{query}").json()["log"]["entries"]

    assert [entry["_sandbox"]["exchange"] for entry in entries] == ids


def test_the_journal_can_be_asked_for_what_was_rejected(asked: OrgClient) -> None:
    found = asked.admin("GET", "/requests?rejected=true").json()["requests"]

    assert [exchange["id"] for exchange in found] == [4, 3, 2]


@pytest.mark.parametrize("query", ["limit=0", "limit=100001", "rejected=1"])
def test_the_log_s_filters_have_types(asked: OrgClient, is_rejected: AssertRejected, query: str) -> None:
    is_rejected(asked.admin("GET", f"/requests.har?{query}"), "invalid-request")
