"""A network of random weights on the device that is measured, and a clock that waits for it."""

import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from models.network.mulan import Mulan
from models.runtimes.cuda_graph import CudaGraphRuntime
from models.runtimes.eager import EagerRuntime
from models.runtimes.graphs import CudaGraphs, Reruns
from models.runtimes.runtime import Runtime
from models.schema.mulan import MulanConfig

PROBES = 2


class Place(NamedTuple):
    """A model on its device, and the seconds that one measurement takes."""

    model: Mulan
    seconds: float

    @property
    def device(self) -> torch.device:
        """The device that is measured."""
        return self.model.device

    @property
    def on_cuda(self) -> bool:
        """Whether the device is a GPU."""
        return self.device.type == "cuda"

    @property
    def name(self) -> str:
        """The name of the device."""
        return torch.cuda.get_device_name(self.device) if self.on_cuda else "CPU"

    def wait(self) -> None:
        """Wait until the device has nothing to do."""
        if self.on_cuda:
            torch.cuda.synchronize(self.device)

    def repeat(self, work: Callable[[], object]) -> tuple[int, float]:
        """Repeat `work` for the seconds of a measurement; return how often it ran and the seconds
        that it took."""
        began = time.perf_counter()
        work()
        self.wait()
        once = time.perf_counter() - began
        # A host that waited after each would keep the device from working on while it prepares.
        together = max(1, min(20, round(self.seconds / 2 / once))) if self.on_cuda else 1
        times, spent, began = 0, 0.0, time.perf_counter()
        while spent < self.seconds:
            for _ in range(together):
                work()
            self.wait()
            times, spent = times + together, time.perf_counter() - began
        return times, spent

    def rate(self, work: Callable[[], object]) -> float:
        """Return how often `work` runs in a second, after a first time."""
        times, spent = self.repeat(work)
        return times / spent

    def busy_share(self, work: Callable[[], object]) -> float:
        """Return the share of the time in which the device ran kernels; on the CPU, operators."""
        activity = ProfilerActivity.CUDA if self.on_cuda else ProfilerActivity.CPU
        field = "self_device_time_total" if self.on_cuda else "self_cpu_time_total"
        self.wait()
        with profile(activities=[activity]) as recorded:
            began = time.perf_counter()
            work()
            self.wait()
            wall = time.perf_counter() - began
        return sum(float(getattr(one, field)) for one in recorded.key_averages()) / 1e6 / wall


def build(config: MulanConfig, device: torch.device) -> Mulan:
    """Return a network none of whose layers is zero."""
    torch.manual_seed(0)
    model = Mulan(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():
                parameter.normal_(std=0.02)
    return model.to(device).eval().requires_grad_(False)


def runtimes(model: Mulan) -> list[Runtime]:
    """Return the runtimes to compare, the one for samples in bfloat16 last; without CUDA its graphs
    have their stand-in."""
    graphs = CudaGraphs(model.device) if model.device.type == "cuda" else Reruns()
    return [
        EagerRuntime(model),
        CudaGraphRuntime(model, graphs),
        CudaGraphRuntime(model, graphs, precision="bfloat16"),
    ]


def inputs(config: MulanConfig, rows: int, device: torch.device) -> list[Tensor]:
    """Return x_t, network time, latent and cotangents of `rows` rows."""
    latent = torch.zeros(rows, config.latent_size, device=device)
    latent[:, : config.latent_k] = 1.0
    x = torch.randn(rows, *config.chw, device=device)
    cotangents = torch.randn(rows, PROBES, *config.chw, device=device)
    return [x, torch.rand(rows, device=device), latent, cotangents]


def flops_of_a_row(config: MulanConfig) -> int:
    """Return the floating-point operations of one evaluation of one row."""
    meta = torch.device("meta")
    with meta:
        model = Mulan(config).eval()
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        model.score(*inputs(config, 1, meta)[:3])
    return counter.get_total_flops()
