"""A made-up vendor for the tests of the engine: its rules, and it served in this process or by a whole `App`."""

from __future__ import annotations

import sys
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from promo_sandbox.base import config as configuration
from promo_sandbox.base.config import Config
from promo_sandbox.base.messages import Reply, Request, decode, encode
from promo_sandbox.engine.orgs import Org, Orgs
from promo_sandbox.engine.pipeline import Pipeline
from promo_sandbox.model.auth import Authenticator
from promo_sandbox.model.contract import Contract
from promo_sandbox.model.effects import Effects
from promo_sandbox.model.journal import Exchange
from promo_sandbox.openapi.document import Document
from promo_sandbox.rules import Call, Collection, Doc, NotUnique, Rejected, Rules, moment
from promo_sandbox.server.app import App

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


def _timers(doc: Doc) -> list[tuple[int, str]]:
    timers = [(moment(doc["expires"]), "expire-thing")] if "expires" in doc and doc["status"] == "NEW" else []
    return [*timers, (moment(doc["breaks"]), "break-thing")] if "breaks" in doc else timers


def new_rules() -> Rules:
    """Rules like a vendor's, made anew for each contract."""
    rules = Rules("acme")
    things = rules.collection(
        "things", indexes=_things, unique=("code",), timers=_timers, prepare=_prepare_thing, on_seeded=_tell
    )
    notes = rules.collection("notes", indexes=lambda _doc, created: [("notes", created)])
    rules.settings()
    for operation_id, rule in (
        ("greet", _greet),
        ("greetGuarded", _greet),
        ("login", _login),
        ("openSession", _open_session),
    ):
        rules.operation(operation_id)(rule)
    _bind(rules, things)
    _bind_failure(rules, things)
    _bind_notes(rules, notes)
    rules.on_admission(_admit)

    @rules.on_timer("expire-thing")
    def expire(call: Call, id: str) -> None:
        thing = call.get(things, id)
        assert thing is not None
        _tell(call, call.update(things, thing, status="EXPIRED"))

    @rules.on_timer("break-thing")
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


def _open_session(call: Call) -> Reply:
    form = call.body
    if not call.knows_client(form["client"], form["secret"]):
        call.reject("unknown-client", f"Who is {form['client']}?")
    said = {"token": call.issue_token(tenant=None, claims={"session": call.new_hex(8)}, seconds=None)}
    older = call.read_token(form.get("token", ""))
    if older is not None:
        said |= {"customer": older.customer or "", "session": older.claims.get("session", "")}
    return call.reply({**said, "org": call.org, "named": call.org_named})


def _admit(call: Call) -> None:
    assert call.grant is not None  # it was admitted so far
    if call.grant.claims.get("state") == "banned":
        call.reject("invalid-credentials", "Banned.")


def _bind_notes(rules: Rules, notes: Collection) -> None:
    @rules.operation("putNote")
    def put_note(call: Call) -> Reply:
        note = {"id": call.path["id"], "text": call.body["text"]}
        if not note["text"]:
            call.delete(notes, note["id"])
            return call.reply(status=204)
        if call.get(notes, note["id"]) is None:
            return call.reply(call.add(notes, note), status=201)
        return call.reply(call.replace(notes, note))

    @rules.operation("orderThing")
    def order_thing(call: Call) -> Reply:
        ordered = {name: value for name, value in call.body.items() if name != "regret"}
        asked = call.invoke("addThing", {"shop": call.path["shop"]}, ordered)
        if isinstance(asked, Rejected):
            said = call.settings["orders"]
            text = f"{said['marks']['before']}{said['word']} {asked.name}{said['marks']['after']}"
            call.add(notes, {"id": call.new_hex(8), "text": text})
            call.reject_and_keep("order-failed", asked.detail, holder=asked.name)
        if call.body.get("regret"):
            call.reject("order-failed", "It was not wanted.")
        return call.reply({"thing": asked.content, "refundable": call.has_scope("orders.refund")})


def _bind(rules: Rules, things: Collection) -> None:
    def known(call: Call) -> Doc:
        return call.get(things, call.path["id"]) or call.reject("unknown-thing")

    @rules.operation("listThings")
    def list_things(call: Call) -> Reply:
        found = [call.public(things, doc) for _, doc in call.page("things", limit=call.query["limit"])]
        return call.reply({"items": found}, headers=(("Acme-Total", str(call.list_size("things"))),))

    @rules.operation("addThing")
    def add_thing(call: Call) -> Reply:
        thing = {"id": call.new_uuid(), "status": "NEW", **call.fields}
        try:
            call.add(things, thing)
        except NotUnique as taken:
            call.reject("code-taken", f"{taken}.", holder="another")
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


def _bind_failure(rules: Rules, things: Collection) -> None:
    @rules.operation("causeFailure")
    def cause_failure(call: Call) -> Reply:
        thing = call.add(things, {"id": call.new_uuid(), "name": "Failure", "status": "NEW"})
        kind = call.path["kind"]
        if kind.startswith("ask."):
            asked = call.invoke("causeFailure", {**call.path, "kind": kind.removeprefix("ask.")})
            return call.reply(thing if isinstance(asked, Rejected) else asked.content)
        if kind.startswith("keep"):
            _keep(call, thing, kind)
        return _cause_failure(call, thing, kind)


def _keep(call: Call, thing: Doc, kind: str) -> NoReturn:
    call.emit("thing-changed", {"thing": {"id": 7} if kind == "keepevent" else thing})
    call.reject_and_keep("toolate" if kind == "keepmisspelt" else "too-late")


def _cause_failure(call: Call, thing: Doc, kind: str) -> Reply:
    match kind:
        case "raise":
            raise RuntimeError("the rule broke")
        case "reject":
            call.reject("too-late")
        case "misspell":
            call.reject("toolate")
        case "undeclared":
            return call.reply(thing, status=418)
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


Stored = dict[str, dict[str, list[tuple[Doc, int | None, int | None]]]]


def documents_of(orgs: Orgs, org: Org) -> Stored:
    """All that is stored in the order of creation, as `Orgs.restore` takes it."""
    found: Stored = {}
    for vendor, name, collection in orgs.collections_in_use(org.state):
        records = chain.from_iterable(org.state.records_by_creation(collection))
        found.setdefault(vendor, {})[name] = [(decode(it.body), it.created, it.place) for it in records]
    return found


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
        documents: list[Document] | None = None,
    ) -> None:
        self.contract = Contract(documents or Document.load(SPEC), rules or new_rules())
        self.authenticator = Authenticator(strict=strict, clients=clients)
        self.orgs = Orgs(
            [self.contract],
            self.authenticator,
            limit=limit,
            journal_limit=journal_limit,
            journal_bytes=journal_bytes,
            seeds=seeds,
        )
        self.pipeline = Pipeline([self.contract], self.orgs, self.authenticator)
        self.things = self.contract.rules.collections["things"]

    def send(
        self,
        method: str,
        target: str,
        body: Any = None,
        *,
        token: str | None = ANY_TOKEN,
        headers: dict[str, str] | None = None,
        form: bytes | None = None,
    ) -> Reply:
        """The reply to a request; with a bearer token unless it is None. `form` is a body as it is, sent as a form."""
        fields = {"Host": "localhost:8080", **(headers or {})}
        if token is not None:
            fields.setdefault("Authorization", f"Bearer {token}")
        if form is not None:
            fields.setdefault("Content-Type", "application/x-www-form-urlencoded")
        raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in fields.items()]
        sent = form if form is not None else b"" if body is None else encode(body)
        return self.pipeline.handle(Request(method, target, raw, sent))

    def last(self, org: str) -> Exchange:
        """The newest exchange of an org."""
        return list(self.orgs.get(org).journal.exchanges())[-1]

    def stored(self, org: str, collection: str = "things") -> list[Doc]:
        """The things of an org, or what else it has, in the order of creation."""
        documents = self.documents(self.orgs.get(org)).get("acme", {})
        return [doc for doc, _, _ in documents.get(collection, [])]

    def documents(self, org: Org) -> Stored:
        return documents_of(self.orgs, org)

    def seed(self, org: str, **collections: list[Doc]) -> None:
        self.orgs.seed(self.orgs.get(org), {"acme": collections})


def rejecting(name: str) -> Effects:
    """What is armed to have a call rejected."""
    return Effects({"reject": name}, reject=name)


def content(reply: Reply) -> Any:
    """The body of a reply, decoded."""
    return decode(reply.body)


def header(reply: Reply, name: str) -> str | None:
    return next((value for given, value in reply.headers if given.lower() == name.lower()), None)


def write_specs(folder: Path) -> Path:
    """A folder of specs that has this vendor and the admin API."""
    folder.mkdir(exist_ok=True)
    (folder / "acme").symlink_to(FOLDER)
    (folder / "sandbox").symlink_to(configuration.data_folder("specs") / "sandbox")
    return folder


def new_app(specs: Path, **settings: Any) -> App:
    """A whole `App` with this vendor only; `specs` is what `write_specs` wrote."""
    name = "promo_sandbox.vendors.acme"
    module = ModuleType(name)
    module.rules = new_rules()  # type: ignore[attr-defined]  # a module's attribute
    sys.modules[name] = module
    try:
        return App(Config(specs=specs, **settings))
    finally:
        del sys.modules[name]
