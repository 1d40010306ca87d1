"""Compare our engine with the peers' ways of batching in processor time, whatever else runs.

Everything happens on one thread: requests arrive by a clock that runs only while this thread
computes, and jumps over the time in which there is nothing to do. So latencies do not depend on
other programs. HTTP, queues and the processes of the servers are left out.

    python -m loadtests.one_thread equal:0.8 long:0.3
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch

from loadtests.peers.core import ROWS
from loadtests.peers.scenarios import FULL
from loadtests.peers.servers.continuous import ContinuousBatch
from loadtests.peers.servers.solving import Json, solve_together
from loadtests.peers.traffic import Arrival, Scenario, arrivals
from models.rows.rows import Query
from models.schema.specs import sampler_spec
from service.engine.engine import Engine
from service.engine.events import Ended
from service.jobs import Job
from service.kinds.samples.task import SampleTask
from service.loading import LoadedModel
from service.profile.action import load
from service.worker import MAX_JOBS

Ends = list[float]
BARE_CALLS = 10
# Seconds that a batch waits for more requests.
BATCH_WAIT_S = 0.01


class Clock:
    """Seconds of this thread's processor time, and those that were jumped over."""

    def __init__(self) -> None:
        self._skipped = -time.thread_time()

    def now(self) -> float:
        """Return the time since the beginning."""
        return time.thread_time() + self._skipped

    def jump(self, to: float) -> None:
        """Pass over the time until `to`."""
        self._skipped += max(0.0, to - self.now())


def ours(model: LoadedModel, coming: Sequence[Arrival]) -> Ends:
    """Run the engine of a worker, which holds a bounded number of jobs."""
    sha256, clock, ends, sent = model.manifest.sha256, Clock(), dict[int, float](), 0
    engine = Engine({sha256: model.served})
    while len(ends) < len(coming):
        while sent < len(coming) and coming[sent].at <= clock.now() and len(engine) < MAX_JOBS:
            kind = coming[sent].kind
            task = SampleTask(sampler_spec(**kind.solver), coming[sent].seed, kind.images)
            engine.submit(Job(str(sent), sha256, task, float("inf"), 0.0))
            sent += 1
        if engine.idle:
            clock.jump(coming[sent].at)
        for event in engine.step(0.0):
            if isinstance(event, Ended):
                ends[int(event.job_id)] = clock.now()
    return [ends[number] for number in range(len(coming))]


def continuous(model: LoadedModel, coming: Sequence[Arrival]) -> Ends:
    """Run the loop that `loadtests.peers` gives to LitServe."""
    batch, clock, ends, sent = (
        ContinuousBatch(model.served.denoiser, ROWS),
        Clock(),
        dict[int, float](),
        0,
    )
    while len(ends) < len(coming):
        while sent < len(coming) and coming[sent].at <= clock.now():
            batch.add(str(sent), _body(coming[sent]))
            sent += 1
        if not batch.busy:
            clock.jump(coming[sent].at)
            continue
        for uid, _ in batch.step():
            ends[int(uid)] = clock.now()
    return [ends[number] for number in range(len(coming))]


def batches(model: LoadedModel, coming: Sequence[Arrival]) -> Ends:
    """Solve all requests that wait together, as mosec does here."""
    clock, ends = Clock(), Ends()
    while len(ends) < len(coming):
        first = len(ends)
        if coming[first].at > clock.now():
            clock.jump(coming[first].at + BATCH_WAIT_S)
        last = first + 1
        while last < len(coming) and coming[last].at <= clock.now() and last - first < ROWS:
            last += 1
        solve_together(model.served.denoiser, [_body(one) for one in coming[first:last]])
        ends += [clock.now()] * (last - first)
    return ends


def _body(arrival: Arrival) -> Json:
    kind = arrival.kind
    return {"count": kind.images, "solver": kind.solver, "seed": arrival.seed}


WAYS: dict[str, Callable[[LoadedModel, Sequence[Arrival]], Ends]] = {
    "ours": ours,
    "continuous loop": continuous,
    "batches": batches,
}


@torch.no_grad()
def bare_rate(model: LoadedModel) -> float:
    """Return the row-evaluations of a bare loop in a second of processor time."""
    denoiser = model.served.denoiser
    latent = torch.zeros(ROWS, denoiser.config.latent_size)
    latent[:, : denoiser.config.latent_k] = 1.0
    condition = denoiser.condition(latent)
    times = torch.linspace(0.0, 1.0, ROWS).double()
    query = Query(torch.randn(ROWS, *denoiser.config.chw), times)
    denoiser.evaluate(query, condition)
    began = time.thread_time()
    for _ in range(BARE_CALLS):
        denoiser.evaluate(query, condition)
    return BARE_CALLS * ROWS / (time.thread_time() - began)


def measure(model: LoadedModel, scenario: Scenario, load: float, rounds: int) -> None:
    """Play a cell in each way by turns, and print its rows of the table."""
    rate = bare_rate(model)
    found: dict[str, list[tuple[Ends, float, float]]] = {name: [] for name in WAYS}
    for number in range(rounds):
        coming = arrivals(scenario, load, rate, FULL.requests(scenario, load, rate), number)
        for name in list(WAYS)[:: 1 if number % 2 else -1]:
            beside = bare_rate(model)
            ends = WAYS[name](model, coming)
            pairs = list(zip(coming, ends, strict=True))
            late = [end - one.at for one, end in pairs if not one.long]
            long = [end - one.at for one, end in pairs if one.long]
            short = [(one, end) for one, end in pairs if not one.long]
            span = max(end for _, end in short) - min(one.at for one, _ in short)
            share = sum(one.kind.work for one, _ in short) / span / beside
            found[name].append((late, share, statistics.fmean(long or [0.0])))
    for name, cells in found.items():
        late = [one for cell in cells for one in cell[0]]
        p50, p95 = np.percentile(late, (50, 95))
        share, long_end = (statistics.fmean(cell[place] for cell in cells) for place in (1, 2))
        cell = f"{scenario.name} {load}"
        print(f"| {cell} | {name} | {p50:.2f} | {p95:.2f} | {share:.3f} | {long_end:.1f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("cells", nargs="+", help="scenario:load, for example equal:0.8")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default="digits")
    wanted = parser.parse_args()
    model, _ = load(wanted.model, None, 1)
    scenarios = {one.name: one for one in FULL.scenarios}
    print("| cell | | p50, s | p95, s | throughput of bare loop | long ones, s |")
    print("|---|---|---|---|---|---|")
    for cell in wanted.cells:
        name, _, load_text = cell.partition(":")
        measure(model, scenarios[name], float(load_text or 1), wanted.rounds)


if __name__ == "__main__":
    main()
