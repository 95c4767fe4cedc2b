"""docs/ci.md: every recipe fits its format's schema, and what it says of images, ports and variables is so.

The `.env` files are used against a real server. No engine runs the containers.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import httpx2
import jsonschema_rs
import pytest
from check_jsonschema.builtin_schemas import get_builtin_schema
from dotenv import dotenv_values

from promo_sandbox import __version__
from promo_sandbox.base import config as configuration
from promo_sandbox.base import yaml_file
from promo_sandbox.cli import main
from tests.image import stages
from tests.serving import Json

ROOT = Path(configuration.__file__).parents[3]
TEXT = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
IMAGE = f"registry.example.com/promo-sandbox:{__version__}"
PORT = stages()[-1].last("EXPOSE")
OURS = {name for parameter in main.serve.params for name in [parameter.envvar] if isinstance(name, str)}
Client = Callable[[dict[str, str], httpx2.Client], httpx2.Response]
FORMATS = {
    "GitHub Actions": "vendor.github-workflows",
    "GitLab CI": "vendor.gitlab-ci",
    "Docker compose": "vendor.compose-spec",
    "Without a container": "vendor.github-workflows",
}


def blocks(language: str, text: str = TEXT) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def section(title: str) -> str:
    return re.split(r"^## ", TEXT.partition(f"## {title}\n")[2], flags=re.MULTILINE)[0]


def recipe(title: str) -> Json:
    """The section's YAML, read as JSON is: `on` is a name, not a truth."""
    [text] = blocks("yaml", section(title))
    return yaml_file.parse(text, f"{title}.yaml")


def flaws(schema: str, document: Json) -> list[str]:
    validator = jsonschema_rs.validator_for(get_builtin_schema(schema))
    return [f"{error.instance_path}: {error.message}" for error in validator.iter_errors(document)]


@pytest.mark.parametrize(("title", "schema"), FORMATS.items(), ids=list(FORMATS))
def test_a_recipe_fits_the_schema_of_its_format(title: str, schema: str) -> None:
    assert flaws(schema, recipe(title)) == []


@pytest.mark.parametrize(
    ("title", "place", "wrong"),
    [
        ("GitHub Actions", ("jobs", "test", "services", "promo-sandbox", "ports"), "8080:8080"),
        ("GitLab CI", ("test", "services"), {"name": 1}),
        ("Docker compose", ("services", "shop", "depends_on", "promo-sandbox", "condition"), "healthy"),
    ],
    ids=["github", "gitlab", "compose"],
)
def test_the_schemas_would_find_a_mistake(title: str, place: tuple[str, ...], wrong: Json) -> None:
    document = recipe(title)
    part = document
    for name in place[:-1]:
        part = part[name]
    part[place[-1]] = wrong

    assert flaws(FORMATS[title], document)


def test_every_recipe_is_of_this_version() -> None:
    assert set(re.findall(r"registry\.example\.com/promo-sandbox\S*?(?=[`\"\s)])", TEXT)) == {IMAGE}
    assert set(re.findall(r"promo_sandbox-([\d.]+)-py3", TEXT)) == {__version__}


def test_every_variable_is_an_option_of_serve() -> None:
    named = set(re.findall(r"\bSANDBOX_[A-Z_]+\b", TEXT))

    assert named - OURS == {"SANDBOX_URL"}
    assert {"SANDBOX_AUTH", "SANDBOX_CLIENTS", "SANDBOX_MAX_BODY"} <= named


def test_every_port_is_the_images() -> None:
    github, compose = recipe("GitHub Actions"), recipe("Docker compose")
    java = section("Testcontainers")

    assert github["jobs"]["test"]["services"]["promo-sandbox"]["ports"] == [f"{PORT}:{PORT}"]
    assert compose["services"]["promo-sandbox"]["ports"] == [f"{PORT}:{PORT}"]
    assert set(re.findall(r"(?:Ports?|exposed_ports?)\((\d+)\)", java)) == {PORT}
    assert set(re.findall(r"https?://(?:localhost|promo-sandbox):(\d+)", TEXT)) == {PORT, "9"}  # port 9 has no listener


def test_what_a_recipe_waits_for_is_there() -> None:
    compose = recipe("Docker compose")["services"]
    rewritten = compose["promo-sandbox"]["environment"]["SANDBOX_CALLBACK_REWRITE"].split("=")

    assert stages()[-1].last("HEALTHCHECK")
    assert compose["shop"]["environment"]["CALLBACK_URL"].startswith(rewritten[0])
    assert rewritten[1] == f"http://shop:{compose['shop']['expose'][0]}/"
    assert compose["promo-sandbox"]["volumes"][0].split(":")[1] == stages()[-1].pairs("ENV")["SANDBOX_SCENARIOS"]
    assert recipe("GitLab CI")["test"]["variables"]["SANDBOX_URL"].startswith(
        f"http://{recipe('GitLab CI')['test']['services'][0]['alias']}:"
    )


def test_what_it_has_in_python_is_what_is_type_checked() -> None:
    [shown] = blocks("python")

    assert shown == (ROOT / "tests" / "recipes" / "with_testcontainers.py").read_text(encoding="utf-8")


def test_its_java_is_whole() -> None:
    [java] = blocks("java")

    for opening, closing in ("()", "{}", "<>"):
        assert java.count(opening) == java.count(closing)
    imported = set(re.findall(r"^import [\w.]+\.(\w+);$", java, re.MULTILINE))
    rest = re.sub(r"^import .*$", "", java, flags=re.MULTILINE)
    assert all(re.search(rf"\b{name}\b", rest) for name in imported)
    assert set(re.findall(r"(?:new |@|\b)([A-Z][a-z]\w+)\b", re.sub(r'".*?"|/\*.*?\*/', "", rest))) - imported == {
        "String",
        "WithSandbox",
    }


def test_the_shell_without_a_container_names_commands_and_options_that_there_are() -> None:
    script = recipe("Without a container")["jobs"]["test"]["steps"][-1]["run"]
    options = {
        name: {option for parameter in command.params for option in parameter.opts}
        for name, command in main.cli.commands.items()
    }

    used = re.findall(r"^promo-sandbox (\w+) (--\w+)", script, re.MULTILINE)

    assert used == [("serve", "--port"), ("health", "--wait")]
    assert all(option in options[command] for command, option in used)


# .env


def settings(url: str, first_line: str) -> dict[str, str]:
    [text] = [block for block in blocks("dotenv") if block.startswith(f"# {first_line}\n")]
    read = dotenv_values(stream=StringIO(text.replace(f"http://localhost:{PORT}", url)))
    return {name: value for name, value in read.items() if value is not None}


def enfore(env: dict[str, str], http: httpx2.Client) -> httpx2.Response:
    client = (env["ENFORE_CLIENT_ID"], env["ENFORE_CLIENT_SECRET"])
    token = http.get(f"{env['ENFORE_AUTH_URL']}/authorize/{env['ENFORE_ORG']}", auth=client).json()["accessToken"]
    cards = f"{env['ENFORE_API_URL']}/org/{env['ENFORE_ORG']}/sales-vouchers/gift-cards"
    interval = {"from": "2030-01-01T00:00:00Z", "to": "2030-01-02T00:00:00Z"}
    return http.get(cards, params=interval, headers={"Authorization": f"Bearer {token}"})


def emporix(env: dict[str, str], http: httpx2.Client) -> httpx2.Response:
    form = {
        "grant_type": "client_credentials",
        "client_id": env["EMPORIX_CLIENT_ID"],
        "client_secret": env["EMPORIX_CLIENT_SECRET"],
        "scope": f"tenant={env['EMPORIX_TENANT']} coupon.coupon_read",
    }
    token = http.post(f"{env['EMPORIX_API_URL']}/oauth/token", data=form).json()["access_token"]
    coupons = f"{env['EMPORIX_API_URL']}/coupon/{env['EMPORIX_TENANT']}/coupons"
    return http.get(coupons, headers={"Authorization": f"Bearer {token}"})


def norce(env: dict[str, str], http: httpx2.Client) -> httpx2.Response:
    form = {
        "grant_type": "client_credentials",
        "client_id": env["NORCE_CLIENT_ID"],
        "client_secret": env["NORCE_CLIENT_SECRET"],
        "scope": "playground",
    }
    token = http.post(env["NORCE_TOKEN_URL"], data=form).json()["access_token"]
    return http.get(f"{env['NORCE_API_URL']}/api/promotion", headers={"Authorization": f"Bearer {token}"})


@pytest.mark.parametrize(("title", "client"), [("enfore", enfore), ("Emporix", emporix), ("Norce", norce)])
@pytest.mark.parametrize("by_prefix", [False, True], ids=["by-its-own-name", "by-prefix"])
def test_a_client_that_is_configured_so_is_served_in_that_org(
    url: str, http: httpx2.Client, title: str, client: Client, by_prefix: bool
) -> None:
    org_client = f"{url}/__admin/orgs/{'test-42' if by_prefix else 'acme'}"
    http.delete(org_client)

    response = client(settings(url, "by prefix" if by_prefix else title), http)

    assert response.status_code == 200, response.text
    exchanges = http.get(f"{org_client}/requests").json()["requests"]
    assert [(exchange["vendor"], exchange["reply"]["status"]) for exchange in exchanges] == [(title.lower(), 200)] * 2


def test_each_vendors_own_settings_are_those_of_the_prefix() -> None:
    own: dict[str, str] = {}
    for title in ("enfore", "Emporix", "Norce"):
        own |= settings("", title)

    assert settings("", "by prefix").keys() == own.keys()
