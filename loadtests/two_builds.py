"""Compare the processor time of requests to this build with that of another one, side by side.

Both serve the shipped checkpoints with one thread, and take the same requests by turns, each alone.
Where images differ between the builds, the number of pixels that do is counted.

    python -m loadtests.two_builds .../other/.venv/bin/mulan
"""

import argparse
import io
import statistics
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import numpy as np
from tqdm import tqdm

from loadtests.local import running_process
from loadtests.processes import spent_s
from models.zoo import ZOO
from service.images.npy import encode_npy

TIMEOUT_S = 900.0
NPY = {"Accept": "application/x-npy"}


class Ask(NamedTuple):
    """A request under a name: images to draw, or as many to score."""

    name: str
    model: str
    images: int
    scored: bool = False


ASKED = (
    *(Ask(f"{n} of {model}", model, n) for model in ("digits", "mnist") for n in (1, 16, 64)),
    *(Ask(f"likelihood, {model}", model, 1, scored=True) for model in ("digits", "mnist")),
)


class Build(NamedTuple):
    """A running service."""

    client: httpx.Client
    pid: int

    def take(self, ask: Ask, seed: int, scored: bytes) -> tuple[float, Any]:
        """Return the processor time in seconds of one request, and its answer."""
        before = spent_s(self.pid)
        query: dict[str, Any] = {"model": ask.model, "seed": seed, "timeout_s": 600}
        if ask.scored:
            kind = {"Content-Type": "application/x-npy"}
            answer = self.client.post("/v1/likelihoods", params=query, content=scored, headers=kind)
        else:
            answer = self.client.post(
                "/v1/samples", json={**query, "count": ask.images}, headers=NPY
            )
        spent = spent_s(self.pid) - before
        answer.raise_for_status()
        if ask.scored:
            return spent, answer.json()["results"][0]["log_px_lower_bound"]
        return spent, np.load(io.BytesIO(answer.content))


def rounds(builds: list[Build], repeats: int, images: dict[str, bytes]) -> Iterator[str]:
    """Yield a line of the table for each kind of request."""
    bar = tqdm(total=len(ASKED) * (repeats + 1) * 2, unit="request")
    for ask in ASKED:
        taken: list[list[float]] = [[], []]
        differ = []
        for seed in range(repeats + 1):
            answers: list[Any] = [None, None]
            for which in (0, 1) if seed % 2 else (1, 0):
                spent, answers[which] = builds[which].take(ask, seed, images[ask.model])
                bar.update()
                if seed:  # The first is to get warm.
                    taken[which].append(spent)
            differ.append(_difference(*answers))
        this, other = (statistics.median(times) for times in taken)
        yield f"| {ask.name} | {this:.3f} | {other:.3f} | {other / this:.1f} | {max(differ):.2g} |"
    bar.close()


def _difference(this: Any, other: Any) -> float:
    """Return the number of values of pictures that differ, or how far two scores are apart."""
    if isinstance(this, float):
        return abs(this - other)
    return float((this != other).sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("other", type=Path, help="the command mulan of the other build")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    with ExitStack() as stack:
        builds = []
        for program in ((), (str(arguments.other), "serve")):
            options = ["--threads", "1", "--models", str(ZOO)]
            address, pid = stack.enter_context(running_process(*options, program=program))
            client = stack.enter_context(httpx.Client(base_url=address, timeout=TIMEOUT_S))
            builds.append(Build(client, pid))
        images = {}
        for model in dict.fromkeys(ask.model for ask in ASKED):
            drawn = builds[0].take(Ask("", model, 1), 1, b"")[1]
            images[model] = encode_npy(drawn)
        lines = list(rounds(builds, arguments.repeats, images))
    print("| request | this build, s | the other, s | ratio | differences |")
    print("|---|---|---|---|---|")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
