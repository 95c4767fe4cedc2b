"""The tables, the targets, and the JSON of a whole run of the benchmark."""

from __future__ import annotations

import json
import os
import platform
import statistics
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bench.large import PAGE, Large
from bench.scenarios import SCENARIOS
from bench.traffic import NOISE

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.settings import Settings
    from bench.traffic import Measured

COLD_START_RATIO = 2.5
BYTES_PER_CARD = 1500
PAGE_MS = 5.0
LARGE_RATIO = 0.9
LARGE_P99_MS = 10.0
RESET_MS = 5.0


@dataclass(frozen=True)
class Pair:
    """The floor and our server in the same scenario, measured one after the other."""

    round: int
    scenario: str
    connections: int
    floor: Measured
    ours: Measured


@dataclass
class Starts:
    """Cold starts in seconds and idle memory in bytes of one server."""

    seconds: list[float] = field(default_factory=list)
    idle_rss: list[int] = field(default_factory=list)


@dataclass
class Results:
    starts: dict[str, Starts] = field(default_factory=dict)
    pairs: list[Pair] = field(default_factory=list)
    large: Large | None = None
    problems: list[str] = field(default_factory=list)
    """The figures that could not be measured, with the reasons."""

    def of(self, scenario: str, connections: int) -> list[Pair]:
        return [pair for pair in self.pairs if (pair.scenario, pair.connections) == (scenario, connections)]


@dataclass(frozen=True)
class Target:
    """A figure and its limit. The figure is None if it could not be measured."""

    what: str
    figure: float | None
    limit: float
    unit: str
    at_least: bool = False

    @property
    def verdict(self) -> str:
        if self.figure is None:
            return "not measured"
        return "reached" if (self.figure >= self.limit if self.at_least else self.figure <= self.limit) else "missed"

    def line(self) -> str:
        figure = "-" if self.figure is None else f"{self.figure:.2f}"
        return f"  {self.verdict:12s} {self.what}: {figure} {self.unit}, at {self.side} {self.limit:g}"

    @property
    def side(self) -> str:
        return "least" if self.at_least else "most"


def ratio(pairs: list[Pair]) -> float | None:
    """Our requests per second divided by the floor's; the median of all rounds."""
    if not pairs:
        return None
    return statistics.median(pair.ours.requests_per_second / pair.floor.requests_per_second for pair in pairs)


def targets(settings: Settings, results: Results) -> list[Target]:
    found = []
    for name in settings.scenarios:
        wanted = SCENARIOS[name].target
        if wanted is not None:
            for count in settings.connections:
                figure = ratio(results.of(name, count))
                found.append(Target(f"{name} with {count} connections", figure, wanted, "of the floor", at_least=True))
    ours, floor = results.starts.get("ours"), results.starts.get("floor")
    cold = statistics.median(ours.seconds) / statistics.median(floor.seconds) if ours and floor else None
    found.append(Target("cold start", cold, COLD_START_RATIO, "times the floor's"))
    return found + (large_targets(results.large) if results.large else [])


def large_targets(large: Large) -> list[Target]:
    stored = f"with {large.cards:,} cards"
    kilobytes = None if large.bytes_per_card is None else large.bytes_per_card / 1000
    found = [Target(f"memory per card {stored}", kilobytes, BYTES_PER_CARD / 1000, "kB")]
    found += [
        Target(f"{name} {stored}", large.ratio(name), LARGE_RATIO, "of the rate with an empty org", at_least=True)
        for name in ("get", "post")
    ]
    found += [
        Target(f"page of {PAGE} at offset {offset:,}", large.page_ms.get(offset), PAGE_MS, "ms")
        for offset in large.offsets()
    ]
    found.append(Target(f"p99 of get {stored}", large.p99_ms(), LARGE_P99_MS, "ms"))
    reset = statistics.median(large.reset_ms) if large.reset_ms else None
    return [*found, Target(f"reset of an org {stored}", reset, RESET_MS, "ms")]


def median_of(measured: list[Measured], figure: Callable[[Measured], float]) -> float:
    return statistics.median(map(figure, measured))


def row(name: str, connections: int, pairs: list[Pair]) -> str:
    ours, floor = [pair.ours for pair in pairs], [pair.floor for pair in pairs]
    cells = [f"  {name:9s}{connections:>6d}"]
    for figure, form in (
        (lambda m: m.requests_per_second, "9.0f"),
        (lambda m: m.p50_ms, "7.2f"),
        (lambda m: m.p99_ms, "7.2f"),
        (lambda m: m.cpu_us, "6.1f"),
    ):
        cells += [f"{median_of(ours, figure):{form}}", f"{median_of(floor, figure):{form}}"]
    cells.insert(3, f"{ratio(pairs) or 0:6.2f}")
    return " ".join(cells)


def table(settings: Settings, results: Results) -> list[str]:
    lines = [
        "  scenario        requests per second  ratio     p50 in ms       p99 in ms   CPU µs/request",
        "           conns      ours     floor            ours   floor    ours   floor   ours  floor",
    ]
    for name in settings.scenarios:
        for connections in settings.connections:
            pairs = results.of(name, connections)
            lines.append(row(name, connections, pairs) if pairs else f"  {name:9s}{connections:>6d}  not measured")
    return lines


def starts_table(results: Results) -> list[str]:
    lines = ["           cold start in s  (fastest to slowest)   idle memory in MB"]
    for name in ("ours", "floor"):
        starts = results.starts.get(name)
        if starts:
            seconds, rss = starts.seconds, statistics.median(starts.idle_rss) / 1e6
            spread = f"({min(seconds):.3f} to {max(seconds):.3f})"
            lines.append(f"  {name:9s}{statistics.median(seconds):15.3f}  {spread:>20s}   {rss:17.1f}")
    return lines


def large_lines(large: Large) -> list[str]:
    """The figures that have no target."""
    lines = []
    if large.seeding_seconds:
        lines.append(f"  stored {large.cards:,} cards in {large.seeding_seconds:.1f} s")
    for name, pairs in large.runs.items():
        rates = [statistics.median(one.requests_per_second for one in side) for side in zip(*pairs, strict=True)]
        lines.append(f"  {name}: {rates[1]:.0f} requests per second with the full org, {rates[0]:.0f} with an empty")
    if (slowest := large.max_ms()) is not None:
        lines.append(f"  slowest get with the full org: {slowest:.2f} ms")
    if large.reset_ms:
        lines.append(f"  resets took {', '.join(f'{ms:.2f}' for ms in large.reset_ms)} ms")
        meanwhile, calm = max(large.other_org_max_ms), max(large.other_org_calm_ms)
        lines.append(f"  slowest answer to another org meanwhile {meanwhile:.2f} ms, without a reset {calm:.2f} ms")
    return lines


def machine(settings: Settings) -> dict[str, str]:
    model = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    pinned = f"server on {sorted(settings.server_cpus)}, load on {sorted(settings.load.cpus)}"
    return {
        "cpu": f"{os.cpu_count()} x {model[0].partition(':')[2].strip() if model else platform.machine()}",
        "python": platform.python_version(),
        "load": settings.load.kind,
        "pinned": pinned if settings.server_cpus else "no: only one CPU",
    }


def noise_lines(results: Results) -> list[str]:
    """A warning if other processes disturbed the measurements."""
    seen = [one.other_work for pair in results.pairs for one in (pair.floor, pair.ours)]
    if results.large:
        seen += [one.other_work for pairs in results.large.runs.values() for pair in pairs for one in pair]
    disturbed = [other for other in seen if other > NOISE]
    if not disturbed:
        return []
    most = f"up to {max(disturbed):.2f} s of CPU per second"
    return [
        "",
        f"Other processes disturbed {len(disturbed)} of {len(seen)} runs ({most}): repeat them on an idle machine.",
    ]


def text(settings: Settings, results: Results) -> str:
    about = ", ".join(f"{name} {value}" for name, value in machine(settings).items())
    lines = [about, "", *table(settings, results), "", *starts_table(results)]
    if results.large:
        lines += ["", f"One org with {results.large.cards:,} cards", *large_lines(results.large)]
    lines += ["", "Targets", *(target.line() for target in targets(settings, results))]
    if results.problems:
        lines += ["", "Could not be measured", *(f"  {problem}" for problem in results.problems)]
    return "\n".join(lines + noise_lines(results))


def write_json(settings: Settings, results: Results, file: Path) -> None:
    validated = [asdict(target) | {"verdict": target.verdict} for target in targets(settings, results)]
    options = {name: getattr(settings, name) for name in ("seconds", "rounds", "connections", "scenarios", "cards")}
    whole = {"machine": machine(settings), "options": options, "targets": validated, **asdict(results)}
    file.write_text(json.dumps(whole, indent=1) + "\n")
