"""The pytest plugin: the fixture `sandbox` is a new org for each test. It is checked for problems when the test passed.

Every pytest run in the environment imports this module, so it imports the sandbox only when a test needs it.
"""

from __future__ import annotations

import argparse
import itertools
import os
import re
from collections.abc import Generator, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from promo_sandbox.base.errors import SandboxError

if TYPE_CHECKING:
    from promo_sandbox.client.client import Org, Sandbox
    from promo_sandbox.pytest_plugin.coverage import RunCoverage

_ORG: pytest.StashKey[Org] = pytest.StashKey()
_FAILED: pytest.StashKey[bool] = pytest.StashKey()
_COVERAGE: pytest.StashKey[RunCoverage] = pytest.StashKey()
_MAX_NAME = 60  # characters of the test's name in the name of its org
_MARKER = (
    "sandbox(scenario=None, clock=None, settings=None, seed=None, allow=(), check=True): the initial state of the "
    "test's org, and the problems that it may have at the end: internal_errors, unmet, unexpected, unmatched"
)
_numbers = itertools.count(1)
_run = os.environ.get("PYTEST_XDIST_TESTRUNUID", "")[:6] or os.urandom(3).hex()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("promo-sandbox")
    group.addoption(
        "--sandbox-url",
        metavar="URL",
        help="Use the Promo Sandbox server at this URL instead of one in this process (also SANDBOX_URL, and "
        "SANDBOX_ADMIN_TOKEN if the server has an admin token).",
    )
    group.addoption(
        "--sandbox-coverage",
        metavar="PERCENT",
        nargs="?",
        const=0.0,
        type=_percent,
        help="Print which parts of the vendors' contracts the run covered; with =PERCENT, fail below that.",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", _MARKER)
    minimum = config.getoption("--sandbox-coverage")
    if minimum is not None and not config.option.collectonly:
        from promo_sandbox.pytest_plugin.coverage import RunCoverage  # noqa: PLC0415 - only with the option

        config.stash[_COVERAGE] = RunCoverage(config, minimum, _url(config), _token())
        config.pluginmanager.register(config.stash[_COVERAGE], "promo-sandbox-coverage")


@pytest.fixture(scope="session")
def sandbox_settings() -> dict[str, Any]:
    """Settings of the server, as `promo_sandbox.testing.running` takes them. Override this fixture to change them."""
    return {}


@pytest.fixture(scope="session")
def sandbox_server(request: pytest.FixtureRequest, sandbox_settings: dict[str, Any]) -> Iterator[Sandbox]:
    """The client of the server: one server for each run or xdist worker, or the server at `--sandbox-url`."""
    url = _url(request.config)
    try:
        if url is not None:
            from promo_sandbox.client.client import Sandbox  # noqa: PLC0415 - as late as possible

            server = Sandbox(url, _token())
            server.version()
            yield server
            return

        from promo_sandbox.testing import running  # noqa: PLC0415 - the slowest import

        with running(**_settings(sandbox_settings)) as server:
            yield server
            if _COVERAGE in request.config.stash:
                request.config.stash[_COVERAGE].add(server.coverage())
    except SandboxError as error:
        raise _failure(error) from None


@pytest.fixture
def sandbox(request: pytest.FixtureRequest, sandbox_server: Sandbox) -> Iterator[Org]:
    """A new org for the test, a `promo_sandbox.client.Org`: `url(vendor)`, `seed(…)`, `clock.advance(…)`, ….

    The marker `sandbox` sets its initial state. A test that passed fails if its org has internal errors, unmet scenario
    steps, unmet effects armed with `next`, unexpected calls, or requests that matched no operation. The marker can
    allow these problems.
    """
    item = request.node
    try:
        from promo_sandbox.pytest_plugin import leftovers  # noqa: PLC0415 - as late as possible

        org = sandbox_server.org(_org_name(item, shared_server=_url(request.config) is not None))
        leftovers.set_up(org, _marks(item))
    except SandboxError as error:
        raise _failure(error) from None
    item.stash[_ORG] = org
    item.stash[_FAILED] = False  # the test may run again, with pytest-rerunfailures
    yield org
    if _url(request.config) is None or not item.stash[_FAILED]:  # on a shared server, the org of a failed test is kept
        with suppress(SandboxError):  # the test may have deleted it
            org.forget()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Fail a test that passed if its org has problems."""
    result = yield
    if _ORG not in item.stash:
        _require_fixture(item)
    else:
        from promo_sandbox.pytest_plugin import leftovers  # noqa: PLC0415 - already imported by the fixture

        try:
            message = leftovers.failure_message(item.stash[_ORG], _marks(item))
        except SandboxError as error:
            raise _failure(error) from None
        if message:
            pytest.fail(message, pytrace=False)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the requests of the org to the report of a test that failed by itself."""
    report = yield
    if report.failed and call.when != "teardown" and _ORG in item.stash and not item.stash[_FAILED]:
        item.stash[_FAILED] = True
        if call.excinfo is None or not call.excinfo.errisinstance(pytest.fail.Exception):
            from promo_sandbox.pytest_plugin import leftovers  # noqa: PLC0415 - already imported by the fixture

            with suppress(SandboxError):  # the test has failed already
                report.sections.append(("sandbox", leftovers.request_table(item.stash[_ORG])))
    return report


def _failure(error: SandboxError) -> BaseException:
    """A test failure with one sentence and no traceback; raise it `from None`."""
    return pytest.fail.Exception(f"sandbox: {error}", pytrace=False)


def _url(config: pytest.Config) -> str | None:
    given: str | None = config.getoption("--sandbox-url")
    return given or os.environ.get("SANDBOX_URL") or None


def _settings(given: object) -> dict[str, Any]:
    """The result of the fixture `sandbox_settings`. Raises `SandboxError` if it is not a dict."""
    if isinstance(given, dict):
        return given
    raise SandboxError(f"the fixture sandbox_settings must return a dict, not {type(given).__name__}")


def _token() -> str | None:
    return os.environ.get("SANDBOX_ADMIN_TOKEN") or None


def _org_name(item: pytest.Item, *, shared_server: bool) -> str:
    """The test's name with a suffix that makes it unique on the server."""
    name = re.sub(r"[^A-Za-z0-9_]+", "-", item.nodeid.rpartition(".py::")[2]).strip("-")[-_MAX_NAME:].strip("-")
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    number = str(next(_numbers))
    suffix = (*((worker,) if worker else ()), number, _run) if shared_server else (number,)
    return "-".join((name or "test", *suffix))


def _marks(item: pytest.Item) -> dict[str, Any]:
    """The keywords of all markers of a test; the nearest one wins. Raises `SandboxError` for positional arguments."""
    keywords: dict[str, Any] = {}
    for mark in reversed(list(item.iter_markers("sandbox"))):
        if mark.args:
            raise SandboxError(f"@pytest.mark.sandbox takes keywords only, such as scenario={mark.args[0]!r}")
        keywords.update(mark.kwargs)
    return keywords


def _require_fixture(item: pytest.Item) -> None:
    """Fail a test that has the marker itself but does not use the fixture, because the marker then has no effect.

    A marker of a class or module applies only to those tests in it that use the fixture.
    """
    uses_fixture = "sandbox" in getattr(item, "fixturenames", ())  # possibly another fixture of this name
    if not uses_fixture and any(mark.name == "sandbox" for mark in item.own_markers):
        pytest.fail(
            "sandbox: @pytest.mark.sandbox has no effect without the fixture; "
            f'give {item.name} the argument sandbox, or mark it with usefixtures("sandbox") too',
            pytrace=False,
        )


def _percent(text: str) -> float:
    with suppress(ValueError):
        percent = float(text)
        if 0 <= percent <= 100:  # noqa: PLR2004 - a percentage
            return percent
    raise argparse.ArgumentTypeError(
        f"{text!r} is not a percentage; write --sandbox-coverage=80, or put the option after the paths"
    )
