"""Samples of a mixture by any sampler, and by a Metropolis rule that knows the density."""

from typing import Any

import torch
from torch import Tensor

from models.evaluation.analytic import Mixture
from models.rows.rows import take
from models.schema.specs import SamplerSpec
from models.solvers import SAMPLERS
from models.solvers.base import AnySampler
from models.solvers.kernel import Kernel
from models.solvers.rtk_mala import Proposal, RtkMalaSolver, log_acceptance
from models.work.sampling import sample_problem
from models.work.solve import solve


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
    """Return samples `[rows, D]`. The schedule is the same for all rows and is computed once."""
    one = sample_problem(mixture, spec, seed, torch.zeros(1, dtype=torch.int64))
    many = take(one, torch.zeros(rows, dtype=torch.int64))
    problem: Any = many._replace(key=many.key._replace(number=torch.arange(rows)))
    chosen: Any = solver or SAMPLERS[spec.name]
    state = solve(chosen, problem, mixture)
    found: Tensor = chosen.sample(problem, state).x.flatten(1)
    return found
