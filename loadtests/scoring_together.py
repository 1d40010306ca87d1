"""The cost of 64 images in one request, against 64 requests of one.

Likelihoods and verdicts by the real service, on a GPU where there is one. The single requests are
timed on a few of the same images, each time before and after the batch.

    python -m loadtests.scoring_together [--model digits]
"""

import argparse
import io
import statistics
import sys
import time

import httpx
import numpy as np
from tqdm import tqdm

from loadtests.local import running_service
from models.files.images import Tokens

IMAGES, SINGLES = 64, 8
PATHS = ("/v1/likelihoods", "/v1/anomalies")
REQUEST_TIMEOUT_S = 900.0


def images_of(name: str, options: tuple[str, ...]) -> Tokens:
    """Images drawn by the model: such as it is asked about, without a data set at hand."""
    with running_service(*options) as address:
        response = httpx.post(
            f"{address}/v1/samples",
            json={"model": name, "count": IMAGES, "seed": 0},
            headers={"Accept": "application/x-npy"},
            timeout=REQUEST_TIMEOUT_S,
        )
    response.raise_for_status()
    tokens: Tokens = np.load(io.BytesIO(response.content))
    return tokens


def seconds(client: httpx.Client, path: str, name: str, images: Tokens) -> float:
    """One request's time."""
    file = io.BytesIO()
    np.save(file, images)
    start = time.perf_counter()
    response = client.post(
        path,
        content=file.getvalue(),
        params={"model": name, "timeout_s": 600},
        headers={"Content-Type": "application/x-npy"},
    )
    response.raise_for_status()
    return time.perf_counter() - start


def measure(client: httpx.Client, path: str, name: str, images: Tokens, repeats: int) -> str:
    """A row of the table."""
    singles, together = list[float](), list[float]()
    with tqdm(total=repeats * (SINGLES + 1), desc=path, file=sys.stderr) as bar:
        for repeat in range(repeats):
            # Half of the single ones before the batch, half after.
            for place in range(SINGLES + 1):
                if place == SINGLES // 2:
                    together.append(seconds(client, path, name, images))
                else:
                    one = (repeat * SINGLES + place) % IMAGES
                    singles.append(seconds(client, path, name, images[one : one + 1]))
                bar.update()
    alone, whole = statistics.mean(singles), statistics.median(together)
    cells = (path, f"{alone:.3f}", f"{whole:.2f}", f"{whole / alone:.1f}", f"{IMAGES}")
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="digits")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    options = ("--threads", str(arguments.threads))
    images = images_of(arguments.model, options)
    print("| | one image, s | 64 in a request, s | ratio | 64 requests of one |")
    print("|---|---|---|---|---|")
    with (
        running_service(*options) as address,
        httpx.Client(base_url=address, timeout=REQUEST_TIMEOUT_S) as client,
    ):
        for path in PATHS:
            print(measure(client, path, arguments.model, images, arguments.repeats), flush=True)


if __name__ == "__main__":
    main()
