"""The image runs commands that there are, asks routes that there are, and holds pinned versions."""

import itertools
import json
import re
import subprocess
import sys
import threading
import tomllib
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import distribution, requires
from typing import Any

import pytest
from click import ClickException
from files import (
    KEY,
    PINNED,
    image_command,
    image_environment,
    instructions,
    listed,
    parse,
    settings_of,
    stages,
)
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from tools import ROOT

from service.api import health
from service.settings import SettingsError

CONSTRAINTS = ROOT / "deploy" / "constraints.txt"


def pins() -> list[Requirement]:
    return [Requirement(line) for line in listed(CONSTRAINTS)]


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def installed() -> list[str]:
    """What the Dockerfile has installed: the project's requirements, and those of its extras."""
    about = project()["project"]
    runs = [run for run in instructions("RUN") if "--requirement pyproject.toml" in run]
    assert len(runs) == 2
    (extras,) = {tuple(re.findall(r"--extra (\S+)", run)) for run in runs}
    chosen = (about["optional-dependencies"][extra] for extra in extras)
    return [*about["dependencies"], *itertools.chain(*chosen)]


def test_the_image_runs_a_command_of_mulan() -> None:
    assert parse(image_command()) == "serve"


@pytest.mark.parametrize("command", [["mulan", "serf"], ["mulan", "serve", "--prot", "1"]])
def test_a_command_that_is_none_is_found_out(command: list[str]) -> None:
    with pytest.raises((ClickException, AssertionError)):
        parse(command)


def test_the_image_listens_past_loopback_and_so_wants_keys(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(SettingsError, match="without API keys"):
        settings_of(image_environment(), monkeypatch)
    settings = settings_of({**image_environment(), "MULAN_API_KEYS": KEY}, monkeypatch)
    assert instructions("EXPOSE") == [str(settings.port)]


@pytest.mark.parametrize("port", ["MULAN_PORT", "MULAN_METRICS_PORT"])
@pytest.mark.parametrize("answer", [200, 503])
def test_the_health_check_is_sound_when_the_process_says_it_is_ready(
    port: str, answer: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (check,) = instructions("HEALTHCHECK")
    program, *arguments = json.loads(check.partition("CMD ")[2])
    assert program == "python"
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(answer)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        server.timeout = 5
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        monkeypatch.setenv("MULAN_PORT", "1")
        monkeypatch.setenv(port, str(server.server_address[1]))
        done = subprocess.run([sys.executable, *arguments], check=False, capture_output=True)
        thread.join()
    assert (done.returncode == 0) == (answer == 200)
    assert len(asked) == 1
    assert asked[0] in {route.path for route in health.router.routes}


def test_every_stage_is_built_from_another_or_from_a_pinned_image() -> None:
    for base in stages().values():
        assert base in stages() or PINNED.search(base), base


def test_both_targets_run_as_nobody_in_particular() -> None:
    assert stages()["cpu"] == stages()["cuda"] == "runtime"
    assert instructions("USER") == ["10001:10001"] * 2


def test_what_is_copied_is_let_through_to_the_build() -> None:
    allowed = {line.removeprefix("!") for line in listed(ROOT / ".dockerignore") if line[0] == "!"}
    copied = [value.split()[:-1] for value in instructions("COPY") if "--from" not in value]
    assert copied
    for name in (name for names in copied for name in names):
        assert (ROOT / name).exists()
        assert name in allowed


def test_what_pip_itself_installs_is_pinned() -> None:
    (installed,) = re.findall(r"pip install --no-cache-dir (\S+)", " ".join(instructions("RUN")))
    assert re.fullmatch(r"uv==\d+\.\d+\.\d+", installed)


def test_every_requirement_of_the_project_is_pinned_within_its_bounds() -> None:
    for text in (*installed(), *project()["build-system"]["requires"]):
        requirement = Requirement(text)
        versions = [_version(pin) for pin in pins() if _name(pin) == _name(requirement)]
        assert versions, f"{requirement.name} is not in {CONSTRAINTS.name}: make lock"
        for version in versions:
            assert requirement.specifier.contains(version), f"{text}: {version}; make lock"


def test_what_the_requirements_require_is_pinned_too() -> None:
    pinned = {_name(pin) for pin in pins()}
    seen: set[str] = set()
    waiting = [_name(Requirement(text)) for text in installed()]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        assert name in pinned, f"{name}: make lock"
        for text in requires(distribution(name).name) or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(_name(requirement))


def test_every_line_of_the_lock_is_one_version() -> None:
    assert all(re.fullmatch(r"==[\w.+-]+", str(pin.specifier)) for pin in pins())


def _name(requirement: Requirement) -> str:
    return canonicalize_name(requirement.name)


def _version(pin: Requirement) -> str:
    return str(pin.specifier).removeprefix("==")
