"""Measures how much time the pytest plugin adds to a session and to a test.

Runs four suites in turn, each in a process of its own: one test and many, with the fixture and without it.
Usage: python -m bench.plugin [ROUNDS]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

TESTS = 300
SUITES = {
    (many, used): "import pytest\n\n"
    f"@pytest.mark.parametrize('number', range({TESTS if many else 1}))\n"
    f"def test_it({'sandbox, ' if used else ''}number):\n    pass\n"
    for many in (False, True)
    for used in (False, True)
}
Took = dict[tuple[bool, bool], float]  # seconds, by whether there are many tests and whether they use the fixture


def one_round(folder: Path) -> Took:
    took: Took = {}
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = (
        "1"  # a user does not have the plugins of this project's environment
    )
    for suite, source in SUITES.items():
        path = folder / "test_it.py"
        path.write_text(source, encoding="utf-8")
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-p",
            "promo_sandbox.pytest_plugin.hooks",
            str(path),
        ]
        begun = perf_counter()
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - ours
        took[suite] = perf_counter() - begun
        if done.returncode:
            sys.exit(done.stdout)
    return took


def session(took: Took) -> float:
    return took[False, True] - took[False, False]


def test(took: Took) -> float:
    return (took[True, True] - took[True, False] - session(took)) / (TESTS - 1)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        one_round(Path(folder))  # compiles the modules and fills the cache of the specs
        rounds = [one_round(Path(folder)) for _ in range(int(sys.argv[1]) if sys.argv[1:] else 9)]
    for name, added, target in (("session", session, 0.3), ("test", test, 0.003)):
        times = [added(took) * 1000 for took in rounds]  # milliseconds
        print(  # noqa: T201 - the output of this program
            f"{name:8} +{median(times):.1f} ms  ({min(times):.1f} to {max(times):.1f}; below {target * 1000:g})"
        )


if __name__ == "__main__":
    main()
