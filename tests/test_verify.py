"""`promo-sandbox verify`: our own server keeps every spec, and a wrong one is found out, operation by operation."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from promo_sandbox.base.config import data_folder
from promo_sandbox.base.messages import Reply, Request
from promo_sandbox.conformance import options
from promo_sandbox.conformance.verify.plain_spec import plain
from promo_sandbox.openapi.document import Document
from promo_sandbox.reports.results import SKIPPED, Result, Results
from promo_sandbox.server.app import App
from tests.command import PYTHON, Invoke, environment
from tests.patience import LONG, PROGRAM, shortest
from tests.serving import free_port, running
from tests.wrong_server import Fault, WrongApp, always, bare, status, success, without

ROOT = Path(__file__).parent.parent
TOKEN = ("--header", "Authorization: Bearer any")
QUICK = ("--examples", "1", "--no-boundaries", "--seed", "1")  # `tests/contract` tries harder
SPECS = [document for path in sorted(data_folder("specs").glob("[!s]*/*.yaml")) for document in Document.load(path)]
GIFT_CARDS = "/promotions/org/[^/]+/sales-vouchers/gift-cards"
FAULTS = {
    "createExternalGiftCard": ("status_code_conformance", Fault("POST", GIFT_CARDS, status(200))),
    "getGiftCards": ("response_schema_conformance", Fault("GET", GIFT_CARDS, without("items"))),
    "getProductVouchers": (
        "response_schema_conformance",
        Fault("GET", "/promotions/org/[^/]+/sales-vouchers/product-vouchers", success(lambda _: {"items": "none"})),
    ),
    "getGiftCardSubscriptions": (
        "status_code_conformance",
        Fault("GET", "/promotions/.*/gift-card-subscriptions", always(Reply(418, {}, "application/json"))),
    ),
    "getProductVoucherSubscriptions": (
        "content_type_conformance",
        Fault("GET", "/promotions/.*/product-voucher-subscriptions", always(Reply(200, "<p>Hello", "text/html"))),
    ),
    "getCategoryVouchers": (
        "negative_data_rejection",
        Fault("GET", "/promotions/.*/category-vouchers", always(Reply(200, {"items": []}, "application/json"))),
    ),
    "getExternalLoyaltyPrograms": (
        "not_a_server_error",
        Fault("GET", "/promotions/.*/external-loyalty-program", always(Reply(500, "Oops", "text/plain"))),
    ),
    "PromotionApi_List": (
        "response_headers_conformance",
        Fault("GET", "/commerce/.*/api/promotion", always(bare(Reply(401, {"Message": "Who?"}, "application/json")))),
    ),
}
SOUND = ["getCategoryVoucherSubscriptions", "PromotionApi_Get"]


@pytest.fixture(scope="module")
def wrong() -> Iterator[tuple[WrongApp, str]]:
    app = WrongApp(*(fault for _, fault in FAULTS.values()))
    with running(app=app) as (_, url):
        yield app, url


def rows(report: str) -> dict[str, str]:
    """What a report as text says of each operation."""
    found = re.findall(r"^(passed|FAILED|skipped) +(\w+) +(.*(?:\n {8}.*)*)", report, re.MULTILINE)
    return {name: f"{outcome} {said}" for outcome, name, said in found}


@pytest.mark.fuzz
@pytest.mark.parametrize("vendor", ["emporix", "enfore", "norce"])
def test_our_own_server_keeps_every_spec_with_writes(vendor: str, url: str, invoke: Invoke) -> None:
    wanted = {operation.id for document in SPECS if document.vendor == vendor for operation in document.operations}

    code, said, complaint = invoke("verify", f"{url}/~verify", "--vendor", vendor, "--allow-writes", *TOKEN, *QUICK)

    assert (code, complaint) == (0, ""), said
    assert {name for name, row in rows(said).items() if row.startswith("passed")} == wanted


@pytest.fixture(scope="module")
def found(wrong: tuple[WrongApp, str]) -> tuple[int, str, str]:
    """What a run on the wrong server says: exit code, standard output, standard error."""
    asked = [part for name in (*FAULTS, *SOUND) for part in ("--operation", name)]
    command = [*PYTHON, "verify", wrong[1], "--vendor", "enfore", "--vendor", "norce", "--allow-writes", *TOKEN]
    command += ["--examples", "5", "--no-boundaries", "--seed", "1"]
    done = subprocess.run(  # noqa: S603 - our own command
        [*command, *asked], capture_output=True, text=True, env=environment(), timeout=PROGRAM, check=False
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("operation", FAULTS)
def test_each_seeded_fault_is_reported_under_its_operation(operation: str, found: tuple[int, str, str]) -> None:
    code, said, complaint = found

    assert (code, complaint) == (1, "")
    row = rows(said)[operation]
    assert row.startswith("FAILED")
    assert FAULTS[operation][0] in row
    assert "curl -i " in row


@pytest.mark.slow
def test_what_has_no_fault_is_not_blamed(found: tuple[int, str, str]) -> None:
    shown = rows(found[1])

    assert [name for name in SOUND if not shown[name].startswith("passed")] == []
    assert {name for name, row in shown.items() if row.startswith("FAILED")} == set(FAULTS)


@pytest.mark.slow
def test_no_credentials_stand_in_a_report(found: tuple[int, str, str]) -> None:
    assert "Bearer any" not in found[1]
    assert '-H "Authorization: $AUTHORIZATION"' in found[1]


@pytest.mark.slow
def test_nothing_but_get_is_sent_unless_writes_are_allowed(invoke: Invoke) -> None:
    app = WrongApp()
    with running(app=app) as (_, url):
        asked = ("--operation", "getGiftCards", "--operation", "createExternalGiftCard", "--vendor", "enfore")
        code, said, _ = invoke("verify", url, *TOKEN, *asked, "--examples", "2", "--seed", "1")

    assert code == 0, said
    assert app.methods == {"GET"}
    assert rows(said)["createExternalGiftCard"] == "skipped it writes; allow it with --allow-writes"
    assert rows(said).keys() == {"getGiftCards", "createExternalGiftCard"}
    assert re.search(r"1 passed, 0 failed, \d+ skipped \(\d+ not asked for\)", said)


@pytest.mark.slow
def test_a_url_where_nothing_is_found_is_no_success(url: str, invoke: Invoke) -> None:
    code, said, complaint = invoke(
        "verify", f"{url}/wrong", "--vendor", "norce", "--operation", "PromotionApi_Get", *TOKEN, *QUICK
    )

    assert (code, said) == (2, "")
    assert complaint == (
        f"promo-sandbox: norce/promotions.yaml (message) could not be tested: {url}/wrong/commerce/management/1.0 "
        "replied to every request with 404; is that the URL, and does the org acme have data?\n"
    )


@pytest.mark.parametrize("command", ["verify", "parity"])
def test_a_run_that_would_ask_nothing_is_no_success(command: str, invoke: Invoke) -> None:
    app = WrongApp()
    with running(app=app) as (_, url):
        code, said, complaint = invoke(command, url, "--vendor", "enfore", "--operation", "createExternalGiftCard")

    assert (code, said) == (2, "")
    assert complaint == ("promo-sandbox: nothing to test: everything selected writes; allow it with --allow-writes\n")
    assert app.methods == set()


@pytest.mark.slow
def test_no_org_but_the_one_given_is_asked(invoke: Invoke) -> None:
    with running() as (app, url):
        code, said, _ = invoke(
            *("verify", url, "--org", "alone", "--operation", "deleteCustomerPoints", "--allow-writes", *TOKEN),
            *("--vendor", "emporix", "--examples", "2", "--seed", "1"),
        )

    assert code == 0, said
    # Both tools look whether a server answers there at all, with a GET of no operation.
    looking = {org.name for org in app.orgs if org.name == "default" or org.name.startswith("schemathesis-probe")}
    assert {org.name for org in app.orgs} - looking == {"alone"}


@pytest.mark.parametrize("document", SPECS, ids=lambda document: document.label)
def test_a_spec_without_its_org_is_still_a_spec(document: Document) -> None:
    spec = plain(document, "a/b")

    assert "x-versions" not in spec
    if document.org_parameter is not None:
        assert f"{{{document.org_parameter}}}" not in str(spec["paths"])
        assert any("/a%2Fb" in template for template in spec["paths"])
    assert plain(document)["paths"].keys() == document.raw["paths"].keys()


@pytest.mark.slow
def test_the_version_that_a_setting_chooses_is_the_one_tried(invoke: Invoke, url: str) -> None:
    chosen = ("--setting", "emporix.reward_points_version=current", "--vendor", "emporix")

    _, said, _ = invoke("verify", url, *chosen, "--operation", "getMyPoints", "--max-time", "1", *TOKEN)

    assert "emporix/reward-points.yaml (current)" in said
    assert "(2021)" not in said


@pytest.mark.slow
def test_an_interrupted_run_still_writes_its_report(tmp_path: Path) -> None:
    asked = threading.Event()

    class Watched(App):
        def handle(self, request: Request) -> Reply:
            if request.path.startswith("/promotions"):
                asked.set()
            return super().handle(request)

    out = tmp_path / "report.xml"
    with running(app=Watched()) as (_, url):
        command = [*PYTHON, "verify", url, "--vendor", "enfore", *TOKEN, "--examples", "5000", "--report", "junit"]
        with subprocess.Popen([*command, "--out", str(out)], env=environment()) as run:  # noqa: S603 - our own
            assert asked.wait(LONG)
            run.send_signal(signal.SIGINT)
            assert run.wait(LONG) == 130

    suites = ET.parse(out).getroot()  # noqa: S314 - we wrote it
    assert "interrupted" in {item.get("value") for item in suites.iter("property")}
    assert "not tested: interrupted" in {item.get("message") for item in suites.iter("skipped")}


@pytest.mark.slow
def test_a_run_whose_time_is_up_says_so(invoke: Invoke, url: str) -> None:
    def took() -> float:
        begun = time.monotonic()
        code, said, _ = invoke("verify", url, "--vendor", "norce", *TOKEN, "--examples", "100000", "--max-time", "1")
        seconds = time.monotonic() - begun

        nothing = re.search(r"^0 passed, 0 failed", said, re.MULTILINE)  # Schemathesis may take as long to start
        assert code == (2 if nothing else 0)
        assert said.rstrip().endswith("ended early: the time was up")
        return seconds

    assert shortest(15, took) < 15


def test_a_run_that_found_nothing_out_is_no_success(capsys: pytest.CaptureFixture[str]) -> None:
    report = Results("held to the specs", [Result("a", "b", "GET /b", SKIPPED)], 1.0, options.TIME_IS_UP)

    with pytest.raises(SystemExit) as ended:
        options.conclude(report, "text", None)

    assert ended.value.code == 2
    assert capsys.readouterr().err == "promo-sandbox: nothing was tested: the time was up\n"


@pytest.mark.parametrize("command", ["verify", "parity"])
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            ("http://127.0.0.1:{port}",),
            r"http://127\.0\.0\.1:\d+ does not answer: Connection refused; is that the URL.*",
        ),
        (("ftp://localhost",), r"the URL 'ftp://localhost' is not http://HOST.*"),
        (("localhost:8080",), r"the URL 'localhost:8080' is not http://HOST.*"),
        (("http://localhost:99999",), r"the URL 'http://localhost:99999' cannot be read: .*"),
        (("http://me:secret@localhost",), r"credentials in the URL are not sent; use --header .*"),
        (("http://localhost/a b",), r"the URL 'http://localhost/a b' is not .*"),
        (("{url}", "--vendor", "enfour"), r"there is no vendor enfour; did you mean enfore\?"),
        (("{url}", "--operation", "getGiftCrad"), r"there is no operation getGiftCrad; did you mean getGiftCard\?"),
        (("{url}", "--header", "Authorization"), r"--header 'Authorization' is not 'NAME: VALUE'"),
        (("{url}", "--header", "A B: c"), r"--header 'A B' is not 'NAME: VALUE'"),
        (("{url}", "--header", "A: \u00fc"), r"--header 'A' is not 'NAME: VALUE'"),
        (("{url}", "--org", ""), r"--org '' is not a valid org name; use printable ASCII characters"),
        (("{url}", "--out", "/nowhere/report"), r"cannot write /nowhere/report: No such file or directory"),
        ((), r"Missing argument 'URL'\."),
    ],
)
def test_a_mistake_is_one_line(
    command: str, arguments: tuple[str, ...], expected: str, url: str, invoke: Invoke
) -> None:
    filled = [argument.format(port=free_port(), url=url) for argument in arguments]

    code, said, complaint = invoke(command, *filled)

    assert (code, said) == (2, "")
    assert re.fullmatch(f"promo-sandbox: {expected}\n", complaint), complaint


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            ("--setting", "emporix.reward_point_version=x"),
            "there is no setting that chooses a version, .*did you mean.*",
        ),
        (
            ("--setting", "norce.error_body=problme"),
            "there is no version of norce.error_body problme; did you mean problem.*",
        ),
        (("--rate-limit", "fast"), "--rate-limit 'fast' is not N/s, N/m, N/h or N/d"),
    ],
)
def test_a_mistake_of_verify_is_one_line(arguments: tuple[str, ...], expected: str, url: str, invoke: Invoke) -> None:
    code, said, complaint = invoke("verify", url, *arguments)

    assert (code, said) == (2, "")
    assert re.fullmatch(f"promo-sandbox: {expected}\n", complaint), complaint


def test_without_schemathesis_its_installation_is_named(
    monkeypatch: pytest.MonkeyPatch, url: str, invoke: Invoke
) -> None:
    monkeypatch.setitem(sys.modules, "schemathesis", None)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    code, said, complaint = invoke("verify", url)

    assert (code, said) == (2, "")
    (needed,) = project["optional-dependencies"]["verify"]
    assert complaint == f"promo-sandbox: verify needs Schemathesis; install it with: pip install '{needed}'\n"


@pytest.mark.slow
def test_a_server_that_goes_away_is_reported_with_what_was_found_until_then(invoke: Invoke) -> None:
    asked = threading.Event()

    class Watched(App):
        def handle(self, request: Request) -> Reply:
            if request.path.endswith("/gift-cards"):
                asked.set()
            return super().handle(request)

    with ExitStack() as serving:
        _, url = serving.enter_context(running(app=Watched()))

        def leave() -> None:
            asked.wait(LONG)
            serving.close()

        leaving = threading.Thread(target=leave)
        leaving.start()
        code, said, _ = invoke("verify", url, *TOKEN, "--vendor", "enfore", "--examples", "100", "--seed", "1")
        leaving.join()

    assert code in (1, 2)
    assert "stopped responding" in said
    assert re.search(r"[1-9]\d* passed", said)
