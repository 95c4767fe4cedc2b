"""Who may call: bearer tokens issued here, tokens that describe themselves, and any other in lenient mode.

A token carries what it grants and is signed, so nothing is stored for it and a reset loses none. The key is no secret:
it only tells a token of ours from a stranger's. How a vendor words a refusal is in its spec.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from sandbox import clock
from sandbox.messages import Request
from sandbox.openapi.operation import Operation

MISSING = "missing-credentials"
INVALID = "invalid-credentials"
EXPIRED = "expired-credentials"
FOREIGN = "foreign-credentials"
SCOPE = "insufficient-scope"

_KEY = b"promo-sandbox"
_REMEMBERED = 4096  # headers, of at most this many bytes:
_REMEMBERED_LENGTH = 2048


class Grant(NamedTuple):
    """What credentials admit to; None means whatever is asked."""

    org: str | None = None
    vendor: str | None = None
    audience: str | None = None  # the base path of the only API that takes the token
    tenant: str | None = None  # the org by the vendor's own name for it
    scopes: frozenset[str] | None = None
    customer: str | None = None
    expires: int | None = None  # moment
    issued: bool = False  # by this sandbox
    client: str | None = None  # the name in Basic credentials


ANYBODY = Grant()


class _Said(NamedTuple):
    """An `Authorization` header taken apart; `grant` is what a token of ours grants."""

    scheme: str
    credentials: str
    grant: Grant | None


class Claims(msgspec.Struct, omit_defaults=True):
    """The payload of a token: a JWT, so that clients which look inside find the usual members."""

    iss: str
    vendor: str
    iat: int  # seconds since 1970, as all of JWT's times
    exp: int
    jti: str
    org: str | None = None
    aud: str | None = None
    tenant: str | None = None
    sub: str | None = None
    scope: str | None = None


_decode_claims = msgspec.json.Decoder(Claims).decode
_encode = msgspec.json.encode


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


_HEADER = _base64(b'{"alg":"HS256","typ":"at+jwt"}')


def _signature(signed: str) -> str:
    return _base64(hmac.digest(_KEY, signed.encode(), "sha256"))


class Gate:
    """Admits a request to an operation, or names the rejection."""

    def __init__(self, *, strict: bool = False, clients: dict[str, str] | None = None) -> None:
        self._strict = strict
        self._clients = clients or {}
        self._said: dict[bytes, _Said] = {}

    def issue(
        self,
        *,
        org: str | None,
        vendor: str,
        audience: str | None = None,
        tenant: str | None,
        scopes: Iterable[str] | None,
        customer: str | None,
        issued: int,
        expires: int,
        number: int,
    ) -> str:
        """A token for `org`, from the moment `issued` to `expires`; the same arguments give the same token."""
        claims = Claims(
            iss="promo-sandbox",
            org=org,
            vendor=vendor,
            aud=audience,
            tenant=tenant,
            sub=customer,
            scope=None if scopes is None else " ".join(scopes),
            iat=issued // clock.SECOND,
            exp=expires // clock.SECOND,
            jti=str(number),
        )
        signed = f"{_HEADER}.{_base64(_encode(claims))}"
        return f"{signed}.{_signature(signed)}"

    def token_org(self, request: Request) -> str | None:
        """The org that the request's bearer token names, if it names one."""
        header = request.fields.get(b"authorization")
        grant = (self._said.get(header) or self._read(header)).grant if header else None
        return grant.org or grant.tenant if grant else None

    def admit(
        self, operation: Operation, request: Request, org: str, vendor: str, audience: str, tenant: str | None, now: int
    ) -> Grant | str:
        """What the request's credentials grant, or the name of the rejection."""
        if not operation.security:
            return ANYBODY
        header = request.fields.get(b"authorization")
        if not header:
            return MISSING
        said = self._said.get(header) or self._read(header)
        for security in operation.security:
            if security.scheme == said.scheme == "basic":
                return self._basic(said.credentials)
            if security.scheme == said.scheme and said.grant is not None:
                held = _held(said.grant, security.scopes, org, vendor, audience, tenant, now)
                return held if said.grant.issued or not self._strict else INVALID
            if security.scheme == said.scheme:
                return self._stranger(said.credentials)
        return INVALID

    def _basic(self, credentials: str) -> Grant | str:
        try:
            name, colon, secret = base64.b64decode(credentials, validate=True).decode().partition(":")
        except ValueError:  # not ASCII, not Base64, or not UTF-8
            return INVALID
        if not colon or not name or secret.startswith("invalid"):
            return INVALID
        if self._strict and self._clients.get(name) != secret:
            return INVALID
        return Grant(client=name)

    def _stranger(self, token: str) -> Grant | str:
        """A token that was not issued here and describes nothing."""
        if token.startswith("expired"):
            return EXPIRED
        return INVALID if self._strict or not token or token.startswith("invalid") else ANYBODY

    def _read(self, header: bytes) -> _Said:
        scheme, _, credentials = header.decode("latin-1").partition(" ")
        scheme, credentials = scheme.lower(), credentials.strip()
        grant = None
        if scheme == "bearer":
            grant = _self_described(credentials) if credentials.startswith("sandbox;") else _issued(credentials)
        said = _Said(scheme, credentials, grant)
        if len(header) <= _REMEMBERED_LENGTH:
            if len(self._said) >= _REMEMBERED:
                self._said.clear()
            self._said[header] = said
        return said


def _held(
    grant: Grant, scopes: frozenset[str], org: str, vendor: str, audience: str, tenant: str | None, now: int
) -> Grant | str:
    """A token is held to what it says."""
    if grant.vendor not in (None, vendor) or grant.audience not in (None, audience):
        return INVALID
    if grant.expires is not None and grant.expires <= now:
        return EXPIRED
    if grant.org not in (None, org) or (tenant is not None and grant.tenant not in (None, tenant)):
        return FOREIGN
    if scopes and grant.scopes is not None and not scopes <= grant.scopes:
        return SCOPE
    return grant


def _issued(token: str) -> Grant | None:
    signed, _, signature = token.rpartition(".")
    header, _, payload = signed.partition(".")
    if header != _HEADER or not hmac.compare_digest(signature.encode(), _signature(signed).encode()):
        return None
    claims = _decode_claims(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return Grant(
        org=claims.org,
        vendor=claims.vendor,
        audience=claims.aud,
        tenant=claims.tenant,
        scopes=None if claims.scope is None else frozenset(claims.scope.split()),
        customer=claims.sub,
        expires=claims.exp * clock.SECOND,
        issued=True,
    )


def _self_described(token: str) -> Grant:
    """`sandbox;tenant=acme;customer=C1;scope=coupon.coupon_redeem`: needs no call first."""
    said: dict[str, Any] = dict(part.strip().partition("=")[::2] for part in token.split(";")[1:])
    scope = said.get("scope")
    return Grant(
        tenant=said.get("tenant"),
        customer=said.get("customer"),
        scopes=None if scope is None else frozenset(scope.replace(",", " ").split()),
    )
