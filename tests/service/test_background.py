"""Work in the background neither delays the end of a process nor makes it crash."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tiny_zoo import write_checkpoint

from service import background
from service.background import in_background

ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("MULAN_")}


def test_what_it_comes_to() -> None:
    def fail() -> None:
        raise LookupError("nothing there")

    assert asyncio.run(in_background("adding", lambda: 1 + 1)) == 2
    with pytest.raises(LookupError, match="nothing there"):
        asyncio.run(in_background("failing", fail))
    assert not background.lingers()


def test_whoever_is_cancelled_leaves_it_behind() -> None:
    begun, end = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        end.wait()

    async def give_up() -> None:
        waiting = asyncio.create_task(in_background("hanging", work))
        await asyncio.to_thread(begun.wait)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(give_up())
    assert background.lingers(within_s=0)
    end.set()
    assert not background.lingers()


HANGS = """
import threading
from models.schema import regular
opened = regular.open_regular
def open_regular(path):
    if path.name == "{name}":
        threading.Event().wait()
    return opened(path)
regular.open_regular = open_regular
"""
COMPUTES = """
import torch
from service import loading
def choose(*_):
    layers = torch.nn.Sequential(*[torch.nn.Conv2d(8, 8, 3, padding=1) for _ in range(5)])
    while True:
        layers(torch.randn(2, 8, 16, 16)).sum().backward()
loading.choose = choose
"""
BUSY = {
    "at a manifest": HANGS.format(name="manifest.json"),
    "at weights": HANGS.format(name="weights.safetensors"),
    "in native code": COMPUTES,
}
COMMANDS = {
    "serve": ["serve", "--port", "0"],
    "worker": ["worker", "--metrics-port", "0", "--store", "redis://127.0.0.1:1/0"],
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("busy", BUSY)
def test_a_stop_does_not_wait_for_loading(tmp_path: Path, command: str, busy: str) -> None:
    write_checkpoint(tmp_path / "good")
    script = f"{BUSY[busy]}\nfrom service.cli import main\nmain()"
    process = subprocess.Popen(
        [sys.executable, "-c", script, *COMMANDS[command], "--models", str(tmp_path)],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert any("loading good" in line for line in process.stdout)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=25)
    finally:
        process.kill()
    assert process.returncode == 0, output
    assert "terminate" not in output
