"""The account and the application of a request, and the fields that record them."""

from __future__ import annotations

from typing import NamedTuple

from promo_sandbox.rules import Call, Doc, Rejected, Violation

DEFAULT_APPLICATION = 1  # inferred: the page's first version has no header that names an application
_MAX_DIGITS = 9  # any number with nine digits fits in an int32


class Caller(NamedTuple):
    """The user account that sends a request, and the application that the request is about."""

    application: int
    account: int
    name: str


SYSTEM = Caller(DEFAULT_APPLICATION, 0, "System")  # inferred: no account has the id 0


def identify_caller(call: Call) -> Caller:
    """Documented: in a later version of the page, headers name account and application.

    Inferred: without the headers, the token names both. A token that names none acts as the system.
    """
    if call.settings["strict_headers"]:
        missing = [name for name in ("account-id", "application-id") if name not in call.headers]
        if missing:
            violations = [Violation(f"header.{name}", "is required", "required") for name in missing]
            raise Rejected("missing-header", violations=violations)
    application = _application(call)
    account = call.headers.get("account-id", _parse_id(_claim(call, "account")))
    if account is not None:
        return Caller(application, account, f"Account {account}")
    return Caller(application, SYSTEM.account, _claim(call, "client") or SYSTEM.name)


def stopped_fields(call: Call, caller: Caller) -> Doc:
    """Documented: when a promotion became inactive, and which account stopped it."""
    return {"StoppedDate": call.now_text, "StoppedBy": caller.account, "StoppedByName": caller.name}


def changed_fields(call: Call, caller: Caller) -> Doc:
    """Inferred: the time has no zone, because the page declares it as a string and other times as dates."""
    return {"Changed": call.now_text.removesuffix("Z"), "ChangedBy": caller.name}


def _application(call: Call) -> int:
    """Inferred: a token may be restricted to some applications; the first is the default."""
    named: int | None = call.headers.get("application-id")
    claim = _claim(call, "applications")
    if claim is None:
        return DEFAULT_APPLICATION if named is None else named
    granted = [id for id in map(_parse_id, claim.replace(",", " ").split()) if id is not None]
    if named is None and granted:
        return granted[0]
    if named not in granted:
        call.reject("application-not-granted", f"The account has no access to the application {named}.")
    return named


def _claim(call: Call, name: str) -> str | None:
    return call.grant.claims.get(name) if call.grant else None


def _parse_id(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS else None
