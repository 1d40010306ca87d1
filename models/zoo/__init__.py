"""The shipped checkpoints, each with its card."""

from pathlib import Path

ZOO = Path(__file__).parent
