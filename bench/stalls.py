"""How long one client can keep others waiting: attacks, the server's processor time, a bystander's worst wait.

"Worst work" is the processor time of the server during one wait at most, for which a busy machine counts for less.

usage: python -m bench.stalls [--ours COMMAND] [--only WORD] [--beside JSON] [--out JSON]. Exit code 1 if a wait is over
the limit. `--out` writes the figures, `--beside` shows those of another run and the ratios to them.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.processes import Command, NotMeasuredError, end_all, split_cpus, started
from bench.settings import OURS, new_file, server_command
from tests.limits.attack import Attack, Outcome, Target, outcome
from tests.limits.rows import ROWS

if TYPE_CHECKING:
    from collections.abc import Sequence

LIMIT_MS = 50.0
STRIKES = 3
ORGS = " --max-orgs 30000"


def measure(command: tuple[str, ...], rows: Sequence[Attack]) -> dict[str, dict[str, float]]:
    """The figures of each row in milliseconds: of three attacks, the one with the shortest worst wait."""
    server_cpus, _ = split_cpus()
    found: dict[str, dict[str, float]] = {}
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as home,
        started(Command("ours", command, "/__admin/health"), server_cpus, Path(home)) as server,
    ):
        target = Target(server.port, server.pid, whole=True)
        for attack in rows:
            try:
                found[attack.name] = figures(best(target, attack))
            except (AssertionError, OSError) as error:
                click.echo(f"{attack.name}: {error}", err=True)
                continue
            click.echo(line(attack.name, found[attack.name], None))
    return found


def best(target: Target, attack: Attack) -> Outcome:
    if attack.prepare is not None:
        attack.prepare(target)
    outcomes = []
    for _ in range(STRIKES):
        outcomes.append(outcome(target, attack))
        if outcomes[-1].worst_wait * 1000 <= LIMIT_MS or outcomes[-1].seconds > 1 + LIMIT_MS / 1000:
            break
    return min(outcomes, key=lambda one: one.worst_wait)


def figures(one: Outcome) -> dict[str, float]:
    return {
        "status": one.status,
        "cpu_ms": one.cpu * 1000,
        "reply_ms": one.seconds * 1000,
        "worst_wait_ms": one.worst_wait * 1000,
        "worst_work_ms": one.worst_work * 1000,
        "usual_wait_ms": one.usual_wait * 1000,
    }


def line(name: str, now: dict[str, float], before: dict[str, float] | None) -> str:
    text = f"{name:52} {now['status']:4.0f} {now['cpu_ms']:8.0f} {now['reply_ms']:8.0f} {now['worst_wait_ms']:10.1f}"
    text += f" {now['worst_work_ms']:10.1f}"
    if before is not None:
        ratio = before["worst_wait_ms"] / max(now["worst_wait_ms"], 0.001)
        text += f"   before {before['cpu_ms']:8.0f} {before['worst_wait_ms']:8.1f}   {ratio:7.1f} x"
    return text


def table(found: dict[str, dict[str, float]], before: dict[str, dict[str, float]]) -> list[str]:
    head = f"{'milliseconds':52}      {'CPU':>8} {'reply':>8} {'worst wait':>10} {'worst work':>10}"
    return [head, *(line(name, now, before.get(name)) for name, now in found.items())]


def parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("bench.stalls", description="How long one client can keep others waiting.")
    add = parser.add_argument
    add("--ours", type=server_command, metavar="COMMAND", default=OURS + ORGS, help="our server's command")
    add("--only", metavar="WORD", default="", help="only the rows whose name contains this")
    add("--beside", type=Path, metavar="JSON", help="the figures of another run, to compare with")
    add("--out", type=new_file, metavar="JSON", help="write the figures")
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> int:
    options = parse(argv)
    rows = [row for row in ROWS if options.only.lower() in row.name.lower()]
    try:
        found = measure(options.ours, rows)
    except NotMeasuredError as error:
        click.echo(error, err=True)
        return 2
    finally:
        end_all()
    before: dict[str, Any] = json.loads(options.beside.read_text()) if options.beside else {}
    click.echo("\n" + "\n".join(table(found, before)))
    if options.out:
        options.out.write_text(json.dumps(found, indent=1) + "\n")
    slow = [name for name, one in found.items() if one["worst_wait_ms"] > LIMIT_MS]
    return 2 if len(found) < len(rows) else 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
