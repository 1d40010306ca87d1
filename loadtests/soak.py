"""Send thousands of mixed requests to one service, and watch its memory.

Clients draw, score and judge small images by every solver, send bad requests, leave before the
answer and queue jobs that nobody reads. Memory should rise to a level and stay.

    python -m loadtests.soak --requests 5000
"""

import argparse
import asyncio
import random
from collections import Counter
from contextlib import suppress
from typing import Any

import httpx
import numpy as np
from tqdm import tqdm

from loadtests.local import running_process
from loadtests.processes import resident_mb, spent_s
from service.images.npy import encode_npy

MODEL = "digits"
CLIENTS = 16
MARKS = 10
SOLVERS: tuple[dict[str, Any], ...] = (
    {"name": "ddpm", "steps": 10},
    {"name": "ddim", "steps": 5},
    {"name": "dpm-2m", "steps": 5},
    {"name": "dpm-2m-sde", "steps": 8},
    {"name": "rtk-ula", "segments": 2, "inner_steps": 3},
    {"name": "rtk-mala", "segments": 2, "inner_steps": 3},
    {"name": "rtk-uld", "segments": 2, "inner_steps": 3},
)
KINDS = ("drawn", "scored", "judged", "wrong", "left", "queued")
SHARES = (60, 8, 8, 8, 8, 8)
# The status of each answer.
DUE = {"drawn": 200, "scored": 200, "judged": 200, "wrong": 422, "queued": 202}
NPY = {"Content-Type": "application/x-npy"}


async def send(client: httpx.AsyncClient, kind: str, chance: random.Random) -> None:
    """Send one request of a kind. Raises RuntimeError where the answer is not what is due."""
    request = {
        "model": MODEL,
        "count": chance.randint(1, 4),
        "seed": chance.randrange(1 << 32),
        "solver": chance.choice(SOLVERS),
    }
    image = np.random.default_rng(chance.randrange(1 << 32)).integers(0, 17, (1, 8, 8, 1))
    body = encode_npy(image.astype(np.uint8))
    match kind:
        case "drawn":
            accept = chance.choice(["application/json", "image/png", "application/x-npy"])
            answer = await client.post("/v1/samples", json=request, headers={"Accept": accept})
        case "scored":
            query = {"model": MODEL, "tolerance_nats": 10, "probes": 1}
            answer = await client.post("/v1/likelihoods", params=query, content=body, headers=NPY)
        case "judged":
            query = {"model": MODEL}
            answer = await client.post("/v1/anomalies", params=query, content=body, headers=NPY)
        case "wrong":
            answer = await client.post("/v1/samples", json={**request, "count": -1})
        case "left":
            long = {**request, "solver": {"name": "ddpm", "steps": 1000}}
            with suppress(httpx.TimeoutException):
                await client.post("/v1/samples", json=long, timeout=0.2)
            return
        case _:
            asked = {"kind": "samples", "request": request}
            answer = await client.post("/v1/jobs", json=asked)
    if answer.status_code != DUE[kind]:
        raise RuntimeError(f"{kind}: {answer.status_code} {answer.text}")


async def soak(address: str, pid: int, requests: int) -> list[tuple[int, float]]:
    """Send all requests, and return the memory in MB after each tenth of them."""
    chance, sent, bar = random.Random(0), Counter[str](), tqdm(total=requests, unit="request")
    marks: list[tuple[int, float]] = [(0, resident_mb(pid))]
    async with httpx.AsyncClient(base_url=address, timeout=120) as client:

        async def visit() -> None:
            while sent.total() < requests:
                kind = chance.choices(KINDS, SHARES)[0]
                sent[kind] += 1
                await send(client, kind, chance)
                bar.update()
                if bar.n >= len(marks) * requests / MARKS:
                    marks.append((int(bar.n), resident_mb(pid)))

        await asyncio.gather(*(visit() for _ in range(CLIENTS)))
    bar.close()
    print(", ".join(f"{number} {kind}" for kind, number in sent.items()))
    return marks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=5000)
    arguments = parser.parse_args()
    with running_process("--threads", "1") as (address, pid):
        marks = asyncio.run(soak(address, pid, arguments.requests))
        print(f"{spent_s(pid):.0f} s of processor time")
    print("| requests | memory, MB |")
    print("|---|---|")
    for sent, memory in marks:
        print(f"| {sent} | {memory:.0f} |")


if __name__ == "__main__":
    main()
