"""Runs Schemathesis on one spec: a sandbox of its own in another process, `st run` in a third, its verdict here."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import httpx2
import hypothesis
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from promo_sandbox.base.messages import encode
from tests.patience import LONG

ROOT = Path(__file__).parents[2]
_HERE = Path(__file__).parent

EXAMPLES = int(os.environ.get("SANDBOX_FUZZ_EXAMPLES", "200"))  # for each operation
AT_RANDOM = "SANDBOX_FUZZ_EXAMPLES" in os.environ  # otherwise every run is the same
SEED = int(os.environ.get("SANDBOX_FUZZ_SEED", "") or random.SystemRandom().randrange(2**32))

F = TypeVar("F", bound=Callable[..., Any])

ANY = "any"  # a token for a server that asks for none
USERS = "SANDBOX_FUZZ_USERS"  # the variable for the file of users, which the configuration names
SETTINGS = "SANDBOX_FUZZ_SETTINGS"  # the variable that hands `Settings` to `hooks.py`, as JSON

KEY = "the same tokens in every run, so that each finds the same"
_URL = re.compile(r"http://127\.0\.0\.1:\d+")


def in_ci(examples: int) -> int:
    """So many for each operation where every run is the same; `make fuzz` tries more."""
    return EXAMPLES if AT_RANDOM else examples


def seeded(test: F) -> F:
    """A Hypothesis test that `SANDBOX_FUZZ_SEED` repeats."""
    return hypothesis.seed(SEED)(test) if AT_RANDOM else test


def tell_seed() -> None:
    """For pytest to show if the test fails."""
    if AT_RANDOM:
        print(f"SANDBOX_FUZZ_SEED={SEED} SANDBOX_FUZZ_EXAMPLES={EXAMPLES}")  # noqa: T201 - pytest shows it


def in_any_order(make: Callable[[], RuleBasedStateMachine], *, steps: int = 25) -> None:
    """Run a state machine in half as many orders of its rules as an operation has examples."""
    tell_seed()

    @seeded
    def made() -> RuleBasedStateMachine:
        return make()

    settings = hypothesis.settings(
        max_examples=EXAMPLES // 2,
        stateful_step_count=steps,
        derandomize=not AT_RANDOM,
        deadline=None,
        database=None,
        print_blob=False,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    run_state_machine_as_test(made, settings=settings)  # type: ignore[arg-type]  # a factory will do


class Settings(NamedTuple):
    """What `hooks.py`, in the process of Schemathesis, must know."""

    spec: str  # the file
    counts: str  # the file to write `Counts` to
    admin: str  # the URL of the server's admin API
    token: str  # for it
    org: str  # the org that all is asked of
    alone: bool  # every stateful scenario finds only the orgs that there are now; they are as they are now in any case
    bodies: dict[str, list[Any]]  # further examples of request bodies, by operation


class Counts(NamedTuple):
    """What Schemathesis has sent."""

    calls: list[tuple[str, str, int, int]]  # operation, phase, status, how often
    scenarios: int

    def by_operation(self, phase: str) -> Counter[str]:
        found: Counter[str] = Counter()
        for operation, of, _, count in self.calls:
            found[operation] += count * (of == phase)
        return found

    def by_status(self, operation: str) -> Counter[int]:
        found: Counter[int] = Counter()
        for of, _, status, count in self.calls:
            found[status] += count * (of == operation)
        return +found


@contextmanager
def serving(*options: str) -> Iterator[str]:
    """`promo-sandbox serve` in a process of its own: its base URL."""
    always = ("--port", "0", "--journal-entries", "100000", "--signing-key", KEY)
    command = [sys.executable, "-m", "promo_sandbox", "serve", *always, *options]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:  # noqa: S603 - our own
        assert server.stdout is not None
        try:
            found = next(filter(None, map(_URL.search, server.stdout)), None)
            assert found, "the server did not start"
            yield found[0]
        finally:
            server.terminate()


def run(
    url: str,
    base: str,
    folder: Path,
    *,
    spec: str,
    org: str,
    credentials: tuple[str, ...] = (),
    users: dict[str, str] | None = None,
    admin_token: str = ANY,
    tags: tuple[str, ...] = (),
    bodies: dict[str, list[Any]] | None = None,
    examples: int = EXAMPLES,
) -> Counts:
    """`st run` in all its phases on the server at `url`; fails with what it says unless it finds nothing.

    base: the path that the operations begin with. folder: for what is written. tags: only operations with these.
    spec: the file below `specs/` or elsewhere; its configuration is the file of the same name beside this one.
    credentials: an option of `st run`, and its value; or else users: names, as in the configuration, and their tokens.
    """
    settings = Settings(
        spec=str(ROOT / "specs" / spec),
        counts=str(folder / "counts.json"),
        admin=f"{url}/__admin",
        token=admin_token,
        org=org,
        alone=base == "/__admin",
        bodies=bodies or {},
    )
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(_HERE / f"{Path(spec).stem}.toml")),
        *("run", settings.spec, "--url", f"{url}{base}", *credentials, "--no-color", "--continue-on-failure"),
        *("--max-examples", str(examples)),
        *(("--seed", str(SEED)) if AT_RANDOM else ("--generation-deterministic", "--no-shrink")),
        *(part for tag in tags for part in ("--include-tag", tag)),
    ]
    known = [
        {"name": name, "fixedHeaders": [{"name": "Authorization", "value": f"Bearer {token}"}]}
        for name, token in (users or {}).items()
    ]
    (folder / "users.json").write_text(json.dumps({"auth": known}), encoding="utf-8")
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        # Tables of Unicode, which take seconds to make and would be made for every folder anew.
        "HYPOTHESIS_STORAGE_DIRECTORY": str(ROOT / ".hypothesis"),
        "SCHEMATHESIS_HOOKS": "tests.contract.hooks",
        USERS: str(folder / "users.json"),
        SETTINGS: encode(settings._asdict()).decode(),
    }
    done = subprocess.run(  # noqa: S603 - our own command
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    tell_seed()
    print(done.stdout[-30_000:])  # noqa: T201 - pytest shows it if the test fails
    assert done.returncode == 0, "Schemathesis has found something, see above"
    return Counts(**json.loads((folder / "counts.json").read_text(encoding="utf-8")))


# They take nothing, so there is only one request.
_ASKED_ONCE = ("getHealth", "getVersion", "listScenarios", "getScenarioSchema")


def validate(counts: Counts, *, examples: int = EXAMPLES, scenarios: int | None = None) -> None:
    """As much was sent as was to be sent, and every operation was also answered with a success.

    examples: of each operation that takes anything. scenarios: as many as examples, unless another number is given.
    """
    sent = counts.by_operation("fuzzing")
    for operation in _ASKED_ONCE:
        sent.pop(operation, None)
    for operation, count in sorted(sent.items()):
        print(f"{count:6}  {operation:45}{dict(counts.by_status(operation))}")  # noqa: T201 - for `pytest -rP`
    print(f"{counts.scenarios:6}  scenarios")  # noqa: T201 - the same
    assert {operation: count for operation, count in sent.items() if count < examples} == {}
    assert [operation for operation in sent if min(counts.by_status(operation)) >= 300] == []
    assert counts.scenarios >= (examples if scenarios is None else scenarios)


def admin_client(url: str, token: str = ANY) -> httpx2.Client:
    return httpx2.Client(base_url=f"{url}/__admin", headers={"Authorization": f"Bearer {token}"}, timeout=LONG)


def internal_errors(url: str, admin_token: str = ANY) -> list[Any]:
    """The failures of the sandbox itself that the journals of all its orgs keep."""
    found: list[Any] = []
    with admin_client(url, admin_token) as admin:
        for org in orgs(admin):
            journal = admin.get(f"/orgs/{segment(org)}/requests", params={"internal_error": "true"})
            found += journal.raise_for_status().json()["requests"]
    return found


def orgs(admin: httpx2.Client) -> list[str]:
    found: list[str] = []
    while page := admin.get("/orgs", params={"limit": 1000, "after": found[-1] if found else ""}).json()["orgs"]:
        found += [org["name"] for org in page]
    return found


def segment(name: str) -> str:
    """A name as a segment of a path, every byte encoded, so that `.` and `..` are names too."""
    return "".join(f"%{byte:02X}" for byte in name.encode())
