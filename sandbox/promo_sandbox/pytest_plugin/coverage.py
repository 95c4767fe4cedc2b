"""`--sandbox-coverage`: what of the contracts a run of pytest has met, over all its servers, printed at its end."""

from __future__ import annotations

import json
from typing import Any

import pytest

from promo_sandbox.base.errors import SandboxError
from promo_sandbox.base.printable import escaped

Json = dict[str, Any]
_OUTPUT = "sandbox_coverage"  # what an xdist worker tells


class RunCoverage:
    """Gathers the reports of the servers of a run; those of xdist workers come when the workers end.

    At a server that ran before, what the run has met is what was counted since it began.
    """

    def __init__(self, config: pytest.Config, wanted: float, url: str | None, token: str | None) -> None:
        self._config = config
        self._wanted = wanted
        self._worker: dict[str, Any] | None = getattr(config, "workeroutput", None)
        self._url = None if self._worker is not None else url  # the workers share it; it is asked once
        self._token = token
        self._before: Json | None = None
        self._reports: list[Json] = []
        self._lost: list[str] = []
        self._report: Json | None = None

    def add(self, report: Json) -> None:
        """What a server of this process has counted."""
        if self._worker is not None:
            self._worker[_OUTPUT] = json.dumps(report, default=float)  # only a percentage is no whole number
        else:
            self._reports.append(report)

    def pytest_sessionstart(self) -> None:
        if self._url is not None:
            try:
                self._before = self._ask()
            except SandboxError as error:
                raise pytest.UsageError(f"sandbox: {error}") from None

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """A worker of xdist has ended; one that was killed tells nothing."""
        output = getattr(node, "workeroutput", None)
        if output is None:
            self._lost.append(node.gateway.id)
        elif _OUTPUT in output:
            self._reports.append(json.loads(output[_OUTPUT]))

    @pytest.hookimpl(trylast=True)  # after the servers have ended
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self._worker is not None:
            return
        from promo_sandbox.reports import coverage_merge, figures  # noqa: PLC0415 - at the end only

        if self._before is not None:
            try:
                self._reports.append(coverage_merge.since(self._before, self._ask()))
            except SandboxError as error:
                self._lost.append(str(error))
        self._report = coverage_merge.called(coverage_merge.added(self._reports)) if self._reports else None
        reached = self._report is not None and figures.reaches(self._report["totals"], self._wanted)
        if self._wanted and not reached and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        from promo_sandbox.reports import coverage_writer, figures  # noqa: PLC0415 - at the end only

        terminalreporter.section("contract coverage of the sandbox")
        for lost in self._lost:
            terminalreporter.write_line(f"Not counted, because it was lost: {escaped(lost)}", yellow=True)
        if self._report is None or not self._report["vendors"]:
            terminalreporter.write_line("No test has called a vendor.")
            share, reached = "nothing was met", not self._wanted
        else:
            terminalreporter.write(coverage_writer.write("text", self._report, missing=True))
            share = figures.summary(self._report["totals"])
            reached = figures.reaches(self._report["totals"], self._wanted)
        if not reached:
            terminalreporter.write_line(f"FAIL: {share}, and --sandbox-coverage is {self._wanted:g}", red=True)

    def _ask(self) -> Json:
        from promo_sandbox.client.client import Sandbox  # noqa: PLC0415 - only for a server elsewhere

        assert self._url is not None  # who asks has it
        return Sandbox(self._url, self._token).coverage()
