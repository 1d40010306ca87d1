"""Modules that need optional packages are imported on demand, and a missing package is a clear
error.

Torch-free. The extras are those of `[project.optional-dependencies]` in pyproject.toml.
"""

import importlib
from pathlib import Path
from typing import Any

from models.schema.errors import MissingExtraError

# The extra that installs each optional package.
EXTRAS = {
    "diffusers": "diffusers",
    "matplotlib": "workshop",
    "onnx": "onnx",
    "onnxscript": "onnx",
    "scipy": "workshop",
    "sklearn": "workshop",
}
# Whether this package runs from a clone of the repository.
CLONE = (Path(__file__).parents[2] / "pyproject.toml").exists()


def module(name: str) -> Any:
    """Import the module `name` and return it.

    Raises MissingExtraError where an optional package that it needs is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        if error.name not in EXTRAS:
            raise
        advice = installation(EXTRAS[error.name])
        raise MissingExtraError(f"{error.name} is not installed; {advice}") from error


def installation(extra: str, *, clone: bool = CLONE) -> str:
    """Say how to install an extra in a clone of the repository, or for an installed package."""
    if clone:
        return f"in the clone, run `make .venv/.dev` or `pip install -e '.[{extra}]'`"
    return f"run `pip install 'mulan-serve[{extra}]'`"
