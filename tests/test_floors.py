"""Imports point downward, and the API's floor carries no torch."""

import subprocess
import sys

import pytest
from importlinter.cli import lint_imports


def test_the_contracts_of_pyproject_hold() -> None:
    assert lint_imports(no_cache=True) == 0


@pytest.mark.parametrize(
    "module",
    [
        "service.api.app",
        "service.cli",
        "service.contracts",
        "service.serve_api",
        "service.store.memory",
        "service.store.redis",
        "service.engine.scheduler",
        "models.cli",
        "models.specs",
        "models.manifest",
    ],
)
def test_a_torch_free_module_loads_no_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
