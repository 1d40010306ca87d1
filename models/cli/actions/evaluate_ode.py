"""`mulan models evaluate ode`: the errors of ODE solvers over their evaluations."""

from pathlib import Path

from models.checkpoints.checkpoint import load_checkpoint
from models.cli.actions.chosen_images import chosen_test_images
from models.cli.lazy import Outcome
from models.evaluation.defaults import ODE_SOLVERS
from models.evaluation.ode.error import OdeCurves, Precise, ode_curves, ode_table
from models.evaluation.ode.mixture import gaussian_mixture, tokens_of
from models.evaluation.ode.plots import ode_figure
from models.files.shelf import find
from models.schema.ode_error import UNCALIBRATED

MIXTURE = "mixture"


def ode(
    name: str,
    root: Path,
    data: str | None,
    test_data: str | None,
    images: int,
    probes: int,
    reference: float,
    solvers: tuple[str, ...],
    seed: int,
    out: Path | None,
) -> Outcome:
    """Measure the ODE solvers on a checkpoint, or on the mixture of Gaussians."""
    if name == MIXTURE:
        exact = gaussian_mixture(seed)
        networks, tokens = Precise(exact, exact), tokens_of(exact, images, seed)
        scales = UNCALIBRATED
    else:
        folder, manifest = find(name, root)
        name, scales = manifest.name, manifest.ode_error_scales
        tokens = chosen_test_images(manifest, data, test_data, images, seed)
        networks = Precise.of(load_checkpoint(folder))
    found = ode_curves(name, networks, tokens, probes, seed, reference, scales, solvers)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        path = out / f"{found.name}.json"
        if path.exists() and set(solvers) != set(ODE_SOLVERS):
            found = found.with_others_of(OdeCurves.model_validate_json(path.read_bytes()))
        path.write_text(found.model_dump_json(indent=1) + "\n")
        kept = sorted(out.glob("*.json"))
        ode_figure(
            [OdeCurves.model_validate_json(path.read_bytes()) for path in kept], out / "ode.png"
        )
    return Outcome(found.model_dump(mode="json"), ode_table(found))
