"""Measure the service beside its peers, in one run; see `loadtests.peers`."""

import argparse
import shlex
import sys
import tempfile
from pathlib import Path

from loadtests.peers.core import FREE, ONNX, RUNTIMES, Choice
from loadtests.peers.measures import agreements, by_cell
from loadtests.peers.plots import goodputs, latencies
from loadtests.peers.report import page, write_csv
from loadtests.peers.runner import Run
from loadtests.peers.scenarios import FULL, QUICK
from loadtests.peers.servers.catalogue import OURS, PEERS


def parsed() -> argparse.Namespace:
    """Return the arguments."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.peers", description=__doc__)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", dest="plan", action="store_const", const=QUICK, help="a look")
    size.add_argument("--full", dest="plan", action="store_const", const=FULL, help="three rounds")
    parser.add_argument("--only", nargs="+", choices=PEERS, default=list(PEERS), help="servers")
    parser.add_argument(
        "--scenarios", nargs="+", choices=[one.name for one in FULL.scenarios], help="these alone"
    )
    parser.add_argument("--rounds", type=int, help="rounds, of which each plays every cell")
    parser.add_argument("--model", default="digits", help="a shipped checkpoint")
    parser.add_argument(
        "--runtime", choices=[name for name in RUNTIMES if name != FREE], default=ONNX
    )
    parser.add_argument("--threads", type=int, default=1, help="threads of the network")
    parser.add_argument("--out", type=Path, default=Path("peers"), help="folder of the results")
    parser.set_defaults(plan=QUICK)
    return parser.parse_args()


def main() -> None:
    """Play the plan, and write what was found."""
    arguments = parsed()
    plan = arguments.plan
    if arguments.scenarios:
        wanted = tuple(one for one in plan.scenarios if one.name in arguments.scenarios)
        plan = plan._replace(scenarios=wanted)
    if arguments.rounds:
        plan = plan._replace(rounds=arguments.rounds)
    choice = Choice(arguments.model, arguments.runtime, arguments.threads)
    peers = [PEERS[name] for name in arguments.only]
    with tempfile.TemporaryDirectory() as folder:
        found = Run(plan, choice, peers, Path(folder)).play()
    cells = by_cell(found.played, arguments.only)
    agreement = agreements(found.played, OURS)
    out, name = arguments.out, choice.runtime
    out.mkdir(parents=True, exist_ok=True)
    command = f"python -m loadtests.peers {shlex.join(sys.argv[1:])}".strip()
    text = page(command, choice, plan, found, cells, agreement)
    (out / f"{name}.md").write_text(text, encoding="utf-8")
    write_csv(cells, out / f"{name}.csv")
    latencies(cells, plan.scenarios, out / f"{name}-latency.png")
    goodputs(cells, plan.scenarios, out / f"{name}-goodput.png")
    print(text)


if __name__ == "__main__":
    main()
