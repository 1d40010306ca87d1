"""Java's own HTTP client, as it comes, asks for HTTP/2 by an Upgrade; it must not lose its body."""

import json
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.needs("javac")

PROGRAM = Path(__file__).with_name("DrawAndScore.java")
WITHIN_S = 120


def test_it_draws_and_scores(address: str) -> None:
    command = ["java", "-Xmx64m", str(PROGRAM), address]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=WITHIN_S)
    assert ran.returncode == 0, ran.stderr
    (result,) = json.loads(ran.stdout)["results"]
    assert result["status"] == "ok"
    assert 0 < result["bits_per_dim"] < 8
