"""Find the number of replicas for a traffic, and the load that one Redis carries.

python -m loadtests.capacity cost --out cost.json    # what a tick costs on this device
python -m loadtests.capacity simulate cost.json      # latencies over load and workers
python -m loadtests.capacity replicas cost.json --rate 5
python -m loadtests.capacity validate                # the simulation beside the service
python -m loadtests.capacity redis --shards 1 3
python -m loadtests.capacity shards --job-ms 0.8 --idle-ms 0.7    # waits for Redis, simulated
python -m loadtests.capacity draw cost.json --out capacity.png
"""

import argparse
import itertools
import sys
from pathlib import Path

import torch

from loadtests.capacity import cost, pictures, redis_limits, redis_queue, sizing, validation
from loadtests.capacity.fleet import Report, fill, utilisation
from loadtests.capacity.traffic import MIXED, mean_work
from service.price import price

LOADS = (0.3, 0.5, 0.6, 0.7, 0.85)
SHOWN = ("one", "sheet", "long", "likelihood")
FLEETS, DRAWN = (1, 2, 4, 8), (1, 2, 4)
REDIS_WORKERS = (1, 8, 32, 128)


def measure(arguments: argparse.Namespace) -> None:
    found = _measure(arguments)
    found.write(arguments.out)
    print(f"{found.model} on {found.execution}, {found.threads} threads")
    print("| probes | rows | ms | row-evaluations/s |\n|---|---|---|---|")
    for probes, points in found.calls.items():
        for rows, seconds in points:
            rate = price(round(rows), probes=probes) / seconds
            print(f"| {probes} | {rows} | {1e3 * seconds:.1f} | {rate:.0f} |")
    print(f"\na job beside its ticks: {1e3 * found.job:.1f} ms; C = {found.rate():.0f} a second")


def simulate(arguments: argparse.Namespace) -> None:
    found = cost.Cost.read(arguments.cost)
    print(f"{mean_work(MIXED):.0f} row-evaluations a request; C = {found.rate():.0f}")
    kinds = " | ".join(f"p95 {kind}" for kind in SHOWN)
    print(f"| workers | shards | load | requests/s | busy | fill | {kinds} | refused | late |")
    print("|---" * (8 + len(SHOWN)) + "|")
    every = itertools.product(arguments.workers, arguments.shards, arguments.loads)
    for workers, shards, load in every:
        rate = load * workers * found.rate() / mean_work(MIXED)
        report = sizing.simulate(
            found, MIXED, rate, workers, arguments.seconds, arguments.seed, shards
        )
        late = report.ends["timed out"] + report.ends["timed out in the queue"]
        cells = (
            *(workers, shards, load, f"{rate:.2f}"),
            *(f"{utilisation(report, workers):.2f}", f"{fill(report):.2f}"),
            *(f"{report.percentile(0.95, kind):.1f}" for kind in SHOWN),
            *(report.ends["refused"], f"{late / sum(report.ends.values()):.1%}"),
        )
        print(f"| {' | '.join(map(str, cells))} |", flush=True)


def replicas(arguments: argparse.Namespace) -> None:
    found = cost.Cost.read(arguments.cost)
    for rate in arguments.rate:
        workers, report = sizing.by_simulation(
            found, MIXED, rate, arguments.kind, arguments.within, arguments.seconds, arguments.seed
        )
        print(
            f"{rate} requests/s: {sizing.by_formula(found, MIXED, rate)} workers by the formula, "
            f"{workers} by simulation, busy {utilisation(report, workers):.2f}, "
            f"p95 of {arguments.kind} {report.percentile(0.95, arguments.kind):.2f} s"
        )


def validate(arguments: argparse.Namespace) -> None:
    program: tuple[str, ...] = ()
    if arguments.paced:
        program = (sys.executable, "-m", "loadtests.capacity.paced", str(arguments.paced))
    for pair in range(arguments.pairs):
        real, virtual, (before, after) = validation.compare(
            lambda: _given(arguments),
            arguments.load,
            arguments.seconds,
            arguments.seed + pair,
            program,
        )
        print(f"C = {before.rate():.0f} before, {after.rate():.0f} after")
        print("| kind | requests | service p50 | p95 | simulation p50 | p95 |")
        print("|---|---|---|---|---|---|")
        for kind in (*sorted(real.latencies), None):
            count = len(real.latencies[kind]) if kind else real.ends["succeeded"]
            print(f"| {kind or 'all'} | {count} | {_two(real, kind)} | {_two(virtual, kind)} |")
        print(f"mean {real.mean():.2f} s and {virtual.mean():.2f} s")
        for name, one in (("service", real), ("simulation", virtual)):
            tick = 1e3 * one.busy / one.ticks
            print(f"{name}: {one.ticks} ticks of {tick:.0f} ms, busy {one.busy / one.span:.2f}")
        sys.stdout.flush()


def redis(arguments: argparse.Namespace) -> None:
    print(
        "| workers | shards | Redis, us a job | of the busiest | scripts | commands | kB "
        "| jobs/s at most | our clients' jobs/s |"
    )
    print("|---" * 9 + "|")
    for workers in arguments.workers:
        for shards in arguments.shards:
            with redis_limits.redis_servers(shards) as servers:
                one = redis_limits.per_job(servers, workers, arguments.jobs)
            print(
                f"| {workers} | {shards} | {1e6 * one.seconds:.0f} | {1e6 * one.busiest:.0f} "
                f"| {one.calls:.1f} | {one.commands:.0f} | {one.kilobytes:.1f} "
                f"| {1 / one.busiest:.0f} | {one.rate:.0f} |",
                flush=True,
            )
    for shards in arguments.shards:
        with redis_limits.redis_servers(shards) as servers:
            calls = redis_limits.per_call(servers)
        print(", ".join(f"{name} {1e6 * seconds:.0f} us" for name, seconds in calls.items()))
        worker, api = redis_limits.idle(calls)
        print(
            f"without jobs, {shards} shards: {1e6 * worker:.0f} us/s a worker, "
            f"{1e6 * api:.0f} us/s an API"
        )


def shards(arguments: argparse.Namespace) -> None:
    costs = redis_queue.Costs(arguments.job_ms / 1e3, arguments.scripts, arguments.idle_ms / 1e3)
    print("| workers | jobs/s | shards | busiest Redis | script, median ms | p99 ms |")
    print("|---" * 6 + "|")
    for workers, number in itertools.product(arguments.workers, arguments.shards):
        fleet = redis_queue.Fleet(workers, arguments.jobs_each)
        found = redis_queue.simulate(fleet, costs, number, arguments.seconds, arguments.seed)
        print(
            f"| {workers} | {workers * arguments.jobs_each:.0f} | {number} | {found.busy:.0%} "
            f"| {1e3 * found.median_s:.2f} | {1e3 * found.p99_s:.1f} |"
        )


def draw(arguments: argparse.Namespace) -> None:
    found = cost.Cost.read(arguments.cost)
    pictures.draw(found, DRAWN, arguments.seconds, arguments.seed, arguments.out)


def _measure(arguments: argparse.Namespace) -> cost.Cost:
    clock = cost.CPU_TIME if arguments.clock == "cpu" else cost.WALL
    pick = cost.MEAN if arguments.pick == "mean" else cost.FASTEST
    device = torch.device(arguments.device)
    return cost.measure(arguments.model, device, arguments.threads, clock, pick)


def _given(arguments: argparse.Namespace) -> cost.Cost:
    return cost.Cost.read(arguments.paced) if arguments.paced else _measure(arguments)


def _two(report: Report, kind: str | None) -> str:
    return f"{report.percentile(0.5, kind):.2f} | {report.percentile(0.95, kind):.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)

    def command(name: str, act: object, seconds: float = 0.0) -> argparse.ArgumentParser:
        one = commands.add_parser(name)
        one.set_defaults(act=act)
        one.add_argument("--seed", type=int, default=7)
        if seconds:
            one.add_argument("--seconds", type=float, default=seconds)
        return one

    for one in (
        measuring := command("cost", measure),
        validating := command("validate", validate, 90),
    ):
        one.add_argument("--model", default="digits")
        one.add_argument("--device", default="cpu")
        one.add_argument("--threads", type=int, default=1)
        one.add_argument("--clock", choices=("wall", "cpu"), default="wall")
        one.add_argument("--pick", choices=("fastest", "mean"), default="fastest")
    measuring.add_argument("--out", type=Path, required=True)
    validating.add_argument("--paced", type=Path, help="a cost that made-up networks keep to")
    validating.add_argument("--load", type=float, default=0.5)
    validating.add_argument("--pairs", type=int, default=1)
    simulating = command("simulate", simulate, 600)
    sizing_up = command("replicas", replicas, 600)
    drawing = command("draw", draw, 400)
    for one in (simulating, sizing_up, drawing):
        one.add_argument("cost", type=Path)
    simulating.add_argument("--workers", type=int, nargs="+", default=FLEETS)
    simulating.add_argument("--shards", type=int, nargs="+", default=(1,))
    simulating.add_argument("--loads", type=float, nargs="+", default=LOADS)
    sizing_up.add_argument("--rate", type=float, nargs="+", required=True)
    sizing_up.add_argument("--kind", default="sheet")
    sizing_up.add_argument("--within", type=float, default=5.0)
    drawing.add_argument("--out", type=Path, required=True)
    limiting = command("redis", redis)
    limiting.add_argument("--jobs", type=int, default=2000)
    limiting.add_argument("--workers", type=int, nargs="+", default=REDIS_WORKERS)
    limiting.add_argument("--shards", type=int, nargs="+", default=(1,))
    waiting = command("shards", shards, 60)
    waiting.add_argument("--workers", type=int, nargs="+", default=(100, 300, 1000))
    waiting.add_argument("--shards", type=int, nargs="+", default=(1, 3, 6))
    waiting.add_argument("--jobs-each", type=float, default=1.07, help="jobs/s of a worker")
    waiting.add_argument("--job-ms", type=float, required=True, help="Redis's ms for a job")
    waiting.add_argument("--scripts", type=float, default=8.0)
    waiting.add_argument("--idle-ms", type=float, required=True, help="ms/s of a worker")
    arguments = parser.parse_args()
    arguments.act(arguments)


if __name__ == "__main__":
    main()
