"""The journal followed live: over HTTP by a real client, and the listeners themselves where no client sees it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest

from promo_sandbox.admin import live_feed
from promo_sandbox.admin.live_feed import FeedOptions, LiveFeed
from promo_sandbox.model.journal import Exchange
from tests.acme import Acme, new_app, write_specs
from tests.admin.conftest import AssertRejected
from tests.patience import LONG, shortest
from tests.serving import OrgClient, running


class Event(NamedTuple):
    """A server-sent event as a client has it."""

    name: str
    data: Any
    id: str  # the last that was said, by this event or before


def parsed(text: str) -> list[Event]:
    """The events of a stream that has ended."""
    found, id = [], ""
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        id = fields.get("id", id)
        if "data" in fields:
            found.append(Event(fields["event"], json.loads(fields["data"]), id))
    return found


class Stream:
    """A stream that goes on."""

    def __init__(self, response: httpx2.Response) -> None:
        self.response = response
        self._lines = response.iter_lines()

    def next(self) -> Event:
        block = ""
        for line in self._lines:
            block += f"{line}\n"
            if not line:
                if found := parsed(block):
                    return found[0]
                block = ""
        raise AssertionError("the stream has ended")


@contextmanager
def following(url: str, path: str, last: str | None = None) -> Iterator[Stream]:
    headers = {} if last is None else {"Last-Event-ID": last}
    with httpx2.stream("GET", f"{url}/__admin{path}", headers=headers, timeout=LONG) as response:
        assert response.status_code == 200, response.read()
        yield Stream(response)


def ask(org_client: OrgClient, name: str = "things") -> None:
    org_client.request("GET", f"/acme/{org_client.org}/{name}", headers={"Sandbox-Org": org_client.org})


def kept(org_client: OrgClient, query: str = "", last: str | None = None, path: str | None = None) -> list[Event]:
    """What is there already."""
    path = path or f"/orgs/{org_client.org}/requests/stream"
    headers = {} if last is None else {b"Last-Event-ID": last.encode()}
    response = org_client.http.get(f"{org_client.url}/__admin{path}?follow=false&{query}", headers=headers)
    assert response.status_code == 200, response.text
    return parsed(response.text)


def test_an_org_s_exchanges_are_sent_as_they_happen_and_as_the_journal_has_them(org_client: OrgClient) -> None:
    org_client.freeze("2030-01-01T00:00:00Z")
    ask(org_client)

    with following(org_client.url, f"/orgs/{org_client.org}/requests/stream") as stream:
        ask(org_client, "things?limit=0")
        received = stream.next()

    assert stream.response.headers["content-type"] == "text/event-stream"
    assert stream.response.headers["cache-control"] == "no-store"
    assert (received.name, received.id) == ("exchange", "2")
    assert received.data == org_client.last()
    assert received.data["violations"][0]["spec"]


def test_another_org_s_exchanges_are_not_sent(org_client: OrgClient) -> None:
    other = OrgClient(org_client.url, f"{org_client.org}-other", org_client.http)
    ask(org_client)

    with following(org_client.url, f"/orgs/{org_client.org}/requests/stream") as stream:
        ask(other)
        ask(org_client)
        received = stream.next()

    assert (received.data["org"], received.data["id"]) == (org_client.org, 2)


def test_all_orgs_are_followed_at_once_and_one_that_is_yet_to_come(org_client: OrgClient) -> None:
    other = OrgClient(org_client.url, f"{org_client.org}-other", org_client.http)
    with (
        following(org_client.url, "/requests/stream") as everything,
        following(org_client.url, f"/requests/stream?org={other.org}") as one,
    ):
        ask(org_client)
        ask(other)

        assert [everything.next().data["org"], everything.next().data["org"]] == [org_client.org, other.org]
        assert one.next().data["org"] == other.org


@pytest.fixture
def asked(org_client: OrgClient) -> OrgClient:
    """An org that was asked four things."""
    org_client.freeze("2030-01-01T00:00:00Z")
    ask(org_client)
    ask(org_client, "things?limit=0")
    ask(org_client, "nothing")
    org_client.request("POST", f"/acme/{org_client.org}/failures/raise")
    return org_client


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("", [1, 2, 3, 4]),
        ("operation=listThings", [1, 2]),
        ("status=400", [2]),
        ("rejection=unknown-path", [3]),
        ("rejected=true", [2, 3]),
        ("unmatched=true", [3]),
        ("internal_error=true", [4]),
        ("since=2", [3, 4]),
        ("since=0&rejected=false", [1, 4]),
    ],
)
def test_the_stream_has_the_filters_of_the_list(asked: OrgClient, query: str, ids: list[int]) -> None:
    assert [received.data["id"] for received in kept(asked, query)] == ids


def test_filters_hold_for_what_happens_later_too(asked: OrgClient) -> None:
    with following(asked.url, f"/orgs/{asked.org}/requests/stream?unmatched=true") as stream:
        ask(asked)
        ask(asked, "nowhere")

        assert stream.next().data["id"] == 6


@pytest.mark.parametrize("query", ["status=x", "rejected=1", "follow=maybe", "since=-1"])
def test_filters_have_types(asked: OrgClient, is_rejected: AssertRejected, query: str) -> None:
    is_rejected(asked.admin("GET", f"/requests/stream?{query}"), "invalid-request")


@pytest.mark.parametrize(("last", "ids"), [("0", [1, 2, 3, 4]), ("2", [3, 4]), ("4", []), ("99", [1, 2, 3, 4])])
def test_a_client_that_comes_back_hears_what_it_has_missed(asked: OrgClient, last: str, ids: list[int]) -> None:
    assert [received.data["id"] for received in kept(asked, last=last)] == ids
    assert [received.data["id"] for received in kept(asked, "since=1", last=last)] == [id for id in ids if id > 1]


@pytest.mark.parametrize("last", ["x", "-1", "1.0", "\u0661", "9" * 5000])
def test_an_id_that_is_none_is_taken_for_the_beginning(asked: OrgClient, last: str) -> None:
    assert len(kept(asked, last=last)) == 4


def test_a_client_of_all_orgs_that_comes_back_hears_what_it_has_missed(org_client: OrgClient) -> None:
    with following(org_client.url, f"/requests/stream?org={org_client.org}") as stream:
        ask(org_client)
        ask(org_client)
        first, second = stream.next(), stream.next()
    ask(org_client)

    missed = kept(org_client, f"org={org_client.org}", first.id, "/requests/stream")

    assert [received.data["id"] for received in missed] == [2, 3]
    assert missed[0].id == second.id


def test_a_client_that_heard_nothing_yet_can_come_back_too(org_client: OrgClient) -> None:
    ask(org_client)
    with following(org_client.url, f"/orgs/{org_client.org}/requests/stream") as stream:
        lines = list(islice(stream.response.iter_lines(), 4))
    ask(org_client)

    assert "id: 1" in lines
    assert [received.data["id"] for received in kept(org_client, last="1")] == [2]


def test_a_client_of_another_server_hears_all_that_is_kept(asked: OrgClient) -> None:
    received = kept(asked, f"org={asked.org}", "0123abcd-7", "/requests/stream")

    assert [each.data["id"] for each in received] == [1, 2, 3, 4]


def test_after_a_reset_the_ids_begin_anew_and_nothing_is_missed(asked: OrgClient) -> None:
    with following(asked.url, f"/orgs/{asked.org}/requests/stream") as stream:
        asked.admin("POST", "/reset")
        ask(asked)

        assert stream.next().data["id"] == 1
    assert [received.data["id"] for received in kept(asked, last="4")] == [1]


def test_what_is_not_kept_any_more_is_reported_by_how_much_it_is(specs: Path, http: httpx2.Client) -> None:
    with running(app=new_app(specs, journal_limit=3)) as (_, url):
        org_client = OrgClient(url, "small", http)
        for _ in range(10):
            ask(org_client)

        received = kept(org_client, last="2")

    assert [each.name for each in received] == ["dropped", "exchange", "exchange", "exchange"]
    assert received[0].data == {"dropped": 5}


def test_an_org_that_was_forgotten_is_silent_until_there_is_one_of_its_name(org_client: OrgClient) -> None:
    ask(org_client)
    with following(org_client.url, f"/orgs/{org_client.org}/requests/stream") as stream:
        org_client.admin("DELETE")
        ask(org_client)

        assert stream.next().data["id"] == 1


def test_a_server_with_an_open_stream_stops_at_once(tmp_path: Path) -> None:
    app = new_app(write_specs(tmp_path / "specs"))

    def stopped() -> float:
        with ExitStack() as open_streams:
            with running(app=app) as (_, url):
                for _ in range(5):
                    open_streams.enter_context(following(url, "/requests/stream"))
                began = time.monotonic()
            return time.monotonic() - began

    assert shortest(3, stopped) < 3


def test_only_so_many_may_listen_at_once(
    specs: Path, is_rejected: AssertRejected, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("promo_sandbox.admin.stream.MAX_LISTENERS", 2)
    with running(app=new_app(specs)) as (_, url), ExitStack() as streams:
        opened = [streams.enter_context(following(url, "/requests/stream")) for _ in range(2)]
        for stream in opened:
            next(stream.response.iter_bytes())  # by now it listens

        is_rejected(httpx2.get(f"{url}/__admin/requests/stream", timeout=LONG), "too-many-listeners")


# The listeners themselves


class Heard:
    """The made-up vendor in this process, and those who listen to it."""

    def __init__(self, journal_limit: int = 5000) -> None:
        self.acme = Acme(journal_limit=journal_limit, journal_bytes=100_000_000)
        self.feed = LiveFeed(self.acme.orgs)

    def ask(self, org: str = "t", times: int = 1) -> None:
        for _ in range(times):
            self.acme.send("GET", f"/acme/{org}/things")

    def listen(self, org: str | None = None, **options: Any) -> AsyncGenerator[bytes, None]:
        heartbeat = options.pop("heartbeat", 60.0)
        given = {
            "org": org,
            "exchange_ids": org is not None,
            "matches": lambda _: True,
            "to_json": lambda name, exchange: {"org": name, "id": exchange.id},
            "follow": True,
            "replay": False,
            "last_event_id": None,
            **options,
        }
        return self.feed.listener(FeedOptions(**given)).events(heartbeat)

    @property
    def costs(self) -> bool:
        """Whether the journals tell anybody."""
        return self.acme.orgs._journal_budget.listener is not None  # noqa: SLF001 - it has no public name


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, LONG))


async def take(stream: AsyncGenerator[bytes, None], pieces: int) -> list[Event]:
    return parsed("".join([(await anext(stream)).decode() for _ in range(pieces)]))


def test_a_stream_without_news_says_now_and_then_that_it_is_still_there() -> None:
    async def test() -> None:
        stream = Heard().listen(heartbeat=0.01)
        pieces = [await anext(stream) for _ in range(4)]
        assert pieces[0] == b"retry: 1000\n\n"
        assert pieces[2:] == [b": still there\n\n"] * 2
        await stream.aclose()

    run(test())


def test_what_happens_between_the_reply_and_its_first_piece_is_sent_too() -> None:
    async def test() -> None:
        heard = Heard()
        heard.ask()
        one, everyone = heard.listen("t"), heard.listen()
        heard.ask()
        for stream in (one, everyone):
            assert [received.data["id"] for received in await take(stream, 2)] == [2]
            await stream.aclose()

    run(test())


def test_one_who_does_not_keep_up_loses_the_oldest_and_learns_how_many() -> None:
    async def test() -> None:
        heard = Heard()
        stream = heard.listen()
        await take(stream, 2)
        heard.ask(times=live_feed.MAX_QUEUED + 500)
        received = await take(stream, 3)
        assert [(each.name, each.data) for each in received] == [
            ("dropped", {"dropped": 500}),
            ("exchange", {"org": "t", "id": 501}),
            ("exchange", {"org": "t", "id": 502}),
        ]
        heard.ask(times=10)
        rest = await take(stream, 1 + live_feed.MAX_QUEUED)
        assert (rest[0].data, rest[1].data["id"], rest[-1].data["id"]) == ({"dropped": 8}, 511, 1510)
        await stream.aclose()

    run(test())


def test_what_waits_is_bounded_in_bytes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_feed, "MAX_QUEUED_BYTES", 100_000)

    async def test() -> None:
        heard = Heard()
        stream = heard.listen()
        await take(stream, 2)
        for _ in range(10):
            heard.acme.send("POST", "/acme/t/things", {"name": "x" * 30_000})
        dropped = (await take(stream, 1))[0]
        assert dropped.data == {"dropped": 9}
        await stream.aclose()

    run(test())


def test_one_exchange_is_sent_however_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_feed, "MAX_QUEUED_BYTES", 1)

    async def test() -> None:
        heard = Heard()
        stream = heard.listen()
        await take(stream, 2)
        heard.ask()
        assert [received.name for received in await take(stream, 1)] == ["exchange"]
        await stream.aclose()

    run(test())


def test_a_listener_that_is_gone_is_forgotten_and_after_a_while_nothing_is_noted() -> None:
    async def test() -> None:
        heard = Heard()
        costs = [heard.costs]
        stream = heard.listen()
        await anext(stream)
        assert len(heard.feed.listeners) == 1
        costs.append(heard.costs)
        await stream.aclose()
        assert len(heard.feed.listeners) == 0
        heard.ask(times=live_feed.MAX_RECENT)
        costs.append(heard.costs)
        heard.ask()
        costs.append(heard.costs)
        assert costs == [False, True, True, False]

    run(test())


def test_a_listener_that_never_begins_is_not_kept() -> None:
    async def test() -> None:
        heard = Heard()
        stream = heard.listen()
        heard.ask(times=live_feed.MAX_RECENT + 1)
        assert (len(heard.feed.listeners), heard.costs) == (0, False)
        await stream.aclose()

    run(test())


def test_one_who_comes_back_after_too_long_learns_how_much_it_has_missed() -> None:
    async def test() -> None:
        heard = Heard()
        stream = heard.listen()
        heard.ask()
        last = (await take(stream, 2))[0].id
        heard.ask(times=live_feed.MAX_RECENT + 200)
        again = heard.listen(last_event_id=last)
        received = await take(again, 3)
        assert [(each.name, each.data) for each in received] == [
            ("dropped", {"dropped": 200}),
            ("exchange", {"org": "t", "id": 202}),
        ]
        for each in (stream, again):
            await each.aclose()

    run(test())


def test_what_the_journal_has_forgotten_meanwhile_is_counted() -> None:
    async def test() -> None:
        heard = Heard(journal_limit=2)
        stream = heard.listen()
        heard.ask()
        last = (await take(stream, 2))[0].id
        heard.ask(times=5)
        again = heard.listen(last_event_id=last)
        received = await take(again, 4)
        assert [each.data for each in received] == [{"dropped": 3}, {"org": "t", "id": 5}, {"org": "t", "id": 6}]
        for each in (stream, again):
            await each.aclose()

    run(test())


def test_time_that_passes_is_no_exchange() -> None:
    async def test() -> None:
        heard = Heard()
        stream = heard.listen()
        heard.acme.seed("t", things=[{"id": "a", "name": "A"}])
        heard.ask()
        received = await take(stream, 2)
        assert [each.data["id"] for each in received] == [2]
        await stream.aclose()

    run(test())


def test_many_orgs_and_listeners_each_hear_their_own() -> None:
    async def test() -> None:
        heard = Heard()
        for number in range(20):
            heard.ask(f"o{number}")
        streams = [heard.listen(f"o{number}") for number in range(20)]
        for stream in streams:
            await take(stream, 2)
        for _ in range(3):
            for number in range(20):
                heard.ask(f"o{number}")
        for number, stream in enumerate(streams):
            assert {each.data["org"] for each in await take(stream, 3)} == {f"o{number}"}
            await stream.aclose()

    run(test())


def wanted_no_exchange(_: Exchange) -> bool:
    return False


def test_without_listeners_no_event_waits() -> None:
    async def test() -> None:
        heard = Heard()
        stream = heard.listen(matches=wanted_no_exchange, heartbeat=0.01)
        await take(stream, 2)
        heard.ask(times=3)
        assert await anext(stream) == b": still there\n\n"
        await stream.aclose()

    run(test())
