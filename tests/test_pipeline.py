"""From a request to its reply: the org, the operation, and all error responses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from promo_sandbox.base import clock, slices
from promo_sandbox.base.messages import Reply, decode
from promo_sandbox.engine.pipeline import Pipeline
from promo_sandbox.model.auth import Grant
from promo_sandbox.model.effects import Effects, Fault
from promo_sandbox.model.journal import MAX_BODY
from promo_sandbox.openapi.document import Document
from promo_sandbox.rules import Call, Work
from tests.acme import SPEC, Acme, content, header, new_rules, rejecting


@pytest.fixture
def acme() -> Acme:
    return Acme()


def greeted(acme: Acme, target: str = "/acme/greeting", **sent: Any) -> Any:
    """The org and the tenant in the rule's call."""
    seen = content(acme.send("GET", target, **sent))
    return seen["org"], seen["tenant"]


# The org


def test_a_request_that_names_no_org_is_for_the_default_one(acme: Acme) -> None:
    assert greeted(acme) == ("default", "default")


def test_the_path_names_the_org(acme: Acme) -> None:
    acme.send("POST", "/acme/shop%201/things", {"name": "Lamp"})

    assert [org.name for org in acme.orgs] == ["shop 1"]


def test_the_token_names_the_org(acme: Acme) -> None:
    token = acme.authenticator.issue(
        org="t1", vendor="acme", tenant=None, scopes=None, customer=None, issued=0, expires=clock.LATEST, number=1
    )

    assert greeted(acme, token=token) == ("t1", "t1")
    assert greeted(acme, token="sandbox;tenant=t2") == ("t2", "t2")
    assert greeted(acme, token="a-stranger-s") == ("default", "default")


def test_a_header_of_the_vendor_names_the_org(acme: Acme) -> None:
    assert greeted(acme, headers={"ACME-shop": "h1"}) == ("h1", "h1")
    assert greeted(acme, headers={"Acme-Shop": ""}) == ("default", "default")


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("h1.api-se.acme.test", "h1"),
        ("h1.localhost:8080", "h1"),
        ("H-1.acme.test", "H-1"),
        ("localhost", "default"),
        ("localhost:8080", "default"),
        ("127.0.0.1:8080", "default"),
        ("[::1]:8080", "default"),
        ("", "default"),
    ],
)
def test_the_first_label_of_a_host_names_the_org(acme: Acme, host: str, name: str) -> None:
    assert greeted(acme, headers={"Host": host})[0] == name


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("shop=q1", "q1"),
        ("x=1&shop=q%201+a", "q 1 a"),
        ("shop=q1&shop=q2", "q2"),
        ("shop=caf%C3%A9", "café"),
        ("shop=", "default"),
        ("shop", "default"),
        ("shops=q1", "default"),
        ("Shop=q1", "default"),
        ("shop=%FF", "default"),
        ("%FF=q1&shop=q2", "q2"),
        ("", "default"),
    ],
)
def test_a_query_names_the_org(acme: Acme, query: str, name: str) -> None:
    assert greeted(acme, f"/acme/greeting?{query}") == (name, name)


WHO = b"client=app&secret=s"


def opened(acme: Acme, form: bytes, **sent: Any) -> Any:
    """The reply to a client that sends its credentials in a form."""
    return content(acme.send("POST", "/acme/session", form=form, token=None, **sent))


@pytest.mark.parametrize(
    ("form", "name"),
    [
        (b"shop=f1", "f1"),
        (b"shop=f1&shop=f2", "f2"),
        (b"shop=f%201+a", "f 1 a"),
        (b"shop=caf%C3%A9", "café"),
        ("shop=café".encode(), "café"),
        (b"scope=shop=s1", "s1"),
        (b"scope=a+shop%3Ds1+b", "s1"),
        (b"scope=shop%3Ds1+shop%3Ds2", "s1"),
        (b"scope=a%20shop%3Ds%3D1%20b", "s=1"),
        (b"scope=workshop%3Ds1+shopping%3Ds2+shop", "default"),
        (b"scope=shop%3D", "default"),
        (b"scope=", "default"),
        (b"scope=shop%3Ds1&shop=f1", "f1"),
        (b"scope=shop%3Ds1&shop=", "s1"),
        (b"", "default"),
    ],
)
def test_a_form_names_the_org_by_a_field_or_by_a_word_in_one(acme: Acme, form: bytes, name: str) -> None:
    said = opened(acme, WHO + b"&" + form)

    assert (said["org"], said["named"]) == (name, name != "default")


@pytest.mark.parametrize(
    "media",
    [
        "application/x-www-form-urlencoded",
        "application/x-www-form-urlencoded;charset=utf-8",
        "Application/X-WWW-Form-urlencoded",
    ],
)
def test_a_form_is_known_by_its_media_type(acme: Acme, media: str) -> None:
    assert opened(acme, WHO + b"&shop=f1", headers={"Content-Type": media})["org"] == "f1"


def test_a_body_of_another_media_type_names_no_org(acme: Acme) -> None:
    reply = acme.send("POST", "/acme/session", form=WHO + b"&shop=f1", headers={"Content-Type": "text/plain"})

    assert reply.status == 415
    assert [org.name for org in acme.orgs] == ["default"]


@pytest.mark.parametrize("form", [b"shop=%FF", b"shop=%FF&scope=shop%3D%FE", b"%FF=f1", b"&&=&shop"])
def test_a_form_that_is_not_utf_8_names_no_org_and_is_rejected(acme: Acme, form: bytes) -> None:
    reply = acme.send("POST", "/acme/session", form=WHO + b"&client=%FF&" + form, token=None)

    assert reply.status == 400
    assert "is not percent-encoded UTF-8" in content(reply)["detail"]
    assert (acme.last("default").rejection, acme.last("default").violations[0].kind) == ("invalid-request", "syntax")


def test_a_form_with_bytes_that_are_not_utf_8_is_rejected(acme: Acme) -> None:
    reply = acme.send("POST", "/acme/session", form=WHO + b"&x=\xff\xfe", token=None)

    assert (reply.status, content(reply)["detail"]) == (400, "body: The body is not UTF-8.")
    assert acme.last("default").internal_error is None


def test_a_rule_knows_whether_anything_named_the_org(acme: Acme) -> None:
    said = [
        opened(acme, WHO),
        opened(acme, WHO, headers={"Sandbox-Org": "default"}),
        opened(acme, WHO + b"&shop=f1"),
        content(acme.send("POST", "/~p1/acme/session", form=WHO, token=None)),
        content(acme.send("POST", "/acme/session", form=WHO, token="sandbox;tenant=t1")),
    ]

    assert [(heard["org"], heard["named"]) for heard in said] == [
        ("default", False),
        ("default", True),
        ("f1", True),
        ("p1", True),
        ("t1", True),
    ]


def test_the_sources_come_in_their_order(acme: Acme) -> None:
    everything: dict[str, Any] = {
        "token": "sandbox;tenant=token",
        "headers": {"Acme-Shop": "header", "Host": "host.acme.test"},
    }
    named = {**everything, "headers": {**everything["headers"], "Sandbox-Org": "named"}}

    acme.send("GET", "/~prefix/acme/path/things", **named)
    acme.send("GET", "/acme/path/things", **named)
    acme.send("GET", "/acme/path/things", **everything)

    assert [org.name for org in acme.orgs] == ["named", "path", "prefix"]
    assert greeted(acme, "/~prefix/acme/greeting", **named)[0] == "prefix"
    assert greeted(acme, **named)[0] == "named"
    assert greeted(acme, **everything)[0] == "token"
    assert greeted(acme, "/acme/greeting?shop=query", headers=everything["headers"])[0] == "header"
    assert greeted(acme, "/acme/greeting?shop=query", headers={"Host": "host.acme.test"})[0] == "query"
    form = WHO + b"&shop=form&scope=shop%3Dword"
    assert opened(acme, form, headers={"Host": "host.acme.test"})["org"] == "form"
    assert opened(acme, WHO, headers={"Host": "host.acme.test"})["org"] == "host"


def test_a_prefix_changes_the_org_and_not_what_the_vendor_calls_it(acme: Acme) -> None:
    token = acme.authenticator.issue(
        org="t42", vendor="acme", tenant="shop", scopes=None, customer=None, issued=0, expires=clock.LATEST, number=1
    )

    reply = acme.send("POST", "/~t42/acme/shop/things", {"name": "Lamp"}, token=token)

    assert reply.status == 201
    assert [doc["name"] for doc in acme.stored("t42")] == ["Lamp"]
    assert acme.orgs.find("shop") is None


def test_a_prefix_works_for_every_path_and_is_kept_in_the_journal(acme: Acme) -> None:
    reply = acme.send("GET", "/~t42/no/such/path?x=1")

    assert reply.status == 404
    assert acme.last("t42").request.target == "/~t42/no/such/path?x=1"
    assert acme.last("t42").request.prefix == "/~t42"


def test_an_unmatched_path_is_in_the_journal_of_the_org_it_names(acme: Acme) -> None:
    acme.send("GET", "/acme/shop/thingies")
    acme.send("PATCH", "/acme/shop/things")
    acme.send("GET", "/elsewhere", headers={"Sandbox-Org": "named"})
    acme.send("GET", "/elsewhere")

    assert [(org.name, len(list(org.journal.exchanges()))) for org in acme.orgs] == [
        ("default", 1),
        ("named", 1),
        ("shop", 2),
    ]


@pytest.mark.parametrize("target", ["/~shop%201/acme/greeting", "/acme/shop%201/nothing"])
def test_a_percent_encoded_name_is_that_of_the_same_org_everywhere(acme: Acme, target: str) -> None:
    acme.send("GET", "/acme/shop%201/things")
    acme.send("GET", target)

    assert [org.name for org in acme.orgs] == ["shop 1"]


def test_a_prefix_does_not_hide_the_tenant_that_the_token_names(acme: Acme) -> None:
    assert greeted(acme, "/~t42/acme/guarded-greeting", token="sandbox;tenant=shop") == ("t42", "shop")


def test_the_name_of_an_org_has_a_longest_length(acme: Acme) -> None:
    assert acme.send("GET", "/acme/greeting", headers={"Sandbox-Org": "x" * 256}).status == 200
    reply = acme.send("GET", "/acme/greeting", headers={"Sandbox-Org": "x" * 257})

    assert (reply.status, reply.media) == (400, "application/problem+json")
    assert content(reply)["title"] == "Org name too long"
    assert len(acme.orgs) == 1


def test_no_more_orgs_than_admitted() -> None:
    acme = Acme(limit=1)
    acme.send("GET", "/acme/a/things")

    reply = acme.send("GET", "/acme/b/things")

    assert (reply.status, content(reply)["title"]) == (503, "Too many orgs")
    assert acme.send("GET", "/acme/a/things").status == 200


# The operation


def test_an_unknown_path_is_rejected_in_the_vendor_s_form(acme: Acme) -> None:
    reply = acme.send("GET", "/acme/shop/thingies")

    assert (reply.status, reply.media) == (404, "application/problem+json")
    assert content(reply) == {"error": "nowhere", "detail": "There is no /acme/shop/thingies."}
    assert acme.last("shop").operation is None
    assert (acme.last("shop").vendor, acme.last("shop").rejection) == ("acme", "unknown-path")


def test_an_unknown_path_of_no_vendor_is_rejected_in_the_sandbox_s_form(acme: Acme) -> None:
    reply = acme.send("GET", "/elsewhere")

    assert content(reply) == {
        "type": "about:blank",
        "title": "Not found",
        "status": 404,
        "detail": "There is no /elsewhere.",
    }
    assert acme.last("default").vendor is None


@pytest.mark.parametrize("method", ["PUT", "PATCH", "OPTIONS", "get", "BREW"])
def test_another_method_is_rejected_with_all_methods_of_the_path(acme: Acme, method: str) -> None:
    reply = acme.send(method, "/acme/shop/things/t-1")

    assert reply.status == 405
    assert header(reply, "allow") == "DELETE, GET, HEAD"
    assert content(reply) == {"error": "nohow", "detail": f"/acme/shop/things/t-1 has DELETE, GET, HEAD, not {method}."}
    assert acme.last("shop").rejection == "unknown-method"


def test_a_path_takes_no_slash_too_many_or_too_few(acme: Acme) -> None:
    assert [
        acme.send("GET", path).status for path in ("/acme/shop/things/", "/acme//things", "//acme/shop/things")
    ] == [
        404,
        404,
        404,
    ]


def test_a_percent_encoded_slash_is_part_of_an_id(acme: Acme) -> None:
    acme.orgs.seed(acme.orgs.get("shop"), {"acme": {"things": [{"id": "a/b", "name": "x"}]}})

    reply = acme.send("GET", "/acme/shop/things/a%2Fb")

    assert (reply.status, content(reply)["id"]) == (200, "a/b")


def test_credentials_are_validated_before_the_request(acme: Acme) -> None:
    anonymous = acme.send("POST", "/acme/shop/things", {}, token=None)
    expired = acme.send("POST", "/acme/shop/things", {}, token="expired")
    foreign = acme.send("POST", "/acme/shop/things", {}, token="sandbox;tenant=other")
    scope = acme.send("POST", "/acme/shop/things", {}, token="sandbox;scope=none")

    assert [(reply.status, content(reply)["detail"]) for reply in (anonymous, expired, foreign, scope)] == [
        (401, "Who are you?"),
        (401, "No more."),
        (403, "Not here."),
        (403, "Not this."),
    ]
    assert acme.last("shop").rejection == "insufficient-scope"


def test_a_401_that_declares_no_challenge_has_that_of_the_operation_s_security_schemes(acme: Acme) -> None:
    def challenge(method: str, target: str, token: str | None) -> str | None:
        reply = acme.send(method, target, {"name": "x"}, token=token)
        assert reply.status == 401
        return header(reply, "WWW-Authenticate")

    assert challenge("GET", "/acme/shop/things", None) == 'Bearer realm="acme"'
    assert challenge("GET", "/acme/shop/things", "invalid") == 'Bearer realm="acme", error="invalid_token"'
    assert challenge("POST", "/acme/token", "invalid") == 'Basic realm="acme"'
    assert challenge("POST", "/acme/shop/orders", None) == 'Bearer realm="acme", Basic realm="acme"'
    assert challenge("POST", "/acme/shop/orders", "expired") == (
        'Bearer realm="acme", error="invalid_token", Basic realm="acme"'
    )


def test_a_header_that_can_have_but_one_value_is_sent_with_each_reply_that_declares_it(tmp_path: Path) -> None:
    (tmp_path / "acme").mkdir()
    path = tmp_path / "acme" / "things.yaml"
    text = SPEC.read_text(encoding="utf-8")
    total = "headers: {Acme-Total: {required: true, schema: {type: string}}}"
    kept = f"{total[:-2]}, example: '0'}}, Cache-Control: {{schema: {{const: no-store}}}}}}"
    assert text.count(total) == 1
    path.write_text(text.replace(total, kept), encoding="utf-8")
    acme = Acme(documents=Document.load(path))

    listed = acme.send("GET", "/acme/shop/things")
    preferred = acme.send("GET", "/acme/shop/things", headers={"Prefer": "code=200"})
    rejected = acme.send("GET", "/acme/shop/things?limit=0")

    found = [(reply.status, header(reply, "Cache-Control")) for reply in (listed, preferred, rejected)]
    assert found == [(200, "no-store"), (200, "no-store"), (400, None)]


def test_a_token_issued_by_a_rule_is_held_to_its_org(acme: Acme) -> None:
    login = acme.send("POST", "/acme/token", token=None, headers={"Authorization": "Basic YTpi", "Sandbox-Org": "t1"})
    token = content(login)["token"]

    assert greeted(acme, "/acme/guarded-greeting", token=token) == ("t1", "t1")
    assert acme.send("GET", "/acme/t1/things", token=token).status == 200
    assert acme.send("GET", "/acme/t2/things", token=token).status == 403


def test_a_vendor_may_ask_more_of_credentials_than_that_they_are_right(acme: Acme) -> None:
    banned = acme.send("POST", "/acme/shop/things", {}, token="sandbox;state=banned")
    other = acme.send("POST", "/acme/shop/things", {"name": "Lamp"}, token="sandbox;state=free")

    assert (banned.status, content(banned)) == (401, {"error": "unauthorized", "detail": "Banned."})
    assert other.status == 201
    assert [exchange.rejection for exchange in acme.orgs.get("shop").journal.exchanges()] == [
        "invalid-credentials",
        None,
    ]


def test_the_admission_of_a_vendor_runs_after_the_check_of_the_token(acme: Acme) -> None:
    acme.send("POST", "/acme/shop/things", {}, token="sandbox;state=banned;tenant=other")

    assert acme.last("shop").rejection == "foreign-credentials"


def test_where_no_credentials_are_asked_for_nothing_more_is_asked_of_them(acme: Acme) -> None:
    assert acme.send("GET", "/acme/greeting", token="sandbox;state=banned").status == 200


def test_a_rule_of_admission_sees_the_grant_and_the_tenant_but_no_values_yet() -> None:
    seen: list[Any] = []
    rules = new_rules()

    @rules.on_admission
    def look(call: Call) -> None:
        seen.append((call.grant, call.tenant, call.values))

    Acme(rules=rules).send("GET", "/~team/acme/guarded-greeting", token="sandbox;tenant=t1;entity=E1")

    assert seen == [(Grant(tenant="t1", claims={"entity": "E1"}), "t1", None)]


def test_changes_of_an_admission_that_rejects_are_rolled_back() -> None:
    rules = new_rules()

    @rules.on_admission
    def write(call: Call) -> None:
        call.add(rules.collections["notes"], {"id": "n", "text": "x"})
        call.reject("invalid-credentials")

    acme = Acme(rules=rules)

    assert acme.send("GET", "/acme/shop/things").status == 401
    assert acme.stored("shop", "notes") == []


def test_an_admission_that_fails_is_an_internal_error() -> None:
    rules = new_rules()
    rules.on_admission(lambda call: call.reject("no-such-name"))
    acme = Acme(rules=rules)

    assert acme.send("GET", "/acme/shop/things").status == 500
    assert acme.last("shop").internal_error == "OffContract: listThings declares no rejection no-such-name"


def test_credentials_may_be_outside_authorization(acme: Acme) -> None:
    known = opened(acme, b"client=app&secret=s")
    unknown = acme.send("POST", "/acme/session", form=b"client=app&secret=invalid", token=None)

    assert known["org"] == "default"
    assert (unknown.status, content(unknown)) == (401, {"error": "unauthorized", "detail": "Who is app?"})


def test_a_strict_server_knows_its_clients_everywhere() -> None:
    acme = Acme(strict=True, clients={"app": "s"})

    right = opened(acme, b"client=app&secret=s")
    wrong = acme.send("POST", "/acme/session", form=b"client=app&secret=x", token=None)

    assert (right["org"], wrong.status) == ("default", 401)


def test_a_token_that_is_sent_in_a_form_is_read_by_its_rule(acme: Acme) -> None:
    first = opened(acme, WHO + b"&shop=f1")
    again = opened(acme, WHO + b"&shop=f1&token=" + first["token"].encode())
    elsewhere = opened(acme, WHO + b"&shop=f2&token=" + first["token"].encode())
    described = opened(acme, WHO + b"&token=sandbox;customer%3DC1;session%3DS1")
    stranger = opened(acme, WHO + b"&token=any")

    assert len(again["session"]) == 8
    assert (again["customer"], again["org"]) == ("", "f1")
    assert "session" not in first | elsewhere | stranger
    assert (described["customer"], described["session"]) == ("C1", "S1")


def test_a_token_that_a_rule_issued_for_ever_does_not_expire(acme: Acme) -> None:
    token = opened(acme, WHO + b"&shop=f1")["token"]
    clock_of = acme.orgs.get("f1").clock
    clock_of.freeze()
    clock_of.set(clock.LATEST)

    assert acme.send("GET", "/acme/f1/things", token=token).status == 200


def test_a_token_whose_claims_are_not_strings_is_invalid(acme: Acme) -> None:
    claims: dict[str, Any] = {"entity": 7}
    token = acme.authenticator.issue(
        org="shop",
        vendor="acme",
        tenant=None,
        scopes=[],
        customer=None,
        claims=claims,
        issued=0,
        expires=None,
        number=1,
    )

    replies = [server.send("GET", "/acme/guarded-greeting", token=token) for server in (acme, Acme(strict=True))]

    assert [reply.status for reply in replies] == [200, 401]
    assert content(replies[0])["org"] == "default"


@pytest.mark.parametrize(
    ("token", "status"),
    [
        ("sandbox;scope=orders.write", 200),
        ("sandbox;scope=things.write", 200),
        ("any", 200),
        ("sandbox;scope=things.read", 403),
    ],
)
def test_one_of_several_scopes_is_enough(acme: Acme, token: str, status: int) -> None:
    assert acme.send("POST", "/acme/shop/orders", {"name": "Lamp"}, token=token).status == status


def test_a_client_s_secret_may_stand_for_a_token(acme: Acme) -> None:
    reply = acme.send(
        "POST", "/acme/shop/orders", {"name": "Lamp"}, token=None, headers={"Authorization": "Basic YTpi"}
    )

    assert (reply.status, content(reply)["refundable"]) == (200, True)


def test_all_violations_are_reported_at_once_and_journalled(acme: Acme) -> None:
    reply = acme.send("GET", "/acme/shop/things?limit=0&tag=a&tag=b&tag=c", headers={"Acme-Trace": "1"})

    assert reply.status == 400
    assert content(reply)["error"] == "invalid"
    assert [violation.where for violation in acme.last("shop").violations] == [
        "query.limit",
        "query.tag",
        "header.Acme-Trace",
    ]
    assert content(reply)["detail"] == "; ".join(map(str, acme.last("shop").violations))


def test_a_vendor_may_declare_a_rejection_for_a_missing_body(acme: Acme) -> None:
    empty = acme.send("POST", "/acme/session", form=b"", token=None)
    incomplete = acme.send("POST", "/acme/session", form=b"client=app", token=None)
    none_of_its_own = acme.send("POST", "/acme/shop/things")

    assert [content(reply)["detail"] for reply in (empty, incomplete, none_of_its_own)] == [
        "body: is required",
        "body.secret: is required",
        "body: is required",
    ]
    assert [exchange.rejection for exchange in acme.orgs.get("default").journal.exchanges()] == [
        "missing-body",
        "invalid-request",
    ]
    assert acme.last("shop").rejection == "invalid-request"


def test_an_unreadable_body_is_rejected_even_if_the_vendor_declares_no_rejection(acme: Acme) -> None:
    reply = acme.send("POST", "/acme/shop/things", {"name": "Lamp"}, headers={"Content-Type": "text/plain"})

    assert reply.status == 415
    assert content(reply)["type"] == "about:blank"


# The reply


def test_a_success_has_the_status_of_the_spec_and_the_id_of_its_exchange(acme: Acme) -> None:
    reply = acme.send("POST", "/acme/shop/things", {"name": "Lamp", "parts": [{"part": "x", "no": 1}], "unknown": 1})

    assert (reply.status, reply.media) == (201, "application/json")
    assert header(reply, "Sandbox-Exchange") == "1"
    made = acme.last("shop")
    assert (made.id, made.operation, made.vendor, made.status) == (1, "addThing", "acme", 201)
    assert (made.rejection, made.internal_error, made.violations) == (None, None, [])
    assert made.reply_body == reply.body
    assert "unknown" not in acme.stored("shop")[0]


def test_the_changes_of_an_exchange_have_before_and_after(acme: Acme) -> None:
    acme.send("POST", "/acme/shop/things", {"name": "Lamp"})
    added = acme.last("shop")
    thing = acme.stored("shop")[0]
    acme.send("GET", f"/acme/shop/things/{thing['id']}")
    read = acme.last("shop")
    acme.send("DELETE", f"/acme/shop/things/{thing['id']}")
    removed = acme.last("shop")

    [added_change], [removed_change] = added.changes, removed.changes
    assert (added_change.collection.key, added_change.id, added_change.before) == ("acme.things", thing["id"], None)
    assert added_change.after is not None
    assert added_change.after.body == added.reply_body
    assert (removed_change.before, removed_change.after) == (added_change.after, None)
    assert read.changes == []
    assert removed.status == 204


def test_events_are_journalled_with_the_exchange(acme: Acme) -> None:
    reply = acme.send("POST", "/acme/shop/things", {"name": "Lamp"})

    [event] = acme.last("shop").events
    assert (event.name, event.payload) == ("thing-changed", b'{"thing":' + reply.body + b"}")


def test_a_rejection_is_the_vendor_s_example_with_the_fields_of_the_rule(acme: Acme) -> None:
    acme.send("POST", "/acme/shop/things", {"name": "Lamp", "code": "1"})

    reply = acme.send("POST", "/acme/shop/things", {"name": "Lamp", "code": "1"})

    assert reply.status == 409
    assert content(reply) == {"error": "conflict", "detail": "code '1' is taken.", "holder": "another"}
    assert header(reply, "Retry-After") == "7"
    assert (acme.last("shop").rejection, acme.last("shop").source) == ("code-taken", "documented: test")
    assert len(acme.stored("shop")) == 1


def test_a_rule_chooses_among_the_successes_that_the_spec_declares(acme: Acme) -> None:
    replies = [acme.send("PUT", "/acme/shop/notes/n", {"text": text}) for text in ("one", "two", "", "three")]

    assert [reply.status for reply in replies] == [201, 200, 204, 201]
    assert content(replies[1]) == {"id": "n", "text": "two"}
    assert (replies[2].body, replies[2].media) == (b"", None)
    assert acme.stored("shop", "notes") == [{"id": "n", "text": "three"}]


@pytest.mark.parametrize("status", [200, 201, 204])
def test_each_success_can_be_preferred_that_has_anything_to_say(acme: Acme, status: int) -> None:
    reply = acme.send("PUT", "/acme/shop/notes/n", {"text": "x"}, headers={"Prefer": f"code={status}"})

    assert reply.status == (204 if status == 204 else 400)
    assert acme.stored("shop", "notes") == []


def test_internal_members_are_stored_and_not_sent(acme: Acme) -> None:
    acme.orgs.seed(acme.orgs.get("shop"), {"acme": {"things": [{"id": "t", "name": "x", "secret": "s"}]}})

    assert acme.stored("shop")[0]["secret"] == "s"
    assert content(acme.send("GET", "/acme/shop/things/t")) == {"id": "t", "name": "x", "status": "NEW"}


def cause_failure(acme: Acme, kind: str) -> Any:
    """The reply of a rule that writes a thing and then fails. Another thing was stored before."""
    acme.send("POST", "/acme/shop/things", {"name": "Lamp"})
    return acme.send("POST", f"/acme/shop/failures/{kind}")


def test_a_rejection_after_writes_takes_them_back(acme: Acme) -> None:
    reply = cause_failure(acme, "reject")

    assert (reply.status, content(reply)["detail"]) == (409, "Too late.")
    assert [doc["name"] for doc in acme.stored("shop")] == ["Lamp"]
    assert (acme.last("shop").changes, acme.last("shop").internal_error) == ([], None)


def test_a_rejection_that_keeps_changes_is_journalled_with_its_changes_and_events(acme: Acme) -> None:
    reply = cause_failure(acme, "keep")

    made = acme.last("shop")
    kept = acme.stored("shop")[1]
    assert (reply.status, content(reply)["detail"]) == (409, "Too late.")
    assert kept["name"] == "Failure"
    assert (made.rejection, made.internal_error) == ("too-late", None)
    assert [change.id for change in made.changes] == [kept["id"]]
    assert [(event.name, decode(event.payload)) for event in made.events] == [("thing-changed", {"thing": kept})]


@pytest.mark.parametrize(
    ("kind", "internal_error"),
    [
        ("raise", "RuntimeError: the rule broke"),
        ("keepmisspelt", "OffContract: causeFailure declares no rejection toolate"),
        ("keepevent", "OffContract: event thing-changed.thing.name: is required"),
        ("undeclared", "KeyError: 418"),
        ("misspell", "OffContract: causeFailure declares no rejection toolate"),
        ("status", "OffContract: reply: the status 418 is not declared for causeFailure"),
        ("body", "OffContract: reply.name: is required; reply.status: is required"),
        ("event", "OffContract: event thing-changed.thing.name: is required"),
        ("callback", "OffContract: no spec declares the callback thingchanged"),
        ("unwritable", "TypeError: Encoding objects of type object is unsupported"),
    ],
)
def test_an_internal_error_leaves_the_state_as_it_was(acme: Acme, kind: str, internal_error: str) -> None:
    reply = cause_failure(acme, kind)

    assert (reply.status, reply.media) == (500, "application/problem+json")
    assert content(reply)["title"] == "Internal error of the sandbox"
    assert content(reply)["detail"].startswith(internal_error)
    made = acme.last("shop")
    assert made.internal_error is not None
    assert made.internal_error.startswith(internal_error)
    assert header(reply, "Sandbox-Exchange") == str(made.id) == "2"
    assert (made.status, made.operation, made.changes, made.events) == (500, "causeFailure", [], [])
    assert [doc["name"] for doc in acme.stored("shop")] == ["Lamp"]
    acme.send("POST", "/acme/shop/things", {"name": "Chair"})
    assert [doc["name"] for doc in acme.stored("shop")] == ["Lamp", "Chair"]


@pytest.mark.parametrize("target", ["/acme/shop/things/none", "/acme/shop/nothing"])
def test_an_error_body_that_fails_is_an_internal_error(acme: Acme, target: str) -> None:
    acme.contract.rules.write_error_body = lambda _rejection: 1 // 0

    reply = acme.send("GET", target)

    assert reply.status == 500
    assert acme.last("shop").internal_error == "ZeroDivisionError: integer division or modulo by zero"


@pytest.mark.parametrize("kind", ["reject", "keep"])
def test_an_error_body_that_violates_the_spec_is_an_internal_error(acme: Acme, kind: str) -> None:
    acme.contract.rules.write_error_body = lambda _rejection: {"error": 7, "detail": "x"}

    reply = cause_failure(acme, kind)

    assert reply.status == 500
    assert acme.last("shop").internal_error == 'OffContract: reply.error: 7 is not of type "string"'
    assert [doc["name"] for doc in acme.stored("shop")] == ["Lamp"]
    assert (acme.last("shop").changes, acme.last("shop").events) == ([], [])


def test_a_rule_cannot_change_the_next_request(acme: Acme) -> None:
    def careless(call: Call) -> Reply:
        return call.reply({"id": call.path.pop("id"), "name": "x", "status": "NEW"})

    rules = acme.contract.rules
    rules.operations["getThing"] = careless
    acme = Acme(rules=rules)

    assert [acme.send("GET", "/acme/shop/things/a").status for _ in range(2)] == [200, 200]


def test_no_id_is_given_out_twice_even_where_the_first_was_taken_back(acme: Acme) -> None:
    cause_failure(acme, "none")
    ids = {doc["id"] for doc in acme.stored("shop")}
    cause_failure(acme, "raise")
    cause_failure(acme, "none")

    assert len({doc["id"] for doc in acme.stored("shop")} - ids) == 3


# Armed effects


def test_the_next_calls_of_an_operation_get_the_armed_rejection(acme: Acme) -> None:
    acme.orgs.get("shop").state.arm("addThing", [rejecting("code-taken"), rejecting("insufficient-scope")])

    replies = [acme.send("POST", "/acme/shop/things", {"name": "Lamp"}) for _ in range(3)]

    assert [reply.status for reply in replies] == [409, 403, 201]
    assert content(replies[0]) == {"error": "conflict", "detail": "The code is taken."}
    assert header(replies[0], "Retry-After") == "7"
    exchanges = list(acme.orgs.get("shop").journal.exchanges())
    assert [(exchange.rejection, exchange.preference) for exchange in exchanges] == [
        ("code-taken", "next: code-taken"),
        ("insufficient-scope", "next: insufficient-scope"),
        (None, None),
    ]
    assert len(acme.stored("shop")) == 1


def test_armed_effects_wait_for_a_valid_call_of_the_operation_in_the_org(acme: Acme) -> None:
    acme.orgs.get("shop").state.arm("addThing", [rejecting("code-taken")])

    others = [
        acme.send("POST", "/acme/shop/things", {"name": "Lamp"}, token=None),
        acme.send("POST", "/acme/shop/things", {}),
        acme.send("POST", "/acme/shop/things", {"name": "Lamp"}, headers={"Prefer": "code=201"}),
        acme.send("GET", "/acme/shop/things"),
        acme.send("POST", "/acme/other/things", {"name": "Lamp"}),
    ]

    assert [reply.status for reply in others] == [401, 400, 201, 200, 201]
    assert acme.send("POST", "/acme/shop/things", {"name": "Lamp"}).status == 409


def test_armed_effects_apply_to_internal_calls(acme: Acme) -> None:
    acme.orgs.get("shop").state.arm("addThing", [rejecting("code-taken")])

    replies = [acme.send("POST", "/acme/shop/orders", {"name": "Lamp"}) for _ in range(2)]

    assert [reply.status for reply in replies] == [409, 200]
    assert content(replies[0])["holder"] == "code-taken"


def test_an_armed_rejection_that_is_not_declared_is_an_internal_error_once(acme: Acme) -> None:
    acme.orgs.get("shop").state.arm("getThing", [rejecting("code-taken")])

    assert [acme.send("GET", "/acme/shop/things/t").status for _ in range(2)] == [500, 404]


# Browsers


BROWSER = {"Origin": "https://shop.example"}
ASKING = {**BROWSER, "Access-Control-Request-Method": "POST"}


def allowed(reply: Reply) -> dict[str, str]:
    """The CORS headers of a reply."""
    return {name: value for name, value in reply.headers if name.startswith("access-control-")}


EVERYBODY = {"access-control-allow-origin": "*", "access-control-expose-headers": "*"}


@pytest.mark.parametrize(
    ("method", "target", "sent", "status"),
    [
        ("GET", "/acme/greeting", {}, 200),
        ("POST", "/acme/shop/things", {"body": {"name": "Lamp"}}, 201),
        ("POST", "/acme/shop/things", {"body": {}}, 400),
        ("GET", "/acme/shop/things", {"token": None}, 401),
        ("GET", "/acme/shop/nothing", {}, 404),
        ("PATCH", "/acme/shop/things", {}, 405),
        ("POST", "/acme/shop/failures/raise", {}, 500),
    ],
)
def test_a_browser_may_read_every_reply_of_a_vendor_that_browsers_call(
    acme: Acme, method: str, target: str, sent: Any, status: int
) -> None:
    reply = acme.send(method, target, headers=BROWSER, **sent)

    assert reply.status == status
    assert allowed(reply) == EVERYBODY


def test_a_request_without_origin_gets_no_cors_headers(acme: Acme) -> None:
    assert allowed(acme.send("GET", "/acme/greeting")) == {}


def test_a_preflight_gets_the_methods_of_its_path_and_the_requested_headers(acme: Acme) -> None:
    headers = {**ASKING, "Access-Control-Request-Headers": "authorization, content-type"}

    reply = acme.send("OPTIONS", "/acme/shop/things/t-1", token=None, headers=headers)

    assert (reply.status, reply.body, reply.media) == (204, b"", None)
    assert allowed(reply) == {
        **EVERYBODY,
        "access-control-allow-methods": "DELETE, GET, HEAD",
        "access-control-allow-headers": "authorization, content-type",
        "access-control-max-age": "600",
    }
    exchange = acme.last("shop")
    assert (exchange.operation, exchange.vendor, exchange.rejection, exchange.internal_error) == (
        None,
        "acme",
        None,
        None,
    )


def test_a_preflight_that_wants_no_headers_may_send_any(acme: Acme) -> None:
    reply = acme.send("OPTIONS", "/acme/shop/things", token=None, headers=ASKING)

    assert allowed(reply)["access-control-allow-headers"] == "*"
    assert allowed(reply)["access-control-allow-methods"] == "GET, HEAD, POST"


def test_a_preflight_for_an_unknown_path_is_rejected_with_cors_headers(acme: Acme) -> None:
    reply = acme.send("OPTIONS", "/acme/shop/nothing", token=None, headers=ASKING)
    nowhere = acme.send("OPTIONS", "/elsewhere", token=None, headers=ASKING)

    assert (reply.status, content(reply)["error"]) == (404, "nowhere")
    assert allowed(reply) == EVERYBODY
    assert (nowhere.status, allowed(nowhere)) == (404, {})


def test_options_without_preflight_headers_are_rejected(acme: Acme) -> None:
    reply = acme.send("OPTIONS", "/acme/shop/things", headers=BROWSER)
    other = acme.send("PATCH", "/acme/shop/things", headers=ASKING)

    assert [(found.status, header(found, "allow")) for found in (reply, other)] == [(405, "GET, HEAD, POST")] * 2


def test_a_vendor_without_cors_sends_no_cors_headers(tmp_path: Path) -> None:
    (tmp_path / "acme").mkdir()
    path = tmp_path / "acme" / "things.yaml"
    path.write_text(SPEC.read_text(encoding="utf-8").replace("x-cors: true\n", ""), encoding="utf-8")
    acme = Acme(documents=Document.load(path))

    reply = acme.send("GET", "/acme/greeting", headers=BROWSER)
    preflight = acme.send("OPTIONS", "/acme/shop/things", token=None, headers=ASKING)

    assert (reply.status, allowed(reply)) == (200, {})
    assert (preflight.status, header(preflight, "allow"), allowed(preflight)) == (405, "GET, HEAD, POST", {})


# Prefer


def prefer(acme: Acme, preference: str, method: str = "POST", target: str = "/acme/shop/things") -> Any:
    return acme.send(method, target, {"name": "Lamp"}, headers={"Prefer": preference})


@pytest.mark.parametrize(
    ("preference", "status", "body"),
    [
        ("code=409", 409, {"error": "conflict", "detail": "The code is taken."}),
        ("code=201", 201, {"id": "t-1", "name": "Lamp", "status": "NEW"}),
        ("example=chair", 201, {"id": "t-2", "name": "Chair", "status": "NEW"}),
        ('example="chair"', 201, {"id": "t-2", "name": "Chair", "status": "NEW"}),
        ("wait=5, example=code-taken", 409, {"error": "conflict", "detail": "The code is taken."}),
        ("code=403, example=insufficient-scope", 403, {"error": "forbidden", "detail": "Not this."}),
        ("code=403", 403, {"error": "forbidden", "detail": "Not here."}),
    ],
)
def test_a_preference_chooses_the_answer(acme: Acme, preference: str, status: int, body: Any) -> None:
    reply = prefer(acme, preference)

    assert (reply.status, content(reply)) == (status, body)
    assert header(reply, "Preference-Applied") == preference.replace('"', "").removeprefix("wait=5, ")
    assert acme.last("shop").preference == preference
    assert acme.stored("shop") == []


def test_a_preferred_rejection_is_journalled_as_one_with_its_headers(acme: Acme) -> None:
    reply = prefer(acme, "example=code-taken")

    assert acme.last("shop").rejection == "code-taken"
    assert header(reply, "Retry-After") == "7"


def test_no_content_can_be_preferred(acme: Acme) -> None:
    reply = acme.send("DELETE", "/acme/shop/things/none", headers={"Prefer": "code=204"})

    assert (reply.status, reply.body) == (204, b"")


def test_a_preference_for_a_status_without_an_example_is_not_an_internal_error(acme: Acme) -> None:
    acme.send("GET", "/acme/guarded-greeting", headers={"Prefer": "code=200"})

    assert acme.last("default").internal_error is None


@pytest.mark.parametrize("preference", ["code=418", "example=nothing", "code=201, example=code-taken"])
def test_a_preference_for_an_undeclared_name_is_rejected_and_nothing_is_done(acme: Acme, preference: str) -> None:
    reply = prefer(acme, preference)

    assert (reply.status, content(reply)["title"]) == (400, "No such preference")
    assert "addThing has the codes 201, 400, 401, 403, 409" in content(reply)["detail"]
    assert acme.stored("shop") == []


def test_a_misspelt_preference_is_answered_with_the_nearest_name(acme: Acme) -> None:
    assert content(prefer(acme, "example=code-takn"))["detail"].endswith("Did you mean example=code-taken?")


@pytest.mark.parametrize("preference", ["", "wait=5", "respond-async", "return=minimal"])
def test_other_preferences_are_ignored(acme: Acme, preference: str) -> None:
    assert prefer(acme, preference).status == 201
    assert len(acme.stored("shop")) == 1


def test_a_preference_does_not_replace_credentials_or_a_valid_request(acme: Acme) -> None:
    anonymous = acme.send("POST", "/acme/shop/things", {"name": "x"}, token=None, headers={"Prefer": "code=201"})
    invalid = acme.send("POST", "/acme/shop/things", {}, headers={"Prefer": "code=201"})

    assert (anonymous.status, invalid.status) == (401, 400)


# Long lists


ALL_THINGS = [{"id": f"t-{number}", "name": f"Thing {number}", "status": "NEW"} for number in range(1500)]


@pytest.fixture
def listing(tmp_path: Path) -> Acme:
    """The test vendor, with a rule that replies with an array of all things."""
    spec = tmp_path / "acme" / "things.yaml"
    spec.parent.mkdir()
    array = "{type: array, items: {$ref: '#/components/schemas/Thing'}}"
    whole = f"{{type: object, required: [items], properties: {{items: {array}}}}}"
    text = SPEC.read_text(encoding="utf-8")
    assert whole in text
    text = text.replace(whole, array)
    text = text.replace("headers: {Acme-Total: {required: true, schema: {type: string}}}", "")
    spec.write_text(text.replace("nothing: {value: {items: []}}", "nothing: {value: []}"), encoding="utf-8")
    rules = new_rules()
    rules.operations["listThings"] = lambda call: call.reply_all(doc for _, doc in call.list_view("things"))
    acme = Acme(rules=rules, documents=Document.load(spec))
    acme.orgs.seed(acme.orgs.get("shop"), {"acme": {"things": ALL_THINGS}})
    return acme


def pieces(reply: Reply) -> list[bytes]:
    assert isinstance(reply.stream, Iterator)
    return list(reply.stream)


def test_a_short_list_is_sent_whole(listing: Acme) -> None:
    listing.orgs.seed(listing.orgs.get("small"), {"acme": {"things": ALL_THINGS[:500]}})

    reply = listing.send("GET", "/acme/small/things")

    assert reply.stream is None
    assert content(reply) == ALL_THINGS[:500]


def test_a_long_list_is_sent_in_pieces_as_it_was_when_it_was_asked_for(listing: Acme) -> None:
    reply = listing.send("GET", "/acme/shop/things")
    exchange = listing.last("shop")
    listing.send("DELETE", "/acme/shop/things/t-1400")

    sent = pieces(reply)

    assert len(sent) > 5
    assert decode(b"".join(sent)) == ALL_THINGS
    assert exchange.reply_size == len(b"".join(sent))
    assert exchange.reply_body == b"".join(sent)[:MAX_BODY]


def test_a_long_list_that_violates_the_contract_ends_as_an_internal_error(
    listing: Acme, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = [*ALL_THINGS[:1000], {"id": "t-1000"}]
    rule = lambda call: call.reply_all(iter(broken))  # noqa: E731 - a rule, shorter than a function
    monkeypatch.setitem(listing.contract.rules.operations, "listThings", rule)
    monkeypatch.setattr(listing, "pipeline", Pipeline([listing.contract], listing.orgs, listing.authenticator))

    reply = listing.send("GET", "/acme/shop/things")

    with pytest.raises(ValueError, match=r"listThings does not keep its contract: reply\[0\].name: is required"):
        pieces(reply)
    assert "does not keep its contract" in str(listing.last("shop").internal_error)


# Replies with long work


def finished(waiting: Reply) -> Reply:
    """The result of a reply's work."""
    assert waiting.work is not None
    while True:
        try:
            next(waiting.work)
        except StopIteration as ended:
            reply: Reply = ended.value
            return reply


def late(acme: Acme, rule: Callable[[Call], Reply], monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the rule list all things, with a slice for each step of its work."""
    monkeypatch.setattr(slices.Slice, "over", lambda _: True)
    monkeypatch.setitem(acme.contract.rules.operations, "listThings", rule)
    monkeypatch.setattr(acme, "pipeline", Pipeline([acme.contract], acme.orgs, acme.authenticator))


def counted(call: Call) -> Work[Reply]:
    docs = call.list_view("things")
    found = []
    for _, doc in docs:
        if doc["name"].endswith("99"):
            found.append(doc)
        yield
    return call.reply(found, (("acme-found", str(len(found))),))


def test_a_long_request_is_answered_later_with_the_state_at_its_start(
    listing: Acme, monkeypatch: pytest.MonkeyPatch
) -> None:
    late(listing, lambda call: call.reply_later(counted(call)), monkeypatch)
    reply = listing.send("GET", "/acme/shop/things")
    exchange = listing.last("shop")
    listing.send("DELETE", "/acme/shop/things/t-99")
    assert (reply.body, exchange.reply_body) == (b"", b"")

    reply = finished(reply)

    assert [thing["id"] for thing in content(reply)] == [f"t-{number}99" for number in ["", *range(1, 15)]]
    assert (header(reply, "acme-found"), header(reply, "sandbox-exchange")) == ("15", str(exchange.id))
    assert (exchange.status, exchange.reply_body) == (200, reply.body)


def test_long_work_that_fails_is_an_internal_error(listing: Acme, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaking() -> Work[Reply]:
        yield
        raise LookupError("the work broke")

    late(listing, lambda call: call.reply_later(breaking()), monkeypatch)
    reply = listing.send("GET", "/acme/shop/things")

    reply = finished(reply)

    assert reply.status == listing.last("shop").status == 500
    assert listing.last("shop").internal_error == "LookupError: the work broke"
    assert content(reply)["title"] == "Internal error of the sandbox"


def test_long_work_that_violates_the_contract_is_an_internal_error(
    listing: Acme, monkeypatch: pytest.MonkeyPatch
) -> None:
    def off(call: Call) -> Work[Reply]:
        yield
        return call.reply([{"id": 7}])

    late(listing, lambda call: call.reply_later(off(call)), monkeypatch)
    reply = listing.send("GET", "/acme/shop/things")

    reply = finished(reply)

    assert reply.status == 500
    assert "reply[0].id" in str(listing.last("shop").internal_error)


def test_long_work_may_end_in_a_long_list(listing: Acme, monkeypatch: pytest.MonkeyPatch) -> None:
    def everything(call: Call) -> Work[Reply]:
        docs = call.list_view("things")
        yield
        return call.reply_all(doc for _, doc in docs)

    late(listing, lambda call: call.reply_later(everything(call)), monkeypatch)
    reply = listing.send("GET", "/acme/shop/things")

    reply = finished(reply)

    sent = pieces(reply)
    assert decode(b"".join(sent)) == ALL_THINGS
    assert listing.last("shop").reply_size == len(b"".join(sent))


def test_a_fault_applies_to_a_late_reply(listing: Acme, monkeypatch: pytest.MonkeyPatch) -> None:
    late(listing, lambda call: call.reply_later(counted(call)), monkeypatch)
    listing.orgs.get("shop").state.arm("listThings", [Effects({"corrupt": True}, Fault(corrupt=True))])
    reply = listing.send("GET", "/acme/shop/things")

    reply = finished(reply)

    with pytest.raises(ValueError, match="not valid JSON"):
        decode(reply.body)
