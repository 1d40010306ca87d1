"""`mulan models export onnx`."""

from pathlib import Path

import click

from models.checkpoints.checkpoint import load_checkpoint
from models.checkpoints.onnx_export import export_onnx
from models.cli.options import as_json, emit, one_line_errors, root
from models.files.shelf import find


@click.command()
@click.argument("name")
@root
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path))
@as_json
@one_line_errors
def onnx(name: str, root: Path, out: Path, as_json: bool) -> None:
    """Write the networks of the checkpoint NAME as ONNX graphs into a folder."""
    checkpoint = load_checkpoint(find(name, root)[0])
    files = [str(file) for file in export_onnx(checkpoint, out)]
    emit({"name": checkpoint.manifest.name, "files": files}, "\n".join(files), as_json)
