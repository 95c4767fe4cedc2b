"""The pytest plugin: the fixture `sandbox` is a fresh org for each test, looked through when the test has passed.

Imported by every pytest of an environment, so all but pytest is imported when the first test asks for an org.
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
_READABLE = 60  # characters of a test's name in that of its org
_MARKER = (
    "sandbox(scenario=None, clock=None, settings=None, seed=None, allow=(), check=True): what the test's org begins "
    "with, and what may be left in it at the end: internal_errors, unmet, unexpected, unmatched"
)
_numbers = itertools.count(1)
_run = os.environ.get("PYTEST_XDIST_TESTRUNUID", "")[:6] or os.urandom(3).hex()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("promo-sandbox")
    group.addoption(
        "--sandbox-url",
        metavar="URL",
        help="Use the Promo Sandbox that runs there instead of one in this process (also SANDBOX_URL, and "
        "SANDBOX_ADMIN_TOKEN if it has one).",
    )
    group.addoption(
        "--sandbox-coverage",
        metavar="PERCENT",
        nargs="?",
        const=0.0,
        type=_percent,
        help="Print what of the vendors' contracts the run has met; with =PERCENT, fail if it is less.",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", _MARKER)
    wanted = config.getoption("--sandbox-coverage")
    if wanted is not None and not config.option.collectonly:
        from promo_sandbox.pytest_plugin.coverage import RunCoverage  # noqa: PLC0415 - only with the option

        config.stash[_COVERAGE] = RunCoverage(config, wanted, _url(config), _token())
        config.pluginmanager.register(config.stash[_COVERAGE], "promo-sandbox-coverage")


@pytest.fixture(scope="session")
def sandbox_settings() -> dict[str, Any]:
    """Settings of the server in this process, as `promo_sandbox.testing.running` takes them. Override this fixture."""
    return {}


@pytest.fixture(scope="session")
def sandbox_server(request: pytest.FixtureRequest, sandbox_settings: dict[str, Any]) -> Iterator[Sandbox]:
    """The server of the run (of each xdist worker), as its client; or the one that runs at `--sandbox-url`."""
    url = _url(request.config)
    try:
        if url is not None:
            from promo_sandbox.client.client import Sandbox  # noqa: PLC0415 - as late as can be

            server = Sandbox(url, _token())
            server.version()
            yield server
            return

        from promo_sandbox.testing import running  # noqa: PLC0415 - the engine takes longest of all

        with running(**_settings(sandbox_settings)) as server:
            yield server
            if _COVERAGE in request.config.stash:
                request.config.stash[_COVERAGE].add(server.coverage())
    except SandboxError as error:
        raise _failed(error) from None


@pytest.fixture
def sandbox(request: pytest.FixtureRequest, sandbox_server: Sandbox) -> Iterator[Org]:
    """A fresh org of the test's own, a `promo_sandbox.client.Org`: `url(vendor)`, `seed(…)`, `clock.advance(…)`, ….

    The marker `sandbox` says what it begins with. A test that passed fails if its org shows defects, unspent steps of a
    scenario or answers that `next` armed, unexpected calls or requests that matched no operation, unless the marker
    allows them.
    """
    item = request.node
    try:
        from promo_sandbox.pytest_plugin import leftovers  # noqa: PLC0415 - as late as can be

        org = sandbox_server.org(_name(item, fresh=_url(request.config) is None))
        leftovers.begin(org, _marks(item))
    except SandboxError as error:
        raise _failed(error) from None
    item.stash[_ORG] = org
    item.stash[_FAILED] = False  # it may run a second time
    yield org
    if _url(request.config) is None or not item.stash[_FAILED]:  # whoever owns the server may want to look
        with suppress(SandboxError):  # there may be none of the name, and nobody minds
            org.forget()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """A test that passed is asked what it left in its org."""
    result = yield
    if _ORG not in item.stash:
        _insist_on_the_fixture(item)
    else:
        from promo_sandbox.pytest_plugin import leftovers  # noqa: PLC0415 - the fixture has imported it by now

        try:
            complaint = leftovers.complaint(item.stash[_ORG], _marks(item))
        except SandboxError as error:
            raise _failed(error) from None
        if complaint:
            pytest.fail(complaint, pytrace=False)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that failed by itself shows what its org was asked, too."""
    report = yield
    if report.failed and call.when != "teardown" and _ORG in item.stash and not item.stash[_FAILED]:
        item.stash[_FAILED] = True
        if call.excinfo is None or not call.excinfo.errisinstance(pytest.fail.Exception):
            from promo_sandbox.pytest_plugin import leftovers  # noqa: PLC0415 - the fixture has imported it by now

            with suppress(SandboxError):  # the test has failed already
                report.sections.append(("sandbox", leftovers.exchanges(item.stash[_ORG])))
    return report


def _failed(error: SandboxError) -> BaseException:
    """One sentence in the test's own failure, and no traceback of ours; to be raised `from None`."""
    return pytest.fail.Exception(f"sandbox: {error}", pytrace=False)


def _url(config: pytest.Config) -> str | None:
    given: str | None = config.getoption("--sandbox-url")
    return given or os.environ.get("SANDBOX_URL") or None


def _settings(given: object) -> dict[str, Any]:
    """What somebody's fixture has returned, if that can be settings. Raises `SandboxError`."""
    if isinstance(given, dict):
        return given
    raise SandboxError(f"the fixture sandbox_settings must return a dict, not {type(given).__name__}")


def _token() -> str | None:
    return os.environ.get("SANDBOX_ADMIN_TOKEN") or None


def _name(item: pytest.Item, *, fresh: bool) -> str:
    """The test's name, and what makes it another one than any other of the server."""
    readable = re.sub(r"[^A-Za-z0-9_]+", "-", item.nodeid.rpartition(".py::")[2]).strip("-")[-_READABLE:].strip("-")
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    unique = (str(next(_numbers)),) if fresh else (*((worker,) if worker else ()), str(next(_numbers)), _run)
    return "-".join((readable or "test", *unique))


def _marks(item: pytest.Item) -> dict[str, Any]:
    """What the markers say; the one that is nearest to the test wins. Raises `SandboxError`."""
    said: dict[str, Any] = {}
    for mark in reversed(list(item.iter_markers("sandbox"))):
        if mark.args:
            raise SandboxError(f"@pytest.mark.sandbox takes keywords only, such as scenario={mark.args[0]!r}")
        said.update(mark.kwargs)
    return said


def _insist_on_the_fixture(item: pytest.Item) -> None:
    """A test that bears the marker itself and has no org was not given what it says; it may have asked something else.

    The marker of a class or a module is for those of its tests that use the fixture.
    """
    asked_for = "sandbox" in getattr(item, "fixturenames", ())  # then somebody else's fixture has taken the name
    if not asked_for and any(mark.name == "sandbox" for mark in item.own_markers):
        pytest.fail(
            "sandbox: @pytest.mark.sandbox does nothing for a test that does not use the fixture; "
            f'have {item.name} take the argument sandbox, or mark it with usefixtures("sandbox") too',
            pytrace=False,
        )


def _percent(text: str) -> float:
    with suppress(ValueError):
        percent = float(text)
        if 0 <= percent <= 100:  # noqa: PLR2004 - that is what a percentage is
            return percent
    raise argparse.ArgumentTypeError(
        f"{text!r} is no percentage; write --sandbox-coverage=80, or the option after the paths"
    )
