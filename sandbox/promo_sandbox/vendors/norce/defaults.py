"""Defaults for the fields that a client leaves out, and limits on a promotion's size. Pure functions."""

from __future__ import annotations

from typing import Any

from promo_sandbox.rules import Doc

TEXTS = ("Name", "SubHeader", "SubDescription", "DescriptionHeader", "Description")

# Documented: the defaults of status and exclusivity. Inferred: all other defaults are null or false.
PROMOTION_DEFAULTS: Doc = {
    "ImageKey": None,
    "Code": None,
    "ExclusivityType": "NotExclusive",
    "StartDate": None,
    "EndDate": None,
    "AllowedUsageCount": None,
    "UniqueUserUsageCount": None,
    "IsStackable": False,
    "IsProductReq": False,
    "ExcludeFromPriceCalculation": False,
    "Status": "Inactive",
    "CurrencyCode": None,
}

MAX_ROWS = 3000  # requirements, effects and their products; each is completed to up to 30 fields
MAX_TEXT = 1_000_000  # characters of all cultures; a culture without texts gets the promotion's


def exceeded_limit(promotion: Doc) -> str | None:
    """The limit that a promotion exceeds, if any. Inferred: without limits, 1 MB would be completed to 100 MB."""
    rows = [row for name in ("Requirements", "Effects") for row in _list(promotion, name)]
    if len(rows) + sum(len(_list(row, "ProductList")) for row in rows) > MAX_ROWS:
        return f"has more than {MAX_ROWS} requirements, effects and products"
    length = sum(len(promotion[text]) for text in TEXTS if isinstance(promotion.get(text), str))
    cultures = len(_list(promotion, "Cultures"))
    if cultures > MAX_ROWS or cultures * length > MAX_TEXT:
        return f"has more than {MAX_ROWS} cultures, or more than {MAX_TEXT} characters in them"
    return None


def _list(doc: Any, name: str) -> list[Any]:
    value = doc.get(name) if isinstance(doc, dict) else None
    return value if isinstance(value, list) else []


def with_defaults(defaults: Doc, sent: Doc) -> Doc:
    """The fields of `defaults`, in this order, with the values sent. Documented: null means the default."""
    return {field: default if sent.get(field) is None else sent[field] for field, default in defaults.items()}


def complete_texts(sent: Doc, stored: Doc | None) -> Doc:
    """The five texts of a promotion, their defaults, and whether they are inherited.

    Inferred: a promotion's texts are those of the primary culture, and the defaults of all others. An update keeps the
    text that it calls inherited.
    """
    complete: Doc = {}
    for text in TEXTS:
        inherited = stored is not None and sent.get(f"Is{text}Inherited", False)
        value = stored[f"Default{text}"] if stored is not None and inherited else sent.get(text)
        complete |= {text: value, f"Default{text}": value, f"Is{text}Inherited": inherited or value is None}
    return complete


def complete_culture(sent: Doc, promotion: Doc) -> Doc:
    """A culture's texts. Inferred: a text that is left out or inherited has the promotion's default."""
    culture: Doc = {"CultureCode": sent.get("CultureCode")}
    for text in TEXTS:
        inherited = sent.get(f"Is{text}Inherited", False) or sent.get(text) is None
        culture[text] = promotion[f"Default{text}"] if inherited else sent[text]
        culture[f"Is{text}Inherited"] = inherited
    culture["IsTranslated"] = not all(culture[f"Is{text}Inherited"] for text in TEXTS)
    return culture


def image_url(key: Any) -> str | None:
    """Inferred: the image's URL depends on its key only."""
    return None if key is None else f"https://cdn.norce.tech/{key}"


def complete_code(sent: Doc, now: str) -> Doc:
    """A complete unique code. Inferred: a code that is not claimed has no claim date, basket and source."""
    claimed = sent.get("IsClaimed", False)
    return {
        "DiscountCode": sent.get("DiscountCode"),
        "Created": sent.get("Created") or now,
        "IsClaimed": claimed,
        "DateClaimed": (sent.get("DateClaimed") or now) if claimed else None,
        "QuotationId": sent.get("QuotationId") if claimed else None,
        "ClaimedFromSource": sent.get("ClaimedFromSource") if claimed else None,
    }
