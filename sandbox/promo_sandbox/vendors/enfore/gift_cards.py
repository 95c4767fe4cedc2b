"""Gift cards: import of external cards, activation, and redemption."""

from __future__ import annotations

from typing import NoReturn

from promo_sandbox.rules import Call, Doc, Reply, moment, money
from promo_sandbox.vendors.enfore import lists
from promo_sandbox.vendors.enfore.rules import rules
from promo_sandbox.vendors.enfore.vouchers import EXPIRABLE, GIFT_CARDS, new_number, notify

CARDS = GIFT_CARDS.collection
_EXTERNAL_TYPE = b',"@type":"ExternalGiftCard"}'  # the end of a stored external card

_NOT_REDEEMABLE = {
    "REDEEMED": "gift-card-redeemed",
    "EXPIRED": "gift-card-expired",
    "CANCELED": "gift-card-canceled",
    "DEACTIVATED": "gift-card-deactivated",
}


def _redemption_indexes(doc: Doc, _: int) -> list[tuple[str, int]]:
    return [(_redemption_index(doc["gift_card_id"]), moment(doc["transaction_date_and_time"]))]


def _prepare_redemption(doc: Doc, call: Call) -> None:
    doc.setdefault("id", call.new_uuid())
    doc.setdefault("transaction_date_and_time", call.now_text)
    external = "external_reference" in doc
    doc.setdefault("@type", "ExternalGiftCardRedemption" if external else "InternalGiftCardRedemption")


REDEMPTIONS = rules.collection("gift_card_redemptions", indexes=_redemption_indexes, prepare=_prepare_redemption)


def _redemption_index(card_id: str) -> str:
    return f"gift_card_redemptions/{card_id}"


@rules.operation("createExternalGiftCard")
def create_external_gift_card(call: Call) -> Reply:
    """Import a card of another issuer. Inferred: the card keeps the status that the client sends."""
    sent = call.fields
    _validate_new_card(call, sent)
    # Most clients send the fields in the page's order. With id, name and number first, nothing has to be reordered.
    card = {"id": call.new_uuid(), "name": sent["name"], "number": new_number(call, CARDS), **sent}
    card["@type"] = "ExternalGiftCard"
    card = call.add(CARDS, card)
    stored = notify(call, GIFT_CARDS, card)
    return call.reply(_without_type(card), encoded=stored.removesuffix(_EXTERNAL_TYPE) + b"}" if stored else None)


def _validate_new_card(call: Call, card: Doc) -> None:
    """Inferred: the limits of amounts and dates. Documented: external_number is unique. In the page's samples, a card
    expires at the moment of its issue."""
    current = money(card["current_balance"])
    initial = money(card["initial_balance"]) if "initial_balance" in card else current
    if current.value < 0 or initial.value < 0:
        call.reject("negative-balance", f"The balances are {current} and {initial}; none may be negative.")
    if current.unit != initial.unit:
        call.reject("balance-units-differ", f"current_balance is in {current.unit}, initial_balance in {initial.unit}.")
    if current.value > initial.value:
        call.reject("balance-above-initial", f"current_balance ({current}) is above initial_balance ({initial}).")
    issued, expiration = card.get("issued_date_and_time"), card.get("expiration_date_and_time")
    if issued and expiration and moment(expiration) < moment(issued):
        call.reject("expiration-before-issue", f"The card expires ({expiration}) before it is issued ({issued}).")
    owner = call.find(CARDS, "external_number", card["external_number"])
    if owner is not None:
        detail = f"The external_number {card['external_number']!r} belongs to the gift card {owner['id']}."
        call.reject("external-number-taken", detail, on_resource=_card_url(call, owner))


@rules.operation("updateActivationStatusGiftCard")
def update_activation_status(call: Call) -> Reply:
    """Documented: with ACTIVE, the status depends on the balance. Inferred: EXPIRED and CANCELED are final."""
    card = _find_card(call)
    requested: str = call.body
    if card["@type"] == "InternalGiftCard":
        _reject(call, card, "internal-gift-card", "is an internal gift card; only external ones are activated here.")
    if card["status"] == "CANCELED":
        _reject(call, card, "gift-card-canceled", "is canceled.")
    expiration = card.get("expiration_date_and_time")
    if card["status"] == "EXPIRED" or (requested == "ACTIVE" and expiration and moment(expiration) <= call.now):
        _reject(call, card, "gift-card-expired", "has expired.")
    active = card["status"] != "DEACTIVATED"
    if active != (requested == "ACTIVE"):
        status = _active_status(call, card) if requested == "ACTIVE" else "DEACTIVATED"
        notify(call, GIFT_CARDS, call.update(CARDS, card, status=status))
    return call.reply(requested)


def _active_status(call: Call, card: Doc) -> str:
    """Inferred: REDEEMED at zero, ISSUED if nothing is spent."""
    balance = money(card["current_balance"])
    if balance.value <= 0:
        return "REDEEMED"
    if "initial_balance" in card:
        is_unredeemed = money(card["initial_balance"]).value == balance.value
    else:
        name = _redemption_index(card["id"])  # contains problems too
        is_unredeemed = all(key != REDEMPTIONS.key for key, _ in call.page(name, limit=call.list_size(name)))
    return "ISSUED" if is_unredeemed else "PARTIALLY_REDEEMED"


@rules.operation("getGiftCardRedemptions")
def get_redemptions(call: Call) -> Reply:
    """Documented: ascending by transaction_date_and_time. The contract has no 404, so an unknown card is 400."""
    return lists.reply_page(call, REDEMPTIONS, _redemption_index(_find_card(call)["id"]))


@rules.operation("recordGiftCardRedemption")
def record_redemption(call: Call) -> Reply:
    """Spend from a card. All rules are inferred: the page only names the operation."""
    card = _find_card(call)
    amount, balance = money(call.body["redeemed_amount"]), money(card["current_balance"])
    if card["status"] not in EXPIRABLE:
        _reject(call, card, _NOT_REDEEMABLE[card["status"]], f"is {card['status']}.")
    if amount.unit != balance.unit:
        _reject(call, card, "currency-mismatch", f"is in {balance.unit}; {amount} cannot be redeemed.")
    if amount.value <= 0:
        _reject(call, card, "amount-not-positive", f"cannot redeem {amount}; the amount must be above 0.")
    if amount.value > balance.value:
        _reject(call, card, "amount-exceeds-balance", f"has a balance of {balance}; {amount} cannot be redeemed.")
    redemption = {
        "id": call.new_uuid(),
        "@type": "ExternalGiftCardRedemption",
        "gift_card_id": card["id"],
        "transaction_date_and_time": call.now_text,
        **call.fields,
    }
    redemption = call.add(REDEMPTIONS, redemption)
    remaining = balance.minus(amount)
    card = call.update(
        CARDS,
        card,
        current_balance=remaining.json(),
        status="PARTIALLY_REDEEMED" if remaining.value else "REDEEMED",
        last_used_date_and_time=call.now_text,
    )
    notify(call, GIFT_CARDS, card)
    return call.reply(_without_type(call.public(REDEMPTIONS, redemption)))


@rules.operation("getGiftCardRedemption")
def get_redemption(call: Call) -> Reply:
    """Inferred: a redemption of another card is not found."""
    card, id = _find_card(call), call.path["gift-card-redemption-id"]
    redemption = call.get(REDEMPTIONS, id)
    if redemption is None or redemption["gift_card_id"] != card["id"]:
        _reject(call, card, "unknown-redemption", f"has no redemption {id}.")
    return call.reply(call.public(REDEMPTIONS, redemption))


def _find_card(call: Call) -> Doc:
    id = call.path["gift-card-id"]
    card = call.get(CARDS, id)
    if card is None:
        call.reject("unknown-gift-card", f"There is no gift card {id}.")
    return card


def _reject(call: Call, card: Doc, name: str, what: str) -> NoReturn:
    call.reject(name, f"The gift card {card['id']} {what}", on_resource=_card_url(call, card))


def _card_url(call: Call, card: Doc) -> str:
    return call.url("promotions", "org", call.path["org-id"], "sales-vouchers", "gift-cards", card["id"])


def _without_type(doc: Doc) -> Doc:
    """The responses to both POSTs have no `@type`. Documented by the page's samples."""
    content = dict(doc)
    del content["@type"]
    return content
