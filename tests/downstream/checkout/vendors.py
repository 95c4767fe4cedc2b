"""What the checkout asks of its three vendors. Knows their contracts and nothing of a sandbox."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx2

OK = 300


@dataclass(frozen=True)
class Addresses:
    """The base URL of each vendor, from the shop's configuration."""

    enfore: str = "https://external.apis.enfore.com"
    emporix: str = "https://api.emporix.io"
    norce: str = "https://shop.api-se.playground.norce.tech"


class Rejected(Exception):
    """A vendor does not do what the checkout asks; the message is for the customer."""


class GiftCards:
    """enfore's gift cards of one shop."""

    def __init__(self, http: httpx2.Client, base: str, shop: str) -> None:
        self._http = http
        self._cards = f"{base}/promotions/org/{shop}/sales-vouchers/gift-cards"

    def balance(self, card: str) -> float:
        reply = self._http.get(f"{self._cards}/{card}", headers=BEARER)
        if reply.status_code != httpx2.codes.OK or reply.json()["status"] != "ISSUED":
            raise Rejected("This gift card is not valid.")
        return float(reply.json()["current_balance"]["value"])

    def spend(self, card: str, amount: float, order: str) -> None:
        """Redeem once, whatever is lost on the way: what has no reply is looked for before it is repeated."""
        body = {"redeemed_amount": {"unit": "EUR", "value": amount}, "external_reference": order}
        try:
            reply = self._http.post(f"{self._cards}/{card}/redemptions", json=body, headers=BEARER)
        except httpx2.TransportError:
            if order in self._booked(card):
                return
            reply = self._http.post(f"{self._cards}/{card}/redemptions", json=body, headers=BEARER)
        if reply.status_code >= OK:
            raise Rejected(reply.json()["title"])

    def _booked(self, card: str) -> list[str]:
        reply = self._http.get(f"{self._cards}/{card}/redemptions", headers=BEARER)
        return [item["external_reference"] for item in reply.raise_for_status().json()["items"]]


class Loyalty:
    """Emporix's coupons and points of one tenant."""

    def __init__(self, http: httpx2.Client, base: str, tenant: str) -> None:
        self._http, self._base, self._tenant = http, base, tenant

    def redeem(self, coupon: str, customer: str, order: str, total: float, discount: float) -> None:
        body = {
            "orderCode": order,
            "orderTotal": {"amount": total, "currency": "EUR"},
            "discount": {"amount": discount, "currency": "EUR"},
        }
        bearer = f"sandbox;tenant={self._tenant};customer={customer};scope=coupon.coupon_redeem"
        reply = self._http.post(
            f"{self._base}/coupon/{self._tenant}/coupons/{coupon}/redemptions",
            json=body,
            headers={"Authorization": f"Bearer {bearer}"},
        )
        if reply.status_code >= OK:
            raise Rejected("This coupon cannot be used.")

    def book(self, customer: str, points: int, order: str) -> bool:
        """Whether the points are booked; the order does not fail for them."""
        reply = self._http.post(
            f"{self._base}/reward-points/customer/{customer}/addPoints",
            json={"points": points, "description": order},
            headers={**BEARER, "Emporix-Tenant": self._tenant},
        )
        return reply.status_code < OK


class Promotions:
    """Norce's promotions and their codes."""

    def __init__(self, http: httpx2.Client, base: str) -> None:
        self._http = http
        self._promotions = f"{base}/commerce/management/1.0/api/promotion"

    def claim(self, promotion: int, code: str, source: str) -> None:
        found = self._http.get(f"{self._promotions}/{promotion}", headers=BEARER)
        if found.status_code != httpx2.codes.OK or found.json()["Status"] != "Active":
            raise Rejected("This promotion has ended.")
        codes = f"{self._promotions}/{promotion}/unique-codes"
        free = {item["DiscountCode"] for item in self._codes(codes) if not item["IsClaimed"]}
        if code not in free:
            raise Rejected("This code cannot be used.")
        claim = [{"DiscountCode": code, "IsClaimed": True, "ClaimedFromSource": source}]
        self._http.put(codes, json=claim, headers=BEARER).raise_for_status()
        if source not in {item["ClaimedFromSource"] for item in self._codes(codes) if item["DiscountCode"] == code}:
            raise Rejected("This code cannot be used.")

    def _codes(self, url: str) -> Any:
        return self._http.get(url, headers=BEARER).raise_for_status().json()


BEARER = {"Authorization": "Bearer the-shops-own-token"}
