"""Customers: how they sign up, what is kept of them, and the profile that they see."""

from __future__ import annotations

from typing import Any

from promo_sandbox.rules import Call, Doc, NotUnique, Reply
from promo_sandbox.vendors.emporix.rules import rules

_NOBODY = "00000000"  # documented: the number of a visitor
_FIRST_NUMBER = 10_000_000
_ENTITY = ("id", "name", "contactAssignmentId")
_COMPANY = ("firstName", "lastName", "company")  # documented: what a company's registration number asks for


def _prepare_customer(doc: Doc, call: Call) -> None:
    number = doc.get("id", doc.get("customerNumber")) or _new_customer_number(call)
    if doc.get("customerNumber", number) != number:
        call.reject("invalid-request", f"a customer's id is its number; {doc['customerNumber']!r} is not {number!r}")
    email = doc.get("email")
    doc.update(id=number, customerNumber=number)
    if isinstance(email, str):
        doc["account"] = folded(email)
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


def _objects(found: Any) -> list[Doc]:
    """The objects in what should be an array of them; the spec says what is wrong with the rest."""
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


CUSTOMERS = rules.collection(
    "customers",
    indexes=lambda _, created: [("customers", created)],
    unique=("account",),
    prepare=_prepare_customer,
)


def _new_customer_number(call: Call) -> str:
    """Eight digits, as in every example of the vendor's."""
    while True:
        number = str(_FIRST_NUMBER + call.new_number())
        if not call.is_taken(CUSTOMERS, number):
            return number


def legal_entities(call: Call, number: str) -> set[str]:
    """The ids of the companies that a customer belongs to."""
    customer = call.get(CUSTOMERS, number) or {}
    return {entity["id"] for entity in customer.get("b2b", {}).get("legalEntities", ())}


def folded(email: str) -> str:
    """Inferred: mail addresses that differ in case are the same account."""
    return email.lower()


@rules.operation("signUp")
def sign_up(call: Call) -> Reply:
    """Documented: `signup` holds credentials that replace `email` and `password` for logging in.

    Documented: an address to log in by has one account. Inferred: the customer is active at once, whatever is
    configured, and a single address is the default one.
    """
    email, login = call.body["email"], call.body.get("signup") or call.body
    details = _without_null(call.object_members("customerDetails"))
    if "b2b" in details:
        details["b2b"] = _business(details["b2b"])
    _judge_details(call, details)
    customer: Doc = {
        **details,
        "email": login["email"],
        "password": login["password"],
        "contactEmail": details.get("contactEmail", email),
        "metadata": {"version": 1, "mixins": details.get("metadata", {}).get("mixins") or {}},
    }
    address = _without_null(call.object_members("customerAddress"))
    if address:
        customer["addresses"] = [{"id": call.new_hex(10), "isDefault": True, **address}]
    _prepare_customer(customer, call)
    try:
        call.add(CUSTOMERS, customer)
    except NotUnique:
        call.reject("duplicate-account", f"Duplicate account '{login['email']}' for tenant '{call.tenant}'.")
    return call.reply({"id": customer["id"]})


def _without_null(members: Doc) -> Doc:
    """Inferred from the vendor's own storefront, which sends null for what it does not know: null means absent."""
    return {name: value for name, value in members.items() if value is not None}


def _business(sent: Doc) -> Doc:
    """Documented: a registration number (schema) and the legal entities that the customer belongs to (tutorial)."""
    entities = [
        {name: entity[name] for name in _ENTITY if entity.get(name) is not None}
        for entity in sent.get("legalEntities") or ()
    ]
    business = {"companyRegistrationId": sent.get("companyRegistrationId"), "legalEntities": entities}
    return {name: value for name, value in business.items() if value}


def _judge_details(call: Call, details: Doc) -> None:
    """Documented: the contact's address is the `email`, and a company's customer has names. Inferred from the import of
    customers: the case of the address makes no difference.
    """
    contact = details.get("contactEmail")
    if contact is not None and folded(contact) != folded(call.body["email"]):
        call.reject("contact-email-differs")
    if details.get("b2b", {}).get("companyRegistrationId"):
        lacking = [name for name in _COMPANY if not details.get(name)]
        if lacking:
            assert call.operation is not None  # only a request comes here
            (detail,) = call.operation.rejections["company-incomplete"].value["details"]
            call.reject(
                "company-incomplete", details=[{**detail, "field": f"customerDetails.{name}"} for name in lacking]
            )


@rules.operation("getMe")
def get_me(call: Call) -> Reply:
    """Documented: whoever is not logged in is 00000000, and `expand` adds the addresses and the mixins.

    Inferred: the default address comes with the addresses.
    """
    number = call.grant.customer if call.grant else None
    if number is None:
        return call.reply(
            {
                "id": _NOBODY,
                "customerNumber": _NOBODY,
                "firstName": "Anonymous",
                "lastName": "Anonymous",
                "preferredSite": "default",
                "accounts": [],
            }
        )
    customer = call.get(CUSTOMERS, number)
    if customer is None:
        call.reject("unknown-customer", f"Customer {number} not found.")
    expanded = [name.strip() for name in call.query.get("expand", "").split(",")]
    profile = {"lastLogin": None, **call.public(CUSTOMERS, customer)}
    addresses, mixins = profile.pop("addresses"), profile.pop("mixins")
    if "addresses" in expanded:
        profile["addresses"] = addresses
        default = next((address for address in addresses if address["isDefault"]), None)
        if default is not None:
            profile["defaultAddress"] = default
    if "mixin:*" in expanded:
        profile["mixins"] = mixins
    return call.reply(profile)
