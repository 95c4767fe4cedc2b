"""The journal: limited for each org and for all orgs together, with a count of dropped entries."""

from __future__ import annotations

from promo_sandbox.base.messages import Reply, Request, Violation
from promo_sandbox.model.journal import MAX_BODY, Budget, Event, Exchange, Journal, Occurrence
from promo_sandbox.model.state import Collection, State


def exchange(journal: Journal, body: bytes = b"", reply: str = "") -> Exchange:
    """An exchange in the journal."""
    made = Exchange(0, Request("POST", "/", [], body))
    made.set_reply(Reply(200, reply, "text/plain"))
    made.id = journal.next_id()
    journal.add(made)
    return made


def ids(journal: Journal) -> list[int]:
    return [entry.id for entry in journal.entries()]


def test_entries_are_kept_in_order_and_found_by_their_id() -> None:
    journal = Journal(10, Budget(1_000_000))

    made = [exchange(journal) for _ in range(3)]

    assert ids(journal) == [1, 2, 3]
    assert journal.find(2) is made[1]
    assert journal.find(0) is None
    assert journal.find(4) is None
    assert journal.dropped == 0


def test_an_empty_journal_finds_nothing() -> None:
    journal = Journal(10, Budget(1_000_000))

    assert ids(journal) == []
    assert journal.find(1) is None


def test_beyond_the_limit_the_oldest_entries_are_dropped_and_counted() -> None:
    journal = Journal(3, Budget(1_000_000))

    for _ in range(10):
        exchange(journal)

    assert ids(journal) == [8, 9, 10]
    assert journal.dropped == 7
    assert journal.find(7) is None
    assert journal.find(8) is not None


def test_beyond_the_budget_of_all_orgs_the_oldest_entries_of_this_org_are_dropped() -> None:
    budget = Budget(30_000)
    journal = Journal(1000, budget)

    for _ in range(10):
        exchange(journal, b"x" * 9000)

    assert ids(journal) == [9, 10]
    assert journal.dropped == 8
    assert budget.available >= 0


def test_one_org_cannot_drop_the_entries_of_another() -> None:
    budget = Budget(30_000)
    quiet, loud = Journal(1000, budget), Journal(1000, budget)
    exchange(quiet, b"x" * 9000)
    exchange(quiet, b"x" * 9000)

    for _ in range(20):
        exchange(loud, b"x" * 9000)

    assert ids(quiet)[-1] == 2
    assert ids(loud)[-1] == 20
    assert budget.available >= 0


def test_a_new_org_has_room_beside_many_inactive_ones() -> None:
    budget = Budget(300_000)
    resting = [Journal(1000, budget) for _ in range(10)]
    for journal in resting:
        for _ in range(5):
            exchange(journal, b"x" * 9000)
    new = Journal(1000, budget)

    for _ in range(3):
        exchange(new, b"x" * 5000)

    assert ids(new) == [1, 2, 3]
    assert budget.available >= 0
    assert all(ids(journal)[-1] == 5 for journal in resting if ids(journal))


def test_the_newest_entry_is_kept_even_if_it_is_too_large() -> None:
    budget = Budget(100)
    one, other = Journal(1000, budget), Journal(1000, budget)

    for journal in (one, other, one):
        exchange(journal, b"x" * 9000)

    assert ids(one) == [2]
    assert ids(other) == []


def test_dropped_entries_return_their_bytes_to_the_budget() -> None:
    budget = Budget(1_000_000)
    journal = Journal(2, budget)
    for _ in range(5):
        exchange(journal, b"x" * 5000, "y" * 5000)

    journal.clear()

    assert budget.available == 1_000_000
    assert ids(journal) == []
    assert journal.dropped == 0


def test_ids_continue_after_a_journal_was_cleared() -> None:
    journal = Journal(10, Budget(1_000_000))
    exchange(journal)
    journal.clear()

    again = exchange(journal)

    assert again.id == 2
    assert journal.find(2) is again
    assert journal.find(1) is None


def test_long_bodies_are_cut_and_their_size_is_remembered() -> None:
    journal = Journal(10, Budget(10_000_000))

    made = exchange(journal, b"x" * 200_000, "y" * 300_000)

    assert (len(made.request.body), made.body_size) == (MAX_BODY, 200_000)
    assert (len(made.reply_body), made.reply_size) == (MAX_BODY, 300_000)
    assert made.size < 3 * MAX_BODY


def test_a_body_of_exactly_the_limit_is_kept_whole() -> None:
    made = exchange(Journal(10, Budget(10_000_000)), b"x" * MAX_BODY, "y" * MAX_BODY)

    assert (len(made.request.body), len(made.reply_body)) == (MAX_BODY, MAX_BODY)


def test_an_occurrence_is_an_entry_but_not_an_exchange() -> None:
    journal = Journal(10, Budget(1_000_000))
    exchange(journal)
    occurrence = Occurrence(5, "expire-thing", "t-1")
    occurrence.id = journal.next_id()
    journal.add(occurrence)
    last = exchange(journal)

    assert list(journal.entries())[1] is occurrence
    assert [made.id for made in journal.exchanges()] == [1, 3]
    assert journal.find(2) is None
    assert journal.find(3) is last


def test_events_count_towards_the_budget() -> None:
    budget = Budget(1_000_000)
    journal = Journal(10, budget)
    occurrence = Occurrence(5, "seed")
    before = occurrence.size
    occurrence.set_events([Event(5, "thing-changed", b"x" * 700), Event(5, "thing-changed", b"x" * 300)])

    journal.add(occurrence)

    assert before + 1000 < occurrence.size < before + 1500
    assert budget.available == 1_000_000 - occurrence.size


def test_the_old_version_of_a_document_counts_towards_the_budget() -> None:
    things = Collection("acme.things", (), lambda _, created: [("things", created)])
    state = State()
    state.put(things, "1", {"id": "1", "text": "x" * 5000}, 0)
    added, changed = Occurrence(5, "seed"), Occurrence(5, "seed")
    added.set_changes(state.changes)

    state.begin()
    state.put(things, "1", {"id": "1"}, 0)
    changed.set_changes(state.changes)

    assert added.size < 2000
    assert changed.size > added.size + 5000


def test_violations_count_towards_the_budget() -> None:
    one, other = (Exchange(0, Request("GET", "/", [])) for _ in range(2))
    other.violations = [Violation("body", "m" * 300)] * 50

    one.set_reply(Reply(204))
    other.set_reply(Reply(204))

    assert other.size > one.size + 50 * 300


def test_target_and_headers_count_towards_the_budget() -> None:
    made = Exchange(0, Request("GET", f"/{'x' * 10_000}", [(b"x-large", b"v" * 60_000)]))

    made.set_reply(Reply(204))

    assert made.size > 70_000
