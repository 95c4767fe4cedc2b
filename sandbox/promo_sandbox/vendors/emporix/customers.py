"""Customers: the collection, the sign-up and the profile. Tokens are in `identity`."""

from __future__ import annotations

from typing import Any

from promo_sandbox.rules import Call, Doc, NotUnique, Reply
from promo_sandbox.vendors.emporix.rules import rules

_ANONYMOUS_NUMBER = "00000000"  # documented: the number of a visitor
_FIRST_NUMBER = 10_000_000
_LEGAL_ENTITY_FIELDS = ("id", "name", "contactAssignmentId")
_COMPANY_FIELDS = ("firstName", "lastName", "company")  # documented: required with a company's registration number


def _prepare_customer(doc: Doc, call: Call) -> None:
    number = doc.get("id", doc.get("customerNumber")) or _new_customer_number(call)
    if doc.get("customerNumber", number) != number:
        detail = f"id and customerNumber must be equal; they are {number!r} and {doc['customerNumber']!r}"
        call.reject("invalid-request", detail)
    email = doc.get("email")
    doc.update(id=number, customerNumber=number)
    if isinstance(email, str):
        doc["account"] = normalize_email(email)
        doc.setdefault("accounts", [{"id": email}])
        doc.setdefault("contactEmail", email)
    for address in _objects(doc.setdefault("addresses", [])):
        if "id" not in address:
            address["id"] = call.new_hex(10)
        address.setdefault("isDefault", False)
    doc.setdefault("preferredLanguage", "en_US")
    doc.setdefault("preferredCurrency", "USD")
    doc.setdefault("preferredSite", "main")
    business = doc.get("b2b")
    if isinstance(business, dict) and business.get("legalEntities"):
        doc["businessModel"] = "B2B"
    doc.setdefault("businessModel", "B2C")
    doc.setdefault("mixins", {})
    doc.setdefault("metadata", {"version": 1, "mixins": {}})


def _objects(value: Any) -> list[Doc]:
    """The objects in an array. The schema validation reports other values."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


CUSTOMERS = rules.collection(
    "customers",
    indexes=lambda _, created: [("customers", created)],
    unique=("account",),
    prepare=_prepare_customer,
)


def _new_customer_number(call: Call) -> str:
    """Eight digits, as in every example of the vendor."""
    while True:
        number = str(_FIRST_NUMBER + call.new_number())
        if not call.is_taken(CUSTOMERS, number):
            return number


def legal_entities(call: Call, number: str) -> set[str]:
    """The ids of the companies that a customer belongs to."""
    customer = call.get(CUSTOMERS, number) or {}
    return {entity["id"] for entity in customer.get("b2b", {}).get("legalEntities", ())}


def normalize_email(email: str) -> str:
    """Inferred: mail addresses that differ only in case are the same account."""
    return email.lower()


@rules.operation("signUp")
def sign_up(call: Call) -> Reply:
    """Documented: the credentials in `signup` replace `email` and `password` for the login.

    Documented: a login address has one account. Inferred: the customer is active at once, whatever the configuration,
    and a single postal address is the default address.
    """
    email, login = call.body["email"], call.body.get("signup") or call.body
    details = _without_null(call.object_fields("customerDetails"))
    if "b2b" in details:
        details["b2b"] = _b2b(details["b2b"])
    _check_details(call, details)
    customer: Doc = {
        **details,
        "email": login["email"],
        "password": login["password"],
        "contactEmail": details.get("contactEmail", email),
        "metadata": {"version": 1, "mixins": details.get("metadata", {}).get("mixins") or {}},
    }
    address = _without_null(call.object_fields("customerAddress"))
    if address:
        customer["addresses"] = [{"id": call.new_hex(10), "isDefault": True, **address}]
    _prepare_customer(customer, call)
    try:
        call.add(CUSTOMERS, customer)
    except NotUnique:
        call.reject("duplicate-account", f"Duplicate account '{login['email']}' for tenant '{call.tenant}'.")
    return call.reply({"id": customer["id"]})


def _without_null(fields: Doc) -> Doc:
    """Inferred: null means absent. The vendor's own storefront sends null for unknown values."""
    return {name: value for name, value in fields.items() if value is not None}


def _b2b(sent: Doc) -> Doc:
    """Documented: the registration number (schema) and the customer's legal entities (tutorial)."""
    entities = [
        {name: entity[name] for name in _LEGAL_ENTITY_FIELDS if entity.get(name) is not None}
        for entity in sent.get("legalEntities") or ()
    ]
    business = {"companyRegistrationId": sent.get("companyRegistrationId"), "legalEntities": entities}
    return {name: value for name, value in business.items() if value}


def _check_details(call: Call, details: Doc) -> None:
    """Documented: `contactEmail` equals `email`, and a customer of a company needs names.

    Inferred from the import of customers: the address is compared without regard to case.
    """
    contact = details.get("contactEmail")
    if contact is not None and normalize_email(contact) != normalize_email(call.body["email"]):
        call.reject("contact-email-differs")
    if details.get("b2b", {}).get("companyRegistrationId"):
        missing = [name for name in _COMPANY_FIELDS if not details.get(name)]
        if missing:
            assert call.operation is not None  # called for requests only
            (detail,) = call.operation.rejections["company-incomplete"].value["details"]
            call.reject(
                "company-incomplete", details=[{**detail, "field": f"customerDetails.{name}"} for name in missing]
            )


@rules.operation("getMe")
def get_me(call: Call) -> Reply:
    """Documented: a visitor is customer 00000000; `expand` adds the addresses and the mixins.

    Inferred: `defaultAddress` comes with the addresses.
    """
    number = call.grant.customer if call.grant else None
    if number is None:
        return call.reply(
            {
                "id": _ANONYMOUS_NUMBER,
                "customerNumber": _ANONYMOUS_NUMBER,
                "firstName": "Anonymous",
                "lastName": "Anonymous",
                "preferredSite": "default",
                "accounts": [],
            }
        )
    customer = call.get(CUSTOMERS, number)
    if customer is None:
        call.reject("unknown-customer", f"Customer {number} not found.")
    expand = [name.strip() for name in call.query.get("expand", "").split(",")]
    profile = {"lastLogin": None, **call.public(CUSTOMERS, customer)}
    addresses, mixins = profile.pop("addresses"), profile.pop("mixins")
    if "addresses" in expand:
        profile["addresses"] = addresses
        default = next((address for address in addresses if address["isDefault"]), None)
        if default is not None:
            profile["defaultAddress"] = default
    if "mixin:*" in expand:
        profile["mixins"] = mixins
    return call.reply(profile)
