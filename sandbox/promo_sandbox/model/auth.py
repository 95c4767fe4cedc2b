"""Authentication: bearer tokens that the sandbox issues, self-describing tokens, and any other in lenient mode.

A token is signed and contains its rights, so none is stored, and a reset does not invalidate any. In lenient mode the
key is public; it only shows which tokens the sandbox issued. The error bodies are in the specs.
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
_INVALID_TOKEN = {INVALID, EXPIRED, FOREIGN}
_BEARER = re.compile(r'\bBearer\b( realm="[^"]*")?')

_PUBLIC_KEY = b"promo-sandbox"  # fixed, so that the tokens in examples are always the same
_KEY_BYTES = 32
_CACHE_SIZE = 4096  # parsed `Authorization` headers
_CACHED_LENGTH = 2048  # bytes of a header that is cached


class Grant(NamedTuple):
    """The rights that credentials give; None means no restriction."""

    org: str | None = None
    vendor: str | None = None
    audience: str | None = None  # base path of the only API that accepts the token
    tenant: str | None = None  # the org by the vendor's own name for it
    scopes: frozenset[str] | None = None
    customer: str | None = None
    claims: Mapping[str, str] = {}
    expires: int | None = None  # moment
    issued: bool = False  # by this sandbox
    id: str | None = None  # of an issued token
    client: str | None = None  # the name in Basic credentials


UNRESTRICTED = Grant()


class _Authorization(NamedTuple):
    """A parsed `Authorization` header."""

    scheme: str  # in lower case
    credentials: str
    grant: Grant | None  # of a token that the sandbox issued, or that describes itself
    otherwise: Grant | str  # the result for any other bearer token


class Claims(msgspec.Struct, omit_defaults=True, kw_only=True):
    """The payload of a token. It is a JWT, so that clients that decode it find the usual claims."""

    iss: str
    vendor: str
    iat: int  # seconds since 1970, as `exp`
    exp: int | None = None
    jti: str
    org: str | None = None
    api: str | None = None  # base path of the only API that accepts the token; `aud` is left to the vendor
    tenant: str | None = None
    sub: str | None = None
    scope: str | list[str] | None = None
    claims: Mapping[str, str] | None = None


_decode_claims = msgspec.json.Decoder(Claims).decode
_encode = msgspec.json.encode


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


_HEADER = _base64(b'{"alg":"HS256","typ":"at+jwt"}')


class Authenticator:
    """Checks the credentials of requests, and issues tokens."""

    def __init__(self, *, strict: bool = False, clients: dict[str, str] | None = None, key: str | None = None) -> None:
        """key: signs the tokens; None: a random one in strict mode, the public one in lenient mode."""
        self._strict = strict
        default_key = secrets.token_bytes(_KEY_BYTES) if strict else _PUBLIC_KEY
        self._key = key.encode() if key is not None else default_key
        self._clients = clients or {}
        self._parsed: dict[bytes, _Authorization] = {}

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
        extra_fields: Mapping[str, Any] | None = None,
        issued: int,
        expires: int | None,
        number: int,
    ) -> str:
        """A token for `org`, from the moment `issued` to `expires`. The same arguments give the same token.

        extra_fields: of the payload, as in the vendor's own tokens; they give no rights.
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
        fields = {**msgspec.to_builtins(payload), **extra_fields} if extra_fields else payload
        signed = f"{_HEADER}.{_base64(_encode(fields))}"
        return f"{signed}.{self._signature(signed)}"

    def token_org(self, request: Request) -> str | None:
        """The org in the request's bearer token; None if there is none."""
        header = request.fields.get(b"authorization")
        grant = (self._parsed.get(header) or self._parse(header)).grant if header else None
        return grant.org or grant.tenant if grant else None

    def check(
        self, operation: Operation, request: Request, org: str, vendor: str, audience: str, tenant: str | None, now: int
    ) -> Grant | str:
        """The rights that the request's credentials give for an operation, or the name of the rejection."""
        if not operation.security:
            return UNRESTRICTED
        field = request.fields.get(b"authorization")
        if not field:
            return MISSING
        header = self._parsed.get(field) or self._parse(field)
        rejection = INVALID
        for security in operation.security:
            if security.scheme == header.scheme:
                if header.scheme == "bearer" and header.grant is None:
                    return header.otherwise
                result = self._check_scheme(header, security, org, vendor, audience, tenant, now)
                if not isinstance(result, str):
                    return result
                rejection = result
        return rejection

    def _check_scheme(
        self,
        header: _Authorization,
        security: Security,
        org: str,
        vendor: str,
        audience: str,
        tenant: str | None,
        now: int,
    ) -> Grant | str:
        if header.grant is None:
            return self._check_basic(header.credentials)
        if self._strict and not header.grant.issued:
            return INVALID
        return _check_grant(header.grant, security.scopes, org, vendor, audience, tenant, now)

    def read(self, token: str, org: str, vendor: str, now: int) -> Grant | None:
        """The rights that a token gives in an org at a moment; None if it is not valid there."""
        grant = self._grant_of(token)
        if grant is None or (self._strict and not grant.issued):
            return None
        result = _check_grant(grant, frozenset(), org, vendor, grant.audience or "", None, now)
        return None if isinstance(result, str) else result

    def knows_client(self, client: str, secret: str) -> bool:
        """Whether a client's name and secret are valid. In lenient mode all are, except secrets like `invalid…`."""
        if self._strict:
            own = self._clients.get(client)
            return own is not None and hmac.compare_digest(own.encode(), secret.encode())
        return not secret.startswith("invalid")

    def _check_basic(self, credentials: str) -> Grant | str:
        try:
            name, colon, secret = base64.b64decode(credentials, validate=True).decode().partition(":")
        except ValueError:  # not ASCII, not Base64, or not UTF-8
            return INVALID
        if not colon or not name or not self.knows_client(name, secret):
            return INVALID
        return Grant(client=name)

    def _check_unknown_token(self, token: str) -> Grant | str:
        """The result for a token that the sandbox did not issue and that does not describe itself."""
        if token.startswith("expired"):
            return EXPIRED
        return INVALID if self._strict or not token or token.startswith("invalid") else UNRESTRICTED

    def _parse(self, field: bytes) -> _Authorization:
        scheme, _, credentials = field.decode("latin-1").partition(" ")
        scheme, credentials = scheme.lower(), credentials.strip()
        grant = self._grant_of(credentials) if scheme == "bearer" else None
        header = _Authorization(scheme, credentials, grant, self._check_unknown_token(credentials))
        if len(field) <= _CACHED_LENGTH:
            if len(self._parsed) >= _CACHE_SIZE:
                self._parsed.clear()
            self._parsed[field] = header
        return header

    def _grant_of(self, token: str) -> Grant | None:
        """The rights in a token that the sandbox issued, or that describes itself."""
        return _read_self_described(token) if token.startswith("sandbox;") else self._read_issued(token)

    def _read_issued(self, token: str) -> Grant | None:
        """The rights in a token that the sandbox issued."""
        signed, _, signature = token.rpartition(".")
        header, _, payload = signed.partition(".")
        if header != _HEADER or not hmac.compare_digest(signature.encode(), self._signature(signed).encode()):
            return None
        try:
            claims = _decode_claims(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        except ValueError:  # another program signed an invalid payload with the public key
            return None
        return Grant(
            org=claims.org,
            vendor=claims.vendor,
            audience=claims.api,
            tenant=claims.tenant,
            scopes=None if claims.scope is None else frozenset(_scope_names(claims.scope)),
            customer=claims.sub,
            claims=claims.claims or {},
            expires=None if claims.exp is None else claims.exp * clock.SECOND,
            issued=True,
            id=claims.jti,
        )

    def _signature(self, signed: str) -> str:
        return _base64(hmac.digest(self._key, signed.encode(), "sha256"))


def rejection_headers(rejection: Rejection, request: Request) -> tuple[tuple[str, str], ...]:
    """The headers of a rejection. The challenge of a 401 contains `error` if the request had a bearer token.

    Without a token, RFC 6750, 3.1 wants no error code in the challenge.
    """
    headers = rejection.headers
    if rejection.status != _UNAUTHORIZED or rejection.name not in _INVALID_TOKEN:
        return headers
    if not request.fields.get(b"authorization", b"").lower().startswith(b"bearer "):
        return headers
    return tuple((name, _with_error(value) if name.lower() == "www-authenticate" else value) for name, value in headers)


def _with_error(challenge: str) -> str:
    return _BEARER.sub(lambda found: f'{found[0]}{"," if found[1] else ""} error="invalid_token"', challenge)


def _check_grant(
    grant: Grant, scopes: frozenset[str], org: str, vendor: str, audience: str, tenant: str | None, now: int
) -> Grant | str:
    """The grant if it is valid for this request; else the name of the rejection."""
    if grant.vendor not in (None, vendor):
        return INVALID
    if grant.org not in (None, org) or (tenant is not None and grant.tenant not in (None, tenant)):
        return FOREIGN  # before `EXPIRED`, because it expires by the clock of its own org
    if grant.expires is not None and grant.expires <= now:
        return EXPIRED
    if grant.audience not in (None, audience):
        return INVALID
    if scopes and grant.scopes is not None and not scopes <= grant.scopes:
        return SCOPE
    return grant


def _scope_names(scope: str | list[str]) -> list[str]:
    return scope.split() if isinstance(scope, str) else scope


def _read_self_described(token: str) -> Grant:
    """The rights in `sandbox;tenant=acme;customer=C1;scope=coupon.coupon_redeem`; other names are claims."""
    fields: dict[str, Any] = dict(part.strip().partition("=")[::2] for part in token.split(";")[1:] if part.strip())
    scope = fields.pop("scope", None)
    return Grant(
        tenant=fields.pop("tenant", None),
        customer=fields.pop("customer", None),
        scopes=None if scope is None else frozenset(scope.replace(",", " ").split()),
        claims=fields,
    )
