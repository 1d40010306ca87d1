"""`mulan models evaluate ode`: what ODE solvers cost for what error."""

from pathlib import Path

import click
import torch

from models.checkpoints.checkpoint import load_checkpoint
from models.cli.compute import SEED, threads
from models.cli.options import Finite, as_json, data, emit, one_line_errors, root, test_data
from models.evaluation.ode.error import (
    REFERENCE_TOLERANCE,
    OdeCurves,
    Precise,
    ode_curves,
    ode_table,
)
from models.evaluation.ode.mixture import gaussian_mixture, tokens_of
from models.evaluation.ode.plots import ode_figure
from models.evaluation.recorded_data import RecordedData, subset
from models.files.shelf import find

MIXTURE = "mixture"


@click.command()
@click.argument("name")
@root
@data
@test_data
@click.option("--images", type=click.IntRange(2), default=16, show_default=True)
@click.option("--probes", type=click.IntRange(1, 64), default=2, show_default=True)
@click.option(
    "--reference",
    type=Finite(0, min_open=True),
    default=REFERENCE_TOLERANCE,
    show_default=True,
    help="Tolerance of the solution that errors are measured from, nats.",
)
@click.option("--seed", type=SEED, default=0, show_default=True)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for NAME.json, and a picture of all that lie there.",
)
@threads
@as_json
@one_line_errors
def ode(
    name: str,
    root: Path,
    data: str | None,
    test_data: str | None,
    images: int,
    probes: int,
    reference: float,
    seed: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Errors in nats of the service's solver, of Dormand and Prince's pair and of the reference's
    way, over evaluations, against a solution in float64. NAME is a checkpoint's, or `mixture`: one
    of Gaussians, with its exact score."""
    if name == MIXTURE:
        exact = gaussian_mixture(seed)
        networks, tokens = Precise(exact, exact), tokens_of(exact, images, seed)
    else:
        folder, manifest = find(name, root)
        name = manifest.name
        chosen = subset(RecordedData(manifest, data, test_data).images("test"), images, seed)
        tokens = torch.from_numpy(chosen).permute(0, 3, 1, 2).contiguous()
        networks = Precise.of(load_checkpoint(folder))
    found = ode_curves(name, networks, tokens, probes, seed, reference)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / f"{found.name}.json").write_text(found.model_dump_json(indent=1) + "\n")
        kept = sorted(out.glob("*.json"))
        ode_figure(
            [OdeCurves.model_validate_json(path.read_bytes()) for path in kept], out / "ode.png"
        )
    emit(found.model_dump(mode="json"), ode_table(found), as_json)
