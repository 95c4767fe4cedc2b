"""From a request to its reply: which org, which operation, and every way in which that can fail."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox import clock
from sandbox.messages import Reply
from sandbox.rules import Call
from tests.acme import Acme, content, header


@pytest.fixture
def acme() -> Acme:
    return Acme()


def greeted(acme: Acme, target: str = "/acme/greeting", **sent: Any) -> Any:
    """The org and the tenant that a rule saw."""
    seen = content(acme.send("GET", target, **sent))
    return seen["org"], seen["tenant"]


# Which org


def test_a_request_that_names_no_org_is_for_the_default_one(acme: Acme) -> None:
    assert greeted(acme) == ("default", "default")


def test_the_path_names_the_org(acme: Acme) -> None:
    acme.send("POST", "/acme/shop%201/things", {"name": "Lamp"})

    assert [org.name for org in acme.orgs] == ["shop 1"]


def test_the_token_names_the_org(acme: Acme) -> None:
    token = acme.gate.issue(
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
    assert greeted(acme, headers=everything["headers"])[0] == "header"


def test_a_prefix_changes_the_org_and_not_what_the_vendor_calls_it(acme: Acme) -> None:
    token = acme.gate.issue(
        org="t42", vendor="acme", tenant="shop", scopes=None, customer=None, issued=0, expires=clock.LATEST, number=1
    )

    reply = acme.send("POST", "/~t42/acme/shop/things", {"name": "Lamp"}, token=token)

    assert reply.status == 201
    assert [doc["name"] for doc in acme.stored("t42")] == ["Lamp"]
    assert acme.orgs.known("shop") is None


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


# Which operation


def test_a_path_that_no_operation_has_is_refused_in_the_vendor_s_words(acme: Acme) -> None:
    reply = acme.send("GET", "/acme/shop/thingies")

    assert (reply.status, reply.media) == (404, "application/problem+json")
    assert content(reply) == {"error": "nowhere", "detail": "There is no /acme/shop/thingies."}
    assert acme.last("shop").operation is None
    assert (acme.last("shop").vendor, acme.last("shop").rejection) == ("acme", "unknown-path")


def test_a_path_near_to_no_vendor_s_is_refused_in_the_sandbox_s_own_words(acme: Acme) -> None:
    reply = acme.send("GET", "/elsewhere")

    assert content(reply) == {
        "type": "about:blank",
        "title": "Not found",
        "status": 404,
        "detail": "There is no /elsewhere.",
    }
    assert acme.last("default").vendor is None


@pytest.mark.parametrize("method", ["PUT", "PATCH", "HEAD", "OPTIONS", "get", "BREW"])
def test_another_method_is_refused_with_all_that_the_path_has(acme: Acme, method: str) -> None:
    reply = acme.send(method, "/acme/shop/things/t-1")

    assert reply.status == 405
    assert header(reply, "allow") == "DELETE, GET"
    assert content(reply) == {"error": "nohow", "detail": f"/acme/shop/things/t-1 has DELETE, GET, not {method}."}
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


def test_credentials_are_judged_before_the_request(acme: Acme) -> None:
    nobody = acme.send("POST", "/acme/shop/things", {}, token=None)
    expired = acme.send("POST", "/acme/shop/things", {}, token="expired")
    foreign = acme.send("POST", "/acme/shop/things", {}, token="sandbox;tenant=other")
    scope = acme.send("POST", "/acme/shop/things", {}, token="sandbox;scope=none")

    assert [(reply.status, content(reply)["detail"]) for reply in (nobody, expired, foreign, scope)] == [
        (401, "Who are you?"),
        (401, "No more."),
        (403, "Not here."),
        (403, "Not this."),
    ]
    assert acme.last("shop").rejection == "insufficient-scope"


def test_a_token_issued_by_a_rule_is_held_to_its_org(acme: Acme) -> None:
    login = acme.send("POST", "/acme/token", token=None, headers={"Authorization": "Basic YTpi", "Sandbox-Org": "t1"})
    token = content(login)["token"]

    assert greeted(acme, "/acme/guarded-greeting", token=token) == ("t1", "t1")
    assert acme.send("GET", "/acme/t1/things", token=token).status == 200
    assert acme.send("GET", "/acme/t2/things", token=token).status == 403


def test_all_violations_are_told_at_once_and_journalled(acme: Acme) -> None:
    reply = acme.send("GET", "/acme/shop/things?limit=0&tag=a&tag=b&tag=c", headers={"Acme-Trace": "1"})

    assert reply.status == 400
    assert content(reply)["error"] == "invalid"
    assert [violation.where for violation in acme.last("shop").violations] == [
        "query.limit",
        "query.tag",
        "header.Acme-Trace",
    ]
    assert content(reply)["detail"] == "; ".join(map(str, acme.last("shop").violations))


def test_a_body_that_cannot_be_read_is_refused_even_where_the_vendor_says_nothing_of_it(acme: Acme) -> None:
    reply = acme.send("POST", "/acme/shop/things", {"name": "Lamp"}, headers={"Content-Type": "text/plain"})

    assert reply.status == 415
    assert content(reply)["type"] == "about:blank"


# The answer


def test_a_success_has_the_status_of_the_spec_and_the_id_of_its_exchange(acme: Acme) -> None:
    reply = acme.send("POST", "/acme/shop/things", {"name": "Lamp", "parts": [{"part": "x", "no": 1}], "unknown": 1})

    assert (reply.status, reply.media) == (201, "application/json")
    assert header(reply, "Sandbox-Exchange") == "1"
    made = acme.last("shop")
    assert (made.id, made.operation, made.vendor, made.status) == (1, "addThing", "acme", 201)
    assert (made.rejection, made.defect, made.violations) == (None, None, [])
    assert made.reply_body == reply.body
    assert "unknown" not in acme.stored("shop")[0]


def test_the_changes_of_an_exchange_are_told_before_and_after(acme: Acme) -> None:
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
    assert added_change.after[0] == added.reply_body
    assert (removed_change.before, removed_change.after) == (added_change.after, None)
    assert read.changes == []
    assert removed.status == 204


def test_what_subscribers_are_told_is_journalled_with_the_exchange(acme: Acme) -> None:
    reply = acme.send("POST", "/acme/shop/things", {"name": "Lamp"})

    [event] = acme.last("shop").events
    assert (event.name, event.payload) == ("thing-changed", b'{"thing":' + reply.body + b"}")


def test_a_rejection_looks_like_the_vendor_s_example_with_what_the_rule_adds(acme: Acme) -> None:
    acme.send("POST", "/acme/shop/things", {"name": "Lamp", "code": "1"})

    reply = acme.send("POST", "/acme/shop/things", {"name": "Lamp", "code": "1"})

    assert reply.status == 409
    assert content(reply) == {"error": "conflict", "detail": "code '1' is taken.", "holder": "somebody"}
    assert header(reply, "Retry-After") == "7"
    assert (acme.last("shop").rejection, acme.last("shop").source) == ("code-taken", "documented: test")
    assert len(acme.stored("shop")) == 1


def test_internal_members_are_stored_and_not_sent(acme: Acme) -> None:
    acme.orgs.seed(acme.orgs.get("shop"), {"acme": {"things": [{"id": "t", "name": "x", "secret": "s"}]}})

    assert acme.stored("shop")[0]["secret"] == "s"
    assert content(acme.send("GET", "/acme/shop/things/t")) == {"id": "t", "name": "x", "status": "NEW"}


def trouble(acme: Acme, kind: str) -> Any:
    """The reply of the rule that writes a thing and then fails, after a thing was written well."""
    acme.send("POST", "/acme/shop/things", {"name": "Lamp"})
    return acme.send("POST", f"/acme/shop/trouble/{kind}")


def test_a_rejection_after_writes_takes_them_back(acme: Acme) -> None:
    reply = trouble(acme, "reject")

    assert (reply.status, content(reply)["detail"]) == (409, "Too late.")
    assert [doc["name"] for doc in acme.stored("shop")] == ["Lamp"]
    assert (acme.last("shop").changes, acme.last("shop").defect) == ([], None)


@pytest.mark.parametrize(
    ("kind", "defect"),
    [
        ("raise", "RuntimeError: the rule broke"),
        ("misspell", "OffContract: makeTrouble declares no rejection toolate"),
        ("status", "OffContract: reply: the status 418 is not declared for makeTrouble"),
        ("body", "OffContract: reply.name: is required; reply.status: is required"),
        ("event", "OffContract: event thing-changed.thing.name: is required"),
        ("callback", "OffContract: no spec declares the callback thingchanged"),
        ("unwritable", "TypeError: Encoding objects of type object is unsupported"),
    ],
)
def test_a_failure_of_ours_is_a_defect_and_leaves_the_state_as_it_was(acme: Acme, kind: str, defect: str) -> None:
    reply = trouble(acme, kind)

    assert (reply.status, reply.media) == (500, "application/problem+json")
    assert content(reply)["title"] == "Defect of the sandbox"
    assert content(reply)["detail"].startswith(defect)
    made = acme.last("shop")
    assert made.defect is not None
    assert made.defect.startswith(defect)
    assert header(reply, "Sandbox-Exchange") == str(made.id) == "2"
    assert (made.status, made.operation, made.changes, made.events) == (500, "makeTrouble", [], [])
    assert [doc["name"] for doc in acme.stored("shop")] == ["Lamp"]
    acme.send("POST", "/acme/shop/things", {"name": "Chair"})
    assert [doc["name"] for doc in acme.stored("shop")] == ["Lamp", "Chair"]


@pytest.mark.parametrize("target", ["/acme/shop/things/none", "/acme/shop/nothing"])
def test_a_wording_that_fails_is_a_defect_too(acme: Acme, target: str) -> None:
    acme.contract.rules.wording = lambda _rejection, _detail, _violations: 1 // 0

    reply = acme.send("GET", target)

    assert reply.status == 500
    assert acme.last("shop").defect == "ZeroDivisionError: integer division or modulo by zero"


def test_a_rule_cannot_change_what_the_next_request_says(acme: Acme) -> None:
    def careless(call: Call) -> Reply:
        return call.reply({"id": call.path.pop("id"), "name": "x", "status": "NEW"})

    rules = acme.contract.rules
    rules.operations["getThing"] = careless
    acme = Acme(rules=rules)

    assert [acme.send("GET", "/acme/shop/things/a").status for _ in range(2)] == [200, 200]


def test_no_id_is_given_out_twice_even_where_the_first_was_taken_back(acme: Acme) -> None:
    trouble(acme, "none")
    ids = {doc["id"] for doc in acme.stored("shop")}
    trouble(acme, "raise")
    trouble(acme, "none")

    assert len({doc["id"] for doc in acme.stored("shop")} - ids) == 3


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
    assert header(reply, "Preference-Applied") == preference.replace(",", ";").replace('"', "").removeprefix("wait=5; ")
    assert acme.last("shop").preference == preference
    assert acme.stored("shop") == []


def test_a_preferred_rejection_is_journalled_as_one_with_its_headers(acme: Acme) -> None:
    reply = prefer(acme, "example=code-taken")

    assert acme.last("shop").rejection == "code-taken"
    assert header(reply, "Retry-After") == "7"


def test_no_content_can_be_preferred(acme: Acme) -> None:
    reply = acme.send("DELETE", "/acme/shop/things/none", headers={"Prefer": "code=204"})

    assert (reply.status, reply.body) == (204, b"")


def test_a_preference_for_a_status_without_an_example_is_no_defect(acme: Acme) -> None:
    acme.send("GET", "/acme/guarded-greeting", headers={"Prefer": "code=200"})

    assert acme.last("default").defect is None


@pytest.mark.parametrize("preference", ["code=418", "example=nothing", "code=201, example=code-taken"])
def test_a_preference_for_what_is_not_declared_is_refused_and_nothing_is_done(acme: Acme, preference: str) -> None:
    reply = prefer(acme, preference)

    assert (reply.status, content(reply)["title"]) == (400, "No such preference")
    assert "addThing has the codes 201, 400, 401, 403, 409" in content(reply)["detail"]
    assert acme.stored("shop") == []


def test_a_misspelt_preference_is_answered_with_the_nearest_name(acme: Acme) -> None:
    assert content(prefer(acme, "example=code-takn"))["detail"].endswith("Did you mean example=code-taken?")


@pytest.mark.parametrize("preference", ["", "wait=5", "respond-async", "return=minimal"])
def test_other_preferences_are_none_of_ours(acme: Acme, preference: str) -> None:
    assert prefer(acme, preference).status == 201
    assert len(acme.stored("shop")) == 1


def test_a_preference_does_not_replace_credentials_or_a_valid_request(acme: Acme) -> None:
    nobody = acme.send("POST", "/acme/shop/things", {"name": "x"}, token=None, headers={"Prefer": "code=201"})
    invalid = acme.send("POST", "/acme/shop/things", {}, headers={"Prefer": "code=201"})

    assert (nobody.status, invalid.status) == (401, 400)
