"""`mulan profile`: parts of ticks, operations outside the network, and a trace."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from tiny_zoo import write_checkpoint

from service.cli import main
from service.profile.counting import NETWORK, PARTS, OperationCount
from service.telemetry.ticks import Tick

TINY = ("--model", "tiny", "--threads", "1", "--rows", "4", "--ticks", "3")


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    write_checkpoint(tmp_path / "zoo" / "tiny")
    return tmp_path / "zoo"


def run(zoo: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["profile", *TINY, "--models", str(zoo), *arguments])


def record(zoo: Path, *arguments: str) -> dict[str, Any]:
    result = run(zoo, "--json", *arguments)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_parts_of_a_tick(zoo: Path) -> None:
    found = record(zoo, "--solver", "ddim", "--images", "2")
    assert tuple(found["milliseconds"]) == tuple(found["operations"]) == PARTS
    assert sum(found["milliseconds"].values()) == pytest.approx(found["tick_ms"], rel=0.05)
    assert found["rows_a_tick"] == 4
    assert found["calls_a_tick"] == 1
    assert 0 < found["network_share"] < 1
    outside = sum(count for part, count in found["operations"].items() if part != NETWORK)
    assert found["operations_outside"] == pytest.approx(outside)
    assert min(found["operations"][part] for part in ("ask", "network", "tell")) > 0


def test_a_lane_for_each_solver(zoo: Path) -> None:
    """Several samplers share the network's calls, but each has its own `ask` and `tell`."""
    one, two = record(zoo, "--solver", "ddpm"), record(zoo, "--solver", "ddpm", "--solver", "ddim")
    assert two["calls_a_tick"] == 1
    assert two["operations"]["ask"] > 1.5 * one["operations"]["ask"]


def test_likelihoods_have_calls_of_their_own(zoo: Path) -> None:
    found = record(zoo, "--solver", "adams", "--solver", "ddpm")
    assert found["calls_a_tick"] == 2


def test_the_table_and_the_trace(zoo: Path, tmp_path: Path) -> None:
    trace = tmp_path / "trace.json.gz"
    result = run(zoo, "--trace", str(trace))
    assert result.exit_code == 0, result.output
    for word in (*PARTS, "row-evaluations/s", "operations a tick outside the network", str(trace)):
        assert word in result.stdout
    events = json.loads(gzip.decompress(trace.read_bytes()))["traceEvents"]
    names = [event.get("name") for event in events]
    assert names.count("tick") == names.count(NETWORK) > 1


def test_it_measures_what_a_worker_would_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MULAN_RUNTIME", "eager")
    few = ("--model", "digits", "--threads", "1", "--rows", "1", "--ticks", "1", "--json")
    result = CliRunner().invoke(main, ["profile", *few])
    assert result.exit_code == 0, result.output
    assert "/eager/" in json.loads(result.stdout)["execution"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--solver", "euler-maruyama"), "no such solver: euler-maruyama"),
        (("--model", "unknown"), "no checkpoint unknown"),
    ],
)
def test_wrong_names_are_one_line(zoo: Path, arguments: tuple[str, ...], message: str) -> None:
    result = run(zoo, *arguments)
    assert result.exit_code == 1
    assert result.stderr.strip().splitlines()[-1].startswith(f"Error: {message}")


def test_operations_belong_to_the_part_that_ends_after_them() -> None:
    counted, tick, x = OperationCount(), Tick(), torch.ones(2)
    with counted:
        x + 1
        tick.lap("begin")
        counted.tick_began(tick)
        x + 1
        x * 2
        tick.lap("ask")
        tick.lap(NETWORK)
        x.exp()
        tick.lap("tell")
        tick.lap("retire")
        x.log()
        tick.lap("report")
        counted.tick_ended(tick)
    assert +counted.parts == {"begin": 1, "ask": 2, "tell": 1, "report": 1}
    assert counted.outside == {"aten.add": 2, "aten.mul": 1, "aten.exp": 1, "aten.log": 1}
