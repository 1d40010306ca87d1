"""The time that a short request waits behind a long one.

A request of 64 images by 1000 DDPM steps runs; requests of one image by 20 steps arrive, one after
another. Prints how long each short one took, alone and behind the long one, and what share that
is of the time the long one still needed.

    python -m loadtests.short_behind_long
"""

import argparse
import asyncio
import statistics
import time

import httpx

from loadtests.local import running_service

LONG = {
    "model": "digits",
    "count": 64,
    "seed": 1,
    "solver": {"name": "ddpm", "steps": 1000},
    "timeout_s": 600,
}
SHORT = {"model": "digits", "count": 1, "seed": 2, "solver": {"name": "ddpm", "steps": 20}}
HEAD_START_S = 2.0
REQUEST_TIMEOUT_S = 900.0


async def timed(client: httpx.AsyncClient, body: dict[str, object]) -> tuple[float, float]:
    """Start and end of one request, in seconds of the monotonic clock."""
    start = time.monotonic()
    response = await client.post("/v1/samples", json=body)
    response.raise_for_status()
    return start, time.monotonic()


async def measure(address: str, repeats: int) -> None:
    """Print the table."""
    async with httpx.AsyncClient(base_url=address, timeout=REQUEST_TIMEOUT_S) as client:
        await timed(client, SHORT)
        alone = [end - start for start, end in [await timed(client, SHORT) for _ in range(repeats)]]
        long_run = asyncio.create_task(timed(client, LONG))
        await asyncio.sleep(HEAD_START_S)
        behind = [await timed(client, SHORT) for _ in range(repeats)]
        long_start, long_end = await long_run
    print(f"long request, 64 x 1000 evaluations: {long_end - long_start:.1f} s")
    print(f"short request, 1 x 20 evaluations, alone: median {statistics.median(alone):.2f} s")
    print("behind the long one:    took    the long one still needed    share")
    for start, end in behind:
        left = long_end - start
        took = end - start
        print(f"                     {took:6.2f} s   {left:18.1f} s   {took / left:12.1%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    with running_service("--threads", str(arguments.threads)) as address:
        asyncio.run(measure(address, arguments.repeats))


if __name__ == "__main__":
    main()
