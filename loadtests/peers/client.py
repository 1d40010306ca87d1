"""The client: requests in an open loop, each timed from the moment at which it was meant to go."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import httpx

from loadtests.peers.servers.catalogue import Running
from loadtests.peers.traffic import Arrival

Scores = tuple[float, ...]


@dataclass(frozen=True)
class Outcome:
    """The fate of a request: `ended` is in seconds from the beginning, or None where no answer
    came in time; `late` is by how much the client itself was late in sending it.

    An answer has images, PNGs in base64, or scores, in nats; NaN is one that failed.
    """

    arrival: Arrival
    late: float
    ended: float | None = None
    status: int | None = None
    images: tuple[str, ...] = ()
    scores: Scores = ()

    @property
    def ok(self) -> bool:
        """Whether it was answered with success."""
        return self.status == httpx.codes.OK

    @property
    def latency(self) -> float:
        """Return the seconds from the intended time to the answer; infinite without success."""
        return self.ended - self.arrival.at if self.ok and self.ended is not None else float("inf")


def play(
    running: Running,
    model: str,
    coming: Sequence[Arrival],
    scored: Sequence[str],
    patience_s: float,
) -> list[Outcome]:
    """Send all requests at their times, and return what became of each, in their order.

    Requests that have no answer `patience_s` seconds after the last was due are given up.
    """
    return asyncio.run(_play(running, model, coming, scored, patience_s))


async def _play(
    running: Running,
    model: str,
    coming: Sequence[Arrival],
    scored: Sequence[str],
    patience_s: float,
) -> list[Outcome]:
    bodies = [arrival.kind.body(model, arrival.seed, scored) for arrival in coming]
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(limits=limits, timeout=None) as client:
        begin = time.perf_counter() + 0.05

        async def one(arrival: Arrival, body: dict[str, object]) -> Outcome:
            await asyncio.sleep(begin + arrival.at - time.perf_counter())
            late = time.perf_counter() - begin - arrival.at
            try:
                response = await client.post(running.url(arrival.kind.path), json=body)
            except httpx.TransportError:
                return Outcome(arrival, late)
            return _outcome(arrival, late, time.perf_counter() - begin, response)

        tasks = [
            asyncio.create_task(one(arrival, body))
            for arrival, body in zip(coming, bodies, strict=True)
        ]
        last = max(arrival.at for arrival in coming)
        _, pending = await asyncio.wait(tasks, timeout=0.05 + last + patience_s)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        return [
            Outcome(arrival, 0.0) if task.cancelled() else task.result()
            for arrival, task in zip(coming, tasks, strict=True)
        ]


def _outcome(arrival: Arrival, late: float, ended: float, response: httpx.Response) -> Outcome:
    if response.status_code != httpx.codes.OK:
        return Outcome(arrival, late, ended, response.status_code)
    answer = response.json()
    images = tuple(image["png"] for image in answer.get("images", ()))
    bounds = (result["log_px_lower_bound"] for result in answer.get("results", ()))
    scores = tuple(float("nan") if bound is None else bound for bound in bounds)
    return Outcome(arrival, late, ended, response.status_code, images, scores)
