"""What a call needs from other modules, as protocols: granted rights, the issuer of tokens, the rules of a vendor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from promo_sandbox.base.messages import FieldOrder


class Grant(Protocol):
    """The rights that the credentials of a request give."""

    @property
    def tenant(self) -> str | None:
        """The org by the vendor's own name for it; None if the credentials name none."""

    @property
    def customer(self) -> str | None:
        """The customer's id; None if the credentials are not those of a customer."""

    @property
    def scopes(self) -> frozenset[str] | None:
        """None means all scopes."""

    @property
    def claims(self) -> Mapping[str, str]:
        """The vendor's own claims, as given to `Call.issue_token`."""

    @property
    def expires(self) -> int | None:
        """Moment; None if the credentials do not expire."""

    @property
    def issued(self) -> bool:
        """Whether this sandbox issued the token."""

    @property
    def id(self) -> str | None:
        """The id of a token that this sandbox issued."""


class TokenTerms(NamedTuple):
    """The content of a new token."""

    tenant: str | None
    scopes: Sequence[str] | None  # None means all
    customer: str | None
    claims: Mapping[str, str]
    audience: str | None  # base path of the only API that accepts the token; None: all APIs of the vendor
    extra_fields: Mapping[str, Any]  # of the JWT's payload, as in the vendor's own tokens; they give no rights


class TokenIssuer(Protocol):
    """Issues and reads bearer tokens, and checks the credentials of clients."""

    def issue(
        self,
        *,
        org: str | None,
        vendor: str,
        audience: str | None,
        tenant: str | None,
        scopes: Iterable[str] | None,
        customer: str | None,
        claims: Mapping[str, str] | None,
        extra_fields: Mapping[str, Any] | None,
        issued: int,
        expires: int | None,
        number: int,
    ) -> str: ...
    def read(self, token: str, org: str, vendor: str, now: int) -> Grant | None: ...
    def knows_client(self, client: str, secret: str) -> bool: ...


class VendorRules(Protocol):
    """The rules of a vendor, as far as a call needs them."""

    @property
    def vendor(self) -> str: ...
    @property
    def internal_fields(self) -> Mapping[str, tuple[str, ...]]: ...
    @property
    def field_order(self) -> Mapping[str, FieldOrder]: ...
    @property
    def token_rule(self) -> Callable[[Any, TokenTerms], TokenTerms] | None: ...
