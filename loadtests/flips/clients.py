"""Clients that ask while a model is exchanged, and compare each answer with that of the checkpoint
which it names."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from loadtests.flips.checkpoints import NAME, TIMEOUT_S, Place, exchange

Request = tuple[str, dict[str, Any]]
# The answers by checkpoint and number of the request.
Answers = dict[tuple[str, int], Any]


@dataclass
class Tally:
    """The outcome of the requests: the checkpoints that answers named, what was wrong, and begin
    and end of each short request."""

    named: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    short: list[tuple[float, float]] = field(default_factory=list)
    enough: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def requests(self) -> int:
        """Number of requests so far."""
        return self.named.total() + len(self.wrong)


def drawn(seed: int, steps: int, count: int = 1, solver: str = "ddpm") -> Request:
    """Return a request for samples."""
    spec = {"name": solver, "steps": steps}
    body = {"model": NAME, "seed": seed, "count": count, "solver": spec, "timeout_s": TIMEOUT_S}
    return "samples", body


def requests(png: str, seeds: int, long_steps: int) -> list[Request]:
    """Return what clients ask for: first what one of them asks for again and again, which takes
    seconds, then short requests, which the others take turns at, and likelihoods among them."""
    scored = "likelihoods", {"model": NAME, "images": [png], "probes": 1, "timeout_s": TIMEOUT_S}
    short = [drawn(seed, 5, solver=("ddpm", "dpm-2m")[seed % 2]) for seed in range(seeds)]
    return [drawn(99, long_steps, count=4), scored, *short]


async def ask(client: httpx.AsyncClient, request: Request) -> tuple[str, Any]:
    """Return the checkpoint that an answer names, and its images or scores."""
    kind, body = request
    answer = await client.post(f"/v1/{kind}", json=body)
    if answer.status_code != httpx.codes.OK:
        raise ValueError(f"{answer.status_code} {answer.text[:300]}")
    found = answer.json()
    return found["checkpoint"], found["images" if kind == "samples" else "results"]


async def learn(
    address: str, place: Place, seeds: int, long_steps: int
) -> tuple[list[Request], Answers]:
    """Return the requests, and the answer to each from each checkpoint alone."""
    known: Answers = {}
    asked: list[Request] = []
    async with httpx.AsyncClient(base_url=address, timeout=TIMEOUT_S) as client:
        for source in place.sources:
            flip = await asyncio.to_thread(exchange, address, source, place.root)
            if not asked:
                _, images = await ask(client, drawn(0, 5))
                asked = requests(images[0]["png"], seeds, long_steps)
            answers = await asyncio.gather(*(ask(client, request) for request in asked))
            for number, (checkpoint, found) in enumerate(answers):
                if checkpoint != flip.checkpoint:
                    raise RuntimeError(f"{checkpoint} answered in place of {flip.checkpoint}")
                known[checkpoint, number] = found
    if any(known[one] == known[other] for one in known for other in known
           if one[1] == other[1] and one[0] < other[0]):  # fmt: skip
        raise RuntimeError("the checkpoints cannot be told apart by their answers")
    return asked, known


async def press(
    address: str, asked: Sequence[Request], known: Answers, clients: int, tally: Tally
) -> None:
    """Ask without a pause until this is cancelled, and compare each answer."""
    others = itertools.cycle(range(1, len(asked)))

    async def one(client: httpx.AsyncClient, numbers: Iterator[int]) -> None:
        while not tally.enough.is_set():
            number, began = next(numbers), time.monotonic()
            try:
                checkpoint, found = await ask(client, asked[number])
            except (ValueError, httpx.TransportError) as error:
                tally.wrong.append(repr(error))
                continue
            if known.get((checkpoint, number)) != found:
                tally.wrong.append(f"request {number} is not what {checkpoint:.12} answers")
                continue
            tally.named[checkpoint] += 1
            if number > 1:
                tally.short.append((began, time.monotonic()))

    limits = httpx.Limits(max_connections=clients)
    async with httpx.AsyncClient(base_url=address, timeout=TIMEOUT_S, limits=limits) as client:
        rest = (one(client, others) for _ in range(clients - 1))
        await asyncio.gather(one(client, itertools.repeat(0)), *rest)
