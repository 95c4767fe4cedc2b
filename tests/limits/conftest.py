"""The servers of these tests are not traced: their time is measured, and tracing makes it five times as long."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module", autouse=True)
def _untraced() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START"):  # by which a new process is traced
            patch.delenv(name, raising=False)
        yield
