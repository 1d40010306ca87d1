"""`mulan models list` and `show`."""

from pathlib import Path
from typing import Any

import click

from models.cli.options import as_json, emit, one_line_errors, root
from models.files.shelf import find, manifests
from models.schema.errors import CheckpointError
from models.schema.manifest import Manifest


@click.command("list")
@root
@as_json
def list_checkpoints(root: Path, as_json: bool) -> None:
    """List the checkpoints and the folders whose manifest is damaged. Weights are not read."""
    entries: list[dict[str, Any]] = []
    for folder, found in manifests(root):
        if isinstance(found, CheckpointError):
            entries.append({"name": folder.name, "error": str(found)})
        else:
            entries.append(_summary(found))
    emit({"checkpoints": entries}, "\n".join(map(_line, entries)), as_json)


@click.command("show")
@click.argument("name")
@root
@as_json
@one_line_errors
def show_checkpoint(name: str, root: Path, as_json: bool) -> None:
    """Show the manifest of the checkpoint NAME (or of the folder NAME)."""
    _, manifest = find(name, root)
    record = manifest.model_dump(mode="json")
    emit(record, manifest.model_dump_json(indent=2), as_json)


def _summary(manifest: Manifest) -> dict[str, Any]:
    height, width, channels = manifest.config.image_shape
    classes = manifest.config.classes
    return {
        "name": manifest.name,
        "shape": f"{height}x{width}x{channels}",
        "parameters": manifest.parameters,
        "sha256": manifest.sha256,
        "parameterisation": manifest.config.parameterisation,
    } | ({"classes": classes} if classes else {})


def _line(entry: dict[str, Any]) -> str:
    if "error" in entry:
        return str(entry["error"])
    line = "{name:20} {shape:10} {parameters:>12,} parameters  {sha256:.12}".format(**entry)
    return f"{line}  {entry['classes']} classes" if "classes" in entry else line
