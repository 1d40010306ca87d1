"""`mulan models export onnx` and `mulan models graphs`."""

from pathlib import Path

from models.checkpoints.checkpoint import load_checkpoint
from models.checkpoints.onnx_export import export_onnx, make_graphs
from models.cli.lazy import Outcome
from models.files.shelf import find


def onnx(name: str, root: Path, out: Path) -> Outcome:
    """Write the networks of a checkpoint as graphs into the folder `out`."""
    checkpoint = load_checkpoint(find(name, root)[0])
    files = [str(file) for file in export_onnx(checkpoint, out)]
    return Outcome({"name": checkpoint.manifest.name, "files": files}, "\n".join(files))


def graphs(name: str, root: Path) -> Outcome:
    """Make the graphs of a checkpoint's score network inside its folder."""
    folder, _ = find(name, root)
    checkpoint = load_checkpoint(folder)
    files = [str(file) for file in make_graphs(checkpoint, folder)]
    return Outcome({"name": checkpoint.manifest.name, "files": files}, "\n".join(files))
