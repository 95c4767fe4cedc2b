"""The checkout over HTTP: `POST /orders`."""

from __future__ import annotations

from typing import Any

import httpx2
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from checkout.vendors import Addresses, GiftCards, Loyalty, Promotions, Rejected


class Checkout:
    """Places orders. A vendor that answers later than `patience` seconds is lost."""

    def __init__(self, addresses: Addresses, tenant: str = "shop", patience: float = 20.0) -> None:
        self._http = httpx2.Client(timeout=patience)
        self._cards = GiftCards(self._http, addresses.enfore, tenant)
        self._loyalty = Loyalty(self._http, addresses.emporix, tenant)
        self._promotions = Promotions(self._http, addresses.norce)

    def place(self, order: dict[str, Any]) -> dict[str, Any]:
        """Claim the code, take the coupon, charge the card for the rest, and book points for what was paid."""
        number, total = order["number"], order["total"]
        if "code" in order:
            self._promotions.claim(order["promotion"], order["code"], number)
            total -= order["code_worth"]
        if "coupon" in order:
            self._loyalty.redeem(order["coupon"], order["customer"], number, total, order["coupon_worth"])
            total -= order["coupon_worth"]
        if self._cards.balance(order["card"]) < total:
            raise Rejected("There is too little on this gift card.")
        self._cards.spend(order["card"], total, number)
        booked = self._loyalty.book(order["customer"], int(total), number)
        return {"number": number, "paid": total, "points": "booked" if booked else "later"}

    def close(self) -> None:
        self._http.close()


def application(addresses: Addresses, patience: float = 20.0) -> Starlette:
    checkout = Checkout(addresses, patience=patience)

    async def place(request: Request) -> JSONResponse:
        try:
            return JSONResponse(await run_in_threadpool(checkout.place, await request.json()), 201)
        except Rejected as rejected:
            return JSONResponse({"sorry": str(rejected)}, 409)
        except httpx2.HTTPError:
            return JSONResponse({"sorry": "Please try again later."}, 503)

    app = Starlette(routes=[Route("/orders", place, methods=["POST"])])
    app.state.checkout = checkout
    return app
