"""The network that all servers of a comparison share: the only place that chooses a runtime."""

import os
import sys
from pathlib import Path
from typing import NamedTuple

import torch

from models.checkpoints.checkpoint import load_checkpoint
from models.files.shelf import find
from models.rows.denoiser import Denoiser
from models.rows.rows import Answer, Condition, Query
from models.runtimes.choice import RuntimeName, Wish, choose

EAGER, ONNX = "eager", "onnx"
# A network that answers at once, so that all which remains is the server's own time.
FREE = "free"
RUNTIMES = (ONNX, EAGER, FREE)
# Rows of the largest call, which is also the batch of the bare loop.
ROWS = 64

_MODEL, _RUNTIME, _THREADS = "PEERS_MODEL", "PEERS_RUNTIME", "PEERS_THREADS"


class Choice(NamedTuple):
    """The checkpoint, the runtime and the number of its threads, for every server of a run."""

    model: str = "digits"
    runtime: str = ONNX
    threads: int = 1

    @classmethod
    def here(cls) -> "Choice":
        """Return the choice that the environment of this process holds."""
        return cls(os.environ[_MODEL], os.environ[_RUNTIME], int(os.environ[_THREADS]))

    def environment(self) -> dict[str, str]:
        """Return the variables that tell a process of the choice."""
        threads = str(self.threads)
        return {
            _MODEL: self.model,
            _RUNTIME: self.runtime,
            _THREADS: threads,
            "OMP_NUM_THREADS": threads,
            "MKL_NUM_THREADS": threads,
        }

    def denoiser(self) -> Denoiser:
        """Load the checkpoint, and return its denoiser on the chosen runtime, warmed up."""
        torch.set_num_threads(self.threads)
        folder = find(self.model)[0]
        wish = Wish(self._network_runtime)
        denoiser = choose(load_checkpoint(folder), folder, ROWS, wish).denoiser
        return FreeDenoiser(denoiser) if self.runtime == FREE else denoiser

    def ours(self, command: str, folder: Path) -> list[str]:
        """Return the command line of `mulan <command>` with this choice alone, without its port.

        A `folder` of the server's own gets a shelf with the one checkpoint.
        """
        mulan = [str(Path(sys.executable).with_name("mulan"))]
        if self.runtime == FREE:
            mulan = [sys.executable, "-m", "loadtests.peers.servers.ours_free"]
        shelf, checkpoint = folder / "shelf", find(self.model)[0]
        shelf.mkdir(exist_ok=True)
        link = shelf / checkpoint.name
        if not link.exists():
            link.symlink_to(checkpoint.resolve(), target_is_directory=True)
        options = {
            "threads": str(self.threads),
            "models": str(shelf),
            "runtime": self._network_runtime,
        }
        return [*mulan, command, *(f"--{name}={value}" for name, value in options.items())]

    @property
    def _network_runtime(self) -> RuntimeName:
        """The runtime of the real network, under the free one too."""
        return "onnx" if self.runtime == ONNX else "eager"


class FreeDenoiser:
    """A denoiser whose network predicts no noise, in no time; the rest is that of another one."""

    def __init__(self, denoiser: Denoiser) -> None:
        self.config, self.quantum = denoiser.config, 1
        self.encode, self.condition = denoiser.encode, denoiser.condition

    def evaluate(self, query: Query, condition: Condition) -> Answer:
        pulled = None if query.cotangents is None else torch.zeros_like(query.cotangents)
        return Answer(torch.zeros_like(query.x), pulled)
