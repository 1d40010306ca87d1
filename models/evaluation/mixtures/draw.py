"""Samples of a mixture by any sampler, and by a Metropolis rule that knows the density."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from models.evaluation.analytic import Mixture
from models.rows.rows import NoiseKey, take
from models.schema.specs import SamplerSpec
from models.solvers import SAMPLERS
from models.solvers.base import AnySampler
from models.solvers.kernel import Kernel
from models.solvers.rtk_mala import Proposal, RtkMalaSolver, log_acceptance
from models.work.sampling import Images, joint_problem, sample_problem
from models.work.solve import solve

# A call of so many rows costs little more than its arithmetic, and its tensors stay in the cache.
CALL_ROWS = 8000


class ExactMala(RtkMalaSolver):
    """RTK-MALA with the exact density (algorithm 2 of the paper with exact energies)."""

    def __init__(self, mixture: Mixture) -> None:
        self.mixture = mixture

    def log_ratio(
        self, kernel: Kernel, step: Tensor, x: Tensor, proposal: Proposal, eps: Tensor
    ) -> Tensor:
        """Return the trapezoid rule's ratio with its integral replaced by the exact difference."""
        mean = (proposal.eps.double() + eps.double()) / 2
        ratio = log_acceptance(kernel, step, x, proposal._replace(middle=mean), eps)
        ends = x.double(), proposal.x.double()
        integral = ((ends[1] - ends[0]) * mean / kernel.there.sigma).flatten(1).sum(1)
        alpha, sigma = kernel.there.alpha.flatten(1), kernel.there.sigma.flatten(1)
        before, after = (self.mixture.log_density(at.flatten(1), alpha, sigma) for at in ends)
        return ratio + integral + after - before


def draw(
    mixture: Mixture, spec: SamplerSpec, rows: int, seed: int, solver: AnySampler | None = None
) -> Tensor:
    """Return samples `[rows, D]` of one seed."""
    return draw_seeds(mixture, spec, rows, [seed], solver)[0]


def draw_seeds(
    mixture: Mixture,
    spec: SamplerSpec,
    rows: int,
    seeds: Sequence[int],
    solver: AnySampler | None = None,
) -> Tensor:
    """Return samples `[seeds, rows, D]`; those of a seed do not depend on the others.

    All rows have one schedule and take the same steps at the same times. The problem therefore
    holds these for a single row, which broadcasts against x; only the keys of the noise have
    `rows`.
    """
    one: Any = sample_problem(mixture, spec, 0, torch.zeros(1, dtype=torch.int64))
    seed = torch.tensor(seeds).repeat_interleave(rows)
    number = torch.arange(rows).repeat(len(seeds))
    keys = zip(torch.split(seed, CALL_ROWS), torch.split(number, CALL_ROWS), strict=True)
    sampler = solver or SAMPLERS[spec.name]
    found = [_solved(sampler, one._replace(key=NoiseKey(*key)), mixture) for key in keys]
    return torch.cat(found).view(len(seeds), rows, -1)


def draw_specs(
    mixture: Mixture, specs: Sequence[SamplerSpec], rows: int, seed: int
) -> list[Tensor]:
    """Return samples `[rows, D]` of each spec; all specs are of one sampler.

    Specs with few rows share calls, since the time of a small call hardly depends on its size.
    """
    shared = CALL_ROWS // rows
    if shared < 2:
        return [draw(mixture, spec, rows, seed) for spec in specs]
    sampler = SAMPLERS[specs[0].name]
    found: list[Tensor] = []
    for first in range(0, len(specs), shared):
        here = specs[first : first + shared]
        wanted = [Images(spec, seed, range(rows)) for spec in here]
        problem = joint_problem(sampler, mixture, wanted, torch.device("cpu"))
        schedule = take(problem.condition, torch.zeros(1, dtype=torch.int64))
        x = _solved(sampler, problem._replace(condition=schedule), mixture)
        found += torch.split(x, rows)
    return found


def _solved(sampler: AnySampler, problem: Any, mixture: Mixture) -> Tensor:
    return sampler.sample(problem, solve(sampler, problem, mixture)).x.flatten(1)
