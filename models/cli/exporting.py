"""`mulan models export safetensors`."""

from pathlib import Path

import click

from models.checkpoints.checkpoint import load_checkpoint
from models.checkpoints.safetensors_export import export_safetensors
from models.cli.options import as_json, emit, one_line_errors, root
from models.files.shelf import find


@click.command()
@click.argument("name")
@root
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--official", is_flag=True, help="In the official code's names and layout.")
@as_json
@one_line_errors
def safetensors(name: str, root: Path, out: Path, official: bool, as_json: bool) -> None:
    """Write the tensors of the checkpoint NAME to one file."""
    checkpoint = load_checkpoint(find(name, root)[0])
    export_safetensors(checkpoint, out, official=official)
    emit({"name": checkpoint.manifest.name, "files": [str(out)]}, str(out), as_json)
