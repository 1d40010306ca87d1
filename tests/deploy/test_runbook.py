"""Whoever an alert wakes finds what it means and what to do."""

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from files import compose
from rulebook import DEPLOY, alerts

from service.cli import main
from service.settings import PREFIX, Settings, read_settings

RUNBOOK = (DEPLOY / "RUNBOOK.md").read_text()
PROSE = re.sub(r"^```.*?^```", "", RUNBOOK, flags=re.MULTILINE | re.DOTALL)
SECTIONS: dict[str, str] = dict(
    re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", RUNBOOK, re.MULTILINE | re.DOTALL)
)
UIDS = {
    json.loads(path.read_text())["uid"]
    for path in (DEPLOY / "grafana" / "dashboards").glob("*.json")
}
# Says where it is sent, and runs Python, which is what the image has.
STAND_IN = """#!/bin/bash
where=()
while [ "$1" != python ] && [ $# -gt 0 ]; do where+=("$1"); shift; done
if [ $# -gt 0 ]; then echo "${where[@]}" python; exec "$@"; fi
echo "${where[@]}"
"""
each_alert = pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])


@each_alert
def test_every_alert_says_how_urgent_it_is_and_what_is_the_matter(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in {"page", "ticket"}
    assert alert["annotations"]["summary"]
    assert alert["annotations"]["description"]


@each_alert
def test_every_alert_has_its_section_with_symptom_meaning_and_what_to_do(
    alert: dict[str, Any],
) -> None:
    name = alert["alert"]
    assert alert["annotations"]["runbook"] == f"deploy/RUNBOOK.md#{name.lower()}"
    parts = re.findall(r"^\*\*(.+?)\.\*\* \S|^\*\*(.+?)\.\*\*$", SECTIONS[name], re.MULTILINE)
    assert [first or second for first, second in parts] == ["Symptom", "Meaning", "What to do"]


@each_alert
def test_every_alert_links_a_board_that_exists(alert: dict[str, Any]) -> None:
    path, _, _ = alert["annotations"]["dashboard"].partition("?")
    assert path.removeprefix("/d/") in UIDS


def test_every_section_is_of_an_alert() -> None:
    assert list(SECTIONS) == [alert["alert"] for alert in alerts()]


def test_every_link_inside_the_runbook_leads_somewhere() -> None:
    links = re.findall(r"\]\(#(\w+)\)", RUNBOOK)
    assert links
    assert set(links) <= {name.lower() for name in SECTIONS}


def test_every_command_of_ours_in_the_runbook_exists() -> None:
    found = re.findall(r"`mulan ([^`]+)`", RUNBOOK)
    assert len(found) > 5
    for line in found:
        command: click.Command = main
        words = line.split()
        context = click.Context(main)
        while isinstance(command, click.Group):
            word = words.pop(0)
            inner = command.get_command(context, word)
            assert inner is not None, line
            command = inner
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("-")} <= options, line


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[dict[str, str]]:
    """An environment in which docker and kubectl say where a command would run, and run it here;
    something answers at MULAN_PORT whoever has the second key."""
    for name in ("docker", "kubectl"):
        stand_in = tmp_path / name
        stand_in.write_text(STAND_IN)
        stand_in.chmod(0o755)
    python = tmp_path / "python"
    python.symlink_to(sys.executable)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.headers["Authorization"] == "Bearer first"
            self.send_response(503 if known else 401)
            self.end_headers()
            self.wfile.write(self.path.encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        server.timeout = 10
        thread = threading.Thread(target=server.handle_request, daemon=True)
        thread.start()
        yield {
            "PATH": f"{tmp_path}:/usr/bin:/bin",
            "MULAN_API_KEYS": "first, second",
            "MULAN_PORT": str(server.server_address[1]),
        }


def pasted(blocks: int, command: str, environment: dict[str, str]) -> str:
    """What a command says after so many of the runbook's first blocks."""
    text = "\n".join(re.findall(r"^```bash\n(.*?)^```", RUNBOOK, re.MULTILINE | re.DOTALL)[:blocks])
    script = ["bash", "-c", f"set -eu\n{text}\n{command}"]
    return subprocess.run(
        script, capture_output=True, text=True, check=True, env=environment
    ).stdout


@pytest.mark.parametrize(
    ("blocks", "api", "redis"),
    [
        (1, "compose exec -T api", "compose exec -T redis"),
        (2, "--namespace mulan exec deploy/api --", "--namespace mulan exec redis-0 --"),
    ],
)
def test_what_is_pasted_first_reaches_the_fleet(
    blocks: int, api: str, redis: str, fleet: dict[str, str]
) -> None:
    assert pasted(blocks, "redis-cli ping", fleet) == f"{redis} redis-cli ping\n"
    assert pasted(blocks, "mulan jobs list", fleet) == f"{api} mulan jobs list\n"
    asked = pasted(blocks, "ask /readyz", fleet)
    assert asked == f"{api} python\n503 /readyz\n"


def test_where_it_leads_is_there() -> None:
    assert {"api", "worker", "redis"} <= compose()["services"].keys()
    made = (DEPLOY / "k8s" / "base").glob("*.yaml")
    objects = [one for path in made for one in yaml.safe_load_all(path.read_text())]
    names = {(one["kind"], one["metadata"]["name"]) for one in objects if "metadata" in one}
    wanted = {("Deployment", "api"), ("Deployment", "worker"), ("StatefulSet", "redis")}
    assert wanted | {("Namespace", "mulan")} <= names


def test_no_command_is_one_that_the_image_does_not_have() -> None:
    commands = {line.split()[0] for line in re.findall(r"`([^`\n]+)`", RUNBOOK)}
    assert {"mulan", "ask", "redis-cli"} <= commands
    assert not commands & {"curl", "wget"}


def test_whose_a_job_is_can_be_found_as_the_runbook_says(monkeypatch: pytest.MonkeyPatch) -> None:
    (command,) = re.findall(r"`(printf [^`]+)`", RUNBOOK)
    script = ["bash", "-c", command.replace("KEY", "a-key")]
    said = subprocess.run(script, capture_output=True, text=True, check=True).stdout.split()[0]
    monkeypatch.setenv("MULAN_API_KEYS", "a-key")
    assert [digest.hex() for digest in read_settings().api_keys] == [said]


def test_every_setting_in_the_runbook_exists() -> None:
    found = set(re.findall(rf"{PREFIX}([A-Z_]+)", RUNBOOK))
    assert found
    assert {name.lower() for name in found} <= set(Settings.model_fields)


def test_every_panel_that_the_runbook_names_exists() -> None:
    titles = {
        panel["title"]
        for path in (DEPLOY / "grafana" / "dashboards").glob("*.json")
        for panel in json.loads(path.read_text())["panels"]
    }
    quoted = set(re.findall(r'"([A-Z][^"]+)"', " ".join(PROSE.split())))
    assert quoted
    assert quoted <= titles
