"""The report of a run: a CSV of all cells, and a page with tables."""

import csv
import dataclasses
import math
import platform
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from loadtests.peers.core import Choice
from loadtests.peers.lines import users_lines
from loadtests.peers.measures import SLACK, Agreement, Cell
from loadtests.peers.runner import Found
from loadtests.peers.scenarios import Plan
from loadtests.peers.traffic import Scenario

COLUMNS = (
    *("server", "answered", "p50, s", "p95, s", "p99, s", "in time", "goodput", "throughput"),
    *("of bare loop", "long ones, mean s", "processor, ms a request"),
)
PACKAGES = ("litserve", "mosec", "fastapi", "uvicorn", "redis", "torch", "onnxruntime")


def write_csv(cells: Sequence[Cell], path: Path) -> None:
    """Write one line for each cell."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([column.name for column in dataclasses.fields(Cell)])
        writer.writerows([map(_plain, dataclasses.astuple(cell)) for cell in cells])


def page(
    command: str,
    choice: Choice,
    plan: Plan,
    found: Found,
    cells: Sequence[Cell],
    agreements: Mapping[str, Agreement],
) -> str:
    """Return everything that a run found as a page in Markdown."""
    own, shared = users_lines()
    rates = sorted(found.bare)
    middle = rates[len(rates) // 2]
    late = max((cell.client_late_ms for cell in cells), default=0.0)
    return "\n".join(
        [
            f"# The service beside its peers: {choice.model}, {choice.runtime}",
            "",
            f"{datetime.now(UTC):%Y-%m-%d}, `{command}`: {plan.rounds} rounds, network threads: "
            f"{choice.threads}. {machine()}. {versions()}. [What was compared, and how to read "
            "this](README.md).",
            "",
            f"The bare loop made {found.bare[0]:.0f} row-evaluations/s at the start, which load 1 "
            f"means, and {middle:.0f} in the median of {len(rates)} measurements over the run, "
            f"from {rates[0]:.0f} to {rates[-1]:.0f}. The client was at most {late:.0f} ms late in "
            f"sending. A request is in time within {SLACK:g} times what its evaluations take in "
            "full calls of the bare loop. Goodput and throughput are in row-evaluations/s.",
            "",
            f"![Latency]({choice.runtime}-latency.png)",
            "",
            f"![Goodput]({choice.runtime}-goodput.png)",
            "",
            tables(cells, plan.scenarios),
            "## Answers compared with ours",
            "",
            agreement_table(agreements),
            "",
            "## Servers",
            "",
            server_table(found, cells),
            "",
            *_alone(found),
            f"The continuous loop is {own} lines of code by its user, beside {shared} that every "
            "peer needs to read requests and make answers.",
            "",
        ]
    )


def _alone(found: Found) -> list[str]:
    """Return how much of a request's processor time at the free network is no server's."""
    if found.alone_ms is None:
        return []
    return [
        f"At the network that costs nothing, {found.alone_ms:.1f} ms of a request's processor time "
        "are the solver's and the picture's own, measured without any server.",
        "",
    ]


def tables(cells: Sequence[Cell], scenarios: Sequence[Scenario]) -> str:
    """Return a table in Markdown for each scenario and load."""
    lines: list[str] = []
    for scenario in scenarios:
        for load in scenario.loads:
            here = [cell for cell in cells if (cell.scenario, cell.load) == (scenario.name, load)]
            if here:
                rows = [_row(cell, scenario) for cell in here]
                lines += [f"## {heading(scenario, load)}", "", *_table(COLUMNS, rows), ""]
    return "\n".join(lines)


def agreement_table(agreements: Mapping[str, Agreement]) -> str:
    """Return how many answers of each server were those of the reference."""
    rows = (
        (name, *map(str, (one.images, one.same_images, one.scores, one.same_scores)))
        for name, one in agreements.items()
    )
    columns = ("server", "pictures compared", "equal", "scores compared", "equal to 1e-6")
    return "\n".join(_table(columns, rows))


def server_table(found: Found, cells: Sequence[Cell]) -> str:
    """Return each server's memory, and the processors that it keeps busy without requests."""
    names = dict.fromkeys(cell.server for cell in cells)
    rows = (
        (
            name,
            f"{max(cell.resident_mb for cell in cells if cell.server == name):.0f}",
            f"{found.idle[name]:.2f}" if name in found.idle else "",
        )
        for name in names
    )
    columns = ("server", "resident memory, MB", "processors busy while idle")
    return "\n".join(_table(columns, rows))


def heading(scenario: Scenario, load: float) -> str:
    """Return a title of a cell, with its load where that means something."""
    title = scenario.title[:1].upper() + scenario.title[1:]
    return title if scenario.arrivals == "at once" or load == 1.0 else f"{title}, load {load}"


def versions() -> str:
    """Return the versions of what is compared, of packages that are installed."""
    installed = {found.metadata["Name"].lower() for found in metadata.distributions()}
    named = [f"{name} {metadata.version(name)}" for name in PACKAGES if name in installed]
    return ", ".join([f"Python {platform.python_version()}", *named])


def machine() -> str:
    """Return the name and the number of the processors."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} x {names[0]}" if names else platform.processor()


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    return lines + [f"| {' | '.join(row)} |" for row in rows]


def _row(cell: Cell, scenario: Scenario) -> tuple[str, ...]:
    # Below saturation it would only repeat the load.
    of_bare = f"{cell.of_bare:.2f}" if scenario.arrivals == "at once" else ""
    long = "" if cell.long_end_s is None else _seconds(cell.long_end_s)
    return (
        *(cell.server, f"{cell.answered} of {cell.requests}"),
        *(_seconds(cell.p50), _seconds(cell.p95), _seconds(cell.p99)),
        *(f"{cell.attainment:.0%}", f"{cell.goodput:.0f}", f"{cell.throughput:.0f}"),
        *(of_bare, long, f"{cell.spent_ms:.1f}"),
    )


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f}" if math.isfinite(seconds) else "not answered"


def _plain(value: object) -> object:
    return f"{value:.6g}" if isinstance(value, float) else value
