"""Measure the share of the network's own speed that reaches clients.

It is the ratio of row-evaluations per second through the whole service at saturation (HTTP, queue,
engine and PNG included) to those of a bare loop that calls the same network at the same batch size.
Both use one thread; the two alternate in one run, and the ratio is taken pair by pair.

    python -m loadtests.engine_overhead
"""

import argparse
import asyncio
import statistics
import time

import httpx
import torch

from loadtests.local import running_service
from models.checkpoints.checkpoint import load_checkpoint
from models.files.shelf import find
from models.runtimes.choice import Wish, choose
from models.runtimes.runtime import Runtime
from models.schema.config import ModelConfig

BATCH = 64
REQUEST_TIMEOUT_S = 900.0


def bare_rate(runtime: Runtime, config: ModelConfig, calls: int) -> float:
    """Return the row-evaluations per second of the score network alone."""
    x = torch.randn(BATCH, *config.chw)
    s = torch.rand(BATCH)
    latent = torch.eye(config.latent_size).repeat(BATCH, 1)[:BATCH]
    with torch.no_grad():
        start = time.perf_counter()
        for _ in range(calls):
            runtime.score(x, s, latent)
        return BATCH * calls / (time.perf_counter() - start)


async def service_rate(address: str, model: str, requests: int, count: int, steps: int) -> float:
    """Return the row-evaluations per second through the service, for requests of `count` images
    sent at once."""
    bodies = [
        {
            "model": model,
            "count": count,
            "seed": seed,
            "solver": {"name": "ddpm", "steps": steps},
            "timeout_s": 600,
        }
        for seed in range(requests)
    ]
    async with httpx.AsyncClient(base_url=address, timeout=REQUEST_TIMEOUT_S) as client:
        start = time.perf_counter()
        responses = await asyncio.gather(*(client.post("/v1/samples", json=b) for b in bodies))
        elapsed = time.perf_counter() - start
    evaluations = 0
    for response in responses:
        response.raise_for_status()
        evaluations += sum(image["nfe"] for image in response.json()["images"])
    return evaluations / elapsed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="digits")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--requests", type=int, default=12)
    parser.add_argument("--count", type=int, default=16, help="images of a request")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--runtime", choices=["onnx", "eager"], default="onnx")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    folder = find(arguments.model)[0]
    denoiser = choose(load_checkpoint(folder), folder, BATCH, Wish(arguments.runtime)).exact
    calls = max(1, arguments.requests * arguments.count * arguments.steps // BATCH)
    ratios = []
    options = ["--threads", "1", "--runtime", arguments.runtime]
    with running_service(*options) as address:
        asyncio.run(service_rate(address, arguments.model, requests=4, count=16, steps=5))
        print("pair   bare loop   service   ratio   (row-evaluations per second)")
        for pair in range(arguments.pairs):
            bare = bare_rate(denoiser.runtime, denoiser.config, calls)
            served = asyncio.run(
                service_rate(
                    *(address, arguments.model, arguments.requests),
                    *(arguments.count, arguments.steps),
                )
            )
            ratios.append(served / bare)
            print(f"{pair:4d} {bare:11.0f} {served:9.0f} {ratios[-1]:7.3f}")
    print(
        f"median ratio {statistics.median(ratios):.3f}, from {min(ratios):.3f} to {max(ratios):.3f}"
    )


if __name__ == "__main__":
    main()
