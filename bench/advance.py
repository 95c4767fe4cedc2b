"""Measures how long an org with many dated objects takes to advance by a year.

Every timer runs, and its event is recorded and sent to the subscribers. Usage: python -m bench.advance [OBJECTS]
"""

from __future__ import annotations

import gc
import sys
import time
from typing import TYPE_CHECKING, Any

from promo_sandbox.base import clock
from promo_sandbox.base.messages import Request, decode, encode
from promo_sandbox.server.app import App

if TYPE_CHECKING:
    from collections.abc import Callable

BEGIN = "2030-01-01T00:00:00Z"
YEAR = 364 * clock.DAY
EUR = {"unit": "EUR", "value": 50}

Documents = dict[str, dict[str, list[Any]]]


def moment(number: int, objects: int) -> str:
    """A moment within the year. Consecutive numbers give moments that are far apart."""
    return clock.text(clock.parse(BEGIN) + (number * 7919 % objects + 1) * YEAR // (objects + 1))


def gift_cards(objects: int) -> Documents:
    cards = [
        {
            "id": f"c{number}",
            "name": "Xmas",
            "external_number": f"x{number}",
            "issued_date_and_time": "2029-06-01T00:00:00Z",
            "expiration_date_and_time": moment(number, objects),
            "current_balance": EUR,
            "initial_balance": EUR,
        }
        for number in range(objects)
    ]
    return {"enfore": {"gift_cards": cards}}


def points(customers: int) -> Callable[[int], Documents]:
    """Makes entries of points that are spread over this many customers."""

    def made(objects: int) -> Documents:
        entries = [{"points": 10, "validUntil": moment(number, objects)} for number in range(objects)]
        accounts = [
            {"id": f"c{number}", "summary": {"addedPointsList": entries[number::customers]}}
            for number in range(customers)
        ]
        return {"emporix": {"reward_points": accounts}}

    return made


def coupons(objects: int) -> Documents:
    made = [
        {
            "code": f"C{number}",
            "name": "Spring",
            "discountType": "ABSOLUTE",
            "discountAbsolute": {"amount": 5, "currency": "EUR"},
            "restrictions": {"validFrom": moment(number, objects), "validUntil": moment(number + 1, objects)},
        }
        for number in range(objects)
    ]
    return {"emporix": {"coupons": made}}


def promotions(objects: int) -> Documents:
    made = [
        {
            "Id": 1000 + number,
            "Name": "Spring",
            "Status": "Active",
            "StartDate": moment(number, objects),
            "EndDate": moment(number + 1, objects),
        }
        for number in range(objects)
    ]
    return {"norce": {"promotions": made}}


def ask(app: App, method: str, path: str, body: Any) -> tuple[float, Any]:
    """Send a request. Returns the CPU seconds and the decoded reply. Raises `SystemExit` unless it is a success."""
    sent = Request(method, f"/__admin/orgs/bench{path}", [(b"content-type", b"application/json")], encode(body))
    began = time.process_time()  # varies less than real time on a busy machine
    reply = app.handle(sent)
    seconds = time.process_time() - began
    while app.orgs.free_slice():
        pass
    if reply.status >= 300:  # noqa: PLR2004 - the first status after the successes
        raise SystemExit(f"{method} {path} answers {reply.status}: {reply.body[:500].decode()}")
    return seconds, decode(reply.body) if reply.body else None


def measure(app: App, documents: Documents) -> tuple[float, int, int]:
    """Advance by a year. Returns the CPU seconds, the number of occurrences and the number of internal errors."""
    ask(app, "POST", "/reset", {})
    ask(app, "PUT", "/clock", {"now": BEGIN, "frozen": True})
    for vendor, collections in documents.items():
        for name, docs in collections.items():
            for first in range(0, len(docs), 500):
                ask(app, "POST", "/seed", {vendor: {name: docs[first : first + 500]}})
    seconds, advanced = ask(app, "POST", "/clock/advance", {"by": "P1Y"})
    happened = advanced["happened"]
    return seconds, len(happened), sum(each["internal_error"] is not None for each in happened)


def main(objects: int) -> None:
    app = App()
    gc.freeze()  # as the server does
    gc.set_threshold(50_000, 50, 100)
    cases: dict[str, Callable[[int], Documents]] = {
        "enfore gift cards": gift_cards,
        "emporix points, 1 customer": points(1),
        "emporix points, a customer each": points(objects),
        "emporix coupons": coupons,
        "norce promotions": promotions,
    }
    for name, made in cases.items():
        seconds, happened, internal_errors = measure(app, made(objects))
        outcome = f"{happened:8} happened{internal_errors:4} internal errors{seconds * 1000:8.0f} ms of CPU"
        print(f"{name:32}{objects:8} objects{outcome}")  # noqa: T201 - the output of this program


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
