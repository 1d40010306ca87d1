"""Whoever an alert wakes finds what it means and what to do."""

import json
import re
from typing import Any

import click
import pytest
from rulebook import DEPLOY, alerts

from service.cli import main
from service.settings import PREFIX, Settings

RUNBOOK = (DEPLOY / "RUNBOOK.md").read_text()
SECTIONS: dict[str, str] = dict(
    re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", RUNBOOK, re.MULTILINE | re.DOTALL)
)
UIDS = {
    json.loads(path.read_text())["uid"]
    for path in (DEPLOY / "grafana" / "dashboards").glob("*.json")
}
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
    quoted = set(re.findall(r'"([A-Z][^"]+)"', " ".join(RUNBOOK.split())))
    assert quoted
    assert quoted <= titles
