"""The committed boards as what a program can ask Prometheus."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BOARDS = Path(__file__).parent.parent / "deploy" / "grafana" / "dashboards"


@dataclass(frozen=True)
class Panel:
    """One panel; `queries` are (expression, legend), with every variable at "all"."""

    board: str
    title: str
    kind: str
    unit: str
    place: dict[str, int]
    queries: tuple[tuple[str, str], ...]
    defaults: dict[str, Any]

    @property
    def stacked(self) -> bool:
        """True when its series are stacked."""
        return bool(self.defaults.get("custom", {}).get("stacking"))

    @property
    def limits(self) -> bool:
        """True when thresholds are drawn across it."""
        return "thresholdsStyle" in self.defaults.get("custom", {})


def read_boards(rate: str) -> dict[str, list[Panel]]:
    """The panels of each board, rows among them, with rates taken over `rate`."""
    return {
        path.stem: [
            _panel(path.stem, panel, rate) for panel in json.loads(path.read_text())["panels"]
        ]
        for path in sorted(BOARDS.glob("*.json"))
    }


def variables() -> list[tuple[str, str]]:
    """Label and series that each variable of the boards is made of."""
    found = set()
    for path in BOARDS.glob("*.json"):
        for variable in json.loads(path.read_text())["templating"]["list"]:
            if match := re.fullmatch(r"label_values\((.+), (\w+)\)", str(variable["query"])):
                found.add((match[2], match[1]))
    return sorted(found)


def named(legend: str, labels: dict[str, str]) -> str:
    """A series' name by its legend."""
    return re.sub(r"{{(\w+)}}", lambda match: labels.get(match[1], ""), legend)


def _panel(board: str, panel: dict[str, Any], rate: str) -> Panel:
    defaults = panel.get("fieldConfig", {}).get("defaults", {})
    return Panel(
        board,
        panel["title"],
        panel["type"],
        panel.get("options", {}).get("yAxis", defaults).get("unit", ""),
        panel["gridPos"],
        tuple(
            (_plain(target["expr"], rate), target["legendFormat"])
            for target in panel.get("targets", [])
        ),
        defaults,
    )


def _plain(expr: str, rate: str) -> str:
    expr = expr.replace("$__rate_interval", rate)
    return re.sub(r'"\$\w+"', '".*"', expr)
