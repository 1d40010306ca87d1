"""The ends of steps: by rule, or as the caller has it."""

import math
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from models.evaluation.analytic import Gaussian
from models.rows.rows import concat
from models.schema.config import ModelConfig
from models.schema.fields import Grid
from models.schema.specs import Ddpm, RtkMala, RtkUla, RtkUld, SamplerSpec
from models.solvers import SAMPLERS
from models.solvers.base import Problem
from models.solvers.grid import GRIDS
from models.work.sampling import sample_problem
from models.work.solve import solve

CONFIG = ModelConfig(image_shape=(1, 2, 1), latent_size=3, latent_k=1, gamma_min=-9, gamma_max=6)
DENOISER = Gaussian(CONFIG, torch.tensor([0.3, -0.2]), torch.eye(2))


def problem(spec: SamplerSpec, rows: int = 3) -> Problem[Any]:
    return sample_problem(DENOISER, spec, 0, torch.arange(rows))


def gammas(rows: Problem[Any], steps: int) -> Tensor:
    """Mean gamma at every point, `[steps + 1, rows]`."""
    condition, points = rows.condition, rows.columns
    found = []
    for index in range(steps + 1):
        t = points.time(condition, torch.full_like(points.steps, index))
        found.append(condition.schedule.gamma(t).flatten(1).mean(1))
    return torch.stack(found)


@pytest.mark.parametrize("grid", GRIDS)
def test_every_grid_falls_from_noise_to_image_and_stays(grid: Grid) -> None:
    found = gammas(problem(Ddpm(steps=7, grid=grid)), 9)
    assert (found[:7] > found[1:8]).all()
    torch.testing.assert_close(found[0], torch.full((3,), 6.0).double())
    assert (found[7:] == -9).all()


def test_the_ornstein_uhlenbeck_grid_is_even_in_its_time() -> None:
    """alpha = e^-t there, and e^-t is known from gamma."""
    found = gammas(problem(Ddpm(steps=5, grid="ou")), 5)
    times = -torch.log(torch.sigmoid(-found).sqrt())
    last = math.log1p(math.exp(6)) / 2
    expected = last * torch.tensor([1, 0.8, 0.6, 0.4, 0.2]).double()
    torch.testing.assert_close(times[:5], expected[:, None].expand(-1, 3))


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_a_power_bends_a_grid(power: float) -> None:
    found = gammas(problem(Ddpm(steps=4, power=power)), 4)
    expected = torch.tensor([-9 + 15 * s**power for s in (1, 0.75, 0.5, 0.25, 0)]).double()
    torch.testing.assert_close(found, expected[:, None].expand(-1, 3))


def test_points_of_ones_own_are_network_times() -> None:
    own = (0.9, 0.5, 0.45)
    found = gammas(problem(Ddpm(steps=4, points=own)), 4)
    expected = torch.tensor([-9 + 15 * s for s in (1, *own, 0)]).double()
    torch.testing.assert_close(found, expected[:, None].expand(-1, 3))


def test_rows_of_different_grids_share_a_lane() -> None:
    specs = [Ddpm(steps=4, points=(0.9, 0.5, 0.45)), Ddpm(steps=300), Ddpm(steps=5, grid="ou")]
    alone = [problem(spec) for spec in specs]
    found = gammas(concat(alone), 300)
    for index, rows in enumerate(alone):
        assert torch.equal(found[:, 3 * index : 3 * index + 3], gammas(rows, 300))


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("own", [None, (0.9, 0.5, 0.45)])
def test_the_table_has_what_the_rule_says(grid: Grid, own: tuple[float, ...] | None) -> None:
    rows = problem(Ddpm(steps=4, grid=grid, power=0.7, points=own))
    ruled = rows.columns._replace(times=rows.columns.times[:, :0])
    for index in range(7):
        at = torch.full_like(ruled.steps, index)
        assert torch.equal(rows.columns.time(rows.condition, at), ruled.time(rows.condition, at))


def test_a_walk_of_too_many_steps_is_refused() -> None:
    rows = problem(Ddpm(steps=4))
    with pytest.raises(ValueError, match="at most 1000"):
        rows.columns.tabulated(rows.condition, [Ddpm.model_construct(steps=1001)])


@pytest.mark.parametrize("rtk", [RtkUla, RtkMala, RtkUld])
def test_each_segment_has_its_step_size(rtk: type[RtkUla | RtkMala | RtkUld]) -> None:
    """Equal sizes are one size; another one changes what follows, and nothing before."""
    sizes = [(0.4, 0.4, 0.4), (0.4, 0.4, 0.8), (0.4, 0.2, 0.4)]
    shared: dict[str, Any] = {"segments": 3, "inner_steps": 2}
    specs = [rtk(step_size=0.4, **shared)] + [rtk(step_sizes=size, **shared) for size in sizes]
    solver = SAMPLERS[specs[0].name]
    ends = [solver.sample(rows, solve(solver, rows, DENOISER)).x for rows in map(problem, specs)]
    assert torch.equal(ends[0], ends[1])
    assert not torch.equal(ends[0], ends[2])
    assert not torch.equal(ends[0], ends[3])
    paths = []
    for spec in specs[1:3]:
        rows = problem(spec)
        state = solver.init(rows)
        for _ in range(2 * spec.evaluations // 3):
            answer = DENOISER.evaluate(solver.ask(rows, state), rows.condition)
            state = solver.tell(rows, state, answer)
        paths.append(solver.sample(rows, state).x)
    assert torch.equal(*paths)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"steps": 3, "points": (0.5,)}, "3 steps have 2 points"),
        ({"steps": 3, "points": (0.5, 0.5)}, "must fall"),
        ({"steps": 3, "points": (0.5, 0.7)}, "must fall"),
        ({"steps": 2, "points": (1.0,)}, "less than 1"),
        ({"steps": 2, "points": (0.0,)}, "greater than 0"),
        ({"steps": 2, "points": (math.nan,)}, "finite"),
        ({"points": tuple(1 - i / 200 for i in range(1, 150)), "steps": 150}, "at most 99"),
    ],
)
def test_points_that_are_none_are_refused(wrong: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        Ddpm(**wrong)


@pytest.mark.parametrize("sizes", [(0.4,), (), (0.4, 0.4, 0.4), (0.4, 0.0)])
def test_step_sizes_are_one_a_segment(sizes: tuple[float, ...]) -> None:
    with pytest.raises(ValidationError):
        RtkUla(segments=2, step_sizes=sizes)
