"""Measure what saving the state of trajectories would cost, and what it would save.

For each shipped checkpoint and kind of work it prints the bytes of a row's state (its problem can
be computed again from the seed), the milliseconds to copy the state of a full tick to bytes, the
milliseconds of that tick, and the seconds of a whole trajectory in full ticks, which is the most
that a restart loses.

    python -m loadtests.trajectory_state
"""

import time
from collections.abc import Callable

import numpy as np
import optree
import torch

from models.rows.rows import QUANTUM, pad
from models.schema.presets import presets
from models.schema.specs import Adams, Ddpm
from service.engine.lane import evaluate
from service.engine.running import assign
from service.engine.scheduler import SchedulerLimits
from service.kinds.likelihoods.task import ScoreTask
from service.kinds.samples.task import SampleTask
from service.loading import load_models
from service.price import price
from service.rows import AnyJobRows, Part, Served

ROWS = SchedulerLimits().tick
REPEATS = 7


def milliseconds(call: Callable[[], object]) -> float:
    """Return the median of a few calls, after one that does not count."""
    call()
    spent = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        call()
        spent.append(time.perf_counter() - began)
    return 1e3 * float(np.median(spent))


def row(name: str, work: AnyJobRows, served: Served) -> str:
    """Return one line of the table."""
    rows = ROWS // price(rows=1, probes=work.probes)
    problem = pad(work.problem([Part(work, 0, rows)]), QUANTUM)
    state = work.solver.init(problem)
    leaves = [leaf for leaf in optree.tree_leaves(state) if isinstance(leaf, torch.Tensor)]

    def save() -> bytes:
        return b"".join(leaf[:rows].cpu().numpy().tobytes() for leaf in leaves)

    def tick() -> None:
        query = work.solver.ask(problem, state)
        answers = evaluate(served.denoiser, [(query, problem.condition)])
        work.solver.tell(problem, state, answers[0])

    saving, ticking = milliseconds(save), milliseconds(tick)
    whole = work.evaluations * ticking / 1e3
    size = len(save()) / rows
    return f"| {name} | {size:,.0f} | {saving:.2f} | {ticking:.1f} | {whole:.1f} |"


@torch.no_grad()
def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    print("| | bytes a row | save a tick, ms | tick, ms | trajectory, s |")
    print("|---|---|---|---|---|")
    for manifest, served, *_ in load_models():
        found = presets(manifest)
        specs = {
            "balanced": found["balanced"],
            "best": found["best"],
            "1000 steps": Ddpm(steps=1000),
        }
        for name, spec in specs.items():
            work = assign(SampleTask(spec, 7, ROWS), served)
            print(row(f"{manifest.name}, {name} ({spec.name})", work, served))
        images = np.zeros((ROWS, *manifest.config.image_shape), np.uint8)
        work = assign(ScoreTask(Adams(), 7, 1, images), served)
        print(row(f"{manifest.name}, likelihood", work, served))


if __name__ == "__main__":
    main()
