"""Exchange a model again and again under load, and look for a request that fails or lies.

Two checkpoints of one name are put in turn into the models folder and loaded by request, while
clients ask for samples and likelihoods without a pause, some of them long. Before that, the answer
to each of their requests is taken from each of the checkpoints alone. Every answer of the run must
be, byte for byte, that of the checkpoint which it names. The first run is of one process, the
second of a fleet of workers.

    python -m loadtests.flips

Ctrl-C ends a run early, and what was found by then is told.
"""

import argparse
import asyncio
import contextlib
import itertools
import os
import shutil
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import torch
from prometheus_client.parser import text_string_to_metric_families
from torch import Tensor

from loadtests.capacity.redis_limits import redis_server
from loadtests.local import running_process
from loadtests.processes import resident_mb
from models.checkpoints.checkpoint import load_checkpoint, save_manifest, save_weights
from models.files.folders import replacing_folder
from models.network.mulan import Mulan
from models.schema.config import ModelConfig
from models.zoo import ZOO

NAME = "digits"
TIMEOUT_S, READY_S = 600.0, 600.0
SMALL = {"width": 8, "depth": 1, "encoder_depth": 1, "groups": 4, "schedule_width": 8}
TICKS = "mulan_engine_tick_seconds"
# Weights that are so much larger draw other images.
LARGER = 1.2
MULAN = str(Path(sys.executable).with_name("mulan"))

Request = tuple[str, dict[str, Any]]
# The answers by checkpoint and number of the request.
Answers = dict[tuple[str, int], Any]


@dataclass(frozen=True)
class Plan:
    """A number of exchanges, and of requests that press the model meanwhile. Where there is time
    between two flips, the old checkpoint is dropped, and each has to be loaded."""

    requests: int = 10_000
    flips: int = 20
    every: float = 20.0
    clients: int = 48
    threads: int = 1
    workers: int = 3
    # Short requests that differ, and steps of the long one.
    seeds: int = 60
    long_steps: int = 300


@dataclass(frozen=True)
class Place:
    """The folders of a run: its own, the models folder, and the checkpoints that take turns."""

    folder: Path
    root: Path
    sources: list[Path]

    @classmethod
    def within(cls, folder: Path, small: bool) -> "Place":
        """Fill a folder for a run."""
        sources, root = checkpoints(folder, small), folder / "models"
        shutil.copytree(sources[-1], root / NAME)
        return cls(folder, root, sources)


@dataclass
class Flip:
    """One exchange: when it began and ended, on the monotonic clock, and the checkpoint that the
    name stands for afterwards."""

    began: float
    ended: float
    checkpoint: str

    @property
    def seconds(self) -> float:
        """Seconds that it took."""
        return self.ended - self.began


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


def checkpoints(folder: Path, small: bool) -> list[Path]:
    """Write the two checkpoints: the shipped one, and one with other weights. If they are to be
    `small`, both have random weights, for machines that have little time."""
    shipped, other = folder / "shipped", folder / "other"
    shutil.copytree(ZOO / NAME, shipped)
    manifest, model = load_checkpoint(shipped)
    tensors, rewritten = model.state_dict(), {other: LARGER}
    # What was fitted on the shipped weights, or made for their architecture, does not go along.
    beside = ("calibration.json", "graphs")
    shutil.copytree(shipped, other, ignore=shutil.ignore_patterns(beside[0]))
    if small:
        config = manifest.config.model_copy(update=SMALL)
        tensors, rewritten = random_weights(config), {other: LARGER, shipped: 1.0}
        parameters = sum(tensor.numel() for tensor in tensors.values())
        manifest = manifest.model_copy(update={"config": config, "parameters": parameters})
        (shipped / beside[0]).unlink()
        for one in (shipped, other):
            shutil.rmtree(one / beside[1])
    for one, scale in rewritten.items():
        scaled = {name: scale * tensor if tensor.ndim > 1 else tensor
                  for name, tensor in tensors.items()}  # fmt: skip
        sha256 = save_weights(one, manifest.config, scaled)
        save_manifest(one, manifest.model_copy(update={"sha256": sha256}))
    return [other, shipped]


def random_weights(config: ModelConfig) -> dict[str, Tensor]:
    """Return random weights, none of which are zero."""
    torch.manual_seed(0)
    tensors = Mulan(config).state_dict()
    return {name: tensor + 0.05 * torch.randn_like(tensor) for name, tensor in tensors.items()}


def exchange(address: str, source: Path, root: Path) -> Flip:
    """Put a checkpoint into the models folder and have it loaded, as `mulan models push` does."""
    began = time.monotonic()
    with replacing_folder(root / NAME) as partial:
        shutil.copytree(source, partial, dirs_exist_ok=True)
    path = f"{address}/v2/repository/models/{NAME}/load"
    answer = httpx.post(path, timeout=TIMEOUT_S).raise_for_status().json()
    if answer["failures"]:
        raise RuntimeError(f"a worker failed: {answer['failures']}")
    return Flip(began, time.monotonic(), answer["checkpoint"])


def drawn(seed: int, steps: int, count: int = 1, solver: str = "ddpm") -> Request:
    """Return a request for samples."""
    spec = {"name": solver, "steps": steps}
    body = {"model": NAME, "seed": seed, "count": count, "solver": spec, "timeout_s": TIMEOUT_S}
    return "samples", body


def requests(png: str, plan: Plan) -> list[Request]:
    """Return what clients ask for: first what one of them asks for again and again, which takes
    seconds, then short requests, which the others take turns at, and likelihoods among them."""
    scored = "likelihoods", {"model": NAME, "images": [png], "probes": 1, "timeout_s": TIMEOUT_S}
    short = [drawn(seed, 5, solver=("ddpm", "dpm-2m")[seed % 2]) for seed in range(plan.seeds)]
    return [drawn(99, plan.long_steps, count=4), scored, *short]


async def ask(client: httpx.AsyncClient, request: Request) -> tuple[str, Any]:
    """Return the checkpoint that an answer names, and its images or scores."""
    kind, body = request
    answer = await client.post(f"/v1/{kind}", json=body)
    if answer.status_code != httpx.codes.OK:
        raise ValueError(f"{answer.status_code} {answer.text[:300]}")
    found = answer.json()
    return found["checkpoint"], found["images" if kind == "samples" else "results"]


def ticks(metrics: str) -> Counter[float]:
    """Return the ticks so far of the worker at this address, by the upper bound of their bucket."""
    text = httpx.get(f"{metrics}/metrics", timeout=TIMEOUT_S).text
    found: Counter[float] = Counter()
    before = 0.0
    for family in text_string_to_metric_families(text):
        for sample in family.samples if family.name == TICKS else ():
            if sample.name.endswith("_bucket"):
                found[float(sample.labels["le"])] = round(sample.value - before)
                before = sample.value
    return found


def longest(found: Counter[float]) -> str:
    """Return where the longest of some ticks lie."""
    total, so_far, within = found.total(), 0, dict[float, float]()
    for bound, count in sorted(found.items()):
        so_far += count
        for share in (0.5, 0.99, 1):
            if so_far >= share * total:
                within.setdefault(share, 1000 * bound)
    parts = (f"{100 * share:g} % within {bound:g} ms" for share, bound in within.items())
    return f"{total} ticks, {', '.join(parts)}"


async def learn(address: str, place: Place, plan: Plan) -> tuple[list[Request], Answers]:
    """Return the requests, and the answer to each from each checkpoint alone."""
    known: Answers = {}
    asked: list[Request] = []
    async with httpx.AsyncClient(base_url=address, timeout=TIMEOUT_S) as client:
        for source in place.sources:
            flip = await asyncio.to_thread(exchange, address, source, place.root)
            if not asked:
                _, images = await ask(client, drawn(0, 5))
                asked = requests(images[0]["png"], plan)
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


async def run(address: str, workers: dict[str, int], place: Place, plan: Plan) -> bool:
    """Exchange the checkpoints under load, print what was found, and return whether all is well.

    `workers` has the process id of each worker by the address of its metrics.
    """
    asked, known = await learn(address, place, plan)
    metrics, tally, memory = next(iter(workers)), Tally(), list[float]()
    flips, loading, first = list[Flip](), Counter[float](), ticks(metrics)
    pressing = asyncio.create_task(press(address, asked, known, plan.clients, tally))
    if threading.current_thread() is threading.main_thread():
        # Ctrl-C ends the run early, and what there is is told.
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, tally.enough.set)
    began = time.monotonic()
    for number in range(plan.flips):
        await asyncio.sleep(began + plan.every * (number + 0.5) - time.monotonic())
        if tally.enough.is_set():
            break
        before = ticks(metrics)
        source = place.sources[number % len(place.sources)]
        flips.append(await asyncio.to_thread(exchange, address, source, place.root))
        loading += ticks(metrics) - before
        memory.append(sum(map(resident_mb, workers.values())))
    ends = began + plan.every * plan.flips
    while tally.requests < plan.requests or time.monotonic() < ends:
        if tally.enough.is_set():
            break
        await asyncio.sleep(0.1)
    tally.enough.set()
    await pressing
    print(f"load on this machine: {os.getloadavg()[1]:.1f}, {os.cpu_count()} cores")
    tell(tally, flips, time.monotonic() - began)
    print(f"ticks while a checkpoint was loaded: {longest(loading)}")
    print(f"ticks of the rest of the run:        {longest(ticks(metrics) - first - loading)}")
    shown = ", ".join(f"{memory[place]:.0f}" for place in (0, len(memory) // 2, -1))
    print(f"resident memory of the workers after the first, middle and last flip: {shown} MB")
    return not tally.wrong


def tell(tally: Tally, flips: Sequence[Flip], seconds: float) -> None:
    """Print the table of one run."""
    print(f"{tally.requests} requests in {seconds:.0f} s, {len(flips)} flips")
    print(f"failed or other than the named checkpoint's: {len(tally.wrong)}")
    for line, count in Counter(line[:80] for line in tally.wrong).most_common(10):
        print(f"    {count} times {line}")
    for checkpoint, count in tally.named.most_common():
        print(f"answered by {checkpoint:.12}: {count}")
    took = sorted(flip.seconds for flip in flips)
    print(f"a flip took {statistics.median(took):.1f} s, at most {took[-1]:.1f} s")
    during, rest = list[float](), list[float]()
    for began, ended in tally.short:
        inside = any(flip.began < ended and began < flip.ended for flip in flips)
        (during if inside else rest).append(ended - began)
    for when, times in (("during a flip", during), ("else", rest)):
        if len(times) > 1:
            cuts = [1000 * cut for cut in statistics.quantiles(times, n=100)]
            print(
                f"short requests {when}: {len(times)}, median {cuts[49]:.0f} ms, "
                f"99 % within {cuts[98]:.0f} ms, all within {max(times):.2f} s"
            )


def alone(place: Place, plan: Plan) -> bool:
    """Run one process, which is API and worker."""
    arguments = ("--models", str(place.root), "--model-control", "--threads", str(plan.threads))
    log = place.folder / "serve.log"
    with running_process(*arguments, log=log, ready_within_s=READY_S) as (address, pid):
        return asyncio.run(run(address, {address: pid}, place, plan))


def fleet(place: Place, plan: Plan) -> bool:
    """Run an API and several workers around a Redis."""

    def start(part: str, number: int, *flags: str) -> AbstractContextManager[tuple[str, int]]:
        return running_process(
            *("--store", store, "--models", str(place.root), "--model-control", *flags),
            log=place.folder / f"{part}-{number}.log",
            program=(MULAN, part),
            port_flag="--port" if part == "api" else "--metrics-port",
            ready_within_s=READY_S,
        )

    with contextlib.ExitStack() as stack:
        store = stack.enter_context(redis_server())
        pool = stack.enter_context(ThreadPoolExecutor())
        threads = ("--threads", str(plan.threads))
        starts = [start("worker", number, *threads) for number in range(plan.workers)]
        *workers, (address, _) = pool.map(stack.enter_context, [*starts, start("api", 0)])
        return asyncio.run(run(address, dict(workers), place, plan))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=Plan.requests, help="at least so many")
    parser.add_argument("--flips", type=int, default=Plan.flips)
    parser.add_argument("--every", type=float, default=Plan.every, help="seconds between two flips")
    parser.add_argument("--clients", type=int, default=Plan.clients)
    parser.add_argument("--threads", type=int, default=Plan.threads)
    parser.add_argument("--workers", type=int, default=Plan.workers)
    parser.add_argument("--only", choices=["one", "fleet"])
    parser.add_argument("--small", action="store_true", help="with a small random network")
    arguments = vars(parser.parse_args())
    only, small, well = arguments.pop("only"), arguments.pop("small"), True
    for name, part in (("one", alone), ("fleet", fleet)):
        if only in (None, name):
            with tempfile.TemporaryDirectory() as folder:
                print(f"{name}:")
                well &= part(Place.within(Path(folder), small), Plan(**arguments))
    sys.exit(0 if well else 1)


if __name__ == "__main__":
    main()
