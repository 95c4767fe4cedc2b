"""`--sandbox-coverage`: the coverage of the contracts by a pytest run, over all its servers, printed at its end."""

from __future__ import annotations

import json
from typing import Any

import pytest

from promo_sandbox.base.errors import SandboxError
from promo_sandbox.base.printable import escaped

Json = dict[str, Any]
_OUTPUT = "sandbox_coverage"  # key in the output of an xdist worker


class RunCoverage:
    """Collects the reports of all servers of a run. Those of xdist workers arrive when the workers end.

    For a server that ran before, the report is the difference since the run began.
    """

    def __init__(self, config: pytest.Config, minimum: float, url: str | None, token: str | None) -> None:
        self._config = config
        self._minimum = minimum
        self._worker: dict[str, Any] | None = getattr(config, "workeroutput", None)
        self._url = (
            None if self._worker is not None else url
        )  # the workers share the server, so only the controller reads it
        self._token = token
        self._before: Json | None = None
        self._reports: list[Json] = []
        self._lost: list[str] = []
        self._report: Json | None = None

    def add(self, report: Json) -> None:
        """Add the report of a server in this process."""
        if self._worker is not None:
            self._worker[_OUTPUT] = json.dumps(report, default=float)  # percentages are `Decimal`
        else:
            self._reports.append(report)

    def pytest_sessionstart(self) -> None:
        if self._url is not None:
            try:
                self._before = self._fetch()
            except SandboxError as error:
                raise pytest.UsageError(f"sandbox: {error}") from None

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """An xdist worker has ended. One that was killed has no output."""
        output = getattr(node, "workeroutput", None)
        if output is None:
            self._lost.append(node.gateway.id)
        elif _OUTPUT in output:
            self._reports.append(json.loads(output[_OUTPUT]))

    @pytest.hookimpl(trylast=True)  # after the servers have ended
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self._worker is not None:
            return
        from promo_sandbox.reports import coverage_merge, figures  # noqa: PLC0415 - needed at the end only

        if self._before is not None:
            try:
                self._reports.append(coverage_merge.since(self._before, self._fetch()))
            except SandboxError as error:
                self._lost.append(str(error))
        self._report = coverage_merge.called(coverage_merge.added(self._reports)) if self._reports else None
        reached = self._report is not None and figures.reaches(self._report["totals"], self._minimum)
        if self._minimum and not reached and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        from promo_sandbox.reports import coverage_writer, figures  # noqa: PLC0415 - needed at the end only

        terminalreporter.section("contract coverage of the sandbox")
        for lost in self._lost:
            terminalreporter.write_line(f"Not counted, because the report was lost: {escaped(lost)}", yellow=True)
        if self._report is None or not self._report["vendors"]:
            terminalreporter.write_line("No test called a vendor.")
            share, reached = "nothing was covered", not self._minimum
        else:
            terminalreporter.write(coverage_writer.write("text", self._report, missing=True))
            share = figures.summary(self._report["totals"])
            reached = figures.reaches(self._report["totals"], self._minimum)
        if not reached:
            terminalreporter.write_line(f"FAIL: {share}, and --sandbox-coverage is {self._minimum:g}", red=True)

    def _fetch(self) -> Json:
        from promo_sandbox.client.client import Sandbox  # noqa: PLC0415 - only needed with a URL

        assert self._url is not None  # callers check it
        return Sandbox(self._url, self._token).coverage()
