"""Clients that ask for every kind of work, one request after another."""

import contextlib
import io
import random
import threading
from types import TracebackType
from typing import Any

import httpx
import numpy as np

from service.images.npy import encode_npy

TIMEOUT_S = 60.0
NPY = {"Accept": "application/x-npy"}


class Mixed(contextlib.AbstractContextManager["Mixed"]):
    """A group of `clients` threads that draw, score and judge until they are stopped.

    They score and judge images that they drew; from `strange()` on half of these have their pixels
    shuffled.
    """

    def __init__(
        self, address: str, model: str, solvers: list[dict[str, Any]], clients: int
    ) -> None:
        self.address, self.model, self.solvers = address, model, solvers
        self._done, self._strange = threading.Event(), threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(number,)) for number in range(clients)
        ]

    def __enter__(self) -> "Mixed":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()

    def strange(self) -> None:
        """Begin to send images of another kind too."""
        self._strange.set()

    def _run(self, number: int) -> None:
        chance = random.Random(number)
        with httpx.Client(base_url=self.address, timeout=TIMEOUT_S) as client:
            while not self._done.is_set():
                try:
                    self._visit(client, chance)
                except httpx.HTTPError:
                    self._done.wait(0.2)

    def _visit(self, client: httpx.Client, chance: random.Random) -> None:
        """Draw a few images; then score or judge them, or list models, or send a bad request."""
        request = {
            "model": self.model,
            "count": chance.randint(1, 8),
            "seed": chance.randrange(1 << 32),
            "solver": chance.choice(self.solvers),
            "timeout_s": TIMEOUT_S,
        }
        drawn = client.post("/v1/samples", json=request, headers=NPY)
        if drawn.status_code != httpx.codes.OK:
            self._done.wait(0.2)
            return
        images, act = drawn.content, chance.random()
        if self._strange.is_set() and chance.random() < 0.5:
            images = _shuffled(drawn.content, chance)
        if act < 0.5:
            self._post(client, "anomalies", images)
        elif act < 0.75:
            self._post(client, "likelihoods", images)
        else:
            client.get("/v1/models")
            client.get("/v1/jobs")
            client.post("/v1/samples", json={**request, "model": "none"})

    def _post(self, client: httpx.Client, kind: str, images: bytes) -> None:
        client.post(
            f"/v1/{kind}",
            params={"model": self.model, "timeout_s": TIMEOUT_S},
            content=images,
            headers={"Content-Type": "application/x-npy"},
        )


def _shuffled(like: bytes, chance: random.Random) -> bytes:
    tokens = np.load(io.BytesIO(like))
    generator = np.random.default_rng(chance.randrange(1 << 32))
    return encode_npy(generator.permuted(tokens, axis=1))
