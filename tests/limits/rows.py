"""The attacks that are measured: add yours to `ROWS`, and the tests and `bench/stalls.py` have it.

Each is one request of at most a megabyte, unless it says otherwise, made by an attacker who knows the source.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from http.client import HTTPConnection
from typing import Any
from urllib.parse import quote

from tests.limits.attack import FORM, JSON, YAML, Attack, Target

COUPONS, MANY_COUPONS = "/coupon/stalls5k/coupons", "/coupon/stalls50k/coupons"
CARDS = "/promotions/org/stalls/sales-vouchers/gift-cards"
ADMIN = "/__admin/orgs"
SCENARIO = f"{ADMIN}/stalls/scenario"
OK = 200
_BATCH = 500
Prepare = Callable[[Target], object]
_ORGS = 20_000
_DISCARD = 9  # a port without a listener


def coupons(target: Target, org: str, count: int) -> None:
    """Store so many coupons, unless that was done before."""
    if target.ask("GET", f"{ADMIN}/{org}")[0] == OK:
        return
    for first in range(0, count, _BATCH):
        batch = [
            {
                "code": f"C{number}",
                "name": f"name {number * 7919 % count}",
                "discountType": "ABSOLUTE",
                "discountAbsolute": {"amount": number % 50 + 1, "currency": "EUR"},
            }
            for number in range(first, first + _BATCH)
        ]
        target.expect("POST", f"{ADMIN}/{org}/seed", {"emporix": {"coupons": batch}})


def long_named_orgs(target: Target) -> None:
    """As many orgs as there may be, with long names that look alike."""
    letters = "abcdefghij" * 9
    connection = target.connect()
    for number in range(_ORGS):
        turned = letters[number % 90 :] + letters[: number % 90]
        connection.request("GET", f"{CARDS}/none", headers={**JSON, "Sandbox-Org": "x"})
        connection.getresponse().read()
        connection.request("GET", f"/~{turned}{number}/promotions/none", headers=JSON)
        connection.getresponse().read()
    connection.close()


def in_batches(org: str, vendor: str, collection: str, count: int, made: Callable[[int], Any]) -> Prepare:
    """An org with so many seeded objects, in the bench five times as many; made once."""

    def prepare(target: Target) -> None:
        if target.ask("GET", f"{ADMIN}/{org}")[0] == OK:
            return
        for first in range(0, 5 * count if target.whole else count, _BATCH):
            batch = [made(number) for number in range(first, first + _BATCH)]
            target.expect("POST", f"{ADMIN}/{org}/seed", {vendor: {collection: batch}})

    return prepare


def journal(org: str, path: str, count: int, size: int) -> Callable[[Target], None]:
    """An org with so many exchanges, each with a body of so many bytes; made once. `{n}` in the path is a number."""

    def prepare(target: Target) -> None:
        if target.ask("GET", f"{ADMIN}/{org}")[0] == OK:
            return
        connection = target.connect()
        body = b'{"a":"' + b"x" * size + b'"}'
        for number in range(count):
            connection.request("POST", path.replace("{n}", str(number)), body, JSON)
            connection.getresponse().read()
        connection.close()

    return prepare


def _named(org: str) -> Prepare:
    """An org that exists."""
    return lambda target: target.expect("PUT", f"{ADMIN}/{org}/clock", {"frozen": False})


def send(
    method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
) -> Callable[[Target], tuple[int, bytes]]:
    return lambda target: target.ask(method, path, body, headers)


def get(name: str, path: str, prepare: Callable[[Target], object] | None = None, status: int | None = None) -> Attack:
    return Attack(name, send("GET", path), prepare, status)


def rejected(name: str, method: str, path: str, body: Any, headers: dict[str, str] | None = None) -> Attack:
    return Attack(name, send(method, path, body, headers), status=400)


def seeding(name: str, body: Any) -> Attack:
    return rejected(name, "POST", f"{ADMIN}/stalls/seed", body)


def with_header(name: str, header: str, value: str) -> Attack:
    return Attack(name, send("GET", f"{CARDS}/none", None, {**JSON, header: value}))


def numbered(count: int, value: Any) -> dict[str, Any]:
    """That many unknown fields."""
    return {f"k{number}": value for number in range(count)}


def put_scenario(name: str, body: Any, *, yaml: bool = False) -> Attack:
    return Attack(name, send("PUT", SCENARIO, body, YAML if yaml else JSON), status=400)


def _buy_card(target: Target) -> tuple[int, bytes]:
    return target.ask("POST", CARDS.replace("stalls", "stalls-pattern"), _CARD)


def backtracking(target: Target) -> None:
    """A step whose pattern takes ages where ways are tried one after the other."""
    when = {"body": {"name": {"matches": "^(a+)+$"}}}
    steps = [{"operation": "createExternalGiftCard", "when": when, "times": "any"}, {"operation": "getGiftCard"}]
    target.expect("PUT", f"{ADMIN}/stalls-pattern/scenario", {"steps": steps})


_FEW, _MANY = partial(coupons, org="stalls5k", count=5_000), partial(coupons, org="stalls50k", count=50_000)
_PATTERNS = quote(" ".join(["name:~9$"] * 100))
_EUR = {"unit": "EUR", "value": 50}
_CARD = {
    "name": "a" * 27 + "b",
    "external_number": "1",
    "status": "ISSUED",
    "current_balance": _EUR,
    "initial_balance": _EUR,
    "issued_date_and_time": "2026-01-15T10:30:00Z",
    "expiration_date_and_time": "2028-01-15T10:30:00Z",
    "tax": "DE_STANDARD_VAT_2007",
}
_EMPTY_DOCUMENTS: Any = {"documents": {"enfore": {"gift_cards": [{"document": {}}] * 60_000}}}
_WRONG_COUPON = {"name": "x", "restrictions": {"validFor": [1] * 450_000}}
_FIELDS = b"&".join(b"a%d=1" % number for number in range(110_000))
_PARAMETERS = "&".join(f"a{number}=1" for number in range(2000))
_PART = {"body": {"a": "y"}}
_STEP = {"steps": [{"operation": "getGiftCard"}]}
_UNKNOWN_MEMBERS = {"operation": "createExternalGiftCard", "when": {"body": numbered(80_000, 1)}}
_fill_unmatched = journal("stalls-unmatched", f"{CARDS}{{n}}".replace("stalls", "stalls-unmatched"), 1000, 10)
_fill_large = journal("stalls-large", CARDS.replace("stalls", "stalls-large"), 300, 64_000)
_BOMB = b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (98 + level, 98 + level, b",".join([b"*%c" % (97 + level)] * 9)) for level in range(8)
)

_SECRETS = {f"k{number}": {"password": f"{number:06}" + "s" * 30} for number in range(1000)}


def _fill_secrets(target: Target) -> None:
    """Exchanges about documents full of secrets, stored and rejected."""
    for content in ({**_COUPON, "mixins": {"a": ["&password=a"] * 60_000}}, _SECRETS):
        target.ask("POST", "/coupon/stallssecrets/coupons", content)


_SUBSCRIPTION = {"event": "gift-card-changed", "callback_url": ""}
_many_subscriptions = in_batches(
    "stalls-subs", "enfore", "subscriptions", 20_000, lambda n: {**_SUBSCRIPTION, "callback_url": f"https://a.b/{n}"}
)
_SUBSCRIPTIONS = "/promotions/org/stalls-subs/sales-vouchers/gift-card-subscriptions"
_SMALL = {"amount": 1, "currency": "EUR"}
_REDEMPTION = {"code": "BIG", "customerNumber": "c", "orderTotal": _SMALL, "discount": _SMALL}
_COUPON = {"code": "BIG", "name": "x", "discountType": "ABSOLUTE", "discountAbsolute": _SMALL}
_BIG_COUPON = "/coupon/stallsbig/coupons/BIG"
_redemptions = in_batches(
    "stallsbig",
    "emporix",
    "coupon_redemptions",
    20_000,
    lambda n: {**_REDEMPTION, "orderCode": f"o{n}", "legalEntityId": f"l{n}"},
)
_POINTS = {
    "emporix": {"reward_points": [{"customerId": "c", "summary": {"addedPointsList": [{"points": 1}] * 10_000}}]}
}
_PROMOTIONS = "/commerce/management/1.0/api/promotion"
_IN_NORCE = {**JSON, "Sandbox-Org": "stalls-norce"}
_IN_POINTS = {**JSON, "Emporix-Tenant": "stallspoints"}
_LARGE = CARDS.replace("stalls", "stalls-large-cards")
_MANY_CODES = [{"DiscountCode": f"{number}"} for number in range(39_000)]
_PERIOD = "from=2020-01-01T00:00:00Z&to=2099-01-01T00:00:00Z"


def _big_coupon(target: Target) -> None:
    """A coupon that was redeemed often, which is removed when it is deleted."""
    _redemptions(target)
    stored = {"coupons": [_COUPON], "settings": [{"couponPermanentDelete": True}]}
    target.expect("POST", f"{ADMIN}/stallsbig/seed", {"emporix": stored})


def _account(target: Target) -> None:
    target.expect("POST", f"{ADMIN}/stallspoints/seed", _POINTS)


def _promotion(target: Target) -> None:
    target.expect("POST", f"{ADMIN}/stalls-norce/seed", {"norce": {"promotions": [{"Id": 1, "Name": "x"}]}})


def _large_cards(target: Target) -> None:
    for number in range(60):
        card = {**_CARD, "external_number": f"{number}", "name": "x" * 900_000}
        target.ask("POST", _LARGE, card)


def _opened(target: Target, count: int, path: str) -> list[HTTPConnection]:
    """So many connections that ask for what comes later, and do not read it."""
    connections = [target.connect() for _ in range(count)]
    for connection in connections:
        connection.request("GET", path)
    return connections


def _waiting_clients(target: Target) -> tuple[int, bytes]:
    clients = _opened(target, 1000 if target.whole else 200, f"{ADMIN}/stalls-subs/webhooks?wait=20s&count=20")
    try:
        return target.ask("POST", CARDS.replace("stalls", "stalls-subs"), {**_CARD, "external_number": "awaited"})
    finally:
        for client in clients:
            client.getresponse().read()
            client.close()


def _unread_streams(target: Target) -> tuple[int, bytes]:
    clients = _opened(target, 100 if target.whole else 30, "/__admin/requests/stream")
    answered = 0, b""
    try:
        for _ in range(10):
            answered = target.ask("POST", _LARGE, {**_CARD, "name": "x" * 900_000})
        return answered
    finally:
        for client in clients:
            client.close()


def _snapshots(target: Target) -> tuple[int, bytes]:
    answered = 0, b""
    for number in range(100):
        target.ask("PUT", f"{ADMIN}/stalls-cards/snapshots/{number}")
        answered = target.ask("POST", f"{ADMIN}/stalls-cards/snapshots/{number}/restore")
    return answered


_cards = in_batches("stalls-cards", "enfore", "gift_cards", 20_000, lambda n: {**_CARD, "external_number": f"N{n}"})


def _awaited_subscription(target: Target) -> tuple[int, bytes]:
    """Many events wait for a subscription whose receiver is not there, until it is deleted."""
    path = _SUBSCRIPTIONS.replace("stalls-subs", "stalls-waiting")
    target.expect("POST", f"{ADMIN}/stalls-waiting/reset", status=204)
    subscription = {**_SUBSCRIPTION, "callback_url": f"https://127.0.0.1:{_DISCARD}/"}
    id = json.loads(target.expect("POST", path, subscription, status=201))["id"]
    for first in range(0, 100_000 if target.whole else 20_000, _BATCH):
        batch = [{**_CARD, "external_number": f"W{number}"} for number in range(first, first + _BATCH)]
        target.expect("POST", f"{ADMIN}/stalls-waiting/seed", {"enfore": {"gift_cards": batch}})
    return target.ask("DELETE", f"{path}/{id}")


def _codes(method: str, codes: Any) -> Callable[[Target], tuple[int, bytes]]:
    return send(method, f"{_PROMOTIONS}/1/unique-codes", codes, _IN_NORCE)


def _of_points(method: str, path: str, body: Any = None) -> Callable[[Target], tuple[int, bytes]]:
    return send(method, f"/reward-points/customer/c{path}", body, _IN_POINTS)


ROWS: list[Attack] = [
    get("sort=name, 3,000 times over 5,000 coupons", f"{COUPONS}?sort={'name,' * 2999}name", _FEW, 200),
    get("sort by 3,000 keys", f"{COUPONS}?sort={','.join(f'k{number}' for number in range(2500))}", _FEW, 400),
    get("sort over 50,000 coupons", f"{MANY_COUPONS}?sort=name:desc", _MANY, 200),
    get("q over 50,000 coupons", f"{MANY_COUPONS}?q=name:~5", _MANY, 200),
    get("q with 100 patterns over 50,000 coupons", f"{MANY_COUPONS}?q={_PATTERNS}", _MANY, 200),
    get("one page of 50,000 coupons", f"{MANY_COUPONS}?pageSize=100000", _MANY, 200),
    get("a page deep in 50,000 coupons", f"{MANY_COUPONS}?pageSize=10&pageNumber=4999", _MANY, 200),
    seeding("body: 450,000 wrong items in a seed", {"enfore": {"gift_cards": [1] * 450_000}}),
    seeding("body: 300,000 empty objects in a seed", {"enfore": {"gift_cards": [{}] * 300_000}}),
    seeding("body: 80,000 unknown collections in a seed", {"enfore": numbered(80_000, [])}),
    rejected("body: 60,000 empty documents in a state", "PUT", f"{ADMIN}/stalls/state", _EMPTY_DOCUMENTS),
    rejected("body: 450,000 wrong items for a vendor", "POST", "/coupon/stalls/coupons", _WRONG_COUPON),
    rejected("body: 80,000 unknown members for a vendor", "POST", CARDS, numbered(80_000, 1)),
    rejected("body: 99 levels again and again", "POST", CARDS, b"[" + (b"[" * 98 + b"]" * 98 + b",") * 5_300 + b"1]"),
    rejected("body: 80,000 objects", "POST", CARDS, [{}] * 79_000),
    rejected("body: 340,000 objects", "POST", CARDS, [{}] * 340_000),
    rejected("body: 110,000 different fractions", "POST", CARDS, [number + 0.5 for number in range(110_000)]),
    rejected("body: 78,000 different fractions in a coupon", "POST", "/coupon/stalls/coupons",
            {**_COUPON, "mixins": {"a": [number + 0.5 for number in range(78_000)]}}),
    rejected("body: a fraction of 1,000,000 digits", "POST", CARDS, b'{"a":0.' + b"9" * 1_000_000 + b"}"),
    rejected("body: nested 160,000 deep", "POST", CARDS, b'{"a":' * 160_000),
    rejected("form: 110,000 fields", "POST", "/oauth/token", _FIELDS, FORM),
    rejected("form: 160,000 fields that are not UTF-8", "POST", "/oauth/token", b"%ff=1&" * 160_000, FORM),
    get("query: 2,000 unknown parameters", f"{ADMIN}/stalls/requests?{_PARAMETERS}", status=400),
    with_header("Prefer of 60 kB", "Prefer", "code=400," * 6500),
    with_header("Accept of 60 kB", "Accept", "a/b," * 15_000),
    with_header("a token of 60 kB", "Authorization", f"Bearer {'a' * 20_000}.{'e' * 20_000}.{'a' * 20_000}"),
    Attack("matches: ^(a+)+$", _buy_card, backtracking, 201),
    get("an unknown org among 20,000 with long names", f"{ADMIN}/{'jihgfedcba' * 9}", long_named_orgs, 404),
    put_scenario("scenario: 200,000 bad steps in YAML", b"steps:\n" + b"- x\n" * 200_000, yaml=True),
    put_scenario("scenario: 10,000 steps in YAML", b"steps:\n" + b"- {operation: getGiftCard}\n" * 10_000, yaml=True),
    put_scenario("scenario: 1 MB of flow-style YAML", b"steps: [" + b"a," * 500_000 + b"]", yaml=True),
    put_scenario("scenario: aliases of aliases in YAML", _BOMB, yaml=True),
    put_scenario("scenario: 300,000 aliases in YAML", b"a: &a [1]\nb: [" + b"*a," * 300_000 + b"]", yaml=True),
    put_scenario("scenario: 450,000 bad steps in JSON", {"steps": [1] * 450_000}),
    put_scenario("scenario: 100,000 unknown operations", {"steps": [{"operation": list(numbered(100_000, 0))}]}),
    put_scenario("scenario: 80,000 unknown members of a body", {"steps": [_UNKNOWN_MEMBERS]}),
    put_scenario("scenario: 80,000 unknown vendors' settings", {"given": {"settings": numbered(80_000, {})}, **_STEP}),
    get("journal: 1,000 unmatched requests", f"{ADMIN}/stalls-unmatched/requests?limit=1000", _fill_unmatched, 200),
    get("journal: as many of 64 kB as it keeps", f"{ADMIN}/stalls-large/requests?limit=1000", _fill_large, 200),
    get("the same as HAR", f"{ADMIN}/stalls-large/requests.har?limit=1000", _fill_large, 200),
    Attack("the same counted by a part of the body", send("POST", f"{ADMIN}/stalls-large/requests/count", _PART)),
    get("journal: documents and mistakes full of secrets", f"{ADMIN}/stallssecrets/requests", _fill_secrets, 200),
    get("a list of many subscriptions", _SUBSCRIPTIONS, _many_subscriptions, 200),
    Attack("one event for many subscribers", send("POST", CARDS.replace("stalls", "stalls-subs"), _CARD),
           _many_subscriptions),
    Attack("deleting a subscription for which many events wait", _awaited_subscription, _named("stalls-waiting"), 204),
    get("state of many subscriptions", f"{ADMIN}/stalls-subs/state", _many_subscriptions, 200),
    get("a page of cards of 900 kB each", f"{_LARGE}?{_PERIOD}", _large_cards, 200),
    get("journal: documents of 900 kB", f"{ADMIN}/stalls-large-cards/requests?limit=1000", _large_cards, 200),
    get("a coupon that 20,000 legal entities redeemed", _BIG_COUPON, _big_coupon, 200),
    Attack("deleting a coupon with 20,000 redemptions", send("DELETE", _BIG_COUPON), _big_coupon),
    Attack("seeding 10,000 entries of points", send("POST", f"{ADMIN}/stallspoints/seed", _POINTS), None, 200),
    Attack("the summary of 10,000 entries", _of_points("GET", "/summary"), _account, 200),
    Attack("redeeming 10,000 entries", _of_points("POST", "/redeemPoints", {"points": 9999}), _account),
    Attack("deleting 10,000 entries", _of_points("DELETE", ""), _account, 204),
    Attack("inserting 39,000 codes", _codes("POST", _MANY_CODES), _promotion, 200),
    Attack("replacing 39,000 codes", _codes("PUT", _MANY_CODES), _promotion, 200),
    Attack("inserting 79,000 empty codes", _codes("POST", [{}] * 79_000), _promotion, 200),
    Attack("a promotion of 79,000 empty rows",
           send("PUT", f"{_PROMOTIONS}/1", {"Name": "x", "Requirements": [{}] * 79_000}, _IN_NORCE), _promotion, 400),
    Attack("a promotion of 3,000 empty rows",
           send("PUT", f"{_PROMOTIONS}/1", {"Name": "x", "Requirements": [{}] * 3_000}, _IN_NORCE), _promotion, 200),
    Attack("clients that wait for webhooks, and one event", _waiting_clients, _many_subscriptions),
    Attack("live streams that are not read, and requests of 900 kB", _unread_streams, _large_cards),
    Attack("100 snapshots of a large org, and the ways back", _snapshots, _cards, 200),
    Attack("advance over the expiries of a large org",
           send("POST", f"{ADMIN}/stalls-cards/clock/advance", {"by": "P10Y"}), _cards, 200),
    get("export of a large org", f"{ADMIN}/stalls-cards/export", _cards, 200),
    Attack("form: 330,000 escapes",
           send("POST", "/oauth/token", b"grant_type=x&scope=" + b"%41" * 330_000, FORM), status=400),
]  # fmt: skip
