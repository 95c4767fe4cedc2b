"""The command line: what it prints, and one clear line for every mistake of the operator."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
import trustme

from promo_sandbox import __version__
from promo_sandbox.base import config as configuration
from promo_sandbox.base.errors import SandboxError
from promo_sandbox.base.sockets import listen
from promo_sandbox.cli import main
from promo_sandbox.cli.check import check_all
from promo_sandbox.server.app import load_contracts
from tests.acme import new_app, write_specs
from tests.command import Invoke, run, serving
from tests.patience import LONG

SPECS = configuration.data_folder("specs")
VENDORS = ", ".join(sorted(path.name for path in SPECS.iterdir() if path.is_dir() and path.name != "sandbox"))
THING = {"name": "Card", "external_number": "1", "current_balance": {"unit": "EUR", "value": 5}}


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "HOST",
        "PORT",
        "AUTH",
        "CLIENTS",
        "SEED",
        "ADMIN_TOKEN",
        "MAX_BODY",
        "MAX_ORGS",
        "MAX_MEMORY",
        "JOURNAL",
        "LOG_LEVEL",
    ):
        monkeypatch.delenv(f"SANDBOX_{name}", raising=False)


@pytest.fixture
def mistake(invoke: Invoke) -> Callable[..., str]:
    """Runs a command that ends with exit code 2, and gives the one line that it says."""

    def said(*arguments: str) -> str:
        code, out, err = invoke(*arguments)
        assert (code, out) == (2, "")
        assert err.startswith("promo-sandbox: ")
        assert err.count("\n") == 1
        return err.removeprefix("promo-sandbox: ").rstrip("\n")

    return said


# serve


def test_serve_prints_where_every_api_is(tmp_path: Path) -> None:
    with serving(cwd=tmp_path) as served:
        url = re.escape(served.url)
        response = httpx2.get(f"{served.url}/__admin/health", timeout=LONG)
        code, said = served.stop()

    assert re.fullmatch(r"http://127\.0\.0\.1:[1-9]\d*", served.url)
    assert re.fullmatch(r"vendor +base URL for the client +operations", served.table[0])
    assert re.fullmatch(rf"enfore +{url}/promotions +\d+", next(line for line in served.table if "/promotions" in line))
    assert re.fullmatch(rf"admin +{url}/__admin +\d+", served.table[-1])
    assert response.json() == {"status": "healthy", "version": __version__}
    assert said == ""
    assert code != 1


def test_serve_prints_an_api_once_however_many_versions_it_has(tmp_path: Path) -> None:
    bases = main._bases(new_app(write_specs(tmp_path / "specs")), "http://localhost:1")  # noqa: SLF001 - what it prints

    assert [row[:2] for row in bases[1:]] == [
        ("acme", "http://localhost:1/acme"),
        ("admin", "http://localhost:1/__admin"),
    ]


def test_every_option_is_a_variable_too(tmp_path: Path) -> None:
    scenarios = tmp_path / "scenarios"
    scenarios.mkdir()
    (scenarios / "mine.yaml").write_text("steps: [{operation: getGiftCard}]", encoding="utf-8")
    seed = tmp_path / "seed.json"
    seed.write_text(json.dumps({"shop": {"enfore": {"gift_cards": [THING]}}}), encoding="utf-8")
    ca = tmp_path / "ca.pem"
    ca.write_bytes(trustme.CA().cert_pem.bytes())
    variables = {
        "SANDBOX_HOST": "localhost",
        "SANDBOX_PORT": "0",
        "SANDBOX_AUTH": "strict",
        "SANDBOX_CLIENTS": "app:secret other:x:y",
        "SANDBOX_SIGNING_KEY": "a key that several servers share",
        "SANDBOX_SEED": str(seed),
        "SANDBOX_SETTINGS": "emporix.reward_points_version=current emporix.couponSettings.rewardpoints.enabled=false",
        "SANDBOX_SCENARIOS": str(scenarios),
        "SANDBOX_ADMIN_TOKEN": "closed",
        "SANDBOX_ADMIN_HOST": "sandbox.example other.example",
        "SANDBOX_MAX_BODY": "1000",
        "SANDBOX_MAX_ORGS": "2",
        "SANDBOX_MAX_MEMORY": "1 GiB",
        "SANDBOX_JOURNAL_ENTRIES": "3",
        "SANDBOX_CALLBACK_REWRITE": "https://a.example/=http://127.0.0.1:1/ https://b.example/=http://127.0.0.1:2/",
        "SANDBOX_CALLBACK_ALLOW": "shop.example 10.0.0.0/8",
        "SANDBOX_CALLBACK_CA": str(ca),
        "SANDBOX_ALLOW_HTTP_CALLBACKS": "true",
        "SANDBOX_CALLBACK_TIMEOUT": "2.5",
        "SANDBOX_CALLBACK_ATTEMPTS": "7",
        "SANDBOX_CALLBACK_LONGEST_RETRY": "60",
        "SANDBOX_LOG_LEVEL": "info",
    }
    options = {
        option for command in (main.serve,) for parameter in command.params for option in _variables(parameter.envvar)
    }
    assert options == set(variables)

    with serving(variables=variables) as served, httpx2.Client(base_url=served.url, timeout=LONG) as client:
        admin = {"Authorization": "Bearer closed"}
        cards = "/promotions/org/shop/sales-vouchers/gift-cards"
        stranger = client.get(cards, headers={"Authorization": "Bearer any"})
        clients = [
            client.get("/auth/login", auth=auth).status_code
            for auth in (("app", "secret"), ("other", "x:y"), ("app", "x"))
        ]
        closed = client.get("/__admin/orgs")
        hosts = [
            client.get("/__admin/health", headers={"Host": host}).status_code
            for host in ("sandbox.example", "other.example", "x.example")
        ]
        orgs = client.get("/__admin/orgs", headers=admin).json()
        named = client.get("/__admin/scenarios", headers=admin).json()["scenarios"]
        full = client.get("/promotions/org/another/x")
        too_large = client.post(cards, json={"x": "x" * 1000}, headers={"Authorization": "Bearer any"})
        for _ in range(5):
            client.get(cards)
        kept = client.get("/__admin/orgs/shop/requests", headers=admin).json()
        _, said = served.stop()

    assert stranger.status_code == 403
    assert clients == [200, 200, 401]
    assert closed.status_code == 401
    assert hosts == [200, 200, 403]
    assert ("mine", False) in [(scenario["name"], scenario["bundled"]) for scenario in named]
    assert [(org["name"], org["documents"]) for org in orgs["orgs"]] == [("default", 0), ("shop", 1)]
    assert full.status_code == 503
    assert too_large.status_code in (403, 413)
    assert (len(kept["requests"]), kept["total"] + kept["dropped"] > 5) == (3, True)
    assert "INFO" in said


def _variables(named: object) -> list[str]:
    return [named] if isinstance(named, str) else []


def test_the_same_with_options(tmp_path: Path) -> None:
    seed = tmp_path / "seed.yaml"
    seed.write_text(f"shop: {{enfore: {{gift_cards: [{json.dumps(THING)}]}}}}", encoding="utf-8")

    with serving(
        "--auth", "strict", "--client", "a:b", "--client", "c:d", "--seed", str(seed), "--host", "::1"
    ) as served:
        clients = [
            httpx2.get(f"{served.url}/auth/login", auth=auth, timeout=LONG).status_code
            for auth in (("a", "b"), ("c", "d"), ("a", "d"))
        ]
        shop = httpx2.get(f"{served.url}/__admin/orgs/shop", timeout=LONG).json()

    assert served.url.startswith("http://[::1]:")
    assert clients == [200, 200, 401]
    assert shop["documents"] == 1


@pytest.mark.parametrize("variable", ["SANDBOX_ADMIN_TOKEN", "SANDBOX_SIGNING_KEY"])
def test_a_secret_that_is_set_but_empty_is_a_mistake(
    mistake: Callable[..., str], monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    option = f"--{variable.removeprefix('SANDBOX_').lower().replace('_', '-')}"
    by_option = mistake("serve", "--port", "0", option, "")
    monkeypatch.setenv(variable, "")
    by_variable = mistake("serve", "--port", "0")

    assert by_option == f"{option} is empty; give it a value or remove it"
    assert by_variable == f"{variable} is empty; give it a value or unset it"


def test_an_option_counts_more_than_an_empty_variable() -> None:
    with serving("--admin-token", "closed", variables={"SANDBOX_ADMIN_TOKEN": ""}) as served:
        assert httpx2.get(f"{served.url}/__admin/orgs").status_code == 401


@pytest.mark.parametrize(
    ("arguments", "warnings"),
    [
        (("--host", "127.0.0.2"), []),
        (("--host", "::1"), []),
        (("--host", "::ffff:127.0.0.1"), []),
        (("--host", "0.0.0.0"), ["open"]),  # noqa: S104 - what the test is about
        (("--host", "::"), ["open"]),
        (("--host", "0.0.0.0", "--admin-token", "t"), []),  # noqa: S104 - the test is about listening on all addresses
        (("--auth", "strict"), ["strict"]),
        (("--auth", "strict", "--client", "a:b"), []),
        (("--auth", "strict", "--signing-key", "k" * 32), []),  # another server may issue tokens
        (("--auth", "strict", "--host", "0.0.0.0"), ["open", "strict"]),  # noqa: S104 - as above
    ],
)
def test_the_server_warns_of_options_that_may_be_mistakes(arguments: tuple[str, ...], warnings: list[str]) -> None:
    with serving(*arguments) as served:
        _, said = served.stop()

    address = f"[::]:{served.port}" if "::" in arguments else f"0.0.0.0:{served.port}"
    lines = {
        "open": f"promo-sandbox: anyone who reaches {address} can use the admin API; "
        "set SANDBOX_ADMIN_TOKEN or --admin-token to require a token",
        "strict": "promo-sandbox: --auth strict without --client NAME:SECRET: no client can get a token, "
        "except from POST /__admin/orgs/{org}/tokens",
    }
    assert said.splitlines() == [lines[warning] for warning in warnings]


def test_strict_servers_take_each_other_s_tokens_only_with_the_same_key() -> None:
    def token(url: str) -> str:
        given = httpx2.post(f"{url}/__admin/orgs/shop/tokens", json={"vendor": "enfore"}).json()["access_token"]
        return f"Bearer {given}"

    def status(url: str, token: str) -> int:
        path = "/promotions/org/shop/sales-vouchers/gift-cards/any"
        return httpx2.get(f"{url}{path}", headers={"Authorization": token}).status_code

    same = {"SANDBOX_SIGNING_KEY": "0123456789abcdef" * 2, "SANDBOX_AUTH": "strict"}
    with serving(variables=same) as a, serving(variables=same) as b, serving("--auth", "strict") as c:
        assert [status(it.url, token(a.url)) for it in (a, b)] == [404, 404]
        assert status(c.url, token(c.url)) == 404
        assert status(c.url, token(a.url)) == status(a.url, token(c.url)) == 403


def test_a_port_in_use_is_a_mistake(mistake: Callable[..., str]) -> None:
    taken = listen("127.0.0.1", 0)
    try:
        port = str(taken.getsockname()[1])
        assert mistake("serve", "--port", port) == f"cannot listen on 127.0.0.1:{port}: Address already in use"
    finally:
        taken.close()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("serve", "--host", "256.1.1.1"), "cannot listen on 256.1.1.1:8080: "),
        (("serve", "--port", "70000"), "Invalid value for '--port': 70000 is not in the range"),
        (("serve", "--port", "http"), "Invalid value for '--port': 'http' is not a valid integer"),
        (("serve", "--auth", "none"), "Invalid value for '--auth': 'none' is not one of 'lenient', 'strict'."),
        (("serve", "--max-orgs", "0"), "Invalid value for '--max-orgs': 0 is not in the range"),
        (("serve", "--bogus"), "No such option '--bogus'."),
        (("serve", "extra"), "Got unexpected extra argument (extra)"),
        (("serve", "--client", "name"), "--client 'name' is not NAME:SECRET"),
        (("serve", "--client", ":secret"), "--client ':secret' is not NAME:SECRET"),
        (("serve", "--client", "name:"), "--client 'name:' is not NAME:SECRET"),
        (("serve", "--signing-key", "k" * 31), "--signing-key has 31 characters; use at least 32"),
        (("serve", "--signing-key", "\udcff" * 32), "--signing-key is not UTF-8"),
        (("serve", "--client", "name:\udcff"), "--client is not UTF-8"),
        (("serve", "--admin-host", "a.example:80"), "--admin-host: 'a.example:80' has a port; write the name alone"),
        (("serve", "--admin-token", "a b"), "the admin token must not be empty, and must be printable"),
        (("serve", "--admin-token", "größer"), "the admin token must not be empty, and must be printable"),
        (("serve", "--admin-token", "a\n"), "the admin token must not be empty, and must be printable"),
        (("serve", "--setting", "emporix.x"), "--setting 'emporix.x' is not VENDOR.NAME=VALUE"),
        (("serve", "--setting", "acme.x=1"), "there is no setting acme.x"),
        (("serve", "--setting", "emporix=1"), "there is no setting emporix"),
        (("serve", "--setting", "emporix.points=1"), "there is no setting emporix.points"),
        (
            ("serve", "--setting", "emporix.couponPermanentDelete=maybe"),
            'the setting emporix.couponPermanentDelete: "maybe" is not of type "boolean"',
        ),
        (
            ("serve", "--setting", "emporix.reward_points_version=2022"),
            'the setting emporix.reward_points_version: "2022" is not one of "2021" or "current"',
        ),
        (("serve", "--seed", "/no/such/file.yaml"), "/no/such/file.yaml: No such file or directory"),
        (("serve", "--seed", "/"), "/: Is a directory"),
        (("serve", "--scenarios", "/no/such/folder"), "the folder of scenarios /no/such/folder does not exist"),
        (("routes", "--vendor", "acme"), f"there is no vendor acme; the vendors are {VENDORS}"),
        (("bogus",), "No such command 'bogus'."),
        (("--bogus",), "No such option '--bogus'."),
    ],
)
def test_a_mistake_is_one_clear_line(mistake: Callable[..., str], arguments: tuple[str, ...], line: str) -> None:
    assert mistake(*arguments).startswith(line)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("shop:\n  enfore: {\n", "{file}:3: "),
        ("shop:\n  enfore: {}\n  enfore: {}\n", "{file}:3: the key 'enfore' occurs twice"),
        ("- shop", "{file}:1: must be {org: {vendor: {collection: [object]}}}"),
        ("shop: []", "{file}:1: must be {org: {vendor: {collection: [object]}}}"),
        ("", "{file}:1: must be {org: {vendor: {collection: [object]}}}"),
        ("shop: {acme: {}}", f"the seed of the org 'shop' is invalid: acme: is not a vendor; there are {VENDORS}"),
        ("shop: {enfore: []}", "the seed of the org 'shop' is invalid: enfore: "),
        (
            "shop: {enfore: {gift_card: []}}",
            "the seed of the org 'shop' is invalid: enfore.gift_card: is not a collection; did you mean",
        ),
        ("shop: {enfore: {gift_cards: [{}]}}", "the seed of the org 'shop' is invalid: enfore.gift_cards[0]"),
    ],
)
def test_a_broken_seed_is_one_clear_line(mistake: Callable[..., str], tmp_path: Path, text: str, line: str) -> None:
    file = tmp_path / "seed.yaml"
    file.write_text(text, encoding="utf-8")

    assert mistake("serve", "--port", "0", "--seed", str(file)).startswith(line.replace("{file}", str(file)))


def test_a_broken_scenario_is_one_clear_line(mistake: Callable[..., str], tmp_path: Path) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text("steps:\n  - operation: getGiftcard\n", encoding="utf-8")

    assert mistake("serve", "--port", "0", "--scenarios", str(tmp_path)) == (
        f"{file}:2: /steps/0/operation: there is no operation getGiftcard; did you mean getGiftCard?"
    )


def test_more_seeded_orgs_than_admitted_are_a_mistake(mistake: Callable[..., str], tmp_path: Path) -> None:
    file = tmp_path / "seed.yaml"
    file.write_text("a: {}\nb: {}", encoding="utf-8")

    assert mistake("serve", "--seed", str(file), "--max-orgs", "1") == "2 orgs are seeded, but the limit is 1"


# check


def test_check_prints_a_line_for_each_document(invoke: Invoke) -> None:
    code, out, err = invoke("check")

    assert (code, err) == (0, "")
    names = {str(path.relative_to(SPECS)) for path in SPECS.glob("*/*.yaml")}
    names |= {str(path.relative_to(SPECS.parent)) for path in (SPECS.parent / "scenarios").rglob("*.yaml")}
    assert {line.split()[1] for line in out.splitlines()} == names
    assert "ok      emporix/reward-points.yaml (current)  17 operations" in out
    assert all(
        re.fullmatch(r"ok +\S+( \(\w+\))? +(\d+ operations, \d+ rejections, \d+ callbacks|\d+ steps)", line)
        for line in out.splitlines()
    )


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the specs that the command takes for the real ones; there are no scenarios beside it."""
    specs = tmp_path / "specs"
    shutil.copytree(SPECS, specs)
    (tmp_path / "scenarios").mkdir()
    monkeypatch.setattr(configuration, "data_folder", lambda name: tmp_path / name)
    return specs


def change(path: Path, old: str, new: str) -> int:
    """Replaces the first occurrence, and gives its line."""
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return text[: text.index(old)].count("\n") + 1


def test_check_fails_on_a_spec_that_cannot_be_read(copy: Path, mistake: Callable[..., str]) -> None:
    line = change(copy / "enfore" / "auth.yaml", "AccessToken:\n      type: object", "AccessToken:\n      typ: object")

    said = mistake("check")

    assert said.startswith(f"enfore/auth.yaml:{line}: ")
    assert "typ" in said


def test_check_tells_every_mistake_with_its_place(copy: Path, invoke: Invoke) -> None:
    admin = copy / "sandbox" / "admin.yaml"
    change(admin, "status: {const: healthy}", "status: {const: well}")
    change(admin, "    Moment: {", "    Unused: {type: string}\n    Docu: {type: string}\n    Moment: {")

    code, out, err = invoke("check")

    assert code == 1
    assert len(re.findall(r"sandbox/admin\.yaml:\d+: ", err)) == 3
    assert 'the example healthy.status: "well" was expected' in err
    assert "schemas/Unused is never used" in err
    assert "schemas/Docu is never used" in err
    assert re.findall(r"^FAILED +(\S+)", out, re.MULTILINE) == ["sandbox/admin.yaml"]


def test_check_ends_at_a_spec_that_cannot_be_served(copy: Path, mistake: Callable[..., str]) -> None:
    change(copy / "sandbox" / "admin.yaml", "operationId: getVersion", "operationId: getHealth")

    assert "the operationId getHealth occurs twice" in mistake("check")


def test_check_fails_on_an_operation_without_a_rule(copy: Path, mistake: Callable[..., str]) -> None:
    change(copy / "enfore" / "auth.yaml", "operationId: login", "operationId: logOn")

    assert mistake("check") == "enfore/auth.yaml: the operation logOn has no rule"


def test_check_fails_on_specs_without_rules(copy: Path, mistake: Callable[..., str]) -> None:
    shutil.copytree(copy / "enfore", copy / "acme")

    assert mistake("check") == "acme has specs but no rules in promo_sandbox/vendors/acme"


def test_the_same_without_the_command_line(copy: Path) -> None:
    change(copy / "sandbox" / "admin.yaml", "status: {const: healthy}", "status: {const: well}")

    found = {name: mistakes for name, _, mistakes in check_all(copy)}

    assert [name for name, mistakes in found.items() if mistakes] == ["sandbox/admin.yaml"]
    change(copy / "sandbox" / "admin.yaml", "openapi: 3.1.0", "openapi: 3.0.0")
    with pytest.raises(SandboxError, match=r"^sandbox/admin.yaml:1: openapi: "):
        list(check_all(copy))


# routes and the rest


@pytest.fixture
def rows(invoke: Invoke) -> list[list[str]]:
    code, out, err = invoke("routes")
    assert (code, err) == (0, "")
    return [line.split() for line in out.splitlines()]


def test_routes_lists_every_operation_with_its_rejections(rows: list[list[str]]) -> None:
    expected = [
        [contract.vendor, operation.method, operation.template, operation.id, *operation.rejections]
        for contract in load_contracts(SPECS)
        for operation in (route.operation for route in contract.routes())
    ]

    assert rows[0] == ["vendor", "method", "path", "operationId", "rejections"]
    assert rows[1:] == expected


def test_routes_can_be_those_of_one_vendor(invoke: Invoke, rows: list[list[str]]) -> None:
    _, out, _ = invoke("routes", "--vendor", "enfore")

    assert [line.split() for line in out.splitlines()][1:] == [row for row in rows if row[0] == "enfore"]


def test_the_version(invoke: Invoke) -> None:
    assert invoke("--version") == (0, f"promo-sandbox, version {__version__}\n", "")


def test_the_module_is_the_command() -> None:
    done = run("--version")

    assert (done.returncode, done.stdout, done.stderr) == (0, f"promo-sandbox, version {__version__}\n", "")


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_names_every_command(invoke: Invoke, option: str) -> None:
    code, out, _ = invoke(option)

    assert code == 0
    assert all(re.search(rf"^  {command} ", out, re.MULTILINE) for command in ("check", "routes", "serve"))


def test_without_arguments_the_help_is_shown(invoke: Invoke) -> None:
    code, out, err = invoke()

    assert (code, out) == (2, "")
    assert err.startswith("Usage: promo-sandbox [OPTIONS]")
