"""Who may call: bearer tokens issued here, tokens that describe themselves, and any other in lenient mode.

A token carries what it grants and is signed, so nothing is stored for it and a reset loses none. In lenient mode the
key is no secret: it only tells a token of ours from a stranger's. How a vendor words a refusal is in its spec.
"""

from __future__ import annotations

import base64
import hmac
import re
import secrets
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from promo_sandbox.base import clock
from promo_sandbox.base.messages import Request
from promo_sandbox.openapi.operation import Operation, Rejection, Security

MISSING = "missing-credentials"
INVALID = "invalid-credentials"
EXPIRED = "expired-credentials"
FOREIGN = "foreign-credentials"
SCOPE = "insufficient-scope"

_UNAUTHORIZED = 401
_OF_CREDENTIALS = {INVALID, EXPIRED, FOREIGN}
_BEARER = re.compile(r'\bBearer\b( realm="[^"]*")?')

_PUBLIC_KEY = b"promo-sandbox"  # so that the tokens in examples are always the same
_KEY_BYTES = 32
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
    claims: Mapping[str, str] = {}
    expires: int | None = None  # moment
    issued: bool = False  # by this sandbox
    id: str | None = None  # of an issued token
    client: str | None = None  # the name in Basic credentials


ANYBODY = Grant()


class _Said(NamedTuple):
    """An `Authorization` header taken apart."""

    scheme: str
    credentials: str
    grant: Grant | None  # what a token of ours grants
    verdict: Grant | str  # on a bearer that is none of ours


class Claims(msgspec.Struct, omit_defaults=True, kw_only=True):
    """The payload of a token: a JWT, so that clients which look inside find the usual members."""

    iss: str
    vendor: str
    iat: int  # seconds since 1970, as all of JWT's times
    exp: int | None = None
    jti: str
    org: str | None = None
    api: str | None = None  # the only one that takes the token; `aud` is the vendor's, in its own words
    tenant: str | None = None
    sub: str | None = None
    scope: str | list[str] | None = None
    claims: Mapping[str, str] | None = None


_decode_claims = msgspec.json.Decoder(Claims).decode
_encode = msgspec.json.encode


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


_HEADER = _base64(b'{"alg":"HS256","typ":"at+jwt"}')


class Gate:
    """Admits a request to an operation, or names the rejection."""

    def __init__(self, *, strict: bool = False, clients: dict[str, str] | None = None, key: str | None = None) -> None:
        """key: signs the tokens; None: a new one in strict mode, the public one in lenient mode."""
        self._strict = strict
        without = secrets.token_bytes(_KEY_BYTES) if strict else _PUBLIC_KEY
        self._key = key.encode() if key is not None else without
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
        claims: Mapping[str, str] | None = None,
        shown: Mapping[str, Any] | None = None,
        issued: int,
        expires: int | None,
        number: int,
    ) -> str:
        """A token for `org`, from the moment `issued` to `expires`; the same arguments give the same token.

        shown: members as this vendor's own tokens have them, for a client that opens one; they grant nothing.
        """
        payload = Claims(
            iss="promo-sandbox",
            org=org,
            vendor=vendor,
            api=audience,
            tenant=tenant,
            sub=customer,
            scope=None if scopes is None else " ".join(scopes),
            claims=claims or None,
            iat=issued // clock.SECOND,
            exp=None if expires is None else expires // clock.SECOND,
            jti=str(number),
        )
        said = {**msgspec.to_builtins(payload), **shown} if shown else payload
        signed = f"{_HEADER}.{_base64(_encode(said))}"
        return f"{signed}.{self._signature(signed)}"

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
        refusal: Grant | str = INVALID
        for security in operation.security:
            if security.scheme == said.scheme:
                if said.scheme == "bearer" and said.grant is None:
                    return said.verdict
                admitted = self._admitted(said, security, org, vendor, audience, tenant, now)
                if not isinstance(admitted, str):
                    return admitted
                refusal = admitted
        return refusal

    def _admitted(
        self, said: _Said, security: Security, org: str, vendor: str, audience: str, tenant: str | None, now: int
    ) -> Grant | str:
        if said.grant is None:
            return self._basic(said.credentials)
        if self._strict and not said.grant.issued:
            return INVALID
        return _held(said.grant, security.scopes, org, vendor, audience, tenant, now)

    def read(self, token: str, org: str, vendor: str, now: int) -> Grant | None:
        """What a token grants in an org at a moment; None if nothing."""
        grant = self._described(token)
        if grant is None or (self._strict and not grant.issued):
            return None
        held = _held(grant, frozenset(), org, vendor, grant.audience or "", None, now)
        return None if isinstance(held, str) else held

    def knows(self, client: str, secret: str) -> bool:
        """Whether a client has this secret; in lenient mode any but one that begins with `invalid`."""
        if self._strict:
            known = self._clients.get(client)
            return known is not None and hmac.compare_digest(known.encode(), secret.encode())
        return not secret.startswith("invalid")

    def _basic(self, credentials: str) -> Grant | str:
        try:
            name, colon, secret = base64.b64decode(credentials, validate=True).decode().partition(":")
        except ValueError:  # not ASCII, not Base64, or not UTF-8
            return INVALID
        if not colon or not name or not self.knows(name, secret):
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
        grant = self._described(credentials) if scheme == "bearer" else None
        said = _Said(scheme, credentials, grant, self._stranger(credentials))
        if len(header) <= _REMEMBERED_LENGTH:
            if len(self._said) >= _REMEMBERED:
                self._said.clear()
            self._said[header] = said
        return said

    def _described(self, token: str) -> Grant | None:
        """What a token of ours says, or one that describes itself."""
        return _self_described(token) if token.startswith("sandbox;") else self._issued(token)

    def _issued(self, token: str) -> Grant | None:
        signed, _, signature = token.rpartition(".")
        header, _, payload = signed.partition(".")
        if header != _HEADER or not hmac.compare_digest(signature.encode(), self._signature(signed).encode()):
            return None
        try:
            said = _decode_claims(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        except ValueError:  # signed by somebody else with our key, which is no secret: it says what ours never do
            return None
        return Grant(
            org=said.org,
            vendor=said.vendor,
            audience=said.api,
            tenant=said.tenant,
            scopes=None if said.scope is None else frozenset(_words(said.scope)),
            customer=said.sub,
            claims=said.claims or {},
            expires=None if said.exp is None else said.exp * clock.SECOND,
            issued=True,
            id=said.jti,
        )

    def _signature(self, signed: str) -> str:
        return _base64(hmac.digest(self._key, signed.encode(), "sha256"))


def challenged(rejection: Rejection, request: Request) -> tuple[tuple[str, str], ...]:
    """The headers of a rejection. The challenge of a 401 says so where it is the bearer token that was not accepted.

    RFC 6750, 3.1; where no token was sent, it says no more than how to be admitted.
    """
    headers = rejection.headers
    if rejection.status != _UNAUTHORIZED or rejection.name not in _OF_CREDENTIALS:
        return headers
    if not request.fields.get(b"authorization", b"").lower().startswith(b"bearer "):
        return headers
    return tuple((name, _with_error(value) if name.lower() == "www-authenticate" else value) for name, value in headers)


def _with_error(challenge: str) -> str:
    return _BEARER.sub(lambda found: f'{found[0]}{"," if found[1] else ""} error="invalid_token"', challenge)


def _held(
    grant: Grant, scopes: frozenset[str], org: str, vendor: str, audience: str, tenant: str | None, now: int
) -> Grant | str:
    """A token is held to what it says."""
    if grant.vendor not in (None, vendor):
        return INVALID
    if grant.org not in (None, org) or (tenant is not None and grant.tenant not in (None, tenant)):
        return FOREIGN  # first, since it expires by its own org's clock
    if grant.expires is not None and grant.expires <= now:
        return EXPIRED
    if grant.audience not in (None, audience):
        return INVALID
    if scopes and grant.scopes is not None and not scopes <= grant.scopes:
        return SCOPE
    return grant


def _words(scope: str | list[str]) -> list[str]:
    return scope.split() if isinstance(scope, str) else scope


def _self_described(token: str) -> Grant:
    """`sandbox;tenant=acme;customer=C1;scope=coupon.coupon_redeem`: needs no call first; other words are claims."""
    said: dict[str, Any] = dict(part.strip().partition("=")[::2] for part in token.split(";")[1:] if part.strip())
    scope = said.pop("scope", None)
    return Grant(
        tenant=said.pop("tenant", None),
        customer=said.pop("customer", None),
        scopes=None if scope is None else frozenset(scope.replace(",", " ").split()),
        claims=said,
    )
