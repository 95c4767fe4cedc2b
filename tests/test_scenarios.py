"""Scenarios in the engine: the effects of a step, the calls that take it, and the mistakes found in a document."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promo_sandbox.base import clock
from promo_sandbox.base import config as configuration
from promo_sandbox.base.document_errors import Flaw, InvalidDocument
from promo_sandbox.base.messages import Reply, decode, encode
from promo_sandbox.base.slices import run_to_end
from promo_sandbox.engine.scenario_catalogue import ScenarioCatalogue
from promo_sandbox.model.effects import Fault
from promo_sandbox.openapi.document import Document
from promo_sandbox.scenarios.conditions import ABSENT, compile_pattern, mismatch, text_pattern
from promo_sandbox.scenarios.document import ScenarioReader
from promo_sandbox.scenarios.effects_document import duration
from promo_sandbox.scenarios.run import MAX_KEPT, Run
from promo_sandbox.server.app import App
from tests.acme import SPEC, Acme, content, header

SCHEMA = configuration.data_folder("specs") / "sandbox" / "scenario.schema.json"
THING = {"id": "a", "name": "A", "status": "NEW"}
LAMP = {"name": "Lamp"}


def library(acme: Acme) -> ScenarioCatalogue:
    return ScenarioCatalogue(ScenarioReader(SCHEMA, [acme.contract]), acme.orgs, configuration.data_folder("scenarios"))


def begin(acme: Acme, document: str, org: str = "shop") -> None:
    """Start a scenario in an org."""
    run_to_end(library(acme).start_document(acme.orgs.get(org), dedent(document), "scenario"))


def run_of(acme: Acme, org: str = "shop") -> Run:
    run = acme.orgs.get(org).scenario
    assert run is not None
    return run


def taken(acme: Acme, org: str = "shop") -> list[int]:
    """How many calls each step took."""
    run = run_of(acme, org)
    return [run.counts(step)[0] for step in run.scenario.steps]


def add(acme: Acme, body: Any = None, **more: Any) -> Reply:
    return acme.send("POST", "/acme/shop/things", body or LAMP, **more)


def get(acme: Acme, id: str = "a", **more: Any) -> Reply:
    return acme.send("GET", f"/acme/shop/things/{id}", **more)


def advance(acme: Acme, by: str, org: str = "shop") -> None:
    """Advance the clock as the admin API does."""
    org_client = acme.orgs.get(org)
    moment = clock.later(org_client.clock.now(), by)
    acme.orgs.run_due_timers(org_client, moment)
    org_client.clock.set(moment)
    acme.orgs.run_due_steps(org_client)


@pytest.fixture
def acme() -> Acme:
    return Acme()


# Which call takes a step


def test_steps_are_taken_in_their_order_and_the_rules_answer_the_rest(acme: Acme) -> None:
    begin(
        acme,
        """
        steps:
          - {operation: addThing, then: {reject: code-taken}}
          - {operation: getThing, then: {reject: unknown-thing}}
        """,
    )

    statuses = [get(acme, "none").status, add(acme).status, add(acme).status, get(acme).status, add(acme).status]

    assert statuses == [404, 409, 201, 404, 201]
    assert [exchange.step for exchange in acme.orgs.get("shop").journal.exchanges()] == [None, 1, None, 2, None]
    assert [run_of(acme).counts(step) for step in run_of(acme).scenario.steps] == [(1, [2]), (1, [4])]
    assert (run_of(acme).current, run_of(acme).unmet) == (None, [])


def test_a_step_is_taken_as_often_as_it_says(acme: Acme) -> None:
    begin(acme, "steps: [{operation: addThing, times: 3, then: {reject: code-taken}}]")

    assert [add(acme).status for _ in range(4)] == [409, 409, 409, 201]


def test_any_number_of_calls_take_a_step_until_one_matches_a_later_step(acme: Acme) -> None:
    begin(
        acme,
        """
        steps:
          - {operation: addThing, times: any, then: {reject: code-taken}}
          - {operation: [addThing, listThings], times: any}
          - {operation: getThing, then: {reject: unknown-thing}}
          - {operation: addThing, then: {reject: invalid-request}}
        """,
    )

    adds = [add(acme).status for _ in range(3)]
    acme.send("GET", "/acme/shop/things")
    after = [add(acme).status, get(acme).status, add(acme).status]

    assert adds == [409, 409, 409]
    assert after == [201, 404, 400]
    assert taken(acme) == [3, 2, 1, 1]


def test_a_step_for_any_number_of_calls_is_never_unmet(acme: Acme) -> None:
    begin(acme, "steps: [{operation: addThing, times: any}, {operation: getThing}]")

    assert run_of(acme).unmet == [2]


@pytest.mark.parametrize(
    ("operation", "stepped"),
    [
        ("addThing", [1, None, None]),
        ("[addThing, getThing]", [1, 1, None]),
        ("acme.*", [1, 1, 1]),
        ("'*'", [1, 1, 1]),
        ("[listThings, acme.*]", [1, 1, 1]),
    ],
)
def test_a_step_is_for_one_operation_for_several_or_for_all_of_a_vendor(
    acme: Acme, operation: str, stepped: list[int | None]
) -> None:
    begin(acme, f"steps: [{{operation: {operation}, times: any}}]")

    add(acme)
    get(acme)
    acme.send("GET", "/acme/shop/things")

    assert [exchange.step for exchange in acme.orgs.get("shop").journal.exchanges()] == stepped


def test_an_invalid_request_takes_no_step(acme: Acme) -> None:
    begin(acme, "steps: [{operation: 'acme.*', then: {cut: before}}]\notherwise: fail")

    statuses = [add(acme, {"name": 7}).status, add(acme, token=None).status, acme.send("GET", "/acme/x/y/z").status]

    assert statuses == [400, 401, 404]
    assert (taken(acme), run_of(acme).unexpected) == ([0], [])


def test_a_preference_of_the_call_comes_before_any_step(acme: Acme) -> None:
    begin(acme, "steps: [{operation: addThing, then: {reject: code-taken}}]")

    preferred = add(acme, headers={"Prefer": "example=lamp"})

    assert (preferred.status, taken(acme)) == (201, [0])


def test_an_internal_call_takes_no_step(acme: Acme) -> None:
    begin(acme, "steps: [{operation: addThing, then: {reject: code-taken}}]")

    response = acme.send("POST", "/acme/shop/orders", LAMP)

    assert (response.status, taken(acme)) == (200, [0])


FITS: list[tuple[str, dict[str, Any], bool]] = [
    ("{}", {}, True),
    ("{path: {id: a}}", {}, True),
    ("{path: {id: b}}", {}, False),
    ("{path: {id: {matches: '^[ab]$'}}}", {}, True),
    ("{path: {id: {matches: b}}}", {}, False),
    ("{path: {shop: shop, id: a}}", {}, True),
    ("{headers: {X-Trace: '7'}}", {"headers": {"x-trace": "7"}}, True),
    ("{headers: {x-trace: 7}}", {"headers": {"X-Trace": "7"}}, True),
    ("{headers: {x-trace: 7}}", {}, False),
    ("{headers: {x-trace: {present: true}}}", {"headers": {"X-Trace": ""}}, True),
    ("{headers: {x-trace: {present: false}}}", {}, True),
    ("{headers: {x-trace: {present: false}}}", {"headers": {"X-Trace": ""}}, False),
]


@pytest.mark.parametrize(("when", "sent", "fits"), FITS)
def test_a_step_looks_at_path_and_headers(acme: Acme, when: str, sent: dict[str, Any], fits: bool) -> None:
    begin(acme, f"steps: [{{operation: getThing, when: {when}}}]")

    get(acme, **sent)

    assert taken(acme) == [int(fits)]


def test_a_path_is_compared_decoded(acme: Acme) -> None:
    begin(acme, "steps: [{operation: getThing, when: {path: {id: 'a/é'}}}]")

    acme.send("GET", "/acme/shop/things/a%2F%C3%A9")

    assert taken(acme) == [1]


@pytest.mark.parametrize(
    ("when", "query", "fits"),
    [
        ("{limit: 10}", "?limit=10", True),
        ("{limit: 10}", "?limit=10&x=1", True),
        ("{limit: 10}", "", False),
        ("{limit: {present: false}}", "", True),
        ("{tag: [a, b]}", "?tag=a&tag=b", True),
        ("{tag: [a, b]}", "?tag=b&tag=a", False),
        ("{tag: 'a b'}", "?tag=a+b", True),
    ],
)
def test_a_step_looks_at_the_query(acme: Acme, when: str, query: str, fits: bool) -> None:
    begin(acme, f"steps: [{{operation: listThings, when: {{query: {when}}}}}]")

    acme.send("GET", f"/acme/shop/things{query}")

    assert taken(acme) == [int(fits)]


@pytest.mark.parametrize(
    ("when", "fits"),
    [
        ("{}", True),
        ("{name: Lamp}", True),
        ("{name: Lam}", False),
        ("{name: {matches: am}}", True),
        ("{price: {value: 50}}", True),
        ("{price: {value: 50.00, unit: EUR}}", True),
        ("{price: {value: 51}}", False),
        ("{price: {value: '50'}}", False),
        ("{price: {value: {matches: '50'}}}", False),
        ("{code: {present: false}}", True),
        ("{price: {present: true}}", True),
        ("{price: {present: false}}", False),
        ("{parts: [{part: P1}, {}]}", True),
        ("{parts: [{part: P1}]}", False),
        ("{parts: [{count: {present: false}}, {count: 2}]}", True),
        ("[]", False),
        ("{present: true}", True),
        ("{present: false}", False),
    ],
)
def test_a_step_looks_at_part_of_the_body(acme: Acme, when: str, fits: bool) -> None:
    begin(acme, f"steps: [{{operation: addThing, when: {{body: {when}}}}}]")

    add(
        acme,
        {
            **LAMP,
            "price": {"unit": "EUR", "value": Decimal("50.0")},
            "parts": [{"part": "P1"}, {"part": "P2", "count": 2}],
        },
    )

    assert taken(acme) == [int(fits)]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_every_value_matches_itself(value: Any) -> None:
    assert compile_pattern(value)(value)
    assert mismatch(value, value, "body") is None


@given(JSON, JSON)
def test_a_mismatch_has_a_reason_and_a_match_has_none(pattern: Any, value: Any) -> None:
    assert (mismatch(pattern, value, "body") is None) == compile_pattern(pattern)(value)


@pytest.mark.parametrize(
    ("pattern", "value", "fits"),
    [
        (1, True, False),
        (True, 1, False),
        (True, True, True),
        (0, False, False),
        (None, None, True),
        (None, ABSENT, False),
    ],
)
def test_true_is_not_a_number_and_null_is_not_absent(pattern: Any, value: Any, fits: bool) -> None:
    assert compile_pattern(pattern)(value) is fits


def test_a_pattern_for_strings_has_numbers_and_booleans_as_strings() -> None:
    assert text_pattern({"a": 1, "b": [True, Decimal("1.50"), None], "c": {"present": False}}) == {
        "a": "1",
        "b": ["true", "1.50", None],
        "c": {"present": False},
    }


# What a step does


def test_a_rejection_is_the_vendor_s_own(acme: Acme) -> None:
    begin(acme, "steps: [{operation: addThing, then: {reject: code-taken}}]")

    reply = add(acme)

    assert (reply.status, content(reply)["error"], header(reply, "retry-after")) == (409, "conflict", "7")
    assert (acme.last("shop").rejection, acme.last("shop").source) == ("code-taken", "documented: test")
    assert acme.stored("shop") == []


def test_a_scripted_reply_is_sent_unchanged(acme: Acme) -> None:
    begin(
        acme,
        """
        steps:
          - operation: addThing
            then: {reply: {status: 201, headers: {X-Who: me}, body: {id: t, name: N, status: NEW, more: 5.00}}}
          - operation: addThing
            then: {reply: {status: 503, headers: {Content-Type: text/html}, body: <h1>, off_contract: true}}
          - {operation: addThing, then: {reply: {status: 202, off_contract: true}}}
          - operation: addThing
            then:
              reply:
                {status: 200, headers: {Content-Type: text/json; charset=utf-8}, body: a text, off_contract: true}
        """,
    )

    whole, page, empty, text = add(acme), add(acme), add(acme), add(acme)

    assert (whole.status, whole.media, whole.body) == (
        201,
        "application/json",
        b'{"id":"t","name":"N","status":"NEW","more":5.00}',
    )
    assert header(whole, "x-who") == "me"
    assert (page.status, page.media, page.body) == (503, "text/html", b"<h1>")
    assert (empty.status, empty.media, empty.body) == (202, None, b"")
    assert (text.media, text.body) == ("text/json; charset=utf-8", b'"a text"')
    assert acme.stored("shop") == []


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("2s", 2), ("500ms", 0.5), ("0.25s", 0.25), ("2", 2), ("1.5", 1.5), ("PT2S", 2), ("PT1M", 60)],
)
def test_a_delay_is_a_duration_in_which_the_reply_is_not_sent(acme: Acme, written: str, seconds: float) -> None:
    begin(acme, f"steps: [{{operation: addThing, then: {{delay: {written}}}}}]")

    reply = add(acme)

    assert (reply.status, reply.delay) == (201, seconds)


def test_a_delay_combines_with_any_effect(acme: Acme) -> None:
    begin(
        acme,
        """
        steps:
          - {operation: getThing, then: {delay: 1s, reject: unknown-thing}}
          - {operation: getThing, then: {delay: 2s, reply: {status: 200, body: {id: a, name: A, status: NEW}}}}
          - {operation: getThing, then: {delay: 3s, cut: midway}}
          - {operation: getThing, then: {delay: 4s, corrupt: true}}
          - {operation: getThing, then: {delay: 5s, throttle: {limit: 0, per: 60s}}}
        """,
    )

    replies = [get(acme) for _ in range(5)]

    assert [(reply.status, reply.delay, reply.cut) for reply in replies] == [
        (404, 1, None),
        (200, 2, None),
        (404, 3, "midway"),
        (404, 4, None),
        (429, 5, None),
    ]


def test_a_connection_is_lost_before_the_rule_after_it_or_midway(acme: Acme) -> None:
    begin(
        acme,
        "steps: [{operation: addThing, then: {cut: before}}, {operation: addThing, then: {cut: after}},"
        " {operation: addThing, then: {cut: midway}}]",
    )

    stored, cuts = [], []
    for _ in range(3):
        cuts.append(add(acme).cut)
        stored.append(len(acme.stored("shop")))

    assert cuts == ["unsent", "unsent", "midway"]
    assert stored == [0, 1, 2]
    exchanges = list(acme.orgs.get("shop").journal.exchanges())
    assert [(it.status, it.fault.cut if it.fault else None) for it in exchanges] == [
        (0, "before"),
        (201, "after"),
        (201, "midway"),
    ]


def test_a_corrupt_reply_is_invalid_json_with_a_correct_length(acme: Acme) -> None:
    begin(acme, "steps: [{operation: addThing, then: {corrupt: true}}]")

    reply = add(acme)

    with pytest.raises(ValueError, match="JSON"):
        decode(reply.body)
    assert (reply.status, len(acme.stored("shop"))) == (201, 1)
    assert acme.last("shop").reply_body == reply.body


@given(JSON)
def test_any_corrupted_body_is_invalid_json(value: Any) -> None:
    reply = Reply(200, value, "application/json")

    Fault(corrupt=True).apply(reply)

    with pytest.raises(ValueError, match=r"JSON|UTF-8"):
        decode(reply.body)


def test_a_reply_without_a_body_and_one_in_pieces_are_corrupted_too() -> None:
    def pieces() -> Iterator[bytes]:
        yield b"[1"
        yield b"]"

    empty, streamed = Reply(204), Reply(200, [], "application/json")
    streamed.stream = pieces()

    for reply in (empty, streamed):
        Fault(corrupt=True).apply(reply)

    assert empty.body == b""
    assert isinstance(streamed.stream, Iterator)
    with pytest.raises(ValueError, match="JSON"):
        decode(b"".join(streamed.stream))


def test_an_internal_error_is_never_corrupted(acme: Acme) -> None:
    begin(acme, "steps: [{operation: causeFailure, then: {corrupt: true, delay: 1s}}]")

    reply = acme.send("POST", "/acme/shop/failures/raise")

    assert (reply.status, content(reply)["title"], reply.delay) == (500, "Internal error of the sandbox", 0)


THROTTLED = """
given: {clock: 2030-01-01T00:00:00Z}
steps: [{operation: getThing, times: any, then: {throttle: {limit: 2, per: 60s}}}]
"""


def test_calls_beyond_the_limit_are_rejected_until_the_window_ends(acme: Acme) -> None:
    begin(acme, THROTTLED)

    first = [get(acme).status for _ in range(2)]
    advance(acme, "PT20.5S")
    over = get(acme)
    advance(acme, "PT39.5S")
    again = [get(acme).status for _ in range(3)]

    assert (first, over.status, header(over, "retry-after"), again) == ([404, 404], 429, "40", [404, 404, 429])
    assert content(over) == {
        "type": "about:blank",
        "title": "Too many requests",
        "status": 429,
        "detail": "Try again in 40 s.",
    }


BUSY = """\
    Busy:
      description: Later.
      headers: {Retry-After: {required: true, schema: {type: string}, example: '5'}}
      content:
        application/problem+json:
          schema: {$ref: '#/components/schemas/Problem'}
          examples: {busy: {summary: Busy., x-source: 'documented: test', value: {error: busy, detail: Later.}}}
"""


@pytest.mark.parametrize(
    ("before", "indent"),
    [
        ("    delete:\n      operationId: removeThing\n", 8),
        ("  '404': {$ref: '#/components/responses/UnknownPath'}\n", 2),
    ],
)
def test_a_throttled_call_gets_the_vendor_s_rejection_if_it_has_one(tmp_path: Path, before: str, indent: int) -> None:
    text = SPEC.read_text(encoding="utf-8")
    assert before in text
    text = text.replace(before, f"{' ' * indent}'429': {{$ref: '#/components/responses/Busy'}}\n{before}", 1)
    folder = tmp_path / "acme"
    folder.mkdir()
    text = text.replace("    BadRequest:\n", f"{BUSY}    BadRequest:\n", 1)
    (folder / "things.yaml").write_text(text, encoding="utf-8")
    acme = Acme(documents=Document.load(folder / "things.yaml"))
    begin(acme, THROTTLED.replace("limit: 2", "limit: 0"))

    reply = get(acme)

    assert (reply.status, content(reply)) == (429, {"error": "busy", "detail": "Try again in 60 s."})
    assert [value for name, value in reply.headers if name.lower() == "retry-after"] == ["60"]
    assert acme.last("shop").rejection == "busy"


def test_the_clock_advances_and_events_are_sent_once_the_steps_before_are_done(acme: Acme) -> None:
    begin(
        acme,
        """
        given:
          clock: 2030-01-01T00:00:00Z
          seed: {acme: {things: [{id: a, name: A, status: NEW, expires: 2030-01-10T00:00:00Z}]}}
        steps:
          - {operation: getThing}
          - {then: {advance: P30D}}
          - {then: {emit: {callback: thing-changed, payload: {thing: {id: z, name: Z, status: NEW}}}}}
          - {operation: getThing}
        """,
    )

    statuses = [content(get(acme))["status"], content(get(acme))["status"]]

    assert statuses == ["NEW", "EXPIRED"]
    org_client = acme.orgs.get("shop")
    assert clock.text(org_client.clock.now()) == "2030-01-31T00:00:00.000Z"
    reported = [
        (clock.text(event.at)[:10], getattr(entry, "name", None))
        for entry in org_client.journal.entries()
        for event in entry.events
    ]
    assert reported == [("2030-01-01", "seed"), ("2030-01-10", "expire-thing"), ("2030-01-31", "scenario step 3")]
    assert [entry.id for entry in org_client.journal.entries()] == [1, 2, 3, 4, 5, 6]
    assert taken(acme) == [1, 1, 1, 1]


def test_steps_without_operation_at_the_start_happen_at_once(acme: Acme) -> None:
    begin(acme, "given: {clock: 2030-01-01T00:00:00Z}\nsteps: [{then: {advance: PT1H}}, {then: {advance: 90s}}]")

    assert clock.text(acme.orgs.get("shop").clock.now()) == "2030-01-01T01:01:30.000Z"
    assert taken(acme) == [1, 1]


def test_a_pause_ends_by_the_clock_of_the_org(acme: Acme) -> None:
    begin(
        acme,
        """
        given: {clock: 2030-01-01T00:00:00Z}
        steps:
          - {then: {delay: 10s}}
          - {then: {advance: PT1M}}
          - {operation: getThing, then: {reject: invalid-credentials}}
        """,
    )

    early = get(acme).status
    advance(acme, "PT9S")
    still = get(acme).status
    advance(acme, "PT1S")

    assert (early, still, get(acme).status) == (404, 404, 401)
    assert clock.text(acme.orgs.get("shop").clock.now()) == "2030-01-01T00:01:10.000Z"


def test_a_step_ends_after_its_duration(acme: Acme) -> None:
    begin(
        acme,
        """
        given: {clock: 2030-01-01T00:00:00Z}
        steps:
          - {operation: acme.*, for: PT1M, then: {reply: {status: 503, off_contract: true}}}
          - {then: {advance: P1D}}
          - {operation: getThing, for: PT1M, times: 1, then: {reject: invalid-credentials}}
        """,
    )

    outage = [get(acme).status for _ in range(3)]
    advance(acme, "PT1M")
    after = [get(acme).status, get(acme).status]

    assert (outage, after) == ([503, 503, 503], [401, 404])
    assert clock.text(acme.orgs.get("shop").clock.now())[:10] == "2030-01-02"


def test_an_impossible_advance_is_an_internal_error_in_the_journal(acme: Acme) -> None:
    begin(acme, "given: {clock: 9999-01-01T00:00:00Z}\nsteps: [{then: {advance: P1Y}}]")

    [entry] = acme.orgs.get("shop").journal.entries()

    assert entry.internal_error == "P1Y from now is after the year 9999"


@pytest.mark.parametrize(
    ("step", "why"),
    [
        ("{operation: addThing}", "Step 1 expects addThing, not getThing."),
        ("{operation: [addThing, greet]}", "Step 1 expects addThing, greet, not getThing."),
        (
            "{operation: getThing, when: {path: {id: b}}}",
            "Step 1 expects a different getThing: path.id is 'a', not 'b'.",
        ),
        ("{operation: getThing, when: {query: {limit: 1}}}", None),
        (
            "{operation: getThing, when: {headers: {X-A: b}}}",
            "Step 1 expects a different getThing: headers.x-a is missing.",
        ),
        ("{then: {delay: 5s}}", "Step 1 expects no call until its time has passed, not getThing."),
    ],
)
def test_a_call_that_no_step_takes_may_fail_with_the_reason(acme: Acme, step: str, why: str | None) -> None:
    if why is None:
        with pytest.raises(InvalidDocument, match="getThing has no query parameter limit"):
            begin(acme, f"steps: [{step}]\notherwise: fail")
        return
    begin(acme, f"given: {{clock: 2030-01-01T00:00:00Z}}\nsteps: [{step}]\notherwise: fail")

    reply = get(acme)

    assert (reply.status, reply.media) == (500, "application/problem+json")
    assert content(reply) == {"type": "about:blank", "title": "Unexpected call", "status": 500, "detail": why}
    assert (acme.last("shop").unexpected, acme.last("shop").internal_error) == (why, None)
    [unexpected] = run_of(acme).unexpected
    assert (unexpected.exchange, unexpected.operation, unexpected.why) == (1, "getThing", why)


def test_a_call_after_the_last_step_may_fail_and_changes_nothing(acme: Acme) -> None:
    begin(acme, "steps: [{operation: addThing}]\notherwise: fail")

    replies = [add(acme), add(acme)]

    assert [reply.status for reply in replies] == [201, 500]
    assert content(replies[1])["detail"] == "All steps are done, so no call of addThing is expected."
    assert len(acme.stored("shop")) == 1


def test_only_the_newest_hundred_exchanges_are_kept(acme: Acme) -> None:
    begin(acme, "steps: [{operation: addThing, times: any}]\notherwise: fail")

    for _ in range(MAX_KEPT + 5):
        add(acme)
        get(acme)

    [step] = run_of(acme).scenario.steps
    count, by = run_of(acme).counts(step)
    assert (count, len(by), by[-1]) == (105, 100, 209)
    assert (run_of(acme).unexpected_count, len(run_of(acme).unexpected)) == (105, 100)
    assert run_of(acme).unexpected[-1].exchange == 210


# Its beginning and its end


GIVEN = """
given:
  clock: 2030-01-01T00:00:00Z
  seed: {acme: {things: [{id: a, name: A, status: NEW}]}}
  settings: {acme: {house: H}}
steps: [{operation: getThing, then: {reject: unknown-thing}}]
"""


def test_an_org_starts_with_the_given_objects_only(acme: Acme) -> None:
    add(acme)

    begin(acme, GIVEN)

    org_client = acme.orgs.get("shop")
    assert (clock.text(org_client.clock.now()), org_client.clock.frozen) == ("2030-01-01T00:00:00.000Z", True)
    assert acme.stored("shop") == [THING]
    assert acme.stored("shop", "settings") == [{"house": "H", "id": "settings"}]
    assert [entry.id for entry in org_client.journal.entries()] == [1]


def test_a_reset_restarts_the_scenario(acme: Acme) -> None:
    begin(acme, GIVEN)
    statuses = [get(acme).status, get(acme).status]
    advance(acme, "P1D")

    run_to_end(acme.orgs.reset(acme.orgs.get("shop")))

    assert (statuses, [get(acme).status, get(acme).status]) == ([404, 200], [404, 200])
    assert clock.text(acme.orgs.get("shop").clock.now()) == "2030-01-01T00:00:00.000Z"


def test_an_invalid_scenario_changes_nothing(acme: Acme) -> None:
    begin(acme, GIVEN)
    get(acme)
    before = (acme.stored("shop"), run_of(acme).progress, acme.orgs.get("shop").journal.last_id)

    for document in (
        "steps: [{operation: addThin}]",
        GIVEN.replace("status: NEW", "status: OLD"),
        "steps: 7",
        "steps: [",
    ):
        with pytest.raises(InvalidDocument):
            begin(acme, document)

    assert (acme.stored("shop"), run_of(acme).progress, acme.orgs.get("shop").journal.last_id) == before


def test_a_scenario_starts_with_the_operator_s_seed() -> None:
    seeded = Acme(seeds={"shop": {"acme": {"things": [{**THING, "id": "s"}]}}})

    begin(seeded, GIVEN)

    assert [thing["id"] for thing in seeded.stored("shop")] == ["s", "a"]


def test_the_same_script_gives_the_same_bytes_in_two_orgs(acme: Acme) -> None:
    def replayed(org: str) -> list[tuple[Any, ...]]:
        begin(acme, GIVEN.replace("[{operation", "[{operation: addThing, times: 3}, {operation"), org)
        calls = [
            ("POST", "things", LAMP),
            ("POST", "things", {**LAMP, "price": {"unit": "EUR", "value": Decimal("1.50")}}),
            ("POST", "orders", LAMP),
            ("POST", "things", LAMP),
            ("GET", "things/a", None),
            ("GET", "things", None),
        ]
        replies = [acme.send(method, f"/acme/{org}/{path}", body) for method, path, body in calls]
        return [(reply.status, reply.headers, reply.media, reply.body) for reply in replies]

    assert replayed("one") == replayed("two")


def test_a_run_can_be_copied_and_resumed(acme: Acme) -> None:
    begin(acme, f"{THROTTLED.strip()[:-1]}, {{operation: addThing, times: 2, then: {{reject: code-taken}}}}]")
    org_client = acme.orgs.get("shop")
    get(acme)
    get(acme)

    held = run_of(acme).copy()
    restored = decode(encode(run_of(acme).progress))
    after = [get(acme).status, add(acme).status, add(acme).status, add(acme).status]
    org_client.scenario = held
    again = [get(acme).status, add(acme).status]
    org_client.scenario = Run.resumed(held.scenario, restored)
    resumed = [get(acme).status, add(acme).status, add(acme).status, add(acme).status]

    assert after == resumed == [429, 409, 409, 201]
    assert again == [429, 409]


@pytest.mark.parametrize(
    "progress",
    [
        {},
        {"step_started": 0, "current": 2},
        {"step_started": 0, "current": -1},
        {"step_started": 0, "counts": {"7": {}}},
        {"step_started": 0, "x": 1},
        7,
    ],
)
def test_progress_that_does_not_fit_the_scenario_is_rejected(acme: Acme, progress: Any) -> None:
    begin(acme, THROTTLED)

    with pytest.raises(ValueError, match=r".+"):
        Run.resumed(run_of(acme).scenario, progress)


# What is rejected when it is read


def flaws(acme: Acme, document: str) -> list[Flaw]:
    with pytest.raises(InvalidDocument) as caught:
        begin(acme, document)
    return caught.value.flaws


STEP_FLAWS = [
    ("operation: addThign", "/operation", "there is no operation addThign; did you mean addThing?"),
    ("operation: [addThing, acne.*]", "/operation/1", "there is no operation acne.*; did you mean acme.*?"),
    ("operation: listScenarios", "/operation", "there is no operation listScenarios"),
    ("operation: []", "/operation", "[] has less than 1 item"),
    ("operaton: addThing", "/operaton", "is unknown; did you mean operation?"),
    ("operation: addThing, times: 0", "/times", "0 is less than the minimum of 1"),
    ("operation: addThing, times: ever", "/times", '"ever" does not match "^any$"'),
    ("operation: addThing, for: long", "/for", '"long" does not match'),
    ("operation: addThing, when: {pth: {}}", "/when/pth", "is unknown; did you mean path?"),
    (
        "operation: getThing, when: {path: {ids: a}}",
        "/when/path/ids",
        "getThing has no path parameter ids; did you mean id?",
    ),
    (
        "operation: listThings, when: {query: {limt: 1}}",
        "/when/query/limt",
        "no query parameter limt; did you mean limit?",
    ),
    ("operation: getThing, when: {body: {}}", "/when/body", "getThing has no body"),
    (
        "operation: addThing, when: {body: {nam: a}}",
        "/when/body/nam",
        "the body has no such field; did you mean name?",
    ),
    ("operation: addThing, when: {body: {price: {vale: 1}}}", "/when/body/price/vale", "did you mean value?"),
    ("operation: addThing, when: {body: {parts: [{}, {prt: 1}]}}", "/when/body/parts/1/prt", "did you mean part?"),
    ("operation: addThing, when: {body: {name: {matches: '('}}}", "/when/body", "is not a regular expression"),
    (
        "operation: addThing, then: {reject: code-takn}",
        "/then/reject",
        "has no rejection code-takn; did you mean code-taken?",
    ),
    (
        "operation: [addThing, getThing], then: {reject: code-taken}",
        "/then/reject",
        "getThing has no rejection code-taken",
    ),
    ("operation: addThing, then: {rejct: code-taken}", "/then/rejct", "is unknown; did you mean reject?"),
    (
        "operation: addThing, then: {reject: code-taken, cut: after}",
        "/then",
        "must have one effect besides",
    ),
    ("operation: addThing, then: {cut: aftr}", "/then/cut", '"aftr" is not one of "before", "after" or "midway"'),
    ("operation: addThing, then: {corrupt: false}", "/then/corrupt", "true was expected"),
    ("operation: removeThing, then: {corrupt: true}", "/then/corrupt", "removeThing has no body to corrupt"),
    ("operation: addThing, then: {delay: P}", "/then/delay", '"P" does not match'),
    ("operation: addThing, then: {delay: PT}", "/then/delay", "'PT' is not a duration such as 2s, 500ms"),
    ("operation: addThing, then: {delay: -1}", "/then/delay", "-1 is less than the minimum of 0"),
    ("operation: addThing, then: {delay: 301}", "/then/delay", "is at most 300 s"),
    ("operation: addThing, then: {throttle: {limit: 1}}", "/then/throttle", "per is required"),
    ("operation: addThing, then: {throttle: {limit: 1, per: 0s}}", "/then/throttle/per", "must be more than 0"),
    (
        "operation: addThing, then: {reply: {status: 201}}",
        "/then/reply",
        "reply: must have a body; `off_contract: true`",
    ),
    ("operation: addThing, then: {reply: {status: 201, body: {}}}", "/then/reply", "reply.name: is required"),
    ("operation: addThing, then: {reply: {status: 418}}", "/then/reply", "the status 418 is not declared for addThing"),
    (
        "operation: addThing, then: {reply: {status: 299, off_contract: true}}",
        "/then/reply/status",
        "HTTP has no status 299",
    ),
    ("operation: addThing, then: {reply: {status: 100}}", "/then/reply/status", "100 is less than the minimum of 200"),
    (
        "operation: addThing, then: {reply: {status: 204, body: 1, off_contract: true}}",
        "/then/reply/body",
        "is not allowed with the status 204",
    ),
    (
        "operation: addThing, then: {reply: {status: 200, off_contract: true, headers: {Content-Length: '1'}}}",
        "/then/reply/headers/Content-Length",
        "is set by the server",
    ),
    (
        'operation: addThing, then: {reply: {status: 200, off_contract: true, headers: {X-A: "a\\r\\nb"}}}',
        "/then/reply/headers/X-A",
        "has a character",
    ),
    (
        "operation: addThing, then: {reply: {status: 200, off_contract: true, headers: {'X A': a}}}",
        "/then/reply/headers/X A",
        "is not a valid header name",
    ),
    (
        "operation: greet, then: {reply: {status: 200, headers: {Content-Type: text/plain}, body: x}}",
        "/then/reply",
        "the media type text/plain is not declared for 200",
    ),
    (
        "operation: addThing, then: {reply: {status: 409, body: {error: e, detail: d}}}",
        "/then/reply",
        "reply.retry-after: is required",
    ),
    (
        "operation: greet, then: {reply: {status: 500, off_contract: true, headers: {Content-Type: text/x}, body: {}}}",
        "/then/reply/body",
        "must be a string, because the media type is text/x",
    ),
    ("operation: addThing, then: {advance: P1D}", "/then/advance", "is only allowed in a step without operation"),
    (
        "operation: addThing, then: {emit: {callback: thing-changed, payload: {}}}",
        "/then/emit",
        "is only allowed in a step without operation",
    ),
    ("then: {advance: 1D}", "/then/advance", "'1D' is not a duration"),
    ("then: {reject: code-taken}", "/then/reject", "needs a step with an operation"),
    ("then: {}", "/then", "must be one of advance, emit and delay"),
    ("then: {advance: P1D, delay: 1s}", "/then", "must be one of advance, emit and delay"),
    ("when: {path: {}}, then: {advance: P1D}", "/when", "needs an operation"),
    ("times: 2, then: {advance: P1D}", "/times", "needs an operation"),
    (
        "then: {emit: {callback: thing-chnged, payload: {}}}",
        "/then/emit/callback",
        "there is no callback thing-chnged; did you mean thing-changed?",
    ),
    ("then: {emit: {callback: thing-changed, payload: {}}}", "/then/emit/payload", "payload.thing: is required"),
]


@pytest.mark.parametrize(("step", "pointer", "detail"), STEP_FLAWS)
def test_a_step_with_unknown_names_is_rejected(acme: Acme, step: str, pointer: str, detail: str) -> None:
    found = flaws(acme, f"summary: S\nsteps:\n  - {{operation: greet}}\n  - {{{step}}}\n")

    assert any(place == f"/steps/1{pointer}" and detail in said for place, _, said in found), found
    assert {line for _, line, _ in found} == {4}


@pytest.mark.parametrize(
    ("document", "pointer", "line", "detail"),
    [
        ("steps: []\nothrwise: fail", "/othrwise", 2, "is unknown; did you mean otherwise?"),
        ("steps: []\notherwise: fial", "/otherwise", 2, '"fial" is not one of "rules" or "fail"'),
        ("summary: S", "", 1, "steps is required"),
        ("7", "", 1, '7 is not of type "object"'),
        ("steps: [", "", 2, "did not find expected node content"),
        ("given:\n  clock: tomorrow\nsteps: []", "/given/clock", 2, '"tomorrow" is not a "date-time"'),
        ("given:\n  clock: 1969-01-01T00:00:00Z\nsteps: []", "/given/clock", 2, "is not between 1970 and 9999"),
        ("given:\n  seed:\n    acne: {}\nsteps: []", "/given/seed/acne", 3, "is not a vendor; did you mean acme?"),
        (
            "given:\n  seed:\n    acme:\n      thing: []\nsteps: []",
            "/given/seed/acme/thing",
            4,
            "is not a collection; did you mean things?",
        ),
        (
            "given:\n  seed:\n    acme:\n      things:\n        - {name: 7}\nsteps: []",
            "/given/seed/acme/things/0/name",
            5,
            "7 is not of type",
        ),
        (
            "given:\n  settings:\n    acne: {}\nsteps: []",
            "/given/settings/acne",
            3,
            "is not a vendor with settings; did you mean acme?",
        ),
        ("given:\n  settings:\n    acme: {edtion: '7'}\nsteps: []", "/given/settings/acme/edtion", 3, "edition"),
        (
            "given:\n  settings: {acme: {}}\n  seed: {acme: {settings: []}}\nsteps: []",
            "/given/settings/acme",
            2,
            "is also in the seed",
        ),
        ("steps:\n  - {operation: greet, times: any}\n  - {then: {advance: P1D}}", "/steps/1", 3, "is never reached"),
    ],
)
def test_an_invalid_document_is_rejected(acme: Acme, document: str, pointer: str, line: int, detail: str) -> None:
    [(place, at, said), *_] = flaws(acme, document)

    assert (place, at) == (pointer, line)
    assert detail in said


def test_all_mistakes_are_reported_and_the_first_is_the_message(acme: Acme) -> None:
    document = "steps:\n  - {operation: addThin}\n  - {operation: addThing, then: {reject: x-y}}\n"

    with pytest.raises(InvalidDocument) as caught:
        begin(acme, document)

    assert [flaw.line for flaw in caught.value.flaws] == [2, 3]
    assert str(caught.value) == "scenario:2: /steps/0/operation: there is no operation addThin; did you mean addThing?"


def test_the_scenario_s_settings_select_the_version_of_the_contract(acme: Acme) -> None:
    document = """
        given: {{settings: {{acme: {{edition: '{edition}'}}}}}}
        steps: [{{operation: addThing, when: {{body: {{code: L-1}}}}, then: {{reject: code-taken}}}}]
        """

    statuses = []
    for edition in "78":
        begin(acme, document.format(edition=edition))
        statuses.append([add(acme).status, add(acme, {**LAMP, "code": "L-1"}).status])

    assert statuses == [[201, 409], [400, 409]]


@pytest.mark.parametrize(
    ("written", "nanoseconds"), [("1.5s", 1_500_000_000), ("P1D", clock.DAY), (3, 3 * clock.SECOND)]
)
def test_a_duration_is_written_in_several_ways(written: Any, nanoseconds: int) -> None:
    assert duration(written) == nanoseconds


@pytest.fixture(scope="module")
def bundled() -> ScenarioCatalogue:
    """The catalogue of a server with all vendors."""
    return App().catalogue


def test_every_bundled_scenario_is_valid(bundled: ScenarioCatalogue) -> None:
    names = [bundled.check(name).name for name in bundled.names()]

    assert "enfore/lost-reply" in names
    assert all(first < second for first, second in pairwise(map(str, names)))


def test_every_scenario_in_the_documentation_is_valid(bundled: ScenarioCatalogue) -> None:
    root = Path(__file__).parent.parent
    blocks = re.findall(
        r"^```yaml\n(.*?)^```$", (root / "docs" / "scenarios.md").read_text("utf-8"), re.MULTILINE | re.DOTALL
    )

    scenarios = [bundled.reader.read(block, "scenarios.md") for block in blocks]

    assert [len(scenario.steps) for scenario in scenarios] == [4, 2]
    assert blocks[0] == bundled.names()["enfore/lost-reply"].read_text("utf-8")
