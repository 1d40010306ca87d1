"""Imports point downward, and the API's floor carries no torch."""

import subprocess
import sys

import pytest


def test_the_contracts_of_pyproject_hold() -> None:
    # In a process of its own: it switches off every logger that there is.
    code = "from importlinter.cli import lint_imports_command as lint; lint()"
    command = [sys.executable, "-c", code, "--no-cache"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "module",
    [
        "service.api.app",
        "service.cli",
        "service.kinds",
        "service.serve_api",
        "service.store.memory",
        "service.store.redis",
        "service.engine.scheduler",
        "models.cli",
        "models.schema.specs",
        "models.schema.manifest",
    ],
)
def test_a_torch_free_module_loads_no_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
