"""What the files of deployment say, as Python has it."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from click import Context
from dockerfile_parse import DockerfileParser
from tools import ROOT, run

from service.cli import main
from service.http.config import FLUSH_S
from service.settings import PREFIX, Settings, read_settings
from service.worker import JOIN_WITHIN

K8S = ROOT / "deploy" / "k8s"
OVERLAYS = ("cpu", "gpu")
PINNED = re.compile(r":v?\d+\.\d+\.\d+[\w.-]*$")
KEY = "a-key"


@cache
def dockerfile() -> DockerfileParser:
    return DockerfileParser(path=str(ROOT / "Dockerfile"))


def instructions(name: str) -> list[str]:
    """What an instruction of the Dockerfile is given, wherever it stands."""
    return [line["value"] for line in dockerfile().structure if line["instruction"] == name]


def stages() -> dict[str, str]:
    """Each stage of the Dockerfile and what it is built from."""
    words = (value.split() for value in instructions("FROM"))
    return {name: base for base, _, name in words}


def image_environment() -> dict[str, str]:
    """MULAN_ variables that the image sets."""
    pairs = re.findall(rf"({PREFIX}\w+)=(\S+)", " ".join(instructions("ENV")))
    return dict(pairs)


def image_command() -> list[str]:
    """What the image runs if nothing else is asked for."""
    (entrypoint,), (command,) = instructions("ENTRYPOINT"), instructions("CMD")[-1:]
    return [*json.loads(entrypoint), *json.loads(command)]


@cache
def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return found


def ours() -> dict[str, dict[str, Any]]:
    """The services of docker-compose.yml that run the image."""
    return {name: one for name, one in compose()["services"].items() if "build" in one}


@cache
def rendered(overlay: str) -> tuple[dict[str, Any], ...]:
    """What `kubectl kustomize` makes of an overlay."""
    done = run("kubectl", "kustomize", K8S / "overlays" / overlay)
    assert done.returncode == 0, done.stderr
    return tuple(yaml.safe_load_all(done.stdout))


def found(overlay: str, kind: str, name: str | None = None) -> list[dict[str, Any]]:
    """An overlay's objects of a kind, or the one of that name."""
    return [
        one
        for one in rendered(overlay)
        if one["kind"] == kind and name in (None, one["metadata"]["name"])
    ]


def templates(overlay: str) -> dict[str, dict[str, Any]]:
    """The pod template of every workload, by the workload's name."""
    workloads = (*found(overlay, "Deployment"), *found(overlay, "StatefulSet"))
    return {one["metadata"]["name"]: one["spec"]["template"] for one in workloads}


def container(overlay: str, name: str) -> dict[str, Any]:
    """A workload's only container."""
    (one,) = templates(overlay)[name]["spec"]["containers"]
    return dict(one)


def pod_environment(overlay: str, name: str) -> dict[str, str]:
    """MULAN_ variables of a workload's container: the image's, the config map's, its own."""
    (settings,) = found(overlay, "ConfigMap")
    one = container(overlay, name)
    assert one["envFrom"] == [{"configMapRef": {"name": settings["metadata"]["name"]}}]
    own = {entry["name"]: entry.get("value", KEY) for entry in one["env"]}
    return {**image_environment(), **settings["data"], **own}


def service_environment(name: str) -> dict[str, str]:
    """The same for a service of docker-compose.yml."""
    own = {
        key: KEY if value.startswith("${") else value
        for key, value in ours()[name]["environment"].items()
    }
    return {**image_environment(), **own}


def settings_of(environment: dict[str, str], monkeypatch: Any) -> Settings:
    """The settings that a process reads from it. Raises SettingsError."""
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    return read_settings()


def parse(command: list[str]) -> str:
    """Parse a command line as `mulan` does, without running it; the command's name. Raises
    click.ClickException."""
    program, name, *arguments = command
    assert program == "mulan"
    found = main.get_command(Context(main), name)
    assert found is not None, f"mulan has no command {name}"
    found.make_context(name, arguments)
    return name


def longest_stop_s(settings: Settings) -> float:
    """Seconds that a process may take from SIGTERM to its exit: the drain, the last answers, and
    the tick under way."""
    return settings.drain_s + 2 * FLUSH_S + JOIN_WITHIN


def listed(path: Path) -> list[str]:
    """A file's lines that say something."""
    lines = (line.strip() for line in path.read_text().splitlines())
    return [line for line in lines if line and not line.startswith("#")]
