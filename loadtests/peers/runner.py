"""The run: cell by cell, every server in turn under the same traffic, the others frozen."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import torch
from tqdm import tqdm

from loadtests.peers.client import Outcome, play
from loadtests.peers.core import FREE, ROWS, Choice, FreeDenoiser
from loadtests.peers.measures import Played
from loadtests.peers.scenarios import FREE as FREE_SCENARIO
from loadtests.peers.scenarios import Plan
from loadtests.peers.servers.catalogue import Peer, Running, launched
from loadtests.peers.servers.solving import solve_together
from loadtests.peers.traffic import Body, Kind, Scenario, arrivals
from models.rows.denoiser import Denoiser
from models.rows.rows import Query

BARE_S = 0.7
IDLE_S = 1.0
# Requests that are solved without a server.
ALONE = 60
# The kind of request that shows whether a server answers.
PROBE = Kind("probe", solver={"name": "ddpm", "steps": 2})
# Images that requests for likelihoods score, drawn before the run.
SCORED = Kind("scored", images=16, solver={"name": "dpm-2m", "steps": 10})


@dataclass
class Found:
    """All that a run measured: what was played, the rate of the bare loop each time it was
    measured, and the processors that each idle server kept busy.

    `alone_ms` is the processor time of a request at the free network without any server.
    """

    played: list[Played] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)
    idle: dict[str, float] = field(default_factory=dict)
    alone_ms: float | None = None


class Run:
    """One run of a plan with a choice of checkpoint and runtime, over some of the servers.

    Everything is played in the order of rounds, scenarios and loads; within each, the servers take
    turns, and another one begins each time.
    """

    def __init__(self, plan: Plan, choice: Choice, peers: Sequence[Peer], folder: Path) -> None:
        self.plan, self.choice, self.peers, self.folder = plan, choice, peers, folder
        self.found = Found()
        self._denoiser = choice.denoiser()
        drawn = solve_together(self._denoiser, [SCORED.body(choice.model, 1, ())])[0]
        self._scored = [image["png"] for image in drawn["images"]]

    def play(self) -> Found:
        """Play the whole plan, with a bar of its progress."""
        cells = [
            (number, scenario, load)
            for number in range(self.plan.rounds)
            for scenario in self.plan.scenarios
            for load in scenario.loads
        ]
        turns = [
            (*cell, peer) for place, cell in enumerate(cells) for peer in self._turns(place, *cell)
        ]
        real = [turn for turn in turns if turn[1] is not FREE_SCENARIO]
        free = [turn for turn in turns if turn[1] is FREE_SCENARIO]
        with tqdm(total=len(turns), unit="cell", desc="peers") as bar:
            self.found.bare.append(bare_rate(self._denoiser, BARE_S))
            for choice, some in ((self.choice, real), (self.choice._replace(runtime=FREE), free)):
                if some:
                    self._play(choice, some, bar)
        return self.found

    def _turns(self, place: int, number: int, scenario: Scenario, load: float) -> Iterator[Peer]:
        """Yield the servers that play a cell, in the order of their turns."""
        first = place % len(self.peers)
        for peer in (*self.peers[first:], *self.peers[:first]):
            able = peer.likelihoods or all(kind.samples for kind in scenario.kinds)
            shown = number == 0 and load == scenario.loads[0] and scenario in self.plan.slow
            if able and (shown or not peer.slow):
                yield peer

    def _play(
        self, choice: Choice, turns: Sequence[tuple[int, Scenario, float, Peer]], bar: "tqdm[None]"
    ) -> None:
        with ExitStack() as stack:
            fleet = _Fleet(stack, choice, self.folder / choice.runtime)
            peers = list(dict.fromkeys(peer for *_, peer in turns))
            bar.set_postfix_str(f"starting servers, runtime {choice.runtime}")
            for peer in peers:
                fleet.launch(peer)
            for peer in peers:
                fleet.settle(peer)
            if choice.runtime == FREE:
                self.found.idle |= {peer.name: fleet.idle(peer) for peer in peers}
                self.found.alone_ms = alone_ms(self._denoiser, self.choice.model)
            previous: tuple[int, Scenario, float] | None = None
            for number, scenario, load, peer in turns:
                bar.set_postfix_str(f"{scenario.name} {load} {peer.name}")
                if (number, scenario, load) != previous or scenario.arrivals == "at once":
                    self.found.bare.append(bare_rate(self._denoiser, BARE_S))
                    previous = number, scenario, load
                self.found.played.append(self._cell(fleet, number, scenario, load, peer))
                bar.update()

    def _cell(
        self, fleet: "_Fleet", number: int, scenario: Scenario, load: float, peer: Peer
    ) -> Played:
        # The load is a share of what was measured at the start; later rates show the drift.
        rate = self.found.bare[0]
        requests = self.plan.requests(scenario, load, rate)
        coming = arrivals(scenario, load, rate, requests, number)
        running = fleet.thaw(peer)
        before = running.deployment.spent_s()
        outcomes = play(
            running, self.choice.model, coming, self._scored, self.plan.patience(scenario)
        )
        spent, resident = running.deployment.spent_s() - before, running.deployment.resident_mb()
        fleet.freeze(peer, outcomes)
        return Played(
            *(number, peer.name, scenario.name, load, tuple(outcomes)),
            *(self.found.bare[-1], spent, resident, ROWS),
        )


class _Fleet:
    """The servers of a run, all started, of which only the one that is measured runs."""

    def __init__(self, stack: ExitStack, choice: Choice, folder: Path) -> None:
        self._stack, self._choice, self._folder = stack, choice, folder
        self._running: dict[str, tuple[Running, ExitStack]] = {}
        self._probe: Body = PROBE.body(choice.model, 0, ())

    def launch(self, peer: Peer) -> None:
        """Launch a server."""
        own = self._stack.enter_context(ExitStack())
        running = own.enter_context(launched(peer, self._choice, self._folder))
        self._running[peer.name] = running, own

    def settle(self, peer: Peer) -> None:
        """Freeze a server once it answers."""
        running, _ = self._running[peer.name]
        running.await_answer(self._probe)
        running.deployment.freeze()

    def thaw(self, peer: Peer) -> Running:
        """Let a server go on, and return it once it answers."""
        running, _ = self._running[peer.name]
        running.deployment.thaw()
        running.await_answer(self._probe)
        return running

    def freeze(self, peer: Peer, outcomes: Sequence[Outcome]) -> None:
        """Freeze a server; one that still works on requests that were given up begins anew."""
        running, own = self._running[peer.name]
        if all(outcome.ended is not None for outcome in outcomes):
            running.deployment.freeze()
            return
        own.close()
        self.launch(peer)
        self.settle(peer)

    def idle(self, peer: Peer) -> float:
        """Return the processors that a server keeps busy without requests."""
        running = self.thaw(peer)
        before, began = running.deployment.spent_s(), time.perf_counter()
        time.sleep(IDLE_S)
        spent = running.deployment.spent_s() - before
        running.deployment.freeze()
        return spent / (time.perf_counter() - began)


def alone_ms(denoiser: Denoiser, model: str) -> float:
    """Return the processor time in ms of the work that a request at the free network is, from its
    JSON to the picture, without any server."""
    free, (kind,) = FreeDenoiser(denoiser), FREE_SCENARIO.kinds
    requests = [kind.body(model, seed, ()) for seed in range(ALONE)]
    solve_together(free, requests[:1])
    before = time.process_time()
    for request in requests:
        solve_together(free, [request])
    return 1e3 * (time.process_time() - before) / ALONE


@torch.no_grad()
def bare_rate(denoiser: Denoiser, seconds: float) -> float:
    """Return the row-evaluations a second of a loop that calls the network on `ROWS` rows and does
    nothing else, measured for so many seconds."""
    config = denoiser.config
    latent = torch.zeros(ROWS, config.latent_size)
    latent[:, : config.latent_k] = 1.0
    condition = denoiser.condition(latent)
    query = Query(torch.randn(ROWS, *config.chw), torch.linspace(0.0, 1.0, ROWS).double())
    denoiser.evaluate(query, condition)
    calls, began = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - began) < seconds:
        denoiser.evaluate(query, condition)
        calls += 1
    return calls * ROWS / elapsed
