"""The committed boards are what their Python makes, and every panel says what it means."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from prometheus_client import CollectorRegistry
from rulebook import DEPLOY, promtool

from deploy.grafana.boards.written import written
from service.kinds.anomalies.metrics import P_VALUE
from service.telemetry.queue import QueueMetrics

STORE_WIDE = {
    "mulan_queue_jobs",
    "mulan_queue_cost_row_evaluations",
    "mulan_queue_drain_row_evaluations_per_second",
    "mulan_model_workers",
    "mulan_dead_letters",
    "mulan_store_gaps",
    "mulan_store_gap_seconds",
}
GRAFANA = DEPLOY / "grafana"
BOARDS = {path.name: json.loads(path.read_text()) for path in GRAFANA.glob("dashboards/*.json")}
PANELS = [
    (name, panel)
    for name, board in BOARDS.items()
    for panel in board["panels"]
    if panel["type"] != "row"
]
each_board = pytest.mark.parametrize("name", BOARDS)
each_panel = pytest.mark.parametrize(
    "panel",
    [panel for _, panel in PANELS],
    ids=[f"{name}: {panel['title']}" for name, panel in PANELS],
)


def test_the_committed_boards_are_up_to_date() -> None:
    committed = {path.name: path.read_text() for path in GRAFANA.glob("dashboards/*.json")}
    assert committed == written(), "run: python -m deploy.grafana.boards"


@each_panel
def test_every_panel_says_what_to_conclude(panel: dict[str, Any]) -> None:
    assert len(panel["description"].split(". ")) >= 2, panel["description"]


@each_panel
def test_every_panel_has_a_unit_and_asks_for_something(panel: dict[str, Any]) -> None:
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert all(target["expr"] for target in panel["targets"])


@pytest.mark.parametrize(
    "panel",
    [panel for _, panel in PANELS if panel["type"] == "stat"],
    ids=lambda panel: panel["title"],
)
def test_every_number_changes_colour_where_it_matters(panel: dict[str, Any]) -> None:
    assert len(panel["fieldConfig"]["defaults"]["thresholds"]["steps"]) > 1


@each_board
def test_every_board_can_be_narrowed_to_a_model_a_solver_and_an_instance(name: str) -> None:
    variables = [variable["name"] for variable in BOARDS[name]["templating"]["list"]]
    assert variables == ["datasource", "model", "solver", "instance"]


@each_panel
def test_what_every_api_tells_of_the_store_is_not_asked_of_one_instance(
    panel: dict[str, Any],
) -> None:
    """Chosen, a worker would leave it empty."""
    for target in panel["targets"]:
        for name, matchers in re.findall(r"(mulan[\w:]+)({[^}]*})?", target["expr"]):
            if ":" in name or name in STORE_WIDE:
                assert "instance" not in matchers, target["expr"]


def test_what_is_store_wide_is_what_the_queue_s_metrics_are() -> None:
    registry = CollectorRegistry()
    QueueMetrics(registry).update_workers({"small": 1})
    assert {family.name for family in registry.collect()} == STORE_WIDE


def test_bands_of_p_values_are_of_equal_width() -> None:
    (target,) = next(panel for _, panel in PANELS if panel["title"] == "p-values")["targets"]
    (bands,) = re.findall(r'le=~"([^"]+)"', target["expr"])
    ends = [float(end) for end in bands.split("|")]
    assert np.diff([0.0, *ends]) == pytest.approx(1 / len(ends))
    assert set(ends) <= set(P_VALUE.buckets)
    assert ends[-1] == 1


@pytest.mark.needs("promtool")
@pytest.mark.parametrize("title", ["Flagged, last hour", "Share flagged"])
def test_of_images_none_of_which_was_flagged_the_share_is_nought(
    title: str, tmp_path: Path
) -> None:
    panel = next(panel for _, panel in PANELS if panel["title"] == title)
    series = "mulan_anomaly_verdicts_total"
    given = {
        f'{series}{{model="one",verdict="normal"}}': "0+4x70",
        f'{series}{{model="two",verdict="normal"}}': "0+3x70",
        f'{series}{{model="two",verdict="abnormal"}}': "0+1x70",
    }
    asked = [
        {
            "expr": re.sub(r'"\$\w+"', '".*"', target["expr"]).replace("$__rate_interval", "5m"),
            "eval_time": "1h",
            "exp_samples": [
                {"labels": '{model="one"}', "value": 0},
                {"labels": '{model="two"}', "value": 0.25},
            ],
        }
        for target in panel["targets"]
    ]
    inputs = [{"series": name, "values": values} for name, values in given.items()]
    test = {"interval": "1m", "input_series": inputs, "promql_expr_test": asked}
    path = tmp_path / "flagged.yml"
    path.write_text(yaml.safe_dump({"tests": [test]}))
    tested = promtool("test", "rules", path)
    assert tested.returncode == 0, tested.stdout + tested.stderr


@each_board
def test_no_two_panels_share_an_id_or_a_place(name: str) -> None:
    panels = BOARDS[name]["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, panel["title"]
        taken |= cells


def test_the_boards_ask_the_source_that_is_provisioned() -> None:
    (source,) = _provisioned("datasources/prometheus.yml")["datasources"]
    for board in BOARDS.values():
        variable = board["templating"]["list"][0]
        assert variable["current"]["value"] == source["uid"]
        assert variable["query"] == source["type"]


def test_rates_are_taken_over_what_is_scraped() -> None:
    (source,) = _provisioned("datasources/prometheus.yml")["datasources"]
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    assert source["jsonData"]["timeInterval"] == config["global"]["scrape_interval"]


def _provisioned(name: str) -> Any:
    return yaml.safe_load(Path(GRAFANA / "provisioning" / name).read_text())
