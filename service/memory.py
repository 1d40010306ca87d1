"""Memory for one more checkpoint: what is free on a device, and whether the checkpoint fits in."""

from collections.abc import Sequence
from pathlib import Path

import torch

from models.schema.manifest import WEIGHTS
from service.errors import NotEnoughMemory

# Memory that loading takes at its peak, in sizes of the weights file, and what it takes beside
# that: `python -m loadtests.loading` measures both. The file is read whole before its tensors are
# made, and ONNX Runtime rearranges them.
PEAK, BESIDE = 4.0, 128 << 20
_PROC = Path("/proc")
_CGROUPS = Path("/sys/fs/cgroup")


def check_memory(name: str, folder: Path, devices: Sequence[torch.device]) -> None:
    """Check that the checkpoint in `folder` can be loaded on these devices beside what is there.

    Raises NotEnoughMemory, and OSError where the weights are missing. Where this machine does not
    tell how much is free, nothing is refused.
    """
    needed = int(PEAK * (folder / WEIGHTS).stat().st_size) + BESIDE
    for device in dict.fromkeys((torch.device("cpu"), *devices)):
        free = free_on(device)
        if free is not None and free < needed:
            where = "this machine" if device.type == "cpu" else str(device)
            raise NotEnoughMemory(
                f"{name} takes up to {_mb(needed)} while it is loaded, and {where} has "
                f"{_mb(free)} free; unload another model, or give the worker more memory"
            )


def free_on(device: torch.device) -> int | None:
    """Return the bytes that are free on a device, or None where that is not known."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        # What torch keeps of memory that tensors have left.
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    known = [free for free in (_free_here(), _free_in_container()) if free is not None]
    return min(known, default=None)


def _free_here() -> int | None:
    """Return what Linux would give without swapping."""
    try:
        lines = (_PROC / "meminfo").read_text(encoding="ascii").splitlines()
        found = next(line for line in lines if line.startswith("MemAvailable:"))
        return 1024 * int(found.split()[1])
    except (OSError, StopIteration, ValueError):
        return None


def _free_in_container() -> int | None:
    """Return what the process's control group (version 2) may still take, without the files that
    Linux keeps in memory for it; None where it has no limit."""
    try:
        limit = int((_CGROUPS / "memory.max").read_text())
        used = int((_CGROUPS / "memory.current").read_text())
        stat = (_CGROUPS / "memory.stat").read_text().split()
    except (OSError, ValueError):
        return None
    files = dict(zip(stat[::2], stat[1::2], strict=False)).get("inactive_file", "0")
    return max(0, limit - used + int(files))


def _mb(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"
