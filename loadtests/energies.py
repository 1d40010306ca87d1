"""Compare ways to get the change of log-density of an RTK-MALA proposal from scores.

The first table starts chains from exact draws of a segment's kernel, where the modes of a mixture
part. Whatever moves the weight of rare modes there is an error of the rule. The second walks from
noise to data, and changes one setting at a time.

    python -m loadtests.energies
"""

import argparse
import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from models.evaluation.analytic import Mixture
from models.evaluation.measurement import Measurement
from models.evaluation.mixtures.draw import ExactMala, draw_seeds
from models.evaluation.mixtures.study import TARGETS
from models.network.schedule import NoiseLevel
from models.rows.rows import Condition, Query
from models.schema.specs import Ddpm, Dpm2mSde, RtkMala, SamplerSpec
from models.solvers.kernel import Kernel
from models.solvers.rtk_mala import Proposal, log_acceptance

TARGET = TARGETS[1]
# Network times of a segment in which the modes part, of the five and of twenty even ones.
SEGMENTS = {"1/5 of the way": (0.6, 0.4), "1/20 of the way": (0.45, 0.40)}
# The step size at which MALA accepts 0.65 of the proposals in both.
STEP = 0.78
WALK = {"step_sizes": (0.548, 0.59, 0.782, 8.22, 27.7), "segments": 5}


class Place(NamedTuple):
    """A segment's kernel, and the prediction at its cleaner end as a function of x."""

    kernel: Kernel
    eps: Callable[[Tensor], Tensor]
    log_density: Callable[[Tensor], Tensor]

    def slope(self, x: Tensor, move: Tensor) -> Tensor:
        """Return the derivative of the log-density at `x` along `move`, `[rows]`."""
        return dot(-self.eps(x) / self.kernel.there.sigma, move)


class Line(NamedTuple):
    """A proposed move from x, the slopes of the log-density along it at both ends, and the move
    before with its change of the score; `chance` is uniform."""

    x: Tensor
    move: Tensor
    slopes: tuple[Tensor, Tensor]
    before: tuple[Tensor, Tensor]
    score: Tensor
    chance: Tensor


class Rule(NamedTuple):
    """A rule: its `excess` over the trapezoid rule's integral, its evaluations a step, and whether
    the acceptance is Barker's."""

    evaluations: int
    excess: Callable[[Place, Line], Tensor]
    barker: bool = False


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Return the inner product of each row, `[rows]`."""
    return (a * b).flatten(1).sum(1)


def nothing(place: Place, line: Line) -> Tensor:
    return torch.zeros_like(line.chance)


def midpoint(place: Place, line: Line) -> Tensor:
    return place.slope(line.x + line.move / 2, line.move) - sum(line.slopes) / 2


def simpson(place: Place, line: Line) -> Tensor:
    return 2 / 3 * midpoint(place, line)


def random_node(place: Place, line: Line) -> Tensor:
    u, (first, last) = line.chance, line.slopes
    at = line.x + u[:, None, None, None] * line.move
    return place.slope(at, line.move) - (first + u * (last - first))


def secant(place: Place, line: Line) -> Tensor:
    """Return the excess of a parabola through both slopes. Its derivative at x is estimated from
    the last accepted move."""
    (move, change), (first, last) = line.before, line.slopes
    share = dot(line.move, move) / dot(move, move).clamp(min=1e-12)
    return (share * dot(change, line.move) - (last - first)) / 6


def no_valley(place: Place, line: Line) -> Tensor:
    """Refuse moves along which the log-density is convex, as it is from mode to mode.

    This condition is the same from both ends, so it keeps detailed balance.
    """
    first, last = line.slopes
    return torch.where(last > first, -torch.inf, 0.0)


def exact(place: Place, line: Line) -> Tensor:
    ends = place.log_density(line.x + line.move) - place.log_density(line.x)
    return ends - sum(line.slopes) / 2


RULES = {
    "exact": Rule(1, exact),
    "trapezoid": Rule(1, nothing),
    "trapezoid, last move's secant": Rule(1, secant),
    "trapezoid, no valley": Rule(1, no_valley),
    "midpoint": Rule(2, midpoint),
    "Simpson": Rule(2, simpson),
    "one random node": Rule(2, random_node),
    "Simpson, Barker": Rule(2, simpson, barker=True),
    "one random node, Barker": Rule(2, random_node, barker=True),
}


class Found(NamedTuple):
    """The change of the rare modes' relative weight, the share of accepted proposals, the root mean
    square error of the log-ratio, and the squared jump of a step relative to M, in a dimension."""

    drift: float
    accepted: float
    error: float
    jump: float


def equilibrium(mixture: Mixture, times: tuple[float, float], rows: int) -> tuple[Place, Tensor]:
    """Return a segment's place for exact x at its noisier end, and x from its kernel."""
    latent = torch.zeros(1, 0)
    condition: Condition = mixture.condition(latent)
    here, there = (
        condition.moment(condition.network_time.t(torch.tensor([time]).double())) for time in times
    )
    clean = TARGET.draw(rows, 0).view(rows, *mixture.config.chw)
    normals = torch.Generator().manual_seed(1)
    first, second = torch.randn(2, *clean.shape, generator=normals, dtype=torch.float64)
    x = there.noise.alpha * clean + there.noise.sigma * first
    ratio, noise = here.noise.alpha / there.noise.alpha, here.noise
    spread = (noise.sigma.square() - (ratio * there.noise.sigma).square()).sqrt()
    kernel = Kernel.between(ratio * x + spread * second, here.noise, there.noise)
    flat: NoiseLevel = NoiseLevel(*(leaf.flatten(1) for leaf in there.noise))
    return Place(
        kernel,
        lambda at: mixture.evaluate(Query(at, there.t, noise=there.noise), condition).eps,
        lambda at: mixture.log_density(at.flatten(1), flat.alpha, flat.sigma),
    ), x


def judged(place: Place, x: Tensor, rule: Rule, steps: int) -> Found:
    """Run the chain of a rule, with the same noise for every rule."""
    draws, step = torch.Generator().manual_seed(2), torch.full((len(x),), STEP).double()
    kernel, start = place.kernel, x
    eps = place.eps(x)
    before = (torch.zeros_like(x), torch.zeros_like(x))
    accepted = jump = error = 0.0
    for _ in range(steps):
        normals = torch.randn(x.shape, generator=draws, dtype=torch.float64)
        chance, node = torch.rand(2, len(x), generator=draws, dtype=torch.float64)
        y = kernel.langevin(x, eps, step, normals)
        after, move = place.eps(y), y - x
        sigma = kernel.there.sigma
        slopes = (dot(-eps / sigma, move), dot(-after / sigma, move))
        line = Line(x, move, slopes, before, -eps / sigma, node)
        middle = Proposal(eps, y, (eps + after) / 2, torch.zeros(len(x)))
        excess = rule.excess(place, line)
        ratio = log_acceptance(kernel, step, x, middle, after) + excess
        wrong = excess - exact(place, line)
        accept = chance < ratio.sigmoid() if rule.barker else chance.log() < ratio
        rows = accept[:, None, None, None]
        change = -(after - eps) / sigma
        before = torch.where(rows, move, before[0]), torch.where(rows, change, before[1])
        jump += float((rows * kernel.per_mass(move.square())).mean()) / steps
        error += float(wrong[wrong.isfinite()].square().mean()) / steps
        accepted += float(accept.double().mean()) / steps
        x, eps = torch.where(rows, y, x), torch.where(rows, after, eps)
    drift = (rare_share(place, x) - rare_share(place, start)) / rare_weight()
    return Found(drift, accepted, math.sqrt(error), jump)


def rare_weight() -> float:
    """Return the weight of all rare modes."""
    weights = torch.tensor(TARGET.weights).double()
    return float(weights[weights < weights.max()].sum() / weights.sum())


def rare_share(place: Place, x: Tensor) -> float:
    """Return the share of the draws in rare modes: those nearest to the mode's centre."""
    return (
        1 + TARGET.rare_error(x.flatten(1) / place.kernel.there.alpha.flatten(1))
    ) * rare_weight()


def walks() -> list[tuple[str, SamplerSpec, bool]]:
    """Return settings that differ from the first by one thing each, and whether energies are
    exact."""
    first = RtkMala(**WALK, inner_steps=9, energy="simpson")
    plain = first.replaced(energy="trapezoid")
    return [
        ("Simpson, 5 segments, 9 steps", first, False),
        ("exact energy", plain, True),
        ("trapezoid", plain, False),
        ("step sizes halved", halved(first), False),
        ("ancestral start", first.replaced(start="ancestral"), False),
        ("30 steps, exact energy", plain.replaced(inner_steps=30), True),
        ("30 steps, trapezoid", plain.replaced(inner_steps=30), False),
        ("no chain, multistep start alone", Dpm2mSde(steps=5), False),
        ("no chain, ancestral start alone", Ddpm(steps=5), False),
        *short(20),
    ]


def halved(spec: RtkMala) -> RtkMala:
    """Return the spec with half of every step size."""
    return spec.replaced(step_sizes=tuple(size / 2 for size in spec.segment_step_sizes))


def short(count: int) -> list[tuple[str, SamplerSpec, bool]]:
    """Return short even segments with an inner step each, by three energies."""
    plain = RtkMala(segments=count, inner_steps=1, start="ancestral", step_size=0.6)
    return [
        (f"{count} segments, 1 step, Simpson", plain.replaced(energy="simpson"), False),
        (f"{count} segments, 1 step, exact energy", plain, True),
        (f"{count} segments, 1 step, trapezoid", plain, False),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--draws", type=int, default=1500, help="Draws of each seed.")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    mixture = TARGET.denoiser()
    print("| segment | rule | evaluations a step | rare weight | accepted | error | jump |")
    print("|---|---|---|---|---|---|---|")
    for name, times in SEGMENTS.items():
        place, x = equilibrium(mixture, times, arguments.rows)
        for title, rule in RULES.items():
            found = judged(place, x, rule, arguments.steps)
            figures = f"{found.drift:+.3f} | {found.accepted:.3f} | {found.error:.3f}"
            print(f"| {name} | {title} | {rule.evaluations} | {figures} | {found.jump:.3f} |")
    print("\n| setting | evaluations | relative error of the rare weight |\n|---|---|---|")
    for title, spec, is_exact in walks():
        solver = ExactMala(mixture) if is_exact else None
        draws = draw_seeds(mixture, spec, arguments.draws, range(arguments.seeds), solver)
        error = Measurement.of(torch.tensor([TARGET.rare_error(x) for x in draws]))
        print(f"| {title} | {spec.evaluations} | {error.mean:+.3f} ± {error.standard_error:.3f} |")


if __name__ == "__main__":
    main()
