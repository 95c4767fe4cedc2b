"""The floor: a bare Starlette app under uvicorn that returns a constant gift card, without validation and state.

Usage: floor.py PORT
"""

import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

CARD = {
    "id": "7f1c2a9e-5b7d-4c1e-9a53-0d9a4c1b2e3f",
    "name": "Anniversary gift card",
    "external_number": "GC-2026-000000000001",
    "status": "ISSUED",
    "current_balance": {"unit": "EUR", "value": 50.25},
    "initial_balance": {"unit": "EUR", "value": 50.25},
    "issued_date_and_time": "2026-01-15T10:30:00Z",
    "expiration_date_and_time": "2028-01-15T10:30:00Z",
    "tax": "DE_STANDARD_VAT_2007",
    "source_product": "SKU-GIFT-EUR-50-ANNIVERSARY-2026-SPRING-CAMPAIGN-EMEA",
    "@type": "ExternalGiftCard",
}
GIFT_CARDS = "/promotions/org/{org}/sales-vouchers/gift-cards"


async def ready(_request: Request) -> JSONResponse:
    return JSONResponse({"status": "healthy"})


async def get_card(_request: Request) -> JSONResponse:
    return JSONResponse(CARD)


async def create_card(request: Request) -> JSONResponse:
    await request.body()
    return JSONResponse(CARD, status_code=201)


app = Starlette(
    routes=[
        Route("/", ready, methods=["GET"]),
        Route(GIFT_CARDS, create_card, methods=["POST"]),
        Route(GIFT_CARDS + "/{gift_card_id}", get_card, methods=["GET"]),
    ]
)

if __name__ == "__main__":
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
