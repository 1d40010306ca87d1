"""`mulan models export`."""

from pathlib import Path

import click

from models.cli.lazy import runs
from models.cli.options import as_json, root


@click.command()
@click.argument("name")
@root
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--official", is_flag=True, help="In the official code's names and layout.")
@as_json
@runs("models.cli.actions.exporting:safetensors")
def safetensors() -> None:
    """Write the tensors of the checkpoint NAME to one file."""


@click.command()
@click.argument("name")
@root
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path))
@as_json
@runs("models.cli.actions.exporting_onnx:onnx")
def onnx() -> None:
    """Write the networks of the checkpoint NAME as ONNX graphs into a folder."""


@click.command()
@click.argument("name")
@root
@as_json
@runs("models.cli.actions.exporting_onnx:graphs")
def graphs() -> None:
    """Make the graphs by which ONNX Runtime serves the checkpoint NAME, inside its folder.

    They hold no weights: checkpoints of one architecture have equal graphs.
    """
