"""The error of likelihoods that their random probes make, and whether answers tell it."""

import sys
from collections.abc import Sequence

import torch
from scipy.stats import t as student
from torch import Tensor
from tqdm import tqdm

from models.evaluation.measurement import EvaluationRecord
from models.evaluation.ode.in_parts import InParts
from models.evaluation.ode.replay import Recorder, Replay
from models.rows.denoiser import Denoiser
from models.schema.ode_error import UNCALIBRATED, OdeErrorScales
from models.schema.specs import EXACT_DIMENSIONS, Adams
from models.solvers.adams import AdamsSolver
from models.solvers.base import Problem
from models.solvers.flow import Columns, LogDensity
from models.work.likelihood import score_problem
from models.work.solve import solve

NOMINAL = 0.95
# Where no exact trace is affordable, this many probes stand for it, as many a call as one spec has.
MOST_PROBES, REFERENCE_CALLS = 64, 4


class TraceRow(EvaluationRecord):
    """Solves with so many probes: medians of the stated standard error in nats and of its degrees
    of freedom; the mean error against the reference, with its own standard error; and the share of
    95 % intervals that cover the reference."""

    probes: int
    probing: str
    solves: int
    evaluations: float
    standard_error: float
    degrees_of_freedom: float
    root_mean_square: float
    bias: float
    bias_error: float
    covered: float


class TraceErrors(EvaluationRecord):
    """All rows of one checkpoint. `reference` says what errors are measured from."""

    name: str
    images: int
    reference: str
    rows: tuple[TraceRow, ...]


@torch.no_grad()
def trace_errors(
    name: str,
    denoiser: Denoiser,
    tokens: Tensor,
    probes: Sequence[int],
    repeats: int,
    seed: int,
    error_scales: OdeErrorScales = UNCALIBRATED,
) -> TraceErrors:
    """Solve images `tokens` `[N, C, H, W]` with each number of probes, `repeats` times with other
    probes, and compare with the exact trace, or with 256 probes for large images.

    All solves of an image have one dequantization. Where the trace is exact, its path is recorded
    with the whole Jacobians, and all other solves are replayed without the network. Steps do not
    look at the probes, so that the ODE's error is the same in all of them and no part of what is
    measured. `error_scales` are the manifest's `ode_error_scales`.
    """
    exact = denoiser.config.dimensions <= EXACT_DIMENSIONS
    calls = 1 if exact else REFERENCE_CALLS
    specs = [
        *(
            Adams(probes=count, probing=probing)
            for probing in ("fresh", "fixed")
            for count in probes
        )
    ]
    specs = [spec for spec in specs if spec.states_trace_error]
    rows, asked = [], InParts(denoiser)
    recorder = Recorder(asked)
    with tqdm(total=calls + len(specs) * repeats, desc=f"{name}: solves", file=sys.stderr) as bar:
        told = Adams(trace="exact") if exact else Adams(probes=MOST_PROBES)
        truths, variances = [], []
        for call in range(calls):
            problem = score_problem(recorder, tokens, told, seed, 1, error_scales=error_scales)
            density = _solved(recorder if exact else asked, problem, -1 - call)
            truths.append(density.log_det.mean(1))
            variances.append(torch.zeros_like(truths[0]) if exact else density.trace.variance)
            bar.update()
        truth, doubt = torch.stack(truths).mean(0), torch.stack(variances).mean(0) / calls
        for spec in specs:
            problem = score_problem(denoiser, tokens, spec, seed, 1, error_scales=error_scales)
            found = []
            for repeat in range(repeats):
                again = Replay(recorder) if exact else denoiser
                found.append(_solved(again, problem, repeat))
                bar.update()
            rows.append(_row(spec, found, truth, doubt))
    return TraceErrors(
        name=name,
        images=len(tokens),
        reference="exact" if exact else f"{MOST_PROBES * REFERENCE_CALLS} probes",
        rows=tuple(rows),
    )


def trace_table(errors: TraceErrors) -> str:
    """Return the rows as Markdown."""
    lines = [
        f"| {errors.name}, against {errors.reference} | solves | evaluations | standard error | "
        "degrees of freedom | error, rms | bias | covered |",
        "|---" * 8 + "|",
    ]
    lines += [
        f"| {row.probes} {row.probing} | {row.solves} | {row.evaluations:.0f} | "
        f"{row.standard_error:.2f} | {row.degrees_of_freedom:.1f} | "
        f"{row.root_mean_square:.2f} | {row.bias:+.3f} ± {row.bias_error:.3f} | "
        f"{100 * row.covered:.1f} % |"
        for row in errors.rows
    ]
    return "\n".join(lines)


def _solved(denoiser: Denoiser, problem: Problem[Columns], repeat: int) -> LogDensity:
    """Solve with the probes of another seed, fixed ones too."""
    columns, seeds = problem.columns, problem.key.seed + repeat
    turned = torch.where(columns.cycle > 0, 0, repeat)
    probes = columns.probes * _other_signs(columns.probes, turned, seeds)
    moved = problem._replace(
        key=problem.key._replace(seed=seeds), columns=columns._replace(probes=probes)
    )
    solver = AdamsSolver()
    return solver.density(moved, solve(solver, moved, denoiser))


def _other_signs(probes: Tensor, turned: Tensor, seeds: Tensor) -> Tensor:
    """Return signs `[rows, probes, C, H, W]`, 1 where `turned` `[rows]` is 0."""
    signs = torch.ones_like(probes)
    for row, (turn, seed) in enumerate(zip(turned.tolist(), seeds.tolist(), strict=True)):
        if turn:
            dice = torch.Generator().manual_seed(seed % 2**63)
            signs[row] = 2 * torch.randint(0, 2, signs[row].shape, generator=dice) - 1
    return signs


def _row(spec: Adams, found: Sequence[LogDensity], truth: Tensor, doubt: Tensor) -> TraceRow:
    error = torch.cat([density.log_det.mean(1) - truth for density in found])
    variance = torch.cat([density.trace.variance for density in found])
    freedom = torch.cat([density.trace.freedom for density in found])
    nfe = torch.cat([density.nfe for density in found])
    quantile = torch.from_numpy(student.ppf((1 + NOMINAL) / 2, freedom.numpy()))
    half = quantile * (variance + doubt.repeat(len(found))).sqrt()
    return TraceRow(
        probes=spec.probes,
        probing=spec.probing,
        solves=len(error),
        evaluations=float(nfe.double().mean()),
        standard_error=float(variance.sqrt().median()),
        degrees_of_freedom=float(freedom.median()),
        root_mean_square=float(error.square().mean().sqrt()),
        bias=float(error.mean()),
        bias_error=float(error.std()) / len(error) ** 0.5,
        covered=float((error.abs() <= half).double().mean()),
    )
