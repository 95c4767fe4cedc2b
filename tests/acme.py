"""A made-up vendor for the tests of the engine: its rules, and it served in this process or by a whole `App`."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from sandbox import config as configuration
from sandbox.app import App
from sandbox.auth import Gate
from sandbox.config import Config
from sandbox.contract import Contract
from sandbox.journal import Exchange
from sandbox.messages import Reply, Request, decode, encode
from sandbox.openapi.document import Document
from sandbox.orgs import Orgs
from sandbox.pipeline import Pipeline
from sandbox.rules import Call, Collection, Doc, NotUnique, Rules, moment

FOLDER = Path(__file__).parent / "fixtures" / "acme"
SPEC = FOLDER / "things.yaml"
ANY_TOKEN = "any"


def _prepare_thing(doc: Doc, call: Call) -> None:
    if doc.get("name") == "Forbidden":
        call.reject("forbidden", "Nobody may store this.")
    doc.setdefault("id", call.new_uuid())
    doc.setdefault("status", "NEW")


def _things(_: Doc, created: int) -> list[tuple[str, int]]:
    return [("things", created)]


def _dues(doc: Doc) -> list[tuple[int, str]]:
    dues = [(moment(doc["expires"]), "expire-thing")] if "expires" in doc and doc["status"] == "NEW" else []
    return [*dues, (moment(doc["breaks"]), "break-thing")] if "breaks" in doc else dues


def new_rules() -> Rules:
    """Rules like a vendor's, made anew for each contract."""
    rules = Rules("acme")
    things = rules.collection(
        "things", places=_things, unique=("code",), dues=_dues, prepare=_prepare_thing, seeded=_tell
    )
    rules.collection("notes", places=lambda _doc, created: [("notes", created)])
    for operation_id, rule in (("greet", _greet), ("greetGuarded", _greet), ("login", _login)):
        rules.operation(operation_id)(rule)
    _bind(rules, things)

    @rules.on_due("expire-thing")
    def expire(call: Call, id: str) -> None:
        thing = call.get(things, id)
        assert thing is not None
        _tell(call, call.update(things, thing, status="EXPIRED"))

    @rules.on_due("break-thing")
    def break_thing(call: Call, id: str) -> None:
        thing = call.get(things, id)
        assert thing is not None
        call.update(things, thing, breaks=None)
        raise RuntimeError(f"{thing['name']} breaks")

    return rules


def _tell(call: Call, thing: Doc) -> None:
    call.emit("thing-changed", {"thing": thing})


def _greet(call: Call) -> Reply:
    return call.reply({"org": call.org, "tenant": call.tenant})


def _login(call: Call) -> Reply:
    return call.reply({"token": call.issue_token(tenant=None, seconds=60)})


def _bind(rules: Rules, things: Collection) -> None:
    def known(call: Call) -> Doc:
        return call.get(things, call.path["id"]) or call.reject("unknown-thing")

    @rules.operation("listThings")
    def list_things(call: Call) -> Reply:
        found = [call.public(things, doc) for _, doc in call.page("things", limit=call.query["limit"])]
        return call.reply({"items": found}, headers=(("Acme-Total", str(call.size("things"))),))

    @rules.operation("addThing")
    def add_thing(call: Call) -> Reply:
        thing = {"id": call.new_uuid(), "status": "NEW", **call.members}
        try:
            call.add(things, thing)
        except NotUnique as taken:
            call.reject("code-taken", f"{taken}.", holder="somebody")
        _tell(call, thing)
        return call.reply(thing)

    @rules.operation("getNewestThing")
    def get_newest(call: Call) -> Reply:
        found = call.page("things", limit=1, descending=True)
        return call.reply(call.public(things, found[0][1])) if found else call.reject("unknown-thing")

    @rules.operation("getThing")
    def get_thing(call: Call) -> Reply:
        return call.reply(call.public(things, known(call)))

    @rules.operation("removeThing")
    def remove_thing(call: Call) -> Reply:
        call.delete(things, known(call)["id"])
        return call.reply()

    @rules.operation("makeTrouble")
    def make_trouble(call: Call) -> Reply:
        thing = call.add(things, {"id": call.new_uuid(), "name": "Trouble", "status": "NEW"})
        return _trouble(call, thing, call.path["kind"])


def _trouble(call: Call, thing: Doc, kind: str) -> Reply:
    match kind:
        case "raise":
            raise RuntimeError("the rule broke")
        case "reject":
            call.reject("too-late")
        case "misspell":
            call.reject("toolate")
        case "status":
            return Reply(418, thing, "application/json")
        case "body":
            return call.reply({"id": 7})
        case "event":
            call.emit("thing-changed", {"thing": {"id": 7}})
        case "callback":
            call.emit("thingchanged", {})
        case "unwritable":
            return call.reply({"id": object()})
    return call.reply(thing)


class Acme:
    """The vendor served in this process, without a socket."""

    def __init__(
        self,
        *,
        strict: bool = False,
        clients: dict[str, str] | None = None,
        limit: int = 100,
        journal_limit: int = 100,
        journal_bytes: int = 1_000_000,
        seeds: dict[str, Any] | None = None,
        rules: Rules | None = None,
    ) -> None:
        self.contract = Contract([Document(SPEC)], rules or new_rules())
        self.gate = Gate(strict=strict, clients=clients)
        self.orgs = Orgs(
            [self.contract],
            self.gate,
            limit=limit,
            journal_limit=journal_limit,
            journal_bytes=journal_bytes,
            seeds=seeds,
        )
        self.pipeline = Pipeline([self.contract], self.orgs, self.gate)
        self.things = self.contract.rules.collections["things"]

    def send(
        self,
        method: str,
        target: str,
        body: Any = None,
        *,
        token: str | None = ANY_TOKEN,
        headers: dict[str, str] | None = None,
    ) -> Reply:
        """The reply to a request; with a bearer token unless it is None."""
        fields = {"Host": "localhost:8080", **(headers or {})}
        if token is not None:
            fields.setdefault("Authorization", f"Bearer {token}")
        raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in fields.items()]
        return self.pipeline.handle(Request(method, target, raw, b"" if body is None else encode(body)))

    def last(self, org: str) -> Exchange:
        """The newest exchange of an org."""
        return list(self.orgs.get(org).journal.exchanges())[-1]

    def stored(self, org: str) -> list[Doc]:
        """The things of an org in the order of creation."""
        documents = self.orgs.documents(self.orgs.get(org)).get("acme", {})
        return [doc for doc, _, _ in documents.get("things", [])]


def content(reply: Reply) -> Any:
    """The body of a reply, decoded."""
    return decode(reply.body)


def header(reply: Reply, name: str) -> str | None:
    return next((value for given, value in reply.headers if given.lower() == name.lower()), None)


def write_specs(folder: Path) -> Path:
    """A folder of specs that has this vendor and the admin API."""
    folder.mkdir(exist_ok=True)
    (folder / "acme").symlink_to(FOLDER)
    (folder / "sandbox").symlink_to(configuration.files("specs") / "sandbox")
    return folder


def new_app(specs: Path, **settings: Any) -> App:
    """A whole `App` with this vendor only; `specs` is what `write_specs` wrote."""
    name = "sandbox.vendors.acme"
    module = ModuleType(name)
    module.rules = new_rules()  # type: ignore[attr-defined]  # a module's attribute
    sys.modules[name] = module
    try:
        return App(Config(specs=specs, **settings))
    finally:
        del sys.modules[name]
