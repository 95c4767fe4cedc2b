"""What a call needs of others, as protocols: what credentials grant, who issues tokens, a vendor's rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from promo_sandbox.base.messages import FieldOrder


class Grant(Protocol):
    """What the credentials of a request admit to; scopes None means all."""

    @property
    def tenant(self) -> str | None: ...
    @property
    def customer(self) -> str | None: ...
    @property
    def scopes(self) -> frozenset[str] | None: ...
    @property
    def claims(self) -> Mapping[str, str]: ...
    @property
    def expires(self) -> int | None: ...
    @property
    def issued(self) -> bool: ...
    @property
    def id(self) -> str | None: ...


class TokenTerms(NamedTuple):
    """What a token is issued for; scopes None means all.

    audience: the base path of the only API that takes it. shown: fields as the vendor's own tokens have them, for a
    client that opens one; they grant nothing.
    """

    tenant: str | None
    scopes: Sequence[str] | None
    customer: str | None
    claims: Mapping[str, str]
    audience: str | None
    shown: Mapping[str, Any]


class Issuer(Protocol):
    """Makes and reads bearer tokens, and knows the clients."""

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
        shown: Mapping[str, Any] | None,
        issued: int,
        expires: int | None,
        number: int,
    ) -> str: ...
    def read(self, token: str, org: str, vendor: str, now: int) -> Grant | None: ...
    def knows(self, client: str, secret: str) -> bool: ...


class Binding(Protocol):
    """A vendor's rules, as far as a call needs them."""

    @property
    def vendor(self) -> str: ...
    @property
    def internal(self) -> Mapping[str, tuple[str, ...]]: ...
    @property
    def order(self) -> Mapping[str, FieldOrder]: ...
    @property
    def token_form(self) -> Callable[[Any, TokenTerms], TokenTerms] | None: ...
