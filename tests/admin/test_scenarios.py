"""Scenarios and triggers over HTTP, on a real server whose only vendor is the made-up one."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any

import httpx2
import jsonschema
import pytest

from promo_sandbox.base import config as configuration
from promo_sandbox.base.errors import SandboxError
from tests.acme import new_app, write_specs
from tests.patience import LONG, TICK
from tests.serving import OrgClient, running

_numbers = itertools.count()
LOST = """
summary: The reply is lost.
given:
  clock: 2030-01-01T00:00:00Z
  seed: {acme: {things: [{id: a, name: A, status: NEW, expires: 2030-01-02T00:00:00Z}]}}
steps:
  - operation: addThing
    when: {body: {name: Lamp}}
    then: {cut: after}
  - operation: addThing
    times: 2
    then: {reject: code-taken}
  - then: {advance: P1D}
otherwise: fail
"""


@pytest.fixture(scope="module")
def specs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_specs(tmp_path_factory.mktemp("scenarios") / "specs")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of scenarios like an operator's."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "acme").mkdir()
    (folder / "acme" / "lost.yaml").write_text(LOST, encoding="utf-8")
    (folder / "empty.yaml").write_text("steps: []", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def url(specs: Path, own: Path) -> Iterator[str]:
    with running(app=new_app(specs, scenarios=own)) as (_, base):
        yield base


@pytest.fixture
def org_client(url: str, http: httpx2.Client) -> OrgClient:
    """A fresh org of the server above."""
    return OrgClient(url, f"scenario-{next(_numbers)}", http)


def put(org_client: OrgClient, document: Any) -> httpx2.Response:
    """Have the org follow a scenario: YAML if it is a text, otherwise JSON."""
    path = f"{org_client.url}/__admin/orgs/{org_client.org}/scenario"
    if isinstance(document, str):
        return org_client.http.put(path, content=document, headers={"Content-Type": "application/yaml"})
    return org_client.http.put(path, json=document)


def rejected(response: httpx2.Response, title: str) -> Any:
    body = response.json()
    assert (response.headers["content-type"], response.status_code) == ("application/problem+json", body["status"])
    assert (body["title"], body["status"]) == (title, 404 if title == "No scenario" else 400)
    return body


def add(org_client: OrgClient, name: str = "Lamp", **more: Any) -> httpx2.Response:
    return org_client.request("POST", f"/acme/{org_client.org}/things", {"name": name}, **more)


def get(org_client: OrgClient, id: str = "a", **more: Any) -> httpx2.Response:
    return org_client.request("GET", f"/acme/{org_client.org}/things/{id}", **more)


def test_a_scenario_is_put_followed_and_shown(org_client: OrgClient) -> None:
    begun = put(org_client, LOST)
    with pytest.raises(httpx2.RemoteProtocolError):
        add(org_client)
    statuses = [add(org_client).status_code, get(org_client).status_code, add(org_client, "Other").status_code]

    reported = org_client.admin("GET", "/scenario").json()
    assert (begun.status_code, begun.json()["current"], begun.json()["unmet"]) == (200, 1, [1, 2, 3])
    assert statuses == [409, 500, 409]
    assert reported == {
        "name": None,
        "summary": "The reply is lost.",
        "otherwise": "fail",
        "current": None,
        "steps": [
            {
                "number": 1,
                "operation": "addThing",
                "then": {"cut": "after"},
                "times": 1,
                "taken": 1,
                "by": [2],
                "done": True,
            },
            {
                "number": 2,
                "operation": "addThing",
                "then": {"reject": "code-taken"},
                "times": 2,
                "taken": 2,
                "by": [3, 5],
                "done": True,
            },
            {
                "number": 3,
                "operation": None,
                "then": {"advance": "P1D"},
                "times": 1,
                "taken": 1,
                "by": [],
                "done": True,
            },
        ],
        "unmet": [],
        "unexpected": [{"exchange": 4, "operation": "getThing", "why": "Step 2 expects addThing, not getThing."}],
        "unexpected_count": 1,
    }
    assert [(it["event"], it["cause"], it["at"][:10]) for it in org_client.events()] == [
        ("thing-changed", "seed", "2030-01-01"),
        ("thing-changed", "2", "2030-01-01"),
        ("thing-changed", "expire-thing", "2030-01-02"),
    ]


def test_the_journal_says_which_step_and_what_befell_the_reply(org_client: OrgClient) -> None:
    put(org_client, LOST.replace("{cut: after}", "{cut: midway, delay: 10ms}"))
    with pytest.raises(httpx2.RemoteProtocolError):
        add(org_client)
    get(org_client)

    unexpected, cut = org_client.admin("GET", "/requests").json()["requests"]

    assert (cut["step"], cut["fault"], cut["unexpected"]) == (
        1,
        {"delay": 0.01, "cut": "midway", "corrupt": False},
        None,
    )
    assert (unexpected["step"], unexpected["fault"]) == (None, None)
    assert unexpected["unexpected"] == "Step 2 expects addThing, not getThing."


def test_a_scenario_is_put_as_json_too(org_client: OrgClient) -> None:
    document = {"steps": [{"operation": "addThing", "then": {"corrupt": True}}]}

    assert put(org_client, document).status_code == 200

    with pytest.raises(json.JSONDecodeError):
        add(org_client).json()


def test_a_scenario_is_put_by_its_name(org_client: OrgClient) -> None:
    begun = put(org_client, {"name": "acme/lost"}).json()

    assert (begun["name"], begun["summary"], len(begun["steps"])) == ("acme/lost", "The reply is lost.", 3)
    assert org_client.admin("GET", "/clock").json() == {"now": "2030-01-01T00:00:00.000Z", "frozen": True}


def test_a_name_that_no_scenario_has_is_rejected_with_the_nearest(org_client: OrgClient) -> None:
    body = rejected(put(org_client, {"name": "acme/lots"}), "Unknown scenario")

    assert body["detail"] == "There is no scenario acme/lots; did you mean acme/lost?"
    assert org_client.admin("GET").status_code == 404


@pytest.mark.parametrize("document", [{"name": 7}, {"name": ""}, {"name": "acme/lost", "steps": []}, [], "7", "[", ""])
def test_a_scenario_has_a_form(org_client: OrgClient, document: Any) -> None:
    rejected(put(org_client, document), "Bad request")

    assert org_client.admin("GET").status_code == 404


LAUGHS = "a0: &a0 [1]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10))


@pytest.mark.parametrize(
    ("document", "detail"),
    [
        (LAUGHS, "has more than 100000 values"),
        ("steps: &all [*all]", "found unconstructable recursive node"),
        (f"steps: {'[' * 101}{']' * 101}", "is nested deeper than 100 levels"),
        ('summary: "\\ud800"\nsteps: []', "invalid Unicode character"),
    ],
)
def test_a_document_that_json_could_not_say_is_rejected(org_client: OrgClient, document: str, detail: str) -> None:
    assert detail in rejected(put(org_client, document), "Bad request")["detail"]


MUCH = "".join(f"  - {{operation: getThing, then: {{reject: unknown-thing}}}}  # {number}\n" for number in range(400))


def test_a_large_document_in_yaml_is_read_between_other_requests(org_client: OrgClient) -> None:
    assert len(MUCH) > 16_384

    begun = put(org_client, f"steps:\n{MUCH}")

    assert begun.status_code == 200
    assert len(begun.json()["steps"]) == 400
    assert get(org_client, "none").status_code == 404


def test_of_a_large_document_mistakes_are_reported_without_their_lines(org_client: OrgClient) -> None:
    [error] = rejected(put(org_client, f"steps:\n{MUCH}  - {{operation: getThng}}\n"), "Unacceptable scenario")[
        "errors"
    ]

    assert (error["pointer"], error["line"]) == ("/steps/400/operation", None)
    assert "did you mean getThing?" in error["detail"]


@pytest.mark.parametrize(
    ("end", "detail"), [("  - [", "body: body:403: "), ("  - *nowhere", "body: body:402: found undefined alias")]
)
def test_a_large_document_that_is_no_yaml_is_rejected_as_a_small_one(
    org_client: OrgClient, end: str, detail: str
) -> None:
    assert detail in rejected(put(org_client, f"steps:\n{MUCH}{end}"), "Bad request")["detail"]

    assert org_client.admin("GET").status_code == 404


def test_the_steps_of_a_scenario_hold_so_many_values(org_client: OrgClient) -> None:
    body = rejected(put(org_client, {"steps": [{"operation": ["getThing"] * 10_000}]}), "Unacceptable scenario")

    assert body["errors"][0]["detail"] == "has more than 10000 values"


def test_a_pattern_that_others_would_take_ages_for_is_served(org_client: OrgClient) -> None:
    step = {
        "operation": "addThing",
        "when": {"body": {"name": {"matches": "^(a+)+$"}}},
        "then": {"reject": "code-taken"},
    }
    put(org_client, {"steps": [step]})

    assert add(org_client, name="a" * 40 + "b").status_code == 201
    assert add(org_client, name="a" * 40).status_code == 409


def test_patterns_that_are_too_large_together_are_rejected(org_client: OrgClient) -> None:
    steps = [
        {"operation": "addThing", "when": {"body": {"name": {"matches": f"a{{{1000 + number}}}"}}}}
        for number in range(9)
    ]

    body = rejected(put(org_client, {"steps": steps}), "Unacceptable scenario")

    assert body["errors"][0]["detail"] == "makes the patterns of the scenario too large together"


def test_an_alias_stands_for_what_it_names(org_client: OrgClient) -> None:
    put(
        org_client,
        "steps: [{operation: getThing, then: &no {reject: unknown-thing}}, {operation: getThing, then: *no}]",
    )

    assert [get(org_client, "none").status_code for _ in range(2)] == [404, 404]
    assert [step["taken"] for step in org_client.admin("GET", "/scenario").json()["steps"]] == [1, 1]


@pytest.mark.parametrize(
    "step",
    [
        {"operation": "getThing", "then": {"delay": 10**400}},
        {"operation": "getThing", "for": 10**30},
        {"operation": "getThing", "times": 10**400},
        {"operation": "getThing", "then": {"throttle": {"limit": 10**400, "per": 1}}},
    ],
)
def test_a_number_beyond_measure_is_rejected(org_client: OrgClient, step: Any) -> None:
    assert put(org_client, {"steps": [step]}).json()["status"] == 400


def test_an_exponent_beyond_measure_is_rejected(org_client: OrgClient) -> None:
    for step in ("then: {delay: 1e999999999}", "times: 1e999999999", "then: {throttle: {limit: 1e999999999, per: 1}}"):
        rejected(put(org_client, f"steps: [{{operation: getThing, {step}}}]"), "Bad request")
    response = org_client.http.post(
        f"{org_client.url}/__admin/orgs/{org_client.org}/next",
        content='{"operation": "getThing", "then": {"delay": 1e999999999}}',
        headers={"Content-Type": "application/json"},
    )
    rejected(response, "Bad request")


def test_a_scenario_that_names_what_there_is_not_is_rejected_with_every_place_and_makes_no_org(
    org_client: OrgClient,
) -> None:
    body = rejected(
        put(org_client, LOST.replace("addThing", "addThign").replace("advance", "advnce")), "Unacceptable scenario"
    )

    assert body["errors"] == [
        {"detail": "is unknown; did you mean advance?", "pointer": "/steps/2/then/advnce", "line": 13}
    ]
    assert body["detail"] == "scenario:13: /steps/2/then/advnce: is unknown; did you mean advance?"
    body = rejected(put(org_client, LOST.replace("addThing", "addThign")), "Unacceptable scenario")
    assert [(error["line"], error["pointer"]) for error in body["errors"]] == [
        (7, "/steps/0/operation"),
        (10, "/steps/1/operation"),
    ]
    assert org_client.admin("GET").status_code == 404


def test_a_rejected_scenario_leaves_the_one_before(org_client: OrgClient) -> None:
    put(org_client, LOST)
    before = org_client.admin("GET", "/scenario").json(), org_client.state()

    rejected(put(org_client, LOST.replace("status: NEW", "status: OLD")), "Unacceptable scenario")

    assert (org_client.admin("GET", "/scenario").json(), org_client.state()) == before


def test_a_scenario_is_ended_and_everything_else_stays(org_client: OrgClient) -> None:
    put(org_client, LOST)

    ended = org_client.admin("DELETE", "/scenario")

    assert (ended.status_code, ended.content) == (204, b"")
    body = rejected(org_client.admin("GET", "/scenario"), "No scenario")
    assert body["detail"] == f"The org {org_client.org} has no scenario."
    assert (add(org_client).status_code, get(org_client).status_code) == (201, 200)
    assert org_client.admin("DELETE", "/scenario").status_code == 204


def test_a_reset_leads_back_to_the_first_step(org_client: OrgClient) -> None:
    put(org_client, LOST)
    get(org_client)

    org_client.admin("POST", "/reset")

    reported = org_client.admin("GET", "/scenario").json()
    assert (reported["current"], reported["unexpected"]) == (1, [])
    assert org_client.admin("GET", "/requests").json()["total"] == 0


def test_a_pause_is_over_when_the_clock_was_advanced_or_set(org_client: OrgClient) -> None:
    payload = "{thing: {id: a, name: A, status: NEW}}"
    pause = f"{{then: {{delay: 10s}}}}, {{then: {{emit: {{callback: thing-changed, payload: {payload}}}}}}}"
    put(org_client, f"given: {{clock: 2030-01-01T00:00:00Z}}\nsteps: [{pause}, {pause}]")

    reported = [org_client.admin("GET", "/scenario").json()["current"]]
    org_client.advance("PT10S")
    reported.append(len(org_client.events()))
    org_client.freeze("2030-01-01T00:01:00Z")
    reported.append(len(org_client.events()))

    assert reported == [1, 1, 2]
    assert [event["cause"] for event in org_client.events()] == ["scenario step 2", "scenario step 4"]


def test_the_schema_is_served(url: str, http: httpx2.Client) -> None:
    response = http.get(f"{url}/__admin/scenarios/schema")

    assert response.headers["content-type"] == "application/schema+json"
    jsonschema.Draft202012Validator.check_schema(response.json())
    assert response.json() == json.loads(
        (configuration.data_folder("specs") / "sandbox/scenario.schema.json").read_text("utf-8")
    )


def test_scenarios_are_listed_by_name(url: str, http: httpx2.Client) -> None:
    listed = {entry["name"]: entry for entry in http.get(f"{url}/__admin/scenarios").json()["scenarios"]}

    assert list(listed) == sorted(listed)
    assert listed["acme/lost"] == {"name": "acme/lost", "summary": "The reply is lost.", "steps": 3, "bundled": False}
    assert listed["empty"] == {"name": "empty", "summary": None, "steps": 0, "bundled": False}
    assert any(entry["bundled"] for entry in listed.values())


def test_the_operator_s_scenario_wins_over_a_bundled_one_of_the_same_name(
    specs: Path, tmp_path: Path, http: httpx2.Client
) -> None:
    bundled = next(configuration.data_folder("scenarios").rglob("*.yaml")).relative_to(
        configuration.data_folder("scenarios")
    )
    (tmp_path / bundled.parent).mkdir()
    (tmp_path / bundled).write_text("summary: Mine.\nsteps: []", encoding="utf-8")

    with running(app=new_app(specs, scenarios=tmp_path)) as (_, url):
        listed = http.get(f"{url}/__admin/scenarios").json()["scenarios"]
        begun = put(OrgClient(url, "mine", http), {"name": bundled.with_suffix("").as_posix()}).json()

    assert [it["summary"] for it in listed if it["name"] == bundled.with_suffix("").as_posix()] == ["Mine."]
    assert begun["summary"] == "Mine."


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "steps:\n  - {operation: addThin}",
            ":2: /steps/0/operation: there is no operation addThin; did you mean addThing?",
        ),
        ("steps: [", "broken.yaml:2: "),
        ("steps: []\ngiven: {seed: {acme: {things: [{}]}}}", ":2: /given/seed/acme/things/0/name: is required"),
        ("\xff", "is not UTF-8"),
    ],
)
def test_a_broken_scenario_of_the_operator_stops_the_start(
    specs: Path, tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "broken.yaml").write_bytes(text.encode("latin-1"))

    with pytest.raises(SandboxError) as caught:
        new_app(specs, scenarios=tmp_path)

    assert str(tmp_path / "broken.yaml") in str(caught.value)
    assert message in str(caught.value)


def test_a_mounted_configmap_has_each_scenario_once(specs: Path, tmp_path: Path) -> None:
    (tmp_path / "..2030_01_01").mkdir()
    (tmp_path / "..2030_01_01" / "mine.yaml").write_text("steps: [{operation: addThing}]", encoding="utf-8")
    (tmp_path / "..data").symlink_to("..2030_01_01")
    (tmp_path / "mine.yaml").symlink_to("..data/mine.yaml")

    library = new_app(specs, scenarios=tmp_path).catalogue

    assert [entry.name for entry in library.entries() if not entry.bundled] == ["mine"]


def test_a_folder_of_scenarios_that_is_none_stops_the_start(specs: Path, tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="does not exist"):
        new_app(specs, scenarios=tmp_path / "none")


# What the next calls meet


def arm(org_client: OrgClient, then: Any, operation: str = "getThing", **more: Any) -> httpx2.Response:
    return org_client.admin("POST", "/next", {"operation": operation, "then": then, **more})


def test_the_next_calls_are_answered_as_a_step_would_answer_them(org_client: OrgClient) -> None:
    thing = {"id": "x", "name": "X", "status": "NEW"}
    thens: list[Any] = [
        {"reject": "unknown-thing"},
        {"reply": {"status": 200, "body": thing}},
        {"reply": {"status": 503, "off_contract": True}, "delay": "1ms"},
        {"corrupt": True},
        {"delay": 0.05},
    ]
    for then in thens:
        assert arm(org_client, then).status_code == 200

    reported = org_client.admin("GET", "/next").json()["armed"]
    replies = [get(org_client), get(org_client), get(org_client), get(org_client)]
    started = perf_counter()
    last = get(org_client)

    assert reported == [{"operation": "getThing", "then": then, "times": 1} for then in thens]
    assert perf_counter() - started >= 0.05 - TICK
    assert [reply.status_code for reply in (*replies, last)] == [404, 200, 503, 404, 404]
    assert replies[1].json() == thing
    with pytest.raises(json.JSONDecodeError):
        replies[3].json()
    kept = [it["preference"] for it in org_client.admin("GET", "/requests").json()["requests"]][::-1]
    assert kept == [
        "next: unknown-thing",
        "next: reply",
        "next: reply, delay 1ms",
        "next: corrupt",
        "next: delay 0.05",
    ]


@pytest.mark.parametrize(("cut", "stored"), [("before", 0), ("after", 1), ("midway", 1)])
def test_the_next_connection_is_lost(org_client: OrgClient, cut: str, stored: int) -> None:
    arm(org_client, {"cut": cut}, "addThing")

    with pytest.raises(httpx2.RemoteProtocolError):
        add(org_client)

    assert len(org_client.state().get("acme", {}).get("things", [])) == stored
    assert add(org_client).status_code == 201


def test_what_is_armed_comes_before_a_step_which_then_waits(org_client: OrgClient) -> None:
    put(org_client, "steps: [{operation: getThing, then: {reject: invalid-credentials}}]")
    arm(org_client, {"reject": "unknown-thing"})

    assert [get(org_client).status_code, get(org_client).status_code] == [404, 401]


def test_a_fault_waits_for_a_call_on_the_wire(org_client: OrgClient) -> None:
    arm(org_client, {"reply": {"status": 503, "off_contract": True}}, "addThing")

    ordered = org_client.request("POST", f"/acme/{org_client.org}/orders", {"name": "Lamp"})

    assert ordered.status_code == 200
    assert add(org_client).status_code == 503


@pytest.mark.parametrize(
    ("then", "pointer", "detail"),
    [
        ({"reply": {"status": 200, "body": {}}}, "/then/reply", "reply.id: is required; `off_contract: true`"),
        ({"delay": "1h"}, "/then/delay", "'1h' is not a duration"),
        ({"delay": 301}, "/then/delay", "is at most 300 s"),
        ({"cut": "after", "corrupt": True}, "/then", "must have one effect"),
    ],
)
def test_what_cannot_be_an_answer_is_not_armed(org_client: OrgClient, then: Any, pointer: str, detail: str) -> None:
    body = rejected(arm(org_client, then), "Unacceptable answer")

    assert any(error["pointer"] == pointer and detail in error["detail"] for error in body["errors"])
    assert org_client.admin("GET").status_code == 404


@pytest.mark.parametrize(
    "then",
    [
        {"throttle": {"limit": 1, "per": "1s"}},
        {"advance": "P1D"},
        {"emit": {}},
        {"cut": "never"},
        {"corrupt": False},
        {"delay": -1},
    ],
)
def test_what_is_no_answer_is_not_armed(org_client: OrgClient, then: Any) -> None:
    rejected(arm(org_client, then), "Bad request")


def test_at_most_a_thousand_calls_of_an_org_are_armed(org_client: OrgClient) -> None:
    arm(org_client, {"reject": "unknown-thing"}, times=600)
    arm(org_client, {"reject": "code-taken"}, "addThing", times=400)

    body = rejected(arm(org_client, {"reject": "unknown-thing"}), "Too many armed")

    assert body["detail"] == "The org has 1000 armed calls; the maximum is 1000. Disarm some."
    get(org_client)
    assert arm(org_client, {"reject": "unknown-thing"}).status_code == 200


# Prefer: wait


def test_a_reply_waits_as_long_as_the_client_prefers(org_client: OrgClient) -> None:
    started = perf_counter()

    plain = get(org_client, headers={"Prefer": "wait=0.05"})
    chosen = get(org_client, headers={"Prefer": "example=unknown-thing, wait=0.05"})

    assert perf_counter() - started >= 0.1 - TICK
    assert (plain.status_code, plain.headers.get_list("preference-applied")) == (404, ["wait=0.05"])
    assert chosen.headers.get_list("preference-applied") == ["example=unknown-thing", "wait=0.05"]
    assert org_client.last()["fault"] == {"delay": 0.05, "cut": None, "corrupt": False}


@pytest.mark.parametrize("wait", ["301", "1000000", "x", "-1", "1.2345", "."])
def test_a_client_cannot_prefer_to_wait_for_ever(org_client: OrgClient, wait: str) -> None:
    response = get(org_client, headers={"Prefer": f"wait={wait}"})

    assert (response.status_code, response.json()["title"]) == (400, "No such preference")


# Many orgs at once


def test_two_hundred_orgs_each_with_a_scenario_a_clock_and_faults_never_see_each_other(url: str) -> None:
    with ThreadPoolExecutor(20) as pool, httpx2.Client(timeout=LONG) as http:
        orgs = list(pool.map(lambda number: _staged(OrgClient(url, f"crowd-{number}", http), number), range(200)))
        for number, at_once in enumerate(pool.map(lambda org: _played(*org), zip(orgs, range(200), strict=True))):
            assert at_once == number
        assert all(pool.map(lambda org: _own(*org), zip(orgs, range(200), strict=True)))


FAULTS: list[Any] = [{"reject": "code-taken"}, {"corrupt": True}, {"cut": "after"}, {"delay": "5ms"}]


def _staged(org_client: OrgClient, number: int) -> OrgClient:
    thing = {"id": "own", "name": f"Of {number}", "status": "NEW", "expires": f"{2030 + number % 50}-06-01T00:00:00Z"}
    document = {
        "given": {"clock": f"{2030 + number % 50}-01-01T00:00:00Z", "seed": {"acme": {"things": [thing]}}},
        "steps": [
            {"operation": "addThing", "times": 2, "then": FAULTS[number % 4]},
            {"operation": "getThing", "then": {"reply": {"status": 200, "body": {**thing, "id": f"mine-{number}"}}}},
            {"then": {"advance": f"P{number + 1}D"}},
        ],
        "otherwise": "fail",
    }
    assert put(org_client, document).status_code == 200
    return org_client


def _played(org_client: OrgClient, number: int) -> int:
    """Go through the script; the number that the scripted reply holds."""
    for _ in range(2):
        try:
            status = add(org_client, f"Lamp {number}").status_code
        except httpx2.RemoteProtocolError:
            status = 0
        assert status == [409, 201, 0, 201][number % 4]
    scripted = get(org_client, "own").json()
    assert get(org_client, "own").status_code == 500
    return int(scripted["id"].removeprefix("mine-"))


def _own(org_client: OrgClient, number: int) -> bool:
    """Whether the org has its own state, time, journal and script, and nothing of another's."""
    things = [it["document"]["name"] for it in org_client.state()["acme"]["things"]]
    reported = org_client.admin("GET", "/scenario").json()
    requests = org_client.admin("GET", "/requests").json()["requests"]
    assert things == [f"Of {number}", *([f"Lamp {number}"] * (0 if number % 4 == 0 else 2))]
    assert ([step["taken"] for step in reported["steps"]], reported["unexpected_count"]) == ([2, 1, 1], 1)
    assert {request["request"]["target"].split("/")[2] for request in requests} == {org_client.org}
    assert len(requests) == 4
    year = 2030 + number % 50
    now = datetime(year, 1, 1, tzinfo=UTC) + timedelta(days=number + 1)
    assert org_client.admin("GET", "/clock").json() == {"now": f"{now:%Y-%m-%dT%H:%M:%S}.000Z", "frozen": True}
    return True


@pytest.mark.parametrize(
    ("given", "detail"),
    [
        ({"webhook": "thrice"}, 'body.then.webhook: "thrice" is not one of "twice"'),
        ({"webhook": {"late": 5, "x": 1}}, "body.then.webhook: Additional properties are not allowed"),
    ],
)
def test_a_fault_that_is_none_says_what_there_is(org_client: OrgClient, given: Any, detail: str) -> None:
    rejected = org_client.admin("POST", "/next", {"callback": "thing-changed", "then": given}).json()

    assert rejected["detail"].startswith(detail)
