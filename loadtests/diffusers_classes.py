"""Train a small DDPM that is told the class, with the library diffusers, import it, and show its
samples of each class to a classifier.

Training and classifier are those of `loadtests.diffusers_digits`. The likelihoods of real digits
that it was not trained on come under their own class, under another one, and over all classes;
the class under which an image is likeliest is a classification too.

    python -m loadtests.diffusers_classes
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from loadtests.diffusers_digits import (
    CPU,
    SAMPLERS,
    TRAIN,
    digits,
    drawn_by_diffusers,
    imported,
    train,
)
from models.evaluation.measurement import Measurement
from models.evaluation.samples.classifier import Classifier, fit_classifier
from models.files.images import Labels, Tokens
from models.network.pixels import data_to_tokens
from models.rows.denoiser import Denoiser
from models.rows.rows import take
from models.schema.scores import Score
from models.schema.specs import Adams, SamplerSpec
from models.solvers import sampler_of
from models.solvers.adams import AdamsSolver
from models.work.likelihood import score_problem
from models.work.marginal import summarise_classes
from models.work.sampling import Images, joint_problem
from models.work.solve import solve

CLASSES, BATCH = 10, 64


def draw(denoiser: Denoiser, spec: SamplerSpec, classes: Labels) -> tuple[Tokens, float]:
    """Return an image of each of the `classes`, tokens, and the mean number of evaluations."""
    solver: Any = sampler_of(spec.name, denoiser.config)
    tokens, nfe = [], []
    for numbers in np.array_split(np.arange(len(classes)), -(-len(classes) // BATCH)):
        named = [(label,) for label in classes[numbers].tolist()]
        images = Images(spec, 0, numbers.tolist(), named)
        problem = joint_problem(solver, denoiser, [images], CPU)
        sample = solver.sample(problem, solve(solver, problem, denoiser))
        tokens.append(data_to_tokens(sample.x, denoiser.config).permute(0, 2, 3, 1).numpy())
        nfe += sample.nfe.tolist()
    return np.concatenate(tokens), float(np.mean(nfe))


def score(denoiser: Denoiser, images: Tokens) -> list[Score]:
    """Return the likelihood of each image over all classes, with that under each."""
    spec, solver, found = Adams(), AdamsSolver(), []
    for image in images:
        tokens = torch.from_numpy(image).permute(2, 0, 1).expand(CLASSES, 1, 8, 8).contiguous()
        problem = score_problem(denoiser, tokens, spec, 0, 1, range(CLASSES))
        density = solver.density(problem, solve(solver, problem, denoiser))
        found.append(summarise_classes(denoiser.config, take(density, torch.arange(CLASSES)), spec))
    return found


def _recognised(name: str, evaluations: str, found: Tokens, of: Labels, by: Classifier) -> str:
    right = by.probabilities(found).argmax(1).numpy() == of
    each = " ".join(f"{100 * right[of == label].mean():.0f}" for label in range(CLASSES))
    return f"| {name} | {evaluations} | {Measurement.of(torch.tensor(right).double())} | {each} |"


def _likelihoods(scores: list[Score], labels: Labels) -> str:
    nats = np.array([one.log_px_given_class for one in scores])
    bits = -nats / (64 * np.log(2))
    rows = np.arange(len(labels))
    others = np.ones_like(bits, dtype=bool)
    others[rows, labels] = False
    lines = {
        "own class": bits[rows, labels],
        "other classes, mean": bits[others].reshape(len(labels), -1).mean(1),
        "all classes": np.array([one.bits_per_dim for one in scores]),
    }
    table = [f"| {name} | {Measurement.of(torch.tensor(of))} |" for name, of in lines.items()]
    right = Measurement.of(torch.tensor(nats.argmax(1) == labels).double())
    return "\n".join([*table, f"likeliest under their own class: {right} of {len(labels)} images"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1000, help="Steps of training.")
    parser.add_argument("--count", type=int, default=20, help="Images of each class and sampler.")
    parser.add_argument("--scored", type=int, default=64, help="Real images to score.")
    parser.add_argument("--keep", type=Path, help="Folder to keep the diffusers model in.")
    arguments = parser.parse_args()
    images, labels = digits()
    classifier = fit_classifier(images[:TRAIN], labels[:TRAIN], 256)
    start = time.perf_counter()
    network, scheduler = train(images[:TRAIN], arguments.steps, labels[:TRAIN])
    print(f"{arguments.steps} steps of training: {time.perf_counter() - start:.0f} s", flush=True)
    denoiser = imported(network, scheduler, arguments.keep)
    print("| images | evaluations | recognised as their class | % of each class, 0 to 9 |")
    print("|---|---|---|---|")
    real = images[TRAIN:], labels[TRAIN:]
    print(_recognised("real, not trained on", "", *real, classifier))
    wanted = np.arange(CLASSES).repeat(arguments.count)
    own = drawn_by_diffusers(network, len(wanted), torch.from_numpy(wanted))
    print(_recognised("DDIM of diffusers", "50", own, wanted, classifier), flush=True)
    for spec in SAMPLERS:
        found, nfe = draw(denoiser, spec, wanted)
        print(_recognised(spec.name, f"{nfe:.0f}", found, wanted, classifier), flush=True)
    print("| bits/dim under | |")
    print("|---|---|")
    some, theirs = real[0][: arguments.scored], real[1][: arguments.scored]
    print(_likelihoods(score(denoiser, some), theirs))


if __name__ == "__main__":
    main()
