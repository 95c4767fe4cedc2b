"""Everything that a vendor's rules may import. Public: these names are promised.

A vendor is a folder `vendors/<name>` whose `rules` is a `Rules`. What is not listed in `__all__` is private.
"""

from __future__ import annotations

from typing import Any

import msgspec

from promo_sandbox.base import clock
from promo_sandbox.base.messages import Reply, Violation, decode, encode
from promo_sandbox.base.money import Money, money
from promo_sandbox.base.slices import Work
from promo_sandbox.model.call import Call, Rejected
from promo_sandbox.model.interfaces import Grant, TokenTerms
from promo_sandbox.model.list_view import Listed
from promo_sandbox.model.rules import RejectionContext, Rules
from promo_sandbox.model.state import Collection, Doc, NotUnique
from promo_sandbox.openapi.operation import Rejection

# Nanoseconds since 1970 of an RFC 3339 text. Raises `ValueError`.
moment = clock.parse
# The same the other way: in UTC with milliseconds.
moment_text = clock.text
# The fields of a document that `Call.get_encoded` gave, each still encoded, for a reply that shows it nearly as it is.
raw_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
# Such a reply's content, made of fields of both kinds.
encoded = encode
Raw = msgspec.Raw  # JSON already, to be put into what is encoded

__all__ = [
    "Call",
    "Collection",
    "Doc",
    "Grant",
    "Listed",
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
    "decoded",
    "encoded",
    "moment",
    "moment_text",
    "money",
    "raw_fields",
]  # fmt: skip


def decoded(field: Any) -> Any:
    """The value of one of the `raw_fields`."""
    return decode(bytes(field))
