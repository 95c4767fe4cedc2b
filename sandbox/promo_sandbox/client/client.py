"""A typed client of `/__admin`: `Sandbox` for synchronous code, `AsyncSandbox` for asyncio, with the same methods.

JSON is dictionaries and lists in the shapes of `specs/sandbox/admin.yaml`; fractions are `Decimal`. Every failure is a
`SandboxError` of one sentence.
"""

from __future__ import annotations

import datetime
import functools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Unpack

from promo_sandbox.client.calls import (
    OPTION_NAMES,
    ApiCall,
    ApiMethod,
    AsyncResource,
    Json,
    JsonList,
    RequestCriteria,
    Resource,
    Session,
    SyncResource,
    WebhookCriteria,
    base_url,
    check_names,
    field,
    finished_webhooks,
    iso8601_duration,
    no_result,
    query_string,
    rewrites_dict,
    rfc3339,
    unchanged,
    without_none,
)
from promo_sandbox.client.http import HttpTransport, path_segment, read_file

__all__ = ["AsyncOrg", "AsyncSandbox", "Org", "Sandbox"]


class _Server(Resource):
    def __init__(self, url: str, token: str | None = None, *, transport: HttpTransport | None = None) -> None:
        super().__init__(Session(transport or HttpTransport(url, token, option_names=OPTION_NAMES)))
        self.url = self._session.url

    @ApiMethod
    def version(self) -> ApiCall[Json]:
        """Its version and specs: `{"version", "specs": [{"name", "title", "version", "base", "operations"}]}`."""
        return ApiCall("GET", "/version", unchanged)

    @ApiMethod
    def orgs(self, limit: int = 1000, after: str = "") -> ApiCall[JsonList]:
        """The orgs sorted by name, each as `Org.about` returns it; with `after`, only names that come after it."""
        return ApiCall("GET", f"/orgs{query_string(limit=limit, after=after)}", field("orgs"))

    @ApiMethod
    def scenarios(self) -> ApiCall[JsonList]:
        """The named scenarios: `[{"name", "summary", "steps", "bundled"}]`."""
        return ApiCall("GET", "/scenarios", field("scenarios"))

    @ApiMethod
    def coverage(self, vendor: str | None = None) -> ApiCall[Json]:
        """Which parts of the contracts the clients of all orgs have covered: `{"org", "totals", "vendors"}`."""
        return ApiCall("GET", f"/coverage{query_string(vendor=vendor)}", unchanged)

    @ApiMethod
    def clear_coverage(self) -> ApiCall[None]:
        """Reset the coverage of all orgs."""
        return ApiCall("DELETE", "/coverage", no_result)


class _Clock(Resource):
    @ApiMethod
    def now(self) -> ApiCall[str]:
        """The org's time, RFC 3339 in UTC. Raises `Rejected` if the org does not exist yet."""
        return ApiCall("GET", self._path, field("now"))

    @ApiMethod
    def set(self, now: str | datetime.datetime) -> ApiCall[Json]:
        """Set the time. Everything that becomes due up to then happens. `{"now", "frozen"}`."""
        return ApiCall("PUT", self._path, unchanged, {"now": rfc3339(now)})

    @ApiMethod
    def freeze(self, now: str | datetime.datetime | None = None) -> ApiCall[Json]:
        """Stop the clock, at `now` or at its present time. `{"now", "frozen"}`."""
        given = {} if now is None else {"now": rfc3339(now)}
        return ApiCall("PUT", self._path, unchanged, {**given, "frozen": True})

    @ApiMethod
    def run(self) -> ApiCall[Json]:
        """Let a frozen clock run again, from the time it shows. `{"now", "frozen"}`."""
        return ApiCall("PUT", self._path, unchanged, {"frozen": False})

    @ApiMethod
    def advance(
        self, by: str | float | datetime.timedelta | None = None, *, to: str | datetime.datetime | None = None
    ) -> ApiCall[JsonList]:
        """Let time pass: `by` a duration (ISO 8601 such as `P30D`, seconds, or a `timedelta`), or up `to` a moment.

        Returns what happened, in order: `[{"at", "event", "id", "notified", "internal_error"}]`.
        """
        body = {"by": iso8601_duration(by)} if by is not None else {}
        if to is not None:
            body["to"] = rfc3339(to)
        return ApiCall("POST", f"{self._path}/advance", field("happened"), body)


class _Webhooks(Resource):
    @ApiMethod
    def list(self, limit: int = 100, **criteria: Unpack[WebhookCriteria]) -> ApiCall[JsonList]:
        """The webhooks that match all criteria, sent or not, oldest first.

        `[{"id", "at", "event", "cause", "subscription", "url", "payload", "status", "delivery_fault", "redelivery_of",
        "attempts": [{"at", "status", "milliseconds", "body", "error"}], "attempted", "next_attempt", …}]`. The
        status is `waiting`, `delivered`, `dead`, `canceled`, `dropped` or `not_allowed`.
        """
        check_names("webhooks.list", criteria, ("limit", *WebhookCriteria.__annotations__))
        return ApiCall("GET", f"{self._path}{query_string(**criteria, limit=limit)}", field("webhooks"))

    @ApiMethod
    def wait(self, count: int = 1, timeout: float = 5, **criteria: Unpack[WebhookCriteria]) -> ApiCall[JsonList]:
        """Wait until `count` webhooks were attempted or have ended (or have the `status`); returns them as `list` does.

        `timeout` is in real seconds, up to 60. Raises `TooFewWebhooks` if there are fewer when it ends.
        """
        check_names("webhooks.wait", criteria, ("count", "timeout", *WebhookCriteria.__annotations__))
        query = query_string(**criteria, limit=max(count, 100), wait=f"{round(timeout, 3):g}s", count=count)
        parse = functools.partial(finished_webhooks, count, timeout, criteria.get("status"))
        return ApiCall("GET", f"{self._path}{query}", parse)

    @ApiMethod
    def flush(self) -> ApiCall[Json]:
        """Attempt all waiting webhooks now: `{"attempted", "delivered", "waiting"}`."""
        return ApiCall("POST", f"{self._path}/flush", unchanged)

    @ApiMethod
    def redeliver(self, id: int) -> ApiCall[Json]:
        """Send a webhook again. Returns the new one, as in `list`."""
        return ApiCall("POST", f"{self._path}/{id}/redeliver", unchanged)

    @ApiMethod
    def rewrites(self) -> ApiCall[dict[str, str]]:
        """The prefixes of callback URLs that are replaced: `{from: to}`."""
        return ApiCall("GET", f"{self._path}/rewrites", rewrites_dict)

    @ApiMethod
    def rewrite(self, rewrites: Mapping[str, str]) -> ApiCall[dict[str, str]]:
        """Replace prefixes of callback URLs, `{from: to}`. These rewrites replace all earlier ones."""
        body = {"rewrites": [{"from": prefix, "to": to} for prefix, to in rewrites.items()]}
        return ApiCall("PUT", f"{self._path}/rewrites", rewrites_dict, body)


class _Snapshots(Resource):
    @ApiMethod
    def list(self) -> ApiCall[JsonList]:
        """The snapshots, oldest first: `[{"name", "at", "frozen", "documents"}]`."""
        return ApiCall("GET", self._path, field("snapshots"))

    @ApiMethod
    def take(self, name: str) -> ApiCall[Json]:
        """Save the present state under a name, which may be in use already: `{"name", "at", "frozen", "documents"}`."""
        return ApiCall("PUT", f"{self._path}/{path_segment(name)}", unchanged)

    @ApiMethod
    def restore(self, name: str) -> ApiCall[Json]:
        """Go back to a snapshot. Returns the org, as `about` does."""
        return ApiCall("POST", f"{self._path}/{path_segment(name)}/restore", unchanged)

    @ApiMethod
    def drop(self, name: str) -> ApiCall[None]:
        """Delete a snapshot."""
        return ApiCall("DELETE", f"{self._path}/{path_segment(name)}", no_result)


class _Org(Resource):
    """An isolated org. It appears on first use; `org` is its name."""

    def __init__(self, session: Session, org: str) -> None:
        super().__init__(session, f"/orgs/{path_segment(org)}")
        self.org = org

    @ApiMethod
    def url(self, vendor: str, api: str | None = None) -> ApiCall[str]:
        """The URL that replaces the vendor's scheme and host. Requests below it reach this org, whatever their tenant.

        With `api`, the name of one of the vendor's specs, it is the base URL of that API, with its path.
        """
        root = f"{self._session.url}/~{path_segment(self.org)}"
        return ApiCall("GET", "/version", functools.partial(base_url, root, vendor, api))

    @ApiMethod
    def about(self) -> ApiCall[Json]:
        """The org's time, and how many documents, requests and problems it has. Raises `Rejected` if there is no org.

        `{"name", "now", "frozen", "documents", "requests", "unmatched", "internal_errors", "unmet", "unexpected",
        "armed"}`.
        """
        return ApiCall("GET", self._path, unchanged)

    @ApiMethod
    def token(
        self,
        vendor: str,
        *,
        tenant: str | None = None,
        customer: str | None = None,
        scopes: Iterable[str] | None = None,
        claims: Mapping[str, str] | None = None,
        expires_in: int = 3600,
    ) -> ApiCall[str]:
        """A bearer token for the org. It grants exactly what the arguments say.

        Without a tenant it is valid for any; without scopes it has all. `expires_in` is in seconds of the org's clock.
        """
        given = {"tenant": tenant, "customer": customer, "claims": claims}
        body = {"vendor": vendor, "expires_in": expires_in, **without_none(given)}
        if scopes is not None:
            body["scopes"] = list(scopes)
        return ApiCall("POST", f"{self._path}/tokens", field("access_token"), body)

    @ApiMethod
    def seed(self, /, **documents: Mapping[str, Iterable[Json]]) -> ApiCall[Json]:
        """Store objects as if they had always existed, all or none: `vendor={collection: [object]}`.

        Returns the stored objects by vendor and collection. Raises `Rejected`, whose `errors` name each invalid object.
        """
        return ApiCall("POST", f"{self._path}/seed", unchanged, documents)

    @ApiMethod
    def state(self) -> ApiCall[Json]:
        """Everything that is stored: `{"now", "frozen", "sequence", "documents"}`, as `put_state` takes it."""
        return ApiCall("GET", f"{self._path}/state", unchanged)

    @ApiMethod
    def put_state(self, state: Json) -> ApiCall[Json]:
        """Replace the whole state."""
        return ApiCall("PUT", f"{self._path}/state", unchanged, state)

    @ApiMethod
    def reset(self) -> ApiCall[None]:
        """Return the org to its initial state. A scenario starts again; snapshots are deleted."""
        return ApiCall("POST", f"{self._path}/reset", no_result)

    @ApiMethod
    def forget(self) -> ApiCall[None]:
        """Delete the org. Raises `Rejected` if there is none."""
        return ApiCall("DELETE", self._path, no_result)

    @ApiMethod
    def scenario(self, scenario: str | Json | Path) -> ApiCall[Json]:
        """Reset the org and start a scenario, given as its name, a document, or a YAML file.

        Returns its progress, as `scenario_progress` does. Raises `Rejected`, whose `errors` say what is wrong with it.
        """
        body = {"name": scenario} if isinstance(scenario, str) else scenario
        return ApiCall("PUT", f"{self._path}/scenario", unchanged, read_file(body) if isinstance(body, Path) else body)

    @ApiMethod
    def scenario_progress(self) -> ApiCall[Json]:
        """`{"name", "current", "steps", "unmet", "unexpected", …}`. Raises `Rejected` if the org has no scenario."""
        return ApiCall("GET", f"{self._path}/scenario", unchanged)

    @ApiMethod
    def end_scenario(self) -> ApiCall[None]:
        """Stop the scenario; everything else stays as it is."""
        return ApiCall("DELETE", f"{self._path}/scenario", no_result)

    @ApiMethod
    def next(self, operation: str, then: Json, times: int = 1) -> ApiCall[JsonList]:
        """Arm an effect for the next calls of an operation, such as `{"reject": name}` or `{"cut": "after"}`.

        Returns all that is armed: `[{"operation", "then", "times"}]`.
        """
        body = {"operation": operation, "then": then, "times": times}
        return ApiCall("POST", f"{self._path}/next", field("armed"), body)

    @ApiMethod
    def armed(self) -> ApiCall[JsonList]:
        """The armed effects that no call has consumed yet, as `next` returns them."""
        return ApiCall("GET", f"{self._path}/next", field("armed"))

    @ApiMethod
    def disarm(self) -> ApiCall[None]:
        """Remove all armed effects."""
        return ApiCall("DELETE", f"{self._path}/next", no_result)

    @ApiMethod
    def requests(self, limit: int = 100, **criteria: Unpack[RequestCriteria]) -> ApiCall[JsonList]:
        """The recorded requests that match all criteria, with their replies, newest first.

        Each has `id`, `at`, `operation`, `request`, `reply`, `rejection`, `violations`, `step`, `changes` and more.
        """
        check_names("requests", criteria, ("limit", *RequestCriteria.__annotations__))
        return ApiCall("GET", f"{self._path}/requests{query_string(**criteria, limit=limit)}", field("requests"))

    @ApiMethod
    def request(self, id: int | str) -> ApiCall[Json]:
        """The exchange with the id of a reply's header `Sandbox-Exchange`. Raises `Rejected` if it is not kept."""
        return ApiCall("GET", f"{self._path}/requests/{path_segment(str(id))}", unchanged)

    @ApiMethod
    def count(self, body: object = None, **criteria: Unpack[RequestCriteria]) -> ApiCall[int]:
        """How many requests match all criteria; their JSON body contains `body`."""
        check_names("count", criteria, ("body", *RequestCriteria.__annotations__))
        given = without_none({**criteria, "body": body})
        return ApiCall("POST", f"{self._path}/requests/count", field("count"), given)

    @ApiMethod
    def clear_requests(self) -> ApiCall[None]:
        """Delete the recorded requests; ids continue."""
        return ApiCall("DELETE", f"{self._path}/requests", no_result)

    @ApiMethod
    def events(self, name: str | None = None) -> ApiCall[JsonList]:
        """The events for subscribers, oldest first: `[{"at", "event", "payload", "cause"}]`."""
        return ApiCall("GET", f"{self._path}/events{query_string(name=name)}", field("events"))

    @ApiMethod
    def coverage(self, vendor: str | None = None) -> ApiCall[Json]:
        """Which parts of the contracts this org has covered: `{"org", "totals", "vendors"}`."""
        return ApiCall("GET", f"/coverage{query_string(org=self.org, vendor=vendor)}", unchanged)

    @ApiMethod
    def export(self) -> ApiCall[Json]:
        """The org as one document, for `import_` on another server."""
        return ApiCall("GET", f"{self._path}/export", unchanged)

    @ApiMethod
    def import_(self, exported: Json) -> ApiCall[Json]:
        """Replace this org with an exported one. Returns the org, as `about` does."""
        return ApiCall("POST", f"{self._path}/import", unchanged, exported)


class Clock(_Clock, SyncResource):
    """An org's clock."""


class Webhooks(_Webhooks, SyncResource):
    """The webhooks of an org."""


class Snapshots(_Snapshots, SyncResource):
    """The snapshots of an org."""


class Org(_Org, SyncResource):
    """An isolated org; its methods wait for the response."""

    def __init__(self, session: Session, org: str) -> None:
        super().__init__(session, org)
        self.clock = Clock(session, f"{self._path}/clock")
        self.webhooks = Webhooks(session, f"{self._path}/webhooks")
        self.snapshots = Snapshots(session, f"{self._path}/snapshots")


class AsyncClock(_Clock, AsyncResource):
    """An org's clock."""


class AsyncWebhooks(_Webhooks, AsyncResource):
    """The webhooks of an org."""


class AsyncSnapshots(_Snapshots, AsyncResource):
    """The snapshots of an org."""


class AsyncOrg(_Org, AsyncResource):
    """An isolated org; its methods are awaited."""

    def __init__(self, session: Session, org: str) -> None:
        super().__init__(session, org)
        self.clock = AsyncClock(session, f"{self._path}/clock")
        self.webhooks = AsyncWebhooks(session, f"{self._path}/webhooks")
        self.snapshots = AsyncSnapshots(session, f"{self._path}/snapshots")


class Sandbox(_Server, SyncResource):
    """The server at a URL such as `http://127.0.0.1:8080`, with its admin token if it has one.

    The first call also checks the server's version; any version but this one raises `VersionMismatch`.
    """

    def org(self, name: str) -> Org:
        """An org by its name. It appears on first use."""
        return Org(self._session, name)


class AsyncSandbox(_Server, AsyncResource):
    """`Sandbox` with methods that are awaited. If a call is cancelled, its request still runs to its end."""

    def org(self, name: str) -> AsyncOrg:
        """An org by its name. It appears on first use."""
        return AsyncOrg(self._session, name)
