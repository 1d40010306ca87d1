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
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

from loadtests.capacity.redis_limits import redis_servers
from loadtests.flips.checkpoints import Place
from loadtests.flips.run import Plan, run
from loadtests.local import running_process

READY_S = 600.0
MULAN = str(Path(sys.executable).with_name("mulan"))


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
        store = stack.enter_context(redis_servers()).url
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
