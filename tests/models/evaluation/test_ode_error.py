import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from models.cli import models as command
from models.evaluation.ode import error as ode_error
from models.evaluation.ode.error import IN_T, OdeCurves, OdePoint, Precise, ode_curves, ode_table
from models.evaluation.ode.mixture import gaussian_mixture, tokens_of


def curves(*points: tuple[float, float]) -> OdeCurves:
    return OdeCurves(
        name="one",
        images=2,
        probes=1,
        reference_tolerance=1e-3,
        reference_evaluations=900.0,
        points=tuple(
            OdePoint(solver="adams", tolerance=1.0, evaluations=n, error=error, error_95=error)
            for n, error in points
        ),
    )


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ode_error, "TOLERANCES", dict.fromkeys(("adams", "rk45"), (2.0, 0.005)))
    monkeypatch.setattr(ode_error, "RELATIVE", (1e-2, 1e-5))


def test_between_two_points_lie_straight_lines_of_logarithms() -> None:
    found = curves((200, 0.01), (50, 1.0))
    assert found.evaluations_at("adams", 0.1) == pytest.approx(100)
    assert found.evaluations_at("adams", 0.01) == pytest.approx(200)
    assert found.evaluations_at("adams", 0.001) is None
    assert found.evaluations_at("adams", 3.0) == 50
    assert "| 0.05 nats | 123 |" in ode_table(found)
    assert "| 0.05 nats | more |" in ode_table(curves((50, 1.0)))


@pytest.mark.usefixtures("few")
def test_every_solver_comes_nearer_to_the_solution_for_more_evaluations() -> None:
    exact = gaussian_mixture()
    found = ode_curves("mixture", Precise(exact, exact), tokens_of(exact, 4, 0), 2, 0, 0.01)
    for solver in ("adams", "rk45", IN_T):
        coarse, fine = found.of(solver)
        assert fine.evaluations > coarse.evaluations
        assert fine.error < min(coarse.error, 0.03)
        assert fine.error <= fine.error_95 * 2


def test_the_mixture_is_of_one_seed() -> None:
    one, again, other = gaussian_mixture(1), gaussian_mixture(1), gaussian_mixture(2)
    assert torch.equal(tokens_of(one, 5, 3), tokens_of(again, 5, 3))
    assert not torch.equal(one.means, other.means)


@pytest.mark.usefixtures("few")
def test_from_the_command_line_each_run_adds_a_panel(tmp_path: Path) -> None:
    asked = ["evaluate", "ode", "mixture", "--images", "2", "--out", str(tmp_path), "--json"]
    printed = CliRunner().invoke(command, [*asked, "--reference", "0.05"], catch_exceptions=False)
    found = OdeCurves.model_validate(json.loads(printed.stdout))
    assert found == OdeCurves.model_validate_json((tmp_path / "mixture.json").read_bytes())
    assert len(found.points) == 6
    picture = (tmp_path / "ode.png").read_bytes()
    (tmp_path / "other.json").write_text(found.model_copy(update={"name": "x"}).model_dump_json())
    CliRunner().invoke(command, [*asked, "--reference", "0.05"], catch_exceptions=False)
    assert len((tmp_path / "ode.png").read_bytes()) > len(picture)


@pytest.mark.usefixtures("few")
def test_one_solver_is_measured_anew_and_the_others_points_are_kept(tmp_path: Path) -> None:
    asked = ["evaluate", "ode", "mixture", "--images", "2", "--out", str(tmp_path)]
    CliRunner().invoke(command, [*asked, "--reference", "0.05"], catch_exceptions=False)
    path = tmp_path / "mixture.json"
    before = OdeCurves.model_validate_json(path.read_bytes())
    changed = [point.model_copy(update={"error": 7.0}) for point in before.points]
    path.write_text(before.model_copy(update={"points": tuple(changed)}).model_dump_json())
    again = [*asked, "--reference", "0.02", "--solver", "adams"]
    CliRunner().invoke(command, again, catch_exceptions=False)
    after = OdeCurves.model_validate_json(path.read_bytes())
    assert [point.error for point in after.of("adams")] != [7.0, 7.0]
    for solver in ("rk45", IN_T):
        assert [point.error for point in after.of(solver)] == [7.0, 7.0]
    assert after.reference_tolerance == 0.05
    refused = CliRunner().invoke(command, [*again, "--probes", "1"])
    assert refused.exit_code != 0
    assert "other probes" in refused.output
