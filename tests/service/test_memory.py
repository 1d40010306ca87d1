"""What is free for one more checkpoint, on this machine and in a container."""

from pathlib import Path

import pytest
import torch

from models.schema.manifest import WEIGHTS
from service import memory
from service.errors import NotEnoughMemory

CPU = torch.device("cpu")
MB = 1_000_000


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files in which Linux tells, of a machine without a control group."""
    for name, folder in (("_PROC", "proc"), ("_CGROUPS", "cgroup")):
        (tmp_path / folder).mkdir()
        monkeypatch.setattr(memory, name, tmp_path / folder)
    text = "MemTotal:       2000 kB\nMemFree:         100 kB\nMemAvailable:   1000 kB\n"
    (tmp_path / "proc" / "meminfo").write_text(text)
    return tmp_path


def confine(system: Path, limit: str, used: int, files: int) -> None:
    folder = system / "cgroup"
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 5\ninactive_file {files}\nactive_file 7\n")


def test_a_machine_has_what_linux_would_give(system: Path) -> None:
    assert memory.free_on(CPU) == 1_024_000


def test_a_container_has_what_its_limit_leaves(system: Path) -> None:
    confine(system, "600000", 300_000, 100_000)
    assert memory.free_on(CPU) == 400_000
    confine(system, "9000000", 300_000, 0)
    assert memory.free_on(CPU) == 1_024_000
    confine(system, "max", 300_000, 0)
    assert memory.free_on(CPU) == 1_024_000
    confine(system, "600000", 700_000, 0)
    assert memory.free_on(CPU) == 0


def test_a_machine_that_does_not_tell_refuses_nothing(system: Path, tmp_path: Path) -> None:
    (system / "proc" / "meminfo").unlink()
    assert memory.free_on(CPU) is None
    (tmp_path / WEIGHTS).write_bytes(b"")
    memory.check_memory("m", tmp_path, [CPU])


def test_weights_have_to_fit_in_what_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / WEIGHTS).open("wb") as file:
        file.truncate(100 * MB)
    needed = int(memory.PEAK * 100 * MB) + memory.BESIDE
    monkeypatch.setattr(memory, "free_on", lambda device: needed)
    memory.check_memory("m", tmp_path, [CPU])
    monkeypatch.setattr(memory, "free_on", lambda device: needed - 1)
    with pytest.raises(NotEnoughMemory, match=f"m takes up to {needed / MB:,.0f} MB"):
        memory.check_memory("m", tmp_path, [CPU])


def test_a_gpu_is_asked_as_well_as_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / WEIGHTS).write_bytes(b"")
    free = {"cpu": 10_000 * MB, "cuda": 1}
    monkeypatch.setattr(memory, "free_on", lambda device: free[device.type])
    with pytest.raises(NotEnoughMemory, match="cuda:1 has"):
        memory.check_memory("m", tmp_path, [torch.device("cuda:1")])
    free.update(cpu=1, cuda=10_000 * MB)
    with pytest.raises(NotEnoughMemory, match="this machine has"):
        memory.check_memory("m", tmp_path, [torch.device("cuda:1")])
