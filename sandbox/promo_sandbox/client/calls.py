"""Calls of the admin API as values, the session that sends them, and helpers for their arguments and results.

`ApiMethod` lets `promo_sandbox.client.client` define each method once, for the synchronous and the asynchronous client.
"""

from __future__ import annotations

import asyncio
import datetime
import functools
from collections.abc import Callable, Collection, Coroutine, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Concatenate, Generic, ParamSpec, TypedDict, TypeVar, overload
from urllib.parse import urlencode

from promo_sandbox import __version__
from promo_sandbox.base.errors import SandboxError
from promo_sandbox.base.messages import decode, encode
from promo_sandbox.base.nearest_names import nearest
from promo_sandbox.client.http import HttpTransport

OPTION_NAMES = ("the URL", "token=")  # the arguments of `Sandbox`
Json = dict[str, Any]
JsonList = list[Json]
P = ParamSpec("P")
T = TypeVar("T")


class RequestCriteria(TypedDict, total=False):
    """Filters of recorded requests. `rejection` is the name of an error response; ids are greater than `since`."""

    operation: str
    status: int
    rejection: str
    rejected: bool
    unmatched: bool
    internal_error: bool
    since: int


class WebhookCriteria(TypedDict, total=False):
    """Filters of webhooks. `subscription` is an id, `event` the name of a callback; ids are greater than `since`."""

    subscription: str
    event: str
    status: str
    since: int


class VersionMismatch(SandboxError):
    """Server and client have different versions."""


class TooFewWebhooks(SandboxError):
    """Fewer webhooks than expected arrived in time. `webhooks` has all that match the criteria."""

    def __init__(self, message: str, webhooks: JsonList) -> None:
        super().__init__(message)
        self.webhooks = webhooks


@dataclass(frozen=True, slots=True)
class ApiCall(Generic[T]):
    """A call of the admin API. `parse` turns the response into a result. A `body` of bytes is YAML, any other JSON."""

    method: str
    path: str
    parse: Callable[[Any], T]
    body: Any = None


class Session:
    """Sends calls to one server, and checks its version before the first. Threads may share it; it needs no closing."""

    def __init__(self, transport: HttpTransport) -> None:
        self._transport = transport
        self.url = transport.url
        self._version: Json | None = None

    def send(self, call: ApiCall[T]) -> T:
        """Send a call and return its result. Raises `VersionMismatch` if the server has another version."""
        if self._version is None:
            self._version = self._check_version(self._send("GET", "/version", None))
        if call.path == "/version":
            return call.parse(self._version)
        return call.parse(self._send(call.method, call.path, call.body))

    def _check_version(self, version: Any) -> Json:
        if not isinstance(version, dict) or not {"version", "specs"} <= version.keys():
            raise self._transport.not_a_sandbox(HTTPStatus.OK, "/version")
        server_version = version["version"]
        if server_version != __version__:
            raise VersionMismatch(
                f"{self.url} has version {server_version} and this client {__version__}: "
                f"install promo-sandbox=={server_version}, or start a server of version {__version__}"
            )
        return version

    def _send(self, method: str, path: str, body: Any) -> Any:
        headers = {"Content-Type": "application/yaml"} if isinstance(body, bytes) else None
        try:
            encoded = body if body is None or isinstance(body, bytes) else encode(body)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise SandboxError(f"the arguments cannot be encoded as JSON: {error}") from None
        content = self._transport.request(method, path, encoded, headers)
        try:
            return decode(content) if content else None
        except ValueError:
            raise self._transport.not_a_sandbox(HTTPStatus.OK, path) from None


class Resource:
    """A path of the admin API, with methods."""

    def __init__(self, session: Session, path: str = "") -> None:
        self._session = session
        self._path = path


class SyncResource(Resource):
    """Its methods wait for the response."""

    def send(self, call: ApiCall[T]) -> T:
        """Send a call and return its result."""
        __tracebackhide__ = True
        try:
            return self._session.send(call)
        except SandboxError as error:
            raise error.with_traceback(None) from None  # internal frames would not help the caller


class AsyncResource(Resource):
    """Its methods are awaited, while a thread of `asyncio.to_thread` waits for the response."""

    def send(self, call: ApiCall[T]) -> Coroutine[Any, Any, T]:
        """Send a call; the result is awaited."""
        return asyncio.to_thread(self._session.send, call)


class ApiMethod(Generic[P, T]):
    """Decorates a method of a resource that builds a call, so that it also sends the call, as the resource does."""

    def __init__(self, build_call: Callable[Concatenate[Any, P], ApiCall[T]]) -> None:
        self._build_call = build_call

    @overload
    def __get__(self, resource: None, owner: type) -> Callable[Concatenate[Any, P], ApiCall[T]]: ...
    @overload
    def __get__(self, resource: SyncResource, owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, resource: AsyncResource, owner: type) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, resource: Any, owner: type) -> Any:
        if resource is None:
            return self._build_call

        @functools.wraps(self._build_call)
        def method(*args: P.args, **kwargs: P.kwargs) -> Any:
            __tracebackhide__ = True
            return resource.send(self._build_call(resource, *args, **kwargs))

        return method


def unchanged(response: Any) -> Any:
    """The response itself as the result."""
    return response


def no_result(_: object) -> None:
    """For responses without content."""


def field(name: str) -> Callable[[Any], Any]:
    """One field of the response as the result."""
    return lambda response: response[name]


def base_url(root: str, vendor: str, api: str | None, version: Any) -> str:
    """The base URL of a vendor, or of one of its specs, below `root`. `version` is the response of `/version`."""
    paths = {spec["name"].removesuffix(".yaml"): spec["base"] for spec in version["specs"]}
    vendors = {name.partition("/")[0] for name in paths}
    if vendor not in vendors:
        raise SandboxError(f"there is no vendor {vendor!r}; use one of {', '.join(sorted(vendors))}")
    if api is None:
        return root
    name = f"{vendor}/{api}"
    if name not in paths:
        apis = ", ".join(known.partition("/")[2] for known in paths if known.startswith(f"{vendor}/"))
        raise SandboxError(f"{vendor} has no API {api!r}; use one of {apis}")
    return f"{root}{paths[name]}"


def finished_webhooks(count: int, timeout: float, status: str | None, response: Any) -> JsonList:
    """The webhooks that were attempted or have ended, or all if the caller asked for a `status`.

    Raises `TooFewWebhooks` if there are fewer than `count`.
    """
    found: JsonList = response["webhooks"]
    finished = [it for it in found if status is not None or it["attempted"] or it["status"] != "waiting"]
    if len(finished) >= count:
        return finished
    shown = ", ".join(f"{it['event']} to {it['url']} ({it['status']})" for it in found[:10])
    known = f"found {len(found)}: {shown}" if found else "found none"
    expected = "1 webhook" if count == 1 else f"{count} webhooks"
    raise TooFewWebhooks(f"expected {expected} within {timeout:g} s; {known}", found)


def rewrites_dict(response: Any) -> dict[str, str]:
    """Rewrites as `{from: to}`."""
    return {rewrite["from"]: rewrite["to"] for rewrite in response["rewrites"]}


def query_string(**parameters: Any) -> str:
    """The parameters that are not None as a query, with its question mark; empty if there are none."""
    given = {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in without_none(parameters).items()
    }
    return f"?{urlencode(given)}" if given else ""


def check_names(method: str, names: Iterable[str], allowed: Collection[str]) -> None:
    """Raises `SandboxError` for a name that is not allowed."""
    for name in names:
        if name not in allowed:
            raise SandboxError(f"{method} has no {name!r}; {suggestion(name, allowed)}")


def suggestion(name: str, allowed: Collection[str]) -> str:
    """A hint for a name that is not allowed: the nearest name, or all."""
    found = nearest(name, allowed)
    return f"did you mean {found[0]!r}?" if found else f"use one of {', '.join(allowed)}"


def without_none(values: Json) -> Json:
    """The values that are not None."""
    return {name: value for name, value in values.items() if value is not None}


def rfc3339(moment: str | datetime.datetime) -> str:
    """A moment as RFC 3339. Raises `SandboxError` for a `datetime` without a time zone."""
    if isinstance(moment, str):
        return moment
    if moment.tzinfo is None:
        raise SandboxError(f"{moment!r} has no time zone; give it tzinfo=UTC")
    return moment.astimezone(datetime.UTC).isoformat().replace("+00:00", "Z")


def iso8601_duration(duration: str | float | datetime.timedelta) -> str:
    """A duration as ISO 8601; a number is in seconds. Raises `SandboxError` for anything else."""
    if isinstance(duration, str):
        return duration
    try:
        length = duration if isinstance(duration, datetime.timedelta) else datetime.timedelta(seconds=float(duration))
    except (TypeError, ValueError, OverflowError):
        raise SandboxError(
            f"{duration!r} is not a duration; give seconds, a timedelta, or ISO 8601 such as 'P30D'"
        ) from None
    if length < datetime.timedelta():
        raise SandboxError("a clock cannot advance by a negative duration; use clock.set")
    seconds = f"{length.seconds}.{length.microseconds:06}" if length.microseconds else str(length.seconds)
    return f"P{length.days}DT{seconds}S"
