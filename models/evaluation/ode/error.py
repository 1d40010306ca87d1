"""The error of solvers of the probability-flow ODE, over their network evaluations."""

import copy
import itertools
import math
import sys
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from tqdm import tqdm

from models.checkpoints.checkpoint import Checkpoint
from models.evaluation.defaults import IN_T_SHORT, ODE_SOLVERS, REFERENCE_TOLERANCE
from models.evaluation.likelihood import adaptive
from models.evaluation.likelihood.paper import Flow
from models.evaluation.measurement import EvaluationRecord
from models.evaluation.ode.watched import solve_watched
from models.rows.denoiser import Denoiser
from models.runtimes.eager import eager_denoiser
from models.schema.errors import EvaluationError
from models.schema.ode_error import UNCALIBRATED, OdeErrorScales
from models.schema.specs import Adams
from models.solvers.adams import AdamsSolver
from models.solvers.adaptive import Adaptive
from models.solvers.base import Problem
from models.solvers.flow import Columns
from models.solvers.rk45 import Rk45Solver
from models.work.likelihood import score_problem
from models.work.solve import solve

IN_T = "rk45 in t, one step size for all"
# Tolerances in nats, and relative and absolute ones for the solver in t.
TOLERANCES = {
    "adams": (10.0, 2.0, 0.5, 0.2, 0.1, 0.05),
    "rk45": (10.0, 5.0, 2.0, 1.0, 0.5, 0.3, 0.2, 0.1),
}
RELATIVE = (1e-2, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6, 1e-6)
ACHIEVED = (0.5, 0.05)


class OdePoint(EvaluationRecord):
    """One solver at one tolerance: evaluations for each image, and the error of log p_0 in nats.

    `error` is the root of the mean square over images, `error_95` the 95th percentile.
    """

    solver: str
    tolerance: float
    evaluations: float
    error: float
    error_95: float


class OdeCurves(EvaluationRecord):
    """All points on one checkpoint. `reference_evaluations` counts those of the reference
    solution."""

    name: str
    images: int
    probes: int
    reference_tolerance: float
    reference_evaluations: float
    points: tuple[OdePoint, ...]

    def with_others_of(self, earlier: "OdeCurves") -> "OdeCurves":
        """Return these points with those of other solvers from an earlier run on the same images;
        the reference is then the coarser one. Raises EvaluationError if the runs differ in images
        or probes."""
        if (self.name, self.images, self.probes) != (earlier.name, earlier.images, earlier.probes):
            raise EvaluationError("the earlier run has other images, or other probes")
        mine = {point.solver for point in self.points}
        others = tuple(point for point in earlier.points if point.solver not in mine)
        coarser = max(self, earlier, key=lambda curves: curves.reference_tolerance)
        return coarser.model_copy(update={"points": self.points + others})

    def of(self, solver: str) -> list[OdePoint]:
        """Return one solver's points by rising evaluations."""
        mine = [point for point in self.points if point.solver == solver]
        return sorted(mine, key=lambda point: point.evaluations)

    def evaluations_at(self, solver: str, error: float) -> float | None:
        """Return the evaluations for each image at which the solver has that error.

        Between the solver's points the logarithms are interpolated linearly. If its cheapest point
        has a smaller error, that point counts; if no point has an error as small, the result is
        None.
        """
        points = self.of(solver)
        if points and points[0].error <= error:
            return points[0].evaluations
        for coarse, fine in itertools.pairwise(points):
            if coarse.error >= error >= fine.error:
                whole = math.log(coarse.error / fine.error)
                share = math.log(coarse.error / error) / whole if whole else 0.0
                ratio = fine.evaluations / coarse.evaluations
                return coarse.evaluations * math.exp(share * math.log(ratio))
        return None


class Precise(NamedTuple):
    """The denoiser in float32, as served, and in float64, for the reference solution."""

    served: Denoiser
    precise: Denoiser

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> "Precise":
        model = checkpoint.model
        # Nobody compares these bytes, so they may depend on the batch.
        precise = copy.deepcopy(model).double()
        return cls(eager_denoiser(model, quantum=1), eager_denoiser(precise, quantum=1))


@torch.no_grad()
def ode_curves(
    name: str,
    networks: Precise,
    tokens: Tensor,
    probes: int,
    seed: int,
    reference_tolerance: float = REFERENCE_TOLERANCE,
    error_scales: OdeErrorScales = UNCALIBRATED,
    solvers: Collection[str] = ODE_SOLVERS,
) -> OdeCurves:
    """Measure the named `solvers` on images `tokens` `[N, C, H, W]`.

    All use the same dequantization and the same probes. The reference is the solution by Dormand
    and Prince's pair in float64, at a tolerance in nats. `error_scales` are the manifest's
    `ode_error_scales`.
    """
    spec = Adams(probes=probes, probing="fixed")
    problem = score_problem(networks.served, tokens, spec, seed, draws=1, error_scales=error_scales)
    problem = _with(problem, max_evaluations=10**9)
    found = solve_watched(
        f"{name}: the solution, images",
        Rk45Solver(dtype=torch.float64),
        networks.precise,
        _with(problem, tolerance=reference_tolerance),
    )
    solution = found.prior + found.log_det.mean(1)
    points = []
    with tqdm(desc=f"{name}: solvers", file=sys.stderr) as bar:
        for solver, tolerance, value, nfe in _attempts(networks.served, problem, solvers):
            error = (value - solution).abs()
            points.append(
                OdePoint(
                    solver=solver,
                    tolerance=tolerance,
                    evaluations=nfe,
                    error=float(error.square().mean().sqrt()),
                    error_95=float(error.quantile(0.95)),
                )
            )
            bar.update()
    return OdeCurves(
        name=name,
        images=len(tokens),
        probes=probes,
        reference_tolerance=reference_tolerance,
        reference_evaluations=float(found.nfe.double().mean()),
        points=tuple(points),
    )


def ode_table(curves: OdeCurves) -> str:
    """Return the evaluations at equal error as Markdown."""
    names = list(dict.fromkeys(point.solver for point in curves.points))
    lines = [
        f"| {curves.name}: error | " + " | ".join(names) + " |",
        "|---" * (1 + len(names)) + "|",
    ]
    for error in ACHIEVED:
        cells = [curves.evaluations_at(name, error) for name in names]
        shown = ["more" if cell is None else f"{cell:.0f}" for cell in cells]
        lines.append(f"| {error} nats | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def _attempts(
    denoiser: Denoiser, problem: Problem[Columns], solvers: Collection[str]
) -> Iterator[tuple[str, float, Tensor, float]]:
    """Yield solver, tolerance, log p_0 `[rows]` and mean evaluations."""
    own: tuple[Adaptive[Any], ...] = (AdamsSolver(), Rk45Solver())
    for solver in (solver for solver in own if solver.name in solvers):
        for tolerance in TOLERANCES[solver.name]:
            asked = _with(problem, tolerance=tolerance)
            density = solver.density(asked, solve(solver, asked, denoiser))
            value = density.prior + density.log_det.mean(1)
            yield solver.name, tolerance, value, float(density.nfe.double().mean())
    for tolerance in RELATIVE if IN_T_SHORT in solvers else ():
        value, nfe = _in_t(denoiser, problem, tolerance)
        yield IN_T, tolerance, value, nfe


def _in_t(denoiser: Denoiser, problem: Problem[Columns], tolerance: float) -> tuple[Tensor, float]:
    """Solve as the official code does: in t, by the plain drift, all rows in one solve for each
    probe."""
    condition, image = problem.condition, problem.columns.image
    start = condition.schedule.noise(torch.zeros(len(image), dtype=torch.float64)).alpha * image
    values, evaluations = [], []
    for probe in problem.columns.probes.unbind(1):
        flow = Flow(denoiser, condition, probe, torch.float32)
        begun = flow.pack(start, torch.zeros(len(image)))
        solved = adaptive.solve(flow, 0.0, 1.0, begun, tolerance)
        x, log_det = flow.unpack(solved.state)
        x = x.flatten(1)
        values.append(log_det - 0.5 * (x.square().sum(1) + x.shape[1] * math.log(2 * math.pi)))
        evaluations.append(solved.nfe)
    return torch.stack(values).mean(0), sum(evaluations) / len(evaluations)


def _with(problem: Problem[Columns], **values: float) -> Problem[Columns]:
    """Return the problem with the named columns filled with one value each."""
    columns = problem.columns
    changed = {
        name: torch.full_like(getattr(columns, name), value) for name, value in values.items()
    }
    return problem._replace(columns=columns._replace(**changed))
