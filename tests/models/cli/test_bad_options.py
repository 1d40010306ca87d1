"""Options that cannot be: one line and exit code 2, never a traceback, and nothing is loaded."""

import pytest
from click.testing import CliRunner

from models.cli import models

LIKELIHOOD = ["evaluate", "likelihood", "digits"]
NOWHERE = "cuda:99"


@pytest.mark.parametrize(
    ("command", "option", "value"),
    [
        *[(LIKELIHOOD, "--tolerance-nats", value) for value in ("0", "nan", "inf", "11", "x")],
        *[(LIKELIHOOD, "--probes", value) for value in ("0", "1000")],
        (LIKELIHOOD, "--draws", "1000000000"),
        *[(["calibrate", "."], option, "5000") for option in ("--steps", "--fresh", "--probes")],
        (["calibrate", "."], "--images", "19"),
        *[(["evaluate", "anomalies", "--model", "x"], "--alpha", value) for value in ("nan", "0")],
        *[(["evaluate", "ode", "mixture"], "--reference", value) for value in ("nan", "inf", "0")],
        (["new", ".", "--out", "never"], "--resize", "99999x99999"),
        (["new", ".", "--out", "never"], "--tile", "16x4097"),
        (LIKELIHOOD, "--threads", "99999999999999999999"),
        *[
            (command, option, value)
            for command in (
                LIKELIHOOD,
                ["evaluate", "samples", "digits"],
                ["tune", "."],
                ["train", "digits", "--out", "never"],
            )
            for option, value in (
                ("--seed", "99999999999999999999"),
                ("--seed", "-1"),
                ("--device", "foo"),
                ("--device", "meta"),
                ("--device", NOWHERE),
            )
        ],
        (["evaluate", "recognition", "digits"], "--device", NOWHERE),
        (["evaluate", "card", "."], "--device", NOWHERE),
        (["evaluate", "ablation", "digits", "--out", "never"], "--device", NOWHERE),
    ],
)
def test_it_is_named_and_refused(command: list[str], option: str, value: str) -> None:
    ran = CliRunner().invoke(models, [*command, option, value])
    assert ran.exit_code == 2, ran.output
    assert ran.output.splitlines()[-1].startswith(f"Error: Invalid value for '{option}'")
