"""Run `mulan serve` on a simulated device, whose networks return nothing after the time of a cost.

Everything else is the real service. Waiting takes no processor time, so on a shared machine the
measurement shows the service and not the machine's other load.

    python -m loadtests.capacity.paced cost.json --port 8000
"""

import sys
import time
from pathlib import Path

import torch

import service.loading
from loadtests.capacity.cost import Cost
from models.checkpoints.checkpoint import Checkpoint
from models.network.network import Network
from models.rows.rows import Answer, Condition, Query, count
from models.runtimes.choice import Chosen
from models.runtimes.denoiser import NetworkDenoiser
from models.runtimes.eager import EagerRuntime
from service.cli import main

# Seconds between two calls if the second was prepared while the first ran.
OVERLAP_S = 0.03


class PacedDenoiser(NetworkDenoiser):
    """A denoiser that takes the cost's time for each call."""

    def __init__(self, model: Network, cost: Cost) -> None:
        super().__init__(model, EagerRuntime(model), cost.quantum)
        self._cost, self._due = cost, 0.0

    def evaluate(self, query: Query, condition: Condition) -> Answer:
        probes = 0 if query.cotangents is None else query.cotangents.shape[1]
        now = time.perf_counter()
        began = self._due if now - self._due < OVERLAP_S else now
        self._due = began + self._cost.tick({probes: count(query)})
        time.sleep(max(0.0, self._due - now))
        pulled = None if query.cotangents is None else torch.zeros_like(query.cotangents)
        return Answer(torch.zeros_like(query.x), pulled)


def serve(cost: Cost, arguments: list[str]) -> None:
    """Serve until a signal comes."""

    def choose(checkpoint: Checkpoint, *_: object) -> Chosen:
        denoiser = PacedDenoiser(checkpoint.model, cost)
        return Chosen(denoiser, denoiser)

    setattr(service.loading, "choose", choose)  # noqa: B010
    main(["serve", *arguments])


if __name__ == "__main__":
    serve(Cost.read(Path(sys.argv[1])), sys.argv[2:])
