"""Orgs: created on first use, seeded completely or not at all, each with its own clock."""

from __future__ import annotations

from typing import Any

import pytest

from promo_sandbox.base import clock
from promo_sandbox.base.errors import SandboxError
from promo_sandbox.base.slices import run_to_end
from promo_sandbox.engine.orgs import Org, Orgs, TooManyOrgs
from promo_sandbox.engine.seeding import InvalidObjects
from promo_sandbox.model.journal import Occurrence
from promo_sandbox.rules import Call, Rejected
from tests.acme import Acme, rejecting

START = clock.parse("2030-01-01T00:00:00Z")


@pytest.fixture
def acme() -> Acme:
    return Acme()


@pytest.fixture
def org(acme: Acme) -> Org:
    """An org with a frozen clock."""
    org = acme.orgs.get("team")
    org.clock.freeze()
    org.clock.set(START)
    return org


def thing(id: str, **members: Any) -> dict[str, Any]:
    return {"id": id, "name": id.upper(), "status": "NEW", **members}


def seed(acme: Acme, org: Org, *things: Any) -> Any:
    return acme.orgs.seed(org, {"acme": {"things": list(things)}})


def rejected(acme: Acme, org: Org, documents: Any) -> list[str]:
    """The violations of an invalid seed."""
    with pytest.raises(InvalidObjects) as caught:
        acme.orgs.seed(org, documents)
    return [str(violation) for violation in caught.value.violations]


def test_an_org_is_made_on_first_use_and_stays() -> None:
    orgs = Acme().orgs

    assert orgs.find("a") is None
    first = orgs.get("a")

    assert orgs.get("a") is first
    assert orgs.find("a") is first
    assert len(orgs) == 1


def test_orgs_are_listed_by_name() -> None:
    orgs = Acme().orgs
    for name in ("b", "C", "a", "10", "9"):
        orgs.get(name)

    assert [org.name for org in orgs] == ["10", "9", "C", "a", "b"]


def test_no_more_orgs_are_made_than_admitted() -> None:
    orgs = Acme(limit=2).orgs
    orgs.get("a")
    orgs.get("b")

    with pytest.raises(TooManyOrgs):
        orgs.get("c")

    assert orgs.get("a").name == "a"
    orgs.delete("a")
    assert orgs.get("c").name == "c"


def test_names_that_look_alike_are_near() -> None:
    orgs = Acme().orgs
    for name in ("payments-1", "payments-2", "loyalty"):
        orgs.get(name)

    assert set(orgs.similar_names("payment-1")) == {"payments-1", "payments-2"}
    assert orgs.similar_names("zzz") == []


def test_orgs_share_nothing(acme: Acme, org: Org) -> None:
    other = acme.orgs.get("other")
    seed(acme, org, thing("a", code="1"))

    seed(acme, other, thing("a", code="1"))
    other.clock.set(0)

    assert org.state.count == other.state.count == 1
    assert org.clock.now() == START
    assert other.journal.last_id == 1


def test_a_forgotten_org_is_as_if_it_had_never_been(acme: Acme, org: Org) -> None:
    seed(acme, org, thing("a"))

    assert acme.orgs.delete("team")

    assert acme.orgs.find("team") is None
    assert not acme.orgs.delete("team")
    assert acme.orgs.get("team").state.count == 0


def test_discarded_objects_are_freed_in_slices(acme: Acme, org: Org) -> None:
    assert not acme.orgs.free_slice()
    seed(acme, org, *(thing(str(number)) for number in range(1200)))
    state = org.state
    acme.orgs.delete("team")

    slices = 1
    while acme.orgs.free_slice():
        slices += 1

    assert slices > 3
    assert state.count == 0


def test_a_reset_org_is_as_on_first_use(acme: Acme, org: Org) -> None:
    acme.send("POST", "/acme/team/things", {"name": "Lamp"})
    first = acme.stored("team")[0]["id"]

    run_to_end(acme.orgs.reset(org))

    assert acme.orgs.find("team") is org
    assert (org.state.count, org.journal.last_id, org.clock.frozen) == (0, 0, False)
    assert org.clock.now() < START
    acme.send("POST", "/acme/team/things", {"name": "Lamp"})
    assert acme.stored("team")[0]["id"] == first


def test_the_operator_s_seeds_are_there_from_the_start_and_after_a_reset() -> None:
    acme = Acme(seeds={"shop": {"acme": {"things": [thing("a")]}}})
    org = acme.orgs.find("shop")
    assert org is not None
    assert [doc["id"] for doc in acme.stored("shop")] == ["a"]
    acme.send("DELETE", "/acme/shop/things/a")

    run_to_end(acme.orgs.reset(org))
    assert [doc["id"] for doc in acme.stored("shop")] == ["a"]

    acme.orgs.delete("shop")
    assert [doc["id"] for doc in acme.stored("shop")] == ["a"]
    assert acme.stored("another") == []


def test_an_invalid_seed_of_the_operator_stops_the_start() -> None:
    with pytest.raises(
        SandboxError, match=r"^the seed of the org 'shop' is invalid: acme.things\[0\].name: is required$"
    ):
        Acme(seeds={"shop": {"acme": {"things": [{}]}}})


def test_more_seeded_orgs_than_admitted_stop_the_start() -> None:
    with pytest.raises(SandboxError, match=r"^2 orgs are seeded, but the limit is 1$"):
        Acme(seeds={"a": {}, "b": {}}, limit=1)


def test_a_seeded_object_is_filled_in_and_stored_and_sends_a_webhook(acme: Acme, org: Org) -> None:
    stored = seed(acme, org, {"name": "Lamp", "secret": "s"})

    [lamp] = stored["acme"]["things"]
    assert lamp == {"name": "Lamp", "secret": "s", "id": lamp["id"], "status": "NEW"}
    assert acme.stored("team") == [lamp]
    [occurrence] = org.journal.entries()
    assert isinstance(occurrence, Occurrence)
    assert (occurrence.name, occurrence.at, [event.name for event in occurrence.events]) == (
        "seed",
        START,
        ["thing-changed"],
    )
    assert [change.id for change in occurrence.changes] == [lamp["id"]]


def test_a_seeded_object_with_an_id_that_exists_replaces_that_one(acme: Acme, org: Org) -> None:
    seed(acme, org, thing("a", code="1"), thing("b"))

    seed(acme, org, thing("a", name="Another"))

    assert acme.stored("team") == [thing("a", name="Another"), thing("b")]


def test_the_caller_s_own_objects_stay_as_they_are(acme: Acme, org: Org) -> None:
    lamp = {"name": "Lamp"}

    seed(acme, org, lamp)

    assert lamp == {"name": "Lamp"}


def test_an_invalid_seed_stores_nothing_and_names_the_place_of_each_violation(acme: Acme, org: Org) -> None:
    seed(acme, org, thing("a", code="1"))
    before = list(org.journal.entries())

    said = rejected(
        acme,
        org,
        {
            "acme": {
                "things": [
                    thing("b"),
                    thing("c", code="1"),
                    thing("d", code="2"),
                    thing("e", code="2"),
                    {"id": 7, "status": "BROKEN", "price": {"unit": "EUR"}},
                    {"name": "Forbidden"},
                    "no object",
                ],
                "thing": [],
                "notes": {},
            },
            "acne": {"things": []},
            "other": [],
        },
    )

    assert sorted(set(said)) == [
        "acme.notes: is a collection, but its value holds no objects",
        "acme.thing: is not a collection; did you mean things?",
        "acme.things[1].code: '1' is taken by another object",
        "acme.things[3].code: '2' is taken by acme.things[2]",
        'acme.things[4].id: 7 is not of type "string"',
        "acme.things[4].name: is required",
        "acme.things[4].price.value: is required",
        'acme.things[4].status: "BROKEN" is not one of "NEW" or "EXPIRED"',
        "acme.things[5]: Nobody may store this.",
        'acme.things[6]: "no object" is not of type "object"',
        "acne: is not a vendor; did you mean acme?",
        "other: is not a vendor; there are acme",
    ]
    assert acme.stored("team") == [thing("a", code="1")]
    assert list(org.journal.entries()) == before
    assert org.state.find(acme.things, "code", "2") is None


def test_a_seed_with_very_many_violations_names_the_first(acme: Acme, org: Org) -> None:
    assert len(rejected(acme, org, {"acme": {"things": [{}] * 10_000}})) == 50


def test_a_seed_that_breaks_the_sandbox_leaves_nothing(acme: Acme, org: Org) -> None:
    acme.contract.callbacks.clear()

    with pytest.raises(Exception, match="no spec declares the callback thing-changed"):
        seed(acme, org, thing("a"))

    assert org.state.count == 0
    assert list(org.journal.entries()) == []


def test_a_timer_that_is_due_when_seeded_runs_at_once(acme: Acme, org: Org) -> None:
    seed(acme, org, thing("a", expires="2029-12-31T00:00:00Z"))

    entries = [entry for entry in org.journal.entries() if isinstance(entry, Occurrence)]
    assert [(entry.at, len(entry.events)) for entry in entries] == [(START, 1), (START, 1)]
    assert acme.stored("team")[0]["status"] == "EXPIRED"


def test_time_passes_in_order_each_entry_at_its_own_instant(acme: Acme, org: Org) -> None:
    seed(
        acme,
        org,
        thing("late", expires="2030-03-01T00:00:00Z"),
        thing("early", expires="2030-01-15T12:00:00Z"),
        thing("same", expires="2030-03-01T00:00:00Z"),
        thing("after", expires="2030-03-01T00:00:01Z"),
        thing("never"),
    )

    happened = acme.orgs.run_due_timers(org, clock.parse("2030-03-01T00:00:00Z"))

    assert [(clock.text(what.at), what.name, what.document, what.internal_error) for what in happened] == [
        ("2030-01-15T12:00:00.000Z", "expire-thing", "early", None),
        ("2030-03-01T00:00:00.000Z", "expire-thing", "late", None),
        ("2030-03-01T00:00:00.000Z", "expire-thing", "same", None),
    ]
    assert [event.at for what in happened for event in what.events] == [what.at for what in happened]
    assert {doc["id"] for doc in acme.stored("team") if doc["status"] == "EXPIRED"} == {"early", "late", "same"}
    assert list(org.journal.entries())[1:] == happened
    assert acme.orgs.run_due_timers(org, clock.parse("2030-03-01T00:00:00Z")) == []


def test_a_due_rule_that_fails_is_an_internal_error_and_does_not_stop_the_clock(acme: Acme, org: Org) -> None:
    seed(acme, org, thing("a", breaks="2030-01-02T00:00:00Z"), thing("b", expires="2030-01-03T00:00:00Z"))

    happened = acme.orgs.run_due_timers(org, clock.parse("2030-02-01T00:00:00Z"))

    assert [(what.name, what.document, what.internal_error) for what in happened] == [
        ("break-thing", "a", "RuntimeError: A breaks"),
        ("expire-thing", "b", None),
    ]
    assert happened[0].changes == []
    assert acme.stored("team")[0] == thing("a", breaks="2030-01-02T00:00:00Z")
    assert acme.orgs.run_due_timers(org, clock.parse("2031-01-01T00:00:00Z")) == []


def test_a_missing_due_rule_or_an_undeclared_event_is_an_internal_error(acme: Acme, org: Org) -> None:
    rules = acme.contract.rules
    del rules.timer_rules["break-thing"]
    rules.timer_rules["expire-thing"] = lambda call, _id: call.emit("thing-vanished", {})
    seed(acme, org, thing("a", breaks="2030-01-02T00:00:00Z", expires="2030-01-03T00:00:00Z"))

    happened = acme.orgs.run_due_timers(org, clock.parse("2030-02-01T00:00:00Z"))

    assert [what.internal_error for what in happened] == [
        "KeyError: 'break-thing'",
        "OffContract: no spec declares the callback thing-vanished",
    ]
    assert [what.events for what in happened] == [[], []]


def test_a_due_rule_may_have_an_operation_done_and_reads_the_settings(acme: Acme, org: Org) -> None:
    def expire(call: Call, id: str) -> None:
        call.invoke("putNote", {"shop": call.tenant, "id": "n"}, {"text": call.settings["orders"]["word"]})
        call.invoke("removeThing", {"shop": call.tenant, "id": id})

    acme.contract.rules.timer_rules["expire-thing"] = expire
    acme.seed("team", settings=[{"orders": {"word": "gone"}}])
    seed(acme, org, thing("a", expires="2030-01-02T00:00:00Z"), thing("b"))

    [happened] = acme.orgs.run_due_timers(org, START + 2 * clock.DAY)

    assert (happened.at, happened.internal_error) == (START + clock.DAY, None)
    assert [(change.collection.key, change.id) for change in happened.changes] == [
        ("acme.notes", "n"),
        ("acme.things", "a"),
    ]
    assert acme.stored("team") == [thing("b")]
    assert acme.stored("team", "notes") == [{"id": "n", "text": "gone"}]


def test_a_rejected_internal_call_of_a_due_rule_is_rolled_back(acme: Acme, org: Org) -> None:
    rejections: list[str] = []

    def expire(call: Call, _: str) -> None:
        asked = call.invoke("addThing", {"shop": call.tenant}, {"name": "Lamp", "code": "1"})
        assert isinstance(asked, Rejected)
        rejections.append(asked.name)

    acme.contract.rules.timer_rules["expire-thing"] = expire
    seed(acme, org, thing("a", code="1", expires="2030-01-02T00:00:00Z"))

    [happened] = acme.orgs.run_due_timers(org, START + clock.DAY)

    assert rejections == ["code-taken"]
    assert (happened.internal_error, happened.changes, happened.events) == (None, [], [])


def test_an_internal_call_of_a_due_rule_fails_with_it(acme: Acme, org: Org) -> None:
    def expire(call: Call, _: str) -> None:
        call.invoke("causeFailure", {"shop": call.tenant, "kind": "raise"})

    acme.contract.rules.timer_rules["expire-thing"] = expire
    seed(acme, org, thing("a", expires="2030-01-02T00:00:00Z"))

    [happened] = acme.orgs.run_due_timers(org, START + clock.DAY)

    assert happened.internal_error == "RuntimeError: the rule broke"
    assert acme.stored("team") == [thing("a", expires="2030-01-02T00:00:00Z")]


def test_armed_effects_belong_to_one_org_and_end_with_a_reset(acme: Acme, org: Org) -> None:
    org.state.arm("addThing", [rejecting("code-taken")])

    assert acme.orgs.get("other").state.armed is None
    run_to_end(acme.orgs.reset(org))

    assert org.state.armed is None


def test_settings_are_seeded_by_the_operator_and_after_a_reset() -> None:
    acme = Acme(seeds={"shop": {"acme": {"settings": [{"edition": "8"}]}}})
    org = acme.orgs.get("shop")

    acme.seed("shop", settings=[{"edition": "7"}])
    run_to_end(acme.orgs.reset(org))

    assert acme.contract.settings(org.state)["edition"] == "8"


def test_settings_are_restored_with_the_state(acme: Acme, org: Org) -> None:
    acme.seed("team", settings=[{"edition": "8"}])
    other = acme.orgs.get("other")

    run_to_end(acme.orgs.restore_state(other, whole(acme, org), 0))

    assert acme.contract.settings(other.state)["edition"] == "8"


def test_timers_that_become_due_in_real_time_run_before_the_next_request(acme: Acme, org: Org) -> None:
    seed(acme, org, thing("a", expires="2030-01-02T00:00:00Z"))
    org.clock.set(clock.parse("2030-01-02T00:00:00Z"))

    reply = acme.send("GET", "/acme/team/things/a")

    assert b'"EXPIRED"' in reply.body
    assert [type(entry).__name__ for entry in org.journal.entries()] == ["Occurrence", "Occurrence", "Exchange"]


def test_setting_the_clock_back_undoes_nothing_and_repeats_nothing(acme: Acme, org: Org) -> None:
    seed(acme, org, thing("a", expires="2030-01-02T00:00:00Z"))
    acme.orgs.run_due_timers(org, START + 5 * clock.DAY)
    org.clock.set(START)

    assert acme.orgs.run_due_timers(org, START + 5 * clock.DAY) == []
    assert acme.stored("team")[0]["status"] == "EXPIRED"


def whole(acme: Acme, org: Org) -> Any:
    return acme.documents(org)


def fill(acme: Acme, org: Org) -> None:
    seed(acme, org, thing("c", code="1", price={"unit": "EUR", "value": 7}), thing("a", expires="2030-01-05T00:00:00Z"))
    org.clock.set(START + clock.DAY)
    acme.orgs.seed(org, {"acme": {"notes": [{"id": "n", "text": "x"}]}})
    seed(acme, org, thing("b", expires="2030-01-04T00:00:00Z"))
    acme.send("DELETE", "/acme/team/things/c")


def test_a_state_that_is_read_out_and_restored_is_the_same(acme: Acme, org: Org) -> None:
    fill(acme, org)
    documents, sequence = whole(acme, org), org.state.sequence
    other = acme.orgs.get("other")
    seed(acme, other, thing("gone"))

    run_to_end(acme.orgs.restore_state(other, documents, sequence))

    assert whole(acme, other) == documents
    assert [(doc["id"], created, place) for doc, created, place in documents["acme"]["things"]] == [
        ("a", START, 1),
        ("b", START + clock.DAY, 3),
    ]
    assert (other.state.sequence, other.state.next_place) == (sequence, org.state.next_place)
    assert [*other.state.page("things", start=None, stop=None, offset=0, limit=9)] == [
        *org.state.page("things", start=None, stop=None, offset=0, limit=9)
    ]
    far = START + 30 * clock.DAY
    assert [what.document for what in acme.orgs.run_due_timers(other, far)] == ["b", "a"]
    assert [what.document for what in acme.orgs.run_due_timers(org, far)] == ["b", "a"]


def test_a_document_restored_without_a_time_of_creation_is_created_now(acme: Acme, org: Org) -> None:
    run_to_end(
        acme.orgs.restore_state(org, {"acme": {"things": [(thing("a"), None, None), (thing("b"), None, None)]}}, 0)
    )

    assert whole(acme, org) == {"acme": {"things": [(thing("a"), START, 0), (thing("b"), START, 1)]}}


def test_an_invalid_state_changes_nothing(acme: Acme, org: Org) -> None:
    fill(acme, org)
    before, sequence = whole(acme, org), org.state.sequence
    documents: Any = {
        "acme": {
            "things": [({}, None, None), (thing("x", code="1"), None, None), (thing("y", code="1"), None, None)],
            "thins": [],
        },
        "acne": {},
    }

    with pytest.raises(InvalidObjects) as caught:
        run_to_end(acme.orgs.restore_state(org, documents, 99))

    assert [violation.where for violation in caught.value.violations] == [
        "acme.things[0].name",
        "acme.things[2].code",
        "acme.thins",
        "acne",
    ]
    assert whole(acme, org) == before
    assert org.state.sequence == sequence


def test_ids_are_the_same_in_every_org(acme: Acme) -> None:
    stored = [acme.orgs.seed(acme.orgs.get(name), {"acme": {"things": [{"name": "x"}]}}) for name in ("a", "b")]

    assert stored[0] == stored[1]


def test_orgs_know_nothing_but_what_they_are_given() -> None:
    orgs = Orgs([], Acme().authenticator, limit=1, journal_limit=1, journal_bytes=1)

    with pytest.raises(InvalidObjects, match="x: is not a vendor"):
        orgs.seed(orgs.get("a"), {"x": {}})


def test_ticks_run_the_due_timers_of_all_orgs() -> None:
    acme = Acme(limit=2000)
    for number in range(1200):
        org = acme.orgs.get(f"org-{number}")
        org.clock.freeze()
        org.clock.set(START)
        seed(acme, org, thing("a", expires="2030-01-02T00:00:00Z"))
        org.clock.set(clock.parse("2030-01-03T00:00:00Z" if number % 2 else "2030-01-01T12:00:00Z"))
    acme.orgs.delete("org-1")

    for _ in range(6):
        acme.orgs.tick()

    expired = [name for name in (f"org-{number}" for number in range(2, 1200)) if is_expired(acme, name)]
    assert expired == [f"org-{number}" for number in range(3, 1200, 2)]
    assert acme.orgs.find("org-1") is None


def is_expired(acme: Acme, name: str) -> bool:
    return [doc["status"] for doc in acme.stored(name)] == ["EXPIRED"]
