"""A vendor's specs and rules, bound: what one has and the other has not is found at start.

And what only both together know: an org's settings, the version they choose, what the platform does for itself.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from promo_sandbox.base.errors import SandboxError
from promo_sandbox.base.messages import decode
from promo_sandbox.engine.seeding import InvalidObjects
from promo_sandbox.model.contract import Contract, router
from promo_sandbox.model.rules import Rule
from promo_sandbox.openapi.document import Document
from promo_sandbox.rules import Call, Doc, Reply, Rules
from tests.acme import SPEC, Acme, content, new_rules


def document(tmp_path: Path, *changes: tuple[str, str], name: str = "things.yaml") -> Document:
    """The spec of the test vendor after some changes."""
    return Document(written(tmp_path, *changes, name=name))


def written(tmp_path: Path, *changes: tuple[str, str], name: str = "things.yaml") -> Path:
    text = SPEC.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "acme" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_a_complete_vendor_is_bound() -> None:
    contract = Contract([Document(SPEC)], new_rules())

    assert contract.vendor == "acme"
    assert len(list(contract.routes())) == 12
    assert {"unknown-thing", "code-taken"} <= {rejection.name for _, rejection in contract.rejections()}
    assert contract.rules.internal_fields["acme.things"] == ("secret", "breaks")
    assert list(contract.undeclared_names()) == []


def test_an_operation_without_a_rule_is_an_error() -> None:
    rules = new_rules()
    del rules.operations["getThing"]

    with pytest.raises(SandboxError, match=r"^acme/things.yaml: the operation getThing has no rule$"):
        Contract([Document(SPEC)], rules)


def test_a_rule_without_an_operation_is_an_error() -> None:
    rules = new_rules()
    rules.operation("getThingy")(lambda call: call.reply())

    with pytest.raises(SandboxError, match=r"^the rules of acme answer getThingy, which no spec declares$"):
        Contract([Document(SPEC)], rules)


def test_a_collection_must_be_in_the_rules_and_in_the_spec() -> None:
    rules, fewer = new_rules(), new_rules()
    rules.collection("orders", indexes=lambda _doc, _created: [])
    del fewer.collections["notes"]

    with pytest.raises(SandboxError, match="the collection orders of acme is not in both"):
        Contract([Document(SPEC)], rules)
    with pytest.raises(SandboxError, match="the collection notes of acme is not in both"):
        Contract([Document(SPEC)], fewer)


@pytest.mark.parametrize(
    ("name", "operation"),
    [
        ("missing-credentials", "greetGuarded"),
        ("invalid-credentials", "greetGuarded"),
        ("expired-credentials", "greetGuarded"),
        ("foreign-credentials", "greetGuarded"),
        ("insufficient-scope", "addThing"),
        ("invalid-request", "openSession"),
    ],
)
def test_a_rejection_that_the_engine_needs_must_be_declared(tmp_path: Path, name: str, operation: str) -> None:
    declared = [line for line in SPEC.read_text(encoding="utf-8").splitlines() if f"{name}: {{$ref:" in line]
    assert declared

    with pytest.raises(SandboxError, match=rf"^acme/things.yaml: {operation} must declare the rejection {name}$"):
        Contract([document(tmp_path, *((f"{line}\n", "") for line in dict.fromkeys(declared)))], new_rules())


def test_two_specs_with_the_same_path_are_an_error(tmp_path: Path) -> None:
    one, other = document(tmp_path), document(tmp_path, name="others.yaml")

    with pytest.raises(SandboxError, match=r"^acme/others.yaml: GET /acme/greeting occurs twice$"):
        router([Contract([one, other], new_rules())])


def test_two_versions_of_a_spec_may_share_rules(tmp_path: Path) -> None:
    one = document(tmp_path)
    other = document(tmp_path, ("https://api.acme.test/acme", "https://api.acme.test/acme/v2"), name="v2.yaml")

    tree = router([Contract([one, other], new_rules())])

    first, second = tree.match("GET", "/acme/greeting"), tree.match("GET", "/acme/v2/greeting")
    assert first is not None
    assert second is not None
    assert first.target is not None
    assert second.target is not None
    assert first.target.rule is second.target.rule
    assert (first.target.document.name, second.target.document.name) == ("acme/things.yaml", "acme/v2.yaml")


def test_two_vendors_cannot_have_an_operation_of_the_same_name(tmp_path: Path) -> None:
    one = Contract([document(tmp_path)], new_rules())
    elsewhere = ("https://api.acme.test/acme", "https://api.other.test/other")
    rules = new_rules()
    rules.vendor = "other"
    other = Contract([document(tmp_path, elsewhere, name="others.yaml")], rules)

    with pytest.raises(SandboxError, match=r"^acme/others.yaml: acme already has an operation greet$"):
        router([one, other])


MISSPELT = '''\
"""Rules with mistakes in them."""


def get_thing(call):
    """A sentence-with-hyphens is no name."""
    if call.path["id"] == "x":
        call.reject("unknown-thing")
    if call.headers.get("Acme-Trace") == "failure":
        call.emit("thing-changed", {})
    call.reject("unknown-thign", "A detail, half-finished.")


def expire(call, id):
    call.emit("things-changed", {})
    call.get("x").find("expire-thing")
'''


def test_undeclared_names_in_rules_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "misspelt_rules.py").write_text(MISSPELT, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    import misspelt_rules  # type: ignore[import-not-found]  # noqa: PLC0415 - it was written just now

    monkeypatch.setitem(sys.modules, "misspelt_rules", misspelt_rules)
    rules = new_rules()
    rules.operations["getThing"] = misspelt_rules.get_thing
    rules.timer_rules["expire-thing"] = misspelt_rules.expire

    found = list(Contract([Document(SPEC)], rules).undeclared_names())

    assert found == [
        "misspelt_rules.py:10: 'unknown-thign' is declared nowhere",
        "misspelt_rules.py:14: 'things-changed' is declared nowhere",
    ]


# Settings


def settings(acme: Acme, org: str = "shop") -> Doc:
    return acme.contract.settings(acme.orgs.get(org).state)


def test_an_org_s_settings_are_the_schema_s_defaults_until_something_is_set() -> None:
    acme = Acme()

    assert settings(acme) == {"edition": "7", "orders": {"word": "rejected", "marks": {"before": "", "after": "!"}}}


def test_settings_override_the_defaults_at_every_level() -> None:
    acme = Acme()

    acme.seed("shop", settings=[{"house": "H1", "orders": {"word": "no", "marks": {"before": "<"}}}])

    assert settings(acme) == {
        "id": "settings",
        "edition": "7",
        "house": "H1",
        "orders": {"word": "no", "marks": {"before": "<", "after": "!"}},
    }
    assert settings(acme, "other")["orders"]["word"] == "rejected"


def test_the_settings_that_a_rule_reads_are_a_copy() -> None:
    acme = Acme()
    acme.seed("shop", settings=[{"house": "H1"}])

    for org in ("shop", "other"):
        mine = settings(acme, org)
        mine["edition"], mine["orders"]["word"], mine["orders"]["marks"]["after"] = "8", "no", "?"

    assert settings(acme, "third") == {
        "edition": "7",
        "orders": {"word": "rejected", "marks": {"before": "", "after": "!"}},
    }
    assert settings(acme, "shop") == {"id": "settings", "house": "H1", **settings(acme, "third")}


def test_new_settings_replace_the_old_ones() -> None:
    acme = Acme()
    acme.seed("shop", settings=[{"house": "H1", "edition": "8"}])

    acme.seed("shop", settings=[{"house": "H2"}])

    assert acme.stored("shop", "settings") == [{"id": "settings", "house": "H2"}]
    assert settings(acme)["edition"] == "7"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"edition": "9"}, 'acme.settings[0].edition: "9" is not one of "7" or "8"'),
        ({"orders": {"marks": {"after": 7}}}, 'acme.settings[0].orders.marks.after: 7 is not of type "string"'),
        ({"orders": "no"}, 'acme.settings[0].orders: "no" is not of type "object"'),
        ({"editoin": "8"}, "acme.settings[0].editoin: is not a known field; did you mean edition?"),
        ("8", 'acme.settings[0]: "8" is not of type "object"'),
    ],
)
def test_invalid_settings_are_rejected(given: Any, said: str) -> None:
    acme = Acme()

    with pytest.raises(InvalidObjects) as caught:
        acme.seed("shop", settings=[given])

    assert str(caught.value) == said
    assert settings(acme)["edition"] == "7"


def test_a_vendor_without_settings_has_none(tmp_path: Path) -> None:
    rules = new_rules()
    del rules.collections["settings"]
    text = SPEC.read_text(encoding="utf-8")
    versions = text[text.index("x-versions:") : text.index("components:\n  securitySchemes")]
    collection = "  settings: {schema: {$ref: '#/components/schemas/Settings'}}\n"

    acme = Acme(rules=rules, documents=Document.load(written(tmp_path, (versions, ""), (collection, ""))))

    assert settings(acme) == {}


def test_a_rule_reads_the_settings_of_its_org() -> None:
    acme = Acme()
    acme.seed("shop", settings=[{"orders": {"word": "no", "marks": {"before": "<"}}}])

    for org in ("shop", "other"):
        acme.send("POST", f"/acme/{org}/orders", {"name": ""})

    assert [[note["text"] for note in acme.stored(org, "notes")] for org in ("shop", "other")] == [
        ["<no invalid-request!"],
        ["rejected invalid-request!"],
    ]


# Versions


@pytest.fixture
def versions() -> Acme:
    """An org for each version."""
    acme = Acme()
    acme.seed("new", settings=[{"edition": "8"}])
    acme.seed("old", settings=[{"edition": "7"}])
    return acme


def test_an_org_s_settings_choose_the_version_of_the_contract(versions: Acme) -> None:
    def added(org: str, **thing: Any) -> int:
        return versions.send("POST", f"/acme/{org}/things", {"name": "Lamp", **thing}).status

    assert [added(org) for org in ("old", "new", "never-set")] == [201, 400, 201]
    assert [added(org, code="1") for org in ("old", "new", "never-set")] == [201, 201, 201]
    rejected = next(versions.orgs.get("new").journal.exchanges())
    assert (rejected.operation, rejected.rejection) == ("addThing", "invalid-request")
    assert [str(violation) for violation in rejected.violations] == ["body.code: is required"]


def test_a_version_applies_as_soon_as_the_setting_is_changed(versions: Acme) -> None:
    statuses = []
    for edition in ("7", "8", "7"):
        versions.seed("shop", settings=[{"edition": edition}])
        statuses.append(versions.send("POST", "/acme/shop/things", {"name": "Lamp"}).status)

    assert statuses == [201, 400, 201]


def test_an_operation_that_a_patch_does_not_name_is_the_same_in_each_version(versions: Acme) -> None:
    replies = [versions.send("GET", f"/acme/{org}/things") for org in ("old", "new")]

    assert [(reply.status, reply.body) for reply in replies] == [(200, b'{"items":[]}')] * 2


def test_a_preference_applies_to_the_selected_version(versions: Acme) -> None:
    replies = [
        versions.send("POST", f"/acme/{org}/things", {"name": "Lamp"}, headers={"Prefer": "example=chair"})
        for org in ("old", "new")
    ]

    assert [reply.status for reply in replies] == [201, 400]


def test_an_internal_call_uses_the_selected_version(versions: Acme) -> None:
    replies = [versions.send("POST", f"/acme/{org}/orders", {"name": "Lamp"}) for org in ("old", "new")]

    assert [reply.status for reply in replies] == [200, 409]
    assert content(replies[1])["holder"] == "invalid-request"


def test_each_version_of_a_route_has_the_same_rule_and_the_same_path() -> None:
    contract = Contract(Document.load(SPEC), new_rules())

    routes = {route.operation.id: route for route in contract.routes()}

    adding = routes["addThing"]
    assert adding.versions is not None
    other = adding.versions["8"]
    assert set(adding.versions) == {"8"}
    assert other.rule is adding.rule
    assert other.operation is not adding.operation
    assert (other.operation.template, other.document.label) == ("/acme/{shop}/things", "acme/things.yaml (8)")
    assert other.versions is None
    assert len(routes) == 12


def test_a_spec_without_its_patches_has_one_version_whatever_the_settings_say() -> None:
    acme = Acme(documents=[Document(SPEC)])
    acme.seed("shop", settings=[{"edition": "8"}])

    assert acme.send("POST", "/acme/shop/things", {"name": "Lamp"}).status == 201
    assert acme.send("POST", "/acme/shop/orders", {"name": "Lamp"}).status == 200


@pytest.mark.parametrize("setting", ["editoin", "marks", "house", "id"])
def test_versions_need_a_setting_with_a_default(tmp_path: Path, setting: str) -> None:
    found = Document.load(written(tmp_path, ("  setting: edition\n", f"  setting: {setting}\n")))

    with pytest.raises(
        SandboxError, match=rf"^acme/things.yaml: x-versions names the setting {setting}, which acme has not$"
    ):
        Contract(found, new_rules())


def test_a_version_must_declare_the_rejections_that_the_engine_needs(tmp_path: Path) -> None:
    patch = "          post:\n            requestBody:\n"
    without = "          post:\n            responses: {'400': null}\n            requestBody:\n"
    found = Document.load(written(tmp_path, (patch, without)))

    with pytest.raises(SandboxError, match=r"^acme/things.yaml: addThing must declare the rejection invalid-request$"):
        Contract(found, new_rules())


@pytest.mark.parametrize(
    "patch",
    [
        "        /more:\n          get: {operationId: more, security: [], responses: {'204': {description: x}}}\n",
        "        /greeting: null\n",
    ],
    ids=["one more", "one less"],
)
def test_every_version_has_the_same_operations(tmp_path: Path, patch: str) -> None:
    path = written(tmp_path, ("      paths:\n", f"      paths:\n{patch}"))

    with pytest.raises(SandboxError, match=r"^acme/things.yaml:\d+: the version 8 must have the same operations$"):
        Document.load(path)


def test_every_version_stores_the_same(tmp_path: Path) -> None:
    more = "      x-collections: {more: {schema: {type: object}}}\n"
    path = written(tmp_path, ("      paths:\n", f"{more}      paths:\n"))

    with pytest.raises(SandboxError, match=r"the version 8 must have the same x-org and x-collections$"):
        Document.load(path)


# What the platform does for itself


def test_a_rule_may_invoke_another_operation_with_its_events() -> None:
    acme = Acme()

    reply = acme.send("POST", "/acme/shop/orders", {"name": "Lamp", "code": "1"})

    [thing] = acme.stored("shop")
    assert reply.status == 200
    assert content(reply)["thing"] == thing == {"id": thing["id"], "status": "NEW", "name": "Lamp", "code": "1"}
    assert [(event.name, decode(event.payload)) for event in acme.last("shop").events] == [
        ("thing-changed", {"thing": thing})
    ]
    assert [change.id for change in acme.last("shop").changes] == [thing["id"]]


def test_an_invoked_operation_is_validated_by_its_own_contract_and_returns_a_rejection() -> None:
    acme = Acme()
    acme.send("POST", "/acme/shop/things", {"name": "Lamp", "code": "1"})

    taken = acme.send("POST", "/acme/shop/orders", {"name": "Lamp", "code": "1"})
    invalid = acme.send("POST", "/acme/shop/orders", {"name": ""})

    assert [(reply.status, content(reply)["holder"]) for reply in (taken, invalid)] == [
        (409, "code-taken"),
        (409, "invalid-request"),
    ]
    assert content(taken)["detail"] == "code '1' is taken."
    assert acme.last("shop").rejection == "order-failed"


def test_an_invoked_operation_has_all_scopes_and_the_same_tenant() -> None:
    acme = Acme()

    reply = acme.send("POST", "/~team/acme/shop/orders", {"name": "Lamp"}, token="sandbox;scope=orders.write")
    denied = acme.send("POST", "/~team/acme/shop/things", {"name": "Lamp"}, token="sandbox;scope=orders.write")

    assert (reply.status, denied.status) == (200, 403)
    assert content(reply)["refundable"] is False
    assert len(acme.stored("team")) == 1


def test_changes_stay_if_the_rule_rejects_and_keeps_them() -> None:
    acme = Acme()

    reply = acme.send("POST", "/acme/shop/orders", {"name": ""})

    assert reply.status == 409
    [note] = acme.stored("shop", "notes")
    assert (len(note["id"]), note["text"]) == (8, "rejected invalid-request!")
    [change] = acme.last("shop").changes
    assert (change.collection.key, change.id, change.before) == ("acme.notes", note["id"], None)


def test_a_rejection_undoes_the_changes_of_invoked_operations() -> None:
    acme = Acme()

    reply = acme.send("POST", "/acme/shop/orders", {"name": "Lamp", "code": "1", "regret": True})

    assert (reply.status, content(reply)["detail"]) == (409, "It was not wanted.")
    assert acme.stored("shop") == []
    assert (acme.last("shop").changes, acme.last("shop").events) == ([], [])
    assert acme.send("POST", "/acme/shop/things", {"name": "Lamp", "code": "1"}).status == 201


@pytest.mark.parametrize("kind", ["reject", "keep"])
def test_a_rejection_of_an_invoked_operation_undoes_its_changes_only(kind: str) -> None:
    acme = Acme()

    reply = acme.send("POST", f"/acme/shop/failures/ask.{kind}")

    [mine] = acme.stored("shop")
    assert (reply.status, content(reply)["id"]) == (200, mine["id"])
    assert len(acme.last("shop").changes) == 1
    assert acme.last("shop").events == []


def test_an_invoked_operation_may_invoke_another() -> None:
    acme = Acme()

    kept = acme.send("POST", "/acme/shop/failures/ask.ask.none")
    undone = acme.send("POST", "/acme/shop/failures/ask.ask.reject")

    assert (kept.status, undone.status) == (200, 200)
    assert len(acme.stored("shop")) == 3 + 2


@pytest.mark.parametrize(
    ("kind", "internal_error"),
    [
        ("raise", "RuntimeError: the rule broke"),
        ("status", "OffContract: reply: the status 418 is not declared for causeFailure"),
        ("body", "OffContract: reply.name: is required; reply.status: is required"),
        ("event", "OffContract: event thing-changed.thing.name: is required"),
        ("ask.raise", "RuntimeError: the rule broke"),
    ],
)
def test_an_internal_error_of_an_invoked_operation_fails_the_request(kind: str, internal_error: str) -> None:
    acme = Acme()

    reply = acme.send("POST", f"/acme/shop/failures/ask.{kind}")

    assert reply.status == 500
    assert (acme.last("shop").internal_error or "").startswith(internal_error)
    assert (acme.stored("shop"), acme.last("shop").changes, acme.last("shop").events) == ([], [], [])


def test_endless_invocations_are_an_internal_error() -> None:
    def ask_again(call: Call) -> Reply:
        call.invoke("causeFailure", call.path)
        return call.reply()

    acme = Acme(rules=_with("causeFailure", ask_again))

    assert acme.send("POST", "/acme/shop/failures/none").status == 500
    assert (acme.last("shop").internal_error or "").startswith("RecursionError")


def test_an_unknown_operation_cannot_be_invoked() -> None:
    def misspell(call: Call) -> Reply:
        call.invoke("addThign", {"shop": "shop"}, {"name": "Lamp"})
        return call.reply()

    acme = Acme(rules=_with("causeFailure", misspell))

    assert acme.send("POST", "/acme/shop/failures/none").status == 500
    assert acme.last("shop").internal_error == "KeyError: 'addThign'"


def test_an_invoked_operation_needs_its_required_body() -> None:
    seen: list[Any] = []

    def ask_without(call: Call) -> Reply:
        seen.append(call.invoke("addThing", {"shop": "shop"}))
        seen.append(call.invoke("getNewestThing", {"shop": "shop"}))
        return call.reply({"id": "t", "name": "x", "status": "NEW"})

    acme = Acme(rules=_with("causeFailure", ask_without))

    assert acme.send("POST", "/acme/shop/failures/none").status == 200
    assert [rejected.name for rejected in seen] == ["invalid-request", "unknown-thing"]
    assert [str(violation) for violation in seen[0].violations] == ["body: is required"]


def test_an_invoked_operation_accepts_any_path_that_its_rule_accepts() -> None:
    asked: list[Any] = []

    def put(call: Call) -> Reply:
        asked.append(call.invoke("putNote", {"shop": "shop", "id": "n" * 51}, {"text": "x"}))
        return call.reply({"id": "t", "name": "x", "status": "NEW"})

    acme = Acme(rules=_with("causeFailure", put))

    assert acme.send("PUT", f"/acme/shop/notes/{'n' * 51}", {"text": "x"}).status == 400
    assert acme.send("POST", "/acme/shop/failures/none").status == 200
    assert [reply.status for reply in asked] == [201]
    assert acme.stored("shop", "notes") == [{"id": "n" * 51, "text": "x"}]


def _with(operation: str, rule: Rule) -> Rules:
    """The vendor's rules with another rule for one operation."""
    rules = new_rules()
    rules.operations[operation] = rule
    return rules
