"""The rows of a promotion: requirements, effects, and the products of both. Completes sent and seeded rows."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, NamedTuple

from promo_sandbox.rules import Call, Doc
from promo_sandbox.vendors.norce.caller import Caller, changed_fields
from promo_sandbox.vendors.norce.defaults import with_defaults

_NOT_CHANGED: Doc = {"Changed": None, "ChangedBy": None}
_PRODUCT_FILTER: Doc = {
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


class RowKind(NamedTuple):
    """A kind of row: its fields with their defaults, in the order of the page, and the kind of its `ProductList`."""

    defaults: Doc
    products: RowKind | None


REQUIREMENT = RowKind(
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
        **_NOT_CHANGED,
        "MatchByEachPartNo": False,
        "GenericQty": None,
        "GenericQtyMax": None,
    },
    RowKind({"Id": 0, **_PRODUCT_FILTER, **_NOT_CHANGED}, None),
)
EFFECT = RowKind(
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
        **_NOT_CHANGED,
    },
    RowKind(
        {
            "Id": 0,
            **_PRODUCT_FILTER,
            "IsDiscount": False,
            "IsFixedPrice": False,
            "Value": None,
            "IsIncVat": False,
            **_NOT_CHANGED,
        },
        None,
    ),
)


def complete_rows(call: Call, kind: RowKind, sent: list[Doc] | None, stored: list[Doc], caller: Caller) -> list[Doc]:
    """The sent rows, completed, in their order.

    Inferred: a row with the Id of a stored row replaces it, once. Any other row is new and gets an Id. A stored row
    that is not sent is deleted.
    """
    replaceable = {row["Id"]: row for row in stored}
    taken = set(replaceable)
    rows = []
    for row in sent or ():
        before = replaceable.pop(row.get("Id"), None)
        complete = {**with_defaults(kind.defaults, row), **(changed_fields(call, caller) if before else _NOT_CHANGED)}
        complete["Id"] = before["Id"] if before else _new_id(call, taken)
        if kind.products is not None:
            products = before["ProductList"] if before else []
            complete["ProductList"] = complete_rows(call, kind.products, row.get("ProductList"), products, caller)
        rows.append(_derive_fields(complete))
    return rows


def complete_seeded_rows(call: Call, kind: RowKind, seeded: Any) -> Any:
    """The rows of a seed, completed. The seed's validation rejects a value that is not a list of objects."""
    if not isinstance(seeded, list):
        return seeded
    rows = []
    taken = {row.get("Id") for row in seeded if isinstance(row, dict) and isinstance(row.get("Id"), int | Decimal)}
    for row in seeded:
        if not isinstance(row, dict):
            return seeded
        complete = with_defaults(kind.defaults, row)
        complete["Id"] = complete["Id"] or _new_id(call, taken)
        if kind.products is not None:
            complete["ProductList"] = complete_seeded_rows(call, kind.products, complete["ProductList"])
        rows.append(_derive_fields(complete))
    return rows


def _new_id(call: Call, taken: set[Any]) -> int:
    while (id := call.new_number()) in taken:  # a seeded row may have this Id
        pass
    return id


def _derive_fields(row: Doc) -> Doc:
    """Documented: a requirement's `ValueType`, and the order sum type `Between`. Inferred: `Above` and `Below`."""
    if "ValueType" not in row:
        return row
    has_min, has_max = row["OrderSum"] is not None, row["OrderSumMax"] is not None
    row["ValueType"] = "OrderSum" if has_min or has_max else "Quantity"
    if row["OrderSumType"] is None and (has_min or has_max):
        row["OrderSumType"] = "Between" if has_min and has_max else "Above" if has_min else "Below"
    return row
