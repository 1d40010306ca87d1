"""Step sizes of RTK-MALA, adapted here to a target acceptance rate and fixed when served."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from models.rows.denoiser import Denoiser
from models.schema.fields import MAX_STEP_SIZE, MIN_STEP_SIZE
from models.schema.specs import RtkMala
from models.solvers.kernel import segment_table
from models.solvers.rtk_mala import RtkMalaSolver
from models.work.sampling import problem_for

# A target between 0.574, the optimum in many dimensions (Roberts & Rosenthal, 1998), and 0.8, which
# suits chains that have to forget their start.
TARGET = 0.65
# Gains of Robbins and Monro's rule at each proposal of a segment. The sizes after the last few
# proposals are averaged.
GAINS = (3.0,) * 5 + (2.0,) * 3 + (1.0,) * 4 + (0.5,) * 4
AVERAGED = 4


def adapted(
    denoiser: Denoiser, spec: RtkMala, index: Tensor, seed: int, target: float = TARGET
) -> RtkMala:
    """Return the spec with a step size for each segment at which about `target` of the proposals is
    accepted, over images `index` `[rows]` of a request with `seed`; it begins from the spec's own.

    The sizes are adapted over images `index` `[rows]`, starting from the spec's own. One walk runs
    with a long chain in every segment; after each proposal the logarithm of the step changes by
    gain times (acceptance - target).
    """
    sizes, last = list(spec.segment_step_sizes), [0.0] * spec.segments
    chain = spec.model_copy(update={"inner_steps": len(GAINS)})
    for segment, step, rate in _proposals(denoiser, chain, index, seed, sizes):
        moved = sizes[segment] * math.exp(GAINS[step] * (rate - target))
        sizes[segment] = min(max(moved, MIN_STEP_SIZE), MAX_STEP_SIZE)
        if step >= len(GAINS) - AVERAGED:
            last[segment] += math.log(sizes[segment]) / AVERAGED
    frozen = tuple(float(f"{math.exp(mean):.3g}") for mean in last)
    return spec.model_copy(update={"step_sizes": frozen})


def acceptance_by_segment(denoiser: Denoiser, spec: RtkMala, index: Tensor, seed: int) -> Tensor:
    """Return the share of proposals accepted in each segment `[segments]`, over images `index`
    `[rows]` of a request with `seed`."""
    rates = torch.zeros(spec.segments, dtype=torch.float64)
    sizes = list(spec.segment_step_sizes)
    for segment, _, rate in _proposals(denoiser, spec, index, seed, sizes):
        rates[segment] += rate / spec.inner_steps
    return rates


def _proposals(
    denoiser: Denoiser, spec: RtkMala, index: Tensor, seed: int, sizes: list[float]
) -> Iterator[tuple[int, int, float]]:
    """Yield for every proposal of one walk its segment, its place in the chain and its acceptance
    rate.

    The walk reads `sizes` at each evaluation, so the caller may change them.
    """
    solver = RtkMalaSolver()
    problem = problem_for(solver, denoiser, spec, seed, index)
    state = solver.init(problem)
    start = spec.evaluations - spec.segments * spec.chain
    for evaluation in range(spec.evaluations):
        table = segment_table(sizes, len(index), index.device)
        problem = problem._replace(columns=problem.columns._replace(step_size=table))
        before = state.own.accepted
        answer = denoiser.evaluate(solver.ask(problem, state), problem.condition)
        state = solver.tell(problem, state, answer)
        segment, phase = divmod(evaluation - start, spec.chain)
        step, rest = divmod(phase, spec.evaluations_per_step)
        if segment >= 0 and step > 0 and rest == 0:
            yield segment, step - 1, float((state.own.accepted - before).double().mean())
