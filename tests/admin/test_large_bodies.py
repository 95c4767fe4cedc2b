"""Seeds, states and imports that are large: stored in slices, between which others write, and whole or not at all."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from promo_sandbox.base.messages import Reply, Request
from promo_sandbox.base.slices import run_to_end
from promo_sandbox.server.app import App, paced

ORG = "/__admin/orgs/acme"
CARDS = "/promotions/org/acme/sales-vouchers/gift-cards"
MANY = 2000
CARD = {"current_balance": {"unit": "EUR", "value": 1}}
CARDS_SEED = {"enfore": {"gift_cards": [{"id": f"c{at}", "name": f"Card {at}", **CARD} for at in range(MANY)]}}


@pytest.fixture
def app() -> App:
    return App()


def send(app: App, method: str, target: str, body: Any = None) -> Reply:
    headers = [(b"authorization", b"Bearer any"), (b"content-type", b"application/json"), (b"host", b"localhost")]
    return app.handle(Request(method, target, headers, b"" if body is None else json.dumps(body).encode()))


def finished(reply: Reply) -> Any:
    """What a reply says when its work is done."""
    done = reply if reply.work is None else run_to_end(reply.work)
    assert done.status < 300, done.body
    stream = done.stream
    if stream is None:
        return json.loads(done.body or b"null")

    async def pieces(of: AsyncIterator[bytes]) -> bytes:
        return b"".join([piece async for piece in of])

    return json.loads(asyncio.run(pieces(paced(stream))))


def ask(app: App, method: str, target: str, body: Any = None) -> Any:
    return finished(send(app, method, target, body))


def begun(app: App, method: str, target: str, body: Any) -> Reply:
    """A request whose work has begun and is not done."""
    waiting = send(app, method, target, body)
    assert waiting.work is not None
    next(waiting.work)
    return waiting


def names(app: App) -> set[str]:
    documents = ask(app, "GET", f"{ORG}/state")["documents"]
    return {entry["document"]["name"] for entry in documents.get("enfore", {}).get("gift_cards", [])}


def test_a_large_seed_is_stored_whole_and_said(app: App) -> None:
    stored = ask(app, "POST", f"{ORG}/seed", CARDS_SEED)

    assert [card["name"] for card in stored["enfore"]["gift_cards"]] == [f"Card {at}" for at in range(MANY)]
    assert len(names(app)) == MANY


def test_no_call_sees_half_of_a_large_seed(app: App) -> None:
    waiting = begun(app, "POST", f"{ORG}/seed", CARDS_SEED)

    before = names(app)
    finished(waiting)

    assert before == set()
    assert len(names(app)) == MANY


def test_what_others_write_while_a_large_seed_is_stored_stays(app: App) -> None:
    waiting = begun(app, "POST", f"{ORG}/seed", CARDS_SEED)

    ask(app, "POST", f"{ORG}/seed", {"enfore": {"gift_cards": [{"name": "Meanwhile", **CARD}]}})
    finished(waiting)

    assert len(names(app)) == MANY + 1
    assert "Meanwhile" in names(app)


def test_two_large_seeds_at_once_are_both_stored(app: App) -> None:
    first = begun(app, "POST", f"{ORG}/seed", CARDS_SEED)
    others = {"enfore": {"gift_cards": [{"id": f"d{at}", "name": f"Other {at}", **CARD} for at in range(MANY)]}}
    second = begun(app, "POST", f"{ORG}/seed", others)

    finished(second)
    finished(first)

    assert len(names(app)) == 2 * MANY


def test_a_large_seed_with_a_mistake_leaves_everything_as_it_was(app: App) -> None:
    ask(app, "PUT", f"{ORG}/clock", {"now": "2030-01-01T00:00:00Z", "frozen": True})
    ask(app, "POST", f"{ORG}/seed", {"enfore": {"gift_cards": [{"name": "Before", **CARD}]}})
    before = send(app, "GET", f"{ORG}/state").body
    wrong = {"enfore": {"gift_cards": [*CARDS_SEED["enfore"]["gift_cards"], {"name": 7, **CARD}]}}

    waiting = send(app, "POST", f"{ORG}/seed", wrong)
    assert waiting.work is not None
    rejected = run_to_end(waiting.work)

    assert rejected.status == 400
    assert json.loads(rejected.body)["errors"][0]["pointer"] == f"enfore.gift_cards[{MANY}].name"
    assert send(app, "GET", f"{ORG}/state").body == before


def test_a_large_state_is_put_back_in_slices(app: App) -> None:
    ask(app, "POST", f"{ORG}/seed", CARDS_SEED)
    exported = ask(app, "GET", f"{ORG}/export")
    ask(app, "POST", f"{ORG}/reset")

    waiting = begun(app, "POST", f"{ORG}/import", exported)
    before = names(app)
    finished(waiting)

    assert before == set()
    assert len(names(app)) == MANY


def test_an_org_that_was_reset_while_a_large_seed_is_stored_has_the_seed(app: App) -> None:
    ask(app, "POST", f"{ORG}/seed", {"enfore": {"gift_cards": [{"name": "Before", **CARD}]}})
    waiting = begun(app, "POST", f"{ORG}/seed", CARDS_SEED)

    ask(app, "POST", f"{ORG}/reset")
    finished(waiting)

    assert names(app) == {f"Card {at}" for at in range(MANY)}
