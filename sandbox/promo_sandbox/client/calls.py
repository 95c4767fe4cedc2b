"""What the client is made of: requests to `/__admin` as values, who sends them, and what answers mean.

A verb is written once, as a method that says what to ask; its object waits for the answer, or lets it be awaited.
"""

from __future__ import annotations

import asyncio
import datetime
import functools
from collections.abc import Callable, Collection, Coroutine, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Concatenate, Generic, ParamSpec, TypedDict, TypeVar, overload
from urllib.parse import urlencode

from promo_sandbox import __version__
from promo_sandbox.base.errors import SandboxError
from promo_sandbox.base.messages import decode, encode
from promo_sandbox.base.nearest_names import nearest
from promo_sandbox.client.http import Remote

NAMES = ("the URL", "token=")  # as the clients call them
Json = dict[str, Any]
Jsons = list[Json]
P = ParamSpec("P")
T = TypeVar("T")


class Criteria(TypedDict, total=False):
    """Which requests of a journal: by operationId, status, name of the refusal; greater ids than `since`."""

    operation: str
    status: int
    rejection: str
    rejected: bool
    unmatched: bool
    internal_error: bool
    since: int


class WebhookCriteria(TypedDict, total=False):
    """Which webhooks: by the subscription's id, the callback's name, the status; greater ids than `since`."""

    subscription: str
    event: str
    status: str
    since: int


class OtherVersion(SandboxError):
    """The server is of another version than this client."""


class TooFew(SandboxError):
    """Fewer webhooks than awaited; `came` are those that there were."""

    def __init__(self, message: str, came: Jsons) -> None:
        super().__init__(message)
        self.came = came


@dataclass(frozen=True, slots=True)
class Ask(Generic[T]):
    """A request below `/__admin` as a value. `body`: what is sent as JSON, or bytes that are YAML."""

    method: str
    path: str
    read: Callable[[Any], T]
    body: Any = None


class Wire:
    """A server, and whether it is of this version. Threads may share it, and there is nothing to close."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self.url = remote.url
        self._version: Json | None = None

    def ask(self, ask: Ask[T]) -> T:
        """What the answer means. The first time, also whether the server is of this version."""
        if self._version is None:
            self._version = self._checked(self._said("GET", "/version", None))
        if ask.path == "/version":
            return ask.read(self._version)
        return ask.read(self._said(ask.method, ask.path, ask.body))

    def _checked(self, version: Any) -> Json:
        """What a server says of itself, if this client can talk to it."""
        if not isinstance(version, dict) or not {"version", "specs"} <= version.keys():
            raise self._remote.stranger(HTTPStatus.OK, "/version")
        theirs = version["version"]
        if theirs != __version__:
            raise OtherVersion(
                f"{self.url} is Promo Sandbox {theirs} and this client {__version__}: "
                f"install promo-sandbox=={theirs}, or start a server of {__version__}"
            )
        return version

    def _said(self, method: str, path: str, body: Any) -> Any:
        headers = {"Content-Type": "application/yaml"} if isinstance(body, bytes) else None
        try:
            sent = body if body is None or isinstance(body, bytes) else encode(body)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise SandboxError(f"what is to be sent cannot be written as JSON: {error}") from None
        said = self._remote.ask(method, path, sent, headers)
        try:
            return decode(said) if said else None
        except ValueError:
            raise self._remote.stranger(HTTPStatus.OK, path) from None


class Part:
    """Something on a server that has verbs."""

    def __init__(self, wire: Wire, path: str = "") -> None:
        self._wire = wire
        self._path = path


class Now(Part):
    """Verbs wait for their answer."""

    def do(self, ask: Ask[T]) -> T:
        """Ask, and wait for what the answer means."""
        __tracebackhide__ = True
        try:
            return self._wire.ask(ask)
        except SandboxError as error:
            raise error.with_traceback(None) from None  # how it was found out is nobody's business


class Later(Part):
    """Verbs are awaited; meanwhile a thread of `asyncio.to_thread` waits for the answer."""

    def do(self, ask: Ask[T]) -> Coroutine[Any, Any, T]:
        """Ask, and let what the answer means be awaited."""
        return asyncio.to_thread(self._wire.ask, ask)


class Verb(Generic[P, T]):
    """A method that says what to ask, and so one that asks it, now or later as its object does."""

    def __init__(self, asks: Callable[Concatenate[Any, P], Ask[T]]) -> None:
        self._asks = asks

    @overload
    def __get__(self, part: None, owner: type) -> Callable[Concatenate[Any, P], Ask[T]]: ...
    @overload
    def __get__(self, part: Now, owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, part: Later, owner: type) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, part: Any, owner: type) -> Any:
        if part is None:
            return self._asks

        @functools.wraps(self._asks)
        def verb(*args: P.args, **kwargs: P.kwargs) -> Any:
            __tracebackhide__ = True
            return part.do(self._asks(part, *args, **kwargs))

        return verb


def whole(said: Any) -> Any:
    """The answer as it is."""
    return said


def nothing(_: object) -> None:
    """There is no answer but that it is done."""


def member(name: str) -> Callable[[Any], Any]:
    """One member of the answer."""
    return lambda said: said[name]


def base_url(root: str, vendor: str, api: str | None, said: Any) -> str:
    """The URL of a vendor below this one, or of one of its specs, as `/version` lists them."""
    bases = {spec["name"].removesuffix(".yaml"): spec["base"] for spec in said["specs"]}
    vendors = {name.partition("/")[0] for name in bases}
    if vendor not in vendors:
        raise SandboxError(f"there is no vendor {vendor!r}; there are {', '.join(sorted(vendors))}")
    if api is None:
        return root
    name = f"{vendor}/{api}"
    if name not in bases:
        there_are = ", ".join(known.partition("/")[2] for known in bases if known.startswith(f"{vendor}/"))
        raise SandboxError(f"{vendor} has no API {api!r}; there are {there_are}")
    return f"{root}{bases[name]}"


def enough(count: int, timeout: float, status: str | None, said: Any) -> Jsons:
    """The webhooks that were awaited: of a status, or attempted or ended. Raises `TooFew`."""
    there: Jsons = said["webhooks"]
    came = [it for it in there if status is not None or it["attempted"] or it["status"] != "waiting"]
    if len(came) >= count:
        return came
    shown = ", ".join(f"{it['event']} to {it['url']} ({it['status']})" for it in there[:10])
    known = f"there are {len(there)}: {shown}" if there else "there is none"
    awaited = "1 webhook" if count == 1 else f"{count} webhooks"
    raise TooFew(f"{awaited} did not come within {timeout:g} s; {known}", there)


def rewrites_of(said: Any) -> dict[str, str]:
    """Rewrites as `{from: to}`."""
    return {rewrite["from"]: rewrite["to"] for rewrite in said["rewrites"]}


def query(**criteria: Any) -> str:
    """A query of those that are given; `true` and `false` as JSON has them."""
    given = {
        name: str(value).lower() if isinstance(value, bool) else value for name, value in given_of(criteria).items()
    }
    return f"?{urlencode(given)}" if given else ""


def known(verb: str, criteria: Iterable[str], names: Collection[str]) -> None:
    """Raises `SandboxError` for a criterion that there is not: the server would pass over it, and find too much."""
    for name in criteria:
        if name not in names:
            raise SandboxError(f"{verb} has no {name!r}; {near(name, names)}")


def near(name: str, names: Collection[str]) -> str:
    """What may have been meant by a name that is none of these."""
    found = nearest(name, names)
    return f"did you mean {found[0]!r}?" if found else f"there are {', '.join(names)}"


def given_of(criteria: Json) -> Json:
    """Those that are not None."""
    return {name: value for name, value in criteria.items() if value is not None}


def moment(at: str | datetime.datetime) -> str:
    """A moment as RFC 3339. Raises `SandboxError` for a time of no zone, which could be anybody's."""
    if isinstance(at, str):
        return at
    if at.tzinfo is None:
        raise SandboxError(f"{at!r} has no time zone; give it tzinfo=UTC")
    return at.astimezone(datetime.UTC).isoformat().replace("+00:00", "Z")


def duration(by: str | float | datetime.timedelta) -> str:
    """A duration as ISO 8601, of seconds if it is a number. Raises `SandboxError` for what is none."""
    if isinstance(by, str):
        return by
    try:
        length = by if isinstance(by, datetime.timedelta) else datetime.timedelta(seconds=float(by))
    except (TypeError, ValueError, OverflowError):
        raise SandboxError(f"{by!r} is no duration; give seconds, a timedelta, or ISO 8601 such as 'P30D'") from None
    if length < datetime.timedelta():
        raise SandboxError("a clock cannot advance backwards; set it")
    seconds = f"{length.seconds}.{length.microseconds:06}" if length.microseconds else str(length.seconds)
    return f"P{length.days}DT{seconds}S"


def text_of(path: Path) -> bytes:
    """A file of YAML."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise SandboxError(f"cannot read {path}: {error.strerror}") from None
