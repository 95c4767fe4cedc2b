"""The rows of a promotion, requirements and effects, and the products in them: which are new, which are replaced."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, NamedTuple

from promo_sandbox.rules import Call, Doc
from promo_sandbox.vendors.norce.caller import Asker, changed
from promo_sandbox.vendors.norce.defaults import filled

_UNCHANGED: Doc = {"Changed": None, "ChangedBy": None}
_CHOICE: Doc = {
    "ManufacturerId": None,
    "ManufacturerCode": None,
    "ManufacturerName": None,
    "CategoryId": None,
    "CategoryCode": None,
    "CategoryName": None,
    "FlagId": None,
    "FlagCode": None,
    "FlagName": None,
    "IsFlagInclusive": False,
    "PriceListId": None,
    "PriceListCode": None,
    "PriceListName": None,
    "ProductTypeId": None,
    "ProductTypeName": None,
    "ProductId": None,
    "ProductHasVariants": None,
    "ProductName": None,
    "VariantProductId": None,
    "VariantProductName": None,
    "PartNo": None,
    "Qty": None,
}


class Kind(NamedTuple):
    """A kind of row: its members with their defaults, in the order of the page, and the kind of its `ProductList`."""

    blank: Doc
    products: Kind | None


REQUIREMENT = Kind(
    {
        "Id": 0,
        "RequirementType": None,
        "DiscountCode": None,
        "ExternalDiscountCode": None,
        "ValueType": None,
        "OrderSumType": None,
        "OrderSum": None,
        "OrderSumMax": None,
        "IsIncVat": None,
        "ProductsIncluded": "And",
        "CustomerFlagId": None,
        "CustomerFlagName": None,
        "IsCustomerFlagIncluded": None,
        "SortOrder": 0,
        "ProductList": [],
        **_UNCHANGED,
        "MatchByEachPartNo": False,
        "GenericQty": None,
        "GenericQtyMax": None,
    },
    Kind({"Id": 0, **_CHOICE, **_UNCHANGED}, None),
)
EFFECT = Kind(
    {
        "Id": 0,
        "EffectType": None,
        "IsDiscount": False,
        "IsFixedPrice": False,
        "Value": None,
        "IsIncVat": False,
        "IgnoreNonDiscountable": False,
        "DiscountMostExpensiveItems": False,
        "SortOrder": 0,
        "UseRequirementProducts": False,
        "GenericQty": None,
        "ProductList": [],
        **_UNCHANGED,
    },
    Kind(
        {
            "Id": 0,
            **_CHOICE,
            "IsDiscount": False,
            "IsFixedPrice": False,
            "Value": None,
            "IsIncVat": False,
            **_UNCHANGED,
        },
        None,
    ),
)


def merged(call: Call, kind: Kind, sent: list[Doc] | None, stored: list[Doc], by: Asker) -> list[Doc]:
    """The rows that are sent, in their order. Inferred: one with the Id of a stored row replaces it, once; any other is
    new and gets an Id; a stored row that is not sent is gone."""
    known = {row["Id"]: row for row in stored}
    taken = set(known)
    rows = []
    for row in sent or ():
        before = known.pop(row.get("Id"), None)
        made = {**filled(kind.blank, row), **(changed(call, by) if before else _UNCHANGED)}
        made["Id"] = before["Id"] if before else _new_id(call, taken)
        if kind.products is not None:
            products = before["ProductList"] if before else []
            made["ProductList"] = merged(call, kind.products, row.get("ProductList"), products, by)
        rows.append(_derived(made))
    return rows


def seeded(call: Call, kind: Kind, given: Any) -> Any:
    """The rows of a seed with what they leave out; what is no row is left to be refused."""
    if not isinstance(given, list):
        return given
    rows = []
    taken = {row.get("Id") for row in given if isinstance(row, dict) and isinstance(row.get("Id"), int | Decimal)}
    for row in given:
        if not isinstance(row, dict):
            return given
        made = filled(kind.blank, row)
        made["Id"] = made["Id"] or _new_id(call, taken)
        if kind.products is not None:
            made["ProductList"] = seeded(call, kind.products, made["ProductList"])
        rows.append(_derived(made))
    return rows


def _new_id(call: Call, taken: set[Any]) -> int:
    while (id := call.new_number()) in taken:  # a seed may have given it
        pass
    return id


def _derived(row: Doc) -> Doc:
    """Documented: a requirement's `ValueType`, and that sums may be compared as `Between`. Inferred: the other ways."""
    if "ValueType" not in row:
        return row
    least, most = row["OrderSum"] is not None, row["OrderSumMax"] is not None
    row["ValueType"] = "OrderSum" if least or most else "Quantity"
    if row["OrderSumType"] is None and (least or most):
        row["OrderSumType"] = "Between" if least and most else "Above" if least else "Below"
    return row
