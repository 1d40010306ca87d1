"""The script for the day that a GPU is at hand runs on the CPU, and says what it measured."""

import json
from pathlib import Path

import pytest
import torch

from loadtests.gpu import measures
from loadtests.gpu.__main__ import TINY, measured, written
from loadtests.gpu.place import Place, build, flops_of_a_row
from loadtests.gpu.report import markdown
from models.schema.specs import Adams, Ddpm


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """As little of everything as shows that it runs; the service has tests of its own."""
    monkeypatch.setattr(measures, "SIZES", (3,))
    monkeypatch.setattr(measures, "IMAGES", 4)
    monkeypatch.setattr(measures, "DRAWN", (Ddpm(steps=4),))
    monkeypatch.setattr(measures, "SCORED", Adams(probes=2, max_evaluations=10))
    monkeypatch.setattr(measures, "PLACE_OF_ONE", 2)
    monkeypatch.setattr(measures, "SCORED_TOGETHER", 4)

    def service(place: Place, precision: str, bare: float) -> dict[str, float | str]:
        assert bare > 0
        return {
            "kind": f"the service in {precision}",
            "row_evaluations_per_s": 5.0,
            "bare_row_evaluations_per_s": 10.0,
        }

    monkeypatch.setattr(measures, "service", service)


@pytest.mark.usefixtures("small")
def test_every_measurement_has_its_figures() -> None:
    place = Place(build(TINY, torch.device("cpu")), seconds=0.01)
    *_, figures = measured(place, tick=12)
    assert [(call["runtime"], call["precision"]) for call in figures["network"]] == [
        ("eager", "float32"),
        ("cuda-graph", "float32"),
        ("cuda-graph", "bfloat16"),
    ]
    assert [work["kind"] for work in figures["engine"]] == [
        "ddpm, 4 evaluations, float32",
        "ddpm, 4 evaluations, bfloat16",
        "the service in float32",
        "the service in bfloat16",
        "likelihoods, 10 evaluations with two probes",
    ]
    assert all(work["row_evaluations_per_s"] > 0 for work in figures["engine"])
    assert all(0 < work.get("device_busy", 1) <= 1.1 for work in figures["engine"])
    assert figures["image_bytes_equal"] == {"float32": True, "bfloat16": True}
    assert figures["score_difference_nats"] <= 1e-6
    table = markdown(figures)
    assert table.startswith("CPU, torch-")
    assert "| the service in float32 | 5 |  | 0.50 |  |" in table


@pytest.mark.usefixtures("small")
def test_what_was_measured_before_a_failure_is_written(tmp_path: Path) -> None:
    place = Place(build(TINY, torch.device("cpu")), seconds=0.01)
    figures = next(measured(place, tick=12))
    assert "| eager | float32 | 3 |" in written(figures, tmp_path)
    assert (tmp_path / "gpu-cpu.md").read_text().count("| 3 |") == 1
    assert json.loads((tmp_path / "gpu-cpu.json").read_text())["device"] == "CPU"


def test_operations_are_those_of_convolutions_and_products() -> None:
    """Twice the width has about four times the operations."""
    wide = TINY.model_copy(update={"width": 2 * TINY.width})
    assert 3 < flops_of_a_row(wide) / flops_of_a_row(TINY) < 4.5
