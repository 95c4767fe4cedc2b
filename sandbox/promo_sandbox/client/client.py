"""A typed client of `/__admin`: `Sandbox` for those who wait, `AsyncSandbox` for those who await; the same verbs.

JSON is dictionaries and lists in the shapes of `specs/sandbox/admin.yaml`, fractions are `Decimal`. What speaks HTTP is
the standard library. Every failure is a `SandboxError` of one sentence.
"""

from __future__ import annotations

import datetime
import functools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Unpack

from promo_sandbox.client.calls import (
    NAMES,
    Ask,
    Criteria,
    Json,
    Jsons,
    Later,
    Now,
    Part,
    Verb,
    WebhookCriteria,
    Wire,
    base_url,
    duration,
    enough,
    given_of,
    known,
    member,
    moment,
    nothing,
    query,
    rewrites_of,
    text_of,
    whole,
)
from promo_sandbox.client.http import Remote, segment

__all__ = ["AsyncOrg", "AsyncSandbox", "Org", "Sandbox"]


class _Server(Part):
    def __init__(self, url: str, token: str | None = None, *, remote: Remote | None = None) -> None:
        super().__init__(Wire(remote or Remote(url, token, names=NAMES)))
        self.url = self._wire.url

    @Verb
    def version(self) -> Ask[Json]:
        """`{"version", "specs": [{"name", "title", "version", "base", "operations"}]}`."""
        return Ask("GET", "/version", whole)

    @Verb
    def orgs(self, limit: int = 1000, after: str = "") -> Ask[Jsons]:
        """The orgs by name, those after a name: each as `Org.about` says it."""
        return Ask("GET", f"/orgs{query(limit=limit, after=after)}", member("orgs"))

    @Verb
    def scenarios(self) -> Ask[Jsons]:
        """The scenarios that have names: `[{"name", "summary", "steps", "bundled"}]`."""
        return Ask("GET", "/scenarios", member("scenarios"))

    @Verb
    def coverage(self, vendor: str | None = None) -> Ask[Json]:
        """What of the contracts the clients of all orgs have met: `{"org", "totals", "vendors"}`."""
        return Ask("GET", f"/coverage{query(vendor=vendor)}", whole)

    @Verb
    def clear_coverage(self) -> Ask[None]:
        """Begin counting anew, for all orgs."""
        return Ask("DELETE", "/coverage", nothing)


class _Clock(Part):
    @Verb
    def now(self) -> Ask[str]:
        """What time it is in the org, RFC 3339 in UTC. Raises `Refused` where nobody has named the org yet."""
        return Ask("GET", self._path, member("now"))

    @Verb
    def set(self, now: str | datetime.datetime) -> Ask[Json]:
        """Set the time; what falls due until then happens. `{"now", "frozen"}`."""
        return Ask("PUT", self._path, whole, {"now": moment(now)})

    @Verb
    def freeze(self, now: str | datetime.datetime | None = None) -> Ask[Json]:
        """Have time stand still, at this moment or at the present one. `{"now", "frozen"}`."""
        given = {} if now is None else {"now": moment(now)}
        return Ask("PUT", self._path, whole, {**given, "frozen": True})

    @Verb
    def run(self) -> Ask[Json]:
        """Have time pass again, from where it stood. `{"now", "frozen"}`."""
        return Ask("PUT", self._path, whole, {"frozen": False})

    @Verb
    def advance(
        self, by: str | float | datetime.timedelta | None = None, *, to: str | datetime.datetime | None = None
    ) -> Ask[Jsons]:
        """Let time pass, `by` so much (ISO 8601 as `P30D`, seconds, or a `timedelta`) or `to` a moment.

        What happened on the way, in its order: `[{"at", "event", "id", "notified", "internal_error"}]`.
        """
        body = {"by": duration(by)} if by is not None else {}
        if to is not None:
            body["to"] = moment(to)
        return Ask("POST", f"{self._path}/advance", member("happened"), body)


class _Webhooks(Part):
    @Verb
    def list(self, limit: int = 100, **criteria: Unpack[WebhookCriteria]) -> Ask[Jsons]:
        """What subscribers were sent or are to be sent, oldest first, by criteria that must all hold.

        `[{"id", "at", "event", "cause", "subscription", "url", "payload", "status", "delivery_fault", "redelivery_of",
        "attempts": [{"at", "status", "milliseconds", "body", "error"}], "attempted", "next_attempt", …}]`; a status is
        `waiting`, `delivered`, `dead`, `canceled`, `dropped` or `not_allowed`.
        """
        known("webhooks.list", criteria, ("limit", *WebhookCriteria.__annotations__))
        return Ask("GET", f"{self._path}{query(**criteria, limit=limit)}", member("webhooks"))

    @Verb
    def wait(self, count: int = 1, timeout: float = 5, **criteria: Unpack[WebhookCriteria]) -> Ask[Jsons]:
        """Those that were attempted or have ended (or have the `status`) as soon as there are so many; as in `list`.

        At most `timeout` real seconds later, up to 60. Raises `TooFew` with what there is, if that is less.
        """
        known("webhooks.wait", criteria, ("count", "timeout", *WebhookCriteria.__annotations__))
        asked = query(**criteria, limit=max(count, 100), wait=f"{round(timeout, 3):g}s", count=count)
        return Ask("GET", f"{self._path}{asked}", functools.partial(enough, count, timeout, criteria.get("status")))

    @Verb
    def flush(self) -> Ask[Json]:
        """Attempt at once what waits for its next attempt: `{"attempted", "delivered", "waiting"}`."""
        return Ask("POST", f"{self._path}/flush", whole)

    @Verb
    def redeliver(self, id: int) -> Ask[Json]:
        """Send one again; the new one, as in `list`."""
        return Ask("POST", f"{self._path}/{id}/redeliver", whole)

    @Verb
    def rewrites(self) -> Ask[dict[str, str]]:
        """Which beginnings of callback URLs are called elsewhere: `{from: to}`."""
        return Ask("GET", f"{self._path}/rewrites", rewrites_of)

    @Verb
    def rewrite(self, rewrites: Mapping[str, str]) -> Ask[dict[str, str]]:
        """Have callbacks that begin with a URL call another one, `{from: to}`; these are then all there are."""
        body = {"rewrites": [{"from": start, "to": to} for start, to in rewrites.items()]}
        return Ask("PUT", f"{self._path}/rewrites", rewrites_of, body)


class _Snapshots(Part):
    @Verb
    def list(self) -> Ask[Jsons]:
        """Oldest first: `[{"name", "at", "frozen", "documents"}]`."""
        return Ask("GET", self._path, member("snapshots"))

    @Verb
    def take(self, name: str) -> Ask[Json]:
        """Name the present, in place of what had the name before: `{"name", "at", "frozen", "documents"}`."""
        return Ask("PUT", f"{self._path}/{segment(name)}", whole)

    @Verb
    def restore(self, name: str) -> Ask[Json]:
        """Go back: the org, as `about`."""
        return Ask("POST", f"{self._path}/{segment(name)}/restore", whole)

    @Verb
    def drop(self, name: str) -> Ask[None]:
        """Forget one."""
        return Ask("DELETE", f"{self._path}/{segment(name)}", nothing)


class _Org(Part):
    """A world of its own. It appears on first use; `org` is its name."""

    def __init__(self, wire: Wire, org: str) -> None:
        super().__init__(wire, f"/orgs/{segment(org)}")
        self.org = org

    @Verb
    def url(self, vendor: str, api: str | None = None) -> Ask[str]:
        """What stands in for scheme and host of a vendor in this org, whatever tenant the client names.

        With `api`, the name of one of the vendor's specs, the base URL of that one, its path included.
        """
        return Ask(
            "GET", "/version", functools.partial(base_url, f"{self._wire.url}/~{segment(self.org)}", vendor, api)
        )

    @Verb
    def about(self) -> Ask[Json]:
        """The org, and how much in it went another way than a test would want. Raises `Refused` if there is none.

        `{"name", "now", "frozen", "documents", "requests", "unmatched", "internal_errors", "unmet", "unexpected",
        "armed"}`.
        """
        return Ask("GET", self._path, whole)

    @Verb
    def token(
        self,
        vendor: str,
        *,
        tenant: str | None = None,
        customer: str | None = None,
        scopes: Iterable[str] | None = None,
        claims: Mapping[str, str] | None = None,
        expires_in: int = 3600,
    ) -> Ask[str]:
        """A bearer token for the org, held to what is said here; it expires after so many seconds by the org's clock.

        Without a tenant it is for any, without scopes it has all.
        """
        given = {"tenant": tenant, "customer": customer, "claims": claims}
        body = {"vendor": vendor, "expires_in": expires_in, **given_of(given)}
        if scopes is not None:
            body["scopes"] = list(scopes)
        return Ask("POST", f"{self._path}/tokens", member("access_token"), body)

    @Verb
    def seed(self, /, **documents: Mapping[str, Iterable[Json]]) -> Ask[Json]:
        """Store objects as if they had always been there, all or none: `vendor={collection: [object]}`.

        The objects as they were stored, by vendor and collection. Raises `Refused`, whose `errors` say which and why.
        """
        return Ask("POST", f"{self._path}/seed", whole, documents)

    @Verb
    def state(self) -> Ask[Json]:
        """All that is stored: `{"now", "frozen", "sequence", "documents"}`, as `put_state` takes it."""
        return Ask("GET", f"{self._path}/state", whole)

    @Verb
    def put_state(self, state: Json) -> Ask[Json]:
        """Put a whole state in place of the present one."""
        return Ask("PUT", f"{self._path}/state", whole, state)

    @Verb
    def reset(self) -> Ask[None]:
        """Make the org what it was on first use; a scenario begins again, snapshots are dropped."""
        return Ask("POST", f"{self._path}/reset", nothing)

    @Verb
    def forget(self) -> Ask[None]:
        """Forget the org. Raises `Refused` if there is none of the name."""
        return Ask("DELETE", self._path, nothing)

    @Verb
    def scenario(self, scenario: str | Json | Path) -> Ask[Json]:
        """Reset the org and have it follow a scenario: its name, a document, or a file of YAML.

        How far it has come, as `scenario_progress`. Raises `Refused`, whose `errors` say what is wrong with it.
        """
        body = {"name": scenario} if isinstance(scenario, str) else scenario
        return Ask("PUT", f"{self._path}/scenario", whole, text_of(body) if isinstance(body, Path) else body)

    @Verb
    def scenario_progress(self) -> Ask[Json]:
        """`{"name", "current", "steps", "unmet", "unexpected", …}`. Raises `Refused` if it follows none."""
        return Ask("GET", f"{self._path}/scenario", whole)

    @Verb
    def end_scenario(self) -> Ask[None]:
        """Follow no scenario any more; all else stays."""
        return Ask("DELETE", f"{self._path}/scenario", nothing)

    @Verb
    def next(self, operation: str, then: Json, times: int = 1) -> Ask[Jsons]:
        """Have the next calls of an operation meet something, such as `{"reject": name}` or `{"cut": "after"}`.

        All that is armed now: `[{"operation", "then", "times"}]`.
        """
        body = {"operation": operation, "then": then, "times": times}
        return Ask("POST", f"{self._path}/next", member("armed"), body)

    @Verb
    def armed(self) -> Ask[Jsons]:
        """What is armed and was not met yet, as `next` says it."""
        return Ask("GET", f"{self._path}/next", member("armed"))

    @Verb
    def disarm(self) -> Ask[None]:
        """Take back all that is armed."""
        return Ask("DELETE", f"{self._path}/next", nothing)

    @Verb
    def requests(self, limit: int = 100, **criteria: Unpack[Criteria]) -> Ask[Jsons]:
        """What the org was asked and answered, newest first, by criteria that must all hold; at most `limit`.

        Each has `id`, `at`, `operation`, `request`, `reply`, `rejection`, `violations`, `step`, `changes` and more.
        """
        known("requests", criteria, ("limit", *Criteria.__annotations__))
        return Ask("GET", f"{self._path}/requests{query(**criteria, limit=limit)}", member("requests"))

    @Verb
    def request(self, id: int | str) -> Ask[Json]:
        """The exchange that a reply named in its header `Sandbox-Exchange`. Raises `Refused` if it is not kept."""
        return Ask("GET", f"{self._path}/requests/{segment(str(id))}", whole)

    @Verb
    def count(self, body: object = None, **criteria: Unpack[Criteria]) -> Ask[int]:
        """How many requests meet all the criteria; `body` is a part of their JSON."""
        known("count", criteria, ("body", *Criteria.__annotations__))
        return Ask("POST", f"{self._path}/requests/count", member("count"), given_of({**criteria, "body": body}))

    @Verb
    def clear_requests(self) -> Ask[None]:
        """Forget what was asked; ids go on."""
        return Ask("DELETE", f"{self._path}/requests", nothing)

    @Verb
    def events(self, name: str | None = None) -> Ask[Jsons]:
        """What subscribers were to be told, oldest first: `[{"at", "event", "payload", "cause"}]`."""
        return Ask("GET", f"{self._path}/events{query(name=name)}", member("events"))

    @Verb
    def coverage(self, vendor: str | None = None) -> Ask[Json]:
        """What of the contracts this org has met since it began: `{"org", "totals", "vendors"}`."""
        return Ask("GET", f"/coverage{query(org=self.org, vendor=vendor)}", whole)

    @Verb
    def export(self) -> Ask[Json]:
        """The org as one document, for `import_` of another server."""
        return Ask("GET", f"{self._path}/export", whole)

    @Verb
    def import_(self, exported: Json) -> Ask[Json]:
        """Put an exported org in place of this one; the org, as `about`."""
        return Ask("POST", f"{self._path}/import", whole, exported)


class Clock(_Clock, Now):
    """An org's time."""


class Webhooks(_Webhooks, Now):
    """What an org's subscribers were sent."""


class Snapshots(_Snapshots, Now):
    """What an org can go back to."""


class Org(_Org, Now):
    """One org; every verb waits for its answer."""

    def __init__(self, wire: Wire, org: str) -> None:
        super().__init__(wire, org)
        self.clock = Clock(wire, f"{self._path}/clock")
        self.webhooks = Webhooks(wire, f"{self._path}/webhooks")
        self.snapshots = Snapshots(wire, f"{self._path}/snapshots")


class AsyncClock(_Clock, Later):
    """An org's time."""


class AsyncWebhooks(_Webhooks, Later):
    """What an org's subscribers were sent."""


class AsyncSnapshots(_Snapshots, Later):
    """What an org can go back to."""


class AsyncOrg(_Org, Later):
    """One org; every verb is awaited."""

    def __init__(self, wire: Wire, org: str) -> None:
        super().__init__(wire, org)
        self.clock = AsyncClock(wire, f"{self._path}/clock")
        self.webhooks = AsyncWebhooks(wire, f"{self._path}/webhooks")
        self.snapshots = AsyncSnapshots(wire, f"{self._path}/snapshots")


class Sandbox(_Server, Now):
    """The server at a URL, such as `http://127.0.0.1:8080`; `token`: its `--admin-token`. `remote`: another way to ask.

    Nothing is asked before the first verb; then the server must be of this version, or it raises `OtherVersion`.
    """

    def org(self, name: str) -> Org:
        """A handle of an org, which appears on first use."""
        return Org(self._wire, name)


class AsyncSandbox(_Server, Later):
    """The same with verbs to be awaited; one that is cancelled lets its request end by itself."""

    def org(self, name: str) -> AsyncOrg:
        """A handle of an org, which appears on first use."""
        return AsyncOrg(self._wire, name)
