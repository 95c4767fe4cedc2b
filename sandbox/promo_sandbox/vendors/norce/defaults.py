"""What a client says of a promotion, with what it leaves out: pure functions of what is sent and what was stored."""

from __future__ import annotations

from typing import Any

from promo_sandbox.rules import Doc

TEXTS = ("Name", "SubHeader", "SubDescription", "DescriptionHeader", "Description")

# Documented: the defaults of status and exclusivity. Inferred: whatever else is not said is null, or false.
TERMS: Doc = {
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

MAX_ROWS = 3000  # requirements, effects and the products in them: each is filled in with up to 30 members
MAX_TEXT = 1_000_000  # characters of all cultures, of which each has the texts that it leaves out


def excess(sent: Doc) -> str | None:
    """What there is too much of in a promotion. Inferred: there are such limits, or 1 MB would become 100 MB."""
    lists = [_list(sent, name) for name in ("Requirements", "Effects")]
    rows = [row for rows in lists for row in rows]
    if len(rows) + sum(len(_list(row, "ProductList")) for row in rows) > MAX_ROWS:
        return f"has more than {MAX_ROWS} requirements, effects and products"
    length = sum(len(sent[text]) for text in TEXTS if isinstance(sent.get(text), str))
    cultures = len(_list(sent, "Cultures"))
    if cultures > MAX_ROWS or cultures * length > MAX_TEXT:
        return f"has more than {MAX_ROWS} cultures, or more than {MAX_TEXT} characters in them"
    return None


def _list(doc: Any, name: str) -> list[Any]:
    found = doc.get(name) if isinstance(doc, dict) else None
    return found if isinstance(found, list) else []


def filled(blank: Doc, sent: Doc) -> Doc:
    """All members of `blank`, in its order, as they are sent. Documented: null is the default."""
    return {member: empty if sent.get(member) is None else sent[member] for member, empty in blank.items()}


def texts(sent: Doc, stored: Doc | None) -> Doc:
    """The five texts of a promotion, their defaults, and whether they are inherited.

    Inferred: what is said is said in the primary culture, whose text the default is. An update that says that a text is
    inherited leaves it as it was.
    """
    found: Doc = {}
    for text in TEXTS:
        inherited = stored is not None and sent.get(f"Is{text}Inherited", False)
        own = stored[f"Default{text}"] if stored is not None and inherited else sent.get(text)
        found |= {text: own, f"Default{text}": own, f"Is{text}Inherited": inherited or own is None}
    return found


def culture(sent: Doc, defaults: Doc) -> Doc:
    """A culture's texts. Inferred: what it does not say, or says it inherits, is the default."""
    row: Doc = {"CultureCode": sent.get("CultureCode")}
    for text in TEXTS:
        inherited = sent.get(f"Is{text}Inherited", False) or sent.get(text) is None
        row[text] = defaults[f"Default{text}"] if inherited else sent[text]
        row[f"Is{text}Inherited"] = inherited
    row["IsTranslated"] = not all(row[f"Is{text}Inherited"] for text in TEXTS)
    return row


def image_url(key: Any) -> str | None:
    """Inferred: where an image is, is made of its key alone."""
    return None if key is None else f"https://cdn.norce.tech/{key}"


def unique_code(sent: Doc, now: str) -> Doc:
    """A code with what it leaves out. Inferred: one that is not claimed has no date, basket and system of it."""
    claimed = sent.get("IsClaimed", False)
    return {
        "DiscountCode": sent.get("DiscountCode"),
        "Created": sent.get("Created") or now,
        "IsClaimed": claimed,
        "DateClaimed": (sent.get("DateClaimed") or now) if claimed else None,
        "QuotationId": sent.get("QuotationId") if claimed else None,
        "ClaimedFromSource": sent.get("ClaimedFromSource") if claimed else None,
    }
