"""The gain from the learned schedule: the same network trained with it and without."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import torch
from matplotlib import pyplot
from numpy.typing import NDArray
from torch import Tensor

from models.checkpoints.checkpoint import load_checkpoint
from models.evaluation.likelihood.likelihood import ElboTerms, Estimate, elbo_terms
from models.evaluation.measurement import EvaluationRecord, bits_per_dimension
from models.evaluation.plots import save
from models.evaluation.recorded_data import RecordedData, subset
from models.schema.errors import TrainingError
from models.schema.manifest import MANIFEST, Manifest, read_manifest
from models.training.recipe import Recipe, override
from models.training.run import train
from models.work.likelihood import standard_error

matplotlib.use("agg")
FIGURE_INCHES = (9.0, 3.8)
# Differences above this, in bits/dim, are drawn on a logarithmic scale.
LINEAR_BELOW = 0.01
CURVE = ("step", "held_out")
BASELINE = "fixed"
PAPER: dict[str, Any] = {
    "information_price": 1.0,
    "aggregate_price": 1.0,
    "encoder_head_start": 0,
    "coarse_weight": 0.0,
    "noisy_share": 0.0,
}


class Run(EvaluationRecord):
    """One trained model: the negative ELBO on the test images, and the latent's terms, in nats.

    The latent's terms are those at the end of training.
    """

    seed: int
    sha256: str
    elbo: Estimate
    latent_kl: float
    information: float


class TwoWay(EvaluationRecord):
    """A mean over images and seeds, with the standard error over each; None for a single seed."""

    mean: float
    over_images: float | None
    over_seeds: float | None

    @classmethod
    def of(cls, values: Tensor) -> "TwoWay":
        """Summarise `values` `[seeds, images]`."""
        return cls(
            mean=float(values.mean()),
            over_images=standard_error(values.mean(0)),
            over_seeds=standard_error(values.mean(1)),
        )

    def __str__(self) -> str:
        errors = ("-" if e is None else f"{e:.4f}" for e in (self.over_images, self.over_seeds))
        return f"{self.mean:.4f} ± " + " / ".join(errors)


class Arm(EvaluationRecord):
    """One way to train, over its seeds.

    `bound` is the negative ELBO with log C(n, k), in bits/dim, and `paper` that with the paper's KL
    in its place. `gain` is how far the bound lies below the baseline's of the same seed, image by
    image. `steps_to_match` is the first step at which the held-out images, in the mean over seeds
    and with the paper's KL, were modelled as well as by the baseline at its last step.
    """

    name: str
    runs: list[Run]
    bound: TwoWay
    paper: TwoWay
    gain: TwoWay
    steps_to_match: int | None


class Ablation(EvaluationRecord):
    """All arms, trained on the same data for the same number of steps."""

    recipe: str
    steps: int
    batch_size: int
    images: int
    arms: list[Arm]


class _Trained(NamedTuple):
    manifest: Manifest
    terms: ElboTerms

    @property
    def bits(self) -> Tensor:
        """The bound on each image's bits/dim, `[N]`."""
        config = self.manifest.config
        return bits_per_dimension(self.terms.given_latent + config.log_latents, config.dimensions)

    @property
    def paper_bits(self) -> Tensor:
        """The bits/dim with the paper's KL, `[N]`, which are not a bound."""
        nats = self.terms.given_latent + self.terms.categorical_kl
        return bits_per_dimension(nats, self.manifest.config.dimensions)


def arms(recipe: Recipe) -> dict[str, Recipe]:
    """Return the recipes to compare, by name.

    These are the recipe with a fixed linear gamma and no latent (VDM), the recipe with the learned
    schedule and the paper's loss, and the recipe itself where it differs from that.
    """
    fixed = override(recipe, model={"latent_size": 0, "latent_k": 0}, optimisation=PAPER)
    learned = override(recipe, optimisation=PAPER)
    found = {BASELINE: fixed, "learned": learned}
    if learned != recipe:
        found["recipe"] = recipe
    return found


def ablate(
    recipe: Recipe, seeds: Sequence[int], images: int, out: Path, device: torch.device
) -> Ablation:
    """Train every arm with every seed, each into its own folder under `out`, and measure them.

    All are measured on the same `images` test images with the same noise. Finished runs are not
    trained again, so a comparison that was killed resumes. Raises DataError, TrainingError and
    CheckpointError.
    """
    trained = {
        name: [
            _trained(_seeded(arm, seed), _folder(out, name, seed), images, device) for seed in seeds
        ]
        for name, arm in arms(recipe).items()
    }
    _draw(trained, out / "ablation.png")
    found = Ablation(
        recipe=recipe.name,
        steps=recipe.optimisation.steps,
        batch_size=recipe.optimisation.batch_size,
        images=len(trained[BASELINE][0].bits),
        arms=[_arm(name, runs, trained[BASELINE]) for name, runs in trained.items()],
    )
    (out / "ablation.json").write_text(found.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return found


def ablation_table(found: Ablation) -> str:
    """Return a Markdown table with a line for each arm."""
    lines = [
        "| schedule | negative ELBO with log C(n, k) | with the paper's KL | "
        "gain over fixed | steps to match it | KL of z, nats | z tells, nats |",
        "|---|---|---|---|---|---|---|",
    ]
    for arm in found.arms:
        runs = arm.runs
        kl, information = (
            sum(getattr(run, field) for run in runs) / len(runs)
            for field in ("latent_kl", "information")
        )
        gain = "" if arm.name == BASELINE else str(arm.gain)
        steps = "" if arm.name == BASELINE else arm.steps_to_match or "never"
        lines.append(
            f"| {arm.name} | {arm.bound} | {arm.paper} | {gain} | {steps} | "
            f"{kl:.2f} | {information:.2f} |"
        )
    return "\n".join(lines)


def _trained(recipe: Recipe, folder: Path, images: int, device: torch.device) -> _Trained:
    # A run that is prolonged, or longer, is not the run that the other arm is compared with.
    if (folder / MANIFEST).exists():
        training = read_manifest(folder).training
        if training is None or training.recipe != recipe.record():
            raise TrainingError(f"{folder} belongs to another recipe; delete it or train elsewhere")
    manifest = train(recipe, folder, device, "mulan models evaluate ablation")
    model = load_checkpoint(folder, device).model
    data = RecordedData(manifest, recipe.data.source, recipe.data.test_source)
    return _Trained(manifest, elbo_terms(model, subset(data.images("test"), images), seed=0))


def _arm(name: str, runs: Sequence[_Trained], baseline: Sequence[_Trained]) -> Arm:
    bits, without = (torch.stack([run.bits for run in group]) for group in (runs, baseline))
    return Arm(
        name=name,
        runs=[_run(run) for run in runs],
        bound=TwoWay.of(bits),
        paper=TwoWay.of(torch.stack([run.paper_bits for run in runs])),
        gain=TwoWay.of(without - bits),
        steps_to_match=_steps_to_match(runs, baseline),
    )


def _run(run: _Trained) -> Run:
    record = run.manifest.training
    assert record is not None
    last = record.history[-1]
    return Run(
        seed=record.seed,
        sha256=run.manifest.sha256,
        elbo=run.terms.estimate(run.manifest.config),
        latent_kl=last["latent"],
        information=last["information"],
    )


def _draw(trained: Mapping[str, Sequence[_Trained]], path: Path) -> None:
    """Draw the held-out bits/dim with the paper's KL over steps, and their differences from the
    baseline.

    The left panel shows each arm's mean over seeds. The right panel shows the differences for each
    seed; both runs of a seed are evaluated with the same noise.
    """
    figure, (left, right) = pyplot.subplots(1, 2, figsize=FIGURE_INCHES, layout="constrained")
    baseline = _curve(trained[BASELINE])[:, 1]
    for index, (name, runs) in enumerate(trained.items()):
        curves, colour = _curve(runs), f"C{index}"
        steps, held_out = curves.mean(axis=0)
        left.plot(steps, held_out, color=colour, label=name)
        above = curves[:, 1] - baseline
        for seed in above if len(above) > 1 else ():
            right.plot(steps, seed, color=colour, linewidth=0.6, alpha=0.6)
        right.plot(steps, above.mean(axis=0), color=colour)
    left.set(xlabel="step", ylabel="bits/dim of held-out images", yscale="log")
    right.set(xlabel="step", ylabel=f"the same less {BASELINE}, seed by seed")
    right.set_yscale("symlog", linthresh=LINEAR_BELOW)
    for axis in left.yaxis, right.yaxis:
        axis.set_major_formatter("{x:g}")
    left.yaxis.set_minor_formatter("{x:g}")
    left.legend(frameon=False)
    save(figure, path)


def _curve(runs: Sequence[_Trained]) -> NDArray[np.float64]:
    """Return steps and held-out negative ELBO with the paper's KL, `[seeds, 2, evaluations]`."""
    histories = [run.manifest.training.history for run in runs if run.manifest.training]
    return np.array(
        [[[entry[field] for entry in history] for field in CURVE] for history in histories]
    )


def _steps_to_match(runs: Sequence[_Trained], baseline: Sequence[_Trained]) -> int | None:
    steps, held_out = _curve(runs).mean(axis=0)
    reached = held_out <= _curve(baseline).mean(axis=0)[1, -1]
    return int(steps[reached.argmax()]) if reached.any() else None


def _seeded(recipe: Recipe, seed: int) -> Recipe:
    return override(recipe, optimisation={"seed": seed})


def _folder(out: Path, arm: str, seed: int) -> Path:
    return out / f"{arm}-{seed}"
