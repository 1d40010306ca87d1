"""Step sizes by their acceptance: adapted here, frozen when served."""

import math
from typing import Any

import torch
from torch import Tensor

from models.denoiser import Denoiser
from models.sampling import sample_problem
from models.solvers import SAMPLERS
from models.solvers.base import Status
from models.specs import MAX_STEP_SIZE, MIN_STEP_SIZE, RtkMala

# Between 0.574, the optimum in many dimensions, and 0.8, for chains that must forget their start.
TARGET = 0.65
GAINS = (3.0, 3.0, 2.0, 2.0, 1.0, 1.0, 0.5, 0.5)


def acceptance_by_segment(denoiser: Denoiser, spec: RtkMala, index: Tensor, seed: int) -> Tensor:
    """Share of proposals accepted in each segment `[segments]`, over images `index` `[rows]`."""
    solver: Any = SAMPLERS[spec.name]
    problem = sample_problem(denoiser, spec, seed, index)
    state = solver.init(problem)
    length = spec.evaluations // spec.segments
    accepted = torch.zeros(spec.segments, dtype=torch.float64)
    for evaluation in range(spec.evaluations):
        before = state.accepted
        answer = denoiser.evaluate(solver.ask(problem, state), problem.condition)
        state = solver.tell(problem, state, answer)
        accepted[evaluation // length] += float((state.accepted - before).double().mean())
    assert (solver.status(problem, state) != Status.RUNNING).all()
    return accepted / spec.inner_steps


def adapted(
    denoiser: Denoiser, spec: RtkMala, index: Tensor, seed: int, target: float = TARGET
) -> RtkMala:
    """The spec with a step size for each segment at which about `target` of the proposals is
    accepted; at first its own.

    Robbins-Monro on the logarithm: too high a rate lengthens the step, too low a one shortens it.
    """
    sizes = list(spec.segment_step_sizes)
    for turn, gain in enumerate(GAINS):
        trial = spec.model_copy(update={"step_sizes": tuple(sizes)})
        rates = acceptance_by_segment(denoiser, trial, index, seed + turn)
        sizes = [
            min(max(size * math.exp(gain * (float(rate) - target)), MIN_STEP_SIZE), MAX_STEP_SIZE)
            for size, rate in zip(sizes, rates, strict=True)
        ]
    return spec.model_copy(update={"step_sizes": tuple(float(f"{size:.3g}") for size in sizes)})
