"""The factors in the solver's estimate of the ODE's error."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from pydantic import ValidationError

from models.checkpoints.checkpoint import load_checkpoint
from models.cli import models as command
from models.evaluation.ode.calibration import calibrate_ode, calibration_table
from models.evaluation.ode.mixture import gaussian_mixture, tokens_of
from models.schema.errors import EvaluationError
from models.schema.ode_error import (
    PARTS,
    UNCALIBRATED,
    UNMEASURED,
    OdeErrorRecord,
    OdeErrorScales,
)
from models.schema.specs import Adams
from models.solvers.adams import AdamsSolver
from models.solvers.rk45 import Rk45Solver
from models.work.likelihood import score_problem
from models.work.solve import solve


def test_the_scaled_estimate_covers_the_error_of_most_images_and_wastes_little() -> None:
    exact = gaussian_mixture()
    found = calibrate_ode("mixture", exact, tokens_of(exact, 24, 0), Adams(), 300, seed=0)
    last = found.trials[-1]
    # Images that the factor was not measured on, against another solver.
    tokens = tokens_of(exact, 40, 1)
    problem = score_problem(exact, tokens, Adams(probing="fixed"), 1, 1, error_scales=found.scales)
    precise = Rk45Solver(60, torch.float64)
    truth, served = (
        solver.density(problem, solve(solver, problem, exact))
        for solver in (precise, AdamsSolver())
    )
    error = (served.prior + served.log_det.mean(1) - truth.prior - truth.log_det.mean(1)).abs()
    assert (error <= served.error).double().mean() >= 0.85
    # The estimate covers the errors at a tenth of the tolerance as well, so that it wastes more.
    assert served.error.median() <= 5 * error.quantile(0.95)
    assert last.covered >= 0.95
    assert last.needed <= found.scales.whole
    assert len(calibration_table(found).splitlines()) == 2 + len(found.trials)


def test_as_many_steps_as_asked_for_are_kept_and_taken() -> None:
    exact = gaussian_mixture()
    tokens = tokens_of(exact, 3, 0)
    few, many = (
        calibrate_ode("mixture", exact, tokens, Adams(), 200, seed=0, least_steps=steps)
        for steps in (72, 110)
    )
    assert many.trials[0].evaluations == pytest.approx(110, rel=0.1)
    assert many.trials[0].evaluations > 1.2 * few.trials[0].evaluations
    assert sum(1 / step for step in many.scales.steps) / PARTS >= 109


def test_measured_steps_keep_to_two_tolerances_and_cost_less_at_the_finer_one() -> None:
    exact = gaussian_mixture()
    found = calibrate_ode("mixture", exact, tokens_of(exact, 12, 0), Adams(), 200, seed=0)
    tokens, evaluations, within = tokens_of(exact, 12, 1), [], []
    for tolerance in (0.5, 0.05):
        spec = Adams(probing="fixed", tolerance_nats=tolerance)
        problem = score_problem(exact, tokens, spec, 1, 1)
        precise = Rk45Solver(60, torch.float64)
        truth = precise.density(problem, solve(precise, problem, exact))
        for scales in (UNCALIBRATED, found.scales):
            problem = score_problem(exact, tokens, spec, 1, 1, error_scales=scales)
            density = AdamsSolver().density(problem, solve(AdamsSolver(), problem, exact))
            error = density.prior + density.log_det.mean(1) - truth.prior - truth.log_det.mean(1)
            within.append(float((error.abs() <= tolerance).double().mean()))
            evaluations.append(float(density.nfe.double().mean()))
    # At 0.5 nats steps are not made longer than those that many probes need.
    assert evaluations[1] <= 1.2 * evaluations[0]
    assert evaluations[3] < 0.8 * evaluations[2]
    assert min(within) >= 0.9


def test_steps_are_shortened_until_errors_keep_to_the_tolerance() -> None:
    exact = gaussian_mixture()
    spec = Adams(tolerance_nats=0.05)
    tokens = tokens_of(exact, 3, 0)
    found = calibrate_ode("mixture", exact, tokens, spec, 200, seed=0, least_steps=20)
    first, second, last = found.trials[0], found.trials[1], found.trials[-1]
    assert first.over(spec.tolerance_nats) > 1
    assert second.steps < first.steps
    assert last.error <= spec.tolerance_nats


def test_a_smaller_factor_of_the_whole_takes_fewer_evaluations() -> None:
    exact = gaussian_mixture()
    tokens, spec, evaluations = tokens_of(exact, 3, 0), Adams(tolerance_nats=0.001), []
    for scales in (UNCALIBRATED, OdeErrorScales(whole=0.1)):
        problem = score_problem(exact, tokens, spec, 0, 1, error_scales=scales)
        density = AdamsSolver().density(problem, solve(AdamsSolver(), problem, exact))
        evaluations.append(int(density.nfe.sum()))
    assert evaluations[1] < 0.8 * evaluations[0]


def test_factors_scale_the_estimate_of_equal_steps_and_nothing_else() -> None:
    exact = gaussian_mixture()
    tokens, solver = tokens_of(exact, 3, 0), AdamsSolver(fixed_steps=20)
    plain, whole, x = (
        solver.density(problem, solve(solver, problem, exact))
        for problem in (
            score_problem(exact, tokens, Adams(), 0, 1, error_scales=scales)
            for scales in (UNCALIBRATED, OdeErrorScales(whole=0.1), OdeErrorScales(x=0.1))
        )
    )
    assert torch.allclose(whole.error, 0.1 * plain.error, rtol=1e-12)
    assert (x.error < plain.error).all()
    for other in (whole, x):
        assert torch.equal(other.log_det, plain.log_det)


def test_an_image_that_cannot_be_scored_is_told() -> None:
    exact = gaussian_mixture()
    spec = Adams(max_evaluations=50)
    with pytest.raises(EvaluationError, match="could not be scored"):
        calibrate_ode("mixture", exact, tokens_of(exact, 2, 0), spec, 130, seed=0)


def test_a_reference_has_more_steps_than_what_it_judges() -> None:
    exact = gaussian_mixture()
    with pytest.raises(EvaluationError, match="give --reference-steps 196 or more"):
        calibrate_ode("m", exact, tokens_of(exact, 2, 0), Adams(), 195, seed=0, least_steps=110)


def test_the_command_writes_the_factors_into_the_manifest_alone(
    small_checkpoint: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "small"
    shutil.copytree(small_checkpoint, folder)
    before = load_checkpoint(folder).manifest
    assert before.ode_error_scales == UNCALIBRATED
    options = ["--images", "3", "--reference-steps", "300", "--json"]
    ran = CliRunner().invoke(command, ["evaluate", "ode-error", str(folder), *options])
    assert ran.exit_code == 0, ran.output
    kept = json.loads(ran.stdout)["kept"]
    after = load_checkpoint(folder).manifest
    assert after.ode_error is not None
    assert after.ode_error.model_dump(mode="json") == kept
    assert after.ode_error_scales == (kept["x_scale"], kept["scale"], tuple(kept["steps"]))
    assert len(kept["steps"]) == PARTS
    assert kept["command"] == (
        "mulan models evaluate ode-error small --images 3 --reference-steps 300 --steps 72 --seed 0"
    )
    assert after.model_copy(update={"ode_error": None}) == before


def test_a_record_has_a_length_for_each_part_or_none() -> None:
    told = {"x_scale": 0.1, "scale": 2.0, "images": 8, "quantile": 0.95, "tolerance_nats": 0.5}
    told |= {"reference_steps": 200, "command": "mulan models evaluate ode-error small"}
    before = OdeErrorRecord.model_validate(told)
    assert before.scales == (0.1, 2.0, UNMEASURED)
    steps = [0.01 * (part + 1) for part in range(PARTS)]
    assert OdeErrorRecord.model_validate(told | {"steps": steps}).scales.steps == tuple(steps)
    for wrong in (steps[1:], [*steps, 0.1], [0.0, *steps[1:]]):
        with pytest.raises(ValidationError, match="steps"):
            OdeErrorRecord.model_validate(told | {"steps": wrong})
