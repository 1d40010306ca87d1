"""Samplers over numbers of evaluations: how far what they draw is from real images."""

import csv
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field
from tqdm import tqdm

from models.evaluation.measurement import EvaluationRecord
from models.evaluation.recorded_data import RecordedData, subset
from models.evaluation.samples.classifier import Classifier
from models.evaluation.samples.distances import Distance, Reference
from models.evaluation.samples.drawing import Drawings
from models.evaluation.samples.recognition import classifier_of
from models.files.images import Tokens
from models.schema.specs import SamplerSpec, sampler_spec
from models.schema.walks import RtkSpec
from models.solvers import SAMPLERS

RTK = tuple(name for name in SAMPLERS if isinstance(sampler_spec(name), RtkSpec))
BUDGETS = (5, 10, 20, 50, 100)
BASELINES = (250, 1000)
REFERENCE = 2000


class Row(EvaluationRecord):
    """One sampler at its number of evaluations an image."""

    solver: SamplerSpec
    evaluations: int
    images: int
    kernel: Distance
    frechet: Distance
    acceptance_rate: float | None


class Sweep(EvaluationRecord):
    """All rows, and the distances `real` of as many real images that no training has seen, as far
    as there are so many. No sampler can be expected to come nearer than those."""

    seed: int
    reference: int
    real: tuple[Distance, Distance]
    rows: list[Row]
    features: Literal["classes", "turns"] = Field(
        "classes", description="What the classifier that gives the features was taught."
    )

    @property
    def baselines(self) -> list[int]:
        """The numbers of steps of the dearest `ddpm` rows, as far as they were measured."""
        return [row.evaluations for row in self.of("ddpm") if row.evaluations in BASELINES]

    def of(self, *names: str, most: int | None = None) -> list[Row]:
        """Return the rows of these samplers, or of all, of at most that many evaluations; by rising
        evaluations, of equal ones the nearest first."""
        rows = [
            row
            for row in self.rows
            if (not names or row.solver.name in names) and (most is None or row.evaluations <= most)
        ]
        return sorted(rows, key=lambda row: (row.evaluations, row.kernel.value))

    def at(self, budget: int, name: str) -> Row | None:
        """Return the dearest row of the sampler `name` for at most `budget` evaluations, if any."""
        rows = self.of(name, most=budget)
        return rows[-1] if rows else None

    def best(self, budget: int, *names: str) -> Row:
        """Return the row of these samplers that is nearest to the real images for at most `budget`
        evaluations."""
        return min(self.of(*names, most=budget), key=lambda row: row.kernel.value)

    def cheapest(self, budget: int) -> Row:
        """Return the cheapest row that is no further from the real images than the nearest one of
        at most `budget` evaluations, but for one standard error of the difference."""
        goal = self.best(budget).kernel
        return next(
            row
            for row in self.of(most=budget)
            if row.kernel.value
            <= goal.value + math.hypot(row.kernel.standard_error, goal.standard_error)
        )

    def with_row(self, row: Row) -> "Sweep":
        """Return this sweep with `row` in the place of that of the same sampler and evaluations, if
        it is nearer than that; else this one."""
        same = [
            other
            for other in self.rows
            if (other.solver.name, other.evaluations) == (row.solver.name, row.evaluations)
        ]
        if any(other.kernel.value <= row.kernel.value for other in same):
            return self
        kept = [other for other in self.rows if other not in same]
        return self.model_copy(update={"rows": [*kept, row]})

    def baseline(self, steps: int) -> Row:
        """Return the `ddpm` row of so many steps."""
        return next(row for row in self.of("ddpm") if row.evaluations == steps)

    def as_good(self, steps: int, *names: str, errors: float = 0.0) -> Row | None:
        """Return the cheapest row of these samplers that was measured no further from the real
        images than `ddpm` of `steps`, but for so many standard errors of the difference; None if
        there is none."""
        baseline = self.baseline(steps)
        goal = baseline.kernel
        for row in self.of(*names):
            error = math.hypot(row.kernel.standard_error, goal.standard_error)
            if row != baseline and row.kernel.value <= goal.value + errors * error:
                return row
        return None


class Tuning(EvaluationRecord):
    """The measurements that chose a checkpoint's presets; `tuning` in its manifest."""

    command: str
    pilot: int
    sweep: Sweep
    learned: list[str] = Field(
        default_factory=list,
        exclude_if=lambda commands: not commands,
        description="The commands that learned steps afterwards.",
    )


@dataclass(frozen=True)
class Judge:
    """A classifier and the real images that drawn ones are compared to, by its features."""

    classifier: Classifier
    reference: Reference

    @classmethod
    def of(cls, classifier: Classifier, real: Tokens) -> "Judge":
        """Return the judge that compares with `real` images `[M, H, W, C]`."""
        return cls(classifier, Reference.of(classifier.features(real)))

    def kernel_distance(self, images: Tokens) -> Distance:
        """Return the kernel distance of `images` `[N, H, W, C]` from the real ones."""
        return self.reference.kernel_distance(self.classifier.features(images))

    def distances(self, images: Tokens) -> tuple[Distance, Distance]:
        """Return the kernel and the Fréchet distance of `images` `[N, H, W, C]` from the real
        ones."""
        features = self.classifier.features(images)
        return self.reference.kernel_distance(features), self.reference.frechet_distance(features)


def sweep(
    drawings: Drawings, data: RecordedData, specs: Sequence[SamplerSpec], images: int, seed: int
) -> Sweep:
    """Draw `images` by each of the specs, all with the same `seed`, and compare them to test
    images. Raises DataError where the checkpoint's data cannot be read."""
    judge = Judge.of(classifier_of(data), subset(data.images("test"), REFERENCE))
    rows = []
    for spec in tqdm(specs, desc="samplers", file=sys.stderr):
        drawn = drawings.draw(spec, images, seed)
        kernel, frechet = judge.distances(drawn.tokens)
        accepted = float(drawn.acceptance_rate.mean())
        rows.append(
            Row(
                solver=spec,
                evaluations=int(drawn.evaluations.max()),
                images=images,
                kernel=kernel,
                frechet=frechet,
                acceptance_rate=None if math.isnan(accepted) else accepted,
            )
        )
    return Sweep(
        seed=seed,
        reference=len(judge.reference.features),
        real=judge.distances(subset(data.images("calibration"), images)),
        rows=rows,
        features="classes" if data.labels("train") is not None else "turns",
    )


def write_csv(found: Sweep, path: Path) -> None:
    """Write one line for each row: distances with 95 % intervals, and the settings as JSON."""
    head = ["solver", "evaluations", "images", "acceptance_rate"]
    for measure in "kernel", "frechet":
        head += [measure, f"{measure}_standard_error", f"{measure}_low", f"{measure}_high"]
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow([*head, "settings"])
        for row in found.rows:
            figures = [row.solver.name, row.evaluations, row.images, row.acceptance_rate]
            for distance in row.kernel, row.frechet:
                figures += distance.model_dump().values()
            out.writerow([*figures, row.solver.model_dump_json()])
