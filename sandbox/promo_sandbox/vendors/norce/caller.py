"""Who asks, for which application, and how that is noted."""

from __future__ import annotations

from typing import NamedTuple

from promo_sandbox.rules import Call, Doc, Rejected, Violation

DEFAULT_APPLICATION = 1  # inferred: the page that is followed has no header that names one
_DIGITS = 9  # that an int32 has room for, whatever they are


class Asker(NamedTuple):
    """The user account that a request is made with, and the application that it is about."""

    application: int
    account: int
    name: str


SYSTEM = Asker(DEFAULT_APPLICATION, 0, "System")  # inferred: 0 is nobody's account


def asker(call: Call) -> Asker:
    """Documented: headers name both, in a later version of the page. Inferred: else the token does, else nobody."""
    if call.settings["strict_headers"]:
        missing = [name for name in ("account-id", "application-id") if name not in call.headers]
        if missing:
            violations = [Violation(f"header.{name}", "is required", "required") for name in missing]
            raise Rejected("missing-header", violations=violations)
    application = _application(call)
    account = call.headers.get("account-id", _number(_claim(call, "account")))
    if account is not None:
        return Asker(application, account, f"Account {account}")
    return Asker(application, SYSTEM.account, _claim(call, "client") or SYSTEM.name)


def stopped(call: Call, by: Asker) -> Doc:
    """Documented: when and by whom a promotion was made inactive."""
    return {"StoppedDate": call.now_text, "StoppedBy": by.account, "StoppedByName": by.name}


def changed(call: Call, by: Asker) -> Doc:
    """Inferred: a time without a zone, since the page calls it a text where it calls others dates."""
    return {"Changed": call.now_text.removesuffix("Z"), "ChangedBy": by.name}


def _application(call: Call) -> int:
    """Inferred: a token may be for some applications only; without a header it is about the first of them."""
    named: int | None = call.headers.get("application-id")
    claim = _claim(call, "applications")
    if claim is None:
        return DEFAULT_APPLICATION if named is None else named
    granted = [number for number in map(_number, claim.replace(",", " ").split()) if number is not None]
    if named is None and granted:
        return granted[0]
    if named not in granted:
        call.reject("application-not-granted", f"The account has no access to the application {named}.")
    return named


def _claim(call: Call, name: str) -> str | None:
    return call.grant.claims.get(name) if call.grant else None


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) <= _DIGITS else None
