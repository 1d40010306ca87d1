"""Few steps learned for one checkpoint: their times and weights, by gradients through the solver.

As in AdaSDE, DyWeight and S4S, numbers of the solver are learned and the network stays as it is.
The teacher is real images: what is minimised is the kernel distance of the drawn images from
training images, in the features of the classifier that tuning judges by. A teacher that draws in
many steps from the same noise would be no nearer to real images than it is itself.
"""

import sys
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from tqdm import trange

from models.evaluation.samples.sweep import Judge
from models.network.network import Network
from models.network.pixels import data_to_levels
from models.runtimes.differentiable import differentiable_denoiser
from models.schema.specs import Dpm2m, Dpm2mSde
from models.solvers import sampler_of
from models.solvers.dpm_2m import Weighted
from models.work.sampling import sample_problem
from models.work.solve import solve

LEARNING_RATE = 0.03
# Rows of one pass through the solver with gradients; it bounds the memory.
CHUNK = 32
# Batches before the same noise comes again.
BATCHES = 16
# Before the logistic function, eta would learn at a quarter of the others' rate.
ETA_SCALE = 4.0
# Where eta begins: near neither end, where the logistic function is flat.
LEAST_ETA, MOST_ETA = 0.25, 0.75
DIGITS = 4


class StepWeights(nn.Module):
    """The learned numbers of `steps` steps: `gaps`, whose softmax are the pieces of network time,
    `extrapolation`, and `eta` before a logistic function, `[steps]` each."""

    def __init__(self, start: Dpm2m | Dpm2mSde) -> None:
        """Begin at a spec's grid, which lies evenly or bent in gamma, and at its noise."""
        super().__init__()
        left = 1 - torch.arange(start.steps + 1, dtype=torch.float64) / start.steps
        self.gaps = nn.Parameter((left**start.power).diff().neg().log())
        self.extrapolation = nn.Parameter(torch.ones_like(self.gaps))
        share = MOST_ETA if isinstance(start, Dpm2mSde) else LEAST_ETA
        self.eta = nn.Parameter(torch.full_like(self.gaps, share).logit() / ETA_SCALE)

    def times(self) -> Tensor:
        """Return the network times of all points, from 1 to 0, `[steps + 1]`."""
        inner = 1 - self.gaps.softmax(0).cumsum(0)[:-1]
        return torch.cat([torch.ones(1).double(), inner, torch.zeros(1).double()])

    def etas(self) -> Tensor:
        """Return the share of noise that each step draws, `[steps]` in [0, 1]."""
        return torch.sigmoid(ETA_SCALE * self.eta)

    def in_columns(self, plain: Weighted) -> Weighted:
        """Return the columns of a plain spec of as many steps, with these numbers in every row and
        times that are not tabulated yet."""
        rows, steps = len(plain.eta), len(self.gaps)
        own, extrapolation, eta = (
            leaf.clone() for leaf in (plain.points.own, plain.extrapolation, plain.eta)
        )
        own[:, : steps + 1] = self.times().expand(rows, -1)
        extrapolation[:, :steps] = self.extrapolation.expand(rows, -1)
        eta[:, :steps] = self.etas().expand(rows, -1)
        points = plain.points._replace(own=own, times=own[:, :0])
        return Weighted(points, extrapolation, eta)

    def spec(self) -> Dpm2mSde:
        """Return the spec that has these numbers, rounded."""
        return Dpm2mSde(
            steps=len(self.gaps),
            points=_rounded(self.times()[1:-1]),
            eta=_rounded(self.etas()),
            extrapolation=_rounded(self.extrapolation),
        )


@dataclass(frozen=True)
class Lessons:
    """The learning for one checkpoint: `rounds` of `batch` images, with noise of `seed`, that
    `judge` compares with training images."""

    model: Network
    judge: Judge
    rounds: int
    batch: int
    seed: int

    def learn(self, start: Dpm2m | Dpm2mSde) -> Dpm2mSde:
        """Return as many steps as `start` has, learned from there."""
        weights = StepWeights(start)
        optimiser = torch.optim.Adam(weights.parameters(), LEARNING_RATE)
        decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, self.rounds)
        frozen = [p for p in self.model.parameters() if p.requires_grad]
        for parameter in frozen:
            parameter.requires_grad_(False)
        with trange(self.rounds, desc=f"{start.steps} steps", file=sys.stderr) as bar:
            for index in bar:
                optimiser.zero_grad()
                distance = self.backward(weights, index % BATCHES)
                optimiser.step()
                decay.step()
                bar.set_postfix_str(f"{distance:.4f}")
        for parameter in frozen:
            parameter.requires_grad_(True)
        return weights.spec()

    def distance(self, images: Tensor) -> Tensor:
        """Return the distance from real images of x at the end of the walk `[rows, C, H, W]`."""
        levels = data_to_levels(images, self.model.config).permute(0, 2, 3, 1)
        return self.judge.reference.discrepancy(self.judge.classifier.embedded(levels))

    def backward(self, weights: StepWeights, number: int) -> float:
        """Add the gradient of batch `number` to those of `weights`; return its distance.

        The distance is one of the whole batch. Its gradient by each image is taken first, and the
        images are then drawn once more, a chunk at a time, with gradients.
        """
        chunks = torch.split(number * self.batch + torch.arange(self.batch), CHUNK)
        with torch.no_grad():
            images = torch.cat([self.draw(weights, chunk) for chunk in chunks])
        distance = self.distance(images.requires_grad_())
        (slopes,) = torch.autograd.grad(distance, images)
        for chunk, slope in zip(chunks, torch.split(slopes, CHUNK), strict=True):
            torch.autograd.backward(self.draw(weights, chunk), slope)
        return float(distance.detach())

    def draw(self, weights: StepWeights, index: Tensor) -> Tensor:
        """Return images `index` `[rows]` as x at the end of the walk, `[rows, C, H, W]`."""
        denoiser = differentiable_denoiser(self.model)
        plain = Dpm2mSde(steps=len(weights.gaps))
        problem = sample_problem(denoiser, plain, self.seed, index.to(self.model.device))
        assert isinstance(problem.columns, Weighted)
        columns = weights.in_columns(problem.columns)
        points = columns.points.tabulated(problem.condition, [plain])
        learned = problem._replace(columns=columns._replace(points=points))
        sampler = sampler_of(plain.name, denoiser.config)
        x: Tensor = sampler.sample(learned, solve(sampler, learned, denoiser)).x
        return x


def _rounded(values: Tensor) -> tuple[float, ...]:
    return tuple(round(value, DIGITS) for value in values.tolist())
