"""The pytest plugin, seen by a suite that uses it: what passes, what fails and what is said."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from promo_sandbox.client import Sandbox
from promo_sandbox.pytest_plugin import leftovers
from tests import acme
from tests.documents import matches
from tests.patience import LONG, PROGRAM
from tests.serving import OrgClient, running
from tests.test_client import canned

HEAD = """
import httpx2
import httpx2
import pytest

def get(sandbox, path="sales-vouchers/gift-cards/gc-1"):
    url = sandbox.url("enfore", "promotions")
    return httpx2.get(f"{url}/org/acme/{path}", headers={"Authorization": "Bearer any"}, timeout=60)

CARD = {"id": "gc-1", "name": "Xmas", "current_balance": {"unit": "EUR", "value": 50}}
"""
Suite = Callable[..., pytest.RunResult]


@pytest.fixture
def suite(pytester: pytest.Pytester, url: str, http: httpx2.Client, monkeypatch: pytest.MonkeyPatch) -> Suite:
    """Runs a suite in this process, with the server that there is."""
    http.get(url)  # so that all of httpx2 is there, or each suite would load a part of its own
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_TESTRUNUID"):
        monkeypatch.delenv(name, raising=False)

    def run(text: str, *options: str, server: str = url) -> pytest.RunResult:
        monkeypatch.setenv("SANDBOX_URL", server)
        monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # there are some that take seconds
        pytester.makepyfile(HEAD + text)
        return pytester.runpytest_inprocess("-p", "no:cacheprovider", "-p", "promo_sandbox", *options)

    return run


def test_every_test_has_an_org_of_its_own_with_a_name_that_tells_whose(suite: Suite) -> None:
    result = suite("""
seen = []

@pytest.mark.parametrize("card", ["a/b", "ü", "x" * 300])
def test_orgs(sandbox, card):
    assert sandbox.org.startswith(("test_orgs-", "x" * 60))
    assert sandbox.org not in seen
    seen.append(sandbox.org)
    assert get(sandbox).status_code == 404
    sandbox.seed(enfore={"gift_cards": [CARD]})
    assert get(sandbox).status_code == 200

def test_unused(sandbox):
    assert sandbox.requests() == []
""")

    result.assert_outcomes(passed=4)


def test_a_marker_says_what_the_org_begins_with_and_the_nearest_wins(suite: Suite) -> None:
    result = suite("""
pytestmark = pytest.mark.sandbox(clock="2030-01-01T00:00:00Z", seed={"enfore": {"gift_cards": [CARD]}})

@pytest.mark.sandbox(clock="2031-01-01T00:00:00Z", settings={"emporix": {"reward_points_version": "current"}})
def test_given(sandbox):
    assert sandbox.clock.now() == "2031-01-01T00:00:00.000Z"
    assert set(sandbox.state()["documents"]) == {"enfore", "emporix"}

@pytest.mark.sandbox(scenario={"steps": [{"operation": "getGiftCard", "then": {"reject": "unprocessable"}}]})
def test_scenario(sandbox):
    assert [get(sandbox).status_code for _ in "ab"] == [422, 200]
    assert sandbox.clock.now() == "2030-01-01T00:00:00.000Z"
""")

    result.assert_outcomes(passed=2)


TROUBLE = """
def test_unmatched(sandbox):
    get(sandbox, "gift-cards/gc-1")

@pytest.mark.sandbox(scenario="enfore/lost-reply")
def test_unmet(sandbox):
    get(sandbox)

@pytest.mark.sandbox(scenario={"steps": [{"operation": "getGiftCards"}], "otherwise": "fail"}, allow="unmet")
def test_unexpected(sandbox):
    assert get(sandbox).status_code == 500
"""


def test_a_test_that_passed_fails_for_what_it_left_in_its_org(suite: Suite) -> None:
    result = suite(TROUBLE)

    result.assert_outcomes(failed=3)
    said = result.stdout.str()
    assert (
        "GET /promotions/org/acme/gift-cards/gc-1 matched no operation; the nearest is /promotions/org/{org-id}/"
        in said
    )
    assert "If this is expected, allow it: @pytest.mark.sandbox(allow='unmatched')" in said
    assert "Step 1 of the scenario enfore/lost-reply is unmet: it waits for a call of recordGiftCardRedemption" in said
    assert "it waits for a call of getGiftCardRedemptions and received none." in said
    assert (
        "Exchange 1 (getGiftCard) was not expected by the scenario: Step 1 expects getGiftCards, not getGiftCard"
        in said
    )
    assert re.search(r"^time +method +path +status +operation$", said, re.MULTILINE)
    assert re.search(r"T\S+Z  GET     /promotions/org/acme/gift-cards/gc-1 +404 +- +unmatched$", said, re.MULTILINE)
    assert "Traceback" not in said
    assert "leftovers.py" not in said


def test_a_test_that_passed_fails_for_what_it_armed_and_no_call_met(suite: Suite) -> None:
    result = suite("""
def test_armed(sandbox):
    sandbox.next("getGiftCard", {"reject": "unknown-gift-card"})
    sandbox.next("recordGiftCardRedemption", {"cut": "after"}, times=2)
    get(sandbox)

@pytest.mark.sandbox(scenario="enfore/lost-reply")
def test_both(sandbox):
    sandbox.next("getGiftCard", {"delay": "1s"})

@pytest.mark.sandbox(allow="unmet")
def test_allowed(sandbox):
    sandbox.next("getGiftCard", {"delay": "1s"})

def test_taken_back(sandbox):
    sandbox.next("getGiftCard", {"delay": "1s"})
    sandbox.disarm()

def test_met(sandbox):
    sandbox.next("getGiftCard", {"reject": "unknown-gift-card"})
    get(sandbox)
""")

    result.assert_outcomes(passed=3, failed=2)
    said = result.stdout.str()
    assert (
        '- An effect armed with `next` is unmet: {"cut":"after"} waits for 2 calls of recordGiftCardRedemption.\n'
        "If this is expected, allow it: @pytest.mark.sandbox(allow='unmet')" in said
    )
    assert (
        '- An effect armed with `next` is unmet: {"delay":"1s"} waits for a call of getGiftCard.\n'
        "- Step 1 of the scenario enfore/lost-reply is unmet" in said
    )


def test_a_delivery_fault_that_was_armed_for_an_event_that_did_not_come_is_reported(org_client: OrgClient) -> None:
    org = Sandbox(org_client.url).org(org_client.org)
    armed = {"callback": "gift-card-changed", "then": {"webhook": "twice"}}
    org_client.admin("POST", "/next", armed)

    assert org.about()["armed"] == 1
    said = leftovers.failure_message(org, {})
    assert 'An effect armed with `next` is unmet: {"webhook":"twice"} waits for an event of gift-card-changed.' in said


def test_what_a_marker_allows_or_a_test_that_skips_or_fails_anyway_is_not_complained_of(suite: Suite) -> None:
    result = suite("""
@pytest.mark.sandbox(allow=("unmatched", "unmet"), scenario="enfore/lost-reply")
def test_by_name(sandbox):
    get(sandbox, "gift-cards/gc-1")

@pytest.mark.sandbox(check=False, scenario={"steps": [{"operation": "getGiftCards"}], "otherwise": "fail"})
def test_all(sandbox):
    get(sandbox)

def test_skips(sandbox):
    get(sandbox, "gift-cards/gc-1")
    pytest.skip("later")

@pytest.mark.xfail(strict=True)
def test_fails_as_expected(sandbox):
    get(sandbox, "gift-cards/gc-1")

def test_forgets(sandbox):
    get(sandbox, "gift-cards/gc-1")
    sandbox.forget()
""")

    result.assert_outcomes(passed=3, skipped=1, xfailed=1)


def test_a_test_that_fails_by_itself_shows_its_exchanges_too(suite: Suite) -> None:
    result = suite("""
@pytest.fixture
def card(sandbox):
    answered = get(sandbox)
    assert answered.status_code == 200
    return answered.json()

def test_body(sandbox):
    sandbox.next("getGiftCard", {"cut": "after"})
    with pytest.raises(httpx2.TransportError):
        get(sandbox)
    assert False

def test_setup(card):
    pass

@pytest.fixture
def closing():
    yield
    raise RuntimeError("cannot close")

def test_teardown(closing, sandbox):
    pass
""")

    result.assert_outcomes(passed=1, failed=1, errors=2)
    said = result.stdout.str()
    assert len(re.findall(r"^-+ sandbox -+$", said, re.MULTILINE)) == 2
    assert "getGiftCard  unknown-gift-card, cut after" in said


@pytest.mark.parametrize(
    ("marker", "said"),
    [
        ('scenario="enfore/lost-replay"', "There is no scenario enfore/lost-replay; did you mean enfore/lost-reply"),
        ('scenari="x"', "@pytest.mark.sandbox has no 'scenari'; did you mean 'scenario'?"),
        ('"enfore/lost-reply"', "@pytest.mark.sandbox takes keywords only, such as scenario='enfore/lost-reply'"),
        ('allow="unmached"', "@pytest.mark.sandbox cannot allow 'unmached'; did you mean 'unmatched'?"),
        ('seed={"enfor": {}}', "enfor"),
        ('clock="tomorrow"', "tomorrow"),
        ("seed=[1]", "@pytest.mark.sandbox(seed=[1]) must be dict, not list"),
        ('settings={"emporix": 1}', "emporix.settings"),
        ('seed={"enfore": {"gift_cards": [len]}}', "cannot be encoded as JSON"),
    ],
)
def test_a_marker_that_is_wrong_is_one_sentence_in_the_tests_own_failure(suite: Suite, marker: str, said: str) -> None:
    result = suite(f"@pytest.mark.sandbox({marker})\ndef test_any(sandbox):\n    pass\n")

    result.assert_outcomes(errors=1)
    [line] = [line for line in result.outlines if line.startswith("sandbox: ")]
    assert said in line
    assert "Traceback" not in result.stdout.str()
    assert "pytest_plugin.py" not in result.stdout.str()


def test_a_marker_on_a_test_that_does_not_use_the_fixture_fails_it(suite: Suite) -> None:
    result = suite("""
pytestmark = pytest.mark.sandbox(clock="2030-01-01T00:00:00Z")

@pytest.mark.sandbox(scenario="enfore/lost-reply")
def test_without():
    pass

def test_of_the_module():
    pass

@pytest.mark.sandbox(seed={"enfore": {"gift_cards": [CARD]}})
@pytest.mark.usefixtures("sandbox")
def test_by_a_marker():
    pass

@pytest.mark.sandbox(seed={"enfore": {"gift_cards": [CARD]}})
def test_later(request):
    assert get(request.getfixturevalue("sandbox")).status_code == 200

@pytest.mark.sandbox
def test_skips():
    pytest.skip("later")
""")

    result.assert_outcomes(passed=3, failed=1, skipped=1)
    [said] = [line for line in result.outlines if line.startswith("sandbox: ")]
    assert said == (
        "sandbox: @pytest.mark.sandbox has no effect without the fixture; "
        'give test_without the argument sandbox, or mark it with usefixtures("sandbox") too'
    )


def test_a_server_that_is_not_there_or_is_another_one_is_one_sentence(suite: Suite) -> None:
    gone = suite("def test_any(sandbox):\n    pass\n", server="http://127.0.0.1:1")
    with canned({"GET /__admin/version": {"version": "9.9.9", "specs": []}}) as other:
        strange = suite("def test_any(sandbox):\n    pass\n", "--sandbox-url", other.url)

    assert "sandbox: http://127.0.0.1:1 does not answer: Connection refused" in gone.outlines
    assert any(line.startswith(f"sandbox: {other.url} has version 9.9.9") for line in strange.outlines)
    assert "Traceback" not in gone.stdout.str() + strange.stdout.str()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ('{"strict": True, "clients": "my-app:secret"}', "'clients' must be {name: secret}, both str, not str"),
        ("None", "the fixture sandbox_settings must return a dict, not NoneType"),
    ],
)
def test_settings_of_another_type_are_one_sentence_before_anything_is_asked(
    suite: Suite, settings: str, said: str
) -> None:
    result = suite(
        f"""
@pytest.fixture(scope="session")
def sandbox_settings():
    return {settings}

def test_any(sandbox):
    pass
""",
        server="",
    )

    result.assert_outcomes(errors=1)
    [line] = [line for line in result.outlines if line.startswith("sandbox: ")]
    assert said in line
    assert "Traceback" not in result.stdout.str()


def test_a_server_that_dies_under_a_test_is_said_in_its_failure(suite: Suite) -> None:
    result = suite(
        """
from contextlib import ExitStack
from promo_sandbox.testing import running

server = ExitStack()

@pytest.fixture(scope="session")
def sandbox_server():
    return server.enter_context(running())

def test_dies(sandbox):
    get(sandbox)
    server.close()
"""
    )

    result.assert_outcomes(failed=1)
    assert "does not answer: Connection refused" in result.stdout.str()


def test_coverage_of_a_run_is_what_it_added_to_a_server_that_runs(suite: Suite) -> None:
    text = "def test_card(sandbox):\n    get(sandbox)\n    sandbox.reset()\n    get(sandbox)\n"

    enough = suite(text, "--sandbox-coverage=0.3")
    too_few = suite(text, "--sandbox-coverage=0.6")
    none = suite("def test_any(sandbox):\n    pass\n", "--sandbox-coverage")
    collected = suite(text, "--sandbox-coverage=80", "--collect-only")

    assert enough.ret == pytest.ExitCode.OK
    assert re.search(r"^getGiftCard +2 +1/4 +1/6$", enough.stdout.str(), re.MULTILINE)
    assert "emporix" not in enough.stdout.str()
    assert too_few.ret == pytest.ExitCode.TESTS_FAILED
    assert re.search(r"FAIL: 3 of \d+ covered \(0\.\d %\), and --sandbox-coverage is 0\.6", too_few.stdout.str())
    assert none.ret == pytest.ExitCode.OK
    assert "No test called a vendor." in none.stdout.str()
    assert collected.ret == pytest.ExitCode.OK


@pytest.mark.parametrize("value", ["--sandbox-coverage=101", "--sandbox-coverage=many"])
def test_a_percentage_that_is_none_is_rejected(suite: Suite, value: str) -> None:
    result = suite("", value)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "is not a percentage; write --sandbox-coverage=80" in result.stderr.str()


def test_the_examples_of_the_page_run_and_fail_as_it_says(suite: Suite, pytester: pytest.Pytester) -> None:
    page = (Path(__file__).parent.parent / "docs" / "pytest.md").read_text(encoding="utf-8")
    for name, text in re.findall(r"^```python\n# (\S+)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        pytester.path.joinpath(name).write_text(text, encoding="utf-8")
    [said] = re.findall(r"^```text\n(The test passed.*?)^```$", page, re.MULTILINE | re.DOTALL)

    result = suite("")

    result.assert_outcomes(passed=6, failed=1)
    assert matches(f"…{said}…", result.stdout.str())


def test_the_plugin_brings_nothing_along_before_a_test_asks_for_it() -> None:
    loaded = (
        "import sys; known = set(sys.modules); import promo_sandbox.pytest_plugin.hooks; "
        "new = set(sys.modules) - known; "
        "print(*sorted(name for name in new if name.split('.')[0] in ('promo_sandbox', 'uvicorn')))"
    )

    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-c", f"import pytest; {loaded}"], capture_output=True, text=True, timeout=PROGRAM, check=True
    )

    assert done.stdout.split() == [
        "promo_sandbox",
        "promo_sandbox.base",
        "promo_sandbox.base.errors",
        "promo_sandbox.pytest_plugin",
        "promo_sandbox.pytest_plugin.hooks",
    ]


def test_the_plugin_works_beside_packages_of_the_same_names_as_ours(pytester: pytest.Pytester) -> None:
    for name in ("sandbox", "client", "testing", "rules", "server", "scenarios"):
        pytester.mkpydir(name)
    pytester.makepyfile("""
import client, rules, sandbox as theirs, scenarios, server, testing

def test_an_org(sandbox):
    assert sandbox.requests() == []
    assert all(str(module.__file__).startswith(ROOT) for module in (client, rules, theirs, scenarios, server, testing))

from pathlib import Path
ROOT = str(Path(__file__).parent)
""")

    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", timeout=PROGRAM)

    result.assert_outcomes(passed=1)


def test_an_internal_error_of_the_sandbox_fails_the_test_that_caused_it(tmp_path: Path) -> None:
    with running(app=acme.new_app(acme.write_specs(tmp_path / "specs"))) as (_, url):
        org = Sandbox(url).org("t1")
        met = httpx2.post(
            f"{org.url('acme', 'things')}/t1/failures/raise", headers={"Authorization": "Bearer any"}, timeout=LONG
        ).status_code

        things = {"acme": {"things": [{"name": "Glass", "breaks": "2030-01-02T00:00:00Z"}]}}
        org.clock.freeze("2030-01-01T00:00:00Z")
        org.seed(**things)
        [happened] = org.clock.advance("P1D")
        said = leftovers.failure_message(org, {})
        allowed = leftovers.failure_message(org, {"allow": ("internal_errors",)})

    assert met == 500
    assert "- POST /acme/t1/failures/raise caused an internal error: RuntimeError: the rule broke" in said
    assert happened["internal_error"] is not None
    assert "There were also internal errors without a request, such as in an event that became due: 1." in said
    assert "allow='internal_errors'" in said
    assert allowed == ""
