"""The cost of a trace probe in forward passes, by three ways to differentiate.

16 rows of a checkpoint's score network with two probes, one thread: cotangents pulled back (what
serving does), tangents pushed forward by a vectorised map, and tangents on repeated rows.

    python -m loadtests.trace_cost
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import jvp, vmap

from models.checkpoints.checkpoint import load_checkpoint
from models.files.shelf import find

ROWS, PROBES = 16, 2


def seconds(call: Callable[[], object], repeats: int) -> float:
    """Median time of a call."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="digits")
    parser.add_argument("--repeats", type=int, default=15)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model = load_checkpoint(find(arguments.model)[0]).model
    config = model.config
    x, s = torch.randn(ROWS, *config.chw), torch.rand(ROWS)
    latent = torch.eye(config.latent_size).repeat(ROWS, 1)[:ROWS]
    probes = torch.randn(ROWS, PROBES, *config.chw)

    def network(images: Tensor) -> Tensor:
        out: Tensor = model.score(images, s, latent)
        return out

    def pull_back() -> None:
        images = x.clone().requires_grad_()
        out = network(images)
        for probe in probes.unbind(1):
            torch.autograd.grad(out, images, probe, retain_graph=True)

    def push_forward() -> None:
        vmap(lambda probe: jvp(network, (x,), (probe,))[1], in_dims=1)(probes)

    def push_forward_repeated() -> None:
        times, latents = s.repeat_interleave(PROBES), latent.repeat_interleave(PROBES, 0)
        images = x.repeat_interleave(PROBES, 0)
        jvp(lambda y: model.score(y, times, latents), (images,), (probes.flatten(0, 1),))

    with torch.no_grad():
        forward = seconds(lambda: network(x), arguments.repeats)
        pushed = seconds(push_forward, arguments.repeats) / forward
        repeated = seconds(push_forward_repeated, arguments.repeats) / forward
    pulled = seconds(pull_back, arguments.repeats) / forward
    print(f"forward pass: 1   pull-back: {pulled:.1f}   push-forward, vectorised: {pushed:.1f}   ")
    print(f"push-forward on repeated rows: {repeated:.1f}")


if __name__ == "__main__":
    main()
