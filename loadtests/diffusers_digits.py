"""Train a small DDPM with the library diffusers, import it, and show its samples to a classifier.

The training is plain diffusers code on scikit-learn's digits, 8x8, with their 17 levels spread over
the 256 that a DDPM has. The folder that diffusers saves is imported as `mulan models import
--diffusers` does. The classifier has seen real digits alone.

    python -m loadtests.diffusers_digits
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DDIMScheduler, DDPMScheduler, UNet2DModel
from diffusers.training_utils import EMAModel
from torch import Tensor
from tqdm import trange

from models.checkpoints.checkpoint import load_checkpoint
from models.checkpoints.diffusers_import import import_diffusers
from models.evaluation.measurement import Measurement
from models.evaluation.samples.classifier import Classifier, fit_classifier
from models.evaluation.samples.drawing import draw_samples
from models.files.extras import module
from models.files.images import Labels, Tokens
from models.rows.denoiser import Denoiser
from models.rows.rows import take
from models.runtimes.eager import eager_denoiser
from models.schema.specs import Adams, Ddim, Ddpm, Dpm2m, RtkMala, RtkUld, SamplerSpec
from models.solvers.adams import AdamsSolver
from models.work.likelihood import score_problem, summarise
from models.work.solve import solve

CPU = torch.device("cpu")
TRAIN, BATCH, LEARNING_RATE = 1500, 64, 1e-3
SAMPLERS: tuple[SamplerSpec, ...] = (
    Ddpm(steps=49),
    Ddim(steps=49),
    Dpm2m(steps=19),
    RtkMala(segments=10, inner_steps=4),
    RtkUld(segments=10, inner_steps=4),
)


def train(
    images: Tokens, steps: int, labels: Labels | None = None
) -> tuple[UNet2DModel, DDPMScheduler]:
    """Train as the tutorial of diffusers does, with its running average of the weights; with
    `labels` the network is told the class of each image."""
    torch.manual_seed(0)
    network = UNet2DModel(
        sample_size=8,
        in_channels=1,
        out_channels=1,
        block_out_channels=(16, 32),
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        norm_num_groups=8,
        num_class_embeds=None if labels is None else int(labels.max()) + 1,
    )
    scheduler: Any = DDPMScheduler(num_train_timesteps=1000)
    average = EMAModel(network.parameters(), decay=0.998)
    optimiser = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    clean = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
    for _ in trange(steps, desc="DDPM"):
        chosen = torch.randint(len(clean), (BATCH,))
        x, told = clean[chosen], None if labels is None else torch.from_numpy(labels)[chosen]
        noise, timesteps = torch.randn_like(x), torch.randint(1000, (BATCH,))
        noisy = scheduler.add_noise(x, noise, timesteps)
        predicted = network(noisy, timesteps, class_labels=told, return_dict=False)[0]
        loss = torch.nn.functional.mse_loss(predicted, noise)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        decay.step()
        average.step(network.parameters())
    average.copy_to(network.parameters())
    return network.eval(), scheduler


def imported(network: UNet2DModel, scheduler: DDPMScheduler, keep: Path | None) -> Denoiser:
    """Save both as diffusers does, in the folder `keep` if there is one, and import them."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = keep or Path(scratch) / "pipeline"
        network.save_pretrained(folder / "unet")
        scheduler.save_pretrained(folder / "scheduler")
        _, out = import_diffusers(folder, Path(scratch) / "digits-ddpm")
        return eager_denoiser(load_checkpoint(out).model)


@torch.no_grad()
def drawn_by_diffusers(network: UNet2DModel, count: int, told: Tensor | None = None) -> Tokens:
    """Return tokens by the library's own DDIM in 50 steps, of the classes `told` where there are
    some."""
    scheduler: Any = DDIMScheduler(num_train_timesteps=1000, clip_sample=False)
    scheduler.set_timesteps(50)
    x = torch.randn(count, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    for timestep in scheduler.timesteps:
        predicted = network(x, timestep, class_labels=told, return_dict=False)[0]
        x = scheduler.step(predicted, timestep, x).prev_sample
    levels = (127.5 * (x.permute(0, 2, 3, 1) + 1)).round().clamp(0, 255)
    return levels.to(torch.uint8).numpy()


def bits(denoiser: Denoiser, images: Tokens) -> Measurement:
    """Return the mean bits/dim of images by the ODE."""
    spec, solver = Adams(), AdamsSolver()
    tokens = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
    problem = score_problem(denoiser, tokens, spec, 0, 1)
    density = solver.density(problem, solve(solver, problem, denoiser))
    rows = [take(density, torch.tensor([row])) for row in range(len(images))]
    found = [summarise(denoiser.config, row, spec).bits_per_dim for row in rows]
    assert None not in found
    return Measurement.of(torch.tensor(found))


def _line(name: str, evaluations: str, classifier: Classifier, tokens: Tokens) -> str:
    found = classifier.probabilities(tokens).max(dim=1)
    classes: Tensor = torch.bincount(found.indices, minlength=10)
    counts = " ".join(map(str, classes.tolist()))
    return f"| {name} | {evaluations} | {Measurement.of(found.values)} | {counts} |"


def digits() -> tuple[Tokens, Labels]:
    """Return scikit-learn's digits, with their 17 levels spread over 256, and what they are."""
    found = module("sklearn.datasets").load_digits()
    images = np.rint(found.images * (255 / 16)).astype(np.uint8)[..., None]
    return images, found.target.astype(np.int64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1000, help="Steps of training.")
    parser.add_argument("--count", type=int, default=256, help="Images of each sampler.")
    parser.add_argument("--keep", type=Path, help="Folder to keep the diffusers model in.")
    arguments = parser.parse_args()
    images, labels = digits()
    classifier = fit_classifier(images[:TRAIN], labels[:TRAIN], 256)
    start = time.perf_counter()
    network, scheduler = train(images[:TRAIN], arguments.steps)
    print(f"{arguments.steps} steps of training: {time.perf_counter() - start:.0f} s")
    denoiser = imported(network, scheduler, arguments.keep)
    print("| images | evaluations | mean top-class confidence | images by class, 0 to 9 |")
    print("|---|---|---|---|")
    print(_line("real, not trained on", "", classifier, images[TRAIN:]))
    own = drawn_by_diffusers(network, arguments.count)
    print(_line("DDIM of diffusers", "50", classifier, own))
    for spec in SAMPLERS:
        found = draw_samples(denoiser, spec, arguments.count, 0, CPU)
        evaluations = f"{found.evaluations.mean():.0f}"
        print(_line(spec.name, evaluations, classifier, found.tokens), flush=True)
    print(f"bits/dim of 64 real images, not trained on: {bits(denoiser, images[TRAIN:][:64])}")


if __name__ == "__main__":
    main()
