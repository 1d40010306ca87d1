"""`mulan models push`: a checkpoint is put in place whole, and a service asked to load it."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from click.testing import CliRunner, Result
from tiny_zoo import write_checkpoint

from models.anomaly.ranked import CALIBRATION
from models.checkpoints.checkpoint import load_checkpoint
from models.schema.manifest import MANIFEST, WEIGHTS, read_manifest
from service.cli import main


@pytest.fixture
def served(tmp_path: Path) -> Path:
    """The models folder of a service."""
    (tmp_path / "served").mkdir()
    write_checkpoint(tmp_path / "served" / "good", seed=1)
    return tmp_path / "served"


@pytest.fixture
def new(tmp_path: Path) -> Path:
    """Another checkpoint of the same name."""
    (tmp_path / "new").mkdir()
    write_checkpoint(tmp_path / "new" / "good", seed=2)
    return tmp_path / "new" / "good"


def push(folder: Path, served: Path, *more: str, **environment: str) -> Result:
    arguments = ["models", "push", str(folder), "--models", str(served), *more]
    return CliRunner().invoke(main, arguments, env=environment)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_it_takes_the_place_of_the_one_of_its_name(new: Path, served: Path) -> None:
    (served / "good").rename(served / "elsewhere")
    result = push(new, served, "--json")
    assert result.exit_code == 0, result.output
    sha256 = read_manifest(new).sha256
    assert json.loads(result.stdout) == {
        "name": "good",
        "checkpoint": sha256,
        "folder": str(served / "elsewhere"),
        "loaded": None,
    }
    assert load_checkpoint(served / "elsewhere").manifest.sha256 == sha256
    assert names(served) == ["elsewhere"]
    assert names(served / "elsewhere") == names(new)


def test_a_new_name_gets_a_folder(tmp_path: Path, served: Path) -> None:
    write_checkpoint(tmp_path / "fresh")
    assert push(tmp_path / "fresh", served).exit_code == 0
    assert names(served) == ["fresh", "good"]


def test_what_is_in_place_already_stays(served: Path) -> None:
    before = read_manifest(served / "good")
    assert push(served / "good", served).exit_code == 0
    assert load_checkpoint(served / "good").manifest == before


def damage_weights(new: Path, served: Path) -> None:
    (new / WEIGHTS).write_bytes((new / WEIGHTS).read_bytes()[:-4])


def damage_calibration(new: Path, served: Path) -> None:
    (new / CALIBRATION).write_text("{}")


def break_a_preset(new: Path, served: Path) -> None:
    path = new / MANIFEST
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps(manifest | {"presets": {"fast": {"name": "ddpm", "steps": 0}}}))


def take_its_place(new: Path, served: Path) -> None:
    write_checkpoint(served / "other")
    (served / "good").rename(served / "good-1")
    for path in (served / "good-1").iterdir():
        path.unlink()
    (served / "good-1").rmdir()
    (served / "good").write_text("a file")


def be_two(new: Path, served: Path) -> None:
    write_checkpoint(served / "x" / "good")
    (served / "x" / "good").rename(served / "copy")
    (served / "x").rmdir()


def be_a_link(new: Path, served: Path) -> None:
    (served / "good").rename(served.parent / "real")
    (served / "good").symlink_to(served.parent / "real")


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (damage_weights, "SHA-256 is"),
        (damage_calibration, "calibration.json"),
        (break_a_preset, "good: presets.fast.ddpm.steps: Input should be greater than"),
        (take_its_place, "holds another checkpoint, or none"),
        (be_two, "copy and good are both called good"),
        (be_a_link, "is not a folder"),
    ],
)
def test_what_cannot_be_served_is_not_put_there(
    new: Path, served: Path, harm: Any, words: str
) -> None:
    harm(new, served)
    before = names(served)
    result = push(new, served)
    assert result.exit_code == 1
    assert words in result.output
    assert len(result.output.splitlines()) == 1
    assert names(served) == before


class StandIn(BaseHTTPRequestHandler):
    """A service that answers as it is told, and remembers what it was asked."""

    answer: ClassVar[tuple[int, dict[str, Any]]] = (200, {})
    asked: ClassVar[list[tuple[str, str | None]]] = []

    def do_POST(self) -> None:
        self.asked.append((self.path, self.headers["Authorization"]))
        status, body = self.answer
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def service() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), StandIn)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    StandIn.asked.clear()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_service_is_asked_to_load_it(new: Path, served: Path, service: str) -> None:
    sha256 = read_manifest(new).sha256
    StandIn.answer = (
        200,
        {"checkpoint": sha256, "workers": 2, "failures": ["w3: no such file"]},
    )
    result = push(new, served, "--url", f"{service}/", MULAN_API_KEYS="first, second")
    assert result.exit_code == 0, result.output
    assert "loaded by 2 worker(s); not by w3: no such file" in result.output
    assert StandIn.asked == [("/v2/repository/models/good/load", "Bearer first")]


def test_a_service_that_loads_another_folder(new: Path, served: Path, service: str) -> None:
    StandIn.answer = 200, {"checkpoint": "0" * 64, "workers": 1, "failures": []}
    result = push(new, served, "--url", service)
    assert result.exit_code == 1
    assert f"{service} loaded another of this name, {'0' * 12}: is --models" in result.output


def test_why_the_service_did_not_load_it_is_one_line(new: Path, served: Path, service: str) -> None:
    StandIn.answer = 422, {"detail": "it is damaged"}
    result = push(new, served, "--url", service)
    assert (result.exit_code, result.output) == (
        1,
        "Error: the checkpoint is in place, but not loaded: 422 it is damaged\n",
    )
    assert StandIn.asked == [("/v2/repository/models/good/load", None)]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:1", "was not reached"),
        ("ftp://somewhere", "is no address of a service"),
        ("http://[", "is no address of a service"),
    ],
)
def test_no_service_is_one_line(new: Path, served: Path, url: str, words: str) -> None:
    result = push(new, served, "--url", url)
    assert result.exit_code == 1
    assert words in result.output
    assert len(result.output.splitlines()) == 1
