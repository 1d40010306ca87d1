"""The mixture study: its measures on draws of known error, its exact rule, and a small run."""

import csv
import json
import math
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from models.cli import evaluate
from models.evaluation.analytic import Mixture
from models.evaluation.measurement import Measurement
from models.evaluation.mixtures import arms, plots, report, study
from models.evaluation.mixtures.draw import ExactMala, draw
from models.evaluation.mixtures.target import Target
from models.rows.rows import Query, take
from models.schema.specs import Ddpm, RtkMala
from models.solvers.rtk_mala import log_acceptance
from models.work.sampling import sample_problem

ONE = Target("one mode", 2, (1.0,), width=0.1)
SIX = Target("six modes", 3, (1.0,) * 6)
RARE = Target("rare", 2, (0.47, 0.015, 0.015) * 2)


@pytest.mark.parametrize("shift", [0.0, 0.05, 0.2])
def test_accuracy_is_one_less_the_total_variation(shift: float) -> None:
    """Of two Gaussians of one width, 2 Phi(d / 2 s) - 1; here in one coordinate of two."""
    x = ONE.draw(200_000, 0) + torch.tensor([shift, 0.0])
    distance = math.erf(shift / 0.1 / 2**1.5)
    # Bins as wide as 0.4 deviations lose a little of it, and the draws have their own noise.
    assert ONE.accuracy(x) == pytest.approx(1 - distance / 2, abs=0.015)


def test_exact_draws_are_at_the_floor_and_what_lies_outside_is_counted() -> None:
    assert SIX.accuracy(SIX.draw(50_000, 1)) > 0.985
    assert SIX.accuracy(torch.full((100, 3), 50.0)) == pytest.approx(0.0, abs=1e-6)


def test_the_weights_of_rare_modes() -> None:
    counts = torch.tensor([47, 2, 1, 46, 3, 1])
    x = RARE.means.repeat_interleave(counts, dim=0) + 0.01
    assert RARE.mode_weights(x).tolist() == pytest.approx((counts / 100).tolist())
    assert RARE.rare_error(x) == pytest.approx(0.07 / 0.06 - 1)
    assert RARE.has_rare
    assert not SIX.has_rare
    assert SIX.rare_error(SIX.draw(100, 0)) == pytest.approx(0.0)


def test_what_chance_does_to_the_weights_of_rare_modes() -> None:
    errors = torch.tensor([RARE.rare_error(RARE.draw(300, seed)) for seed in range(400)])
    assert float(errors.std()) == pytest.approx(RARE.rare_chance(300), rel=0.15)
    assert SIX.rare_chance(300) == 0


def test_a_fine_walk_draws_the_target() -> None:
    x = draw(SIX.denoiser(), Ddpm(steps=100), 2000, 0)
    assert x.shape == (2000, 3)
    assert SIX.accuracy(x) > SIX.accuracy(SIX.draw(2000, 1)) - 0.02


def test_the_score_in_closed_form_is_the_gradient_of_the_density() -> None:
    mixture = RARE.denoiser()
    rows = torch.zeros(50, 0)
    query = Query(RARE.draw(50, 0).float().view(50, 1, 2, 1), torch.linspace(0, 1, 50).double())
    condition = mixture.condition(rows)
    torch.testing.assert_close(
        mixture.evaluate(query, condition).eps, Mixture.evaluate(mixture, query, condition).eps
    )


def test_on_a_gaussian_the_density_decides_as_the_trapezoid_rule_does() -> None:
    mixture = ONE.denoiser()
    spec = RtkMala(segments=2, inner_steps=6, step_sizes=(0.6, 300.0))
    torch.testing.assert_close(
        draw(mixture, spec, 200, 3, ExactMala(mixture)), draw(mixture, spec, 200, 3)
    )


def test_the_density_decides_as_the_line_integral_of_the_score_does() -> None:
    """By an integral so fine that its rule does not matter; Simpson's would be off."""
    mixture = SIX.denoiser()
    solver: Any = ExactMala(mixture)
    spec = RtkMala(segments=2, inner_steps=3, step_sizes=(1.5, 1.5), start="kernel")
    one = sample_problem(mixture, spec, 0, torch.zeros(1, dtype=torch.int64))
    many = take(one, torch.zeros(200, dtype=torch.int64))
    problem: Any = many._replace(key=many.key._replace(number=torch.arange(200)))
    state = solver.init(problem)
    state = solver.tell(
        problem, state, mixture.evaluate(solver.ask(problem, state), problem.condition)
    )
    walk, query = state.walk, solver.ask(problem, state)
    eps = mixture.evaluate(query, problem.condition).eps
    kernel = walk.kernel()
    step = torch.full((200,), 1.5, dtype=torch.float64)
    proposal = state.own
    x, y, count = walk.x.double(), proposal.x.double(), 400
    along = sum(
        mixture.evaluate(
            Query(x + (y - x) * (i + 0.5) / count, walk.there.t), problem.condition
        ).eps
        for i in range(count)
    )
    middle = (6 * along / count - proposal.eps.double() - eps.double()) / 4
    fine = log_acceptance(kernel, step, walk.x, proposal._replace(middle=middle), eps)
    exact = solver.log_ratio(kernel, step, walk.x, proposal, eps)
    mean = (proposal.eps + eps) / 2
    trapezoid = log_acceptance(kernel, step, walk.x, proposal._replace(middle=mean), eps)
    torch.testing.assert_close(exact, fine, rtol=1e-3, atol=2e-3)
    assert (exact - trapezoid).abs().max() > 0.1


def test_every_candidate_takes_an_inner_step_and_keeps_to_its_budget() -> None:
    for arm in arms.every_arm():
        for budget in (10, 20, 30, 60, 100):
            specs: list[Any] = arm.specs(budget, lambda frame: (0.5,) * frame.segments)
            assert all(spec.evaluations <= budget for spec in specs)
            assert all(getattr(spec, "inner_steps", 1) >= 1 for spec in specs)
            if budget >= 20:
                assert max(spec.evaluations for spec in specs) >= 0.75 * budget


def test_no_worse_allows_two_standard_errors_of_the_difference() -> None:
    def figure(mean: float) -> Measurement:
        return Measurement(mean=mean, standard_error=0.01)

    assert report.no_worse(figure(0.9), figure(0.92))
    assert not report.no_worse(figure(0.9), figure(0.93))


def test_a_small_study_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = {"ROWS": 60, "TUNING_ROWS": 40, "ADAPTING_ROWS": 20, "RARE_ROWS": 30, "RARE_DRAWS": 2}
    for name, value in rows.items():
        monkeypatch.setattr(study, name, value)
    frames = (arms.uneven(3, "ancestral"), arms.Frame(2, "kernel"))
    monkeypatch.setattr(arms, "TUNED_FRAMES", frames)
    monkeypatch.setattr(study, "COMPARED", (20,))
    monkeypatch.setattr(report, "COMPARED", (20,))
    monkeypatch.setattr(plots, "SHOWN_ROWS", 100)
    command = ["mog", "--target", "10-D, rare modes", "--budget", "20", "--seeds", "2"]
    printed = CliRunner().invoke(
        evaluate, [*command, "--json", "--out", str(tmp_path)], catch_exceptions=False
    )
    found = json.loads(printed.stdout)
    points = {point["arm"]: point for point in found["points"]}
    twins = [arm.twin for arm in arms.every_arm() if arm.twin is not None]
    assert len(points) == 1 + len(arms.every_arm()) + len(twins)
    assert points[twins[-1]]["spec"] == points["rtk-mala, trapezoid, tuned"]["spec"]
    assert 12 < points["rtk-mala, Simpson, tuned"]["evaluations"] <= 20
    assert points["ddpm, uniform t"]["spec"]["grid"] == "ou"
    # Exact draws, DDPM, dpm-2m, four kinds of RTK, and exact energies for the two of them that have
    # an energy.
    assert [row["draws"] for row in found["rare_weights"]] == [60] * 9
    text = report.summary(report.Findings.model_validate(found))
    assert text.count("| 10-D, rare modes | 20 |") == 2
    assert f"{points['ddpm, uniform t']['accuracy']['mean']:.4f}" in text
    with (tmp_path / "mog.csv").open(encoding="utf-8") as file:
        table = {row["arm"]: row for row in csv.DictReader(file)}
    assert table.keys() == points.keys()
    for arm, row in table.items():
        assert float(row["accuracy"]) == pytest.approx(points[arm]["accuracy"]["mean"], abs=1e-5)
        assert (json.loads(row["spec"]) if row["spec"] else None) == points[arm]["spec"]
    for name in ("accuracy.png", "slice-10-d-rare-modes.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_a_tuned_arm_takes_the_spec_that_draws_best(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "TUNING_ROWS", 1000)
    good, bad = Ddpm(steps=20), Ddpm(steps=20, grid="ou")

    def no_sizes(frame: arms.Frame) -> tuple[float, ...]:
        raise AssertionError(frame)

    for order in ([good, bad], [bad, good]):
        arm = arms.Arm("both", lambda budget, sizes, specs=order: list(specs))
        best = study.Study(SIX, 2)._best(arm, 20, no_sizes)
        assert best == good


def test_processes_do_not_change_the_results() -> None:
    names = ["ddim", "dpm-2m"]
    alone, divided = (study.Study(SIX, 2, (5,), processes) for processes in (1, 2))
    expected = alone._map(partial(alone._points, {}), names, "alone")
    assert divided._map(partial(divided._points, {}), names, "divided") == expected
    assert [len(points) for points in expected] == [1, 1]
