"""The public names for vendor modules. A vendor is a folder `vendors/<name>` with a `Rules` object named `rules`.

A document (`Doc`) is a plain `dict` of JSON values, with fractions as `Decimal`. A moment is an `int`: nanoseconds
since 1970 UTC. Names that are not in `__all__` are private.
"""

from __future__ import annotations

from typing import Any

import msgspec

from promo_sandbox.base import clock, messages
from promo_sandbox.base.messages import Reply, Violation
from promo_sandbox.base.money import Money, money
from promo_sandbox.base.slices import Work
from promo_sandbox.model.call import Call
from promo_sandbox.model.interfaces import Grant, TokenTerms
from promo_sandbox.model.list_view import ListView
from promo_sandbox.model.rejected import Rejected
from promo_sandbox.model.rules import RejectionContext, Rules
from promo_sandbox.model.state import Collection, Doc, NotUnique
from promo_sandbox.openapi.operation import Rejection

# Part of a JSON text, as bytes. `encode` copies it unchanged.
Raw = msgspec.Raw

__all__ = [
    "Call",
    "Collection",
    "Doc",
    "Grant",
    "ListView",
    "Money",
    "NotUnique",
    "Raw",
    "Rejected",
    "Rejection",
    "RejectionContext",
    "Reply",
    "Rules",
    "TokenTerms",
    "Violation",
    "Work",
    "decode",
    "encode",
    "moment",
    "moment_text",
    "money",
    "raw_fields",
]  # fmt: skip

# The functions are bound, not wrapped, so that they cost no extra call. What each does:
#
# moment(text: str) -> int: the moment of an RFC 3339 text. Raises `ValueError` for any other text.
moment = clock.parse
# moment_text(moment: int) -> str: RFC 3339 in UTC with milliseconds, such as `2030-01-01T00:00:00.000Z`.
moment_text = clock.text
# encode(value) -> bytes: a JSON value, which may contain `Decimal` and `Raw`, as compact JSON.
encode = messages.encode
# raw_fields(document: bytes) -> dict[str, Raw]: the fields of an encoded document, each still encoded. Use it with
# `Call.get_encoded` for a reply that differs from the stored document in a few fields only.
raw_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def decode(raw: msgspec.Raw) -> Any:
    """The value of one of the `raw_fields`."""
    return messages.decode(bytes(raw))
