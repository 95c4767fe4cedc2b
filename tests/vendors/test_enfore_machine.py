"""Gift cards and loyalty programs in whatever order of requests, against small models: nothing lost, nothing twice."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, Decimal

import httpx2
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from promo_sandbox.base.messages import decode, encode
from tests.contract import fuzzing
from tests.serving import Json, OrgClient
from tests.vendors.enfore_support import EVER, NOW, PROBLEMS, cards, path

START = datetime.fromisoformat(NOW)
_numbers = itertools.count()

MOST = Decimal(9_000_000_000_000)
amounts = st.decimals(min_value="0.000001", max_value=200, places=6) | st.sampled_from(
    [Decimal("0.000001"), Decimal("0.1"), Decimal("0.3"), Decimal("50.00"), MOST, MOST - Decimal("0.000001")]
)
useless_amounts = st.sampled_from([Decimal(0), Decimal("-0.01"), Decimal(-50)])
seldom = st.integers(0, 5).map(lambda number: number == 5)
hours = st.integers(0, 72)
pick = st.integers(0, 1000)  # which of those there are
statuses = st.sampled_from(["ISSUED", "PARTIALLY_REDEEMED", "REDEEMED", "EXPIRED", "CANCELED", "DEACTIVATED"])


def text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


class Machine(RuleBasedStateMachine):
    """A fresh org whose clock stands still but for `time_passes`."""

    def __init__(self, url: str, http: httpx2.Client) -> None:
        super().__init__()
        self.org_client = OrgClient(url, f"machine-{next(_numbers)}", http)
        self.org_client.freeze(NOW)
        self.now = START

    def teardown(self) -> None:
        internal_errors = self.org_client.admin("GET", "/requests?internal_error=true").json()
        assert internal_errors["total"] == 0, internal_errors
        self.org_client.admin("DELETE")

    def request(self, method: str, path: str, body: Json = None) -> tuple[int, Json]:
        """The status of a reply and its content, numbers exactly as they were written."""
        raw = None if body is None else encode(body)
        response = self.org_client.request(method, path, raw=raw)
        return response.status_code, decode(response.content) if response.content else None

    def get(self, path: str) -> Json:
        status, content = self.request("GET", path)
        assert status == 200, content
        return content

    def is_rejected(self, answer: tuple[int, Json], name: str, status: int = 422) -> None:
        """By that name, and nothing was changed or notified."""
        assert answer[0] == status, (name, answer)
        assert answer[1]["type"] == PROBLEMS + name, answer
        exchange = self.org_client.last()
        assert exchange["rejection"] == name
        assert (exchange["changes"], exchange["events"]) == ([], [])


@dataclass
class Card:
    """What a card should be."""

    id: str
    number: str
    external_number: str
    status: str
    unit: str
    opening: Decimal
    initial: Decimal | None
    issued: datetime
    expires: datetime | None
    redemptions: list[Json] = field(default_factory=list)

    @property
    def balance(self) -> Decimal:
        return self.opening - sum((item["redeemed_amount"]["value"] for item in self.redemptions), Decimal(0))

    @property
    def status_by_balance(self) -> str:
        if self.balance == 0:
            return "REDEEMED"
        untouched = not self.redemptions if self.initial is None else self.balance == self.initial
        return "ISSUED" if untouched else "PARTIALLY_REDEEMED"

    def expired_at(self, now: datetime) -> bool:
        return self.expires is not None and self.expires <= now

    def falls_due(self, now: datetime) -> bool:
        return self.expired_at(now) and self.status in ("ISSUED", "PARTIALLY_REDEEMED")


class GiftCards(Machine):
    """Cards are brought in, redeemed, blocked and unblocked, and expire."""

    def __init__(self, url: str, http: httpx2.Client) -> None:
        super().__init__(url, http)
        self.cards: list[Card] = []  # in the order of creation
        self.notified = 0
        self.path = cards(self.org_client)

    def of(self, card: Card, *segments: str) -> str:
        return "/".join([self.path, card.id, *segments])

    def some(self, number: int) -> Card:
        return self.cards[number % len(self.cards)]

    @property
    def listed(self) -> list[Card]:
        return sorted(self.cards, key=lambda card: card.issued)

    def expire(self) -> list[Card]:
        """Those whose time has come, in the order in which it came."""
        due = sorted((card for card in self.cards if card.falls_due(self.now)), key=lambda card: card.expires or START)
        for card in due:
            card.status = "EXPIRED"
        self.notified += len(due)
        return due

    @initialize()
    def there_are_cards(self) -> None:
        for opening in (Decimal("0.3"), Decimal("50.00"), MOST):
            self.a_card_is_brought_in(
                status="ISSUED", opening=opening, spent=None, issued=None, expires=None, again=False
            )

    @rule(status=statuses, opening=amounts, spent=st.none() | amounts, issued=st.none() | hours,
          expires=st.none() | hours, again=seldom)  # fmt: skip
    def a_card_is_brought_in(
        self,
        *,
        status: str,
        opening: Decimal,
        spent: Decimal | None,
        issued: int | None,
        expires: int | None,
        again: bool,
    ) -> None:
        unit = "EUR" if len(self.cards) % 3 else "CHF"
        number = self.cards[0].external_number if again else f"X-{len(self.cards)}"
        body = {"name": "Xmas", "external_number": number, "status": status,
                "current_balance": {"unit": unit, "value": opening}}  # fmt: skip
        initial = None if spent is None else min(opening + spent, MOST)
        if initial is not None:
            body["initial_balance"] = {"unit": unit, "value": initial}
        begins = self.now if issued is None else START + timedelta(hours=issued)
        ends = None if expires is None else START + timedelta(hours=expires)
        if issued is not None:
            body["issued_date_and_time"] = text(begins)
        if ends is not None:
            body["expiration_date_and_time"] = text(ends)
        answer = self.request("POST", self.path, body)
        if issued is not None and ends is not None and ends < begins:
            self.is_rejected(answer, "expiration-before-issue")
            return
        if again:
            self.is_rejected(answer, "external-number-taken")
            return
        created = answer[1]
        assert answer[0] == 201, created
        assert {name: created[name] for name in body} == body
        self.cards.append(Card(created["id"], created["number"], number, status, unit, opening, initial, begins, ends))
        self.notified += 1
        self.expire()

    @rule(which=pick, amount=amounts | useless_amounts, in_another_unit=seldom)
    def a_card_pays(self, which: int, amount: Decimal, in_another_unit: bool) -> None:
        card = self.some(which)
        unit = "USD" if in_another_unit else card.unit
        body = {"redeemed_amount": {"unit": unit, "value": amount}, "external_reference": "Order 1"}
        answer = self.request("POST", self.of(card, "redemptions"), body)
        rejection = self.rejection(card, amount, unit)
        if rejection is not None:
            self.is_rejected(answer, rejection)
            return
        status, redemption = answer
        assert status == 201, redemption
        assert redemption == {**body, "id": redemption["id"], "transaction_date_and_time": text(self.now)}
        card.redemptions.append(redemption)
        card.status = "PARTIALLY_REDEEMED" if card.balance else "REDEEMED"
        self.notified += 1

    @rule(which=pick, parts=st.integers(1, 3))
    def a_card_pays_a_part_of_what_it_holds(self, which: int, parts: int) -> None:
        part = (self.some(which).balance / parts).quantize(Decimal("0.000001"), ROUND_DOWN)
        self.a_card_pays(which, part, in_another_unit=False)

    @staticmethod
    def rejection(card: Card, value: Decimal, unit: str) -> str | None:
        if card.status not in ("ISSUED", "PARTIALLY_REDEEMED"):
            return f"gift-card-{card.status.lower()}"
        if unit != card.unit:
            return "currency-mismatch"
        if value <= 0:
            return "amount-not-positive"
        return "amount-exceeds-balance" if value > card.balance else None

    @rule(which=pick, wanted=st.sampled_from(["ACTIVE", "DEACTIVATED"]))
    def a_card_is_switched(self, which: int, wanted: str) -> None:
        card = self.some(which)
        answer = self.request("PUT", self.of(card, "activation-status"), wanted)
        if card.status == "CANCELED":
            self.is_rejected(answer, "gift-card-canceled")
        elif card.status == "EXPIRED" or (wanted == "ACTIVE" and card.expired_at(self.now)):
            self.is_rejected(answer, "gift-card-expired")
        else:
            assert answer == (201, wanted)
            if (card.status == "DEACTIVATED") == (wanted == "ACTIVE"):
                card.status = card.status_by_balance if wanted == "ACTIVE" else "DEACTIVATED"
                self.notified += 1

    @rule(by=hours)
    def time_passes(self, by: int) -> None:
        self.now += timedelta(hours=by)
        happened = self.org_client.advance(f"PT{by}H")
        due = self.expire()
        assert [(item["at"], item["id"]) for item in happened] == [
            (text(card.expires or START), card.id) for card in due
        ]

    @rule(first=pick, many=st.integers(1, 6), begin=hours, end=hours)
    def a_page_is_read(self, first: int, many: int, begin: int, end: int) -> None:
        start, stop = (START + timedelta(hours=offset) for offset in sorted((begin, end)))
        inside = [card.id for card in self.listed if start <= card.issued < stop]
        offset = first % (len(inside) + 1)
        page = self.get(f"{self.path}?from={text(start)}&to={text(stop)}&limit={many}&offset={offset}")
        assert [item["id"] for item in page["items"]] == inside[offset : offset + many]

    @invariant()
    def the_list_shows_every_card_once_and_as_it_should_be(self) -> None:
        items = self.get(self.path + EVER + "&limit=5000")["items"]
        shown = [(item["id"], item["status"], item["current_balance"]) for item in items]
        assert shown == [(card.id, card.status, {"unit": card.unit, "value": card.balance}) for card in self.listed]

    @rule(which=pick)
    def what_a_card_paid_and_what_it_holds_is_what_it_held_at_first(self, which: int) -> None:
        card = self.some(which)
        lookup = f"{EVER}&number={card.number}&external_number={card.external_number}"
        assert [item["id"] for item in self.get(self.path + lookup)["items"]] == [card.id]
        items = self.get(self.of(card, "redemptions"))["items"]
        found = self.get(self.of(card))
        assert [{name: item[name] for name in item if name != "@type"} for item in items] == card.redemptions
        paid = sum((item["redeemed_amount"]["value"] for item in items), Decimal(0))
        assert paid + found["current_balance"]["value"] == card.opening
        assert found["status"] == card.status
        for item in items:
            assert self.get(self.of(card, "redemptions", item["id"])) == item

    def teardown(self) -> None:
        for which in range(len(self.cards)):
            self.what_a_card_paid_and_what_it_holds_is_what_it_held_at_first(which)
        assert len(self.org_client.events()) == self.notified
        super().teardown()


@dataclass
class Program:
    """What a draft or a program should be; a draft has no status."""

    id: str
    place: int  # in the order of creation
    start: datetime | None
    end: datetime | None
    status: str = ""
    since: datetime = START  # where it stands in the list without a start


class Programs(Machine):
    """Drafts become programs, which start and end by themselves or on request."""

    def __init__(self, url: str, http: httpx2.Client) -> None:
        super().__init__(url, http)
        self.drafts: list[Program] = []
        self.programs: list[Program] = []
        self.indexes = itertools.count()
        self.drafts_path = path(self.org_client, "loyalty-programs/external-loyalty-program-drafts")
        self.path = path(self.org_client, "loyalty-programs/external-loyalty-program")

    def content(self, start: int | None, end: int | None) -> tuple[Json, datetime | None, datetime | None]:
        begins = None if start is None else START + timedelta(hours=start)
        ends = None if end is None else START + timedelta(hours=end)
        body: Json = {"name": "Points", "configuration": {}}
        if begins is not None:
            body["start_date_and_time"] = text(begins)
        if ends is not None:
            body["end_date_and_time"] = text(ends)
        return body, begins, ends

    @initialize()
    def there_are_drafts_and_a_program(self) -> None:
        for start, end in ((None, None), (10, None), (20, 40), (30, 60)):
            self.a_draft_is_written(start, end)
        self.a_draft_becomes_a_program(2, "SCHEDULE")

    @rule(start=st.none() | hours, end=st.none() | hours)
    def a_draft_is_written(self, start: int | None, end: int | None) -> None:
        body, begins, ends = self.content(start, end)
        answer = self.request("POST", self.drafts_path, body)
        if begins is not None and ends is not None and ends < begins:
            self.is_rejected(answer, "end-before-start")
        else:
            assert answer == (201, {**body, "id": answer[1]["id"]})
            self.drafts.append(Program(answer[1]["id"], next(self.indexes), begins, ends))

    @precondition(lambda self: self.drafts)
    @rule(which=pick, start=st.none() | hours, end=st.none() | hours, or_deleted=seldom)
    def a_draft_is_replaced(self, which: int, start: int | None, end: int | None, or_deleted: bool) -> None:
        draft = self.drafts[which % len(self.drafts)]
        if or_deleted:
            self.drafts.remove(draft)
            assert self.request("DELETE", f"{self.drafts_path}/{draft.id}") == (204, None)
            self.is_rejected(self.request("DELETE", f"{self.drafts_path}/{draft.id}"), "unknown-draft", 404)
            return
        body, begins, ends = self.content(start, end)
        answer = self.request("PUT", f"{self.drafts_path}/{draft.id}", body)
        if begins is not None and ends is not None and ends < begins:
            self.is_rejected(answer, "end-before-start")
        else:
            assert answer == (200, {**body, "id": draft.id})
            draft.start, draft.end = begins, ends

    @precondition(lambda self: self.drafts)
    @rule(which=pick, operation=st.sampled_from(["SCHEDULE", "ACTIVATE"]))
    def a_draft_becomes_a_program(self, which: int, operation: str) -> None:
        draft = self.drafts[which % len(self.drafts)]
        body = {"draft_id": draft.id, "operation": operation}
        answer = self.request("POST", self.path, body)
        rejection = self.rejection(draft, operation)
        if rejection is not None:
            self.is_rejected(answer, rejection)
            return
        status, program = answer
        assert status == 200, program
        started = operation == "ACTIVATE" and (draft.start is None or draft.start > self.now)
        start = self.now if started else draft.start
        found = Program(program["id"], next(self.indexes), start, draft.end, "ACTIVE", self.now)
        if operation == "SCHEDULE":
            found.status = "SCHEDULED"
        assert program["status"] == found.status
        assert found.id not in {other.id for other in (*self.drafts, *self.programs)}
        self.drafts.remove(draft)
        self.programs.append(found)
        self.is_rejected(self.request("POST", self.path, body), "unknown-draft", 404)

    def rejection(self, draft: Program, operation: str) -> str | None:
        if operation == "SCHEDULE" and draft.start is None:
            return "start-missing"
        if operation == "SCHEDULE" and draft.start is not None and draft.start <= self.now:
            return "start-not-in-future"
        return "end-in-past" if draft.end is not None and draft.end <= self.now else None

    @rule(which=pick, wanted=st.sampled_from(["SCHEDULED", "ACTIVE", "ARCHIVED"]))
    def a_program_is_given_a_status(self, which: int, wanted: str) -> None:
        program = self.programs[which % len(self.programs)]
        response = self.org_client.request(
            "PUT", f"{self.path}/{program.id}/status", raw=wanted.encode(), headers={"Content-Type": "text/plain"}
        )
        order = ["SCHEDULED", "ACTIVE", "ARCHIVED"]
        if order.index(wanted) < order.index(program.status):
            self.is_rejected((response.status_code, decode(response.content)), "transition-not-allowed")
            return
        assert (response.status_code, response.text) == (200, wanted)
        if wanted == "ACTIVE" and program.status == "SCHEDULED":
            program.start = self.now
        if wanted == "ARCHIVED" and program.status == "ACTIVE" and (program.end is None or program.end > self.now):
            program.end = self.now
        program.status = wanted

    @rule(by=hours)
    def time_passes(self, by: int) -> None:
        self.now += timedelta(hours=by)
        happened = self.org_client.advance(f"PT{by}H")
        expected = []
        for program in self.programs:
            if program.status == "SCHEDULED" and program.start is not None and program.start <= self.now:
                program.status = "ACTIVE"
                expected.append((program.start, program.place, program.id))
            if program.status == "ACTIVE" and program.end is not None and program.end <= self.now:
                program.status = "ARCHIVED"
                expected.append((program.end, program.place, program.id))
        assert [(item["at"], item["id"]) for item in happened] == [(text(at), id) for at, _, id in sorted(expected)]

    @invariant()
    def the_lists_show_everything_once_and_as_it_should_be(self) -> None:
        drafts = self.get(self.drafts_path + "?limit=5000")["items"]
        assert [draft["id"] for draft in drafts] == [
            draft.id for draft in sorted(self.drafts, key=lambda draft: draft.place, reverse=True)
        ]
        programs = self.get(self.path + "?limit=5000")["items"]
        latest = sorted(self.programs, key=lambda it: (it.start or it.since, it.place), reverse=True)
        assert [
            (item["id"], item["status"], item.get("start_date_and_time"), item.get("end_date_and_time"))
            for item in programs
        ] == [(it.id, it.status, it.start and text(it.start), it.end and text(it.end)) for it in latest]


@pytest.mark.fuzz
@pytest.mark.parametrize("machine", [GiftCards, Programs])
def test_no_order_of_requests_leads_astray(machine: type[GiftCards | Programs], url: str, http: httpx2.Client) -> None:
    fuzzing.in_any_order(lambda: machine(url, http))
