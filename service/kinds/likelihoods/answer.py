"""Scores as an answer."""

from dataclasses import asdict
from math import isfinite
from typing import Any

from models.preprocessing.tiles import Tiling
from models.schema.scores import Score, joint
from service.contracts.photographs import applied, pictures, places
from service.kind import Finished
from service.kinds.likelihoods.contract import (
    ImageScore,
    LikelihoodResponse,
    LikelihoodSettings,
    ScoreTerms,
    TileScore,
)
from service.kinds.likelihoods.task import ScoreResult, ScoreTask

_NO_NUMBER = "reason", "log_px_given_class"


def answer(finished: Finished[ScoreTask, ScoreResult]) -> LikelihoodResponse:
    """The answer as JSON."""
    job, result, task = finished.job, finished.result, finished.job.task
    solver = task.solver
    if task.tiling is None:
        labels = task.labels or [None] * len(result.scores)
        results = [
            ImageScore(index=i, class_label=label, **_fields(one))
            for i, (one, label) in enumerate(zip(result.scores, labels, strict=True))
        ]
    else:
        results = _of_pictures(result.scores, task.tiling, finished)
    return LikelihoodResponse(
        id=job.id,
        model=job.model,
        checkpoint=job.checkpoint,
        execution=result.execution,
        results=tuple(results),
        settings=LikelihoodSettings(
            draws=task.draws,
            probes=None if solver.trace == "exact" else solver.probes,
            trace=solver.trace,
            latent=solver.latent,
            tolerance_nats=solver.tolerance_nats,
            standard_error_nats=task.standard_error_nats,
            max_evaluations=solver.max_evaluations,
            seed=task.seed,
        ),
        timing=finished.timing,
        applied=applied(task.tiling),
    )


def _of_pictures(
    scores: tuple[Score, ...], tiling: Tiling, finished: Finished[ScoreTask, ScoreResult]
) -> list[ImageScore]:
    """The scores of photographs, from those of their tiles."""
    dimensions, labels = finished.model.config.dimensions, finished.job.task.labels
    found = []
    rows = zip(pictures(tiling), tiling.sizes, tiling.slices(), strict=True)
    for index, (picture, size, part) in enumerate(rows):
        tiles: tuple[TileScore, ...] = ()
        if finished.job.task.tiles:
            where = places(tiling.rule, size)
            pairs = zip(scores[part], where, strict=True)
            tiles = tuple(TileScore(place=place, **_fields(one)) for one, place in pairs)
        fields = _fields(joint(scores[part], dimensions))
        label = None if labels is None else labels[part.start]
        found.append(
            ImageScore(index=index, class_label=label, picture=picture, tiles=tiles, **fields)
        )
    return found


def _fields(score: Score) -> dict[str, Any]:
    """The fields of one likelihood; a number that is not finite makes it a failure, never a
    number."""
    values = asdict(score)
    terms = {name: values.pop(name) for name in ScoreTerms.model_fields}
    by_class = values["log_px_given_class"] or ()
    told = {name: value for name, value in (values | terms).items() if name not in _NO_NUMBER}
    numbers = [*told.values(), *by_class]
    if score.ok and not all(value is None or isfinite(value) for value in numbers):
        return _fields(Score(nfe=score.nfe, reason="the likelihood is not finite"))
    return {"status": "ok" if score.ok else "failed", "terms": ScoreTerms(**terms), **values}
