"""The gain from the learned schedule: the same network trained with it and without."""

from collections.abc import Collection, Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from models.checkpoints.checkpoint import load_checkpoint
from models.evaluation.likelihood.likelihood import ElboTerms, Estimate, elbo_terms
from models.evaluation.measurement import EvaluationRecord, bits_per_dimension
from models.evaluation.recorded_data import RecordedData, subset
from models.evaluation.schedule.arms import ARMS, BASELINE, arms
from models.evaluation.schedule.curves import draw_ablation, steps_to_match
from models.evaluation.schedule.learned import (
    Grid,
    ScheduleSpread,
    latent_use,
    mean_gamma,
    schedule_spread,
    varies,
)
from models.network.mulan import ScheduleNetwork
from models.schema.errors import TrainingError
from models.schema.manifest import MANIFEST, Manifest, read_manifest
from models.training.recipe import Recipe, override
from models.training.run import train
from models.training.trainer import untrained
from models.work.likelihood import standard_error


class Run(EvaluationRecord):
    """One trained model: the negative ELBO on the test images, the latent's terms, in nats, and the
    spread of gamma with the random weights before training and with the trained ones.

    The latent's terms are those at the end of training.
    """

    seed: int
    sha256: str
    elbo: Estimate
    latent_kl: float
    information: float
    before: ScheduleSpread
    after: ScheduleSpread


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
    image. `schedule_gain` is how far it lies below that of the same network with a linear gamma in
    place of its own: a network with a fixed schedule gains 0. `steps_to_match` is the first step at
    which the held-out images, in the mean over seeds and with the paper's KL, were modelled as well
    as by the baseline at its last step. `agreement` is the correlation over pixels and channels of
    gamma at t = 1/2 between two seeds, a mean over all pairs; None for a fixed schedule and for a
    single seed.
    """

    name: str
    runs: list[Run]
    bound: TwoWay
    paper: TwoWay
    gain: TwoWay
    schedule_gain: TwoWay
    steps_to_match: int | None
    agreement: float | None


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
    straight: ElboTerms
    before: ScheduleSpread
    after: ScheduleSpread
    gamma: Grid

    @property
    def bits(self) -> Tensor:
        """The bound on each image's bits/dim, `[N]`."""
        config = self.manifest.config
        return bits_per_dimension(self.terms.given_latent + config.log_latents, config.dimensions)

    @property
    def schedule_gain(self) -> Tensor:
        """The bits/dim that the schedule saves against a linear one with this network, `[N]`."""
        nats = self.straight.given_latent - self.terms.given_latent
        return bits_per_dimension(nats, self.manifest.config.dimensions)

    @property
    def paper_bits(self) -> Tensor:
        """The bits/dim with the paper's KL, `[N]`, which are not a bound."""
        nats = self.terms.given_latent + self.terms.categorical_kl
        return bits_per_dimension(nats, self.manifest.config.dimensions)


def ablate(
    recipe: Recipe,
    seeds: Sequence[int],
    images: int,
    out: Path,
    device: torch.device,
    names: Collection[str] = ARMS,
) -> Ablation:
    """Train the arms of `names`, and the baseline, with every seed, each into its own folder under
    `out`, and measure them.

    All are measured on the same `images` test images with the same noise. Finished runs are not
    trained again, so a comparison that was killed resumes. Raises DataError, TrainingError and
    CheckpointError.
    """
    trained = {
        name: [
            _trained(_seeded(arm, seed), _folder(out, name, seed), images, device) for seed in seeds
        ]
        for name, arm in arms(recipe, names).items()
    }
    draw_ablation(
        {name: [run.manifest for run in runs] for name, runs in trained.items()},
        {name: [run.gamma for run in runs] for name, runs in trained.items()},
        BASELINE,
        out / "ablation.png",
    )
    found = Ablation(
        recipe=recipe.name,
        steps=recipe.optimisation.steps,
        batch_size=recipe.optimisation.batch_size,
        images=len(trained[BASELINE][0].bits),
        arms=[_arm(name, runs, trained[BASELINE]) for name, runs in trained.items()],
    )
    (out / "ablation.json").write_text(found.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return found


def agreement(maps: Sequence[Grid]) -> float | None:
    """Return the correlation between two `maps` `[C, H, W]`, a mean over all pairs; None for a
    single map and for constant ones."""
    if len(maps) < 2 or not all(map(varies, maps)):
        return None
    pairs = combinations((one.ravel() for one in maps), 2)
    return float(np.mean([np.corrcoef(one, other)[0, 1] for one, other in pairs]))


def _trained(recipe: Recipe, folder: Path, images: int, device: torch.device) -> _Trained:
    # A run that is prolonged, or longer, is not the run that the other arm is compared with.
    if (folder / MANIFEST).exists():
        training = read_manifest(folder).training
        if training is None or training.recipe != recipe.record():
            raise TrainingError(f"{folder} belongs to another recipe; delete it or train elsewhere")
    manifest = train(recipe, folder, device, "mulan models evaluate ablation")
    data = RecordedData(manifest, recipe.data.source, recipe.data.test_source)
    test = subset(data.images("test"), images)
    model, first = load_checkpoint(folder, device).model, untrained(recipe, device).eval()
    use, terms = latent_use(model, test), elbo_terms(model, test, seed=0)
    gamma, straight = mean_gamma(model, use), terms
    after = schedule_spread(model, use)
    if isinstance(model.gamma, ScheduleNetwork):
        model.gamma.straighten()
        straight = elbo_terms(model, test, seed=0)
    return _Trained(
        manifest,
        terms,
        straight,
        schedule_spread(first, latent_use(first, test)),
        after,
        gamma,
    )


def _arm(name: str, runs: Sequence[_Trained], baseline: Sequence[_Trained]) -> Arm:
    bits, without = (torch.stack([run.bits for run in group]) for group in (runs, baseline))
    manifests, others = ([run.manifest for run in group] for group in (runs, baseline))
    return Arm(
        name=name,
        runs=[_run(run) for run in runs],
        bound=TwoWay.of(bits),
        paper=TwoWay.of(torch.stack([run.paper_bits for run in runs])),
        gain=TwoWay.of(without - bits),
        schedule_gain=TwoWay.of(torch.stack([run.schedule_gain for run in runs])),
        steps_to_match=steps_to_match(manifests, others),
        agreement=agreement([run.gamma for run in runs]),
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
        before=run.before,
        after=run.after,
    )


def _seeded(recipe: Recipe, seed: int) -> Recipe:
    return override(recipe, optimisation={"seed": seed})


def _folder(out: Path, arm: str, seed: int) -> Path:
    return out / f"{arm}-{seed}"
