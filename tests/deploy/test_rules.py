"""Prometheus reads what we give it, and every alert fires when it should and only then."""

import shutil
from pathlib import Path

import pytest
from rulebook import PROMETHEUS, RULES, UNIT_TESTS, alerts, promtool, read

pytestmark = pytest.mark.needs("promtool")

NAMES = [alert["alert"] for alert in alerts()]


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of deploy/prometheus to break."""
    return shutil.copytree(PROMETHEUS, tmp_path / "prometheus")


def broken(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_promtool_accepts_the_configuration_and_its_rules() -> None:
    checked = promtool("check", "config", PROMETHEUS / "prometheus.yml")
    assert checked.returncode == 0, checked.stderr
    assert checked.stdout.count("rules found") == len(list(RULES.glob("*.yml")))


def test_promtool_refuses_a_misspelt_setting(copied: Path) -> None:
    broken(copied / "prometheus.yml", "scrape_interval", "scrape_intervall")
    checked = promtool("check", "config", copied / "prometheus.yml")
    assert checked.returncode != 0
    assert "scrape_intervall" in checked.stderr


def test_promtool_refuses_a_rule_that_does_not_parse(copied: Path) -> None:
    broken(copied / "rules" / "alerts.yml", "max(mulan_dead_letters)", "max(mulan_dead_letters")
    checked = promtool("check", "rules", copied / "rules" / "alerts.yml")
    assert checked.returncode != 0
    assert "parse" in checked.stderr


@pytest.mark.parametrize("path", sorted(UNIT_TESTS.glob("*.yml")), ids=lambda path: path.stem)
def test_the_rules_pass_their_unit_tests(path: Path) -> None:
    tested = promtool("test", "rules", path)
    assert tested.returncode == 0, tested.stdout + tested.stderr


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("budgets", "rate5m > 14.4 * 0.005", "rate5m >= 0"),
        (
            "slow_budgets",
            "rate3d > 0.005 and mulan:http_bad:ratio_rate6h > 0.005",
            "rate3d > 0.002 and mulan:http_bad:ratio_rate6h > 0.002",
        ),
        ("capacity", "mulan:model_workers:max == 0", "mulan:model_workers:max == 2"),
        ("processes", 'up{job="mulan-worker"} == 0', 'up{job="mulan-workers"} == 0'),
        ("processes", 'absent(up{job=~"mulan-api|', 'absent(up{job=~"mulan-apis|'),
        ("capacity", "absent(mulan_model_workers)", "absent(mulan_model_worker)"),
        ("processes", "mulan_engine_rows{", "mulan_engine_row{"),
        ("budgets", "http_bad:increase1h >= 10", "http_bad:increase1h >= 8"),
        ("budgets", "http_slow:increase1h >= 10", "http_slow:increase1h >= 0.9"),
        ("store", "mulan_store_up == 0", "mulan_store_up == 1"),
        ("store", "rate(mulan_store_errors_total[5m])", "rate(mulan_store_error_total[1m])"),
        ("drift", "increase6h >= 100", "increase6h >= 0"),
        ("drift", "martingale_log10_max) >= 2", "martingale_log10_max) >= 1.9"),
    ],
)
def test_a_unit_test_fails_with_a_wrong_rule(copied: Path, name: str, old: str, new: str) -> None:
    broken(copied / "rules" / "alerts.yml", old, new)
    assert promtool("test", "rules", copied / "tests" / f"{name}.yml").returncode != 0


@pytest.mark.parametrize("name", NAMES)
def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not(name: str) -> None:
    cases = [
        case["exp_alerts"]
        for path in UNIT_TESTS.glob("*.yml")
        for test in read(path)["tests"]
        for case in test.get("alert_rule_test", [])
        if case["alertname"] == name
    ]
    assert any(cases)
    assert not all(cases)
